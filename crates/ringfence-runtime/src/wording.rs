//! How denials are said: to the person outside, to the denied process, and as JSON.

use std::collections::BTreeSet;

use ringfence_core::{
    Act, Agent, AskFor, Denial, Detector, Endpoint, EntryRef, Exec, Grounds, HOST_SERVICE_NAME,
    Handling, HttpRequest, LeaseChange, LeaseStep, Misuse, Request, RuleRef, SecretUse, SetName,
    ToolCall,
};
use serde_json::{Value, json};

use crate::advice::{Advice, Lasts};

mod printable;
mod question;

use printable::is_plain;
pub use printable::printable;
pub(crate) use question::program_name;
pub use question::{Asked, arguments, asked_by, question};

/// Version of the JSON that [`denial_json`] makes.
pub const DENIAL_SCHEMA: u32 = 1;

/// Longest resource or command line in a sentence, in characters; the log holds all of it.
const SHOWN_CHARACTERS_MAX: usize = 200;

/// Stands for the rule where there is none to ask.
const UNDECIDED: &str = "none: no policy can speak of it";

/// Stands for the rule where a stand-in is in the wrong place.
const BOUND: &str = "none: what the secret is bound to says where it may stand";

/// Marks a hint as one that the agent cannot follow itself.
const OUTSIDE: &str = "hint (for the person outside):";

/// The text of a denial: what, which rule, which entry, and what the person outside can run.
///
/// `advice` is what would allow the act, where something does.
pub fn denial(denial: &Denial, advice: Option<&Advice>, lasts: Lasts) -> String {
    let agent = printable(&denial.request.agent.0);
    let head = format!("denied: agent `{agent}` may not {}", describe(&denial.request.act));
    assemble(&head, &rule_line(&denial.grounds), (denial.entry.as_ref(), lasts), advice)
}

/// What a process is told whose permitted connection did not come about.
pub fn unreachable(request: &Request, reason: &str) -> String {
    let act = describe(&request.act);
    format!("permitted, but it did not come about: {act}: {}\n", printable(reason))
}

/// What a process is told whose connection or request was refused before any rule was asked.
pub fn refused(why: &str, entry: Option<&EntryRef>) -> String {
    let head = format!("denied: {}", printable(why));
    assemble(&head, UNDECIDED, (entry, Lasts::GoesOn), None)
}

/// The same for programs: a denial of what has no name, by no rule.
pub fn refused_json(agent: &Agent, why: &str, entry: Option<&EntryRef>) -> Value {
    json!({
        "schema": DENIAL_SCHEMA,
        "verdict": "deny",
        "agent": agent,
        "action": "net.request",
        "resource": "",
        "rule": format!("{UNDECIDED}: {why}"),
        "rules": [],
        "entry": entry.map(EntryRef::to_string).unwrap_or_default(),
        "hints_for_the_person_outside": hints((entry, Lasts::GoesOn), None),
    })
}

/// What a process is told whose request had in it, in the wrong place, what stands in for a secret.
pub fn misused(misuse: &Misuse, entry: Option<&EntryRef>) -> String {
    let Misuse { secret, place, why, .. } = misuse;
    let text = format!("what stands in for the secret `{secret}` is in {place}: {why}");
    assemble(&format!("denied: {}", printable(&text)), BOUND, (entry, Lasts::GoesOn), None)
}

/// The same for programs: a denial of the secret's use, by no rule.
pub fn misused_json(agent: &Agent, misuse: &Misuse, entry: Option<&EntryRef>) -> Value {
    json!({
        "schema": DENIAL_SCHEMA,
        "verdict": "deny",
        "agent": agent,
        "action": "secret.use",
        "resource": misuse.secret.to_string(),
        "rule": format!("a stand-in in {}: {}", misuse.place, misuse.why),
        "rules": [],
        "entry": entry.map(EntryRef::to_string).unwrap_or_default(),
        "hints_for_the_person_outside": hints((entry, Lasts::GoesOn), None),
        "method": misuse.method,
    })
}

/// What a package manager is told of releases that it does not see: of the newest, and their count.
pub fn kept_back(newest: &Denial, count: usize) -> String {
    let others = match count.saturating_sub(1) {
        0 => String::new(),
        1 => " (and 1 other)".to_owned(),
        more => format!(" (and {more} others)"),
    };
    let release = match &newest.request.act {
        Act::Request(HttpRequest { package: Some(package), .. }) => package.to_string(),
        act @ (Act::Exec(_)
        | Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::Request(_)
        | Act::UseSecret(_)
        | Act::CallTool(_)) => act.resource(),
    };
    let rule = rule_line(&newest.grounds);
    format!("kept back: {}{others}\n  rule   {rule}\n", printable(&release))
}

