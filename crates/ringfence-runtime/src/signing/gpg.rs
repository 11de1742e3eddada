//! A world's gpg agent: knows of the named keys, and has each signature decided.
//!
//! What of the protocol needs no key is answered here. For a signature the person's agent is asked
//! anew, on its socket for others than its owner, in words of ours: nothing that a program said
//! reaches it but a keygrip that settings name, and a digest.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringfence_core::{Outcome, Process, SecretName, SecretUse};

use super::assuan::{self, Answered, Asked, Digest, Keygrip};
use super::{Speaks, Talk, Verdicts, connect};

/// What it is called in the log, where it refuses what no policy could speak of.
const NAME: &str = "gpg-agent";

/// Most lines that a program may say on one connection; gpg says ten.
const LINES_MAX: usize = 1000;
/// Most lines that the person's agent may take for one answer.
const ANSWER_LINES_MAX: usize = 256;
/// Largest signature, in bytes: RSA with 16,384 bits has 2,100.
const SIGNATURE_BYTES_MAX: usize = 16 * 1024;
/// Most of an agent's name that the person is shown where a passphrase is asked for, in characters.
const SHOWN_MAX: usize = 64;
/// What every signature begins with.
const SIGNATURE: &[u8] = b"(7:sig-val(";
/// How long the person's agent may take to say its version, in seconds: it asks nobody for that.
const VERSION_WAIT: Duration = Duration::from_secs(10);

/// `GPG_ERR_FORBIDDEN`, `GPG_ERR_NO_SECKEY`, `GPG_ERR_NO_SCDAEMON` and `GPG_ERR_GENERAL` of libgpg-error, as from an agent.
const FORBIDDEN: u32 = 67_109_115;
const NO_SECRET_KEY: u32 = 67_108_881;
const NO_CARD_READER: u32 = 67_108_983;
const GENERAL: u32 = 67_108_865;

/// The person's gpg agent, as far as a world reaches it.
pub struct GpgAgent {
    /// Decides and says so.
    pub verdicts: Verdicts,
    /// The keys that may be used.
    pub keys: BTreeMap<Keygrip, GpgKey>,
    /// The person's own agent.
    pub upstream: PathBuf,
    /// Its version.
    pub version: String,
}

/// A key that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpgKey {
    /// What a policy calls it.
    pub secret: SecretName,
    /// What OpenPGP calls it.
    pub fingerprint: String,
}

impl Speaks for GpgAgent {
    fn speak(&self, process: Process, talk: &Talk) -> io::Result<()> {
        Conversation { agent: self, process, key: None, digest: None }.run(talk)
    }
}

/// One program's connection to its agent.
struct Conversation<'a> {
    agent: &'a GpgAgent,
    process: Process,
    /// With what it will have signed, and what.
    key: Option<Keygrip>,
    digest: Option<Digest>,
}

impl Conversation<'_> {
    fn run(mut self, talk: &Talk) -> io::Result<()> {
        let (mut heard, mut client) = (BufReader::new(talk), talk);
        client.write_all(b"OK Pleased to meet you\n")?;
        for _ in 0..LINES_MAX {
            talk.rest(heard.buffer())?;
            let line = match assuan::next_line(&mut heard) {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return client.write_all(&self.refuse(error.to_string()));
                }
                Err(error) => return Err(error),
            };
            let asked = assuan::asked(&line);
            let last = asked == Asked::Bye;
            client.write_all(&self.answer(asked))?;
            if last {
                return Ok(());
            }
        }
        client.write_all(&self.refuse(format!("more than {LINES_MAX} lines")))
    }

    fn answer(&mut self, asked: Asked) -> Vec<u8> {
        let keys = &self.agent.keys;
        match asked {
            Asked::Nothing => Vec::new(),
            Asked::Courtesy | Asked::Bye => ok(),
            Asked::Reset => {
                (self.key, self.digest) = (None, None);
                ok()
            }
            Asked::Version => [assuan::data(self.agent.version.as_bytes()), ok()].concat(),
            Asked::Untold => failed(FORBIDDEN),
            Asked::Card => failed(NO_CARD_READER),
            Asked::Have(grips) if grips.iter().any(|grip| keys.contains_key(grip)) => ok(),
            Asked::List => [assuan::data(&listed(keys.keys())), ok()].concat(),
            Asked::Info(grip) if keys.contains_key(&grip) => {
                let grip = grip.as_str();
                [format!("S KEYINFO {grip} D - - - - - - -\n").into_bytes(), ok()].concat()
            }
            Asked::Have(_) | Asked::Info(_) => failed(NO_SECRET_KEY),
            Asked::Key(grip) if keys.contains_key(&grip) => {
                self.key = Some(grip);
                ok()
            }
            Asked::Key(grip) => {
                self.key = None;
                self.refuse(format!("no settings name the key with the keygrip {}", grip.as_str()))
            }
            Asked::Hash(digest) => {
                self.digest = Some(digest);
                ok()
            }
            Asked::Sign => self.sign(),
            Asked::Other(verb) => self.refuse(format!("a gpg agent of a world knows no `{verb}`")),
        }
    }

    /// The path of a signature: decided, made, recorded.
    fn sign(&mut self) -> Vec<u8> {
        // Said once, signed once.
        let (Some(grip), Some(digest)) = (self.key.clone(), self.digest.take()) else {
            return failed(GENERAL);
        };
        let Some(key) = self.agent.keys.get(&grip) else { return failed(NO_SECRET_KEY) };
        let used = SecretUse {
            secret: key.secret.clone(),
            endpoint: None,
            method: "gpg-sign".to_owned(),
            path: format!("{}/{}", key.fingerprint, digest.name()),
        };
        let Some(running) = self.agent.verdicts.begin(used, self.process) else {
            return failed(FORBIDDEN);
        };
        let signature = self.agent.have_signed((&grip, key), &digest);
        let outcome = match &signature {
            Ok(_) => Outcome::Done,
            Err(failure) => Outcome::Failed { error: failure.to_string() },
        };
        // What is not on record does not leave.
        if running.finish(outcome).is_err() {
            return failed(FORBIDDEN);
        }
        match signature {
            Ok(signature) => [assuan::data(&signature), ok()].concat(),
            Err(Failure::Refused(number)) => failed(number),
            Err(Failure::Io(_)) => failed(GENERAL),
        }
    }

    /// Refuses what no policy could speak of.
    fn refuse(&self, why: String) -> Vec<u8> {
        self.agent.verdicts.refuse(NAME, why, self.process);
        failed(FORBIDDEN)
    }
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The person's agent says no, or the person does.
    #[error("the gpg agent refuses: error {}", .0 & 0xffff)]
    Refused(u32),
    /// It could not be asked.
    #[error("the gpg agent cannot be asked: {0}")]
    Io(#[from] io::Error),
}

