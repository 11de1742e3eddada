//! Files and directories with a name that libc chooses: it would open them inside itself.

use libc::{c_char, c_int};

use super::files::is_template;
use super::open::open_at;
use crate::raw::{self, Register as _};

/// How often another name is tried.
const TRIES_MAX: usize = 100;

/// Fills in names until one is not there yet; `make` returns -1 and sets `errno` where it fails.
fn named(path: *mut c_char, suffix: c_int, make: impl Fn() -> c_int) -> c_int {
    let start = usize::try_from(suffix).ok().and_then(|suffix| is_template(path, suffix));
    let Some(start) = start else { return raw::fail(libc::EINVAL) };
    for _ in 0..TRIES_MAX {
        let mut random = [0_u8; 6];
        let args = [random.as_mut_ptr().register(), random.len().register(), 0];
        if raw::number(libc::SYS_getrandom, raw::args(args)) != Ok(6) {
            return raw::fail(libc::EIO);
        }
        for (at, byte) in random.into_iter().enumerate() {
            let letter = b'a' + byte % 26;
            // SAFETY: the six bytes from `start` on are the template's, which the program passed to be
            // written to (mkstemp(3)).
            unsafe { *path.add(start + at) = letter.cast_signed() };
        }
        let made = make();
        // SAFETY: libc gives the address of the calling thread's own `errno`.
        if made >= 0 || unsafe { *libc::__errno_location() } != libc::EEXIST {
            return made;
        }
    }
    raw::fail(libc::EEXIST)
}

fn open(path: *mut c_char, suffix: c_int, flags: c_int) -> c_int {
    let flags = flags & !libc::O_ACCMODE | libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    named(path, suffix, || open_at(libc::AT_FDCWD, path, flags, 0o600))
}

macro_rules! files {
    ($($name:ident, $name64:ident($path:ident $(, $more:ident)*) = ($suffix:expr, $flags:expr);)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($path: *mut c_char $(, $more: c_int)*) -> c_int {
            open($path, $suffix, $flags)
        }

        #[unsafe(no_mangle)]
        extern "C" fn $name64($path: *mut c_char $(, $more: c_int)*) -> c_int {
            open($path, $suffix, $flags)
        }
    )*};
}

files! {
    mkstemp, mkstemp64(path) = (0, 0);
    mkostemp, mkostemp64(path, flags) = (0, flags);
    mkstemps, mkstemps64(path, suffix) = (suffix, 0);
    mkostemps, mkostemps64(path, suffix, flags) = (suffix, flags);
}

#[unsafe(no_mangle)]
extern "C" fn mkdtemp(path: *mut c_char) -> *mut c_char {
    let make = || super::decided(libc::SYS_mkdir, raw::args([path.register(), 0o700]));
    if named(path, 0, make) == 0 { path } else { std::ptr::null_mut() }
}