/// A denial as one JSON object, for `RINGFENCE_DENIALS`.
pub fn denial_json(denial: &Denial, advice: Option<&Advice>, lasts: Lasts) -> Value {
    let mut object = json!({
        "schema": DENIAL_SCHEMA,
        "verdict": "deny",
        "agent": denial.request.agent,
        "action": denial.request.act.action(),
        "resource": denial.request.act.resource(),
        "rule": rule_line(&denial.grounds),
        "rules": denial.grounds.rules,
        "entry": denial.entry.as_ref().map(EntryRef::to_string),
        "hints_for_the_person_outside": hints((denial.entry.as_ref(), lasts), advice),
    });
    match (&denial.request.act, object.as_object_mut()) {
        (Act::Exec(exec), Some(map)) => {
            map.insert("argv".to_owned(), json!(exec.command_line.text));
        }
        (Act::Request(http), Some(map)) => {
            map.insert("method".to_owned(), json!(http.method));
            map.insert("url".to_owned(), json!(http.url()));
            if let Some(package) = &http.package {
                map.insert("package".to_owned(), json!(package));
            }
        }
        (_, _) => {}
    }
    object
}

/// What an act does, after *may not*: `connect to api.example.com:443`.
pub fn describe(act: &Act) -> String {
    match act {
        Act::Exec(exec) => describe_exec(exec),
        Act::Read(path) => format!("read {}", shown(path.as_str())),
        Act::Write(path) => format!("write {}", shown(path.as_str())),
        Act::Delete(path) => format!("delete {}", shown(path.as_str())),
        Act::Connect(endpoint) => format!("connect to {endpoint}"),
        Act::ConnectUnix(path) => format!("connect to the socket {}", shown(path.as_str())),
        Act::Request(http) => describe_request(http),
        Act::UseSecret(used) => describe_use(used),
        Act::CallTool(call) => describe_call(call),
    }
}

/// A call, and the functions that keep its SQL from being told.
fn describe_call(call: &ToolCall) -> String {
    let tool = shown(call.tool.as_str());
    let names: Vec<String> = call.meaning.unknown.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return format!("call the tool {tool}");
    }
    format!("call the tool {tool} with SQL that calls {}", shown(&names.join(", ")))
}

fn describe_request(http: &HttpRequest) -> String {
    let request = format!("{} {}", http.method, shown(&http.url()));
    match &http.package {
        Some(package) => format!("fetch {} ({request})", shown(&package.to_string())),
        None => format!("send {request}"),
    }
}

fn describe_use(used: &SecretUse) -> String {
    let (secret, method) = (&used.secret, shown(&used.method));
    match &used.endpoint {
        Some(endpoint) => {
            format!("use the secret {secret} for {method} {endpoint}{}", shown(&used.path))
        }
        None => format!("use the secret {secret} for {method}"),
    }
}

/// A stand-in where its secret may not be used: `stand-in of x in the body of POST a.example:443/`.
pub fn misuse(misuse: &Misuse) -> String {
    let Misuse { secret, endpoint, method, path, place, why, refused, .. } = misuse;
    let (method, path) = (shown(method), shown(path));
    let end = if *refused { "refused" } else { "passed on as it was" };
    let (place, why) = (printable(place), printable(why));
    format!("stand-in of {secret} in {place} of {method} {endpoint}{path}: {why}; {end}")
}

/// What became of something that a vault lent.
pub fn lease(change: &LeaseChange) -> String {
    let (place, lease) = (printable(&change.place), printable(&change.lease));
    let step = match &change.step {
        LeaseStep::Lent { seconds: Some(seconds) } => format!("lent for {seconds} s"),
        LeaseStep::Lent { seconds: None } => "lent".to_owned(),
        LeaseStep::NotRenewed { why } => format!("could not be renewed: {}", printable(why)),
        LeaseStep::Returned => "given back".to_owned(),
        LeaseStep::NotReturned { why } => format!("could not be given back: {}", printable(why)),
    };
    format!("{place} ({lease}) {step}")
}

/// The same with the whole command line, however long it is.
pub fn describe_in_full(act: &Act) -> String {
    if let Act::Request(http) = act {
        let query = http.query.as_str();
        let query = if query.is_empty() { String::new() } else { format!("?{}", printable(query)) };
        return format!("send {} {}{query}", http.method, printable(&http.url()));
    }
    if let Act::ConnectUnix(path) = act {
        return format!("connect to the socket `{}`", printable(path.as_str()));
    }
    let Act::Exec(exec) = act else { return describe(act) };
    let line = printable(&exec.command_line.text);
    let arguments = line.split_once(' ').map_or("", |(_, rest)| rest);
    let program = printable(exec.program.as_str());
    if arguments.is_empty() {
        format!("run {program}")
    } else {
        format!("run {program} `{arguments}`")
    }
}

fn describe_exec(exec: &Exec) -> String {
    let program = shown(exec.program.as_str());
    let arguments = exec.command_line.text.split_once(' ').map_or("", |(_, rest)| rest);
    if arguments.is_empty() {
        format!("run {program}")
    } else {
        format!("run {program} `{}`", shown(arguments))
    }
}

