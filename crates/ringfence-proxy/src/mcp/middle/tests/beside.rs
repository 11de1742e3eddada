//! What requests have beside that which is decided about.

use super::*;

const SECRET: &str = "what-nobody-may-have";

#[test]
fn what_goes_along_with_a_call_is_named_with_it_and_survives() {
    let mut between = Between::open(&["files"]);
    let long = "n".repeat(500);
    let call = json!({
        "jsonrpc": "2.0", "id": 4, "method": "tools/call", "top": SECRET,
        "params": {
            "name": "read", "arguments": {"path": "/a"}, "extra": {"any": SECRET}, "task": {"ttl": 5},
            "_meta": {"note": SECRET, long.as_str(): 1, "progressToken": 7, "io.modelcontextprotocol/x": 1},
        },
    });
    let effects = between.client(call);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let mut all = call.beside.clone();
    all.sort();
    let cut = format!("_meta.{}", "n".repeat(64));
    assert_eq!(all, [cut.as_str(), "_meta.note", "params.extra", "top"]);
    let sent = to_servers(&between.0.decided(call.ticket, Decided::Permit(None)));
    let sent = json(&sent[0].1);
    assert_eq!((&sent["top"], &sent["params"]["extra"]["any"]), (&json!(SECRET), &json!(SECRET)));
    let plain =
        json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "read"}});
    let effects = between.client(plain);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(call.beside.is_empty(), "{call:?}");
    let many: serde_json::Map<String, Value> =
        (0..100).map(|it| (format!("m{it}"), json!(1))).collect();
    let read = json!({"jsonrpc": "2.0", "id": 6, "method": "resources/read", "params": {"uri": "a://b", "_meta": many, "x": 1}});
    let effects = between.client(read);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(call.beside.len(), 16, "{call:?}");
    assert_eq!(call.beside[0], "params.x");
    // Of what is not known all parameters are decided about.
    let other =
        json!({"jsonrpc": "2.0", "id": 7, "method": "vendor/do", "params": {"x": 1}, "y": 1});
    let effects = between.client(other);
    let [Effect::Decide(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((&call.beside, &call.arguments), (&vec!["y".to_owned()], &json!({"x": 1})));
}

#[test]
fn nothing_goes_along_with_what_nobody_decides_about() {
    let mut between = Between::open(&["files"]);
    for (id, method) in
        ["tools/list", "resources/list", "resources/templates/list"].iter().enumerate()
    {
        let ask = json!({
            "jsonrpc": "2.0", "id": id, "method": method, "top": SECRET,
            "params": {"extra": SECRET, "_meta": {"note": SECRET, "progressToken": SECRET}},
        });
        let effects = between.client(ask);
        let sent = to_servers(&effects);
        assert_eq!((sent.len(), json(&sent[0].1)["method"].as_str()), (1, Some(*method)));
        assert!(!sent[0].1.contains(SECRET), "{sent:?}");
        let said = only_odd(&effects[1..]);
        assert_eq!(said, format!("`{method}` with more than it has: top, params.extra"));
        assert!(!between.answer(0, &sent[0].1, json!({"tools": []})).is_empty());
        let plain = json!({"jsonrpc": "2.0", "id": 100 + id, "method": method, "params": {"_meta": {"note": 1}}});
        assert_eq!(between.client(plain).len(), 1, "what clients note is not odd");
    }
}

#[test]
fn a_server_is_told_the_level_of_logging_and_nothing_else() {
    let mut between = Between::of(&["files"]);
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
    });
    let sent = to_servers(&between.first(hello));
    let result = json!({"protocolVersion": "2025-06-18", "capabilities": {"logging": {}}, "serverInfo": {"name": "f", "version": "1"}});
    between.answer(0, &sent[0].1, result);
    between.client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let level = json!({"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": "debug", "t": SECRET}});
    let effects = between.client(level);
    let sent = to_servers(&effects);
    assert_eq!(json(&sent[0].1)["params"], json!({"level": "debug"}));
    assert!(only_odd(&effects[1..]).contains("params.t"));
    let answered = between.answer(0, &sent[0].1, json!({}));
    assert_eq!(to_client(&answered)[0]["result"], json!({}));
}
