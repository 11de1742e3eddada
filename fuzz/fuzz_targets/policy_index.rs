//! The index finds what a full scan finds, and a plan never allows more than its policy, whatever
//! the rules are.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ringfence_core::{
    AbsolutePath, Access, Act, Agent, ClockFact, CommandLine, Decide, Exec, Facts, FileIdentity,
    HttpParts, HttpRequest, Request, Scheme, SecretUse, SetName, Verdict,
};
use ringfence_policy::{FsDynamic, Options, Policy, Source};

/// Few names, so that rules and requests meet often.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Name {
    A,
    B,
    Ab,
}

#[derive(Arbitrary, Debug)]
struct Place([Option<Name>; 3]);

#[derive(Arbitrary, Debug)]
enum Action {
    Exec,
    Read,
    Write,
    Change,
    Files,
    Net,
    Send,
    Any,
}

#[derive(Arbitrary, Debug)]
enum Scope {
    All,
    Within(Place),
    Is(Place),
}

#[derive(Arbitrary, Debug)]
enum When {
    Always,
    Named(Name),
    NotBeneath(Place),
    Like(Place),
    Either(Place, Place),
    Overflow,
    InSession,
}

#[derive(Arbitrary, Debug)]
enum Effect {
    Permit,
    Forbid,
}

#[derive(Arbitrary, Debug)]
struct Rule {
    effect: Effect,
    action: Action,
    scope: Scope,
    when: When,
}

#[derive(Arbitrary, Debug)]
enum Attempt {
    Exec(Place),
    Read(Place),
    Write(Place),
    Delete(Place),
    Connect(Place),
    Use(Name),
    Send(Place, Place),
}

#[derive(Arbitrary, Debug)]
struct Case {
    session: Vec<Rule>,
    system: Option<Vec<Rule>>,
    attempts: Vec<Attempt>,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Name::A => "a",
            Name::B => "b",
            Name::Ab => "ab",
        }
    }
}

impl Place {
    fn path(&self) -> String {
        let parts: Vec<&str> = self.0.iter().flatten().map(|name| name.text()).collect();
        format!("/{}", parts.join("/"))
    }

    fn host(&self) -> String {
        let parts: Vec<&str> = self.0.iter().flatten().map(|name| name.text()).collect();
        if parts.is_empty() { "com".to_owned() } else { format!("{}.com", parts.join(".")) }
    }
}

impl Rule {
    fn cedar(&self) -> String {
        let effect = match self.effect {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        };
        let (action, ty) = match self.action {
            Action::Exec => ("action == Action::\"exec\"", "Program"),
            Action::Read => ("action == Action::\"fs.read\"", "Path"),
            Action::Write => ("action == Action::\"fs.write\"", "Path"),
            Action::Change => ("action in [Action::\"fs.write\", Action::\"fs.delete\"]", "Path"),
            Action::Files => ("action in Action::\"fs\"", "Path"),
            Action::Net => ("action in Action::\"net\"", "Endpoint"),
            Action::Send => ("action == Action::\"net.request\"", "Endpoint"),
            Action::Any => ("action", ""),
        };
        let resource = match (&self.scope, ty) {
            (Scope::All, _) | (_, "") => "resource".to_owned(),
            (Scope::Within(place), "Endpoint") => {
                format!("resource in Domain::\"{}\"", place.host())
            }
            (Scope::Is(place), "Endpoint") => {
                format!("resource == Endpoint::\"{}:443\"", place.host())
            }
            (Scope::Within(place), _) => format!("resource in Dir::\"{}\"", place.path()),
            (Scope::Is(place), ty) => format!("resource == {ty}::\"{}\"", place.path()),
        };
        let when = match (&self.when, ty) {
            (When::Always, _) | (_, "") => String::new(),
            (When::InSession, _) => "when { context.session == \"saaaaaaaa\" }".to_owned(),
            (When::Overflow, "Endpoint") => {
                "when { resource is Endpoint && resource.port * 9223372036854775807 > 9 }".to_owned()
            }
            (_, "Endpoint") => "when { context.clock.hour > 9 }".to_owned(),
            (When::Named(name), _) => format!("when {{ resource.name == \"{}\" }}", name.text()),
            (When::NotBeneath(place), _) => {
                format!("when {{ !(resource in Dir::\"{}\") }}", place.path())
            }
            (When::Like(place), _) => {
                format!("when {{ resource.path like \"{}/*\" }}", place.path().trim_end_matches('/'))
            }
            (When::Either(one, two), _) => {
                let (one, two) = (one.path(), two.path());
                format!("unless {{ resource in [Dir::\"{one}\", Dir::\"{two}\"] }}")
            }
            (When::Overflow, _) => {
                "when { resource.name == \"b\" && 9223372036854775807 + 1 > 0 }".to_owned()
            }
        };
        format!("{effect} (principal, {action}, {resource}) {when};\n")
    }
}

