//! The loader that an ELF program names (`PT_INTERP`), read as the kernel reads it (`fs/binfmt_elf.c`).

use std::io;
use std::ops::Range;

/// The longest table of parts that the kernel reads, in bytes.
const TABLE_BYTES_MAX: usize = 65_536;

/// The longest name that it takes, with the NUL at its end (`PATH_MAX`).
const NAME_BYTES_MAX: usize = 4096;

/// The bytes of the longer of both headers.
const HEADER_BYTES: usize = 64;

/// The type of the part that names the loader.
const PT_INTERP: u32 = 3;

/// Where the fields of a file's header and of a part are: as wide as an address each, but for the counts.
struct Layout {
    table: Range<usize>,
    part_bytes: Range<usize>,
    part_count: Range<usize>,
    bytes_of_part: usize,
    offset: Range<usize>,
    length: Range<usize>,
}

/// Of 64 bits (`Elf64_Ehdr`, `Elf64_Phdr`).
const WIDE: Layout = Layout {
    table: 32..40,
    part_bytes: 54..56,
    part_count: 56..58,
    bytes_of_part: 56,
    offset: 8..16,
    length: 32..40,
};

/// Of 32 bits (`Elf32_Ehdr`, `Elf32_Phdr`).
const NARROW: Layout = Layout {
    table: 28..32,
    part_bytes: 42..44,
    part_count: 44..46,
    bytes_of_part: 32,
    offset: 4..8,
    length: 16..20,
};

/// Why nothing can be said of a file.
#[derive(Debug)]
pub(super) enum Unknown {
    /// It cannot be read.
    Unread,
    /// The kernel would not load it either.
    Malformed,
}

impl From<io::Error> for Unknown {
    fn from(_: io::Error) -> Unknown {
        Unknown::Unread
    }
}

/// The name of the loader, if the file is an ELF program that has one; `read` fills the bytes from an offset
/// on, as far as the file goes.
pub(super) fn loader(
    read: impl Fn(&mut [u8], u64) -> io::Result<usize>,
) -> Result<Option<Vec<u8>>, Unknown> {
    let mut header = [0; HEADER_BYTES];
    let got = read(&mut header, 0)?;
    let header = header.get(..got).ok_or(Unknown::Malformed)?;
    if !header.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let layout = match header.get(4) {
        Some(1) => &NARROW,
        Some(2) => &WIDE,
        Some(_) | None => return Err(Unknown::Malformed),
    };
    let count = size(header, &layout.part_count)?;
    let bytes = count.checked_mul(layout.bytes_of_part).ok_or(Unknown::Malformed)?;
    let is_sound = size(header, &layout.part_bytes)? == layout.bytes_of_part;
    if !is_sound || bytes == 0 || bytes > TABLE_BYTES_MAX {
        return Err(Unknown::Malformed);
    }
    let table = whole(&read, bytes, number(header, &layout.table)?)?;
    let names_it = |part: &&[u8]| number(part, &(0..4)).is_ok_and(|it| it == u64::from(PT_INTERP));
    let Some(part) = table.chunks_exact(layout.bytes_of_part).find(names_it) else {
        return Ok(None);
    };
    let length = size(part, &layout.length)?;
    if !(2..=NAME_BYTES_MAX).contains(&length) {
        return Err(Unknown::Malformed);
    }
    let mut name = whole(&read, length, number(part, &layout.offset)?)?;
    if name.pop() != Some(0) {
        return Err(Unknown::Malformed);
    }
    // The kernel takes it as a string.
    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
    Ok(Some(name))
}

/// Exactly so many bytes from there on.
fn whole(
    read: &impl Fn(&mut [u8], u64) -> io::Result<usize>,
    length: usize,
    at: u64,
) -> Result<Vec<u8>, Unknown> {
    let mut bytes = vec![0; length];
    // An offset that the file system cannot take is none of a program's.
    let got = read(&mut bytes, at).map_err(|_| Unknown::Malformed)?;
    if got == length { Ok(bytes) } else { Err(Unknown::Malformed) }
}

