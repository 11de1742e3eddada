//! Requests: which rules speak of them, and what covers them where none does.

use ringfence_core::{
    AbsolutePath, Act, Agent, Decide, Detector, Ecosystem, HttpParts, HttpRequest, Package, Scheme,
    SecretUse, SetName, Verdict,
};
use ringfence_policy::{Policy, Remedy};

use crate::support::{connect, facts, load, policy, request, source, verdict};

const CONNECT: &str = "permit(principal, action == Action::\"net.connect\", resource);\n";
const API: &str = "api.example.com:443";

fn send(method: &str, target: &str) -> Act {
    send_to(API, method, target)
}

fn send_to(endpoint: &str, method: &str, target: &str) -> Act {
    let parts = HttpParts { method, target, headers: &["Accept"], size: Some(10) };
    Act::Request(HttpRequest::new(endpoint.parse().unwrap(), Scheme::Https, parts).unwrap())
}

fn inspects(policy: &Policy, endpoint: &str) -> bool {
    policy.inspects(&Agent("claude".to_owned()), &endpoint.parse().unwrap())
}

#[test]
fn a_permit_of_a_connection_covers_its_requests_where_no_rule_speaks_of_them() {
    let policy = policy(CONNECT);
    assert!(!inspects(&policy, API));
    assert_eq!(verdict(&policy, send("DELETE", "/x")), "permit");
    let none = load(Vec::new());
    assert_eq!(verdict(&none, send("GET", "/")), "deny");
}