impl Attempt {
    fn request(&self) -> Request {
        let path = |place: &Place| AbsolutePath::parse(&place.path()).expect("a path");
        let act = match self {
            Attempt::Exec(place) => {
                let program = path(place);
                let argv = vec![program.as_str().as_bytes().to_vec(), b"push".to_vec()];
                Act::Exec(Exec {
                    identity: FileIdentity { device: 0, inode: 0 },
                    command_line: CommandLine::new(program.file_name(), &argv),
                    cwd: AbsolutePath::root(),
                    program,
                })
            }
            Attempt::Read(place) => Act::Read(path(place)),
            Attempt::Write(place) => Act::Write(path(place)),
            Attempt::Delete(place) => Act::Delete(path(place)),
            Attempt::Connect(place) => {
                Act::Connect(format!("{}:443", place.host()).parse().expect("an endpoint"))
            }
            Attempt::Use(name) => Act::UseSecret(SecretUse {
                secret: name.text().parse().expect("a name"),
                endpoint: None,
                method: "GET".to_owned(),
                path: "/".to_owned(),
            }),
            Attempt::Send(place, target) => {
                let endpoint = format!("{}:443", place.host()).parse().expect("an endpoint");
                let target = target.path();
                let parts = HttpParts { method: "GET", target: &target, headers: &[], size: None };
                Act::Request(HttpRequest::new(endpoint, Scheme::Https, parts).expect("a request"))
            }
        };
        request(act)
    }
}

fn request(act: Act) -> Request {
    Request { agent: Agent("claude".to_owned()), act, process: None }
}

fn facts() -> Facts {
    Facts {
        session: "saaaaaaaa".parse().expect("an id"),
        clock: ClockFact { weekday: 6, hour: 10, minute: 0, date: 20_261_121, zone: "UTC".into() },
        approvals: Default::default(),
        approver_count: 0,
    }
}

fuzz_target!(|case: Case| {
    let text = |rules: &[Rule]| rules.iter().take(24).map(Rule::cedar).collect::<String>();
    let source = |set, rules: &[Rule]| Source {
        set,
        file: "fuzz.cedar".to_owned(),
        text: text(rules),
        approves: Vec::new(),
    };
    let mut sources = vec![source(SetName::User, &case.session)];
    sources.extend(case.system.iter().map(|rules| source(SetName::System, rules)));
    let options = Options { fs_dynamic: FsDynamic::Allowed, ..Options::default() };
    let policy = Policy::load(sources, &options).expect("the rules are well formed");
    let plan = policy.file_plan(&Agent("claude".to_owned()));
    for attempt in case.attempts.iter().take(24) {
        let request = attempt.request();
        let verdict = policy.decide(&request, &facts()).verdict;
        assert_eq!(verdict, policy.decide_by_full_scan(&request, &facts()), "{request:?}");
        let needed = match &request.act {
            Act::Read(path) => Some((path, Access::Read)),
            Act::Write(path) | Act::Delete(path) => Some((path, Access::Write)),
            Act::Exec(_)
            | Act::Connect(_)
            | Act::ConnectUnix(_)
            | Act::Request(_)
            | Act::UseSecret(_) => None,
        };
        if let Some((path, needed)) = needed
            && plan.access(path).0 >= needed
        {
            assert_eq!(verdict, Verdict::Permit, "the plan allows {request:?}");
        }
    }
});
