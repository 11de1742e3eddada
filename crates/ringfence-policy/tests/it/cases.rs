//! The example policies with their cases, and cases that must fail.

use expect_test::expect;
use ringfence_core::SetName;
use ringfence_policy::cases;

use crate::support::{load, policy, source};

fn example(text: &str, table: &str) {
    let report = cases::run(&load(vec![source(SetName::Project, text)]), table).unwrap();
    let wrong: Vec<_> = report.results.iter().filter(|result| result.wrong.is_some()).collect();
    assert!(report.is_complete(), "{wrong:#?} {:#?}", report.unhit);
    assert!(report.passed() > 0);
}

#[test]
fn the_examples_pass_their_cases_and_hit_every_rule() {
    example(
        include_str!("../../examples/quickstart.cedar"),
        include_str!("../../examples/quickstart.toml"),
    );
    example(
        include_str!("../../examples/coding-agent.cedar"),
        include_str!("../../examples/coding-agent.toml"),
    );
    example(
        include_str!("../../examples/system-ceiling.cedar"),
        include_str!("../../examples/system-ceiling.toml"),
    );
}

#[test]
fn a_wrong_expectation_and_an_unhit_rule_are_reported() {
    let policy = policy(
        r#"@id("a") permit(principal, action == Action::"exec", resource in Dir::"/bin");
        @id("b") permit(principal, action == Action::"net.connect", resource);"#,
    );
    let table = r#"
        [[case]]
        name = "ls"
        action = "exec"
        resource = "/bin/ls"
        expect = "deny"
        [[case]]
        name = "why"
        action = "exec"
        resource = "/bin/ls"
        expect = "permit"
        because = "b"
        [[case]]
        name = "read"
        action = "fs.read"
        resource = "/x"
        expect = "permit"
    "#;
    let report = cases::run(&policy, table).unwrap();
    assert_eq!((report.passed(), report.failed()), (0, 3));
    let wrong: Vec<String> =
        report.results.iter().filter_map(|result| result.wrong.clone()).collect();
    expect![[r#"
        expected deny, got permit because of `a`
        expected permit because of `b`, got it because of `a`
        expected permit, got deny because no permit matches"#]]
    .assert_eq(&wrong.join("\n"));
    assert_eq!(report.unhit[0].id, "b");
}

#[test]
fn a_permit_that_asks_is_hit_by_the_case_that_is_asked_about() {
    let policy = policy(
        r#"@id("reads") permit(principal, action == Action::"fs.read", resource in Dir::"/out");
        @id("asks") permit(principal, action == Action::"fs.write", resource in Dir::"/out")
        when { context.approvals.contains("owner") };"#,
    );
    let table = r#"
        [[case]]
        name = "read"
        action = "fs.read"
        resource = "/out/a"
        expect = "permit"
        [[case]]
        name = "write"
        action = "fs.write"
        resource = "/out/a"
        expect = "ask"
        because = "asks"
    "#;
    let report = cases::run(&policy, table).unwrap();
    assert!(report.is_complete(), "{report:#?}");
    let denied = table.replace("fs.write", "fs.delete").replace("\"ask\"", "\"deny\"");
    let report = cases::run(&policy, &denied).unwrap();
    assert_eq!(report.unhit.len(), 1, "what is merely near is not hit: {report:#?}");
}

#[test]
fn a_grant_needs_no_case() {
    let grant = r#"@id("g-1") permit(principal, action == Action::"exec", resource);"#;
    let policy = load(vec![source(SetName::Grants, grant)]);
    assert!(cases::run(&policy, "").unwrap().unhit.is_empty());
}

#[test]
fn a_case_that_makes_no_sense_is_refused() {
    let policy = policy("");
    let refused = |keys: &str| {
        let table = format!("[[case]]\nname = \"x\"\nexpect = \"deny\"\n{keys}");
        cases::run(&policy, &table).unwrap_err().to_string()
    };
    let text = [
        refused("action = \"fs.raed\"\nresource = \"/x\""),
        refused("action = \"fs.read\"\nresource = \"x\""),
        refused("action = \"fs.read\"\nresource = \"/x\"\nargv = []"),
        refused("action = \"net.connect\"\nresource = \"host\""),
        refused("action = \"exec\"\nresource = \"/x\"\ntime = \"2026-02-30T10:00\""),
        refused("action = \"exec\"\nresource = \"/x\"\nweekday = 8"),
        refused("action = \"exec\"\nresource = \"/x\"\nsession = \"X\""),
    ];
    expect![[r#"
        case `x`: unknown action `fs.raed`
        case `x`: path `x` is not absolute
        case `x`: `argv` belongs to `exec` only
        case `x`: `host` is not HOST:PORT
        case `x`: `2026-02-30T10:00` is not a time like `2026-11-23T10:00`
        case `x`: `8` is not a weekday from 1 (Monday) to 7
        case `x`: `X` is not a session's name"#]]
    .assert_eq(&text.join("\n"));
    assert!(refused("action = \"exec\"\nresuorce = \"/x\"").contains("resuorce"));
    assert!(cases::run(&policy, "[[case]").is_err());
}

#[test]
fn weekdays_follow_from_dates() {
    let policy = policy(
        r#"permit(principal, action == Action::"exec", resource) when { context.clock.weekday == 6 };"#,
    );
    for (time, expect) in [
        ("2026-11-21T10:00", "permit"),
        ("2026-11-22T10:00", "deny"),
        ("2024-02-29T10:00", "deny"),
        ("2024-03-02T23:59", "permit"),
        ("2000-01-01T00:00", "permit"),
    ] {
        let table = format!(
            "[[case]]\nname = \"x\"\naction = \"exec\"\nresource = \"/x\"\ntime = \"{time}\"\nexpect = \"{expect}\""
        );
        assert_eq!(cases::run(&policy, &table).unwrap().failed(), 0, "{time}");
    }
}
