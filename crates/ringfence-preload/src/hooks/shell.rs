//! Command lines for a shell, which libc would start inside itself: `system` and `popen`.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::ptr;

use libc::{FILE, c_char, c_int, c_void};

use super::spawn::{Found, Program, Step, Wanted, spawn};
use crate::memory::string;
use crate::raw::{self, Register as _};
use crate::told::own_environment;

/// Most commands whose streams are open at a time; the next one fails with `EMFILE`.
const STREAMS_MAX: usize = 64;

/// Starts `/bin/sh -c LINE`.
fn start(line: *const c_char, steps: impl Iterator<Item = Step>) -> Result<c_int, c_int> {
    let words = [c"sh".as_ptr(), c"-c".as_ptr(), c"--".as_ptr(), line, ptr::null()];
    let program = Program {
        found: Found::ByPath,
        path: c"/bin/sh".as_ptr(),
        argv: words.as_ptr(),
        variables: own_environment(),
    };
    spawn(program, steps, Wanted::nothing())
}

fn waited(child: c_int) -> c_int {
    let mut status = 0;
    let args = raw::args([child.register(), (&raw mut status).register(), 0, 0]);
    loop {
        match raw::number(libc::SYS_wait4, args) {
            Ok(_) => return status,
            Err(libc::EINTR) => {}
            Err(errno) => return raw::fail(errno),
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn system(line: *const c_char) -> c_int {
    if line.is_null() {
        return 1;
    }
    // SAFETY: all-zero is a value of these, and each call reads and writes what its arguments name: our
    // own, which outlive it (system(3), sigaction(2)).
    unsafe {
        let mut ignore: libc::sigaction = MaybeUninit::zeroed().assume_init();
        ignore.sa_sigaction = libc::SIG_IGN;
        let mut before: [libc::sigaction; 2] = MaybeUninit::zeroed().assume_init();
        let [interrupt, quit] = &mut before;
        let mut child: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        let mut blocked: libc::sigset_t = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&raw mut child);
        libc::sigaddset(&raw mut child, libc::SIGCHLD);
        // The shell has the handling and the mask that the program had.
        let started = start(line, std::iter::empty());
        libc::sigaction(libc::SIGINT, &raw const ignore, interrupt);
        libc::sigaction(libc::SIGQUIT, &raw const ignore, quit);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const child, &raw mut blocked);
        let status = match started {
            Ok(child) => waited(child),
            // As if the shell could not be run.
            Err(_) => 127 << 8,
        };
        libc::sigaction(libc::SIGINT, interrupt, ptr::null_mut());
        libc::sigaction(libc::SIGQUIT, quit, ptr::null_mut());
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const blocked, ptr::null_mut());
        status
    }
}

/// A command's stream, and its process.
struct Open {
    stream: AtomicPtr<FILE>,
    child: AtomicI32,
}

static OPEN: [Open; STREAMS_MAX] =
    [const { Open { stream: AtomicPtr::new(ptr::null_mut()), child: AtomicI32::new(0) } };
        STREAMS_MAX];

/// What stands in a place that is being filled.
fn taken() -> *mut FILE {
    ptr::without_provenance_mut(1)
}

#[unsafe(no_mangle)]
extern "C" fn popen(line: *const c_char, mode: *const c_char) -> *mut FILE {
    let letters = string(mode).unwrap_or_default();
    let reads = match (letters.contains(&b'r'), letters.contains(&b'w')) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => return raw::null(libc::EINVAL),
    };
    let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
    let free = OPEN
        .iter()
        .find(|it| it.stream.compare_exchange(ptr::null_mut(), taken(), acquire, relaxed).is_ok());
    let Some(place) = free else { return raw::null(libc::EMFILE) };
    let (child, stream) = match piped(line, mode, reads, letters.contains(&b'e')) {
        Ok(made) => made,
        Err(errno) => {
            place.stream.store(ptr::null_mut(), Ordering::Release);
            return raw::null(errno);
        }
    };
    place.child.store(child, Ordering::Relaxed);
    place.stream.store(stream, Ordering::Release);
    stream
}

fn piped(
    line: *const c_char,
    mode: *const c_char,
    reads: bool,
    closed: bool,
) -> Result<(c_int, *mut FILE), c_int> {
    let mut ends = [0; 2];
    let args = [ends.as_mut_ptr().register(), libc::O_CLOEXEC.register()];
    raw::number(libc::SYS_pipe2, raw::args(args))?;
    let [reading, writing] = ends;
    let (ours, theirs, to) = if reads { (reading, writing, 1) } else { (writing, reading, 0) };
    let others = OPEN.iter().map(|it| it.stream.load(Ordering::Acquire));
    let open = others.filter(|it| !it.is_null() && *it != taken());
    // SAFETY: these streams are open: `pclose` takes them out of the list first.
    let closed_in_child = open.map(|it| Step::Close(unsafe { libc::fileno(it) }));
    let started = start(line, closed_in_child.chain([Step::Move(theirs, to)]));
    raw::close(theirs);
    let child = started.inspect_err(|_| raw::close(ours))?;
    if !closed {
        let _ =
            raw::number(libc::SYS_fcntl, raw::args([ours.register(), libc::F_SETFD.register(), 0]));
    }
    // SAFETY: the file is ours to give away; of a mode, libc takes what it knows.
    let stream = unsafe { libc::fdopen(ours, mode) };
    if stream.is_null() {
        raw::close(ours);
        waited(child);
        return Err(libc::ENOMEM);
    }
    Ok((child, stream))
}

#[unsafe(no_mangle)]
extern "C" fn pclose(stream: *mut FILE) -> c_int {
    let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
    let found = OPEN.iter().find(|it| it.stream.load(Ordering::Acquire) == stream);
    let Some(place) = found else { return of_libc(stream) };
    let child = place.child.load(Ordering::Relaxed);
    if place.stream.compare_exchange(stream, taken(), acquire, relaxed).is_err() {
        return raw::fail(libc::ECHILD);
    }
    // SAFETY: `popen` made it, and nobody else closes it by this call.
    unsafe { libc::fclose(stream) };
    place.stream.store(ptr::null_mut(), Ordering::Release);
    waited(child)
}

/// A stream that libc itself has started a command for.
fn of_libc(stream: *mut FILE) -> c_int {
    type Close = unsafe extern "C" fn(*mut FILE) -> c_int;
    let behind = raw::next(c"pclose");
    if behind.is_null() {
        return raw::fail(libc::ENOSYS);
    }
    // SAFETY: libc's function of this name has this type (popen(3)), and the stream is the program's.
    unsafe { std::mem::transmute::<*mut c_void, Close>(behind)(stream) }
}
