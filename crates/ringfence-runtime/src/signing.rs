//! Signatures by the person's own agents, for programs of a world that never hold a key.
//!
//! A world in which settings name keys finds an ssh agent at [`SSH_SOCKET`], a gpg agent at
//! [`GPG_SOCKET`]. Each lists those keys and no others, and each signature is an act, `secret.use`:
//! what is to be signed is taken apart as far as it can be, so that a policy can tell a login from a
//! commit, and only with a permit the person's agent is asked. Adding keys, removing and locking
//! them, deciphering, and signing what nobody understands does not pass.

pub mod assuan;
mod gpg;
mod hosts;
mod ssh;
mod talks;
pub mod wire;

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_core::{
    Act, Agent, Checked, Denial, Durability, Event, Gate, Permit, Process, Request, Running,
    SecretUse,
};

use crate::approvals::Approvals;
use crate::denials::{Denials, Timing};
use crate::ports::settled;
pub(crate) use gpg::version_of;
pub use gpg::{GpgAgent, GpgKey};
pub use hosts::KnownHosts;
use ringfence_sandbox::notify::WorldStderr;
pub use ssh::SshAgent;
pub(crate) use ssh::keys_of;
pub use talks::Talk;
use talks::{TALKS_MAX, Talks};

/// Where, in the world, the ssh agent is; `SSH_AUTH_SOCK` names it.
pub const SSH_SOCKET: &str = "/run/ringfence/ssh-agent";

/// Where, in the world, gpg finds its keys and its agent; `GNUPGHOME` names it.
pub const GPG_HOME: &str = "/run/ringfence/gnupg";

/// Where, in the world, the gpg agent is.
pub const GPG_SOCKET: &str = "/run/ringfence/gnupg/S.gpg-agent";

/// How long the person's agent may take, in seconds: it may ask the person itself.
const AGENT_WAIT: Duration = Duration::from_mins(2);

/// How long it takes at most until a connection that was made is accepted, and told who made it.
const ARRIVAL_WAIT: Duration = Duration::from_secs(10);

/// Who decides about signatures of one session, and says what was denied.
#[derive(Clone)]
pub struct Verdicts {
    /// Decides.
    pub gate: Gate,
    /// Who is behind every signature.
    pub agent: Agent,
    /// Where questions go.
    pub approvals: Arc<Approvals>,
    /// Where denials are put into words.
    pub denials: Arc<Denials>,
    /// Where programs hear of them.
    pub stderr: WorldStderr,
}

/// An agent of a world: speaks with its programs, with each on a thread of its own.
pub trait Speaks: Send + Sync + 'static {
    /// Speaks with one program until that has nothing more to say.
    fn speak(&self, process: Process, talk: &Talk) -> io::Result<()>;
}

/// The way of a world's programs to one of its agents: says who comes, in the order in which they do.
pub struct Arrivals {
    at: &'static str,
    order: Mutex<SyncSender<Process>>,
}

/// Serves the world's programs at a place on threads of its own, for as long as the session lives.
pub fn serve(at: &'static str, listener: UnixListener, agent: impl Speaks) -> io::Result<Arrivals> {
    let (tell, told) = sync_channel(TALKS_MAX);
    let agent = Arc::new(agent);
    let work = move || accept(&agent, &listener, &told);
    std::thread::Builder::new().name("agent".to_owned()).spawn(work)?;
    Ok(Arrivals { at, order: Mutex::new(tell) })
}

impl Arrivals {
    /// Whether this is the way to the agent at this place.
    pub fn lead_to(&self, place: &str) -> bool {
        self.at == place
    }

    /// Makes a connection of this process's to the agent.
    pub fn admit(&self, process: Process, connect: impl FnOnce() -> io::Result<()>) {
        // One by one: they are accepted in the order in which they are made.
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if connect().is_ok() {
            // Nobody listens any more only when the session has ended.
            let _ = order.send(process);
        }
    }
}

fn accept(agent: &Arc<impl Speaks>, listener: &UnixListener, told: &Receiver<Process>) {
    let talks = Arc::new(Talks::default());
    // The listener is the world's: it fails when the session's files are taken away.
    while let Ok((stream, _)) = listener.accept() {
        let Ok(process) = told.recv_timeout(ARRIVAL_WAIT) else { return };
        let Ok(talk) = Talk::new(stream).map(Arc::new) else { continue };
        if !talks.admit(&talk) {
            continue;
        }
        let (agent, own) = (Arc::clone(agent), Arc::clone(&talk));
        let among = Arc::clone(&talks);
        let work = move || {
            // A program or an agent that breaks off has nothing to be told.
            let _ = agent.speak(process, &own);
            among.forget(&own);
        };
        if std::thread::Builder::new().name("agent-talk".to_owned()).spawn(work).is_err() {
            talks.forget(&talk);
        }
    }
}

impl Verdicts {
    /// Has a signature decided; what is denied is said to whoever wanted it.
    fn begin(&self, used: SecretUse, process: Process) -> Option<Running> {
        match self.permit(used, process).and_then(Permit::spend) {
            Ok(running) => Some(running),
            Err(denial) => {
                let said = self.denials.say(&denial);
                if said.now == Timing::Fresh {
                    self.stderr.write(process.pid, &said.text);
                }
                None
            }
        }
    }

    fn permit(&self, used: SecretUse, process: Process) -> Result<Permit, Denial> {
        let (agent, act) = (self.agent.clone(), Act::UseSecret(used));
        match self.gate.check(Request { agent, act, process: Some(process) }) {
            Checked::Permit(permit) => Ok(permit),
            Checked::Deny(denial) => Err(denial),
            Checked::Ask(question) => settled(self.approvals.ask(question)),
        }
    }

    /// Refuses what no policy could speak of.
    fn refuse(&self, protocol: &str, why: String, process: Process) {
        self.stderr.write(process.pid, &format!("denied: sign: {why}\n"));
        let event = Event::Refused { process, syscall: protocol.to_owned(), why };
        // Refused whether or not it could be recorded; a log that fails ends the session.
        let _ = self.gate.note(event, Durability::Soon);
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(AGENT_WAIT))?;
    stream.set_write_timeout(Some(AGENT_WAIT))?;
    Ok(stream)
}
