//! How an act is asked about: what would be done in a sentence, and to what file on lines of its own.

use std::collections::BTreeMap;
use std::path::Path;

use ringfence_core::{Act, Fact, Grounds, Request, ToolCall};
use ringfence_sandbox::notify::Deed;
use serde_json::Value;

use super::{describe_in_full, printable, reason, rule_line};

/// A question as a person reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// What would be done.
    pub text: String,
    /// The file it would be done to, whole; none where the text says it.
    pub subject: Option<String>,
    /// The rule that asks, and why.
    pub reason: String,
}

/// What is asked of a person; `program` is what the process runs that waits for the answer.
pub fn question(
    request: &Request,
    grounds: &Grounds,
    about: (Option<&Path>, Option<&Deed>),
) -> Asked {
    let (program, deed) = about;
    let who = who(request, program);
    let (does, subject) = match (&request.act, deed) {
        (Act::Read(path), _) => ("read".to_owned(), Some(path)),
        (Act::Write(path), deed) => (writes(deed), Some(path)),
        (Act::Delete(path), deed) => (deletes(deed), Some(path)),
        (
            act @ (Act::Exec(_)
            | Act::Connect(_)
            | Act::ConnectUnix(_)
            | Act::Request(_)
            | Act::UseSecret(_)
            | Act::CallTool(_)),
            _,
        ) => (describe_in_full(act), None),
    };
    let subject = match &request.act {
        // What is called is only half of it.
        Act::CallTool(call) if !call.arguments.is_empty() || goes_along(call).is_some() => {
            let more = goes_along(call).map(|it| format!("besides, unseen by rules: {it}"));
            let given = (!call.arguments.is_empty()).then(|| arguments(&call.arguments));
            Some(given.into_iter().chain(more).collect::<Vec<_>>().join("; "))
        }
        Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::Exec(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::Request(_)
        | Act::UseSecret(_)
        | Act::CallTool(_) => subject.map(|path| format!("`{}`", printable(path.as_str()))),
    };
    let end = if subject.is_some() { "" } else { "?" };
    Asked { text: format!("ringfence: may {who} {does}{end}"), subject, reason: asked_by(grounds) }
}

/// What a call has beside its arguments, but for `_meta`, which is free for what clients note there.
fn goes_along(call: &ToolCall) -> Option<String> {
    let all: Vec<String> = call
        .beside
        .iter()
        .filter(|name| !name.starts_with("_meta."))
        .map(|name| format!("`{}`", printable(name)))
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Named arguments: `path: "/a", lines: 3`.
pub fn arguments(named: &BTreeMap<String, Fact>) -> String {
    let one = |(name, fact): (&String, &Fact)| format!("{}: {}", printable(name), value(fact));
    named.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn value(fact: &Fact) -> String {
    match fact {
        Fact::Bool(is) => is.to_string(),
        Fact::Long(number) => number.to_string(),
        // Whoever answers reads no smaller number than is sent.
        Fact::Decimal(i64::MAX) => "more than 922337203685477".to_owned(),
        Fact::Decimal(i64::MIN) => "less than -922337203685477".to_owned(),
        Fact::Decimal(units) => {
            let sign = if *units < 0 { "-" } else { "" };
            let units = units.unsigned_abs();
            format!("{sign}{}.{:04}", units / 10_000, units % 10_000)
        }
        // As JSON: a text with quotation marks in it does not look like several arguments.
        Fact::Text(text) => printable(&Value::from(text.as_str()).to_string()),
        Fact::Set(all) => format!("[{}]", all.iter().map(value).collect::<Vec<_>>().join(", ")),
        Fact::Record(named) => format!("{{{}}}", arguments(named)),
    }
}

/// The rule by its name, where it stands, and why it asks.
pub fn asked_by(grounds: &Grounds) -> String {
    // A permit that waits for an approval is the nearest one.
    let nearest = grounds.nearest.as_ref().map(|nearest| &nearest.rule);
    let Some(rule) = grounds.rules.first().or(nearest) else {
        return format!("asked by {}", rule_line(grounds));
    };
    let more = match grounds.rules.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let (id, file) = (printable(&rule.id), printable(&rule.file));
    format!("asked by `{id}`{more}{} ({file}:{})", reason(rule), rule.line)
}

/// The longest name of a program in a question, in characters: the agent may have given it.
const PROGRAM_NAME_MAX: usize = 20;

/// What a program is called, cut at its end.
pub(crate) fn program_name(program: &Path) -> Option<String> {
    let name = program.file_name()?.to_string_lossy();
    let mut short: String = name.chars().take(PROGRAM_NAME_MAX).collect();
    if short.len() < name.len() {
        short.push_str("...");
    }
    Some(printable(&short))
}

/// The program that asks, by its name and number, and the agent it works for.
fn who(request: &Request, program: Option<&Path>) -> String {
    let agent = printable(&request.agent.0);
    match (program.and_then(program_name), &request.process) {
        (Some(name), Some(process)) => {
            format!("`{name}` (process {}, agent `{agent}`)", process.pid)
        }
        (Some(name), None) => format!("`{name}` (agent `{agent}`)"),
        (None, _) => format!("`{agent}`"),
    }
}

fn writes(deed: Option<&Deed>) -> String {
    match deed {
        Some(Deed::Open | Deed::Remove | Deed::RemoveDirectory) | None => "write".to_owned(),
        Some(Deed::Create) => "make and write the file".to_owned(),
        Some(Deed::Directory) => "make the directory".to_owned(),
        Some(Deed::Node) => "make the pipe or socket".to_owned(),
        Some(Deed::Symlink(says)) => format!("make a symbolic link to {}, as", name(says)),
        Some(Deed::Link(Some(from))) => format!("give {} another name, as", name(from)),
        Some(Deed::Link(None)) => "give an open file the name".to_owned(),
        Some(Deed::Rename { from, .. }) => format!("write, by moving {} there,", name(from)),
        Some(Deed::Truncate(bytes)) => format!("write, by cutting it to {bytes} bytes,"),
        Some(Deed::Mode(mode)) => format!("change the permissions to {mode:03o} of"),
        Some(Deed::Times) => "change the times of".to_owned(),
    }
}

fn deletes(deed: Option<&Deed>) -> String {
    match deed {
        Some(Deed::RemoveDirectory) => "delete the directory".to_owned(),
        Some(Deed::Rename { to, .. }) => format!("take away, by moving it to {},", name(to)),
        Some(
            Deed::Open
            | Deed::Create
            | Deed::Directory
            | Deed::Node
            | Deed::Symlink(_)
            | Deed::Link(_)
            | Deed::Remove
            | Deed::Truncate(_)
            | Deed::Mode(_)
            | Deed::Times,
        )
        | None => "delete".to_owned(),
    }
}

fn name(path: &[u8]) -> String {
    format!("`{}`", printable(&String::from_utf8_lossy(path)))
}

#[cfg(test)]
mod tests {
    use ringfence_core::{AbsolutePath, Act, Agent, Grounds, Process, Request, RuleRef, SetName};

    use super::{Asked, Deed, question};
    use std::path::Path;

    fn asked(act: fn(AbsolutePath) -> Act, path: &str, deed: &Deed) -> Asked {
        let act = act(AbsolutePath::parse(path).unwrap());
        let process = Some(Process { pid: 4711, parent: None });
        let request = Request { agent: Agent("builder".to_owned()), act, process };
        let rule = RuleRef {
            set: SetName::Project,
            file: "/home/u/p/.ringfence/policy.cedar".to_owned(),
            line: 9,
            id: "ask-out".to_owned(),
            reason: Some("what is built is looked at".to_owned()),
        };
        let grounds = Grounds { rules: vec![rule], ..Grounds::default() };
        question(&request, &grounds, (Some(Path::new("/usr/bin/vim.basic")), Some(deed)))
    }

    #[test]
    fn a_question_says_which_program_would_do_what_and_names_the_whole_file_apart() {
        let who = "ringfence: may `vim.basic` (process 4711, agent `builder`)";
        let long = format!("/out/{}/end", "x".repeat(300));
        for (act, deed, does) in [
            (Act::Read as fn(AbsolutePath) -> Act, Deed::Open, "read"),
            (Act::Write, Deed::Open, "write"),
            (Act::Write, Deed::Create, "make and write the file"),
            (Act::Write, Deed::Directory, "make the directory"),
            (Act::Write, Deed::Symlink(b"/etc".to_vec()), "make a symbolic link to `/etc`, as"),
            (Act::Write, Deed::Link(Some(b"/a".to_vec())), "give `/a` another name, as"),
            (Act::Write, Deed::Mode(0o755), "change the permissions to 755 of"),
            (Act::Write, Deed::Truncate(0), "write, by cutting it to 0 bytes,"),
            (Act::Delete, Deed::RemoveDirectory, "delete the directory"),
            (Act::Delete, Deed::Remove, "delete"),
        ] {
            let asked = asked(act, &long, &deed);
            assert_eq!(asked.text, format!("{who} {does}"));
            assert_eq!(asked.subject, Some(format!("`{long}`")));
        }
        let asked = asked(Act::Write, "/a\u{1b}[1mb", &Deed::Symlink(b"x\x1b\xff".to_vec()));
        assert!(!asked.subject.unwrap().contains('\u{1b}'));
        assert!(!asked.text.contains('\u{1b}'));
    }

    #[test]
    fn the_rule_that_asks_is_named_before_where_it_stands() {
        let asked = asked(Act::Write, "/out/a", &Deed::Open);
        let reason = "asked by `ask-out`: what is built is looked at \
                      (/home/u/p/.ringfence/policy.cedar:9)";
        assert_eq!(asked.reason, reason);
    }

    #[test]
    fn a_number_that_is_too_large_for_the_policy_is_not_shown_as_a_smaller_one() {
        for (number, shown) in [
            (0.5, "0.5000"),
            (-0.000_01, "-0.0001"),
            (1e300, "more than 922337203685477"),
            (-1e300, "less than -922337203685477"),
        ] {
            assert_eq!(super::value(&super::Fact::decimal(number)), shown);
        }
    }
}
