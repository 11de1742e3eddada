//! Programs that are started in a process of their own: libc would do that inside itself, so it is done
//! here, by a child that asks for itself.

use std::mem::MaybeUninit;
use std::ptr;

use libc::{
    c_char, c_int, c_short, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t, sched_param,
    sigset_t,
};

use super::exec;
use super::open::open_at;
use crate::raw::{self, Register as _};

/// How many bytes a set of signals has for the kernel.
const SIGNALS_BYTES: usize = 8;
/// The highest signal number.
const SIGNAL_MAX: c_int = 64;
/// `POSIX_SPAWN_SETSID`, of glibc since 2.26.
const SETSID: c_int = 0x80;

type Texts = *const *const c_char;

/// How the program is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    ByPath,
    ByName,
}

/// A program, its arguments and its variables.
#[derive(Clone, Copy)]
pub(super) struct Program {
    pub(super) found: Found,
    pub(super) path: *const c_char,
    pub(super) argv: Texts,
    pub(super) variables: Texts,
}

/// What is to be done in the child.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Close(c_int),
    Move(c_int, c_int),
    Open(c_int, *const c_char, c_int, u32),
    Enter(*const c_char),
    EnterFile(c_int),
    CloseFrom(c_int),
    TakeTerminal(c_int),
    /// Not known here: nothing is started.
    Unknown,
}

/// A step as glibc keeps it (`posix/spawn_int.h`, the same since 2.29): a kind, and behind it a union.
#[repr(C)]
#[derive(Clone, Copy)]
struct Kept {
    kind: c_int,
    gap: c_int,
    word: u64,
    path: *const c_char,
    flags: c_int,
    mode: u32,
}

/// All of them (`posix_spawn_file_actions_t`).
#[repr(C)]
struct AllKept {
    room: c_int,
    used: c_int,
    first: *const Kept,
}

impl Kept {
    fn step(&self) -> Step {
        let [first, second] = [self.word & 0xffff_ffff, self.word >> 32].map(|half| {
            // Both halves are ints.
            u32::try_from(half).unwrap_or(u32::MAX).cast_signed()
        });
        let path = usize::try_from(self.word).unwrap_or(0);
        match self.kind {
            0 => Step::Close(first),
            1 => Step::Move(first, second),
            2 => Step::Open(first, self.path, self.flags, self.mode),
            3 => Step::Enter(ptr::with_exposed_provenance(path)),
            4 => Step::EnterFile(first),
            5 => Step::CloseFrom(first),
            6 => Step::TakeTerminal(first),
            _ => Step::Unknown,
        }
    }
}

fn kept<'a>(actions: *const posix_spawn_file_actions_t) -> &'a [Kept] {
    // SAFETY: a program passes a null pointer, or what posix_spawn_file_actions_init(3) has made, which
    // begins like this, and whose steps are as many as it says.
    unsafe {
        let Some(all) = actions.cast::<AllKept>().as_ref() else { return &[] };
        match usize::try_from(all.used) {
            Ok(used @ 1..) if !all.first.is_null() => std::slice::from_raw_parts(all.first, used),
            Ok(_) | Err(_) => &[],
        }
    }
}

/// What the program wants of the child besides; read in the parent, for libc's functions are for there.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    flags: c_int,
    group: pid_t,
    default: u64,
    mask: u64,
    policy: c_int,
    parameter: sched_param,
}

impl Wanted {
    /// Nothing but a child.
    pub(super) fn nothing() -> Wanted {
        let parameter = sched_param { sched_priority: 0 };
        Wanted { flags: 0, group: 0, default: 0, mask: 0, policy: 0, parameter }
    }

