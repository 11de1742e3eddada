//! Texts in parts, each in an event of its own.

use super::*;

/// Events of a model, with these texts.
fn stream(texts: &[&str]) -> String {
    let event = |text: &&str| {
        format!(
            "event: delta\ndata: {{\"id\":\"m-1\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
        )
    };
    texts.iter().map(event).collect::<String>() + "data: [DONE]\n\n"
}

/// What a client has of them, put together.
fn said(stream: &str) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: {"));
    let texts = data.map(|data| {
        let value: serde_json::Value = serde_json::from_str(&format!("{{{data}")).unwrap();
        value["choices"][0]["delta"]["content"].as_str().unwrap().to_owned()
    });
    texts.collect()
}

#[test]
fn what_is_cut_in_two_between_events_is_taken_out_of_both() {
    let (first, rest) = TOKEN.split_at(2);
    let (second, third) = rest.split_at(17);
    let each: Vec<String> = TOKEN.chars().map(String::from).collect();
    let each: Vec<&str> = ["it is "].into_iter().chain(each.iter().map(String::as_str)).collect();
    for texts in [
        vec!["it is ", first, second, third, "."],
        vec!["it is gh", behind(TOKEN, 2), " and more"],
        vec!["it ", "is ", TOKEN, ", yes"],
        vec!["a ", first, second, "\\n", third],
        each,
    ] {
        let text = stream(&texts);
        let clean = passed(Form::Events, &text);
        let (before, after) = (said(&text), said(&clean));
        assert_eq!(after, before.replace(TOKEN, "[redacted: token]"), "{texts:?}");
        assert_eq!(clean.matches("data: ").count(), texts.len() + 1, "each is an event still");
    }
    // Data that is no JSON, and an escape in one part.
    let text = format!("data: a {first}\r\n\r\ndata: {second}\r\n\r\ndata: {third} b\r\n\r\n");
    assert_eq!(
        passed(Form::Events, &text),
        "data: a [redacted: token]\r\n\r\ndata: \r\n\r\ndata:  b\r\n\r\n"
    );
    let text = stream(&["\\u0067h", behind(TOKEN, 2)]);
    assert_eq!(said(&passed(Form::Events, &text)), "[redacted: token]");
    // Lines of JSON.
    let text =
        format!("{{\"response\":\"x {first}\"}}\n{{\"response\":\"{rest}\"}}\n{{\"done\":true}}\n");
    assert_eq!(
        passed(Form::Json, &text),
        "{\"response\":\"x [redacted: token]\"}\n{\"response\":\"\"}\n{\"done\":true}\n"
    );
}

