//! Programs about to be started: which file, with which arguments, read by which interpreter.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use ringfence_core::FileIdentity;
use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::elf::{self, Unknown};
use super::file::named;
use super::listen::Judged;
use super::locate::{Found, Last, Opened};
use super::memory::Window;
use super::script::{self, FirstLine, HEADER_BYTES};
use super::tracee::{Call, Trouble};
use super::verify::Expected;
use super::{Attempted, ExecAttempt, Interpreter};

/// How often one interpreter may name another: more and the kernel says `ELOOP`.
const INTERPRETERS_MAX: usize = 5;

/// A file that could run.
struct Program {
    path: Vec<u8>,
    fd: OwnedFd,
    stat: Stat,
}

/// The arguments of `execve` and `execveat`.
struct Arguments {
    dir: i32,
    path: Vec<u8>,
    argv: u64,
    flags: i32,
    /// What was read with the path.
    windows: [Window; 2],
}

/// What a notified exec would run.
///
/// What cannot run is answered here with the kernel's error: `CONTINUE` would let another thread
/// put a program in its place that nobody has decided about.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let arguments = arguments(call)?;
    let cwd = call.directory(libc::AT_FDCWD)?;
    let program = if arguments.path.is_empty() {
        opened(call, &arguments)?
    } else {
        let keep = arguments.flags & libc::AT_SYMLINK_NOFOLLOW != 0;
        let last = if keep { Last::Keep } else { Last::Follow };
        find(call, &arguments.path, last, || match arguments.dir {
            libc::AT_FDCWD => Ok(cwd.clone()),
            dir => call.directory(dir),
        })?
    };
    shown(call, &program)?;
    let argv = call.arguments(&arguments.windows, arguments.argv)?;
    let mut final_argv = argv.clone();
    if final_argv.is_empty() {
        // Since Linux 5.18 an empty argument list gets one empty argument.
        final_argv.push(Vec::new());
    }
    let (identity, name) = (identity(&program.stat), named(&program.path)?);
    let interpreters = interpreters(call, program, (&arguments, &cwd), &mut final_argv)?;
    let running = interpreters.last().map_or(identity, |interpreter| interpreter.identity);
    Ok(Judged::Attempt(Attempted::Exec(ExecAttempt {
        program: name,
        identity,
        argv,
        cwd: named(&cwd)?,
        interpreters,
        expected: Expected::new(running, &final_argv),
    })))
}

fn arguments(call: &Call<'_>) -> Result<Arguments, Trouble> {
    let (dir, path, argv, flags) = if call.notification.number == libc::SYS_execve {
        (libc::AT_FDCWD, call.arg(0), call.arg(1), 0)
    } else {
        (call.int(0), call.arg(1), call.arg(2), call.int(4))
    };
    if flags & !(libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        // AT_EXECVE_CHECK (Linux 6.14) runs nothing, but older kernels do not know it either.
        return Err(Trouble::Errno(libc::EINVAL));
    }
    let windows = call.windows(path, argv);
    let path = call.path_in(&windows, path)?;
    if path.is_empty() && flags & libc::AT_EMPTY_PATH == 0 {
        return Err(Trouble::Errno(libc::ENOENT));
    }
    Ok(Arguments { dir, path, argv, flags, windows })
}

/// The file behind a descriptor; one without a name cannot be decided about by name.
fn opened(call: &Call<'_>, arguments: &Arguments) -> Result<Program, Trouble> {
    if arguments.dir == libc::AT_FDCWD {
        return Err(Trouble::Errno(libc::EACCES));
    }
    let link = format!("/proc/{}/fd/{}", call.tid(), arguments.dir);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd =
        rustix::fs::open(link, flags, Mode::empty()).map_err(|_| Trouble::Errno(libc::EBADF))?;
    match call.name_of(&fd)? {
        Some(path) => runnable(path, open_stat(fd)?),
        None => Err(nameless()),
    }
}

fn nameless() -> Trouble {
    Trouble::unresolvable("the program is a file without a path", libc::EACCES)
}

/// The file at a path, which starts in `directory` if it is relative.
fn find(
    call: &Call<'_>,
    path: &[u8],
    last: Last,
    directory: impl FnOnce() -> Result<Vec<u8>, Trouble>,
) -> Result<Program, Trouble> {
    let (place, opened) = call.locate_open(path, last, directory)?;
    match place.found {
        Found::Absent => Err(Trouble::Errno(libc::ENOENT)),
        Found::Directory => Err(Trouble::Errno(libc::EACCES)),
        Found::Symlink => Err(Trouble::Errno(libc::ELOOP)),
        Found::Nameless => Err(nameless()),
        Found::File => {
            let opened = match opened {
                Some(opened) => opened,
                None => open_stat(call.reference(&place.path)?)?,
            };
            runnable(place.path, opened)
        }
    }
}

