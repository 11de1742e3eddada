//! The payload's process: gives up everything but its program, then becomes it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Access as Check, FileType, Mode};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::channel::{Channel, Topic};
use super::failure::{During as _, Failure, Need};
use super::{ResourceLimits, WorldSpec, ceiling, identity};
use crate::seccomp::{self, Walls};
use crate::sys::namespaces::{Namespaces, enter_new};
use crate::sys::process::{close_on_exec_from, default_signals, empty_bounding_set, move_to};
use crate::sys::seccomp::{Listening, install};

/// What a missing program exits with, as `env(1)` does.
const NOT_FOUND: i32 = 127;
/// What a program that cannot be run exits with.
const NOT_RUNNABLE: i32 = 126;
/// Our own failure; the broker is told which.
const OURS: i32 = 125;
/// Where a program without a slash is looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What has been made ready for the payload.
pub(super) struct Parts {
    pub(super) slave: Option<OwnedFd>,
    pub(super) umask: Mode,
}

/// The code of the payload's process: comes back only if its program could not be started.
pub(super) fn run(spec: &WorldSpec, control: &Channel, init: &Channel, parts: Parts) -> i32 {
    started(spec, control, give_up(spec, control, init, parts))
}

/// Becomes the program, if there is one; the result is the exit code of what did not start.
pub(super) fn started(
    spec: &WorldSpec,
    control: &Channel,
    given_up: Result<io::Result<PathBuf>, Failure>,
) -> i32 {
    match given_up {
        Ok(program) => {
            let error = program.map_or_else(|error| error, |program| exec(spec, &program));
            not_started(control, &error)
        }
        Err(failure) => {
            let _ = control.send(Topic::Failed, &failure.encode());
            OURS
        }
    }
}

fn not_started(control: &Channel, error: &io::Error) -> i32 {
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    let _ = control.send(Topic::NotStarted, &errno.to_le_bytes());
    if errno == libc::ENOENT { NOT_FOUND } else { NOT_RUNNABLE }
}

/// One after the other, what an agent must not have; returns the program to become, if there is one.
fn give_up(
    spec: &WorldSpec,
    control: &Channel,
    init: &Channel,
    parts: Parts,
) -> Result<io::Result<PathBuf>, Failure> {
    let ceiling = inner_namespaces(spec, init)?;
    let program = enter(spec, parts)?;
    capabilities()?;
    ceiling::enforce(&ceiling)?;
    limits(spec.limits)?;
    filter(spec, control, &ceiling)?;
    Ok(program)
}

/// The inner user namespace, in which the mounts of the world are locked; returns the ceiling.
fn inner_namespaces(spec: &WorldSpec, init: &Channel) -> Result<OwnedFd, Failure> {
    // Asked first: until it is mapped, the user has no number in the new namespace.
    let own_user = spec.identity.is_caller();
    enter_new(Namespaces::NEWUSER | Namespaces::NEWNS)
        .during(Need::UserNamespace, "unshare the payload's user namespace")?;
    if own_user {
        identity::map_one("self", spec.identity)?;
    }
    // Only init, which is root then, may map another user than its own.
    init.send(Topic::Done, &[]).during(Need::Payload, "reach the world's first process")?;
    let answer = init.receive().during(Need::Payload, "wait for the world's first process")?;
    let ceiling = answer.and_then(|answer| answer.fds.into_iter().next()).ok_or_else(|| {
        let step = "wait for the world's ceiling".to_owned();
        Failure { need: Need::Landlock, errno: libc::EPIPE, step }
    })?;
    let (uid, gid) = (Uid::from_raw(spec.identity.uid), Gid::from_raw(spec.identity.gid));
    if !rustix::process::getgroups().during(Need::Payload, "ask for groups")?.is_empty() {
        match rustix::thread::set_thread_groups(&[]) {
            // An ordinary user's namespace may not drop them; they are not mapped in it either.
            Err(rustix::io::Errno::PERM) => {}
            result => result.during(Need::Payload, "drop groups")?,
        }
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
        .during(Need::Payload, "become the payload's user")?;
    Ok(ceiling)
}

/// Begins as its program is to: with its umask, in its directory, in a session of its own, with nothing open
/// but its streams; finds the program, if there is one.
pub(super) fn enter(spec: &WorldSpec, parts: Parts) -> Result<io::Result<PathBuf>, Failure> {
    rustix::process::umask(parts.umask);
    rustix::process::chdir(&spec.cwd)
        .during(Need::Payload, format!("enter the working directory `{}`", spec.cwd.display()))?;
    session(parts.slave)?;
    default_signals();
    close_on_exec_from(3).during(Need::Payload, "close descriptors")?;
    Ok(find_program(spec))
}

/// A session of its own, with the terminal if there is one.
fn session(slave: Option<OwnedFd>) -> Result<(), Failure> {
    rustix::process::setsid().during(Need::Payload, "start a session")?;
    let Some(slave) = slave else { return Ok(()) };
    rustix::process::ioctl_tiocsctty(&slave).during(Need::Terminal, "take the terminal")?;
    for standard in 0..3 {
        move_to(&slave, standard).during(Need::Terminal, "connect the terminal")?;
    }
    Ok(())
}

/// No capability, now or by any exec.
fn capabilities() -> Result<(), Failure> {
    empty_bounding_set().during(Need::Payload, "empty the capability bounding set")?;
    drop_capabilities()
}

/// None of those it has, and none by a program that would give some.
pub(super) fn drop_capabilities() -> Result<(), Failure> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::clear_ambient_capability_set()
        .and_then(|()| rustix::thread::set_capabilities(None, sets))
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .during(Need::Payload, "drop capabilities")
}

