//! Attacks on a world, each of which works outside of it: what a world holds is found out by trying.
//!
//! Whoever verifies a world sets up a [`Target`], runs every attack outside, which proves that it
//! works, and then inside.

mod exec;
mod files;
mod kernel;
mod network;

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::attempts::raw;

/// What is attacked: a directory with trees that a world may write, may read, and does not see, and
/// what of the host was set up beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The directory in which the trees are.
    pub dir: PathBuf,
    /// A text that stands in `outside/secret`, and that listeners of the host greet with.
    pub token: String,
    /// A process outside.
    pub pid: i32,
    /// TCP ports of the host's loopback, IPv4 and IPv6, and a UDP port; 0 where there is none.
    pub ports: [u16; 3],
    /// Key of a piece of System V shared memory.
    pub shared_memory: u32,
    /// Where Ringfence keeps its logs and keys.
    pub state: PathBuf,
}

/// What an attack is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Programs that the policy does not permit.
    Exec,
    /// Files that the policy does not grant.
    Files,
    /// The host's network and sockets.
    Network,
    /// The kernel, and processes outside.
    Kernel,
}

/// What can be seen of an attack's success on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing: it says itself whether it has succeeded.
    Nothing,
    /// A file that is made or changed.
    File(&'static str),
    /// A file that is still changed when the attacks are over.
    Beat(&'static str),
}

/// One attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// What it is called.
    pub name: &'static str,
    /// What it is after.
    pub group: Group,
    /// What it does, in words.
    pub what: &'static str,
    /// What can be seen of its success on the host, beneath [`Target::dir`].
    pub leaves: Leaves,
    run: fn(&Target) -> io::Result<()>,
}

impl Attack {
    const fn new(
        name: &'static str,
        what: &'static str,
        run: fn(&Target) -> io::Result<()>,
    ) -> Attack {
        Attack { name, group: Group::Files, what, leaves: Leaves::Nothing, run }
    }

    const fn leaves(self, file: &'static str) -> Attack {
        Attack { leaves: Leaves::File(file), ..self }
    }

    const fn beats(self, file: &'static str) -> Attack {
        Attack { leaves: Leaves::Beat(file), ..self }
    }

    /// Tries it; an error is how it was refused.
    pub fn attempt(&self, target: &Target) -> io::Result<()> {
        (self.run)(target)
    }
}

/// All attacks, by what they are after.
pub fn all() -> Vec<Attack> {
    let groups = [
        (Group::Exec, exec::ALL),
        (Group::Files, files::ALL),
        (Group::Network, network::ALL),
        (Group::Kernel, kernel::ALL),
    ];
    let of = |(group, attacks): (Group, &'static [Attack])| {
        attacks.iter().map(move |attack| Attack { group, ..*attack })
    };
    groups.into_iter().flat_map(of).collect()
}

/// The program that loads others, which the attack `run-loader` starts.
pub fn loader() -> Option<PathBuf> {
    exec::loader()
}

/// What another process of an attack does that needs one: `None` where there is no such part.
pub fn part(name: &str, target: &Target) -> Option<io::Result<()>> {
    match name {
        "stay-on" => Some(kernel::stay_on(target)),
        _ => None,
    }
}

impl Group {
    /// Its name in data.
    pub fn name(self) -> &'static str {
        match self {
            Group::Exec => "exec",
            Group::Files => "files",
            Group::Network => "network",
            Group::Kernel => "kernel",
        }
    }
}

impl Target {
    /// As words of a command line, for [`Target::parse`].
    pub fn words(&self) -> Vec<std::ffi::OsString> {
        let [tcp, tcp_v6, udp] = self.ports;
        let numbers = format!("{}:{tcp}:{tcp_v6}:{udp}:{}", self.pid, self.shared_memory);
        vec![
            self.dir.clone().into(),
            self.state.clone().into(),
            (&self.token).into(),
            numbers.into(),
        ]
    }

    /// The target that [`Target::words`] wrote; `None` for anything else.
    pub fn parse(words: &[std::ffi::OsString]) -> Option<Target> {
        let [dir, state, token, numbers] = words else { return None };
        let mut numbers = numbers.to_str()?.split(':');
        Some(Target {
            dir: dir.into(),
            state: state.into(),
            token: token.to_str()?.to_owned(),
            pid: numbers.next()?.parse().ok()?,
            ports: [
                numbers.next()?.parse().ok()?,
                numbers.next()?.parse().ok()?,
                numbers.next()?.parse().ok()?,
            ],
            shared_memory: numbers.next()?.parse().ok()?,
        })
    }

    /// A path beneath the directory.
    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Succeeds where the file holds the token.
    fn holds_token(&self, path: &Path) -> io::Result<()> {
        self.is_token(&std::fs::read(path)?)
    }

    fn is_token(&self, bytes: &[u8]) -> io::Result<()> {
        let is_token = bytes.windows(self.token.len()).any(|part| part == self.token.as_bytes());
        if is_token {
            Ok(())
        } else {
            Err(io::Error::other("what was found there is not the host's"))
        }
    }
}

/// A piece of System V shared memory of the host, for [`Target::shared_memory`]; gone when dropped.
#[derive(Debug)]
pub struct SharedMemory(usize);

impl SharedMemory {
    /// Makes one of a page that everybody may read.
    pub fn make(key: u32) -> io::Result<SharedMemory> {
        let key = usize::try_from(key).unwrap_or_default();
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
        let flags = usize::try_from(flags).unwrap_or_default();
        raw(libc::SYS_shmget, [key, 4096, flags, 0, 0, 0]).map(SharedMemory)
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        let remove = usize::try_from(libc::IPC_RMID).unwrap_or_default();
        let _ = raw(libc::SYS_shmctl, [self.0, remove, 0, 0, 0, 0]);
    }
}

/// Something that is not there, or not so: how an attack says that it failed without an error.
fn failed<T>(why: &str) -> io::Result<T> {
    Err(io::Error::other(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Target, all};

    #[test]
    fn a_target_is_read_as_it_was_written() {
        let target = Target {
            dir: "/a b/c".into(),
            token: "t".into(),
            pid: 7,
            ports: [1, 0, 3],
            shared_memory: 9,
            state: "/s".into(),
        };
        assert_eq!(Target::parse(&target.words()), Some(target.clone()));
        let mut words = target.words();
        words[3] = "7:1:0:70000:9".into();
        assert_eq!(Target::parse(&words), None);
        assert_eq!(Target::parse(&[]), None);
    }

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let names: HashSet<_> = all().iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), all().len());
    }
}
