//! What is printed with `--json` conforms to the published schemas, member by member.

use std::path::Path;

use serde_json::Value;

use crate::home::{Home, SESSION};

const POLICY: &str = r#"
@id("programs") @reason("any program")
permit(principal, action == Action::"exec", resource);
@id("push-asks")
forbid(principal, action == Action::"exec", resource)
when { context has subcommand && context.subcommand == "push" }
unless { context.approvals.contains("owner") };
"#;

/// A schema of `schemas/`.
fn schema(file: &str) -> Value {
    let path = Path::new("schemas").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Everything in which `value` differs from `schema`, which stands in `file`.
///
/// Stricter than JSON Schema: a member that the schema does not name is a difference too, so that
/// nothing new is printed without being documented.
fn differences(value: &Value, schema: &Value, file: &str, place: &str) -> Vec<String> {
    let wrong = |what: String| vec![format!("{place}: {what}")];
    if let Some(reference) = schema["$ref"].as_str() {
        let (other, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let other = if other.is_empty() { file } else { other };
        let target = self::schema(other).pointer(pointer).unwrap().clone();
        return differences(value, &target, other, place);
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let fits = |option| differences(value, option, file, place).is_empty();
        let found = options.iter().any(fits);
        return if found { Vec::new() } else { wrong(format!("{value} fits no alternative")) };
    }
    if let Some(values) = schema["enum"].as_array() {
        let found = values.contains(value);
        return if found { Vec::new() } else { wrong(format!("{value} is none of {values:?}")) };
    }
    if let Some(constant) = schema.get("const") {
        return if constant == value { Vec::new() } else { wrong(format!("{value}")) };
    }
    if !has_type(value, &schema["type"]) {
        return wrong(format!("{value} is not {}", schema["type"]));
    }
    match (value, &schema["items"], schema["properties"].as_object()) {
        (Value::Array(items), of @ Value::Object(_), _) => items
            .iter()
            .enumerate()
            .flat_map(|(at, item)| differences(item, of, file, &format!("{place}/{at}")))
            .collect(),
        (Value::Object(members), _, Some(properties)) => {
            let open = schema["additionalProperties"] == Value::Bool(true);
            let unknown = members.keys().filter(|key| !open && !properties.contains_key(*key));
            let mut found: Vec<String> =
                unknown.map(|key| format!("{place}: `{key}` is not in the schema")).collect();
            for key in schema["required"].as_array().into_iter().flatten() {
                if !members.contains_key(key.as_str().unwrap()) {
                    found.push(format!("{place}: {key} is missing"));
                }
            }
            for (key, value) in members {
                if let Some(of) = properties.get(key) {
                    found.extend(differences(value, of, file, &format!("{place}/{key}")));
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

fn has_type(value: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Array(any) => any.iter().any(|one| has_type(value, one)),
        Value::String(name) => match name.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "null" => value.is_null(),
            // A type that does not exist fits nothing.
            _ => false,
        },
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

#[track_caller]
pub(crate) fn conforms(value: &Value, file: &str) {
    let found = differences(value, &schema(file), file, "");
    assert!(found.is_empty(), "{file}:\n{}\n{value:#}", found.join("\n"));
}

#[track_caller]
pub(crate) fn lines_conform(text: &[u8], file: &str) {
    let text = std::str::from_utf8(text).unwrap();
    assert!(!text.is_empty(), "{file}: nothing was printed");
    text.lines().for_each(|line| conforms(&serde_json::from_str(line).unwrap(), file));
}

fn recorded() -> Home {
    let home = Home::with_policy(POLICY);
    home.record_session();
    home
}

#[test]
fn what_is_said_of_sessions_conforms() {
    let home = recorded();
    conforms(&home.json(&["show", SESSION, "--json"]).0, "show.schema.json");
    conforms(&home.json(&["export", "har", SESSION]).0, "export-har.schema.json");
    conforms(&home.json(&["export", "otlp", SESSION]).0, "export-otlp.schema.json");
    let streams = [
        (vec!["sessions", "--json"], "sessions.schema.json"),
        (vec!["log", "show", SESSION, "--json"], "log-show.schema.json"),
        (vec!["show", SESSION, "--json", "--follow"], "log-show.schema.json"),
        (vec!["log", "verify", "--json"], "log-verify.schema.json"),
    ];
    for (words, file) in streams {
        lines_conform(&home.command(&words).output().unwrap().stdout, file);
    }
}

#[test]
fn every_explained_entry_conforms() {
    let home = recorded();
    let log = home.command(&["log", "show", SESSION, "--json"]).output().unwrap().stdout;
    let all: Vec<u64> = std::str::from_utf8(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["index"].as_u64().unwrap())
        .collect();
    assert!(all.len() > 5);
    for index in all {
        let entry = format!("{SESSION}/{index}");
        conforms(&home.json(&["explain", &entry, "--json"]).0, "explain.schema.json");
    }
}

#[test]
fn what_is_said_of_the_policy_conforms() {
    let home = recorded();
    conforms(&home.json(&["policy", "check", "--json"]).0, "policy-check.schema.json");
    conforms(&home.json(&["policy", "show", "--json"]).0, "policy-show.schema.json");
    conforms(&home.json(&["policy", "plan", "--json"]).0, "policy-plan.schema.json");
    conforms(&home.json(&["doctor", "--json"]).0, "doctor.schema.json");
    home.write(
        "project/wrong.cedar",
        "permit(principal, action == Action::\"fs.wirte\", resource);",
    );
    let (answer, status) = home.json(&["policy", "check", "wrong.cedar", "--json"]);
    assert_eq!((answer["ok"].as_bool(), status), (Some(false), 1));
    conforms(&answer, "policy-check.schema.json");
    let case = |expect| {
        format!("[[case]]\nname = \"a\"\naction = \"exec\"\nresource = \"/bin/ls\"\n{expect}\n")
    };
    home.write("project/cases.toml", &(case("expect = \"permit\"") + &case("expect = \"deny\"")));
    let (answer, status) = home.json(&["policy", "test", "cases.toml", "--json"]);
    assert_eq!((answer["failed"].as_u64(), status), (Some(1), 1));
    conforms(&answer, "policy-test.schema.json");
}

#[test]
fn every_kind_of_verdict_conforms() {
    let home = recorded();
    let requests = [
        (r#"{"agent":"a","action":"exec","resource":"/bin/ls"}"#, "[0]\n"),
        (r#"{"agent":"a","action":"fs.read","resource":"/etc/shadow"}"#, "[1]\n"),
        (r#"{"agent":"a","action":"exec","resource":"/bin/git","argv":["git","push"]}"#, "[3]\n"),
    ];
    for (request, status) in requests {
        let text = home.run_with(&["decide"], request);
        assert!(text.ends_with(status), "{text}");
        let answer = text.lines().find(|line| line.starts_with('{')).unwrap();
        conforms(&serde_json::from_str(answer).unwrap(), "decide.schema.json");
    }
}

#[test]
fn the_list_of_grants_conforms() {
    let home = recorded();
    assert!(home.run(&["grant", "net:example.com:443", "--for", "2h", "--yes"]).ends_with("[0]\n"));
    let grants = home.json_lines(&["grants", "list", "--json"]);
    assert_eq!(grants.as_array().map(Vec::len), Some(1));
    conforms(&grants[0], "grants-list.schema.json");
}

#[test]
fn what_is_said_of_secrets_conforms() {
    let home = recorded();
    let add = ["secret", "add", "forge", "--kind", "git-https", "--for", "git.example.com"];
    assert!(home.run_with(&add, "a-value-of-a-secret").ends_with("[0]\n"));
    let secrets = home.json_lines(&["secret", "list", "--json"]);
    assert_eq!(secrets.as_array().map(Vec::len), Some(1));
    conforms(&secrets[0], "secret-list.schema.json");
    let (answer, status) = home.json(&["secret", "test", "forge", "--json"]);
    assert_eq!((answer["uses"].as_array().map(Vec::len), status), (Some(1), 1));
    conforms(&answer, "secret-test.schema.json");
}

#[test]
fn what_is_changed_is_said_to_programs() {
    let home = recorded();
    let with = |words: &[&str], input: &str| -> Value {
        let text = home.run_with(words, input);
        let line =
            text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{text}"));
        assert!(text.ends_with("[0]\n"), "{text}");
        serde_json::from_str(line).unwrap()
    };
    let value = "a-value-of-a-secret";
    let add = ["secret", "add", "forge", "--kind", "git-https", "--for", "a.example", "--json"];
    conforms(&with(&add, value), "secret-change.schema.json");
    let granted = with(&["grant", "secret:forge", "--always", "--yes", "--json"], "");
    conforms(&granted, "grant.schema.json");
    let again = with(&["grant", "secret:forge", "--always", "--yes", "--json"], "");
    assert_eq!((&granted["new"], &again["new"]), (&true.into(), &false.into()));
    conforms(&with(&["secret", "rotate", "forge", "--json"], value), "secret-change.schema.json");
    let removed = with(&["secret", "remove", "forge", "--json"], "");
    conforms(&removed, "secret-change.schema.json");
    let id = removed["grants_left"][0]["id"].as_str().unwrap().to_owned();
    conforms(&with(&["grants", "revoke", &id, "--json"], ""), "grants-revoke.schema.json");
    for (words, is) in [
        (&["trust", "--yes", "--json"][..], "trusted"),
        (&["untrust", "--json"], "untrusted"),
        (&["trust", "--yes", "--json"], "trusted"),
    ] {
        let said = with(words, "");
        conforms(&said, "trust.schema.json");
        assert_eq!(said["is"], is);
    }
}

#[test]
fn a_value_that_does_not_conform_is_found() {
    let missing =
        serde_json::json!({"schema": 1, "id": "g", "text": "t", "scope": "s", "author": "a"});
    let extra = serde_json::json!({"schema": 1, "id": "g", "text": "t", "scope": "s", "author": "a",
        "created": "c", "expires": null, "new": 1});
    let mistyped = serde_json::json!({"schema": 2, "findings": [{"check": 1}]});
    let count = |value: &Value, file: &str| differences(value, &schema(file), file, "").len();
    assert_eq!(count(&missing, "grants-list.schema.json"), 2);
    assert_eq!(count(&extra, "grants-list.schema.json"), 1);
    assert_eq!(count(&mistyped, "doctor.schema.json"), 5);
}