/// No core dumps, and what the settings limit. In the inner user namespace, in which the kernel
/// counts the processes of this world alone.
pub(super) fn limits(limits: ResourceLimits) -> Result<(), Failure> {
    // One byte and not none: with none the kernel still runs a program of the host's that
    // `core_pattern` pipes to, core(5).
    lower(Resource::Core, 1).during(Need::Payload, "forbid core dumps")?;
    let wanted = [
        (Resource::Nofile, limits.open_files, "limit open files"),
        (Resource::Nproc, limits.processes, "limit processes"),
        (Resource::Fsize, limits.file_bytes, "limit the size of files"),
    ];
    for (resource, most, step) in wanted {
        if let Some(most) = most {
            lower(resource, most).during(Need::Payload, step)?;
        }
    }
    Ok(())
}

/// Limits to `most`, and where the limit is lower already, to that.
fn lower(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let now = rustix::process::getrlimit(resource);
    let least = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
    let limit = Rlimit { current: least(now.current), maximum: least(now.maximum) };
    rustix::process::setrlimit(resource, limit)
}

/// The system-call filter; its listener goes to the broker, with the rules of the ceiling.
fn filter(spec: &WorldSpec, control: &Channel, rules: &OwnedFd) -> Result<(), Failure> {
    let listening =
        if spec.notify == super::NotifyClasses::NONE { Listening::No } else { Listening::Yes };
    let listener = install(&seccomp::filter(spec.seccomp, spec.notify, Walls::Mounts), listening)
        .during(Need::Seccomp, "install the filter")?;
    let fds: Vec<_> = listener.iter().chain([rules]).map(|fd| fd.as_fd()).collect();
    control
        .send_with(Topic::PayloadReady, &[], &fds)
        .during(Need::Payload, "hand out the filter's listener")
}

/// Where the first word leads; the search follows `env(1)`.
fn find_program(spec: &WorldSpec) -> io::Result<PathBuf> {
    let missing = || io::Error::from_raw_os_error(libc::ENOENT);
    let name = spec.argv.first().ok_or_else(missing)?;
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = spec.env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone());
    let path = path.unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    let mut found = missing();
    for dir in path.as_bytes().split(|byte| *byte == b':') {
        let dir = if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) };
        let candidate = dir.join(name);
        match runnable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => found = error,
            Err(_) => {}
        }
    }
    Err(found)
}

fn runnable(program: &Path) -> io::Result<()> {
    let mode = rustix::fs::stat(program)?.st_mode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return Err(io::Error::from_raw_os_error(libc::EACCES));
    }
    Ok(rustix::fs::access(program, Check::EXEC_OK)?)
}

/// Becomes the program; only comes back with an error.
fn exec(spec: &WorldSpec, program: &Path) -> io::Error {
    let Some((name, args)) = spec.argv.split_first() else {
        return io::Error::from_raw_os_error(libc::ENOENT);
    };
    let env = spec.env.iter().map(|(key, value)| (key, value));
    Command::new(program).arg0(name).args(args).env_clear().envs(env).exec()
}
