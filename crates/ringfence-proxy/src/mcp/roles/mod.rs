//! What an argument is for: a path that is read, an address, a command. Rules on files and hosts hold for
//! arguments with such a role.
//!
//! Proposed by rule, from names and schemas, and put before a person, who has the last word. What is said
//! of a tool by its server (its description, its hints) may only make a role stricter. Every place where the
//! schema lets a text stand is known; a text of a call that stands at none is refused.

pub mod email;
mod names;
mod place;
mod plan;
pub mod shell;
pub mod sql;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use names::{Does, verb};
pub use place::{Place, PlaceError, STEPS_MAX, Step};
pub use plan::{RoleError, RolePlan, Text};

use names::About;
use walk::Said;

/// What an argument is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArgumentRole {
    /// A file or directory that is read.
    ReadPath,
    /// A file or directory that is created or changed; it may be read as well.
    WritePath,
    /// A file or directory that is removed or moved away; it may be read as well.
    DeletePath,
    /// An address that is fetched or sent to.
    Url,
    /// A host that is connected to.
    Host,
    /// An address that mail is sent to.
    Email,
    /// Statements of SQL.
    Sql,
    /// A command of a shell.
    Command,
    /// What no rule on files, hosts or anything else is about.
    None,
    /// Anything: each text in it is for what the name nearest to it says, or what it looks like where that name is one
    /// of places as often as of other things.
    ByName,
}

/// Every role, in the order of its name's declaration.
const ALL: [ArgumentRole; 10] = [
    ArgumentRole::ReadPath,
    ArgumentRole::WritePath,
    ArgumentRole::DeletePath,
    ArgumentRole::Url,
    ArgumentRole::Host,
    ArgumentRole::Email,
    ArgumentRole::Sql,
    ArgumentRole::Command,
    ArgumentRole::None,
    ArgumentRole::ByName,
];

impl ArgumentRole {
    /// The role's name in pins and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ArgumentRole::ReadPath => "read-path",
            ArgumentRole::WritePath => "write-path",
            ArgumentRole::DeletePath => "delete-path",
            ArgumentRole::Url => "url",
            ArgumentRole::Host => "host",
            ArgumentRole::Email => "email",
            ArgumentRole::Sql => "sql",
            ArgumentRole::Command => "command",
            ArgumentRole::None => "none",
            ArgumentRole::ByName => "by-name",
        }
    }

    /// Whether it is a file or a directory.
    pub fn is_path(self) -> bool {
        match self {
            ArgumentRole::ReadPath | ArgumentRole::WritePath | ArgumentRole::DeletePath => true,
            ArgumentRole::Url
            | ArgumentRole::Host
            | ArgumentRole::Email
            | ArgumentRole::Sql
            | ArgumentRole::Command
            | ArgumentRole::None
            | ArgumentRole::ByName => false,
        }
    }

    /// Whether only a text can have it.
    fn is_for_texts(self) -> bool {
        !matches!(self, ArgumentRole::None | ArgumentRole::ByName)
    }
}

impl fmt::Display for ArgumentRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ArgumentRole {
    type Err = String;
    fn from_str(text: &str) -> Result<ArgumentRole, String> {
        ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| text.to_owned())
    }
}

/// Roles by the place of their argument.
pub type Roles = BTreeMap<Place, ArgumentRole>;

/// The roles of a tool's arguments, by rule: of every place where any text may stand, also of those that have none.
pub fn propose(tool: &str, description: &str, schema: &Value) -> Roles {
    let about = About::new(tool, description);
    let places = walk::places(schema);
    let elsewhere = on_forges(&places);
    let texts = places.texts.iter().filter(|(_, said)| said.free);
    texts.map(|(at, said)| (at.clone(), proposed(&about, (at, said), &elsewhere))).collect()
}

/// Where arguments name a repository by its owner and its name, as services that keep repositories do: neither is a
/// path, and nor is what lies in that repository.
fn on_forges(places: &walk::Places) -> BTreeSet<Vec<Step>> {
    let has = |parent: &[Step], names: &[&str]| {
        names.iter().any(|name| {
            let name = Step::Name((*name).to_owned());
            let at = parent.iter().cloned().chain([name]).fold(Place::root(), |at, it| at.then(it));
            places.texts.contains_key(&at)
        })
    };
    let parents = places.texts.keys().filter_map(|place| place.steps().split_last());
    let parents: BTreeSet<&[Step]> = parents.map(|(_, parent)| parent).collect();
    let is_one = |parent: &&&[Step]| has(parent, FORGE_OWNERS) && has(parent, FORGE_NAMES);
    parents.iter().filter(is_one).map(|parent| parent.to_vec()).collect()
}

/// How the owner of a repository is called, and the repository.
const FORGE_OWNERS: &[&str] = &["owner", "org", "organization"];
const FORGE_NAMES: &[&str] = &["repo", "repository", "repo_name", "repository_name"];

fn proposed(
    about: &About,
    (place, said): (&Place, &Said),
    elsewhere: &BTreeSet<Vec<Step>>,
) -> ArgumentRole {
    let is_elsewhere = || place.steps().split_last().is_some_and(|it| elsewhere.contains(it.1));
    match place.steps().last() {
        Some(Step::Below) => ArgumentRole::ByName,
        Some(_) if said.free => {
            let role = about.role(said);
            let may_be_place = || names::may_be_place(&said.name);
            if role.is_path() && is_elsewhere() {
                ArgumentRole::None
            } else if role == ArgumentRole::None && may_be_place() {
                ArgumentRole::ByName
            } else {
                role
            }
        }
        // One of the texts that the schema itself has.
        Some(_) | None => ArgumentRole::None,
    }
}

#[cfg(test)]
mod tests;
