//! Servers that forget their session.

use super::*;

fn tools(of: &[&str]) -> Value {
    json!(of.iter().map(|name| json!({"name": name, "inputSchema": {}})).collect::<Vec<_>>())
}

/// A session whose server has been sent a call of `a`; the call as it was sent.
fn called() -> (Between, String) {
    let mut between = Between::open(&["files"]);
    let call = between.call(5, "a");
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    (between, sent[0].1.clone())
}

fn forgets(between: &mut Between, sent: &str) -> Vec<Effect> {
    between.0.forgotten(0, Some(&message(sent)))
}

fn odds(effects: &[Effect]) -> Vec<OddKind> {
    let kind = |effect: &Effect| {
        let Effect::Odd(odd) = effect else { return None };
        Some(odd.kind)
    };
    effects.iter().filter_map(kind).collect()
}

/// The only thing that a server is told.
fn told(effects: &[Effect], method: &str) -> String {
    let all = to_servers(effects);
    let [(0, text)] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(json(text)["method"], method);
    text.clone()
}

fn hello(version: &str) -> Value {
    json!({"protocolVersion": version, "serverInfo": {"name": "files", "version": "1"}, "capabilities": {"tools": {}}})
}

/// Begins anew; the request for its tools.
fn begins(between: &mut Between, effects: &[Effect]) -> String {
    let initialize = told(effects, "initialize");
    let all = to_servers(&between.answer(0, &initialize, hello("2025-06-18")));
    let methods: Vec<Value> = all.iter().map(|(_, text)| json(text)["method"].clone()).collect();
    assert_eq!(methods, ["notifications/initialized", "tools/list"]);
    all[1].1.clone()
}

#[test]
fn what_met_a_forgotten_session_is_sent_again_once_the_tools_are_known() {
    let (mut between, sent) = called();
    let effects = forgets(&mut between, &sent);
    assert_eq!(odds(&effects), [OddKind::Forgot]);
    let initialize = json(&told(&effects, "initialize"));
    assert_eq!(initialize["params"]["clientInfo"]["name"], "c", "as its client had begun");
    assert_eq!(initialize["params"]["capabilities"], json!({"roots": {}}));
    // What comes meanwhile waits.
    let other = between.client(
        json!({"jsonrpc": "2.0", "id": 6, "method": "resources/read", "params": {"uri": "x:y"}}),
    );
    let [Effect::Decide(other)] = other.as_slice() else { panic!("{other:?}") };
    assert_eq!(between.0.decided(other.ticket, Decided::Permit(None)), []);
    let list = begins(&mut between, &effects);
    let later = between.client(
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "a"}}),
    );
    assert_eq!(later, [], "nor is a call decided before the tools are known");
    let effects = between.answer(0, &list, json!({"tools": tools(&["a"])}));
    let texts: Vec<String> = to_servers(&effects).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts[0], sent, "the same, by the same name");
    assert_eq!(json(&texts[1])["method"], "resources/read");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Decide(_))), "{effects:?}");
    let answered = between.answer(0, &sent, json!({"content": []}));
    assert_eq!(to_client(&answered)[0]["id"], 5);
}

#[test]
fn a_tool_that_is_another_one_since_is_not_called() {
    for now in [&[][..], &["b"], &["hidden"]] {
        let mut between = Between::open(&["files"]);
        let name = now.first().filter(|it| **it == "hidden").map_or("a", |it| *it);
        let call = between.call(5, name);
        let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
        let effects = forgets(&mut between, &sent[0].1);
        let list = begins(&mut between, &effects);
        let effects = between.answer(0, &list, json!({"tools": tools(now)}));
        assert!(to_servers(&effects).is_empty(), "{effects:?}");
        let text = to_client(&effects)[0]["result"]["content"][0]["text"].clone();
        assert!(text.as_str().unwrap().contains("forgot its session"), "{text}");
        let failed = Effect::Ended(call.ticket, Ended::Failed { bytes: 0 });
        assert!(effects.contains(&failed), "{effects:?}");
    }
}

#[test]
fn what_met_it_twice_is_not_sent_a_third_time() {
    let (mut between, sent) = called();
    let effects = forgets(&mut between, &sent);
    let list = begins(&mut between, &effects);
    between.answer(0, &list, json!({"tools": tools(&["a"])}));
    let effects = forgets(&mut between, &sent);
    let text = to_client(&effects)[0]["result"]["content"][0]["text"].clone();
    assert!(text.as_str().unwrap().contains("each time"), "{text}");
    let list = begins(&mut between, &effects);
    let effects = between.answer(0, &list, json!({"tools": tools(&["a"])}));
    assert!(to_servers(&effects).is_empty(), "{effects:?}");
}

#[test]
fn a_server_that_does_not_begin_as_before_has_ended() {
    for said in [
        hello("2025-03-26"),
        json!({}),
        json!({"protocolVersion": "2025-06-18", "capabilities": {}}),
    ] {
        let (mut between, sent) = called();
        let effects = forgets(&mut between, &sent);
        let initialize = told(&effects, "initialize");
        let effects = between.answer(0, &initialize, said);
        assert!(to_servers(&effects).is_empty(), "{effects:?}");
        assert_eq!(to_client(&effects)[0]["error"]["message"], "the server has ended");
    }
    let (mut between, sent) = called();
    forgets(&mut between, &sent);
    let due = between.0.deadline_ms().unwrap();
    let effects = between.0.tick(due);
    assert_eq!(to_client(&effects)[0]["id"], 5, "nor has one that says nothing: {effects:?}");
    // It forgets while it begins.
    let (mut between, sent) = called();
    forgets(&mut between, &sent);
    let effects = between.0.forgotten(0, None);
    assert_eq!(to_client(&effects)[0]["error"]["message"], "the server has ended");
}

#[test]
fn a_server_that_forgets_again_and_again_is_given_up() {
    let mut between = Between::open(&["files"]);
    let ended = (0..100).find(|_| {
        let effects = between.0.forgotten(0, None);
        if to_servers(&effects).is_empty() {
            return true;
        }
        let list = begins(&mut between, &effects);
        between.answer(0, &list, json!({"tools": []}));
        false
    });
    assert_eq!(ended, Some(64));
}
