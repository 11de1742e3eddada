//! Which of a server's tools an agent might be let use, by rule, and the policy that would say so.
//!
//! A proposal, which a person reads. It goes by the names of tools and by what their arguments are for; what a server
//! says of its own tools makes it stricter only. What is not known to only read is asked about each time.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ringfence_core::{Endpoint, Role, ServerName};
use ringfence_proxy::mcp::roles::{ArgumentRole, verb};
use serde::Serialize;

use super::{Pinned, Remark, Server};

/// What a tool looks like it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// It reads, and each file that it reads is an argument or nothing of this host.
    Reads,
    /// It changes something.
    Changes,
    /// It sends something somewhere, or fetches it.
    GoesOut,
    /// It runs commands or statements.
    Runs,
    /// Nothing tells.
    Unknown,
}

const ALL: [Does; 5] = [Does::Reads, Does::Changes, Does::GoesOut, Does::Runs, Does::Unknown];

impl Does {
    /// By the name of a tool, its arguments and what is remarked on it.
    pub fn of(tool: &str, pinned: &Pinned, remarks: &[Remark]) -> Does {
        let has = |wanted: &[ArgumentRole]| pinned.roles.values().any(|it| wanted.contains(it));
        let hint = |name: &str| {
            let hint = pinned.definition.get("annotations").and_then(|all| all.get(name));
            hint.and_then(serde_json::Value::as_bool)
        };
        if has(&[ArgumentRole::Command, ArgumentRole::Sql]) {
            return Does::Runs;
        }
        if has(&[ArgumentRole::Url, ArgumentRole::Host, ArgumentRole::Email]) {
            return Does::GoesOut;
        }
        let may_change =
            hint("destructiveHint") == Some(true) || hint("readOnlyHint") == Some(false);
        if has(&[ArgumentRole::WritePath, ArgumentRole::DeletePath]) {
            return Does::Changes;
        }
        if hint("openWorldHint") == Some(true) {
            return Does::GoesOut;
        }
        // Of several servers each tool is called by its server's name as well: one of the same name is no other.
        let is_meant = |it: &Remark| it.tool.as_deref() == Some(tool) && it.rule != "same-name";
        let is_remarked = remarks.iter().any(is_meant);
        if has(&[ArgumentRole::ByName]) || is_remarked {
            return Does::Unknown;
        }
        match verb(tool) {
            Some(verb) if verb.only_reads() && !may_change => Does::Reads,
            None if !may_change => Does::Unknown,
            Some(_) | None => Does::Changes,
        }
    }

    /// The end of the rule's name.
    fn name(self) -> &'static str {
        match self {
            Does::Reads => "reads",
            Does::Changes => "changes",
            Does::GoesOut => "goes-out",
            Does::Runs => "runs",
            Does::Unknown => "unknown",
        }
    }

    /// What the rule's comment says.
    fn comment(self) -> &'static str {
        match self {
            Does::Reads => {
                "These look like they only read. Files that their arguments name need `fs.read` besides."
            }
            Does::Changes => {
                "These look like they change something: a person is asked about each call."
            }
            Does::GoesOut => {
                "These look like they fetch or send something: a person is asked about each call."
            }
            Does::Runs => {
                "These run commands or statements: a person is asked about each call. To permit some of them, see\n// `context.programs`, `context.sql` and `context.opaque`."
            }
            Does::Unknown => {
                "What these do does not show in their names and arguments, or something about them has to be read:\n// a person is asked about each call."
            }
        }
    }
}

/// What the proposal is made for.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The agent that may call; all of them where none is named.
    pub agent: Option<&'a str>,
    /// Who is asked; nobody where there is none, and then nothing is proposed to be asked about.
    pub asks: Option<&'a Role>,
    /// What the file says so far: names of rules in it are not used again.
    pub text: &'a str,
}

/// The rules on the tools of a server that are not spoken of yet; empty where there is none.
pub fn tools(server: &Server, all: &BTreeMap<String, Does>, around: Around<'_>) -> String {
    let mut text = String::new();
    for does in ALL {
        let of_it = all.iter().filter(|(_, it)| **it == does).map(|(tool, _)| tool.as_str());
        let tools: Vec<&str> = of_it.collect();
        if tools.is_empty() || (does != Does::Reads && around.asks.is_none()) {
            continue;
        }
        let id = free(&format!("{}-{}", server.name, does.name()), around.text);
        let principal = around.agent.map_or_else(
            || "principal".to_owned(),
            |agent| format!("principal == Agent::{}", quoted(agent)),
        );
        let action = actions(&server.name, &tools);
        let when = match around.asks {
            Some(role) if does != Does::Reads => {
                format!("\nwhen {{ context.approvals.contains({}) }}", quoted(&role.0))
            }
            Some(_) | None => String::new(),
        };
        let comment = does.comment();
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n// {comment}\n@id({})\npermit ({principal}, {action}, resource){when};\n",
            quoted(&id)
        );
    }
    if text.is_empty() {
        return text;
    }
    let name = &server.name;
    format!(
        "\n// Tools of the server `{name}`, as `mcp add` proposed them. All others are denied.{text}"
    )
}

