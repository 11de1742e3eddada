//! What a policy means for files, and what is said about the rest.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use ringfence_core::{Action, Agent, SetName};
use ringfence_policy::{FsDynamic, LintKind, Options, Policy};

use crate::support::{load, options, policy, source};

fn agent() -> Agent {
    Agent("claude".to_owned())
}

fn check(policy: &Policy, expected: &Expect) {
    let plan = policy.file_plan(&agent());
    let mut text = String::new();
    for rule in &plan.rules {
        let alone = if plan.is_exact(&rule.path) { " alone" } else { "" };
        let because = rule.because.as_ref().map_or("-", |rule| rule.id.as_str());
        writeln!(text, "{:?}{alone} {} {because}", rule.access, rule.path).unwrap();
    }
    for place in &plan.asked {
        let because = place.because.as_ref().map_or("-", |rule| rule.id.as_str());
        let names =
            |acts: &[Action]| acts.iter().map(|act| act.name()).collect::<Vec<_>>().join(" ");
        let (asks, acts) = (names(&place.asks), names(&place.acts));
        writeln!(text, "asks [{asks}] of [{acts}] {} {because}", place.path).unwrap();
    }
    for note in &plan.left_out {
        writeln!(text, "left out {note}").unwrap();
    }
    expected.assert_eq(&text);
}

