//! The server that is meant by a name, or what there is instead.

use std::path::PathBuf;

use ringfence_core::ServerName;
use ringfence_policy::nearest_word;
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::servers::Server;

use super::in_force;
use crate::exit::{Failure, Message};
use crate::screen::Screen;

/// The policy, for one server: where its file is wrong, that is the answer, and is said once.
pub(super) fn load_for(
    name: &ServerName,
    files: &[PathBuf],
    screen: &Screen,
) -> Result<Assembled, Failure> {
    if let Some(known) = in_force::quietly(files)? {
        server(&known, name)?;
    }
    in_force::load(files, screen)
}

/// The server of this name.
pub(super) fn server<'a>(known: &'a Assembled, name: &ServerName) -> Result<&'a Server, Failure> {
    if let Some(server) = known.servers.get(name) {
        return Ok(server);
    }
    Err(match known.left_out.get(name) {
        Some(why) => Message::new(format!(
            "the server `{name}` cannot be used, its file is wrong: {why}"
        ))
        .hint(format!(
            "mend it there; or, to have it written anew, run `ringfence mcp add {name} -- COMMAND`"
        )),
        None => Message::new(format!("no server `{name}`")).hint(instead(known, name)),
    }
    .could_not())
}

/// What may have been meant.
pub(super) fn instead(known: &Assembled, name: &ServerName) -> String {
    let names = known.servers.keys().chain(known.left_out.keys()).map(ServerName::as_str);
    let near = nearest_word(name.as_str(), names);
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    format!("{near}which there are says `ringfence mcp list`")
}
