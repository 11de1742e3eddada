//! `world verify`: every attack that works outside fails in a world.

use std::collections::BTreeMap;

use serde_json::Value;

use super::stage::{Stage, Who, everybody, text};
use crate::schemas::conforms;

/// Attacks that no machine on which the tests run is without.
const ALWAYS_TRIED: [&str; 18] = [
    "run",
    "run-copy",
    "run-loader",
    "run-memory",
    "read",
    "read-symlink",
    "read-other-root",
    "exchange-readonly",
    "git-hook-above",
    "git-config",
    "git-config-closed",
    "reopen-other-descriptor",
    "tcp",
    "udp",
    "unix-abstract",
    "user-namespace",
    "signal",
    "stay",
];

/// What `world verify` with these words found, by the attack.
fn verify(stage: &Stage, words: &[&str]) -> BTreeMap<String, (String, String)> {
    let all: Vec<&str> = ["world", "verify", "--json"].iter().chain(words).copied().collect();
    let output = stage.ringfence_command(&all).output().unwrap();
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let found: BTreeMap<_, _> = lines
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            conforms(&value, "world-verify.schema.json");
            let word = |key: &str| value[key].as_str().unwrap().to_owned();
            (word("attack"), (word("outcome"), word("said")))
        })
        .collect();
    assert!(found.len() > 100, "{}", text(&output));
    let escaped = found.values().any(|(outcome, _)| outcome == "escaped");
    assert_eq!(output.status.code(), Some(i32::from(escaped)), "{}", text(&output));
    found
}

#[test]
fn every_attack_that_works_outside_is_held() {
    for who in everybody() {
        let stage = Stage::without_policy(who);
        let found = verify(&stage, &[]);
        for (attack, (outcome, said)) in &found {
            let is_known = outcome == "held" || outcome == "untried";
            assert!(is_known, "{who:?} {attack}: {outcome} {said}");
        }
        for attack in ALWAYS_TRIED {
            assert_eq!(found[attack].0, "held", "{who:?} {attack}: {}", found[attack].1);
        }
        assert!(!stage.has(".cache") || listing(&stage).is_empty(), "{:?}", listing(&stage));
        // It is nobody's work: neither the last session, nor among those that were refused something.
        let last = text(&stage.ringfence_command(&["show"]).output().unwrap());
        assert!(last.contains("no session of this user"), "{who:?}: {last}");
        let logs = text(&stage.ringfence_command(&["sandbox", "logs"]).output().unwrap());
        assert!(logs.contains("nothing was refused in the last 0 sessions"), "{who:?}: {logs}");
    }
}

/// What is left of what was attacked.
fn listing(stage: &Stage) -> Vec<String> {
    let found = std::fs::read_dir(stage.home().join(".cache")).unwrap().flatten();
    found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_the_policy_permits_is_not_called_an_escape() {
    for who in everybody() {
        let stage = Stage::without_policy(who);
        stage.write(
            "any.cedar",
            "permit (principal, action == Action::\"exec\", resource);\n\
             permit (principal, action in Action::\"net\", resource);\n",
        );
        let policy = stage.home().join("any.cedar");
        let found = verify(&stage, &["--policy", policy.to_str().unwrap()]);
        for attack in ["run-copy", "run-loader"] {
            assert_eq!(found[attack].0, "permitted", "{who:?}: {}", found[attack].1);
        }
        // What has no path is no program that could be permitted, and a forbid holds all the same.
        assert_eq!(found["run"].0, "held", "{who:?}");
        assert_eq!(found["read"].0, "held", "{who:?}");
    }
}

/// What a world without namespaces does not hold is what it is said not to hold, and no more.
#[test]
fn without_namespaces_every_attack_is_held_but_those_that_are_listed() {
    for who in everybody() {
        let stage = Stage::without_policy(who);
        if who == Who::Root {
            // Nobody, who is root's payload, owns nothing there: no such world is started.
            let words = ["world", "verify", "--tier", "landlock"];
            let output = stage.ringfence_command(&words).output().unwrap();
            assert!(text(&output).contains("may write nothing"), "{}", text(&output));
            continue;
        }
        let found = verify(&stage, &["--tier", "landlock"]);
        for (attack, (outcome, said)) in &found {
            let is_known = ["held", "untried", "unheld"].contains(&outcome.as_str());
            assert!(is_known, "{who:?} {attack}: {outcome} {said}");
        }
        for attack in ALWAYS_TRIED {
            assert_eq!(found[attack].0, "held", "{who:?} {attack}: {}", found[attack].1);
        }
        assert_eq!(found["stat"].0, "unheld", "{}", found["stat"].1);
    }
}

#[test]
fn in_a_container_every_attack_is_held() {
    for who in everybody() {
        let stage = Stage::without_policy(who);
        let found = verify(&stage, &["--tier", "oci", "--image", stage.image()]);
        for (attack, (outcome, said)) in &found {
            let is_known = outcome == "held" || outcome == "untried";
            assert!(is_known, "{who:?} {attack}: {outcome} {said}");
        }
        for attack in ALWAYS_TRIED {
            assert_eq!(found[attack].0, "held", "{who:?} {attack}: {}", found[attack].1);
        }
    }
}

/// A tier that advises promises nothing; what it was seen to hold of programs that ask, it holds.
#[test]
fn in_a_world_that_advises_no_attack_is_called_held_by_a_promise() {
    let ordinary = everybody().into_iter().find(|who| *who != Who::Root);
    let stage = Stage::without_policy(ordinary.unwrap());
    stage.give_library();
    for tier in ["preload", "ptrace"] {
        let found = verify(&stage, &["--tier", tier]);
        for (attack, (outcome, said)) in &found {
            let is_known = ["held", "untried", "unheld"].contains(&outcome.as_str());
            assert!(is_known, "{tier} {attack}: {outcome} {said}");
        }
        let both = ["run", "run-outside", "read", "write", "delete-readonly", "git-hook", "tcp"];
        // What needs no library is stopped by the tracer, or by the filter.
        let traced = ["run-loader", "make-pipe-readonly", "mptcp", "user-namespace", "trace"];
        for attack in both.into_iter().chain(traced.into_iter().filter(|_| tier == "ptrace")) {
            assert_eq!(found[attack].0, "held", "{tier} {attack}: {}", found[attack].1);
        }
        for attack in ["stat", "signal"] {
            assert_eq!(found[attack].0, "unheld", "{tier} {attack}: {}", found[attack].1);
        }
    }
}