fn open_stat(fd: OwnedFd) -> Result<Opened, Trouble> {
    let stat = rustix::fs::fstat(&fd)?;
    Ok(Opened { fd, stat })
}

fn runnable(path: Vec<u8>, Opened { fd, stat }: Opened) -> Result<Program, Trouble> {
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if regular && stat.st_mode & 0o111 != 0 {
        Ok(Program { path, fd, stat })
    } else {
        Err(Trouble::Errno(libc::EACCES))
    }
}

fn identity(stat: &Stat) -> FileIdentity {
    FileIdentity { device: stat.st_dev, inode: stat.st_ino }
}

/// A file that is hidden from the world is not run, whoever names it: the kernel runs it all the same where
/// no mount covers it, and what runs can be read.
fn shown(call: &Call<'_>, Program { path, .. }: &Program) -> Result<(), Trouble> {
    // Nothing of the kernel's bounds what a program that only asks may run.
    let unbounded = call.shared.line.is_told();
    let places = call.shared.places.as_ref();
    let asked = call.shared.asked.get();
    let hidden = asked.is_some_and(|asked| asked.hidden(path).is_some())
        || places.is_some_and(|it| it.hides(path) || unbounded && it.read(path).is_err());
    if hidden { Err(Trouble::Errno(libc::EACCES)) } else { Ok(()) }
}

/// The same of the loader that a program names for itself: the kernel maps it and enters it.
fn loader_shown(call: &Call<'_>, program: &Program, cwd: &[u8]) -> Result<(), Trouble> {
    if call.shared.places.is_none() && call.shared.asked.get().is_none() {
        // Mounts cover all that is hidden, from the kernel too.
        return Ok(());
    }
    let file = readable(&program.fd).ok_or(Trouble::Errno(libc::EACCES))?;
    let loader = elf::loader(|bytes, at| Ok(rustix::io::pread(&file, bytes, at)?));
    match loader {
        Ok(None) => Ok(()),
        Ok(Some(name)) => shown(call, &find(call, &name, Last::Follow, || Ok(cwd.to_vec()))?),
        Err(Unknown::Malformed) => Err(Trouble::Errno(libc::ENOEXEC)),
        Err(Unknown::Unread) => Err(Trouble::Errno(libc::EACCES)),
    }
}

/// Follows the first lines of scripts, changing the arguments as the kernel will.
fn interpreters(
    call: &Call<'_>,
    mut program: Program,
    (arguments, cwd): (&Arguments, &[u8]),
    argv: &mut Vec<Vec<u8>>,
) -> Result<Vec<Interpreter>, Trouble> {
    let mut found = Vec::new();
    let mut name = name_for_interpreter(arguments);
    let mut line = first_line(call, &program);
    while let Some(FirstLine { interpreter, argument }) = line {
        if found.len() == INTERPRETERS_MAX {
            return Err(Trouble::Errno(libc::ELOOP));
        }
        let next = find(call, &interpreter, Last::Follow, || Ok(cwd.to_vec()))?;
        shown(call, &next)?;
        let head = std::iter::once(interpreter.clone()).chain(argument.clone()).chain([name]);
        argv.splice(..1, head);
        name = interpreter;
        line = first_line(call, &next);
        found.push(Interpreter {
            program: named(&next.path)?,
            identity: identity(&next.stat),
            argument,
        });
        program = next;
    }
    loader_shown(call, &program, cwd)?;
    Ok(found)
}

/// What the kernel calls the script when it passes it to its interpreter (`alloc_bprm`).
fn name_for_interpreter(arguments: &Arguments) -> Vec<u8> {
    let Arguments { dir, path, .. } = arguments;
    if *dir == libc::AT_FDCWD || path.starts_with(b"/") {
        path.clone()
    } else if path.is_empty() {
        format!("/dev/fd/{dir}").into_bytes()
    } else {
        [format!("/dev/fd/{dir}/").as_bytes(), path].concat()
    }
}

/// The first line of a script; a file that cannot be read counts as none, and if it turns out to be
/// one, the check at the end of the exec finds another program running.
fn first_line(call: &Call<'_>, program: &Program) -> Option<FirstLine> {
    call.shared.first_lines.of(&program.stat, || read_first_line(&program.fd))
}

fn read_first_line(program: &OwnedFd) -> Option<FirstLine> {
    let file = readable(program)?;
    let mut header = [0; HEADER_BYTES];
    let got = rustix::io::pread(&file, &mut header, 0).ok()?;
    script::parse(header.get(..got)?)
}

/// The same file, opened to be read.
fn readable(program: &OwnedFd) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", program.as_fd().as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}