/// The rule behind a decision, in one line: `.ringfence/policy.cedar:12 `no-push`: REASON`.
pub fn rule_line(grounds: &Grounds) -> String {
    if let Some(failure) = &grounds.failure {
        return printable(failure);
    }
    if let Some(first) = grounds.rules.first() {
        let more = match grounds.rules.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        return format!("{}{}{more}", rule_place(first), reason(first));
    }
    match &grounds.nearest {
        None => "no permit matches".to_owned(),
        Some(nearest) => {
            let failed = printable(&nearest.failed);
            let reason = reason(&nearest.rule);
            format!("no permit matches; nearest: {} ({failed}){reason}", rule_place(&nearest.rule))
        }
    }
}

/// What rules say about what passes or comes back: `@redact secrets, pii; @block email`; nothing where they say nothing.
pub fn content(handling: &Handling) -> Option<String> {
    let said = |does: &str, all: &BTreeSet<Detector>| {
        let names: Vec<&str> = all.iter().map(|detector| detector.name()).collect();
        (!names.is_empty()).then(|| format!("@{does} {}", names.join(", ")))
    };
    let all = [said("redact", &handling.redact), said("block", &handling.block)];
    let all: Vec<String> = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A rule's reason behind its place, if it has one.
pub fn reason(rule: &RuleRef) -> String {
    rule.reason.as_ref().map_or(String::new(), |text| format!(": {}", printable(text)))
}

/// What to say of a world's own localhost, where somebody seems to mean this host's: a program
/// comes to the gate with it only if it leaves it to a proxy.
pub fn localhost(endpoint: &Endpoint) -> Option<String> {
    endpoint.is_localhost().then(|| {
        format!(
            "localhost in a world is the world's own; this host's port is \
             `{HOST_SERVICE_NAME}:{}`",
            endpoint.port
        )
    })
}

/// Where a rule stands and what it is called: `.ringfence/policy.cedar:31 `model-api``.
pub fn rule_place(rule: &RuleRef) -> String {
    let file = printable(&rule.file);
    match rule.set {
        SetName::BuiltIn => format!("built in `{}`", printable(&rule.id)),
        SetName::User
        | SetName::Project
        | SetName::UntrustedProject
        | SetName::OuterProject
        | SetName::Grants
        | SetName::Override
        | SetName::System => format!("{file}:{} `{}`", rule.line, printable(&rule.id)),
    }
}

/// A set's name for a person.
pub fn set_name(set: SetName) -> &'static str {
    match set {
        SetName::User => "user",
        SetName::Project => "project",
        SetName::UntrustedProject => "project (not trusted: only its forbids hold)",
        SetName::OuterProject => "project around this one (only its forbids hold)",
        SetName::Grants => "grants",
        SetName::Override => "--policy",
        SetName::System => "system ceiling",
        SetName::BuiltIn => "built in",
    }
}

/// Who has to approve: `role `oncall``, `2 people with roles `a`, `b``.
pub fn needs(needs: &AskFor) -> String {
    let roles: Vec<String> =
        needs.roles.iter().map(|role| format!("`{}`", printable(&role.0))).collect();
    let people = match needs.people {
        0 | 1 => String::new(),
        count => format!("{count} people"),
    };
    let noun = if roles.len() == 1 { "role" } else { "roles" };
    match (people.is_empty(), roles.is_empty()) {
        (true, true) => "approval by a person".to_owned(),
        (true, false) => format!("{noun} {}", roles.join(", ")),
        (false, true) => people,
        (false, false) => format!("{people} with {noun} {}", roles.join(", ")),
    }
}

/// A word for a POSIX shell; `None` where no quoting makes it both safe and readable.
pub fn shell_word(text: &str) -> Option<String> {
    if text.is_empty() || !text.chars().all(is_plain) {
        return None;
    }
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c)) {
        return Some(text.to_owned());
    }
    Some(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Printable, and cut where it would fill the screen.
fn shown(text: &str) -> String {
    let safe = printable(text);
    if safe.chars().count() <= SHOWN_CHARACTERS_MAX {
        return safe;
    }
    let head: String = safe.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{head}...")
}

/// The commands that help, as sentences after *hint:*.
fn hints((entry, lasts): (Option<&EntryRef>, Lasts), advice: Option<&Advice>) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(entry) = entry {
        hints.extend(advice.and_then(|advice| advice.hint(lasts.session(&entry.session))));
        hints.push(format!("to see the whole reasoning, run `ringfence explain {entry}`"));
    }
    hints
}

fn assemble(
    head: &str,
    rule: &str,
    (entry, lasts): (Option<&EntryRef>, Lasts),
    advice: Option<&Advice>,
) -> String {
    let entry_text = entry.map_or_else(|| "none (not recorded)".to_owned(), EntryRef::to_string);
    let mut text = format!("{head}\n  rule   {rule}\n  entry  {entry_text}\n");
    for hint in hints((entry, lasts), advice) {
        text.push_str(OUTSIDE);
        text.push(' ');
        text.push_str(&hint);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