impl GpgAgent {
    /// Has the person's agent sign.
    fn have_signed(
        &self,
        (grip, key): (&Keygrip, &GpgKey),
        digest: &Digest,
    ) -> Result<Vec<u8>, Failure> {
        let agent: String = self.verdicts.agent.0.chars().take(SHOWN_MAX).collect();
        let GpgKey { secret, fingerprint } = key;
        // The person's agent shows it where it needs a passphrase.
        let text = format!("Ringfence: `{agent}` signs with `{secret}`,\n{fingerprint}");
        Upstream::meet(connect(&self.upstream)?)?.sign(grip, &text, digest)
    }
}

/// The version of the person's agent, which says that it can be asked.
pub(crate) fn version_of(upstream: &Path) -> io::Result<String> {
    let stream = connect(upstream)?;
    stream.set_read_timeout(Some(VERSION_WAIT))?;
    let ask = || Upstream::meet(stream)?.ask("GETINFO version");
    let version = ask().map_err(|failure| io::Error::other(failure.to_string()))?;
    let plain = |byte: &u8| byte.is_ascii_graphic();
    let version = String::from_utf8(version).ok().filter(|text| text.as_bytes().iter().all(plain));
    version.ok_or_else(|| io::Error::other("it says no version"))
}

/// A connection to the person's agent.
struct Upstream {
    stream: BufReader<UnixStream>,
}

impl Upstream {
    fn meet(stream: UnixStream) -> Result<Upstream, Failure> {
        let mut upstream = Upstream { stream: BufReader::new(stream) };
        upstream.answer()?;
        Ok(upstream)
    }

    fn sign(&mut self, grip: &Keygrip, text: &str, digest: &Digest) -> Result<Vec<u8>, Failure> {
        self.ask(&format!("SIGKEY {}", grip.as_str()))?;
        self.ask(&format!("SETKEYDESC {}", assuan::word(text)))?;
        self.ask(&digest.command())?;
        let signature = self.ask("PKSIGN")?;
        if !signature.starts_with(SIGNATURE) {
            return Err(io::Error::other("its answer is no signature").into());
        }
        Ok(signature)
    }

    fn ask(&mut self, line: &str) -> Result<Vec<u8>, Failure> {
        self.say(line)?;
        self.answer()
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes())
    }

    /// All data up to its OK.
    fn answer(&mut self) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        for _ in 0..ANSWER_LINES_MAX {
            let line = assuan::next_line(&mut self.stream)?;
            let line = line.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
            match assuan::answered(&line) {
                Some(Answered::Done) => return Ok(all),
                Some(Answered::Failed(number)) => return Err(Failure::Refused(number)),
                Some(Answered::Data(bytes)) => all.extend(bytes),
                Some(Answered::Status) => {}
                // Nothing was promised that it could ask for.
                Some(Answered::Inquiry) => self.say("CAN")?,
                None => return Err(io::Error::other("its answer is not understood").into()),
            }
            if all.len() > SIGNATURE_BYTES_MAX {
                return Err(io::Error::other("its answer is too long").into());
            }
        }
        Err(io::Error::other("its answer does not end").into())
    }
}

fn ok() -> Vec<u8> {
    b"OK\n".to_vec()
}

fn failed(number: u32) -> Vec<u8> {
    let text = match number {
        FORBIDDEN => "Forbidden",
        NO_SECRET_KEY => "No secret key",
        NO_CARD_READER => "No SmartCard daemon",
        _ => "Failed",
    };
    format!("ERR {number} {text} <GPG Agent>\n").into_bytes()
}

/// Keygrips as they are listed: twenty bytes each.
fn listed<'a>(grips: impl Iterator<Item = &'a Keygrip>) -> Vec<u8> {
    grips.flat_map(Keygrip::bytes).collect()
}

#[cfg(test)]
#[path = "gpg_tests.rs"]
mod tests;
