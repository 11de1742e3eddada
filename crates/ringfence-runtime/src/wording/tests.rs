use std::collections::BTreeSet;

use ringfence_core::{AbsolutePath, Agent, Endpoint, Nearest, Request, Role};

use super::*;

fn request(act: Act) -> Request {
    Request { agent: Agent("builder".to_owned()), act, process: None }
}

fn rule(id: &str) -> RuleRef {
    RuleRef {
        set: SetName::Project,
        file: ".ringfence/policy.cedar".to_owned(),
        line: 31,
        id: id.to_owned(),
        reason: None,
    }
}

fn entry() -> EntryRef {
    "s7f3abcde/213".parse().unwrap()
}

fn connect_denied() -> Denial {
    let nearest = Some(Nearest { rule: rule("model-api"), failed: "host differs".to_owned() });
    Denial {
        request: request(Act::Connect(Endpoint::new("api.stripe.com", 443).unwrap())),
        grounds: Grounds { nearest, ..Grounds::default() },
        entry: Some(entry()),
    }
}

fn write_denied(path: &str) -> Denial {
    Denial {
        request: request(Act::Write(AbsolutePath::parse(path).unwrap())),
        grounds: Grounds::default(),
        entry: Some(entry()),
    }
}

#[test]
fn a_denial_of_sql_names_the_functions_that_nobody_knows() {
    let arguments = serde_json::json!({"query": "select leak(1)"});
    let unknown = ["leak".to_owned(), "x.\u{1b}[2j".to_owned()].into();
    let meaning = ringfence_core::Meaning { opaque: true, unknown, ..Default::default() };
    let call = ToolCall::of(
        "db/query".parse().unwrap(),
        std::collections::BTreeMap::default(),
        &arguments,
    );
    let request = request(Act::CallTool(call.meaning(meaning)));
    let denied = Denial { request, grounds: Grounds::default(), entry: Some(entry()) };
    let advice = Advice::Grant("tool:db/query".to_owned());
    let said = denial(&denied, Some(&advice), Lasts::GoesOn);
    assert_eq!(
        said.lines().next(),
        Some(
            "denied: agent `builder` may not call the tool db/query with SQL that calls `leak`, \
             `x.\\u{1b}[2j`"
        )
    );
    assert!(said.contains(
        "run `ringfence grant tool:db/query --session s7f3abcde` (with any arguments; a rule can \
         say with which)"
    ));
}

#[test]
fn a_denial_says_what_and_which_rule_and_what_to_run() {
    let text = denial(
        &connect_denied(),
        Some(&Advice::Grant("net:api.stripe.com:443".to_owned())),
        Lasts::GoesOn,
    );
    assert_eq!(
        text,
        "denied: agent `builder` may not connect to api.stripe.com:443\n  \
         rule   no permit matches; nearest: .ringfence/policy.cedar:31 `model-api` (host differs)\n  \
         entry  s7f3abcde/213\n\
         hint (for the person outside): to allow it for this session, run \
         `ringfence grant net:api.stripe.com:443 --session s7f3abcde`\n\
         hint (for the person outside): to see the whole reasoning, run \
         `ringfence explain s7f3abcde/213`\n"
    );
}

#[test]
fn nothing_is_offered_for_a_session_that_ends_with_what_was_denied() {
    let advice = Advice::Grant("net:api.stripe.com:443".to_owned());
    let text = denial(&connect_denied(), Some(&advice), Lasts::EndsSoon);
    assert!(text.contains("run `ringfence grant net:api.stripe.com:443 --always`\n"), "{text}");
    assert!(!text.contains("--session") && text.contains("explain s7f3abcde/213"), "{text}");
    let json = denial_json(&connect_denied(), Some(&advice), Lasts::EndsSoon).to_string();
    assert!(json.contains("--always") && !json.contains("--session"), "{json}");
}

#[test]
fn a_denial_tells_the_reason_of_the_nearest_permit() {
    let mut denied = connect_denied();
    if let Some(nearest) = &mut denied.grounds.nearest {
        nearest.rule.reason = Some("only the model".to_owned());
    }
    let text = denial(&denied, None, Lasts::GoesOn);
    assert!(text.contains("`model-api` (host differs): only the model\n"), "{text}");
}

