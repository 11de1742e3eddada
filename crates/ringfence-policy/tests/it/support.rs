//! What the tests are made of.

use std::collections::BTreeSet;

use ringfence_core::{
    AbsolutePath, Act, Agent, ClockFact, CommandLine, Decide, Exec, Facts, FileIdentity, HttpParts,
    HttpRequest, Request, Role, Scheme, SetName, Verdict,
};
use ringfence_policy::{Options, Policy, Source};

pub(crate) fn source(set: SetName, text: &str) -> Source {
    Source { set, file: "test.cedar".to_owned(), text: text.to_owned(), approves: Vec::new() }
}

pub(crate) fn options() -> Options {
    let roles = ["dev", "oncall", "owner"].map(|role| Role(role.to_owned()));
    Options { roles: roles.to_vec(), ..Options::default() }
}

pub(crate) fn policy(text: &str) -> Policy {
    load(vec![source(SetName::User, text)])
}

pub(crate) fn load(sources: Vec<Source>) -> Policy {
    match Policy::load(sources, &options()) {
        Ok(policy) => policy,
        Err(errors) => panic!("{:#?}", errors.summaries()),
    }
}

pub(crate) fn facts() -> Facts {
    let zone = "Europe/Vienna".to_owned();
    Facts {
        session: "saaaaaaaa".parse().unwrap(),
        clock: ClockFact { weekday: 6, hour: 10, minute: 0, date: 20_261_121, zone },
        approvals: BTreeSet::new(),
        approver_count: 0,
    }
}

pub(crate) fn request(act: Act) -> Request {
    Request { agent: Agent("claude".to_owned()), act, process: None }
}

pub(crate) fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

pub(crate) fn exec(argv: &[&str]) -> Act {
    let program = path(argv[0]);
    let bytes: Vec<Vec<u8>> = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
    Act::Exec(Exec {
        identity: FileIdentity { device: 0, inode: 0 },
        command_line: CommandLine::new(program.file_name(), &bytes),
        cwd: path("/srv/app"),
        program,
    })
}

pub(crate) fn connect(endpoint: &str) -> Act {
    Act::Connect(endpoint.parse().unwrap())
}

/// A request that posts ten bytes.
pub(crate) fn send(endpoint: &str) -> Act {
    let parts = HttpParts { method: "POST", target: "/a/b", headers: &["Accept"], size: Some(10) };
    Act::Request(HttpRequest::new(endpoint.parse().unwrap(), Scheme::Https, parts).unwrap())
}

/// The verdict as one word, an ask with what it needs.
pub(crate) fn verdict(policy: &Policy, act: Act) -> String {
    match policy.decide(&request(act), &facts()).verdict {
        Verdict::Permit => "permit".to_owned(),
        Verdict::Deny => "deny".to_owned(),
        Verdict::Ask(needs) => {
            let roles: Vec<&str> = needs.roles.iter().map(|role| role.0.as_str()).collect();
            format!("ask {} x{}", roles.join("+"), needs.people)
        }
    }
}
