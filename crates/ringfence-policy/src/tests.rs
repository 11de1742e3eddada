use std::collections::BTreeSet;

use ringfence_core::{
    AbsolutePath, Act, Agent, ClockFact, CommandLine, Decide, Exec, Facts, FileIdentity, Request,
    Verdict,
};

use super::*;

fn source(text: &str) -> Source {
    Source { set: SetName::User, file: "t.cedar".into(), text: text.into(), approves: vec![] }
}

fn facts() -> Facts {
    Facts {
        session: "saaaaaaaa".parse().unwrap(),
        clock: ClockFact { weekday: 6, hour: 10, minute: 0, date: 2026_11_21, zone: "UTC".into() },
        approvals: BTreeSet::new(),
        approver_count: 0,
    }
}

fn request(act: Act) -> Request {
    Request { agent: Agent("claude".into()), act, process: None }
}

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn exec(argv: &[&str]) -> Act {
    let program = path(argv[0]);
    let bytes: Vec<Vec<u8>> = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
    Act::Exec(Exec {
        identity: FileIdentity { device: 0, inode: 0 },
        command_line: CommandLine::new(program.file_name(), &bytes),
        cwd: path("/srv/app"),
        program,
    })
}

#[test]
fn smoke() {
    let text = r#"
        @id("any") permit(principal, action == Action::"exec", resource);
        @id("no-push") @reason("leaves the machine")
        forbid(principal, action == Action::"exec", resource == Program::"/usr/bin/git")
        when { context has subcommand && context.subcommand == "push" }
        unless { context.approvals.contains("owner") };
        permit(principal, action in Action::"fs", resource in Dir::"/srv/app");
        permit(principal, action in Action::"net", resource in Domain::"example.com");
    "#;
    let options =
        Options { roles: vec![Role("dev".into()), Role("owner".into())], ..Options::default() };
    let policy = Policy::load(vec![source(text)], &options).unwrap();
    for act in [
        exec(&["/bin/ls"]),
        exec(&["/usr/bin/git", "push"]),
        Act::Read(path("/srv/app/x")),
        Act::Read(path("/srv/apps/x")),
        Act::Connect("api.example.com:443".parse().unwrap()),
        Act::Connect("example.org:443".parse().unwrap()),
    ] {
        let request = request(act);
        println!("{:?}", policy.decide(&request, &facts()));
        println!("   {:?}", policy.decide_by_full_scan(&request, &facts()));
    }
    let wrong = r#"
        @id("a") @resaon("x") permit(principal, action == Action::"fs.wirte", resource);
        permit(principal, action == Action::"fs.read", resource in Dir::"/srv/")
          when { resource.pth == "x" };
        permit(principal, action == Action::"fs.read", resource in Dri::"/srv");
        forbid(principal, action, resource) when { context.clock.hour > 20 };
        permit(principal, action == Action::"exec", resource) unless { context.approvals.contains("x") };
    "#;
    for problem in Policy::load(vec![source(wrong)], &options).unwrap_err().problems() {
        println!("{problem} {:?}", problem.summary().hint);
    }
    let wrong = "permit(principal, action == Action::\"exec\", resource) when { context.argv == };\n permit(principal action, resource);";
    for problem in Policy::load(vec![source(wrong)], &options).unwrap_err().problems() {
        println!("{problem} {:?}", problem.summary().hint);
    }
}
