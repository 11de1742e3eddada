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

/// A session whose server logs and tells of resources: it has been told a level, and of which resources.
fn told_before() -> Between {
    let mut between = Between::of(&["files"]);
    let effects = between.first(json!({
        "jsonrpc": "2.0", "id": "i", "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
    }));
    let (_, initialize) = to_servers(&effects).remove(0);
    between.answer(0, &initialize, talkative());
    let begun = between.client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    between.listed(begun, &tools(&["a"]));
    let level = json!({"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": "warning"}});
    let sent = to_servers(&between.client(level));
    between.answer(0, &sent[0].1, json!({}));
    // One of them the server refuses, one the client does not want any more, one the policy will deny.
    for (id, uri, how) in
        [(3, "a:1", "yes"), (4, "a:2", "no"), (5, "a:3", "yes"), (6, "a:4", "yes")]
    {
        let sent = resource(&mut between, (id, "resources/subscribe"), uri);
        match how {
            "yes" => between.answer(0, &sent, json!({})),
            _ => between.server(
                0,
                json!({"jsonrpc": "2.0", "id": json(&sent)["id"], "error": {"code": 1, "message": "no"}}),
            ),
        };
    }
    let sent = resource(&mut between, (7, "resources/unsubscribe"), "a:3");
    between.answer(0, &sent, json!({}));
    between
}

fn talkative() -> Value {
    json!({
        "protocolVersion": "2025-06-18", "serverInfo": {"name": "files", "version": "1"},
        "capabilities": {"tools": {}, "logging": {}, "resources": {"subscribe": true}},
    })
}

/// What the server is sent of a request about a resource, which is permitted.
fn resource(between: &mut Between, (id, method): (u64, &str), uri: &str) -> String {
    let asked = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"uri": uri}});
    let effects = between.client(asked);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    to_servers(&between.0.decided(call.ticket, Decided::Permit(None))).remove(0).1
}

/// Forgets, and begins anew with this `hello`; what comes of it once the tools are known.
fn forgotten(between: &mut Between, hello: Value) -> Vec<Effect> {
    let effects = between.0.forgotten(0, None);
    let initialize = told(&effects, "initialize");
    let all = to_servers(&between.answer(0, &initialize, hello));
    between.answer(0, &all[1].1, json!({"tools": tools(&["a"])}))
}

/// What is to be decided, by its address and ticket.
fn deciding(effects: &[Effect]) -> Vec<(String, u64)> {
    let one = |effect: &Effect| {
        let Effect::Decide(call) = effect else { return None };
        assert_eq!(call.what, Called::Method("resources/subscribe".to_owned()));
        Some((call.arguments["uri"].as_str()?.to_owned(), call.ticket))
    };
    effects.iter().filter_map(one).collect()
}

#[test]
fn what_a_server_was_told_of_the_session_that_it_forgot_it_is_told_again() {
    let mut between = told_before();
    let effects = forgotten(&mut between, talkative());
    let level = to_servers(&effects);
    let [(0, level)] = level.as_slice() else { panic!("nothing undecided: {level:?}") };
    assert_eq!(json(level)["method"], "logging/setLevel");
    assert_eq!(json(level)["params"], json!({"level": "warning"}));
    let all = deciding(&effects);
    let uris: Vec<&str> = all.iter().map(|(uri, _)| uri.as_str()).collect();
    assert_eq!(uris, ["a:1", "a:4"], "neither what it refused nor what nobody wants");
    assert!(between.0.awaits(all[0].1));
    let effects = between.0.decided(all[0].1, Decided::Permit(None));
    let told = json(&told(&effects, "resources/subscribe"));
    assert_eq!(told["params"], json!({"uri": "a:1"}));
    assert!(matches!(effects.last(), Some(Effect::Ended(..))));
    assert!(between.0.decided(all[0].1, Decided::Permit(None)).is_empty(), "it is decided once");
    // Its answer is nobody's.
    let answer = json!({"jsonrpc": "2.0", "id": told["id"], "result": {}});
    assert!(between.server(0, answer).is_empty());
    let effects = between.0.decided(all[1].1, Decided::Deny("no".to_owned()));
    assert_eq!((to_servers(&effects), odds(&effects)), (Vec::new(), vec![OddKind::Forgot]));
    // What was denied is not asked for a second time.
    let effects = forgotten(&mut between, talkative());
    assert_eq!(deciding(&effects).len(), 1);
}

#[test]
fn what_nobody_wants_any_more_is_not_told_again_however_it_is_decided() {
    let mut between = told_before();
    let all = deciding(&forgotten(&mut between, talkative()));
    let sent = resource(&mut between, (8, "resources/unsubscribe"), "a:1");
    assert!(!between.0.awaits(all[0].1), "whoever decides it takes it back");
    assert!(between.0.decided(all[0].1, Decided::Permit(None)).is_empty());
    between.answer(0, &sent, json!({}));
    // It forgets once more: what was being decided is decided anew.
    let again = deciding(&forgotten(&mut between, talkative()));
    assert!(!between.0.awaits(all[1].1));
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].0, "a:4");
}

#[test]
fn a_server_that_has_no_such_thing_any_more_is_not_told_of_it() {
    let mut between = told_before();
    let effects = forgotten(&mut between, hello("2025-06-18"));
    assert_eq!((to_servers(&effects), deciding(&effects)), (Vec::new(), Vec::new()));
}
