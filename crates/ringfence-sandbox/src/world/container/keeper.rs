//! The process that has a container made, and takes it away when the world in it has ended.
//!
//! It stays on the host, for only there can the engine be asked. Whoever enters the container cannot
//! come back.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::{Pid, WaitOptions};

use super::super::channel::Topic;
use super::super::failure::{During as _, Failure, Need};
use super::super::helper::{Lines, Told, first_to_go, told};
use super::super::{WorldError, WorldSpec, identity, wire};
use super::{Container, engine, enter, pause};
use crate::sys::process::{close_all_but, fork};

/// How long a runtime may take from making the process to starting our program in it.
const START_SECONDS_MAX: u64 = 10;

/// The code of the keeper's process; its result is the exit code.
pub(in crate::world) fn run(lines: Lines) -> i32 {
    if close_all_but(&lines.kept()).is_err() {
        return 1;
    }
    // Out of the terminal's reach: its signals are for the payload.
    let _ = rustix::process::setsid();
    if identity::dumpable(identity::Dumpable::No).is_err() {
        return 1;
    }
    let umask = rustix::process::umask(Mode::from_raw_mode(0o022));
    let made = match make(&lines) {
        // The broker has thought better of it.
        Ok(None) => return 0,
        Ok(Some(made)) => made,
        Err(failure) => {
            // The broker is told, or gone.
            let _ = lines.control.send(Topic::Failed, &failure.encode());
            return 1;
        }
    };
    let Made { container, id, pid, spec, told } = made;
    // The lines go with it: they must close when those inside are gone.
    let within = fork(move || enter::run(lines, umask, enter::Within { pid, spec, told }));
    if let Ok(within) = within {
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitpid(Some(within), WaitOptions::empty())
        {}
    }
    engine::remove(container.engine, &id);
    i32::from(within.is_err())
}

/// A container that waits for its world.
struct Made {
    container: Container,
    id: String,
    pid: Pid,
    spec: WorldSpec,
    told: Told,
}

/// Hears which world it is to be, and has its container made.
fn make(lines: &Lines) -> Result<Option<Made>, Failure> {
    first_to_go();
    let Some(told) = told(&lines.grants)? else { return Ok(None) };
    let spec = wire::receive(&told.memory).during(Need::Mounts, "hear which world to build")?;
    let missing = || Failure {
        need: Need::Mounts,
        errno: libc::EINVAL,
        step: "hear which container to make".to_owned(),
    };
    let container = spec.container.clone().ok_or_else(missing)?;
    let program = spec.scratch.join("pause");
    write_program(&program).during(Need::Mounts, "write the program that holds the container")?;
    let made = engine::make(&container, &program).map_err(|error| of_engine(&container, &error));
    let found = made.and_then(|(id, pid)| match wait_for(&program, pid) {
        Ok(pid) => Ok((id, pid)),
        Err(failure) => {
            engine::remove(container.engine, &id);
            Err(failure)
        }
    });
    // Whoever runs it has it.
    let _ = fs::remove_file(&program);
    let (id, pid) = found?;
    Ok(Some(Made { container, id, pid, spec, told }))
}

/// An engine's own words, on their way to the broker.
fn of_engine(container: &Container, error: &WorldError) -> Failure {
    let said =
        if let WorldError::Engine { said, .. } = error { said.clone() } else { error.to_string() };
    Failure { need: Need::Engine, errno: 0, step: format!("{}\n{said}", container.engine) }
}

/// Waits until this process runs our program. A number that an engine on another machine has said
/// is somebody else's here.
fn wait_for(program: &Path, pid: i32) -> Result<Pid, Failure> {
    let step = "find the container's process on this machine";
    let ours = fs::metadata(program).during(Need::Container, step)?;
    let end = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
    loop {
        let runs = fs::metadata(format!("/proc/{pid}/exe"));
        if runs.is_ok_and(|runs| (runs.dev(), runs.ino()) == (ours.dev(), ours.ino())) {
            return Pid::from_raw(pid)
                .ok_or(io::ErrorKind::NotFound)
                .map_err(io::Error::from)
                .during(Need::Container, step);
        }
        if Instant::now() > end {
            let step = step.to_owned();
            return Err(Failure { need: Need::Container, errno: libc::ESRCH, step });
        }
        sleep(Duration::from_millis(2));
    }
}

fn write_program(path: &Path) -> std::io::Result<()> {
    fs::write(path, pause::program())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