#[test]
fn a_rule_on_requests_makes_each_one_need_a_permit() {
    let policy = policy(&format!(
        "{CONNECT} permit(principal, action == Action::\"net.request\",
           resource == Endpoint::\"{API}\")
         when {{ context.method == \"GET\" && context.path like \"/repos/acme/*\" }};"
    ));
    assert!(inspects(&policy, API));
    for (act, expected) in [
        (send("GET", "/repos/acme/x"), "permit"),
        (send("GET", "/%72epos/acme/x?a=b"), "permit"),
        (send("POST", "/repos/acme/x"), "deny"),
        (send("GET", "/repos/acmex"), "deny"),
        (send("GET", "/"), "deny"),
        // Not what this rule is about: the connection covers it.
        (send_to("other.example:443", "POST", "/"), "permit"),
        (send_to("api.example.com:8443", "POST", "/"), "permit"),
        (connect(API), "permit"),
    ] {
        assert_eq!(verdict(&policy, act.clone()), expected, "{act:?}");
    }
    assert!(!inspects(&policy, "other.example:443"));
    assert!(!inspects(&policy, "api.example.com:8443"));
}

#[test]
fn a_forbid_alone_permits_no_request() {
    let policy = policy(&format!(
        "{CONNECT} forbid(principal, action == Action::\"net.request\",
           resource in Domain::\"example.com\") when {{ context.method == \"DELETE\" }};"
    ));
    assert_eq!(verdict(&policy, send("DELETE", "/")), "deny");
    assert_eq!(verdict(&policy, send("GET", "/")), "deny");
}

#[test]
fn a_permit_of_the_group_covers_requests_and_opens_nothing() {
    let group = "permit(principal, action in Action::\"net\", resource);\n";
    let alone = policy(group);
    assert!(!inspects(&alone, API));
    assert_eq!(verdict(&alone, send("DELETE", "/")), "permit");
    let with = policy(&format!(
        "{group} forbid(principal, action == Action::\"net.request\",
           resource in Domain::\"example.com\") when {{ context.method == \"DELETE\" }};"
    ));
    assert!(inspects(&with, API));
    assert_eq!(verdict(&with, send("DELETE", "/")), "deny");
    assert_eq!(verdict(&with, send("GET", "/")), "permit");
}

#[test]
fn what_makes_a_rule_speak_of_requests() {
    let speaks = [
        "forbid(principal, action in [Action::\"net.request\", Action::\"exec\"], resource);",
        "forbid(principal, action in Action::\"net\", resource) when { context has path };",
        "forbid(principal, action, resource) when { action == Action::\"net.request\" };",
        "permit(principal, action, resource) unless { action == Action::\"net.connect\" };",
        "forbid(principal, action in Action::\"net\", resource)
         when { action == Action::\"net.request\" && context.method == \"PUT\" };",
        "forbid(principal == Agent::\"claude\", action == Action::\"net.request\", resource);",
        "forbid(principal, action == Action::\"net.request\", resource)
         when { resource.host like \"*.example.com\" };",
        "forbid(principal, action == Action::\"net.request\", resource)
         unless { resource.port == 80 };",
        "forbid(principal, action == Action::\"net.request\", resource in Domain::\"com\");",
    ];
    for rule in speaks {
        assert!(inspects(&policy(rule), API), "{rule}");
    }
    let silent = [
        "permit(principal, action, resource);",
        "forbid(principal, action, resource) unless { action in Action::\"fs\" };",
        "forbid(principal, action in Action::\"net\", resource) when { context.clock.hour > 9 };",
        "forbid(principal == Agent::\"codex\", action == Action::\"net.request\", resource);",
        "forbid(principal, action == Action::\"net.request\", resource)
         when { resource.host == \"other.example\" && context.method == \"PUT\" };",
        "forbid(principal, action == Action::\"net.request\", resource)
         unless { resource.port == 443 };",
        "forbid(principal, action == Action::\"net.request\", resource in Domain::\"org\");",
    ];
    for rule in silent {
        assert!(!inspects(&policy(rule), API), "{rule}");
    }
}

#[test]
fn each_set_decides_requests_by_its_own_rules() {
    let no_delete = format!(
        "permit(principal, action, resource);
         @id(\"no-delete\") forbid(principal, action == Action::\"net.request\",
           resource == Endpoint::\"{API}\") when {{ context.method == \"DELETE\" }};"
    );
    let both = load(vec![source(SetName::User, CONNECT), source(SetName::System, &no_delete)]);
    assert!(inspects(&both, API));
    assert_eq!(verdict(&both, send("GET", "/")), "permit");
    assert_eq!(verdict(&both, send("DELETE", "/")), "deny");
    let nothing = load(vec![source(SetName::System, &no_delete)]);
    assert_eq!(verdict(&nothing, send("GET", "/")), "deny");
}

#[test]
fn both_readings_of_a_path_must_be_permitted() {
    let rule = |effect: &str, path: &str| {
        format!(
            "{effect}(principal, action == Action::\"net.request\", resource)
             when {{ context.path like \"{path}\" }};"
        )
    };
    let forbids = policy(&(rule("permit", "/*") + &rule("forbid", "/admin/*")));
    for target in ["/admin/x", "/admin%2Fx", "//admin/x", "/admin;a/x", "/%61dmin/x", "/admin//x"] {
        assert_eq!(verdict(&forbids, send("GET", target)), "deny", "{target}");
    }
    let permits = policy(&rule("permit", "/public/*"));
    for target in ["/public%2Fx", "//public/x", "/public;x/y"] {
        assert_eq!(verdict(&permits, send("GET", target)), "deny", "{target}");
    }
    assert_eq!(verdict(&permits, send("GET", "/public/a%2Fb")), "permit");
}

#[test]
fn both_readings_of_the_path_that_a_secret_is_used_on_must_be_permitted() {
    let rules = policy(
        "permit(principal, action == Action::\"secret.use\", resource);
         forbid(principal, action == Action::\"secret.use\", resource)
         when { context.path like \"/admin*\" };",
    );
    let used = |path: &str| {
        Act::UseSecret(SecretUse {
            secret: "model".parse().unwrap(),
            endpoint: Some("api.example.com:443".parse().unwrap()),
            method: "GET".to_owned(),
            path: path.to_owned(),
        })
    };
    assert_eq!(verdict(&rules, used("/open")), "permit");
    for path in ["/admin", "//admin", "/./admin", "/admin;a"] {
        assert_eq!(verdict(&rules, used(path)), "deny", "{path}");
    }
}

#[test]
fn what_a_request_says_can_be_asked_for() {
    let with = |condition: &str| {
        policy(&format!(
            "permit(principal, action == Action::\"net.request\", resource) when {{ {condition} }};"
        ))
    };
    for condition in [
        "context.query.contains(\"force=true\") && context.query_names.contains(\"force\")",
        "context.headers.contains(\"accept\")",
        "context has size && context.size <= 10",
        "context.scheme == \"https\"",
        "context.findings.isEmpty()",
        "context.clock.hour == 10",
        "[\"GET\", \"HEAD\"].contains(context.method)",
    ] {
        assert_eq!(
            verdict(&with(condition), send("GET", "/x?force=%74rue")),
            "permit",
            "{condition}"
        );
        let never = format!("!({condition})");
        assert_eq!(verdict(&with(&never), send("GET", "/x?force=%74rue")), "deny", "{condition}");
    }
}

#[test]
fn requests_can_be_asked_about() {
    let policy = policy(
        "permit(principal, action in Action::\"net\", resource);
         forbid(principal, action == Action::\"net.request\", resource)
         when { context.method == \"POST\" } unless { context.approvals.contains(\"owner\") };",
    );
    assert_eq!(verdict(&policy, send("POST", "/")), "ask owner x1");
    assert_eq!(verdict(&policy, send("POST", "/a%2Fb")), "ask owner x1");
    assert_eq!(verdict(&policy, send("GET", "/")), "permit");
}

#[test]
fn the_grant_that_is_offered_helps() {
    let rule = format!(
        "permit(principal, action == Action::\"net.request\", resource == Endpoint::\"{API}\")
         when {{ context.method == \"GET\" }};"
    );
    let text = |policy: &Policy, act: Act| match policy.explain(&request(act), &facts()).remedy {
        Some(Remedy::Grant(text)) => text,
        other => format!("{other:?}"),
    };
    let spoken = format!("{CONNECT} {rule}");
    let grant = text(&policy(&spoken), send("POST", "/a b"));
    assert_eq!(grant, "net.request:POST api.example.com:443/a b");
    for (grant, act, expected) in [
        (grant.as_str(), send("POST", "/a%20b"), "permit"),
        (grant.as_str(), send("POST", "/a"), "deny"),
        (grant.as_str(), send("PUT", "/a b"), "deny"),
        ("net.request:POST api.example.com:443/x/*", send("POST", "/x/y/z"), "permit"),
        ("net.request:POST api.example.com:443/x/*", send("POST", "/x"), "deny"),
        ("net.request:POST api.example.com:443/x/%2A", send("POST", "/x/y"), "deny"),
        ("net.request:POST api.example.com:443/x/%2A", send("POST", "/x/*"), "permit"),
        ("net.request:POST api.example.com:443/*x/*", send("POST", "/ax/y"), "deny"),
    ] {
        let parsed: ringfence_policy::grant::GrantText = grant.parse().unwrap();
        assert_eq!(parsed.to_string(), grant);
        let mut granted = source(SetName::Grants, &parsed.to_cedar("g"));
        granted.file = "grants".to_owned();
        let policy = load(vec![source(SetName::User, &spoken), granted]);
        assert_eq!(verdict(&policy, act.clone()), expected, "{grant} {act:?}");
    }
    // Where the connection is what is missing, that is what is offered.
    assert_eq!(text(&load(Vec::new()), send("POST", "/")), "net:api.example.com:443");
}

#[test]
fn a_grant_of_one_request_takes_no_other_away() {
    let grant: ringfence_policy::grant::GrantText =
        "net.request:POST api.example.com:443/x".parse().unwrap();
    let mut granted = source(SetName::Grants, &grant.to_cedar("g"));
    granted.file = "grants".to_owned();
    let policy = load(vec![source(SetName::User, CONNECT), granted]);
    assert!(!inspects(&policy, API));
    assert_eq!(verdict(&policy, send("GET", "/y")), "permit");
}

#[test]
fn grants_of_requests_that_make_no_sense_are_refused() {
    for text in [
        "net.request:GET",
        "net.request:GET api.example.com:443",
        "net.request:get api.example.com:443/",
        "net.request:GET api.example.com/x",
        "net.request:GET api.example.com:443/../x",
        "net.request:GET api.example.com:443/x?a=b",
        "net.request:api.example.com:443/x",
    ] {
        assert!(text.parse::<ringfence_policy::grant::GrantText>().is_err(), "{text}");
    }
}

fn fetch(name: &str, version: &str, age_hours: u32) -> Act {
    let parts = HttpParts { method: "GET", target: "/x.tgz", headers: &[], size: None };
    let http = HttpRequest::new(API.parse().unwrap(), Scheme::Https, parts).unwrap();
    let package = Package {
        ecosystem: Ecosystem::Npm,
        name: name.to_owned(),
        version: version.to_owned(),
        age_hours,
    };
    Act::Request(HttpRequest { package: Some(package), ..http })
}

#[test]
fn a_rule_can_keep_out_young_releases_and_packages_by_name() {
    let policy = policy(&format!(
        "{CONNECT} permit(principal, action == Action::\"net.request\", resource);
         @id(\"quarantine\") forbid(principal, action == Action::\"net.request\", resource)
         when {{ context has package && context.package.age_hours < 72 }};
         @id(\"banned\") forbid(principal, action == Action::\"net.request\", resource)
         when {{ context has package && context.package.ecosystem == \"npm\"
                 && context.package.name like \"@evil/*\" }};"
    ));
    for (act, expected) in [
        (fetch("left-pad", "1.3.0", 72), "permit"),
        (fetch("left-pad", "1.3.1", 71), "deny"),
        (fetch("@evil/pad", "1.0.0", 9000), "deny"),
        (send("GET", "/anything"), "permit"),
    ] {
        assert_eq!(verdict(&policy, act.clone()), expected, "{act:?}");
    }
}

fn looks_at_releases(policy: &Policy, endpoint: &str) -> bool {
    policy.looks_at_releases(&Agent("claude".to_owned()), &endpoint.parse().unwrap())
}

#[test]
fn a_rule_on_releases_speaks_of_no_other_request() {
    let policy = policy(&format!(
        "{CONNECT} permit(principal, action == Action::\"net.request\", resource)
         when {{ context has package && context.package.age_hours >= 3 * 24 }};"
    ));
    assert!(!inspects(&policy, API) && looks_at_releases(&policy, API));
    for (act, expected) in [
        (fetch("left-pad", "1.3.0", 72), "permit"),
        (fetch("left-pad", "1.3.1", 71), "deny"),
        // What is no release is the connection's.
        (send("POST", "/anything"), "permit"),
    ] {
        assert_eq!(verdict(&policy, act.clone()), expected, "{act:?}");
    }
}

#[test]
fn what_makes_a_rule_look_at_releases() {
    let rule = |resource: &str, condition: &str| {
        policy(&format!(
            "forbid(principal, action == Action::\"net.request\", {resource}) {condition};"
        ))
    };
    let host = format!("resource == Endpoint::\"{API}\"");
    for (resource, condition, inspected) in [
        ("resource", "when { context has package }", false),
        (&host, "when { context has package && context.package.age_hours < 24 * 3 }", false),
        ("resource", "when { context.method == \"GET\" && context has package }", false),
        ("resource", "when { context.method == \"GET\" } when { context has package }", false),
        // It may err before it asks for a release.
        ("resource", "when { context.clock.hour + 1 > 3 && context has package }", true),
        ("resource", "when { !(context has package) }", true),
        ("resource", "when { context.method == \"PUT\" || context has package }", true),
        ("resource", "unless { context has package }", true),
    ] {
        let policy = rule(resource, condition);
        assert!(looks_at_releases(&policy, API), "{condition}");
        assert_eq!(inspects(&policy, API), inspected, "{condition}");
    }
    for (resource, condition) in [
        ("resource", "when { context.method == \"PUT\" }"),
        ("resource in Domain::\"org\"", "when { context has package }"),
        ("resource", "when { context has package && resource.port == 80 }"),
    ] {
        assert!(!looks_at_releases(&rule(resource, condition), API), "{condition}");
    }
    let group = policy(
        "forbid(principal, action in Action::\"net\", resource) \
         when { context has package && context.package.name == \"x\" };",
    );
    assert!(looks_at_releases(&group, API) && !inspects(&group, API));
}

#[test]
fn a_permit_that_has_what_passes_looked_through_opens_the_connection_and_permits_all_it_did() {
    let looked = |rule: &str| policy(&format!("@redact(\"secrets\") {rule}"));
    for rule in [
        CONNECT.to_owned(),
        "permit(principal, action in Action::\"net\", resource);".to_owned(),
        "permit(principal, action, resource);".to_owned(),
        "permit(principal, action == Action::\"net.connect\", resource in Domain::\"example.com\");"
            .to_owned(),
        format!("permit(principal, action == Action::\"net.connect\", resource == Endpoint::\"{API}\")
                 when {{ context.approvals.contains(\"owner\") || context.clock.hour < 25 }};"),
    ] {
        let policy = looked(&rule);
        assert!(inspects(&policy, API), "{rule}");
        let ruling = policy.decide(&request(send("DELETE", "/x")), &facts());
        assert_eq!(ruling.verdict, Verdict::Permit, "{rule}");
        assert_eq!(ruling.grounds.handling.redact, [Detector::Secrets].into(), "{rule}");
    }
    for rule in [
        "permit(principal, action == Action::\"net.connect\", resource == Endpoint::\"b.example:443\");",
        "permit(principal == Agent::\"other\", action == Action::\"net.connect\", resource);",
        "permit(principal, action in Action::\"tool.call\", resource);",
    ] {
        let policy = policy(&format!("@block(\"pii\") {rule}\n{CONNECT}"));
        assert!(!inspects(&policy, API), "{rule}");
        let ruling = policy.decide(&request(send("GET", "/x")), &facts());
        assert!(ruling.grounds.handling.is_empty(), "{rule}");
    }
}

#[test]
fn what_the_permit_of_a_connection_says_of_what_passes_holds_for_each_request() {
    let policy = policy(&format!(
        "@redact(\"secrets\") {CONNECT}
         @block(\"card\") permit(principal, action == Action::\"net.request\",
           resource == Endpoint::\"{API}\") when {{ context.method == \"GET\" }};
         permit(principal, action == Action::\"net.request\", resource == Endpoint::\"{API}\");
         @redact(\"ssn\") permit(principal, action == Action::\"net.request\", resource)
           when {{ context.path == \"/a/b\" }};"
    ));
    let handling = |method: &str, target: &str| {
        let ruling = policy.decide(&request(send(method, target)), &facts());
        assert_eq!(ruling.verdict, Verdict::Permit);
        ruling.grounds.handling
    };
    let get = handling("GET", "/");
    assert_eq!(get.redact, [Detector::Secrets].into());
    assert_eq!(get.block, [Detector::Card].into());
    let post = handling("POST", "/");
    assert_eq!((post.redact, post.block), ([Detector::Secrets].into(), [].into()));
    // Some servers read another path.
    let other = handling("POST", "/a%2Fb");
    assert_eq!(other.redact, [Detector::Secrets, Detector::Ssn].into());
}

#[test]
fn a_connection_that_has_to_be_approved_says_what_holds_for_its_requests_too() {
    let policy = policy(&format!(
        "@redact(\"secrets\") permit(principal, action == Action::\"net.connect\", resource)
           when {{ context.approvals.contains(\"owner\") }};
         permit(principal, action == Action::\"net.request\", resource == Endpoint::\"{API}\");"
    ));
    let ruling = policy.decide(&request(send("GET", "/")), &facts());
    assert_eq!(ruling.verdict, Verdict::Permit);
    assert_eq!(ruling.grounds.handling.redact, [Detector::Secrets].into());
}

#[test]
fn a_unix_socket_is_not_permitted_by_a_rule_that_has_what_passes_looked_through() {
    let socket = || Act::ConnectUnix(AbsolutePath::parse("/run/a.sock").unwrap());
    assert_eq!(verdict(&policy(CONNECT), socket()), "permit");
    let looked = policy(&format!("@block(\"secrets\") {CONNECT}"));
    let ruling = looked.decide(&request(socket()), &facts());
    assert_eq!(ruling.verdict, Verdict::Deny);
    assert!(ruling.grounds.failure.unwrap().contains("cannot be looked through"));
    let only = CONNECT.replace("resource)", "resource is Endpoint)");
    assert_eq!(verdict(&policy(&format!("@block(\"secrets\") {only}")), socket()), "deny");
}