#[test]
fn forbids_beneath_permits_become_nested_rules() {
    let policy = policy(
        r#"@id("app") permit(principal, action in Action::"fs", resource in Dir::"/srv/app");
        @id("hooks") forbid(principal, action in [Action::"fs.write", Action::"fs.delete"], resource in Dir::"/srv/app/.git/hooks");
        @id("env") forbid(principal, action in Action::"fs", resource == Path::"/srv/app/.env");
        @id("etc") permit(principal, action == Action::"fs.read", resource == Path::"/etc/hosts");
        @id("lib") permit(principal, action == Action::"fs.read", resource in Dir::"/usr/lib");"#,
    );
    check(
        &policy,
        &expect![[r#"
        Read alone /etc/hosts etc
        Write /srv/app app
        Hidden /srv/app/.env env
        Read /srv/app/.git/hooks hooks
        Read /usr/lib lib
    "#]],
    );
}

#[test]
fn what_a_permit_names_is_known_also_where_another_permits_it_anyway() {
    let policy = policy(
        r#"permit(principal, action == Action::"fs.read", resource in Dir::"/h");
        permit(principal, action == Action::"fs.read", resource == Path::"/h/.ssh/known_hosts");
        permit(principal == Agent::"other", action == Action::"fs.read", resource in Dir::"/h/.aws");
        permit(principal, action == Action::"net.connect", resource);
        permit(principal, action == Action::"fs.write", resource in Dir::"/h/w")
        unless { resource in Dir::"/h/w/not" };
        permit(principal, action == Action::"fs.write", resource == Path::"/h/w");
        forbid(principal, action == Action::"fs.write", resource in Dir::"/h/.kube");"#,
    );
    let named: Vec<String> = policy
        .permitted_by_name(&agent())
        .into_iter()
        .map(|(path, reach)| format!("{path} {reach:?}"))
        .collect();
    assert_eq!(named, ["/h Beneath", "/h/.ssh/known_hosts Alone", "/h/w Beneath"]);
}

#[test]
fn writing_needs_all_three_actions() {
    let policy = policy(
        r#"@id("w") permit(principal, action in [Action::"fs.read", Action::"fs.write"], resource in Dir::"/a");
        @id("d") permit(principal, action == Action::"fs.delete", resource in Dir::"/b");"#,
    );
    check(
        &policy,
        &expect![[r#"
            Read /a w
            left out `d` (test.cedar:2): `/b` stays hidden, because `fs.read` and `fs.write` are not permitted
            left out `w` (test.cedar:1): `/a` stays read-only, because `fs.delete` is not permitted
        "#]],
    );
}

#[test]
fn a_forbid_that_cannot_be_compiled_drops_what_it_could_overlap() {
    let policy = policy(
        r#"@id("app") permit(principal, action in Action::"fs", resource in Dir::"/srv/app");
        @id("lib") permit(principal, action == Action::"fs.read", resource in Dir::"/usr/lib");
        @id("keys") forbid(principal, action in Action::"fs", resource in Dir::"/srv/app/src")
        when { resource.path like "*.key" };"#,
    );
    check(
        &policy,
        &expect![[r#"
        Write /srv/app app
        Hidden /srv/app/src keys
        Read /usr/lib lib
        left out `app` (test.cedar:1): `fs.delete` of `/srv/app/src` is dropped, because `keys` (test.cedar:3) may forbid it: `resource.path like "*.key"` is not known beforehand
        left out `app` (test.cedar:1): `fs.read` of `/srv/app/src` is dropped, because `keys` (test.cedar:3) may forbid it: `resource.path like "*.key"` is not known beforehand
        left out `app` (test.cedar:1): `fs.write` of `/srv/app/src` is dropped, because `keys` (test.cedar:3) may forbid it: `resource.path like "*.key"` is not known beforehand
    "#]],
    );
}

#[test]
fn a_permit_that_depends_on_the_file_or_on_time_is_left_out() {
    let text = r#"@id("md") permit(principal, action == Action::"fs.read", resource) when { resource.path like "*.md" };
        @id("day") permit(principal, action == Action::"fs.read", resource in Dir::"/a") when { context.clock.hour > 8 };"#;
    let dynamic = Options { fs_dynamic: FsDynamic::Allowed, ..options() };
    let policy = Policy::load(vec![source(SetName::User, text)], &dynamic).unwrap();
    check(
        &policy,
        &expect![[r#"
        left out `day` (test.cedar:2): its `fs.read` depends on `context.clock.hour > 8`, which is not known beforehand
        left out `md` (test.cedar:1): its `fs.read` depends on `resource.path like "*.md"`, which is not known beforehand
    "#]],
    );
}

#[test]
fn what_is_asked_about_is_no_mount_and_a_place_of_its_own() {
    let policy = policy(
        r#"@id("app") permit(principal, action in Action::"fs", resource in Dir::"/srv/app");
        @id("ask-delete") forbid(principal, action == Action::"fs.delete", resource)
        unless { context.approvals.contains("owner") };
        @id("ask-env") forbid(principal, action in Action::"fs", resource == Path::"/srv/app/.env")
        unless { context.approvals.contains("owner") };
        @id("never") forbid(principal, action in Action::"fs", resource in Dir::"/srv/app/never");
        @id("ask-notes") permit(principal, action == Action::"fs.read", resource in Dir::"/srv/notes")
        when { context.approver_count >= 1 };
        @id("free") permit(principal, action == Action::"fs.read", resource in Dir::"/srv/notes/free");"#,
    );
    check(
        &policy,
        &expect![[r#"
        Read /srv/app app
        Hidden /srv/app/.env ask-env
        Hidden /srv/app/never never
        Read /srv/notes/free free
        asks [fs.delete] of [fs.read fs.write fs.delete] /srv/app ask-delete
        asks [] of [] /srv/app/never -
        asks [fs.read] of [fs.read] /srv/notes ask-notes
        asks [] of [] /srv/notes/free -
    "#]],
    );
}

#[test]
fn files_in_general_and_what_nobody_can_approve_are_not_asked_about() {
    let all = r#"@id("all") permit(principal, action, resource)
        when { context.approvals.contains("owner") };"#;
    check(
        &policy(all),
        &expect![[r#"
        left out files in general are not asked about: name the file or the directory
    "#]],
    );
    let nobody = Policy::load(vec![source(SetName::User, all)], &Options::default()).unwrap();
    check(&nobody, &expect![[r#""#]]);
    let ceiling = r#"permit(principal, action == Action::"exec", resource);"#;
    let beneath = r#"permit(principal, action in Action::"fs", resource in Dir::"/srv/app")
        when { context.approvals.contains("owner") };"#;
    check(
        &load(vec![source(SetName::User, beneath), source(SetName::System, ceiling)]),
        &expect![[r#""#]],
    );
}

#[test]
fn a_ceiling_cuts_the_plan() {
    let policy = load(vec![
        source(SetName::User, r#"@id("all") permit(principal, action in Action::"fs", resource);"#),
        source(
            SetName::System,
            r#"@id("srv") permit(principal, action in Action::"fs", resource in Dir::"/srv");
            @id("ro") permit(principal, action == Action::"fs.read", resource);
            @id("no") forbid(principal, action in Action::"fs", resource in Dir::"/srv/secret");"#,
        ),
    ]);
    check(
        &policy,
        &expect![[r#"
        Read / ro
        Write /srv all
        Hidden /srv/secret no
    "#]],
    );
}

#[test]
fn rules_for_another_agent_do_not_count() {
    let policy = policy(
        r#"permit(principal == Agent::"codex", action in Action::"fs", resource in Dir::"/a");
        forbid(principal == Agent::"codex", action in Action::"fs", resource in Dir::"/b");
        @id("b") permit(principal, action == Action::"fs.read", resource in Dir::"/b");"#,
    );
    check(
        &policy,
        &expect![[r#"
        Read /b b
    "#]],
    );
}

#[test]
fn a_rule_that_could_err_denies_wherever_it_applies() {
    let policy = policy(
        r#"@id("a") permit(principal, action in Action::"fs", resource in Dir::"/a");
        @id("sum") permit(principal, action in Action::"fs", resource in Dir::"/a/b")
        when { 9223372036854775807 + 1 > 0 };"#,
    );
    check(
        &policy,
        &expect![[r#"
        Write /a a
        Hidden /a/b sum
        left out `sum` (test.cedar:2): its `fs.delete` depends on `(9223372036854775807 + 1) > 0`, which is not known beforehand
        left out `sum` (test.cedar:2): its `fs.read` depends on `(9223372036854775807 + 1) > 0`, which is not known beforehand
        left out `sum` (test.cedar:2): its `fs.write` depends on `(9223372036854775807 + 1) > 0`, which is not known beforehand
    "#]],
    );
}

#[test]
fn lints_say_what_is_not_a_wall() {
    let policy = policy(
        r#"@id("all") permit(principal, action, resource);
        @id("curl") forbid(principal, action == Action::"exec", resource == Program::"/usr/bin/curl");
        @id("nc") forbid(principal, action == Action::"exec", resource == Program::"/usr/bin/nc");
        forbid(principal, action == Action::"fs.read", resource == Path::"/usr/bin/nc");
        @id("dead") permit(principal, action == Action::"exec", resource == Program::"/usr/bin/nc");
        @id("text") forbid(principal, action == Action::"exec", resource) when { context.argv like "*rm -rf*" };
        @id("by-name") forbid(principal, action == Action::"exec", resource) when { resource.name == "gh" };"#,
    );
    let lints: Vec<String> =
        policy.lints().iter().map(|lint| format!("{:?} {}", lint.kind, lint.rule.id)).collect();
    expect![[r#"
        AnyAction all
        NotAWall curl
        AlwaysForbidden dead
        OpaqueUnseen text
        AnyResource text"#]]
    .assert_eq(&lints.join("\n"));
}

#[test]
fn a_rule_that_asks_about_no_file_that_it_names_is_said_to_ask_nobody() {
    let approved = r#"context.approvals.contains("owner")"#;
    for (head, condition, asks_nobody) in [
        ("permit", format!("resource) when {{ {approved} }}"), true),
        ("permit", format!("resource in Dir::\"/\") when {{ {approved} }}"), true),
        ("forbid", format!("resource) unless {{ {approved} }}"), true),
        (
            "forbid",
            format!("resource) when {{ resource.name == \".env\" }} unless {{ {approved} }}"),
            true,
        ),
        ("permit", format!("resource) when {{ resource.path like \"*x\" && {approved} }}"), true),
        ("permit", format!("resource in Dir::\"/a\") when {{ {approved} }}"), false),
        ("permit", format!("resource) when {{ resource in Dir::\"/a\" && {approved} }}"), false),
        ("forbid", format!("resource == Path::\"/a/b\") unless {{ {approved} }}"), false),
        ("forbid", "resource)".to_owned(), false),
    ] {
        let rule = format!("{head}(principal, action == Action::\"fs.read\", {condition};");
        let lints = policy(&rule).lints();
        let said = lints.iter().any(|lint| lint.kind == LintKind::AsksNobody);
        assert_eq!(said, asks_nobody, "{rule}: {lints:?}");
    }
}

/// What is said of a rule that is never true as it stands.
fn never(action: &str, resource: &str, when: &str) -> Option<String> {
    let when = if when.is_empty() { String::new() } else { format!(" when {{ {when} }}") };
    let rule = format!("permit(principal, action == Action::\"{action}\", {resource}){when};");
    let lints = policy(&rule).lints();
    let never = lints.into_iter().find(|lint| lint.kind == LintKind::NeverTrue);
    never.map(|lint| lint.message)
}

#[test]
fn what_is_never_true_is_said_with_what_to_write() {
    for (action, resource, when, part) in [
        ("net.request", "resource", r#"context.method == "get""#, r#"write `"GET"`"#),
        ("net.request", "resource", r#"["GET", "post"].contains(context.method)"#, r#""POST""#),
        ("net.request", "resource", r#"context.method like "ge*""#, "capital letters"),
        ("secret.use", "resource", r#"context.method == "get""#, r#"write `"GET"`"#),
        (
            "secret.use",
            "resource",
            r#"context has host && context.host == "A.example.""#,
            r#""a.example""#,
        ),
        (
            "net.connect",
            "resource is Endpoint",
            r#"resource.host == "A.example""#,
            r#""a.example""#,
        ),
        ("net.connect", "resource is Endpoint", r#"resource.host == "*.example""#, "Domain"),
        (
            "net.connect",
            "resource is Endpoint",
            r#"resource.host like "*.Example""#,
            "small letters",
        ),
        ("net.request", "resource", r#"context.headers.contains("X-Key")"#, r#"write `"x-key"`"#),
        ("net.request", "resource", r#"context.scheme == "HTTPS""#, "`\"https\"`"),
        (
            "net.request",
            "resource",
            r#"context has package && context.package.ecosystem == "crates""#,
            "cargo",
        ),
        ("exec", "resource", r#"context.flags.contains("force")"#, "begin with `-`"),
        ("exec", "resource", r#"context.flags.containsAny(["--depth=1"])"#, r#"`"--depth"`"#),
        (
            "exec",
            "resource",
            r#"context has subcommand && context.subcommand == "--version""#,
            "no flag",
        ),
        ("exec", "resource", r#"context.cwd == "src""#, "a whole path"),
        ("exec", "resource", r#"context.clock.weekday == 0"#, "1 (Monday)"),
        ("exec", "resource", r#"24 != context.clock.hour"#, "0 to 23"),
        ("fs.write", r#"resource == Dir::"/srv""#, "", r#"`resource in Dir::"/srv"`"#),
        ("fs.write", "resource", r#"resource == Dir::"/srv""#, r#"`resource in Dir::"/srv"`"#),
        ("net.connect", r#"resource == Domain::"a.example""#, "", r#"in Domain::"a.example"`"#),
    ] {
        let said = never(action, resource, when).unwrap_or_default();
        assert!(said.contains(part), "{action} {resource} {when}: {said}");
    }
}

#[test]
fn what_can_be_true_is_not_warned_of() {
    for (action, resource, when) in [
        ("net.request", "resource", r#"context.method == "GET""#),
        ("secret.use", "resource", r#"context.method == "ssh-sign""#),
        ("net.connect", "resource is Endpoint", r#"resource.host == "a.example""#),
        ("net.connect", "resource is Endpoint", r#"resource.host like "a*.example""#),
        ("net.request", "resource", r#"context.headers.contains("x-key")"#),
        ("exec", "resource", r#"context.flags.contains("--force") && context.clock.weekday <= 5"#),
        ("exec", r#"resource in Dir::"/usr""#, ""),
        ("fs.write", r#"resource in Dir::"/srv""#, ""),
        ("fs.write", r#"resource == Path::"/srv""#, ""),
        ("net.connect", r#"resource in Domain::"a.example""#, ""),
        ("net.connect", r#"resource == Socket::"/run/x""#, ""),
    ] {
        assert_eq!(never(action, resource, when), None, "{action} {resource} {when}");
    }
}

#[test]
fn the_plan_of_acts_shows_costs_and_questions() {
    let policy = policy(
        r#"@id("any") permit(principal, action == Action::"exec", resource);
        @id("push") forbid(principal, action == Action::"exec", resource == Program::"/usr/bin/git")
        when { context has subcommand && context.subcommand == "push" }
        unless { context.approvals.contains("owner") };"#,
    );
    let report = policy.plan(&agent());
    expect![[r#"
        {
          "action": "exec",
          "cost": "decided-and-verified",
          "rules": [
            {
              "rule": {
                "set": "user",
                "file": "test.cedar",
                "line": 2,
                "id": "push"
              },
              "effect": "forbid",
              "resource": "Program::\"/usr/bin/git\"",
              "conditions": [
                "when { (context has subcommand) && (context.subcommand == \"push\") }",
                "unless { context.approvals.contains(\"owner\") }"
              ],
              "asks": true
            },
            {
              "rule": {
                "set": "user",
                "file": "test.cedar",
                "line": 1,
                "id": "any"
              },
              "effect": "permit",
              "resource": null,
              "conditions": [],
              "asks": false
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&report.acts[0]).unwrap());
}

#[test]
fn a_permit_to_write_what_may_not_be_deleted_is_said_to_be_only_shown() {
    let said = |rules: &str| {
        let found = policy(rules).only_shown(&Agent("b".to_owned()));
        found.into_iter().map(|lint| lint.message).collect::<Vec<_>>().join(" ")
    };
    let permit = |actions: &str, resource: &str| {
        format!("permit(principal, action in [{actions}], resource {resource});\n")
    };
    let (read, write, delete) =
        ("Action::\"fs.read\"", "Action::\"fs.write\"", "Action::\"fs.delete\"");
    let some = format!("{read}, {write}");
    for resource in ["in Dir::\"/etc\"", "== Path::\"/etc/x\""] {
        let told = said(&permit(&some, resource));
        assert!(told.contains("/etc") && told.contains("stays read-only"), "{resource}: {told}");
    }
    let whole = permit("Action::\"fs\"", "in Dir::\"/srv\"");
    let kept = format!("forbid(principal, action == {delete}, resource in Dir::\"/srv/kept\");\n");
    assert!(said(&format!("{whole}{kept}")).contains("`/srv/kept` stays read-only"));

    let asks = " unless { context.approvals.contains(\"owner\") }";
    let asked = kept.replace(")\n;", ")").replace(");", &format!("){asks};"));
    for fine in [
        whole.clone(),
        permit(&format!("{some}, {delete}"), "in Dir::\"/srv\""),
        // Two rules together, and one of them conditional.
        permit(&some, "in Dir::\"/srv\"") + &permit(delete, "in Dir::\"/srv\""),
        // What is not shown says so itself, and what is only read is meant so.
        permit(write, "in Dir::\"/srv\""),
        permit(read, "in Dir::\"/srv\""),
        format!(
            "{whole}forbid(principal, action in [{write}, {delete}], resource in Dir::\"/srv/x\");"
        ),
    ] {
        assert_eq!(said(&fine), "", "{fine}");
    }
    let dynamic = Options { fs_dynamic: FsDynamic::Allowed, ..options() };
    let source = source(SetName::User, &format!("{whole}{asked}"));
    let asked = Policy::load(vec![source], &dynamic).unwrap();
    assert!(asked.only_shown(&Agent("b".to_owned())).is_empty());
}
