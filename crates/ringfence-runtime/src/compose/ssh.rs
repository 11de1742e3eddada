//! The ssh agent that a world finds, where settings name keys that it may have sign.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::private::listen;
use super::{ComposeError, Layout, Private, RunRequest, Use};
use crate::assemble::Assembled;
use crate::environment::Environment;
use crate::notice::Notice;
use crate::settings::Settings;
use crate::signing::{SSH_SOCKET, keys_of};

/// Where ssh looks for the keys of servers beside the home's own file, which a world does not see.
const KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";

/// The person's agent, where there is one and keys of it may be used.
pub(crate) fn upstream(settings: &Settings, environment: &Environment) -> Option<PathBuf> {
    environment.path("SSH_AUTH_SOCK").filter(|_| !settings.ssh_keys.is_empty())
}

/// The fingerprints of the keys that the world may have sign, where it has an agent for them.
pub(super) fn signers(settings: &Settings, environment: &Environment) -> Option<BTreeSet<String>> {
    upstream(settings, environment).map(|_| settings.ssh_keys.values().cloned().collect())
}

/// Where the person's ssh knows servers from.
pub(crate) fn known_hosts(home: &Path) -> [PathBuf; 2] {
    [home.join(".ssh/known_hosts"), PathBuf::from(KNOWN_HOSTS)]
}

/// Makes the socket, and shows the world which servers the person knows.
pub(super) fn offer(
    (assembled, request): (&Assembled, &RunRequest),
    home: &Path,
    (private, layout): (&Private, &mut Layout),
) -> Result<Option<UnixListener>, ComposeError> {
    if assembled.settings.ssh_keys.is_empty() {
        return Ok(None);
    }
    let Some(agent) = upstream(&assembled.settings, &request.environment) else {
        let text = "`[ssh] keys` are named, and there is no ssh agent that could use them";
        let hint = "start one and add them, by `eval $(ssh-agent)` and `ssh-add`";
        layout.notices.push(Notice::new(text.to_owned()).hint(hint));
        return Ok(None);
    };
    layout.notices.extend(missing(&assembled.settings, &agent));
    let path = private.ssh_agent();
    let listener = listen(&path)?;
    layout.bind_private(Path::new(SSH_SOCKET), &path, Use::Read);
    let known = known_hosts(home).iter().filter_map(|file| fs::read(file).ok()).collect::<Vec<_>>();
    let known = private.supply("ssh_known_hosts", &known.join(&b'\n'))?;
    layout.bind_private(Path::new(KNOWN_HOSTS), &known, Use::Read);
    Ok(Some(listener))
}

/// The named keys that the person's agent does not have now: it may be given them later.
fn missing(settings: &Settings, agent: &Path) -> Vec<Notice> {
    let held = match keys_of(agent) {
        Ok(held) => held,
        Err(error) => {
            let text =
                format!("`[ssh] keys` are named, and the ssh agent does not answer: {error}");
            return vec![Notice::new(text).hint("to see what is wrong, run `ssh-add -l`")];
        }
    };
    let missing = settings.ssh_keys.values().filter(|key| !held.contains(*key));
    let notice = |key: &String| {
        let text = format!("`[ssh] keys` names {key}, and your ssh agent has no such key");
        Notice::new(text)
            .hint("to see those that it has, run `ssh-add -l`; to add one, `ssh-add FILE`")
    };
    missing.map(notice).collect()
}
