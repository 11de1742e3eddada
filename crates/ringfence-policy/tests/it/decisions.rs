//! What is permitted, asked and denied.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use ringfence_core::{Act, Agent, Decide, Role, SecretUse, SetName, Verdict};
use ringfence_policy::{FsDynamic, Options, Policy, Source, validation_key};

use crate::support::{connect, exec, facts, load, options, path, policy, request, source, verdict};

const PUSH: &str = r#"
@id("any-program") permit(principal, action == Action::"exec", resource);
@id("no-push") @reason("leaves the machine")
forbid(principal, action == Action::"exec", resource == Program::"/usr/bin/git")
when { context has subcommand && context.subcommand == "push" }
unless { context.approvals.contains("owner") };
"#;

fn check(policy: &Policy, act: Act, expected: &Expect) {
    let ruling = policy.decide(&request(act), &facts());
    let mut text = format!("{:?}\n", ruling.verdict);
    for rule in &ruling.grounds.rules {
        writeln!(text, "{:?} {}:{} {} {:?}", rule.set, rule.file, rule.line, rule.id, rule.reason)
            .unwrap();
    }
    if let Some(nearest) = &ruling.grounds.nearest {
        writeln!(text, "nearest {}: {}", nearest.rule.id, nearest.failed).unwrap();
    }
    if let Some(failure) = &ruling.grounds.failure {
        writeln!(text, "failure {failure}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn an_empty_policy_denies_everything() {
    let policy = policy("");
    for act in [exec(&["/bin/ls"]), Act::Read(path("/")), connect("example.com:443")] {
        check(&policy, act, &expect![["Deny\n"]]);
    }
}

#[test]
fn a_forbid_overrides_a_permit_and_asks_where_an_approval_would_lift_it() {
    check(
        &policy(PUSH),
        exec(&["/usr/bin/git", "push"]),
        &expect![[r#"
        Ask(AskFor { roles: {Role("owner")}, people: 1 })
        User test.cedar:3 no-push Some("leaves the machine")
    "#]],
    );
    check(
        &policy(PUSH),
        exec(&["/usr/bin/git", "-c", "a=b", "push"]),
        &expect![[r#"
        Ask(AskFor { roles: {Role("owner")}, people: 1 })
        User test.cedar:3 no-push Some("leaves the machine")
    "#]],
    );
    check(
        &policy(PUSH),
        exec(&["/usr/bin/git", "status"]),
        &expect![[r#"
        Permit
        User test.cedar:2 any-program None
    "#]],
    );
}

#[test]
fn an_approval_by_another_role_does_not_help() {
    let policy = policy(PUSH);
    let mut facts = facts();
    facts.approvals.insert(Role("dev".to_owned()));
    facts.approver_count = 1;
    let push = request(exec(&["/usr/bin/git", "push"]));
    assert!(matches!(policy.decide(&push, &facts).verdict, Verdict::Ask(_)));
    facts.approvals.insert(Role("owner".to_owned()));
    assert_eq!(policy.decide(&push, &facts).verdict, Verdict::Permit);
}

#[test]
fn a_forbid_without_approvals_is_not_askable() {
    let policy = policy(
        r#"permit(principal, action == Action::"exec", resource);
        @id("never") forbid(principal, action == Action::"exec", resource == Program::"/bin/su");
        @id("owner") forbid(principal, action == Action::"exec", resource in Dir::"/bin")
        unless { context.approvals.contains("owner") };"#,
    );
    assert_eq!(verdict(&policy, exec(&["/bin/su"])), "deny");
    assert_eq!(verdict(&policy, exec(&["/bin/ls"])), "ask owner x1");
}

#[test]
fn roles_that_settings_do_not_declare_cannot_be_asked() {
    let text = r#"permit(principal, action == Action::"exec", resource)
        when { context.approvals.contains("stranger") };"#;
    assert_eq!(verdict(&policy(text), exec(&["/bin/ls"])), "deny");
    let none = Policy::load(vec![source(SetName::User, PUSH)], &Options::default()).unwrap();
    assert_eq!(verdict(&none, exec(&["/usr/bin/git", "push"])), "deny");
}

#[test]
fn the_smallest_set_of_roles_and_people_is_asked() {
    let text = r#"permit(principal, action == Action::"net.connect", resource)
        when { context.approvals.contains("owner") && context.approvals.contains("dev")
               || context.approvals.contains("oncall") && context.approver_count >= 2 };"#;
    assert_eq!(verdict(&policy(text), connect("example.com:443")), "ask oncall x2");
    let text = r#"permit(principal, action == Action::"net.connect", resource)
        when { context.approvals.containsAll(["owner", "dev"]) };"#;
    assert_eq!(verdict(&policy(text), connect("example.com:443")), "ask dev+owner x1");
    let text = r#"permit(principal, action == Action::"net.connect", resource)
        when { context.approver_count >= 4 };"#;
    assert_eq!(verdict(&policy(text), connect("example.com:443")), "deny");
}

#[test]
fn the_system_ceiling_must_allow_too() {
    let user = source(SetName::User, r"permit(principal, action, resource);");
    let ceiling = |text| load(vec![user.clone(), source(SetName::System, text)]);
    let empty = ceiling("");
    assert_eq!(verdict(&empty, exec(&["/bin/ls"])), "deny");
    let system = ceiling(
        r#"@id("sys") permit(principal, action == Action::"exec", resource in Dir::"/usr/bin");"#,
    );
    assert_eq!(verdict(&system, exec(&["/usr/bin/ls"])), "permit");
    check(
        &system,
        exec(&["/opt/ls"]),
        &expect![[r#"
        Deny
        nearest sys: program is not below `/usr/bin`
    "#]],
    );
    let asks = ceiling(
        r#"permit(principal, action == Action::"exec", resource)
        when { context.approvals.contains("owner") };"#,
    );
    assert_eq!(verdict(&asks, exec(&["/bin/ls"])), "ask owner x1");
}

#[test]
fn a_ceiling_alone_permits_nothing() {
    let policy = load(vec![source(SetName::System, "permit(principal, action, resource);")]);
    assert_eq!(verdict(&policy, exec(&["/bin/ls"])), "deny");
}

#[test]
fn an_untrusted_project_can_forbid_and_not_permit() {
    let project = source(
        SetName::UntrustedProject,
        r#"@id("wide") permit(principal, action, resource);
        @id("mine") forbid(principal, action, resource in Dir::"/srv/app/secret");"#,
    );
    let alone = load(vec![project.clone()]);
    assert_eq!(verdict(&alone, Act::Read(path("/etc/passwd"))), "deny");
    assert_eq!(alone.lints()[0].rule.id, "wide");
    let user = source(SetName::User, "permit(principal, action in Action::\"fs\", resource);");
    let both = load(vec![user, project]);
    assert_eq!(verdict(&both, Act::Read(path("/srv/app/x"))), "permit");
    assert_eq!(verdict(&both, Act::Read(path("/srv/app/secret/x"))), "deny");
}

#[test]
fn an_evaluation_error_is_a_denial_that_names_the_rule() {
    let policy = policy(
        r#"permit(principal, action == Action::"net.connect", resource);
        @id("sum") forbid(principal, action == Action::"net.connect", resource is Endpoint)
        when { resource.port + 9223372036854775807 < 0 };"#,
    );
    check(
        &policy,
        connect("example.com:443"),
        &expect![[r#"
        Deny
        failure rule `sum` (test.cedar:2) could not be evaluated: integer overflow while attempting to add the values `443` and `9223372036854775807`
    "#]],
    );
}

#[test]
fn a_grant_is_also_an_approval_by_its_author() {
    let grant = Source {
        approves: vec![Role("owner".to_owned())],
        ..source(
            SetName::Grants,
            r#"@id("g1") permit(principal, action == Action::"exec", resource == Program::"/usr/bin/git")
            when { context has subcommand && context.subcommand == "push" };"#,
        )
    };
    let user = source(SetName::User, PUSH);
    let policy = load(vec![user.clone(), grant.clone()]);
    assert_eq!(verdict(&policy, exec(&["/usr/bin/git", "push"])), "permit");
    let weak = Source { approves: vec![Role("dev".to_owned())], ..grant };
    let policy = load(vec![user, weak]);
    assert_eq!(verdict(&policy, exec(&["/usr/bin/git", "push"])), "ask owner x1");
}

#[test]
fn a_grant_counts_as_one_person_only() {
    let grant = Source {
        approves: vec![Role("owner".to_owned()), Role("oncall".to_owned())],
        ..source(SetName::Grants, r#"permit(principal, action == Action::"exec", resource);"#)
    };
    let user = source(
        SetName::User,
        r#"forbid(principal, action == Action::"exec", resource)
        unless { context.approver_count >= 2 };"#,
    );
    assert_eq!(verdict(&load(vec![user, grant]), exec(&["/bin/ls"])), "ask dev x2");
}

#[test]
fn a_denial_by_default_names_the_nearest_permit_and_what_it_lacked() {
    let policy = policy(
        r#"@id("api") permit(principal, action == Action::"net.connect", resource == Endpoint::"api.example.com:443");
        @id("src") permit(principal, action == Action::"fs.read", resource in Dir::"/srv/app/src");
        @id("other") permit(principal == Agent::"codex", action == Action::"exec", resource == Program::"/bin/cat");
        @id("day") permit(principal, action == Action::"exec", resource in Dir::"/usr/bin")
        when { context.cwd like "/srv/*" && context.clock.weekday <= 5 };"#,
    );
    check(
        &policy,
        connect("api.example.com:80"),
        &expect![[r#"
        Deny
        nearest api: port differs: it permits `api.example.com:443`
    "#]],
    );
    check(
        &policy,
        connect("www.example.com:443"),
        &expect![[r#"
        Deny
        nearest api: host differs: it permits `api.example.com:443`
    "#]],
    );
    check(
        &policy,
        Act::Read(path("/srv/app/README")),
        &expect![[r#"
        Deny
        nearest src: path is not below `/srv/app/src`
    "#]],
    );
    check(
        &policy,
        exec(&["/bin/cat"]),
        &expect![[r#"
        Deny
        nearest other: it is for agent `codex`
    "#]],
    );
    check(
        &policy,
        exec(&["/usr/bin/make"]),
        &expect![[r#"
        Deny
        nearest day: `context.clock.weekday <= 5` is false
    "#]],
    );
}

#[test]
fn what_is_for_another_and_for_something_else_is_not_near() {
    let read = |file: &str| Act::Read(path(file));
    let others = r#"@id("other") permit(principal == Agent::"codex", action == Action::"fs.read", resource in Dir::"/srv/app");
        @id("same") permit(principal == Agent::"codex", action == Action::"fs.read", resource in Dir::"/srv");
        @id("third") permit(principal == Agent::"third", action == Action::"fs.read", resource in Dir::"/srv/apps");
        @id("servers") permit(principal in AgentKind::"tool-server", action == Action::"fs.read", resource in Dir::"/srv/appl");
        @id("when") permit(principal, action == Action::"fs.read", resource in Dir::"/srv/applic")
        when { principal in AgentKind::"tool-server" };"#;
    let alone = policy(others);
    check(&alone, read("/opt/application"), &expect![["Deny\n"]]);
    check(
        &alone,
        read("/srv/application"),
        &expect![[r#"
        Deny
        nearest same: it is for agent `codex`
    "#]],
    );
    let own =
        r#"@id("own") permit(principal, action == Action::"fs.read", resource in Dir::"/home");"#;
    let with_own = policy(&format!("{others}{own}"));
    check(
        &with_own,
        read("/opt/application"),
        &expect![[r#"
        Deny
        nearest own: path is not below `/home`
    "#]],
    );
}

#[test]
fn of_permits_on_the_same_place_the_nearest_lacks_least() {
    let policy = policy(
        r#"@id("reads") @reason("orders are read only") permit(principal, action == Action::"exec", resource == Program::"/bin/api")
        when { context.cwd like "/srv/*" && context.clock.weekday <= 7 };
        @id("posts") permit(principal, action == Action::"exec", resource == Program::"/bin/api")
        when { context.cwd like "/opt/*" && context.clock.weekday > 7 };
        @id("also") permit(principal, action == Action::"exec", resource == Program::"/bin/api")
        when { context.cwd like "/opt/*" } unless { context.clock.weekday <= 7 };"#,
    );
    let mut act = exec(&["/bin/api"]);
    if let Act::Exec(exec) = &mut act {
        exec.cwd = path("/opt2");
    }
    let ruling = policy.decide(&request(act), &facts());
    let nearest = ruling.grounds.nearest.unwrap();
    assert_eq!(nearest.rule.id, "reads", "{}", nearest.failed);
    assert_eq!(nearest.rule.reason.as_deref(), Some("orders are read only"));
}

#[test]
fn a_permit_of_another_secret_is_not_near() {
    let use_of = |name: &str| {
        Act::UseSecret(SecretUse {
            secret: name.parse().unwrap(),
            endpoint: None,
            method: "gpg-sign".to_owned(),
            path: "x".to_owned(),
        })
    };
    let policy = policy(
        r#"@id("other") permit(principal, action == Action::"secret.use", resource == Secret::"model");
        @id("codex") permit(principal == Agent::"codex", action == Action::"secret.use", resource == Secret::"orders");"#,
    );
    check(&policy, use_of("models"), &expect![["Deny\n"]]);
    check(
        &policy,
        use_of("orders"),
        &expect![[r#"
        Deny
        nearest codex: it is for agent `codex`
    "#]],
    );
}

#[test]
fn a_domain_holds_its_hosts_and_nothing_that_only_looks_alike() {
    let policy = policy(
        r#"permit(principal, action == Action::"net.connect", resource in Domain::"example.com");"#,
    );
    assert_eq!(verdict(&policy, connect("example.com:443")), "permit");
    assert_eq!(verdict(&policy, connect("a.b.example.com:80")), "permit");
    for host in ["badexample.com:443", "example.com.evil.org:443", "com:443", "192.0.2.1:443"] {
        assert_eq!(verdict(&policy, connect(host)), "deny", "{host}");
    }
}

#[test]
fn a_directory_holds_itself_and_nothing_that_only_begins_alike() {
    let policy =
        policy(r#"permit(principal, action == Action::"fs.read", resource in Dir::"/srv/app");"#);
    for inside in ["/srv/app", "/srv/app/a/b"] {
        assert_eq!(verdict(&policy, Act::Read(path(inside))), "permit", "{inside}");
    }
    for outside in ["/srv", "/", "/srv/application", "/srv/app2/x", "/x/srv/app"] {
        assert_eq!(verdict(&policy, Act::Read(path(outside))), "deny", "{outside}");
    }
    assert_eq!(verdict(&policy, Act::Write(path("/srv/app/a"))), "deny");
    assert_eq!(verdict(&policy, exec(&["/srv/app/a"])), "deny");
}

#[test]
fn a_very_long_agent_name_is_denied_and_a_long_command_line_is_opaque() {
    let policy = policy(
        r#"permit(principal, action == Action::"exec", resource);
        forbid(principal, action == Action::"exec", resource) when { context.opaque };"#,
    );
    let mut long = request(exec(&["/bin/ls"]));
    long.agent = Agent("a".repeat(100_000));
    assert!(policy.decide(&long, &facts()).grounds.failure.is_some());
    let megabyte = "x".repeat(1024 * 1024);
    assert_eq!(verdict(&policy, exec(&["/bin/echo", &megabyte])), "deny");
    assert_eq!(verdict(&policy, exec(&["/bin/echo", "x"])), "permit");
}

#[test]
fn file_rules_may_ask_and_look_at_other_facts_only_where_settings_allow_it() {
    let text = r#"permit(principal, action == Action::"fs.read", resource in Dir::"/srv")
        when { context.approvals.contains("owner") };"#;
    let asking = policy(text);
    assert_eq!(verdict(&asking, Act::Read(path("/srv/x"))), "ask owner x1");
    for denied in [Act::Read(path("/x")), Act::Write(path("/srv/x")), Act::Delete(path("/srv/x"))] {
        assert_eq!(verdict(&asking, denied), "deny");
    }
    assert!(asking.file_plan(&Agent("claude".to_owned())).rules.is_empty());
    let by_day = text.replace("owner\")", "owner\") && context.clock.hour > 8");
    assert!(Policy::load(vec![source(SetName::User, &by_day)], &options()).is_err());
    let dynamic = Options { fs_dynamic: FsDynamic::Allowed, ..options() };
    let policy = Policy::load(vec![source(SetName::User, &by_day)], &dynamic).unwrap();
    assert_eq!(verdict(&policy, Act::Read(path("/srv/x"))), "ask owner x1");
    assert!(policy.file_plan(&Agent("claude".to_owned())).asked.is_empty());
}

#[test]
fn an_explanation_holds_every_set_and_a_remedy_that_works() {
    let policy = policy(PUSH);
    let explained = policy.explain(&request(exec(&["/usr/bin/git", "push"])), &facts());
    assert_eq!(explained.sets[0].forbids[0].id, "no-push");
    let text = serde_json::to_string(&explained.remedy).unwrap();
    expect![[r#"{"approvals":{"roles":["owner"],"people":1}}"#]].assert_eq(&text);
    let denied = policy.explain(&request(connect("example.com:443")), &facts());
    let text = serde_json::to_string(&denied.remedy).unwrap();
    expect![[r#"{"grant":"net:example.com:443"}"#]].assert_eq(&text);
}

#[test]
fn no_grant_is_offered_against_a_forbid_or_a_ceiling() {
    let forbid = policy("forbid(principal, action in Action::\"net\", resource);");
    let net = request(connect("example.com:443"));
    assert_eq!(forbid.explain(&net, &facts()).remedy, None);
    let ceiling = load(vec![source(SetName::System, "")]);
    assert_eq!(ceiling.explain(&net, &facts()).remedy, None);
}

#[test]
fn the_digest_changes_with_text_set_roles_and_options() {
    let base = policy(PUSH);
    let others = [
        policy(&format!("{PUSH}\n")),
        load(vec![source(SetName::Project, PUSH)]),
        Policy::load(vec![source(SetName::User, PUSH)], &Options::default()).unwrap(),
    ];
    for other in &others {
        assert_ne!(base.digest(), other.digest());
    }
    assert_eq!(base.digest(), policy(PUSH).digest());
}

#[test]
fn exec_needs_no_verification_only_where_every_program_may_run() {
    assert!(policy(PUSH).exec_needs_verification());
    let by_path = r#"permit(principal, action == Action::"exec", resource in Dir::"/usr/bin");"#;
    assert!(policy(by_path).exec_needs_verification());
    let all = r#"permit(principal, action == Action::"exec", resource);"#;
    assert!(!policy(all).exec_needs_verification());
}

#[test]
fn a_built_in_rule_that_hides_a_directory_needs_no_verification_and_any_other_rule_does() {
    let all = r#"permit(principal, action == Action::"exec", resource);"#;
    let hides = r#"forbid(principal, action, resource in Dir::"/srv/own");"#;
    let needed = |set: SetName, rule: &str| {
        let rule = format!("@id(\"own\")\n{rule}");
        load(vec![source(SetName::User, all), source(set, &rule)]).exec_needs_verification()
    };
    assert!(!needed(SetName::BuiltIn, hides));
    for set in [SetName::User, SetName::Project, SetName::Grants, SetName::System] {
        assert!(needed(set, hides), "{set:?}");
    }
    for stays_visible in [
        r#"forbid(principal, action == Action::"exec", resource in Dir::"/srv/own");"#,
        r#"forbid(principal, action, resource);"#,
        r#"forbid(principal, action, resource in Dir::"/srv/own") when { resource has name };"#,
        r#"forbid(principal == Agent::"a", action, resource in Dir::"/srv/own");"#,
    ] {
        assert!(needed(SetName::BuiltIn, stays_visible), "{stays_visible}");
    }
}

#[test]
fn what_was_validated_before_is_not_validated_again_and_an_error_in_it_still_denies() {
    let text = r#"permit (principal, action == Action::"exec", resource) when { resource.pth == "/bin/sh" };"#;
    let sources = || vec![source(SetName::User, text)];
    assert!(Policy::load(sources(), &options()).is_err());
    let validated = [validation_key(text, &[])].into();
    let policy = Policy::load(sources(), &Options { validated, ..options() }).unwrap();
    let ruling = policy.decide(&request(exec(&["/bin/sh"])), &facts());
    assert_eq!(ruling.verdict, Verdict::Deny);
    let other = [validation_key(&format!("{text} "), &[])].into();
    assert!(Policy::load(sources(), &Options { validated: other, ..options() }).is_err());
}
