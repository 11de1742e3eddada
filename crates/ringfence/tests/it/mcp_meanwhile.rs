//! What others write between a question and its answer is never taken back.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::mcp_add::Setup;
use crate::person::{Who, text};

/// Someone who has a server to add.
fn setup(who: Who) -> Setup {
    let setup = Setup::new(who);
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}});
    let tool = json!({"name": "read_note", "description": "", "inputSchema": schema});
    setup.person.write("says", &json!({"tools": [tool]}).to_string());
    setup
}

fn added<'a>(name: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    let command = ["--", "/usr/bin/python3", "server.py", "old"];
    [&["mcp", "add", name][..], words, &command].concat()
}

/// A script that runs us.
fn ours(setup: &Setup, words: &[&str]) -> String {
    format!("{} {} 2>/dev/null", setup.person.ringfence_program().display(), words.join(" "))
}

const FORBID: &str = "@id(\"not-that\") forbid (principal, action, resource in Dir::\"/srv/x\");";

/// Writes a rule to the end of the person's policy.
fn forbids(setup: &Setup) -> String {
    format!("printf '%s\\n' '{FORBID}' >> {}", setup.policy().display())
}

/// What was to be seen with its lines joined, and the exit status.
fn typed(setup: &Setup, answers: &Value, words: &[&str]) -> (String, Option<i32>) {
    let (said, code) = setup.typed_while(answers, words);
    (said.split_whitespace().collect::<Vec<_>>().join(" "), code)
}

fn is_trusted(setup: &Setup) -> bool {
    let shown = setup.person.ringfence(&["policy", "show", "--json"]).output().unwrap();
    // Of one that never was nothing is shown.
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    shown["project_trust"]["trust"] == "trusted"
}

const CHANGED: &str = "policy.cedar` was changed meanwhile: nothing was written";

#[test]
fn a_forbid_that_was_written_while_mcp_add_asked_stays() {
    for who in Who::all() {
        let setup = setup(who);
        let before = setup.rules();
        let words = added("it", &[]);
        let script = forbids(&setup);
        // The change is shown anew, and a yes to the old one is none to the new one.
        for (second, is_written) in [("n", false), ("y", true)] {
            fs::write(setup.policy(), &before).unwrap();
            let answers = json!([
                ["pin these", "y"],
                ["change the policy so?", "y", script],
                ["change the policy so?", second],
            ]);
            let asked = if is_written {
                &answers.as_array().unwrap()[1..]
            } else {
                answers.as_array().unwrap()
            };
            let (said, code) = typed(&setup, &json!(asked), &words);
            assert_eq!(code, Some(0), "{who:?}: {said}");
            assert!(said.contains(CHANGED), "{who:?}: {said}");
            assert_eq!(said.matches("change the policy so?").count(), 2, "{who:?}: {said}");
            let rules = setup.rules();
            assert!(rules.starts_with(&format!("{before}{FORBID}\n")), "{who:?}: {rules}");
            assert_eq!(rules.contains("it/read_note"), is_written, "{who:?}: {rules}");
        }
        setup.person.succeed(&["policy", "check"]);
    }
}

#[test]
fn of_two_servers_that_are_added_at_once_each_has_its_rules() {
    let setup = setup(Who::Caller);
    let other = ours(&setup, &added("git", &["--yes"]));
    let answers = json!([
        ["pin these", "y"],
        ["change the policy so?", "y", other],
        ["change the policy so?", "y"],
    ]);
    let (said, code) = typed(&setup, &answers, &added("fs", &[]));
    assert_eq!(code, Some(0), "{said}");
    for rule in ["fs/read_note", "git/read_note"] {
        assert!(setup.rules().contains(rule), "{rule}: {}", setup.rules());
    }
    // What was taken back meanwhile does not come back.
    let removed = ours(&setup, &["mcp", "remove", "git", "--yes"]);
    setup.person.succeed(&["mcp", "remove", "fs", "--yes"]);
    let answers = json!([
        ["pin these", "y"],
        ["change the policy so?", "y", removed],
        ["change the policy so?", "y"],
    ]);
    let (said, code) = typed(&setup, &answers, &added("fs", &[]));
    assert_eq!(code, Some(0), "{said}");
    let rules = setup.rules();
    assert!(rules.contains("fs/read_note") && !rules.contains("git/read_note"), "{rules}");
}

#[test]
fn many_servers_that_are_added_at_the_same_time_with_yes_all_have_their_rules() {
    let setup = setup(Who::Caller);
    let names = ["one", "two", "three", "four"];
    let all: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command = setup.person.ringfence(&added(name, &["--yes"]));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    for name in names {
        assert!(setup.rules().contains(&format!("{name}/read_note")), "{name}: {}", setup.rules());
        setup.person.succeed(&["mcp", "remove", name, "--yes"]);
        assert!(!setup.rules().contains(&format!("{name}/read_note")), "{name}: {}", setup.rules());
    }
}

