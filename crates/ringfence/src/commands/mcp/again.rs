//! A server that is there and is added once more by its name alone, so that what it says now is pinned.

use std::collections::BTreeMap;

use ringfence_core::ServerName;
use ringfence_runtime::servers::{Server, ServerFile};
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::whole_file::{self, Links};

use super::shown::covered_command;
use super::{place, request};
use crate::exit::{Failure, Message};
use crate::screen::Screen;

/// What a server is, by its file: its command or its address, with its variables and headers.
pub(super) fn known(
    name: &ServerName,
    is_of_project: bool,
    screen: &Screen,
) -> Result<ServerFile, Failure> {
    let request = request(Vec::new(), "add")?;
    let project = Project::find(&request.cwd, request.dirs.home())?;
    let links = if is_of_project { Links::Refuse } else { Links::Follow };
    let place = place(&request, name, is_of_project)?;
    let Some(text) = whole_file::read_text(&place, links)? else {
        let is_there = !is_of_project && project.servers.contains_key(name.as_str());
        return Err(nothing_says(name, is_there));
    };
    if is_of_project && project.trust(&request.dirs)? != Trust::Trusted {
        // Whoever wrote the project would say what is started here.
        let text = format!("what `{name}` is stands in a project that is not trusted");
        let hint = "to look at it and let it count, run `ringfence trust`";
        return Err(Message::new(text).hint(hint).could_not());
    }
    let server = Server::read(&text).map_err(|error| {
        let hint = format!("to have it written anew, run `ringfence mcp add {name} -- COMMAND`");
        Message::new(format!("what `{name}` is cannot be read: {error}")).hint(hint).could_not()
    })?;
    screen.note(&format!("`{name}` is, as its file says: {}", covered_command(&server)));
    Ok(ServerFile {
        instructions: None,
        tools: BTreeMap::new(),
        unusable: BTreeMap::new(),
        ..server.file
    })
}

fn nothing_says(name: &ServerName, is_of_project: bool) -> Failure {
    let nothing = Message::new(format!("nothing says what `{name}` is"));
    if is_of_project {
        let hint = format!(
            "it is a server of the project: to pin what it is now, run `ringfence mcp add {name} --project`"
        );
        return nothing.hint(hint).could_not();
    }
    nothing
        .hint(format!(
            "one that is started: `ringfence mcp add {name} -- COMMAND`; one that listens somewhere: \
             `ringfence mcp add {name} https://HOST/PATH`"
        ))
        .could_not()
}

/// The command that pins what a server is now.
pub(super) fn command(name: &ServerName) -> String {
    let own = request(Vec::new(), "add").and_then(|it| place(&it, name, false));
    let is_own = own.is_ok_and(|it| it.exists());
    format!("ringfence mcp add {name}{}", if is_own { "" } else { " --project" })
}
