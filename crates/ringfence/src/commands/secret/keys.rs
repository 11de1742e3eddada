//! Keys of the person's ssh and gpg agents that the settings name: secrets too, that no store keeps.

use ringfence_core::SecretName;
use ringfence_runtime::settings::Settings;

use super::super::in_force;
use crate::exit::{Failure, Message};
use crate::screen::Screen;

/// Says which there are, beside the list of what is kept.
pub(crate) fn note_all(screen: &Screen) -> Result<(), Failure> {
    let settings = in_force::settings_here(screen)?;
    for (what, names) in [("ssh", &settings.ssh_keys), ("gpg", &settings.gpg_keys)] {
        if !names.is_empty() {
            let names: Vec<&str> = names.keys().map(String::as_str).collect();
            screen.note(&format!(
                "besides, by `[{what}] keys` of the settings, keys that sign and stay in your {what} \
                 agent: {}",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// What is said of a name that is a key's, where a secret was asked for.
pub(crate) fn no_secret(name: &SecretName, screen: &Screen) -> Result<Option<Failure>, Failure> {
    let settings = in_force::settings_here(screen)?;
    let Some(agent) = agent_of(&settings, name.as_str()) else { return Ok(None) };
    let found = format!(
        "`{name}` is a key of your {agent} agent, by `[{agent}] keys` of the settings: it signs, and \
         nothing of it is put into requests"
    );
    let hint =
        format!("to permit its use in this project, run `ringfence grant secret:{name} --always`");
    Ok(Some(Message::new(found).hint(hint).could_not()))
}

/// Which agent has a key of that name.
pub(crate) fn agent_of(settings: &Settings, name: &str) -> Option<&'static str> {
    match (settings.ssh_keys.contains_key(name), settings.gpg_keys.contains_key(name)) {
        (true, _) => Some("ssh"),
        (false, true) => Some("gpg"),
        (false, false) => None,
    }
}