/// The rules by which a server behind an address is reached, and sent secrets.
pub fn address(
    server: &ServerName,
    endpoints: &[Endpoint],
    (secrets, text): (&[String], &str),
) -> String {
    let mut rules = String::new();
    let agent = quoted(server.as_str());
    let mut add = |end: &str, action: &str, resource: String| {
        let id = quoted(&free(&format!("{server}-{end}"), &format!("{text}{rules}")));
        let _ = write!(
            rules,
            "\n@id({id})\npermit (principal == Agent::{agent}, action == Action::\"{action}\", resource == {resource});\n"
        );
    };
    for endpoint in endpoints {
        let endpoint = quoted(&endpoint.to_string());
        add("address", "net.connect", format!("Endpoint::{endpoint}"));
    }
    for secret in secrets {
        add("secret", "secret.use", format!("Secret::{}", quoted(secret)));
    }
    if rules.is_empty() {
        return rules;
    }
    format!("\n// The server `{server}` needs these under its own name.{rules}")
}

/// The rules by which a server has what it needs to be started, each the conditions of one.
pub fn needs(server: &ServerName, rules: &[String], text: &str) -> String {
    let all = named((server, "start"), rules, text);
    format!("\n// The server `{server}` needs these to start, as its denials say.{all}")
}

/// Rules for where a server lies and for what it was given, each the conditions of one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// To read what it is made of.
    pub reads: Vec<String>,
    /// To read the files that it was given.
    pub files: Vec<String>,
    /// To work in the directories that it was given.
    pub works: Vec<String>,
    /// To run what it is started by.
    pub runs: Vec<String>,
}

/// The rules by which a server is run, reads what it is made of, and works in the directories that it was given.
pub fn places(server: &ServerName, places: &Places, text: &str) -> String {
    let mut all = String::new();
    let mut add = |what, rules: &[String], says: &str| {
        if !rules.is_empty() {
            let rules = named((server, what), rules, text);
            // Writing to a text cannot fail.
            let _ = write!(all, "\n// {says}{rules}");
        }
    };
    add("runs", &places.runs, &format!("The server `{server}` is started by these."));
    add("program", &places.reads, &format!("The server `{server}` is made of these."));
    let names = |may| format!("The server `{server}` is started with these: it may {may}.");
    add("reads-given", &places.files, &names("read them"));
    add("works-in", &places.works, &names("read and change all in them"));
    all
}

/// Rules of a server, each with a name that is free.
fn named((server, what): (&ServerName, &str), rules: &[String], text: &str) -> String {
    let mut all = String::new();
    for rule in rules {
        let id = quoted(&free(&format!("{server}-{what}"), &format!("{text}{all}")));
        // Writing to a text cannot fail.
        let _ = write!(all, "\n@id({id})\n{rule}\n");
    }
    all
}

fn actions(server: &ServerName, tools: &[&str]) -> String {
    let action = |tool: &&str| format!("Action::{}", quoted(&format!("{server}/{tool}")));
    match tools {
        [one] => format!("action == {}", action(one)),
        several => {
            let lines: Vec<String> =
                several.iter().map(|it| format!("    {}", action(it))).collect();
            format!("action in [\n{}\n]", lines.join(",\n"))
        }
    }
}

/// A name that no rule of a text has.
fn free(wanted: &str, text: &str) -> String {
    let is_taken = |name: &String| text.contains(&format!("@id({})", quoted(name)));
    let names = std::iter::once(wanted.to_owned());
    let mut names = names.chain((2..1_000_u32).map(|number| format!("{wanted}-{number}")));
    names.find(|name| !is_taken(name)).unwrap_or_else(|| wanted.to_owned())
}