#[test]
fn a_server_that_was_pinned_meanwhile_is_not_replaced_by_one_that_nobody_compared_it_with() {
    let setup = setup(Who::Caller);
    let place = setup.own().join("mcp/it.json");
    let other = format!(
        "{} mcp add it --yes --no-policy --env MINE=1 -- /usr/bin/python3 server.py old 2>/dev/null",
        setup.person.ringfence_program().display()
    );
    let words = added("it", &["--no-policy"]);
    let answers = json!([["pin these", "y", other], ["pin these", "n"]]);
    let (said, code) = typed(&setup, &answers, &words);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it.json` was changed meanwhile") && said.contains("MINE"), "{said}");
    assert!(fs::read_to_string(&place).unwrap().contains("MINE"));
}

#[test]
fn a_project_keeps_each_rule_that_is_proposed_for_it_and_what_was_written_meanwhile() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let policy = person.project().join(".ringfence/policy.cedar");
    person.write(".ringfence/policy.cedar", "// ours\n");
    person.succeed(&["trust", "--yes"]);
    // Both its places and its tools are proposed.
    fs::write(setup.policy(), "permit (principal, action == Action::\"exec\", resource);\n")
        .unwrap();
    person.succeed(&added("it", &["--yes", "--project"]));
    let rules = fs::read_to_string(&policy).unwrap();
    for part in ["// ours", "Agent::\"it\"", "it/read_note"] {
        assert!(rules.contains(part), "{part}: {rules}");
    }
    assert!(is_trusted(&setup));
    // What somebody else wrote meanwhile stays, and is not trusted by a yes to something else.
    let script = format!("printf '%s\\n' '{FORBID}' >> {}", policy.display());
    let answers = json!([
        ["let it have that?", "y"],
        ["pin these", "y"],
        ["change the policy so?", "y", script],
        ["change the policy so?", "y"],
    ]);
    let (said, code) = typed(&setup, &answers, &added("more", &["--project"]));
    assert_eq!(code, Some(0), "{said}");
    let rules = fs::read_to_string(&policy).unwrap();
    assert!(rules.contains(FORBID) && rules.contains("more/read_note"), "{said}: {rules}");
    let then = said.rsplit_once(CHANGED).unwrap().1;
    assert!(
        then.contains("run `ringfence trust`") && !then.contains("saved and trusted"),
        "{said}"
    );
    assert!(!is_trusted(&setup));
}

#[test]
fn rules_are_taken_out_of_the_policy_as_it_is_when_the_person_agrees() {
    let setup = setup(Who::Caller);
    setup.person.succeed(&added("it", &["--yes"]));
    let answers =
        json!([["take these rules out?", "y", forbids(&setup)], ["take these rules out?", "y"],]);
    let (said, code) = typed(&setup, &answers, &["mcp", "remove", "it"]);
    assert_eq!(code, Some(0), "{said}");
    let rules = setup.rules();
    assert!(rules.contains(FORBID) && !rules.contains("it/read_note"), "{rules}");
}

#[test]
fn a_policy_that_was_changed_while_it_was_edited_is_not_overwritten_and_the_text_is_kept() {
    let setup = setup(Who::Caller);
    let editor = setup.person.project().join("editor");
    let script = format!("#!/bin/sh\necho '// mine' >> \"$1\"\n{}\n", forbids(&setup));
    fs::write(&editor, script).unwrap();
    let mut command = setup.person.ringfence(&["policy", "edit", "--user"]);
    let output = command.env("EDITOR", format!("/bin/sh {}", editor.display())).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(CHANGED), "{said}");
    assert!(setup.rules().contains(FORBID) && !setup.rules().contains("// mine"), "{said}");
    let kept = said.rsplit_once("your text is in ").unwrap().1.trim();
    assert!(fs::read_to_string(kept).unwrap().contains("// mine"), "{said}");
}

#[test]
fn what_is_changed_while_init_or_trust_ask_is_neither_replaced_nor_trusted() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let policy = person.project().join(".ringfence/policy.cedar");
    person.write(".ringfence/policy.cedar", "// ours\n");
    let script = format!("printf '%s\\n' '{FORBID}' >> {}", policy.display());
    let answers = json!([["replace ", "y", script]]);
    let (said, code) = typed(&setup, &answers, &["init"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(CHANGED), "{said}");
    assert_eq!(fs::read_to_string(&policy).unwrap(), format!("// ours\n{FORBID}\n"));
    let script = format!("echo '// more' >> {}", policy.display());
    let answers = json!([["trust this policy", "y", script]]);
    let (said, code) = typed(&setup, &answers, &["trust"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("changed meanwhile: nothing was trusted"), "{said}");
    assert!(!is_trusted(&setup));
}
