//! What the world's start has told this library by two variables: where the broker listens, and where the
//! library lies.
//!
//! They are read once, early: a program may change its environment. What it starts gets them back.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::memory::{List, Pages, list, string};

/// The variable that names the broker's socket.
const LINE: &[u8] = b"RINGFENCE_LINE=";
/// The variable that names this library.
const LIBRARY: &[u8] = b"LD_PRELOAD=";
/// Longest variable, in bytes: a path with its name.
const BYTES_MAX: usize = 4096 + 32;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// A variable that was read once, as `NAME=VALUE` with a NUL behind it.
struct Variable {
    state: AtomicU8,
    bytes: UnsafeCell<[u8; BYTES_MAX]>,
}

const UNREAD: u8 = 0;
const READING: u8 = 1;
const READ: u8 = 2;

// SAFETY: the bytes are written by the one thread that turned the state from UNREAD to READING, and read by
// others only after they have seen READ.
unsafe impl Sync for Variable {}

impl Variable {
    const fn new() -> Variable {
        Variable { state: AtomicU8::new(UNREAD), bytes: UnsafeCell::new([0; BYTES_MAX]) }
    }

    /// Remembers `name` and `value`, if nothing is remembered yet.
    fn set(&self, name: &[u8], value: &[u8]) {
        let turn = (Ordering::Acquire, Ordering::Relaxed);
        let mine = self.state.compare_exchange(UNREAD, READING, turn.0, turn.1);
        if mine.is_err() || name.len() + value.len() >= BYTES_MAX {
            return;
        }
        // SAFETY: this thread alone has the turn, and nobody reads before it says READ.
        let bytes = unsafe { &mut *self.bytes.get() };
        for (to, from) in bytes.iter_mut().zip(name.iter().chain(value)) {
            *to = *from;
        }
        self.state.store(READ, Ordering::Release);
    }

    /// `NAME=VALUE` without the NUL, if it was read.
    fn get(&self) -> Option<&[u8]> {
        if self.state.load(Ordering::Acquire) != READ {
            return None;
        }
        // SAFETY: READ was seen, after which nobody writes.
        let bytes = unsafe { &*self.bytes.get() };
        bytes.split(|byte| *byte == 0).next()
    }
}

static THE_LINE: Variable = Variable::new();
static THE_LIBRARY: Variable = Variable::new();

/// Reads the variables when the library is loaded, or when they are first needed: constructors of other
/// libraries may run before ours.
fn read() {
    // SAFETY: libc sets this to the list of the program's variables before any library's code runs.
    let variables = list(unsafe { environ });
    for variable in variables.iter().filter_map(|it| string(*it)) {
        if let Some(value) = variable.strip_prefix(LINE) {
            THE_LINE.set(LINE, value);
        } else if let Some(value) = variable.strip_prefix(LIBRARY) {
            THE_LIBRARY.set(LIBRARY, first_of(value));
        }
    }
}

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        read();
    }
    at_load
};

/// The library that is loaded first: ours.
fn first_of(value: &[u8]) -> &[u8] {
    value.split(|byte| [b':', b' '].contains(byte)).next().unwrap_or_default()
}

/// The path of the broker's socket.
pub(crate) fn line() -> Option<&'static [u8]> {
    if THE_LINE.get().is_none() {
        read();
    }
    THE_LINE.get()?.strip_prefix(LINE)
}

/// The environment with which a program is started that is to be asked about as well.
pub(crate) enum Environment {
    /// As it was given.
    AsGiven(*const *const c_char),
    /// With the variables that were missing, and the memory that they are in.
    Mended(List, Option<Pages>),
}