fn size(bytes: &[u8], at: &Range<usize>) -> Result<usize, Unknown> {
    number(bytes, at)?.try_into().map_err(|_| Unknown::Malformed)
}

/// A number in this machine's order, as the kernel reads it whatever the file says.
fn number(bytes: &[u8], at: &Range<usize>) -> Result<u64, Unknown> {
    let bytes = bytes.get(at.clone()).ok_or(Unknown::Malformed)?;
    match *bytes {
        [a, b] => Ok(u16::from_ne_bytes([a, b]).into()),
        [a, b, c, d] => Ok(u32::from_ne_bytes([a, b, c, d]).into()),
        _ => bytes.try_into().map(u64::from_ne_bytes).map_err(|_| Unknown::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of these bytes.
    fn of(file: &[u8]) -> Result<Option<Vec<u8>>, Unknown> {
        loader(|bytes, at| {
            let rest = usize::try_from(at).ok().and_then(|at| file.get(at..)).unwrap_or_default();
            let got = rest.len().min(bytes.len());
            bytes[..got].copy_from_slice(&rest[..got]);
            Ok(got)
        })
    }

    /// A program of 64 bits with one part of this type, that is this long, and this text.
    fn wide(part: u32, length: u64, text: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..5].copy_from_slice(b"\x7fELF\x02");
        file[32..40].copy_from_slice(&64_u64.to_ne_bytes());
        file[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        file[56..58].copy_from_slice(&1_u16.to_ne_bytes());
        file[64..68].copy_from_slice(&part.to_ne_bytes());
        file[72..80].copy_from_slice(&120_u64.to_ne_bytes());
        file[96..104].copy_from_slice(&length.to_ne_bytes());
        file.extend_from_slice(text);
        file
    }

    #[test]
    fn a_program_that_runs_here_names_its_loader() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        let name = of(&own).unwrap().unwrap();
        assert!(std::path::Path::new(std::str::from_utf8(&name).unwrap()).is_file());
        assert_eq!(of(&wide(3, 5, b"/a/b\0")).unwrap().unwrap(), b"/a/b");
        assert_eq!(of(&wide(3, 5, b"/a\0b\0")).unwrap().unwrap(), b"/a");
        for none in [&b"#!/bin/sh\n"[..], b"", b"\x7fEL"] {
            assert!(of(none).unwrap().is_none());
        }
        assert!(of(&wide(1, 5, b"/a/b\0")).unwrap().is_none());
    }

    #[test]
    fn a_program_of_32_bits_names_it_elsewhere() {
        let mut file = vec![0; 84];
        file[..5].copy_from_slice(b"\x7fELF\x01");
        file[28..32].copy_from_slice(&52_u32.to_ne_bytes());
        file[42..44].copy_from_slice(&32_u16.to_ne_bytes());
        file[44..46].copy_from_slice(&1_u16.to_ne_bytes());
        file[52..56].copy_from_slice(&3_u32.to_ne_bytes());
        file[56..60].copy_from_slice(&84_u32.to_ne_bytes());
        file[68..72].copy_from_slice(&5_u32.to_ne_bytes());
        file.extend_from_slice(b"/a/b\0");
        assert_eq!(of(&file).unwrap().unwrap(), b"/a/b");
    }

    #[test]
    fn what_the_kernel_would_not_load_is_malformed() {
        let sound = wide(3, 5, b"/a/b\0");
        let with = |at: usize, bytes: &[u8]| {
            let mut file = sound.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        for malformed in [
            wide(3, 5, b"/a/b!"),
            wide(3, 1, b"\0"),
            wide(3, 4097, &[0; 4097]),
            wide(3, u64::MAX, b"/a/b\0"),
            wide(3, 6, b"/a/b\0"),
            with(4, &[0]),
            with(4, &[3]),
            with(54, &55_u16.to_ne_bytes()),
            with(56, &0_u16.to_ne_bytes()),
            with(56, &u16::MAX.to_ne_bytes()),
            with(32, &u64::MAX.to_ne_bytes()),
            sound[..40].to_vec(),
        ] {
            assert!(matches!(of(&malformed), Err(Unknown::Malformed)), "{malformed:?}");
        }
    }
}
