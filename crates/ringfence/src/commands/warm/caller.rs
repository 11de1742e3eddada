//! `run --warm`: a session in a world that was kept ready.
//!
//! All that this process does is to hand over what it has, to pass signals on, and to end as the
//! session does. Its own end is the session's.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ringfence_runtime::pty::{self, RELAYED_SIGNALS};
use ringfence_runtime::trust::Project;
use ringfence_runtime::warm::letter::Letter;
use ringfence_runtime::warm::line::Line;
use ringfence_runtime::warm::place::{self, Kind};
use ringfence_runtime::warm::proof;
use ringfence_sandbox::signals::Signals;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::super::context;
use super::super::run::Here;
use super::{GO, LETTER, TAKEN, WORLD_GONE};
use crate::exit::{Failure, Message};

/// How long a world may take to say whether it fits: it reads some twenty small files.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// What came of asking for a world.
pub(crate) enum Asked {
    /// A session ran in it, and ended with this code.
    Served(u8),
    /// There is none that fits, for this reason; nothing was started.
    Cold(String),
}

/// Runs in a world that is kept ready, if there is one that fits.
pub(crate) fn ask(here: &Here) -> Result<Asked, Failure> {
    if let Some(stream) = pty::inherited_terminal() {
        return Ok(Asked::Cold(format!("{stream} is a terminal, and a world kept ready has none")));
    }
    // Whoever cannot be found here is not found by the usual start either, which says so.
    let Ok(project) = Project::find(&here.cwd, here.dirs.home()) else {
        return Ok(Asked::Cold("this directory has no project".to_owned()));
    };
    let waiting = place::sockets(here.dirs.runtime(), Kind::World, Some(&project.dir));
    let letter = Letter {
        words: context::words(),
        environment: here.environment.clone(),
        cwd: here.cwd.clone(),
    };
    let mut why = None;
    for socket in waiting.unwrap_or_default() {
        match ask_one(&socket, &letter) {
            Ok(Answer::Taken(line)) => return serve(&line).map(Asked::Served),
            Ok(Answer::Refused(reason)) => why = Some(reason),
            // Somebody else was sooner, or it has just ended.
            Err(_) => {}
        }
    }
    Ok(Asked::Cold(why.unwrap_or_else(|| {
        "no world is ready for this project; `ringfence warm` keeps some".to_owned()
    })))
}

/// What a world says.
enum Answer {
    Taken(Line),
    Refused(String),
}

fn ask_one(socket: &Path, letter: &Letter) -> io::Result<Answer> {
    let line = match Line::connect(socket) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // Who listened there was killed.
            let _ = std::fs::remove_file(socket);
            return Err(error);
        }
        connected => connected?,
    };
    let memory = letter.write()?;
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let [stdin, stdout, stderr] = streams;
    // Who is held tighter cannot look, and says nothing.
    let proof = proof::of_process(socket_peercred(&line)?.pid.as_raw_nonzero().get());
    let word = [LETTER, proof.unwrap_or_default().as_bytes()].concat();
    line.send(&word, &[memory.as_fd(), stdin, stdout, stderr])?;
    let heard = line.receive(Some(ANSWER_WAIT))?.ok_or(io::ErrorKind::ConnectionReset)?;
    match heard.bytes.split_first() {
        Some((&TAKEN, _)) => Ok(Answer::Taken(line)),
        Some((_, why)) => Ok(Answer::Refused(String::from_utf8_lossy(why).into_owned())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Lets the session begin, and ends with it. Until its word is given nothing has been started, and
/// from then on nothing else will be.
fn serve(line: &Line) -> Result<u8, Failure> {
    let failed =
        |error: io::Error| Message::new(format!("cannot use the world: {error}")).could_not();
    let peer = socket_peercred(line).map_err(|error| failed(error.into()))?;
    let world = pidfd_open(peer.pid, PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
    let signals = Signals::block(&RELAYED_SIGNALS).map_err(failed)?;
    line.send(&[GO], &[]).map_err(failed)?;
    loop {
        let mut fds = [PollFd::new(&signals, PollFlags::IN), PollFd::new(line, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        let [signalled, spoken] = fds.map(|fd| !fd.revents().is_empty());
        if signalled {
            pass_on(&signals, &world);
        }
        if spoken {
            return match line.receive(None).ok().flatten().map(|heard| heard.bytes) {
                Some(bytes) if bytes.len() == 2 => Ok(bytes.last().copied().unwrap_or_default()),
                Some(_) | None => Err(Message::new(WORLD_GONE)
                    .hint("to see what it did, run `ringfence show`")
                    .could_not()),
            };
        }
    }
}

/// Its broker does with them what it would do with its own.
fn pass_on(signals: &Signals, world: &OwnedFd) {
    while let Ok(Some(number)) = signals.next_pending() {
        if let Some(signal) = Signal::from_named_raw(number) {
            // Gone already is as good as told.
            let _ = pidfd_send_signal(world, signal);
        }
    }
}