    fn of(attributes: *const posix_spawnattr_t) -> Wanted {
        let mut wanted = Wanted::nothing();
        if attributes.is_null() {
            return wanted;
        }
        let mut flags: c_short = 0;
        // SAFETY: all-zero is a value of a set of signals; each function writes the value that its last
        // argument names, and reads what the program passed as its attributes.
        unsafe {
            let mut sets: [sigset_t; 2] = MaybeUninit::zeroed().assume_init();
            libc::posix_spawnattr_getflags(attributes, &raw mut flags);
            libc::posix_spawnattr_getpgroup(attributes, &raw mut wanted.group);
            libc::posix_spawnattr_getsigdefault(attributes, &raw mut sets[0]);
            libc::posix_spawnattr_getsigmask(attributes, &raw mut sets[1]);
            libc::posix_spawnattr_getschedpolicy(attributes, &raw mut wanted.policy);
            libc::posix_spawnattr_getschedparam(attributes, &raw mut wanted.parameter);
            // The kernel's 64 signals are the first eight bytes.
            wanted.default = (&raw const sets[0]).cast::<u64>().read();
            wanted.mask = (&raw const sets[1]).cast::<u64>().read();
        }
        wanted.flags = c_int::from(flags);
        wanted
    }

    fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }
}

/// Starts a program in a child; the error number of what failed first.
pub(super) fn spawn(
    program: Program,
    steps: impl Iterator<Item = Step>,
    wanted: Wanted,
) -> Result<pid_t, c_int> {
    let mut ends = [0; 2];
    let args = [ends.as_mut_ptr().register(), libc::O_CLOEXEC.register()];
    raw::number(libc::SYS_pipe2, raw::args(args))?;
    let [told, tell] = ends;
    // No handler of the program's may run in the child.
    let before = mask(u64::MAX);
    let child = raw::number(libc::SYS_fork, [0; 6]);
    if child == Ok(0) {
        raw::close(told);
        let errno = run(program, steps, (wanted, before), tell);
        let args = [tell.register(), (&raw const errno).register(), size_of::<c_int>().register()];
        // Who is not told sees the end.
        let _ = raw::number(libc::SYS_write, raw::args(args));
        raw::call(libc::SYS_exit_group, raw::args([127]));
    }
    mask(before);
    raw::close(tell);
    let heard = child.and_then(|child| match hear(told) {
        None => Ok(child),
        Some(errno) => {
            reap(child);
            Err(errno)
        }
    });
    raw::close(told);
    heard
}

/// Sets the mask of signals and returns the one before.
fn mask(set: u64) -> u64 {
    let mut before = 0_u64;
    let (how, sets) = (libc::SIG_SETMASK.register(), (&raw const set).register());
    let args = [how, sets, (&raw mut before).register(), SIGNALS_BYTES.register()];
    // The kernel leaves out what cannot be blocked, and has no other reason to refuse.
    let _ = raw::number(libc::SYS_rt_sigprocmask, raw::args(args));
    before
}

