//! Signatures by the person's own ssh agent, for programs of a world that never hold a key.
//!
//! A world in which settings name keys finds an agent at [`SOCKET_PATH`]. It lists those keys and no
//! others, and each signature is an act, `secret.use`: what is to be signed is taken apart, so that
//! a policy can tell a login from a commit, and only with a permit the person's agent is asked.
//! Adding keys, removing and locking them, and signing what nobody understands does not pass.

mod hosts;
pub mod wire;

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_core::{
    Act, Agent, Checked, Denial, Durability, Endpoint, Event, Gate, Outcome, Permit, Process,
    Request, SecretName, SecretUse,
};

use crate::approvals::Approvals;
use crate::denials::{Denials, Timing};
use crate::ports::settled;
pub use hosts::KnownHosts;
use ringfence_sandbox::notify::write_stderr_of;
use wire::{Asked, Purpose};

/// Where, in the world, the agent is; `SSH_AUTH_SOCK` names it.
pub const SOCKET_PATH: &str = "/run/ringfence/ssh-agent";

/// Most programs that speak to it at a time; one more is turned away.
const TALKS_MAX: usize = 32;

/// How long the person's agent may take, in seconds: it may ask the person itself.
const AGENT_WAIT: Duration = Duration::from_mins(2);

/// How long it takes at most until a connection that was made is accepted, and told who made it.
const ARRIVAL_WAIT: Duration = Duration::from_secs(10);

/// What signatures of one session need.
pub struct Signing {
    /// Decides.
    pub gate: Gate,
    /// Who is behind every signature.
    pub agent: Agent,
    /// Where questions go.
    pub approvals: Arc<Approvals>,
    /// Where denials are said.
    pub denials: Arc<Denials>,
    /// The keys that may be used, by their fingerprints.
    pub keys: BTreeMap<String, SecretName>,
    /// The person's own agent.
    pub upstream: PathBuf,
    /// Which server has which key.
    pub hosts: KnownHosts,
}

/// The way of a world's programs to its agent: says who comes, in the order in which they do.
pub struct Arrivals {
    order: Mutex<SyncSender<Process>>,
}

impl Signing {
    /// Serves the world's programs on threads of its own, for as long as the session lives.
    pub fn serve(self, listener: UnixListener) -> io::Result<Arrivals> {
        let (tell, told) = sync_channel(TALKS_MAX);
        let signing = Arc::new(self);
        let work = move || accept(&signing, &listener, &told);
        std::thread::Builder::new().name("ssh-agent".to_owned()).spawn(work)?;
        Ok(Arrivals { order: Mutex::new(tell) })
    }
}

