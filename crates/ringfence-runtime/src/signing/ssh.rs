//! A world's ssh agent: lists the named keys, and has each signature decided.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfence_core::{Endpoint, Outcome, Process, SecretName, SecretUse};

use super::wire::{self, Asked, Purpose};
use super::{KnownHosts, Speaks, TALKS_MAX, Talk, Verdicts, connect};

/// What it is called in the log, where it refuses what no policy could speak of.
const NAME: &str = "ssh-agent";

/// How long the person's agent may take to list its keys, in seconds: it asks nobody for that.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// The person's ssh agent, as far as a world reaches it.
pub struct SshAgent {
    /// Decides and says so.
    pub verdicts: Verdicts,
    /// The keys that may be used, by their fingerprints.
    pub keys: BTreeMap<String, SecretName>,
    /// The person's own agent.
    pub upstream: PathBuf,
    /// Which server has which key.
    pub hosts: KnownHosts,
}

impl Speaks for SshAgent {
    fn speak(&self, process: Process, talk: &Talk) -> io::Result<()> {
        Conversation::new(self, process).run(talk)
    }
}

/// One program's connection to its agent.
struct Conversation<'a> {
    agent: &'a SshAgent,
    process: Process,
    upstream: Option<UnixStream>,
    /// Connections of ssh's that a server's signature has proved to be with that server: their
    /// names, and the server's key.
    bound: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Conversation<'a> {
    fn new(agent: &'a SshAgent, process: Process) -> Conversation<'a> {
        Conversation { agent, process, upstream: None, bound: Vec::new() }
    }

    fn run(mut self, mut client: &Talk) -> io::Result<()> {
        loop {
            client.rest(&[])?;
            let Some(message) = receive(&mut client)? else { return Ok(()) };
            let answer = self.answer(&message)?;
            send(&mut client, &answer)?;
        }
    }

    fn answer(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        match wire::asked(message) {
            Asked::Identities => {
                let keys = &self.agent.keys;
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
            Asked::Change(does) => {
                Ok(self.refuse(format!("an ssh agent of a world is not changed: this {does}")))
            }
            Asked::Other => Ok(wire::FAILURE.to_vec()),
        }
    }

    /// The path of a signature: understood, decided, made, recorded.
    fn sign(&mut self, message: &[u8], (key, data): (&[u8], &[u8])) -> io::Result<Vec<u8>> {
        let fingerprint = wire::fingerprint(key);
        let Some(secret) = self.agent.keys.get(&fingerprint).cloned() else {
            let why = format!("no settings name the key {fingerprint}");
            return Ok(self.refuse(why));
        };
        let Some(purpose) = wire::purpose(data, key) else {
            let why = format!("what `{secret}` is to sign is neither a login nor a message");
            return Ok(self.refuse(why));
        };
        let used = self.use_of(secret, &purpose);
        let Some(running) = self.agent.verdicts.begin(used, self.process) else {
            return Ok(wire::FAILURE.to_vec());
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
                let endpoint = endpoint.and_then(|key| self.agent.hosts.name_of(key));
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

    /// Refuses what no policy could speak of.
    fn refuse(&self, why: String) -> Vec<u8> {
        self.agent.verdicts.refuse(NAME, why, self.process);
        wire::FAILURE.to_vec()
    }

    /// Has the person's agent answer.
    fn pass(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = match self.upstream.take() {
            Some(stream) => stream,
            None => connect(&self.agent.upstream)?,
        };
        send(&mut stream, message)?;
        let answer = receive(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.upstream = Some(stream);
        Ok(answer)
    }
}

/// The fingerprints of the keys that the person's agent has.
pub(crate) fn keys_of(upstream: &Path) -> io::Result<BTreeSet<String>> {
    let mut stream = connect(upstream)?;
    stream.set_read_timeout(Some(LIST_WAIT))?;
    send(&mut stream, wire::ASK_FOR_KEYS)?;
    let answer = receive(&mut stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    wire::fingerprints(&answer).ok_or_else(|| io::Error::other("its answer is not understood"))
}

/// The next message; `None` at the end.
fn receive(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
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

fn send(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat())
}