/// A Cedar string literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::super::ServerFile;
    use super::*;
    use serde_json::{Value, json};

    fn does(tool: &Value) -> Does {
        let all = Pinned::all(vec![tool.clone()]).unwrap();
        let (name, pinned) = all.first_key_value().unwrap();
        Does::of(name, pinned, &[])
    }

    fn tool(name: &str, arguments: &[&str]) -> Value {
        let of = |name: &&str| ((*name).to_owned(), json!({"type": "string"}));
        let properties: serde_json::Map<String, Value> = arguments.iter().map(of).collect();
        json!({"name": name, "inputSchema": {"type": "object", "properties": properties}})
    }

    #[test]
    fn what_a_tool_does_is_taken_for_what_its_name_and_its_arguments_show() {
        for (name, arguments, it) in [
            ("read_file", &["path"][..], Does::Reads),
            ("list_issues", &["owner", "repo"], Does::Reads),
            ("write_file", &["path", "content"], Does::Changes),
            ("create_issue", &["owner", "repo", "title"], Does::Changes),
            ("get_and_delete", &[], Does::Changes),
            ("fetch", &["url"], Does::GoesOut),
            ("send_mail", &["email"], Does::GoesOut),
            ("query", &["sql"], Does::Runs),
            ("read_output", &["command"], Does::Runs),
            ("frobnicate", &["x"], Does::Unknown),
            ("sequentialthinking", &["thought"], Does::Unknown),
        ] {
            assert_eq!(does(&tool(name, arguments)), it, "{name}");
        }
    }

    #[test]
    fn what_a_server_says_of_its_tools_makes_the_proposal_stricter_only() {
        let with = |mut tool: Value, hints: Value| {
            tool["annotations"] = hints;
            does(&tool)
        };
        let read = || tool("read_file", &["path"]);
        assert_eq!(with(read(), json!({"readOnlyHint": false})), Does::Changes);
        assert_eq!(with(read(), json!({"destructiveHint": true})), Does::Changes);
        assert_eq!(with(read(), json!({"openWorldHint": true})), Does::GoesOut);
        let harmless =
            json!({"readOnlyHint": true, "destructiveHint": false, "openWorldHint": false});
        assert_eq!(with(tool("write_file", &["path"]), harmless.clone()), Does::Changes);
        assert_eq!(with(tool("frobnicate", &[]), harmless), Does::Unknown);
        let all = Pinned::all(vec![read()]).unwrap();
        let (place, text) = ("description".to_owned(), String::new());
        let remark = Remark { tool: Some("read_file".to_owned()), place, rule: "overrides", text };
        let same = Remark { rule: "same-name", ..remark.clone() };
        let of = |remarks: &[Remark]| Does::of("read_file", &all["read_file"], remarks);
        assert_eq!(of(std::slice::from_ref(&same)), Does::Reads);
        assert_eq!(of(&[same, remark]), Does::Unknown);
    }

    #[test]
    fn the_rules_are_a_policy_whatever_a_tool_is_called() {
        let names = ["read_a", "read_\"b\"\\", "get_\u{e9}\u{301}", "write_c"];
        let said = names.iter().map(|name| tool(name, &["path"])).collect();
        let mut file = ServerFile::started_by(vec!["true".to_owned()]);
        file.tools = Pinned::all(said).unwrap();
        let server = Server::new("files".parse().unwrap(), file).unwrap();
        let all = server.file.tools.iter();
        let all = all.map(|(name, it)| (name.clone(), Does::of(name, it, &[]))).collect();
        let role = Role("owner".to_owned());
        let text = "@id(\"files-reads\") permit (principal, action, resource);";
        let around = Around { agent: Some("claude"), asks: Some(&role), text };
        let proposed = tools(&server, &all, around);
        assert!(proposed.contains("@id(\"files-reads-2\")"), "{proposed}");
        let source = ringfence_policy::Source {
            set: ringfence_core::SetName::User,
            file: "policy.cedar".to_owned(),
            text: proposed.clone(),
            approves: Vec::new(),
        };
        let options = ringfence_policy::Options {
            roles: vec![role],
            tools: server.shapes(),
            ..ringfence_policy::Options::default()
        };
        let loaded = ringfence_policy::Policy::load(vec![source], &options);
        let policy = loaded.unwrap_or_else(|error| panic!("{error:?}\n{proposed}"));
        assert!(policy.lints().iter().all(|it| it.kind != ringfence_policy::LintKind::Unpinned));
        let nobody = Around { asks: None, text: "", agent: None };
        let proposed = tools(&server, &all, nobody);
        assert!(!proposed.contains("write_c") && proposed.contains("permit (principal, action"));
    }
}
