//! Tools as rules speak of them: by server, by name, and by their arguments with their types.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ringfence_core::{
    Act, Decide as _, Fact, FactType, Field, Fields, Role, SetName, ToolCall, ToolShape, Verdict,
};
use ringfence_policy::grant::GrantText;
use ringfence_policy::{LintKind, Options, Policy};
use serde_json::json;

use crate::support::{facts, options, request, source, verdict};

fn field(kind: FactType, required: bool) -> Field {
    Field { kind, required }
}

fn fields(all: impl IntoIterator<Item = (&'static str, Field)>) -> Fields {
    all.into_iter().map(|(name, field)| (name.to_owned(), field)).collect()
}

pub(crate) fn tools() -> Vec<ToolShape> {
    let range = fields([("from", field(FactType::Long, true))]);
    let shape = |tool: &str, arguments| ToolShape { tool: tool.parse().unwrap(), arguments };
    vec![
        shape(
            "files/read",
            fields([
                ("path", field(FactType::Text, true)),
                ("head", field(FactType::Long, false)),
                ("tags", field(FactType::Set(Box::new(FactType::Text)), false)),
                ("range", field(FactType::Record(range), false)),
                ("odd \"name\"", field(FactType::Bool, false)),
            ]),
        ),
        shape("files/write", fields([("path", field(FactType::Text, true))])),
        shape("shop/pay", fields([("amount", field(FactType::Decimal, true))])),
    ]
}

fn with_tools() -> Options {
    Options { tools: tools(), ..options() }
}

fn policy(text: &str) -> Policy {
    match Policy::load(vec![source(SetName::User, text)], &with_tools()) {
        Ok(policy) => policy,
        Err(errors) => panic!("{:#?}", errors.summaries()),
    }
}

fn problems(text: &str) -> Vec<String> {
    let errors = Policy::load(vec![source(SetName::User, text)], &with_tools()).unwrap_err();
    let said = |it: &ringfence_policy::ProblemSummary| {
        format!("{}:{} {} ({})", it.line, it.column, it.message, it.hint.as_deref().unwrap_or(""))
    };
    errors.summaries().iter().map(said).collect()
}

pub(crate) fn call(tool: &str, arguments: &serde_json::Value) -> Act {
    Act::CallTool(ToolCall::new(tool.parse().unwrap(), arguments.as_object().unwrap()))
}

#[test]
fn a_tool_is_permitted_by_its_name_by_its_server_or_with_all_others() {
    let call = |tool| call(tool, &json!({"path": "/a"}));
    let one = policy(r#"permit(principal, action == Action::"files/read", resource);"#);
    assert_eq!(verdict(&one, call("files/read")), "permit");
    for tool in ["files/write", "files/reads", "file/read", "other/read"] {
        assert_eq!(verdict(&one, call(tool)), "deny", "{tool}");
    }
    let server =
        r#"permit(principal, action in Action::"tool.call", resource in Server::"files");"#;
    assert_eq!(verdict(&policy(server), call("files/write")), "permit");
    assert_eq!(verdict(&policy(server), call("files-2/write")), "deny");
    let by_resource =
        r#"permit(principal, action in Action::"tool.call", resource == Tool::"files/read");"#;
    assert_eq!(verdict(&policy(by_resource), call("files/read")), "permit");
    assert_eq!(verdict(&policy(by_resource), call("files/write")), "deny");
    let all = policy(r#"permit(principal, action in Action::"tool.call", resource);"#);
    assert_eq!(verdict(&all, call("any/thing")), "permit");
    let none = policy(r#"permit(principal, action in Action::"net", resource);"#);
    assert_eq!(verdict(&none, call("files/read")), "deny");
}

#[test]
fn arguments_are_compared_as_what_they_are() {
    let policy = policy(
        r#"permit(principal, action in [Action::"files/read", Action::"files/write"], resource)
           when { context.args.path like "/data/*" };
           @id("long") forbid(principal, action == Action::"files/read", resource)
           when { context.args has head && context.args.head > 100 };
           @id("range") forbid(principal, action == Action::"files/read", resource)
           when { context.args has range && context.args.range.from < 0 };
           @id("tags") forbid(principal, action == Action::"files/read", resource)
           when { context.args has tags && context.args.tags.contains("secret") };
           @id("odd") forbid(principal, action == Action::"files/read", resource)
           when { context.args has "odd \"name\"" && context.args["odd \"name\""] };
           permit(principal, action == Action::"shop/pay", resource)
           when { context.args.amount.lessThanOrEqual(decimal("100.0")) };"#,
    );
    let decided = |tool, arguments| verdict(&policy, call(tool, &arguments));
    assert_eq!(decided("files/read", json!({"path": "/data/a", "head": 100})), "permit");
    assert_eq!(decided("files/write", json!({"path": "/data/a"})), "permit");
    for arguments in [
        json!({"path": "/etc/passwd"}),
        json!({"path": "/data/a", "head": 101}),
        json!({"path": "/data/a", "range": {"from": -1}}),
        json!({"path": "/data/a", "tags": ["x", "secret"]}),
        json!({"path": "/data/a", "odd \"name\"": true}),
        // Not what the schema says: a rule that errs denies.
        json!({}),
        json!({"path": 1}),
        json!({"path": "/data/a", "head": "1"}),
    ] {
        assert_eq!(decided("files/read", arguments.clone()), "deny", "{arguments}");
    }
    let paid = |units| {
        let arguments = BTreeMap::from([("amount".to_owned(), Fact::Decimal(units))]);
        let tool = "shop/pay".parse().unwrap();
        verdict(&policy, Act::CallTool(ToolCall::of(tool, arguments, &json!({}))))
    };
    assert_eq!((paid(1_000_000).as_str(), paid(1_000_001).as_str()), ("permit", "deny"));
    assert_eq!((paid(-5).as_str(), paid(i64::MAX).as_str()), ("permit", "deny"));
    assert_eq!(paid(i64::MIN), "permit");
}

#[test]
fn a_misspelt_argument_is_refused_where_it_stands() {
    let said = problems(
        "permit(principal, action == Action::\"files/read\", resource)\nwhen { context.args.pth like \"/data/*\" };",
    );
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("pth") && said[0].contains("did you mean `path`?"), "{said:#?}");
    assert!(said[0].starts_with("2:"), "{said:#?}");
    for wrong in [
        // An argument that only some of them have, one that may be absent, another type, the group as an action.
        r#"permit(principal, action in Action::"tool.call", resource) when { context.args.path == "a" };"#,
        r#"permit(principal, action == Action::"files/read", resource) when { context.args.head > 1 };"#,
        r#"permit(principal, action == Action::"files/read", resource) when { context.args.path > 1 };"#,
        r#"permit(principal, action == Action::"tool.call", resource);"#,
    ] {
        assert_eq!(problems(wrong).len(), 1, "{wrong} {:#?}", problems(wrong));
    }
}

#[test]
fn a_rule_on_a_tool_that_nobody_has_pinned_matches_nothing_and_is_told_of() {
    let text = r#"@id("reed") permit(principal, action == Action::"files/reed", resource)
                  when { context.args.anything like "x" };
                  @id("both") forbid(principal, action in [Action::"files/read", Action::"mail/send"], resource)
                  when { context.args has path };
                  @id("read") permit(principal, action == Action::"files/read", resource)
                  unless { action == Action::"gone/away" };"#;
    let policy = policy(text);
    let said: Vec<String> =
        policy.unpinned().into_iter().map(|it| format!("{}: {}", it.rule.id, it.message)).collect();
    assert_eq!(
        said,
        [
            "reed: no tool `files/reed` is pinned, so that this rule never matches it; did you mean `files/read`?",
            "both: no tool `mail/send` is pinned, so that this rule never matches it; to pin a server's tools, \
             run `ringfence mcp add NAME -- COMMAND`",
        ]
    );
    assert!(policy.lints().iter().any(|lint| lint.kind == LintKind::Unpinned));
    assert_eq!(verdict(&policy, call("files/read", &json!({"path": "/a"}))), "deny");
    assert_eq!(verdict(&policy, call("files/read", &json!({}))), "permit");
    assert_eq!(verdict(&policy, call("files/reed", &json!({"anything": "y"}))), "deny");
    // With nothing pinned at all it is the same, and no name that could be no tool's is let through.
    let alone = Policy::load(vec![source(SetName::User, text)], &options()).unwrap();
    assert_eq!(alone.unpinned().len(), 3);
    for (text, said) in [
        (r#"permit(principal, action == Action::"Files/read", resource);"#, "no tool `Files/read`"),
        (r#"permit(principal, action == Action::"read", resource);"#, "unknown action `read`"),
        (
            r#"permit(principal, action in [Action::"files/reed", Action::"files/read"], resource) when { context.args.pth == "" };"#,
            "pth",
        ),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].contains(said), "{found:#?}");
    }
}

#[test]
fn where_no_tool_is_pinned_rules_on_all_tools_still_load() {
    let text = r#"@id("ask") forbid(principal, action in Action::"tool.call", resource in Server::"shop")
                  unless { context.approvals.contains("owner") };
                  permit(principal, action in Action::"tool.call", resource);"#;
    let policy = Policy::load(vec![source(SetName::User, text)], &options()).unwrap();
    assert_eq!(verdict(&policy, call("shop/pay", &json!({}))), "ask owner x1");
    assert_eq!(verdict(&policy, call("files/read", &json!({}))), "permit");
}

#[test]
fn a_grant_of_a_tool_is_for_this_tool_alone() {
    let grant: GrantText = "tool:files/read".parse().unwrap();
    assert_eq!(grant.to_string(), "tool:files/read");
    let policy = policy(&grant.to_cedar("g1"));
    assert_eq!(verdict(&policy, call("files/read", &json!({"path": "/x"}))), "permit");
    assert_eq!(verdict(&policy, call("files/write", &json!({"path": "/x"}))), "deny");
    let smallest = GrantText::smallest(&request(call("files/write", &json!({}))));
    assert_eq!(smallest.to_string(), "tool:files/write");
    for text in ["tool:", "tool:files", "tool:Files/read", "tool:files/a b"] {
        assert!(text.parse::<GrantText>().is_err(), "{text}");
    }
}

#[test]
fn what_was_validated_with_other_tools_is_validated_again() {
    let text = r#"permit(principal, action == Action::"files/read", resource) when { context.args.path == "" };"#;
    let key = ringfence_policy::validation_key(text, &tools());
    let load = |tools: Vec<ToolShape>| {
        let validated = [key.clone()].into();
        Policy::load(vec![source(SetName::User, text)], &Options { tools, validated, ..options() })
    };
    assert!(load(tools()).is_ok());
    let mut others = tools();
    others[0].arguments.remove("path");
    assert!(load(others).is_err());
    let digest = |tools| Policy::load(vec![], &Options { tools, ..options() }).unwrap();
    assert_ne!(digest(tools()).digest(), digest(Vec::new()).digest());
}

#[test]
fn an_approval_of_a_call_is_for_these_arguments() {
    let approved = Role("owner".to_owned());
    let text = r#"permit(principal, action == Action::"files/read", resource) when { context.approvals.contains("owner") };"#;
    let policy = policy(text);
    let act = call("files/read", &json!({"path": "/a"}));
    assert_eq!(verdict(&policy, act.clone()), "ask owner x1");
    let mut with = facts();
    with.approvals.insert(approved);
    with.approver_count = 1;
    assert_eq!(
        policy.decide(&request(act.clone()), &with).verdict,
        ringfence_core::Verdict::Permit
    );
    let other = call("files/read", &json!({"path": "/b"}));
    assert_ne!(act.digest(policy.digest()), other.digest(policy.digest()));
}

#[test]
fn a_tool_may_be_called_unless_no_call_of_it_can_be_permitted() {
    let may = |text: &str, tool: &str| {
        policy(text).may_call(
            &request(call(tool, &json!({}))).agent,
            &tool.parse().unwrap(),
            &facts(),
        )
    };
    let agent = request(call("files/read", &json!({}))).agent.0;
    let of = |text: &str| text.replace("AGENT", &agent);
    let permits = [
        "permit (principal, action, resource);",
        "permit (principal == Agent::\"AGENT\", action in Action::\"tool.call\", resource);",
        "permit (principal, action == Action::\"files/read\", resource);",
        "permit (principal, action == Action::\"files/read\", resource) when { context.args.path like \"x\" };",
        "permit (principal, action in Action::\"tool.call\", resource in Server::\"files\");",
        "permit (principal, action, resource);\n forbid (principal, action == Action::\"files/read\", resource) \
         when { context.args.path like \"x\" };",
        "permit (principal, action, resource);\n forbid (principal == Agent::\"other\", action, resource);",
        "permit (principal, action, resource);\n forbid (principal, action == Action::\"files/write\", resource);",
    ];
    for text in permits {
        assert!(may(&of(text), "files/read"), "{text}");
    }
    let denies = [
        "permit (principal, action == Action::\"exec\", resource);",
        "permit (principal == Agent::\"other\", action in Action::\"tool.call\", resource);",
        "permit (principal == Agent::\"other\", action == Action::\"files/read\", resource) \
         when { context.args.path like \"x\" };",
        "permit (principal, action == Action::\"files/write\", resource);",
        "permit (principal, action in Action::\"tool.call\", resource in Server::\"shop\");",
        "permit (principal, action, resource);\n forbid (principal, action in Action::\"tool.call\", resource);",
        "permit (principal, action, resource);\n forbid (principal == Agent::\"AGENT\", action, \
         resource in Server::\"files\");",
    ];
    for text in denies {
        assert!(!may(&of(text), "files/read"), "{text}");
    }
}

#[test]
fn a_tool_is_permitted_unasked_unless_every_call_of_it_is_denied_or_asked_about() {
    let agent = request(call("files/read", &json!({}))).agent;
    let by = |text: &str| {
        let text = text.replace("AGENT", &agent.0);
        let tool = "files/read".parse().unwrap();
        policy(&text).permits_unasked(&agent, &tool, &facts()).map(|rule| rule.id)
    };
    let asks = "context.approvals.contains(\"owner\")";
    let permits = [
        "permit (principal, action == Action::\"files/read\", resource);",
        "permit (principal == Agent::\"AGENT\", action in Action::\"tool.call\", resource in Server::\"files\");",
        "permit (principal, action == Action::\"files/read\", resource) when { context.args.path like \"x\" };",
        "permit (principal, action == Action::\"files/read\", resource) when { context.args.path like \"x\" || ASKS };",
        "permit (principal, action == Action::\"files/read\", resource) unless { context.args.path like \"x\" };",
        "permit (principal, action, resource);\nforbid (principal, action == Action::\"files/read\", resource) \
         when { context.args.path like \"x\" } unless { ASKS };",
        "permit (principal, action, resource);\nforbid (principal == Agent::\"other\", action, resource) unless { ASKS };",
    ];
    for text in permits {
        let text = format!("@id(\"it\") {}", text.replace("ASKS", asks));
        assert_eq!(by(&text).as_deref(), Some("it"), "{text}");
    }
    let others = [
        "permit (principal, action == Action::\"exec\", resource);",
        "permit (principal == Agent::\"other\", action, resource);",
        "permit (principal, action == Action::\"files/write\", resource);",
        "permit (principal, action in Action::\"tool.call\", resource in Server::\"shop\") when { context.opaque };",
        "permit (principal, action == Action::\"files/read\", resource) when { ASKS };",
        "permit (principal, action == Action::\"files/read\", resource) when { context.args.path like \"x\" && ASKS };",
        "permit (principal, action == Action::\"files/read\", resource) when { context.approver_count >= 1 };",
        "permit (principal, action, resource);\nforbid (principal, action == Action::\"files/read\", resource) \
         unless { ASKS };",
        "permit (principal, action, resource);\nforbid (principal, action in Action::\"tool.call\", resource in \
         Server::\"files\");",
    ];
    for text in others {
        let text = text.replace("ASKS", asks);
        assert_eq!(by(&text), None, "{text}");
    }
}

#[test]
fn what_rules_say_about_results_is_united_over_all_that_permit() {
    use ringfence_core::{Detector, Verdict};
    let policy = policy(
        r#"
@redact("secrets") permit (principal, action == Action::"files/read", resource);
@redact("pii, ip") @block("card") permit (principal, action in Action::"tool.call", resource);
@redact("ssn") permit (principal, action == Action::"files/write", resource);
permit (principal, action == Action::"shop/pay", resource);
"#,
    );
    let ruling = |tool: &str, arguments: serde_json::Value| {
        policy.decide(&request(call(tool, &arguments)), &facts())
    };
    let read = ruling("files/read", json!({"path": "/x"}));
    assert_eq!(read.verdict, Verdict::Permit);
    let handling = read.grounds.handling;
    assert_eq!(handling.redact, [Detector::Secrets, Detector::Pii, Detector::Ip].into());
    assert_eq!(handling.block, [Detector::Card].into());
}

#[test]
fn a_rule_about_results_names_detectors_and_permits_calls() {
    for (text, wrong) in [
        (
            r#"@redact("secret") permit (principal, action in Action::"tool.call", resource);"#,
            "there is no detector `secret` (did you mean `secrets`?)",
        ),
        (
            r#"@block("") permit (principal, action in Action::"tool.call", resource);"#,
            "there is no detector ``",
        ),
        (
            r#"@redact("secrets,,pii") permit (principal, action, resource);"#,
            "there is no detector ``",
        ),
        (
            r#"@redact("pii") forbid (principal, action in Action::"tool.call", resource);"#,
            "a forbid with `@redact`",
        ),
        (
            r#"@block("pii") permit (principal, action == Action::"fs.read", resource);"#,
            "`@block` on a rule that permits no call of a tool and no connection",
        ),
    ] {
        let said = problems(text);
        assert!(said.len() == 1 && said[0].contains(wrong), "{said:?}");
    }
}

fn rule_on_tools() -> impl Strategy<Value = String> {
    let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    let scope = prop_oneof![
        1 => Just(r#"action in Action::"tool.call""#),
        2 => Just(r#"action == Action::"files/read""#),
        1 => Just(r#"action in [Action::"files/read", Action::"files/write"]"#),
    ];
    let condition = prop_oneof![
        2 => Just(""),
        2 => Just(r#"when { context.approvals.contains("owner") }"#),
        1 => Just(r#"unless { context.approvals.contains("dev") }"#),
        1 => Just("when { context.approver_count >= 2 }"),
        1 => Just("when { context.clock.hour > 9 }"),
        1 => Just(r#"when { context.arguments.path == "/a" }"#),
        1 => Just(r#"when { resource.name == "read" }"#),
    ];
    (effect, scope, condition).prop_map(|(effect, scope, condition)| {
        format!("{effect}(principal, {scope}, resource) {condition};\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_remembered_of_tools_never_changes_an_answer(
        rules in proptest::collection::vec(rule_on_tools(), 1..5),
        calls in proptest::collection::vec((0_usize..3, 0_usize..2, 8_u8..12, 0_usize..4, 0_u32..3), 40),
    ) {
        let text = rules.concat();
        // Some of them do not load: where approvals would make a rule stricter, say.
        let loaded = Policy::load(vec![source(SetName::User, &text)], &with_tools());
        let Ok(policy) = loaded else { return Ok(()) };
        for (tool, path, hour, roles, people) in calls {
            let tool = ["files/read", "files/write", "shop/pay"][tool];
            let path = ["/a", "/b"][path];
            let request = request(call(tool, &json!({"path": path, "amount": "1.5"})));
            let mut facts = facts();
            facts.clock.hour = hour;
            let held = ["owner", "dev"].iter().enumerate().filter(|(bit, _)| roles & (1 << bit) != 0);
            facts.approvals = held.map(|(_, name)| Role((*name).to_owned())).collect();
            facts.approver_count = people;
            let remembering = policy.decide(&request, &facts).verdict == Verdict::Permit;
            let scanned = policy.decide_by_full_scan(&request, &facts) == Verdict::Permit;
            prop_assert_eq!(remembering, scanned, "{:?} {:?}\n{}", request, facts, text);
        }
    }
}