/// The error number that the child tells; none where it has become its program.
fn hear(told: c_int) -> Option<c_int> {
    let mut errno: c_int = 0;
    let args = [told.register(), (&raw mut errno).register(), size_of::<c_int>().register()];
    loop {
        match raw::number(libc::SYS_read, raw::args(args)) {
            Ok(4) => return Some(errno),
            Err(libc::EINTR) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

fn reap(child: pid_t) {
    let args = raw::args([child.register(), 0, 0, 0]);
    while raw::number(libc::SYS_wait4, args) == Err(libc::EINTR) {}
}

/// The child's code; comes back with an error number only.
fn run(
    program: Program,
    steps: impl Iterator<Item = Step>,
    (wanted, before): (Wanted, u64),
    mut tell: c_int,
) -> c_int {
    if let Err(errno) = become_wanted(&wanted) {
        return errno;
    }
    for step in steps {
        if let Err(errno) = take(step, &mut tell) {
            return errno;
        }
    }
    mask(if wanted.has(libc::POSIX_SPAWN_SETSIGMASK) { wanted.mask } else { before });
    match program.found {
        Found::ByPath => exec::by_path(program.path, program.argv, program.variables),
        Found::ByName => exec::by_name(program.path, program.argv, program.variables),
    }
}

fn become_wanted(wanted: &Wanted) -> Result<(), c_int> {
    if wanted.has(libc::POSIX_SPAWN_SETSIGDEF) {
        // A `struct sigaction` of the kernel's, with the default in it.
        let default = [0_u64; 4];
        for signal in (1..=SIGNAL_MAX).filter(|it| wanted.default >> (it - 1) & 1 == 1) {
            let args =
                [signal.register(), default.as_ptr().register(), 0, SIGNALS_BYTES.register()];
            raw::number(libc::SYS_rt_sigaction, raw::args(args))?;
        }
    }
    let parameter = (&raw const wanted.parameter).register();
    if wanted.has(libc::POSIX_SPAWN_SETSCHEDULER) {
        let args = raw::args([0, wanted.policy.register(), parameter]);
        raw::number(libc::SYS_sched_setscheduler, args)?;
    } else if wanted.has(libc::POSIX_SPAWN_SETSCHEDPARAM) {
        raw::number(libc::SYS_sched_setparam, raw::args([0, parameter]))?;
    }
    if wanted.has(SETSID) {
        raw::number(libc::SYS_setsid, [0; 6])?;
    }
    if wanted.has(libc::POSIX_SPAWN_SETPGROUP) {
        raw::number(libc::SYS_setpgid, raw::args([0, wanted.group.register()]))?;
    }
    Ok(())
}

fn take(step: Step, tell: &mut c_int) -> Result<c_int, c_int> {
    let number = |call, args: [u64; 3]| raw::number(call, raw::args(args));
    match step {
        // Who tells of errors is not the program's to close, and is closed by the exec.
        Step::Close(file) if file == *tell => Ok(0),
        Step::Close(file) => Ok(number(libc::SYS_close, [file.register(), 0, 0]).unwrap_or(0)),
        Step::Move(from, to) => {
            out_of_the_way(tell, to)?;
            if from == to {
                return number(libc::SYS_fcntl, [from.register(), libc::F_SETFD.register(), 0]);
            }
            number(libc::SYS_dup2, [from.register(), to.register(), 0])
        }
        Step::Open(to, path, flags, mode) => {
            out_of_the_way(tell, to)?;
            let file = open_at(libc::AT_FDCWD, path, flags, mode);
            if file < 0 {
                // SAFETY: libc gives the address of the calling thread's own `errno`.
                return Err(unsafe { *libc::__errno_location() });
            }
            if file == to {
                return Ok(to);
            }
            let flags = (flags & libc::O_CLOEXEC).register();
            let moved = number(libc::SYS_dup3, [file.register(), to.register(), flags]);
            raw::close(file);
            moved
        }
        Step::Enter(path) => number(libc::SYS_chdir, [path.register(), 0, 0]),
        Step::EnterFile(file) => number(libc::SYS_fchdir, [file.register(), 0, 0]),
        Step::CloseFrom(first) => {
            // Closed by the exec, so that there is somebody to tell until then.
            let flags = 1_u32 << 2;
            number(libc::SYS_close_range, [first.register(), u64::from(u32::MAX), flags.register()])
        }
        Step::TakeTerminal(file) => {
            let group = number(libc::SYS_getpgid, [0; 3])?;
            let args = [file.register(), libc::TIOCSPGRP, (&raw const group).register()];
            number(libc::SYS_ioctl, args)
        }
        Step::Unknown => Err(libc::EINVAL),
    }
}

/// Moves the end that tells of errors, where the program wants its number.
fn out_of_the_way(tell: &mut c_int, wanted: c_int) -> Result<(), c_int> {
    if *tell == wanted {
        let args = [tell.register(), libc::F_DUPFD_CLOEXEC.register(), 3];
        *tell = raw::number(libc::SYS_fcntl, raw::args(args))?;
    }
    Ok(())
}

fn posix(
    pid: *mut pid_t,
    program: Program,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
) -> c_int {
    match spawn(program, kept(actions).iter().map(Kept::step), Wanted::of(attributes)) {
        Ok(child) => {
            if !pid.is_null() {
                // SAFETY: the program passed it to be written to.
                unsafe { *pid = child };
            }
            0
        }
        Err(errno) => errno,
    }
}

#[unsafe(no_mangle)]
extern "C" fn posix_spawn(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    argv: Texts,
    variables: Texts,
) -> c_int {
    let program = Program { found: Found::ByPath, path, argv, variables };
    posix(pid, program, actions, attributes)
}

#[unsafe(no_mangle)]
extern "C" fn posix_spawnp(
    pid: *mut pid_t,
    path: *const c_char,
    actions: *const posix_spawn_file_actions_t,
    attributes: *const posix_spawnattr_t,
    argv: Texts,
    variables: Texts,
) -> c_int {
    let program = Program { found: Found::ByName, path, argv, variables };
    posix(pid, program, actions, attributes)
}
