//! Programs that are started in place of the calling one.

use libc::{c_char, c_int, c_long};

use crate::ask::{Answer, ask};
use crate::memory::{List, list, string};
use crate::raw::{self, Register as _};
use crate::told::{Environment, own_environment};

/// Where a program without a slash is looked for when the environment does not say (execvp(3)).
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 4096;
/// Most arguments of the functions that take them one by one.
const ARGUMENTS_MAX: usize = 1 << 16;

type Texts = *const *const c_char;

/// Asks about an exec, and makes it with an environment in which the next program asks as well. Comes back
/// with an error only. `environment` is the place of the variables among the arguments.
fn started(number: c_long, mut args: [u64; 6], environment: usize, variables: Texts) -> c_int {
    match ask(number, args) {
        Answer::GoOn => {}
        Answer::Fail(errno) => return errno,
        Answer::Done => return libc::EACCES,
        Answer::File(file) => {
            raw::close(file);
            return libc::EACCES;
        }
    }
    let Some(mut mended) = Environment::mended(variables) else { return libc::EACCES };
    if let Some(place) = args.get_mut(environment) {
        *place = mended.first().register();
    }
    raw::number(number, args).err().unwrap_or(libc::EACCES)
}

/// The same by a path; the error.
pub(super) fn by_path(path: *const c_char, argv: Texts, variables: Texts) -> c_int {
    let args = raw::args([path.register(), argv.register(), variables.register()]);
    started(libc::SYS_execve, args, 2, variables)
}

/// The same, looked for where `PATH` says, and read by a shell where the kernel finds no format.
pub(super) fn by_name(name: *const c_char, argv: Texts, variables: Texts) -> c_int {
    let Some(text) = string(name) else { return libc::EFAULT };
    if text.is_empty() {
        return libc::ENOENT;
    }
    if text.contains(&b'/') {
        return or_by_shell(name, argv, variables);
    }
    let own = list(own_environment());
    let path = own.iter().filter_map(|it| string(*it)).find_map(|it| it.strip_prefix(b"PATH="));
    let mut errno = libc::ENOENT;
    for dir in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
        let mut full = [0_u8; PATH_BYTES_MAX];
        let slash: &[u8] = if dir.is_empty() { b"" } else { b"/" };
        if dir.len() + slash.len() + text.len() >= PATH_BYTES_MAX {
            continue;
        }
        for (to, from) in full.iter_mut().zip(dir.iter().chain(slash).chain(text)) {
            *to = *from;
        }
        match or_by_shell(full.as_ptr().cast(), argv, variables) {
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            libc::EACCES => errno = libc::EACCES,
            other => return other,
        }
    }
    errno
}

fn or_by_shell(path: *const c_char, argv: Texts, variables: Texts) -> c_int {
    let errno = by_path(path, argv, variables);
    if errno != libc::ENOEXEC {
        return errno;
    }
    let given = list(argv);
    let Some(mut words) = List::with_room(given.len() + 2) else { return libc::ENOMEM };
    words.push(c"/bin/sh".as_ptr());
    words.push(path);
    given.iter().skip(1).for_each(|word| words.push(*word));
    by_path(c"/bin/sh".as_ptr(), words.first(), variables)
}

#[unsafe(no_mangle)]
extern "C" fn execve(path: *const c_char, argv: Texts, variables: Texts) -> c_int {
    raw::fail(by_path(path, argv, variables))
}

#[unsafe(no_mangle)]
extern "C" fn execv(path: *const c_char, argv: Texts) -> c_int {
    raw::fail(by_path(path, argv, own_environment()))
}

#[unsafe(no_mangle)]
extern "C" fn execvp(name: *const c_char, argv: Texts) -> c_int {
    raw::fail(by_name(name, argv, own_environment()))
}

#[unsafe(no_mangle)]
extern "C" fn execvpe(name: *const c_char, argv: Texts, variables: Texts) -> c_int {
    raw::fail(by_name(name, argv, variables))
}

#[unsafe(no_mangle)]
extern "C" fn execveat(
    dir: c_int,
    path: *const c_char,
    argv: Texts,
    variables: Texts,
    flags: c_int,
) -> c_int {
    raw::fail(at(dir, path, (argv, variables), flags))
}

#[unsafe(no_mangle)]
extern "C" fn fexecve(file: c_int, argv: Texts, variables: Texts) -> c_int {
    raw::fail(at(file, c"".as_ptr(), (argv, variables), libc::AT_EMPTY_PATH))
}

pub(super) fn at(
    dir: c_int,
    path: *const c_char,
    (argv, variables): (Texts, Texts),
    flags: c_int,
) -> c_int {
    let args =
        [dir.register(), path.register(), argv.register(), variables.register(), flags.register()];
    started(libc::SYS_execveat, raw::args(args), 3, variables)
}

/// What follows the first of the arguments that were passed one by one: five in registers, the others on
/// the stack (System V ABI for x86-64).
struct Passed {
    registers: *const *const c_char,
    stack: *const *const c_char,
}

impl Passed {
    fn at(&self, index: usize) -> *const c_char {
        // SAFETY: the trampolines below stored five registers, and behind the return address lie the
        // program's other arguments; nobody reads beyond the null pointer that ends them (execl(3)), but for
        // the variables behind it of `execle`.
        unsafe { if index < 5 { *self.registers.add(index) } else { *self.stack.add(index - 5) } }
    }

    /// As a list, and what stands behind its end.
    fn list(&self) -> Option<(List, *const c_char)> {
        let length = (0..ARGUMENTS_MAX).find(|index| self.at(*index).is_null())?;
        let mut words = List::with_room(length)?;
        (0..length).for_each(|index| words.push(self.at(index)));
        // Only `execle` has anything there.
        Some((words, self.behind(length)))
    }

    fn behind(&self, end: usize) -> *const c_char {
        self.at(end + 1)
    }
}

extern "C" fn list_by_path(path: *const c_char, registers: Texts, stack: Texts) -> c_int {
    match (Passed { registers, stack }).list() {
        Some((mut words, _)) => raw::fail(by_path(path, words.first(), own_environment())),
        None => raw::fail(libc::E2BIG),
    }
}

extern "C" fn list_by_name(name: *const c_char, registers: Texts, stack: Texts) -> c_int {
    match (Passed { registers, stack }).list() {
        Some((mut words, _)) => raw::fail(by_name(name, words.first(), own_environment())),
        None => raw::fail(libc::E2BIG),
    }
}

extern "C" fn list_with_variables(path: *const c_char, registers: Texts, stack: Texts) -> c_int {
    match (Passed { registers, stack }).list() {
        Some((mut words, variables)) => raw::fail(by_path(path, words.first(), variables.cast())),
        None => raw::fail(libc::E2BIG),
    }
}

/// Functions with any number of arguments, which Rust cannot define: five registers are stored, and the
/// rest is passed on where it lies.
macro_rules! any_number {
    ($($name:ident => $target:ident;)*) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        extern "C" fn $name() {
            // Entered with the stack 8 bytes off 16; 56 more put it right, and hold the five registers.
            core::arch::naked_asm!(
                "sub rsp, 56",
                "mov [rsp], rsi",
                "mov [rsp + 8], rdx",
                "mov [rsp + 16], rcx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                "mov rsi, rsp",
                "lea rdx, [rsp + 64]",
                "call {target}",
                "add rsp, 56",
                "ret",
                target = sym $target,
            )
        }
    )*};
}

any_number! {
    execl => list_by_path;
    execlp => list_by_name;
    execle => list_with_variables;
}
