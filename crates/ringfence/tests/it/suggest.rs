//! `suggest`: what a session was denied, as a change of the policy that can be applied.

use std::fs;

use serde_json::Value;

use crate::person::{Person, Who, text};
use crate::schemas::conforms;

/// A person whose session was denied reads of a directory, of odd names and of secrets, a connection, and a
/// metadata service.
fn denied(who: Who) -> Person {
    let person = Person::new(who);
    person.succeed(&["init", "--agent", "generic"]);
    let home = person.home();
    for (name, content) in [
        ("data/a", "one"),
        ("data/b", "two"),
        ("data/c", "three"),
        ("odd/q\"); permit(principal, action, resource);\nx\u{202e}*?", "odd"),
        ("x/.env", "secret"),
        ("x/id_ed25519", "secret"),
    ] {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
    }
    person.give(&home);
    let script = "cat ~/data/a ~/data/b ~/data/c ~/x/.env ~/x/id_ed25519 ~/.ssh/id_rsa
                  python3 -c 'import os,sys
for name in (\"odd/q\\\"); permit(principal, action, resource);\\nx\\u202e*?\",):
    try: open(os.path.expanduser(\"~/\" + name))
    except OSError: pass'
                  curl -sS http://api.example.com/; curl -sS http://169.254.169.254/; true";
    let ended = person.ringfence(&["run", "--why", "--", "/bin/sh", "-c", script]).output();
    let ended = ended.unwrap();
    assert!(ended.status.success(), "{}", text(&ended));
    person
}

#[test]
fn a_suggestion_can_be_applied_and_permits_what_was_denied_and_nothing_that_is_kept() {
    for who in Who::all() {
        let person = denied(who);
        let policy = person.project().join(".ringfence/policy.cedar");
        let before = fs::read_to_string(&policy).unwrap();
        let made = person.ringfence(&["suggest"]).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success(), "{said}");
        assert_eq!(fs::read_to_string(&policy).unwrap(), before, "it was applied by itself");
        let diff = String::from_utf8(made.stdout).unwrap();
        let home = person.home().display().to_string();
        for rule in [
            format!("resource in Dir::\"{home}/data\");"),
            "/odd/q\\\"); permit(principal, action, resource);\\nx\\u{202e}*?\");".to_owned(),
            "resource == Endpoint::\"api.example.com:80\");".to_owned(),
        ] {
            assert!(diff.contains(&rule), "{rule}: {diff}\n{said}");
        }
        assert_eq!(diff.matches("\n+permit(").count(), 3, "{diff}");
        for kept in ["/.env", "id_ed25519", ".ssh", "169.254"] {
            assert!(!diff.contains(kept), "{diff}");
            assert!(said.contains(kept), "{said}");
        }
        assert!(said.contains("permits 5 of 5 acts") && !diff.contains('\u{202e}'), "{said}");
        apply(&person, &diff);
        let read = "cat ~/data/a ~/data/b ~/data/c ~/odd/*; cat ~/x/.env ~/x/id_ed25519 || true";
        let read = person.inside(read);
        assert_eq!(String::from_utf8_lossy(&read.stdout), "onetwothreeodd", "{}", text(&read));
        let again = person.ringfence(&["suggest"]).output().unwrap();
        assert!(again.stdout.is_empty() && again.status.success(), "{}", text(&again));
    }
}

/// As the hint says: `git apply`, `policy check`, `trust`.
fn apply(person: &Person, diff: &str) {
    let file = person.home().join("suggested.diff");
    fs::write(&file, diff).unwrap();
    person.give(&file);
    let applied =
        person.outside("git apply --check ../suggested.diff; git apply ../suggested.diff");
    assert!(applied.status.success(), "{}", text(&applied));
    person.succeed(&["policy", "check", ".ringfence/policy.cedar"]);
    person.succeed(&["trust", "--yes"]);
}

#[test]
fn programs_are_told_the_same_as_people() {
    let person = denied(Who::Caller);
    let said: Value = serde_json::from_str(&person.succeed(&["suggest", "--json"])).unwrap();
    conforms(&said, "suggest.schema.json");
    assert_eq!(said["rules"].as_array().unwrap().len(), 3, "{said:#}");
    let checked = &said["checked"];
    assert_eq!(checked["wanted"], checked["permitted"]);
    assert_eq!(checked["must_stay_denied"], checked["stay_denied"]);
    assert!(checked["must_stay_denied"].as_u64().unwrap() > 60, "{checked}");
    let left = said["left"].as_array().unwrap();
    let kind = |name: &str| {
        let found = left.iter().find(|it| it["act"]["resource"].as_str().unwrap().contains(name));
        found.unwrap_or_else(|| panic!("{name}: {said:#}"))["kind"].clone()
    };
    for name in ["/.env", "id_ed25519", "/.ssh/id_rsa", "169.254.169.254"] {
        assert_eq!(kind(name), "never", "{name}");
    }
}

#[test]
fn a_session_that_was_denied_only_what_is_kept_ends_in_no() {
    let person = Person::new(Who::Caller);
    person.succeed(&["init", "--agent", "generic"]);
    person.inside("git push || true");
    let made = person.ringfence(&["suggest"]).output().unwrap();
    assert_eq!(made.status.code(), Some(1), "{}", text(&made));
    assert!(made.stdout.is_empty(), "{}", text(&made));
    assert!(text(&made).contains("the policy asks: role `owner`"), "{}", text(&made));
    person.inside("true");
    let made = person.ringfence(&["suggest"]).output().unwrap();
    assert_eq!(made.status.code(), Some(0), "{}", text(&made));
}

#[test]
fn without_a_policy_that_counts_there_is_nothing_to_change() {
    let person = denied(Who::Caller);
    let policy = person.project().join(".ringfence/policy.cedar");
    fs::write(&policy, fs::read_to_string(&policy).unwrap() + "// more\n").unwrap();
    let made = person.ringfence(&["suggest"]).output().unwrap();
    assert_eq!(made.status.code(), Some(2), "{}", text(&made));
    assert!(text(&made).contains("ringfence trust"), "{}", text(&made));
    let none = person.ringfence(&["suggest", "s99999999"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", text(&none));
    assert!(text(&none).contains("there is no session `s99999999`"), "{}", text(&none));
}
