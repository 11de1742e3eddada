use super::super::frame::Frame;
use super::*;

/// Finds `ghp_` with what follows, `@` with what is around, cards of sixteen fours, and escapes.
struct Looks;

impl Inspect for Looks {
    fn inspect(&self, text: &str) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut find = |word: &str, rule, kind, certainty| {
            for (start, _) in text.match_indices(word) {
                let rest = text.get(start..).unwrap_or_default();
                let ends = |letter: char| !letter.is_ascii_alphanumeric() && !"_@".contains(letter);
                let length = rest.find(ends).unwrap_or(rest.len()).max(1);
                all.push(Finding { rule, kind, certainty, at: start..start + length });
            }
        };
        find("ghp_", "token", FindingKind::Secret, Certainty::Certain);
        find("secret:[", "left", FindingKind::Secret, Certainty::Certain);
        find("AKIAtext", "key", FindingKind::Secret, Certainty::Certain);
        find("me@", "email", FindingKind::Email, Certainty::Likely);
        find("4444444444444444", "card", FindingKind::Card, Certainty::Certain);
        find("\u{1b}", "escape", FindingKind::Terminal, Certainty::Certain);
        if let Some(at) = text.find("\"password\": \"") {
            let start = at + 13;
            let end = text.len() - 1;
            let (kind, certainty) = (FindingKind::Secret, Certainty::Certain);
            all.push(Finding { rule: "password", kind, certainty, at: start..end });
        }
        all
    }
}

fn message(text: &str) -> Message {
    match Frame::parse(text.as_bytes().to_vec()).unwrap() {
        Frame::One(message) => message,
        Frame::Batch(_) => panic!("one message"),
    }
}

fn handling(redact: &str, block: &str) -> Handling {
    let list = |text: &str| {
        if text.is_empty() { BTreeSet::new() } else { Detector::list(text).unwrap() }
    };
    Handling { redact: list(redact), block: list(block) }
}

/// What a message is passed on as.
fn passed(text: &str, handling: &Handling) -> String {
    passed_but_for(text, handling, &[])
}

/// The same where these members are echoed.
fn passed_but_for(text: &str, handling: &Handling, echoed: &[&str]) -> String {
    let always = [Detector::Secrets].into();
    let looked = look(&message(text), &Looks, Rules { handling, always: &always, echoed });
    assert!(!looked.is_blocked());
    let passed = looked.text.unwrap_or_else(|| text.to_owned());
    // Whatever was replaced, it is a message.
    message(&passed);
    passed
}

fn plainly(text: &str) -> String {
    passed(text, &Handling::default())
}

#[test]
fn what_has_nothing_in_it_stays_byte_for_byte() {
    let text = r#"{ "jsonrpc":"2.0" ,"id" : 1, "result":{"a\u0062" : [1.50e1, "\u00e9\/", "ok"], "n": 123456789012345}}"#;
    assert_eq!(plainly(text), text);
}

#[test]
fn a_credential_is_taken_out_however_it_is_escaped() {
    for written in ["ghp_abc", "\\u0067hp_abc", "g\\u0068p\\u005fabc", "ghp_\\u0061bc"] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"a {written} b"}}] , "x":1.0}}}}"#
        );
        assert_eq!(
            plainly(&text),
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a [redacted: token] b"}] , "x":1.0}}"#
        );
    }
}

#[test]
fn what_has_a_form_only_once_something_else_is_gone_is_taken_out_too() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"text":"a secret:ghp_a b"}}"#;
    let always = [Detector::Secrets].into();
    let (rules, inspect) =
        (Rules { handling: &handling("", ""), always: &always, echoed: &[] }, Looks);
    let looked = look(&message(text), &inspect, rules);
    assert!(!looked.text.unwrap().contains("secret:"));
    let found: Vec<&str> = looked.found.iter().map(|found| found.rule.as_str()).collect();
    assert_eq!(found, ["token", "left"]);
}

#[test]
fn keys_are_looked_at_and_stay_different() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"ghp_a":1,"\u0067hp_b":2,"ghp_c":{"ghp_a":3}}}}"#;
    assert_eq!(
        plainly(text),
        r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"[redacted: token]":1,"[redacted: token] (2)":2,"[redacted: token] (3)":{"[redacted: token] (4)":3}}}}"#
    );
}

#[test]
fn all_that_a_server_sends_is_looked_at() {
    for (text, wanted) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"ghp_a","data":["ghp_b"]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"[redacted: token]","data":["[redacted: token]"]}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"x":"ghp_a"}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"x":"[redacted: token]"}}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"ghp_id","method":"sampling/createMessage","params":{"systemPrompt":"ghp_a"}}"#,
            r#"{"jsonrpc":"2.0","id":"ghp_id","method":"sampling/createMessage","params":{"systemPrompt":"[redacted: token]"}}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"x:y","text":"ghp_a"},{"resource":{"text":"ghp_b"}}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"x:y","text":"[redacted: token]"},{"resource":{"text":"[redacted: token]"}}]}}"#,
        ),
    ] {
        assert_eq!(plainly(text), wanted);
    }
}

