//! System calls that a world should refuse, made for their answer alone.

use std::io;

/// Makes a system call by its number, whatever the kernel makes of it.
///
/// `arguments` are plain numbers and pointers to `memory`, which is as long as the call may write.
pub(crate) fn raw(number: libc::c_long, arguments: [usize; 6]) -> io::Result<usize> {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: the callers, all of them in `attacks` and `seccomp`, hand in numbers, null pointers,
    // addresses beyond all memory, and addresses of buffers of theirs that live for the call and are at
    // least as long as it reads or writes. Calls that would change this process's memory in another way
    // are not among them.
    let answer = unsafe { libc::syscall(number, first, second, third, fourth, fifth, sixth) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// Asks for the process id by the interrupt of 32-bit programs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn by_interrupt() -> i64 {
    /// `getpid` in the table of i386.
    const GETPID: i64 = 20;
    let answer: i64;
    // SAFETY: the call takes no arguments and touches no memory; it clobbers `rax`, which is declared,
    // and r8 to r11, as the kernel's entry for 32-bit programs does.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inlateout("rax") GETPID => answer,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    answer
}