impl Arrivals {
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

fn accept(signing: &Arc<Signing>, listener: &UnixListener, told: &Receiver<Process>) {
    let talks = Arc::new(AtomicUsize::new(0));
    // The listener is the world's: it fails when the session's files are taken away.
    while let Ok((stream, _)) = listener.accept() {
        let Ok(process) = told.recv_timeout(ARRIVAL_WAIT) else { return };
        let (signing, talks) = (Arc::clone(signing), Arc::clone(&talks));
        if talks.fetch_add(1, Ordering::AcqRel) >= TALKS_MAX {
            talks.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let work = move || {
            // A program or an agent that breaks off has nothing to be told.
            let _ = Talk::new(&signing, process).run(stream);
            talks.fetch_sub(1, Ordering::AcqRel);
        };
        // A thread that cannot be made drops the connection.
        let _ = std::thread::Builder::new().name("ssh-agent-talk".to_owned()).spawn(work);
    }
}

/// One program's connection to its agent.
struct Talk<'a> {
    signing: &'a Signing,
    process: Process,
    upstream: Option<UnixStream>,
    /// Connections of ssh's that a server's signature has proved to be with that server: their
    /// names, and the server's key.
    bound: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Talk<'a> {
    fn new(signing: &'a Signing, process: Process) -> Talk<'a> {
        Talk { signing, process, upstream: None, bound: Vec::new() }
    }

    fn run(mut self, mut client: UnixStream) -> io::Result<()> {
        while let Some(message) = receive(&mut client)? {
            let answer = self.answer(&message)?;
            send(&mut client, &answer)?;
        }
        Ok(())
    }

    fn answer(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        match wire::asked(message) {
            Asked::Identities => {
                let keys = &self.signing.keys;
                let listed = |key: &[u8]| keys.contains_key(&wire::fingerprint(key));
                let answer = self.pass(message)?;
                Ok(wire::only(&answer, listed).unwrap_or_else(|| wire::FAILURE.to_vec()))
            }
            Asked::Bind { host_key, session } => {
                let answer = self.pass(message)?;
                // The person's agent has verified the server's signature.
                if wire::is_success(&answer) && self.bound.len() < TALKS_MAX {
                    self.bound.push((session.to_vec(), host_key.to_vec()));
                }
                Ok(answer)
            }
            Asked::Sign { key, data } => self.sign(message, (key, data)),
            Asked::Other => Ok(wire::FAILURE.to_vec()),
        }
    }

    /// The path of a signature: understood, decided, made, recorded.
    fn sign(&mut self, message: &[u8], (key, data): (&[u8], &[u8])) -> io::Result<Vec<u8>> {
        let fingerprint = wire::fingerprint(key);
        let Some(secret) = self.signing.keys.get(&fingerprint).cloned() else {
            return Ok(self.refuse(format!("no settings name the key {fingerprint}")));
        };
        let Some(purpose) = wire::purpose(data, key) else {
            let why = format!("what `{secret}` is to sign is neither a login nor a message");
            return Ok(self.refuse(why));
        };
        let used = self.use_of(secret, &purpose);
        let running = match self.permit(used).and_then(Permit::spend) {
            Ok(running) => running,
            Err(denial) => {
                self.say(&denial);
                return Ok(wire::FAILURE.to_vec());
            }
        };
        let answer = self.pass(message);
        let outcome = match &answer {
            Ok(answer) if answer != wire::FAILURE => Outcome::Done,
            Ok(_) => Outcome::Failed { error: "the ssh agent refuses".to_owned() },
            Err(error) => Outcome::Failed { error: error.to_string() },
        };
        // What is not on record does not leave.
        if running.finish(outcome).is_err() {
            return Ok(wire::FAILURE.to_vec());
        }
        answer
    }

    /// What a signature is, in the policy's words.
    fn use_of(&self, secret: SecretName, purpose: &Purpose<'_>) -> SecretUse {
        match purpose {
            Purpose::Login { user, session, host_key } => {
                let endpoint = host_key.or_else(|| self.server_of(session));
                let endpoint = endpoint.and_then(|key| self.signing.hosts.name_of(key));
                let (method, path) = ("ssh-login".to_owned(), (*user).to_owned());
                SecretUse { secret, endpoint, method, path }
            }
            Purpose::Message { namespace } => {
                let (method, path) = ("ssh-sign".to_owned(), (*namespace).to_owned());
                SecretUse { secret, endpoint: None::<Endpoint>, method, path }
            }
        }
    }

    fn server_of(&self, session: &[u8]) -> Option<&[u8]> {
        let mut bound = self.bound.iter();
        bound.find(|(name, _)| name == session).map(|(_, key)| key.as_slice())
    }

    fn permit(&self, used: SecretUse) -> Result<Permit, Denial> {
        let agent = self.signing.agent.clone();
        let act = Act::UseSecret(used);
        match self.signing.gate.check(Request { agent, act, process: Some(self.process) }) {
            Checked::Permit(permit) => Ok(permit),
            Checked::Deny(denial) => Err(denial),
            Checked::Ask(question) => settled(self.signing.approvals.ask(question)),
        }
    }

    fn say(&self, denial: &Denial) {
        let said = self.signing.denials.say(denial);
        if said.now == Timing::Fresh {
            write_stderr_of(self.process.pid, &said.text);
        }
    }

    /// Refuses what no policy could speak of.
    fn refuse(&self, why: String) -> Vec<u8> {
        write_stderr_of(self.process.pid, &format!("denied: sign: {why}\n"));
        let event = Event::Refused { process: self.process, syscall: "ssh-agent".to_owned(), why };
        // Refused whether or not it could be recorded; a log that fails ends the session.
        let _ = self.signing.gate.note(event, Durability::Soon);
        wire::FAILURE.to_vec()
    }

    /// Has the person's agent answer.
    fn pass(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = match self.upstream.take() {
            Some(stream) => stream,
            None => connect(&self.signing.upstream)?,
        };
        send(&mut stream, message)?;
        let answer = receive(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.upstream = Some(stream);
        Ok(answer)
    }
}

fn connect(path: &std::path::Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(AGENT_WAIT))?;
    stream.set_write_timeout(Some(AGENT_WAIT))?;
    Ok(stream)
}

/// The next message; `None` at the end.
fn receive(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > wire::MESSAGE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

fn send(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}
