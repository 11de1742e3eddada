//! The payload's process: gives up what can be given up without the kernel's walls, asks, and becomes its
//! program.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Access as Check;
use rustix::process::Signal;

use super::super::channel::{Channel, Topic};
use super::super::failure::{During as _, Failure, Need};
use super::super::on_the_host::payload::{become_user, limit};
use super::super::payload::{Parts, enter, started};
use super::super::{Hooks, WorldSpec};
use crate::notify::told;
use crate::notify::told::wire::{Question, Word};
use crate::seccomp::{self, Walls};
use crate::sys::notify::Reply;
use crate::sys::seccomp::{Listening, install};

/// The code of the payload's process: comes back only if its program could not be started.
pub(super) fn run(
    spec: &WorldSpec,
    control: &Channel,
    parts: Parts,
    tracer: Option<&Channel>,
) -> i32 {
    started(spec, control, give_up(spec, control, parts, tracer))
}

/// One after the other, what an agent must not have; returns the program to become, if there is one that
/// was permitted.
fn give_up(
    spec: &WorldSpec,
    control: &Channel,
    parts: Parts,
    tracer: Option<&Channel>,
) -> Result<io::Result<PathBuf>, Failure> {
    become_user(spec)?;
    // Forgotten when the user changes, so not before. The supervisor is what ends a world.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .during(Need::Payload, "end with the supervisor")?;
    let program = enter(spec, parts)?;
    limit(spec)?;
    let missing = || Failure { need: Need::Payload, errno: libc::ENOENT, step: "ask".to_owned() };
    let hooks = spec.hooks.as_ref().ok_or_else(missing)?;
    let ready = || {
        let sent = control.send(Topic::PayloadReady, &[]);
        sent.during(Need::Payload, "say that the payload is ready")
    };
    if let Some(tracer) = tracer {
        be_traced(spec, tracer)?;
        ready()?;
        // It stops at its exec, and is asked about there.
        return Ok(program);
    }
    let library = hooks.library.as_ref().ok_or_else(missing)?;
    rustix::fs::access(library, Check::READ_OK).during(
        Need::Payload,
        format!("read the library `{}` as the payload's user", library.display()),
    )?;
    ready()?;
    Ok(program.and_then(|program| ask(spec, hooks, &program).map(|()| program)))
}

/// Waits until it is traced, and then has its calls stop for the tracer.
fn be_traced(spec: &WorldSpec, tracer: &Channel) -> Result<(), Failure> {
    let step = "be traced";
    tracer.send(Topic::Done, &[]).during(Need::Payload, step)?;
    let seized = tracer.receive().during(Need::Payload, step)?;
    if seized.is_none_or(|message| message.topic != Topic::Done) {
        let (need, step) = (Need::Payload, "be traced: the kernel does not let it".to_owned());
        return Err(Failure { need, errno: libc::EPERM, step });
    }
    install(&seccomp::filter(spec.seccomp, spec.notify, Walls::Tracer), Listening::No)
        .map(drop)
        .during(Need::Seccomp, "install the filter")
}

/// Asks for the start of the program, as every program does that has the library.
fn ask(spec: &WorldSpec, hooks: &Hooks, program: &Path) -> io::Result<()> {
    let invalid = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let path = CString::new(program.as_os_str().as_bytes()).map_err(invalid)?;
    let words = spec.argv.iter().map(|word| CString::new(word.as_bytes()));
    let words: Vec<CString> = words.collect::<Result<_, _>>().map_err(invalid)?;
    let address = |text: &CString| text.as_ptr().expose_provenance() as u64;
    let argv: Vec<u64> = words.iter().map(address).chain([0]).collect();
    let tid = rustix::thread::gettid().as_raw_nonzero().get();
    let args = [address(&path), argv.as_ptr().expose_provenance() as u64, 0, 0, 0, 0];
    let question = Question { tid, number: libc::SYS_execve, args };
    match told::answer(&told::put(&hooks.line, &question)?) {
        Some(Word::Reply(Reply::Continue)) => Ok(()),
        Some(Word::Reply(Reply::Fail(errno))) => Err(io::Error::from_raw_os_error(errno)),
        Some(Word::Reply(Reply::Success) | Word::File) | None => {
            Err(io::Error::from_raw_os_error(libc::EACCES))
        }
    }
}
