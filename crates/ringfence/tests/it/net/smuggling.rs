//! Requests hidden in requests, where each one is decided. The server reads what arrives in every way
//! that some server is known to read it: whatever one of them takes for a denied request got through.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::inspect::{inside, net};
use super::stage::Net;
use crate::attacks::stage::{Side, everybody, text};

/// What the servers read, one list for each connection.
fn read(net: &Net, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_mins(1);
    let mut read: Vec<Value> = Vec::new();
    while read.len() < count && Instant::now() < until {
        read.extend(net.seen().into_iter().filter(|it| it.get("targets").is_some()));
    }
    read
}

/// The attacks that some reading of a connection takes for what is denied.
fn through(read: &[Value]) -> Vec<(String, &Value)> {
    let bad = |target: &&str| target.starts_with("/denied/") || target.contains("evil.example");
    let of = |it: &'_ Value| {
        let targets = it["targets"].as_array().unwrap().iter().filter_map(Value::as_str);
        targets.filter(bad).map(str::to_owned).next()
    };
    read.iter().filter_map(|it| Some((of(it)?, it))).collect()
}

#[test]
fn no_request_is_hidden_in_another_from_any_reader() {
    let net = net(everybody().pop().unwrap());
    let ways = [("lenient", "plain"), ("lenient_tls", "tls")];
    for ((server, spoken), pace) in ways.into_iter().flat_map(|way| [(way, ""), (way, "slow")]) {
        let words = format!("python3 smuggle.py good.example {{{server}}} {spoken}");
        let outside = net.script(Side::Outside, &format!("{words} ca.pem {pace}"));
        let words = format!("{words} {pace}");
        let answers: Value = serde_json::from_slice(&outside.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&outside)));
        let count = answers.as_object().unwrap().len();
        let seen = read(&net, count);
        let found = through(&seen);
        // Not every attack is one for every reader; together they are.
        assert!(count > 90 && found.len() > 70, "{} of {count} get through outside", found.len());
        let said = inside(&net, &words);
        let seen = read(&net, count);
        let found = through(&seen);
        assert!(found.is_empty(), "{found:#?}");
        let line =
            said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
        let answers: Value = serde_json::from_str(line).unwrap();
        for (attack, statuses) in answers.as_object().unwrap() {
            let first = statuses[0].as_str().unwrap_or_default();
            let known = ["200", "400", "403", "421"].contains(&first);
            // It is no HTTP/1, and where TLS is spoken it is a request that is never complete.
            assert!(known || attack == "old-line", "{attack}: {statuses}");
        }
    }
}

#[test]
fn no_frames_of_http_2_say_another_request_than_what_was_decided() {
    let net = net(everybody().pop().unwrap());
    let words = "python3 h2raw.py good.example {h2}";
    let outside = net.script(Side::Outside, &format!("{words} ca.pem"));
    let seen = net.seen();
    let evil = |it: &&Value| {
        let text = it.to_string();
        text.contains("denied") || text.contains("evil") || text.contains("DELETE")
    };
    let got = seen.iter().filter(evil).count();
    assert!(got > 8, "{seen:#?} {}", text(&outside));
    let said = inside(&net, words);
    let seen = net.seen();
    let through: Vec<_> = seen.iter().filter(evil).collect();
    assert!(through.is_empty(), "{through:#?}");
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
    let answers: Value = serde_json::from_str(line).unwrap();
    let permitted = ["plain", "trailers", "trailers-pseudo", "path-fragment"];
    for (attack, answer) in answers.as_object().unwrap() {
        let statuses: Vec<u64> =
            answer["statuses"].as_array().unwrap().iter().filter_map(|it| it[1].as_u64()).collect();
        if attack == "many" {
            let mut each = answer["statuses"].as_array().unwrap().clone();
            each.sort_by_key(|it| it[0].as_u64());
            let expected = serde_json::json!([[1, 200], [3, 403], [5, 200]]);
            assert_eq!(Value::from(each), expected, "{answer}");
        } else if permitted.contains(&attack.as_str()) {
            assert_eq!(statuses, [200], "{attack}: {answer}");
        } else {
            assert!(!statuses.contains(&200), "{attack}: {answer}");
        }
    }
    // What no attack is arrives as it was meant.
    assert!(seen.iter().any(|it| it["trailers"]["x-after"] == "1"), "{seen:#?}");
}
