//! Agents that are servers of tools, as rules leave them out or name them.

use ringfence_core::{Access, Act, Agent, Decide as _, Request, SetName, Verdict};
use ringfence_policy::{Options, Policy};

use crate::support::{connect, facts, options, path, source};

fn with_servers(text: &str) -> Policy {
    let servers = ["files", "shop"].map(|name| name.parse().unwrap()).into();
    let options = Options { servers, ..options() };
    match Policy::load(vec![source(SetName::User, text)], &options) {
        Ok(policy) => policy,
        Err(errors) => panic!("{:#?}", errors.summaries()),
    }
}

fn request(agent: &str, act: Act) -> Request {
    Request { agent: Agent(agent.to_owned()), act, process: None }
}

/// The verdict on an act, which is the same by the index, by a full scan, and by the plan where it is about files.
fn may(policy: &Policy, agent: &str, act: Act) -> bool {
    let request = request(agent, act);
    let verdict = policy.decide(&request, &facts()).verdict;
    assert_eq!(verdict, policy.decide_by_full_scan(&request, &facts()), "{request:?}");
    if let Act::Read(path) = &request.act {
        let (access, _) = policy.file_plan(&request.agent).access(path);
        assert_eq!(access >= Access::Read, verdict == Verdict::Permit, "{request:?}");
    }
    verdict == Verdict::Permit
}

fn read(file: &str) -> Act {
    Act::Read(path(file))
}

#[test]
fn a_permit_that_leaves_servers_out_is_everybody_elses() {
    let policy = with_servers(
        r#"
        permit (principal, action in Action::"fs", resource in Dir::"/home/ada/.claude")
        unless { principal in AgentKind::"tool-server" };
        permit (principal, action == Action::"net.connect", resource == Endpoint::"api.example:443")
        unless { principal in AgentKind::"tool-server" };
        permit (principal == Agent::"files", action == Action::"fs.read", resource in Dir::"/srv/files");
        "#,
    );
    let (login, model) = (read("/home/ada/.claude/x"), connect("api.example:443"));
    for server in ["files", "shop"] {
        assert!(!may(&policy, server, login.clone()) && !may(&policy, server, model.clone()));
    }
    for agent in ["claude", "Files", "files ", "file", "tool-server", ""] {
        assert!(
            may(&policy, agent, login.clone()) && may(&policy, agent, model.clone()),
            "{agent}"
        );
        assert!(!may(&policy, agent, read("/srv/files/x")), "{agent}");
    }
    assert!(may(&policy, "files", read("/srv/files/x")));
    let denied = policy.decide(&request("shop", login), &facts()).grounds.nearest.unwrap();
    assert_eq!(denied.failed, "it is for no server of tools");
    // What is for another server, or for none, and of something else, is not near.
    for (file, failed) in [
        ("/srv/other/x", None),
        ("/home/ada/.claudes/x", None),
        ("/srv/files/x", Some("it is for the server `files`")),
    ] {
        let denied = policy.decide(&request("shop", read(file)), &facts()).grounds.nearest;
        assert_eq!(denied.map(|it| it.failed).as_deref(), failed, "{file}");
    }
}

#[test]
fn rules_for_servers_are_for_no_other_agent() {
    for head in [
        r#"principal in AgentKind::"tool-server""#,
        r#"principal is Agent in AgentKind::"tool-server""#,
    ] {
        let policy = with_servers(&format!(
            "permit (principal, action, resource in Dir::\"/srv\") when {{ resource is Path }};
             permit ({head}, action == Action::\"fs.read\", resource in Dir::\"/opt\");
             forbid ({head}, action in Action::\"fs\", resource in Dir::\"/srv/private\");"
        ));
        assert!(may(&policy, "files", read("/opt/x")) && !may(&policy, "claude", read("/opt/x")));
        let private = read("/srv/private/x");
        assert!(!may(&policy, "files", private.clone()) && may(&policy, "claude", private));
    }
}

#[test]
fn a_kind_that_is_none_is_told_when_the_policy_is_loaded() {
    for (kind, why) in
        [(r#"AgentKind::"tool-sever""#, "tool-sever"), (r#"Agentkind::"tool-server""#, "AgentKind")]
    {
        let text = format!(
            "permit (principal, action == Action::\"exec\", resource) unless {{ principal in {kind} }};"
        );
        let errors = Policy::load(vec![source(SetName::User, &text)], &options()).unwrap_err();
        let said = format!("{:?}", errors.summaries());
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn who_is_a_server_is_part_of_what_a_policy_is() {
    let text = "permit (principal, action, resource);";
    let none = Policy::load(vec![source(SetName::User, text)], &options()).unwrap();
    assert_ne!(none.digest(), with_servers(text).digest());
}
