//! System calls of our own, which no hook sees, and the program's `errno`.

use libc::{c_int, c_long, c_void};

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("the broker knows the system calls of Linux on x86-64 only");

/// What a system call takes in a register.
pub(crate) trait Register {
    fn register(self) -> u64;
}

macro_rules! registers {
    ($($number:ty),*) => {$(
        impl Register for $number {
            fn register(self) -> u64 {
                i64::from(self).cast_unsigned()
            }
        }
    )*};
}

registers!(i64, c_int, u32);

impl Register for u64 {
    fn register(self) -> u64 {
        self
    }
}

impl Register for usize {
    fn register(self) -> u64 {
        self as u64
    }
}

impl<T> Register for *const T {
    fn register(self) -> u64 {
        self.expose_provenance() as u64
    }
}

impl<T> Register for *mut T {
    fn register(self) -> u64 {
        self.expose_provenance() as u64
    }
}

/// Makes a system call as the program would make it; a negative number is an error.
///
/// Memory that it names is the program's own business, for whom the call is made, or is a buffer of the
/// caller's that outlives the call.
pub(crate) fn call(number: c_long, args: [u64; 6]) -> i64 {
    let [first, second, third, fourth, fifth, sixth] = args;
    let result: i64;
    // SAFETY: the registers are those of the kernel's calling convention on x86-64 (syscall(2)); it
    // changes rcx and r11 beside the result. What the call does to memory is what its caller asked for.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A call whose result fits into an `int`, or its error number.
pub(crate) fn number(number: c_long, args: [u64; 6]) -> Result<c_int, c_int> {
    let result = call(number, args);
    if result < 0 { Err(c_int::try_from(-result).unwrap_or(libc::EIO)) } else { Ok(low(result)) }
}

fn low(result: i64) -> c_int {
    c_int::try_from(result).unwrap_or(c_int::MAX)
}

/// Arguments of a call that has fewer than six.
pub(crate) fn args<const N: usize>(given: [u64; N]) -> [u64; 6] {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(given) {
        *to = from;
    }
    all
}

pub(crate) fn close(fd: c_int) {
    // A number that is closed already is closed.
    let _ = call(libc::SYS_close, args([fd.register()]));
}

/// The calling thread, as the kernel numbers it.
pub(crate) fn tid() -> c_int {
    number(libc::SYS_gettid, [0; 6]).unwrap_or(0)
}

/// Writes to a descriptor, as far as that goes.
pub(crate) fn write(fd: c_int, bytes: &[u8]) {
    // There is nobody else to be told.
    let _ = call(
        libc::SYS_write,
        args([fd.register(), bytes.as_ptr().register(), bytes.len().register()]),
    );
}

/// Sets the program's `errno`.
pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: libc gives the address of the calling thread's own `errno`, valid to write.
    unsafe { *libc::__errno_location() = errno };
}

/// A failed call as libc has it.
pub(crate) fn fail(errno: c_int) -> c_int {
    set_errno(errno);
    -1
}

/// The same for what returns a pointer.
pub(crate) fn null<T>(errno: c_int) -> *mut T {
    set_errno(errno);
    std::ptr::null_mut()
}

/// The function of this name that is behind ours.
pub(crate) fn next(name: &core::ffi::CStr) -> *mut c_void {
    // SAFETY: dlsym(3) reads the name, a string.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}