/// What a client has that tells several answers from one another by their numbers.
fn said_by(stream: &str, number: u64) -> String {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = data.map(|data| serde_json::from_str::<serde_json::Value>(data).unwrap());
    let all: Vec<serde_json::Value> =
        values.flat_map(|it| it["choices"].as_array().unwrap().clone()).collect();
    let own = all.iter().filter(|it| it["index"] == number);
    own.map(|it| it["delta"]["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn answers_that_are_sent_in_turn_are_told_from_one_another_by_their_numbers() {
    let choice = |index: u64, text: &str| {
        format!("{{\"index\": {index},\"delta\":{{\"role\":\"x\",\"content\":\"{text}\"}}}}")
    };
    let event = |choices: &[String]| {
        format!("data: {{\"id\":\"m\",\"choices\":[{}]}}\n\n", choices.join(","))
    };
    let (first, rest) = TOKEN.split_at(9);
    let (second, third) = rest.split_at(11);
    for apart in [true, false] {
        let pairs =
            [("it is ", "no "), (first, "to"), (second, "ken "), (third, "at all"), (".", "")];
        let text: String = pairs
            .iter()
            .map(|(zero, one)| {
                let (zero, one) = (choice(0, zero), choice(1, one));
                if apart { event(&[zero]) + &event(&[one]) } else { event(&[zero, one]) }
            })
            .collect();
        assert!(said_by(&text, 0).contains(TOKEN), "a client has it");
        let clean = passed(Form::Events, &text);
        assert_eq!(said_by(&clean, 0), "it is [redacted: token].", "{apart}: {clean}");
        assert_eq!(said_by(&clean, 1), "no token at all", "{apart}");
        let mut passing = passing(Form::Events);
        passing.push(text.as_bytes()).unwrap();
        passing.finish().unwrap();
        assert_eq!(passing.tally().found()[0].count, 1, "{apart}: counted once");
    }
    // Whoever does not look at numbers has it as well.
    let text =
        event(&[choice(0, first)]) + &event(&[choice(1, second)]) + &event(&[choice(0, third)]);
    let clean = passed(Form::Events, &text);
    let all: String = [0, 1].map(|number| said_by(&clean, number)).concat();
    assert_eq!(all, "[redacted: token]");
}

#[test]
fn what_only_may_become_something_goes_on_as_it_was() {
    for texts in [
        vec!["gh", "p_", "0123", " is no token"],
        vec!["g", "o on"],
        vec!["4444 4444 ", "4444 4444"],
        vec!["x", TOKEN],
    ] {
        let text = stream(&texts);
        let clean = said(&text).replace(&format!("x{TOKEN}"), "x[redacted: token]");
        assert_eq!(said(&passed(Form::Events, &text)), clean, "{texts:?}");
    }
}

#[test]
fn an_event_waits_for_the_next_only_while_it_may_become_something() {
    let mut passing = passing(Form::Events);
    let event = |text: &str| stream(&[text]).replace("data: [DONE]\n\n", "");
    for text in ["Hello", " world", "."] {
        assert_eq!(passing.push(event(text).as_bytes()).unwrap(), event(text).as_bytes());
    }
    // What may begin one waits, and nothing after a pause does.
    assert_eq!(passing.push(event(" gh").as_bytes()).unwrap(), b"");
    assert!(passing.holds());
    assert_eq!(passing.pause().unwrap(), event(" gh").as_bytes());
    assert!(!passing.holds());
    // What has gone on by then cannot be taken back; the rest is.
    assert_eq!(passing.push(event(behind(TOKEN, 2)).as_bytes()).unwrap(), b"");
    let rest = String::from_utf8(passing.push(event(" .").as_bytes()).unwrap()).unwrap();
    assert_eq!(said(&rest), "[redacted: token] .");
    assert_eq!(passing.tally().found().len(), 1);
    assert_eq!(passing.tally().found()[0].count, 1);
}

#[test]
fn what_may_not_pass_ends_a_stream_before_all_of_it_is_there() {
    let texts = ["it is ", "ghp_0123", behind(TOKEN, 8), " and more"];
    for size in [1, 50, 10_000] {
        let mut passing = Passing::new(rules("", "secrets", Way::In), Form::Events);
        let mut out = Vec::new();
        let text = stream(&texts);
        let blocked = text.as_bytes().chunks(size).any(|piece| match passing.push(piece) {
            Ok(passed) => {
                out.extend(passed);
                false
            }
            Err(blocked) => blocked.rule == "token",
        });
        assert!(blocked, "in pieces of {size}");
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("ghp_") && !out.contains("0123"), "{out}");
    }
}

#[test]
fn what_is_kept_of_a_stream_is_bounded() {
    let mut passing = passing(Form::Events);
    let begun = format!("ghp_{}", "x".repeat(4_000));
    for number in 0..200 {
        let text = format!("data: {{\"k{number}\":\"ghp_\",\"text\":\"{begun}\"}}\n\n");
        passing.push(text.as_bytes()).unwrap();
        passing.pause().unwrap();
    }
    assert!(!passing.holds());
    let kept = passing.joined.kept();
    assert!(kept.0 <= 64 && kept.1 <= 64 * 1024, "{kept:?}");
}
