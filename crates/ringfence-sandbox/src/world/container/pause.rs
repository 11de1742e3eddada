//! The program that holds a container open: it waits, and does nothing else.
//!
//! An image may have no program at all, or none that can be trusted. So ours brings its own, which
//! needs no loader and no library: a few instructions behind the headers that the kernel wants.

/// Where it is loaded.
const ADDRESS: u64 = 0x0040_0000;
/// `Elf64_Ehdr` and one `Elf64_Phdr`, elf(5).
const HEADERS_BYTES: u64 = 64 + 56;

/// `pause(2)` again and again.
#[cfg(target_arch = "x86_64")]
const CODE: &[u8] = &[
    0xb8, 0x22, 0x00, 0x00, 0x00, // mov eax, SYS_pause
    0x0f, 0x05, // syscall
    0xeb, 0xf7, // jmp to the first
];
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;

/// `ppoll(2)` of nothing, without end, again and again: this machine has no `pause`.
#[cfg(target_arch = "aarch64")]
const CODE: &[u8] = &[
    0x00, 0x00, 0x80, 0xd2, // mov x0, 0
    0x01, 0x00, 0x80, 0xd2, // mov x1, 0
    0x02, 0x00, 0x80, 0xd2, // mov x2, 0
    0x03, 0x00, 0x80, 0xd2, // mov x3, 0
    0x04, 0x00, 0x80, 0xd2, // mov x4, 0
    0x28, 0x09, 0x80, 0xd2, // mov x8, SYS_ppoll
    0x01, 0x00, 0x00, 0xd4, // svc 0
    0xf9, 0xff, 0xff, 0x17, // b to the first
];
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// The file's bytes.
pub(super) fn program() -> Vec<u8> {
    let size = HEADERS_BYTES + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // An executable for this machine, version 1; entry, program headers, no section headers, flags.
    for half in [2_u16, MACHINE] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1_u32.to_le_bytes());
    for word in [ADDRESS + HEADERS_BYTES, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // One segment, all of the file: PT_LOAD, readable and executable.
    for word in [1_u32, 5] {
        file.extend(word.to_le_bytes());
    }
    for word in [0, ADDRESS, ADDRESS, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(CODE);
    file
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn it_runs_and_waits() {
        let path = std::env::temp_dir().join(format!("ringfence-pause-{}", std::process::id()));
        fs::write(&path, super::program()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(&path).spawn().unwrap();
        sleep(Duration::from_millis(200));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(ended, None);
    }
}
