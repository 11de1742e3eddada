//! Which server has which key, as the person's own ssh believes it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_core::Endpoint;

/// Largest file of known hosts that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The port of ssh.
const SSH_PORT: u16 = 22;

/// The servers in files of known hosts (sshd(8)), as far as they are named in the clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownHosts {
    keys: Vec<(Vec<u8>, Endpoint)>,
}

impl KnownHosts {
    /// The servers of these files; what cannot be read knows nobody.
    pub fn read(files: &[&Path]) -> KnownHosts {
        let text = |file: &&Path| {
            let small = std::fs::metadata(file).is_ok_and(|meta| meta.len() <= FILE_BYTES_MAX);
            small.then(|| std::fs::read_to_string(file).ok()).flatten()
        };
        let texts: Vec<String> = files.iter().filter_map(text).collect();
        KnownHosts::parse(&texts.join("\n"))
    }

    /// The servers of a text: one in which nothing is hashed, revoked, or a pattern.
    pub(super) fn parse(text: &str) -> KnownHosts {
        let line = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let (names, _kind, key) = (words.next()?, words.next()?, words.next()?);
            let key = STANDARD.decode(key).ok()?;
            let endpoint = names.split(',').find_map(endpoint)?;
            Some((key, endpoint))
        };
        KnownHosts { keys: text.lines().filter_map(line).collect() }
    }

    /// The server that has this key; `None` where several are known to have it, or none.
    pub fn name_of(&self, key: &[u8]) -> Option<Endpoint> {
        let mut found = self.keys.iter().filter(|(known, _)| known == key).map(|(_, at)| at);
        let first = found.next()?;
        found.all(|other| other == first).then(|| first.clone())
    }
}

/// `HOST`, or `[HOST]:PORT`.
fn endpoint(name: &str) -> Option<Endpoint> {
    let plain = !name.contains(['*', '?', '|', '!', '@', '#']);
    let ported = name.strip_prefix('[').and_then(|rest| rest.rsplit_once("]:"));
    match ported {
        Some((host, port)) if plain => Endpoint::new(host, port.parse().ok()?).ok(),
        None if plain => Endpoint::new(name, SSH_PORT).ok(),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_one_server_that_has_it() {
        let hosts = KnownHosts::parse(
            "# comment\n\
             git.example,10.0.0.1 ssh-ed25519 AAAA\n\
             [other.example]:2222 ssh-ed25519 BBBB comment\n\
             |1|salt|hash ssh-ed25519 CCCC\n\
             *.wild.example ssh-ed25519 DDDD\n\
             @revoked bad.example ssh-ed25519 EEEE\n\
             one.example ssh-ed25519 FFFF\n\
             two.example ssh-ed25519 FFFF\n\
             broken\n",
        );
        let name = |key: &str| {
            let found = hosts.name_of(&STANDARD.decode(key).unwrap());
            found.map(|endpoint| endpoint.to_string())
        };
        assert_eq!(name("AAAA").as_deref(), Some("git.example:22"));
        assert_eq!(name("BBBB").as_deref(), Some("other.example:2222"));
        for unknown in ["CCCC", "DDDD", "EEEE", "FFFF", "GGGG"] {
            assert_eq!(name(unknown), None, "{unknown}");
        }
    }
}
