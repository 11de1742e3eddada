//! Tools that are pinned by nobody unseen: what can be taken for another is looked at by a person first.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_runtime::servers::{Pinned, Remark, Server, digest};
use ringfence_runtime::wording::printable;

use super::shown::command;
use crate::screen::Screen;

/// What is remarked on a tool that an agent may take for another. One that is called as another server's is none: of
/// several servers each tool is called by its server's name as well.
const SHADOWS: &[&str] = &["looks-like", "mixes-letters", "names-other-tool"];

/// The server without the tools that can be taken for others, but for those that are pinned just so; which these are.
pub(super) fn without(
    mut server: Server,
    remarks: &[Remark],
    before: Option<&Server>,
) -> (Server, BTreeSet<String>) {
    let mut shadows: BTreeSet<String> = BTreeSet::new();
    for remark in remarks.iter().filter(|it| SHADOWS.contains(&it.rule)) {
        shadows.extend(remark.tool.clone());
        // Which of two that look alike was there first does not show.
        if remark.rule == "looks-like" && server.file.tools.contains_key(&remark.text) {
            shadows.insert(remark.text.clone());
        }
    }
    let none = BTreeMap::new();
    let pinned: &BTreeMap<String, Pinned> = before.map_or(&none, |it| &it.file.tools);
    let is_as_before = |name: &String, tool: &Pinned| {
        pinned.get(name).is_some_and(|it| digest(&it.definition) == digest(&tool.definition))
    };
    let mut left = BTreeSet::new();
    server.file.tools.retain(|name, tool| {
        let stays = !shadows.contains(name) || is_as_before(name, tool);
        if !stays {
            left.insert(name.clone());
        }
        stays
    });
    (server, left)
}

/// Says which they are, and how a person looks at them.
pub(super) fn tell(server: &Server, left: &BTreeSet<String>, screen: &Screen) {
    if left.is_empty() {
        return;
    }
    let names: Vec<String> = left.iter().map(|it| format!("`{}`", printable(it))).collect();
    screen.warn(&format!(
        "not pinned, since each can be taken for another tool and nobody has looked at it: {}",
        names.join(", ")
    ));
    let name = &server.name;
    screen.hint(&format!(
        "to look at them, run `ringfence mcp inspect {name} --diff`; to pin them, `ringfence mcp add {name} {}{}` at a \
         terminal without `--yes`",
        if server.file.url.is_some() { "" } else { "-- " },
        command(server)
    ));
}