impl Environment {
    /// Mends what a program passes; `None` where that cannot be done, and nothing may be started.
    pub(crate) fn mended(given: *const *const c_char) -> Option<Environment> {
        line()?;
        let (line, library) = (THE_LINE.get()?, THE_LIBRARY.get()?);
        let variables = list(given);
        let of = |name: &'static [u8]| {
            let mut all = variables.iter().filter_map(|it| string(*it));
            all.find(|it| it.starts_with(name))
        };
        let theirs = of(LIBRARY).and_then(|it| it.strip_prefix(LIBRARY));
        let ours = library.strip_prefix(LIBRARY)?;
        if of(LINE) == Some(line) && theirs.is_some_and(|it| first_of(it) == ours) {
            return Some(Environment::AsGiven(given));
        }
        let mut mended = List::with_room(variables.len() + 2)?;
        let is_whole =
            |text: &[u8]| text.strip_prefix(LIBRARY).is_some_and(|it| first_of(it) == ours);
        for variable in variables {
            let text = string(*variable).unwrap_or_default();
            let replaced = text.starts_with(LINE) || text.starts_with(LIBRARY) && !is_whole(text);
            if !replaced {
                mended.push(*variable);
            }
        }
        mended.push(line.as_ptr().cast());
        let joined = match theirs {
            Some(theirs) if first_of(theirs) == ours => {
                return Some(Environment::Mended(mended, None));
            }
            Some(theirs) if !theirs.is_empty() => Some(joined(library, theirs)?),
            Some(_) | None => None,
        };
        let Some(mut pages) = joined else {
            mended.push(library.as_ptr().cast());
            return Some(Environment::Mended(mended, None));
        };
        mended.push(pages.bytes().as_ptr().cast());
        Some(Environment::Mended(mended, Some(pages)))
    }

    /// As C takes it.
    pub(crate) fn first(&mut self) -> *const *const c_char {
        match self {
            Environment::AsGiven(given) => *given,
            Environment::Mended(list, _pages) => list.first(),
        }
    }
}

/// Ours before theirs.
fn joined(library: &[u8], theirs: &[u8]) -> Option<Pages> {
    let mut pages = Pages::new(library.len() + theirs.len() + 2)?;
    let text = library.iter().chain(b":").chain(theirs);
    for (to, from) in pages.bytes().iter_mut().zip(text) {
        *to = *from;
    }
    Some(pages)
}

/// The program's own environment.
pub(crate) fn own_environment() -> *const *const c_char {
    // SAFETY: as above; the program may have put another list there, which is one as well (environ(7)).
    unsafe { environ }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() {
        THE_LINE.set(LINE, b"/run/line");
        THE_LIBRARY.set(LIBRARY, b"/lib/ours.so");
    }

    fn mended(given: &[&core::ffi::CStr]) -> Vec<String> {
        told();
        let mut pointers: Vec<_> = given.iter().map(|it| it.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let mut made = Environment::mended(pointers.as_ptr()).unwrap();
        let all = list(made.first()).iter().filter_map(|it| string(*it));
        all.map(|it| String::from_utf8_lossy(it).into_owned()).collect()
    }

    #[test]
    fn an_environment_without_the_library_gets_it_back() {
        let both = ["RINGFENCE_LINE=/run/line", "LD_PRELOAD=/lib/ours.so"];
        assert_eq!(mended(&[]), both);
        assert_eq!(mended(&[c"A=1"]), ["A=1", both[0], both[1]]);
        assert_eq!(mended(&[c"LD_PRELOAD=", c"A=1"]), ["A=1", both[0], both[1]]);
        assert_eq!(
            mended(&[c"RINGFENCE_LINE=/tmp/other", c"LD_PRELOAD=/lib/ours.so"]),
            [both[1], both[0]]
        );
        assert_eq!(
            mended(&[c"LD_PRELOAD=/lib/theirs.so:/lib/ours.so"]),
            [both[0], "LD_PRELOAD=/lib/ours.so:/lib/theirs.so:/lib/ours.so"]
        );
    }

    #[test]
    fn an_environment_that_has_it_stays_as_it_is() {
        let whole = [c"A=1", c"LD_PRELOAD=/lib/ours.so:/x.so", c"RINGFENCE_LINE=/run/line", c"B=2"];
        let texts: Vec<String> = whole.iter().map(|it| it.to_str().unwrap().to_owned()).collect();
        assert_eq!(mended(&whole), texts);
    }
}