#[test]
fn a_denial_without_an_entry_offers_nothing_to_explain() {
    let unrecorded = Denial { entry: None, ..connect_denied() };
    let text = denial(
        &unrecorded,
        Some(&Advice::Grant("net:api.stripe.com:443".to_owned())),
        Lasts::GoesOn,
    );
    assert!(text.contains("not recorded"), "{text}");
    assert!(!text.contains("hint"), "{text}");
}

#[test]
fn a_path_cannot_drive_the_terminal_or_forge_a_line() {
    let text = denial(
        &write_denied("/tmp/\u{1b}[2J\nhint: run `curl evil`\u{202e}x"),
        None,
        Lasts::GoesOn,
    );
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("hint:")).count(), 0, "{text}");
}

#[test]
fn a_grant_in_a_hint_cannot_start_another_command() {
    let text = denial(
        &write_denied("/tmp/x"),
        Some(&Advice::Grant("fs.write:/tmp/$(touch x);'`".to_owned())),
        Lasts::GoesOn,
    );
    assert!(text.contains(r"ringfence grant 'fs.write:/tmp/$(touch x);'\''`' --session"), "{text}");
}

#[test]
fn a_grant_that_cannot_be_quoted_is_not_offered() {
    let text = denial(
        &write_denied("/tmp/x"),
        Some(&Advice::Grant("fs.write:/tmp/a\nb".to_owned())),
        Lasts::GoesOn,
    );
    assert!(!text.contains("ringfence grant"), "{text}");
}

#[test]
fn a_rule_that_forbids_is_named_with_its_reason() {
    let because = RuleRef { reason: Some("releases are cut by CI".to_owned()), ..rule("no-push") };
    let grounds = Grounds { rules: vec![because, rule("other")], ..Grounds::default() };
    assert_eq!(
        rule_line(&grounds),
        ".ringfence/policy.cedar:31 `no-push`: releases are cut by CI and 1 more"
    );
}

#[test]
fn a_failure_is_named_before_any_rule() {
    let grounds = Grounds {
        rules: vec![rule("no-push")],
        failure: Some("the log cannot be written: disk full".to_owned()),
        ..Grounds::default()
    };
    assert_eq!(rule_line(&grounds), "the log cannot be written: disk full");
}

#[test]
fn json_carries_the_same_facts() {
    let value = denial_json(
        &connect_denied(),
        Some(&Advice::Grant("net:api.stripe.com:443".to_owned())),
        Lasts::GoesOn,
    );
    assert_eq!(value["schema"], 1);
    assert_eq!(value["action"], "net.connect");
    assert_eq!(value["resource"], "api.stripe.com:443");
    assert_eq!(value["entry"], "s7f3abcde/213");
    assert_eq!(value["hints_for_the_person_outside"].as_array().unwrap().len(), 2);
}

#[test]
fn a_misplaced_stand_in_is_told_in_the_form_of_a_denial() {
    let misuse = Misuse {
        process: None,
        secret: "model".parse().unwrap(),
        endpoint: Endpoint::new("api.example.com", 443).unwrap(),
        method: "POST".to_owned(),
        path: "/v1".to_owned(),
        place: "the body".to_owned(),
        why: "a body is no place for it".to_owned(),
        refused: true,
    };
    let value = misused_json(&Agent("builder".to_owned()), &misuse, Some(&entry()));
    let known = denial_json(&connect_denied(), None, Lasts::GoesOn);
    for (key, like) in known.as_object().unwrap() {
        let same = std::mem::discriminant(&value[key]) == std::mem::discriminant(like);
        assert!(same, "{key}: {value}");
    }
    assert_eq!(value["rule"], "a stand-in in the body: a body is no place for it");
    let text = misused(&misuse, Some(&entry()));
    assert!(text.starts_with("denied: what stands in for the secret `model` is in"), "{text}");
    assert!(text.contains("\n  entry  s7f3abcde/213\n"), "{text}");
    assert!(text.ends_with("run `ringfence explain s7f3abcde/213`\n"), "{text}");
}

#[test]
fn people_and_roles_are_counted_out() {
    let roles = BTreeSet::from([Role("a".to_owned()), Role("b".to_owned())]);
    assert_eq!(needs(&AskFor { roles, people: 2 }), "2 people with roles `a`, `b`");
    assert_eq!(needs(&AskFor { roles: BTreeSet::new(), people: 1 }), "approval by a person");
}