#[test]
fn what_is_echoed_and_not_read_is_left_alone_and_only_where_it_is_that() {
    let but_for = |text: &str, echoed: &[&str]| passed_but_for(text, &Handling::default(), echoed);
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"nextCursor":"ghp_a","tools":[]}}"#;
    assert_eq!(but_for(text, &["nextCursor"]), text);
    for text in [
        text,
        r#"{"jsonrpc":"2.0","id":1,"result":{"x":{"taskId":"ghp_a"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"taskId":"c","x":["ghp_a"]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"ghp_a","content":[]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"requestState":"ghp_a","content":[]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"progressToken":"ghp_a","content":[]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"requestId":"ghp_a","content":[]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"taskId":{"x":"ghp_a"}}}"#,
    ] {
        assert!(!but_for(text, &["taskId"]).contains("ghp_a"), "{text}");
    }
}

#[test]
fn texts_within_blobs_are_looked_at_and_other_blobs_are_not() {
    let with = |bytes: &[u8]| {
        let blob = STANDARD.encode(bytes);
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"contents":[{{"blob":"{blob}"}}]}}}}"#)
    };
    assert_eq!(plainly(&with(b"key ghp_a\n")), with(b"key [redacted: token]\n"));
    // A text that only looks encoded, as that of a column may.
    let looks = r#"{"jsonrpc":"2.0","id":1,"result":{"row":{"blob":"AKIAtext"}}}"#;
    assert!(plainly(looks).contains("[redacted: key]"));
    let picture = with(b"\xff\xd8 ghp_a");
    assert_eq!(plainly(&picture), picture);
    // In every way in which some receiver decodes it.
    let wide = |bytes: fn(u16) -> [u8; 2], text: &str| {
        with(&text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>())
    };
    for (text, at_end) in [
        (wide(u16::to_le_bytes, "key ghp_a"), ""),
        (wide(u16::to_be_bytes, "key ghp_a"), ""),
        (wide(u16::to_le_bytes, "\u{feff}key ghp_a"), ""),
        (with(b"key ghp_a").replace("a2V5", "a2\\r\\nV5"), ""),
        (with(b"key ghp_a").replace("a2V5", "a2 V5 "), ""),
        (with(b"key ghp_a").replace("\"blob\"", "\"bl\\u006fb\""), ""),
        (
            with("key ghp_a \u{7ff}\u{7ff}".as_bytes()).replace('/', "_").replace('+', "-"),
            " \u{7ff}\u{7ff}",
        ),
        (
            with(b"key ghp_a;;").trim_end_matches("\"}]}}").trim_end_matches('=').to_owned()
                + "\"}]}}",
            ";;",
        ),
    ] {
        let expected = with(format!("key [redacted: token]{at_end}").as_bytes());
        assert_eq!(plainly(&text).replace("bl\\u006fb", "blob"), expected, "{text}");
    }
}

#[test]
fn nothing_stands_beside_what_is_looked_through() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"result":{},"more":"ghp_a"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"more":{"nextCursor":"ghp_a"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"ghp_a":[{"x":"ghp_a"}]}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/ghp_a"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"},"_meta":{"a":"ghp_a"}}"#,
    ] {
        let clean = plainly(text);
        assert!(clean.contains("[redacted: token]") && !clean.contains("ghp_a"), "{clean}");
    }
    let named = r#"{"jsonrpc":"2.0","id":"ghp_a","method":"ping"}"#;
    assert_eq!(plainly(named), named, "it is given back to whoever gave it");
}

#[test]
fn a_number_may_be_a_cards() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"n":4444444444444444,"m":-1.5}}"#;
    assert_eq!(plainly(text), text);
    assert_eq!(
        passed(text, &handling("card", "")),
        r#"{"jsonrpc":"2.0","id":1,"result":{"n":"[redacted: card]","m":-1.5}}"#
    );
}

#[test]
fn a_value_is_looked_at_behind_its_name() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"password":"hunter","word":"hunter"}}"#;
    assert_eq!(
        plainly(text),
        r#"{"jsonrpc":"2.0","id":1,"result":{"password":"[redacted: password]","word":"hunter"}}"#
    );
}

#[test]
fn rules_say_what_else_is_taken_out_and_what_is_not_passed_on() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"text":"me@x and \u001b[2J"}}"#;
    assert_eq!(plainly(text), r#"{"jsonrpc":"2.0","id":1,"result":{"text":"me@x and ␛[2J"}}"#);
    assert!(passed(text, &handling("pii", "")).contains("[redacted: email] and ␛[2J"));
    let always = BTreeSet::new();
    let block = handling("", "email");
    let looked =
        look(&message(text), &Looks, Rules { handling: &block, always: &always, echoed: &[] });
    assert!(looked.is_blocked());
}

#[test]
fn findings_are_counted_and_never_kept() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"a":"ghp_one ghp_two","b":"me@x"}}"#;
    let always = [Detector::Secrets].into();
    let rules = Rules { handling: &Handling::default(), always: &always, echoed: &[] };
    let looked = look(&message(text), &Looks, rules);
    let said: Vec<(&str, Treatment, u64)> =
        looked.found.iter().map(|it| (it.rule.as_str(), it.treatment, it.count)).collect();
    assert_eq!(said, [("email", Treatment::Told, 1), ("token", Treatment::Redacted, 2)]);
    assert!(!format!("{:?}", looked.found).contains("one"));
}
