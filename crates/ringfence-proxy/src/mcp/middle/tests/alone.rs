//! A gate behind which there is no server: it answers as itself, and has no tools.

use super::eras::modern;
use super::*;
use crate::mcp::revision::Revision;

/// What the client is told, and that nothing else comes of it.
fn told(between: &mut Between, value: Value) -> Value {
    let effects = between.client(value);
    let all = to_client(&effects);
    assert_eq!((effects.len(), all.len()), (1, 1), "{effects:?}");
    all.into_iter().next().unwrap()
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// What there is of tools and of all else, asked by `ask`.
fn has_no_tools(between: &mut Between, ask: &dyn Fn(u64, &str, &Value) -> Value) {
    let list = told(between, ask(2, "tools/list", &json!({})));
    assert_eq!(list["result"]["tools"], json!([]), "{list}");
    let call = told(between, ask(3, "tools/call", &json!({"name": "read", "arguments": {}})));
    assert_eq!(call["error"]["message"], "there is no tool `read`", "{call}");
    for method in ["prompts/list", "resources/list", "resources/templates/list", "tasks/get"] {
        let answer = told(between, ask(4, method, &json!({"taskId": "t"})));
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
}

#[test]
fn without_any_server_a_session_of_each_revision_begins_and_has_no_tools() {
    for revision in Revision::ALL.into_iter().filter(|it| it.has_sessions()) {
        let mut between = Between::of(&[]);
        let hello = json!({"protocolVersion": revision.name(), "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let said = told(&mut between, request(1, "initialize", &hello));
        assert_eq!(said["result"]["protocolVersion"], revision.name(), "{said}");
        assert_eq!(said["result"]["serverInfo"]["name"], "ringfence", "{said}");
        assert_eq!(said["result"]["capabilities"], json!({"tools": {}}), "{said}");
        let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert!(between.client(begun).is_empty());
        has_no_tools(&mut between, &request);
        // It cannot begin twice, either.
        let again = told(&mut between, request(5, "initialize", &hello));
        assert_eq!(again["error"]["code"], -32600, "{again}");
        assert_eq!(to_client(&between.0.tools_changed()).len(), 1);
    }
}

#[test]
fn without_any_server_a_client_without_a_session_is_answered_and_has_no_tools() {
    let mut between = Between::of(&[]);
    let said = told(&mut between, modern(1, "server/discover", &json!({})));
    assert_eq!(said["result"]["supportedVersions"][0], "2026-07-28", "{said}");
    assert_eq!(said["result"]["capabilities"], json!({"tools": {}}), "{said}");
    assert_eq!(said["result"]["resultType"], "complete", "{said}");
    has_no_tools(&mut between, &|id, method, params| modern(id, method, params));
    let list = told(&mut between, modern(6, "tools/list", &json!({})));
    assert_eq!(
        (&list["result"]["cacheScope"], &list["result"]["ttlMs"]),
        (&json!("private"), &json!(0))
    );
    let listens = json!({"notifications": {"toolsListChanged": true}});
    let granted = told(&mut between, modern(7, "subscriptions/listen", &listens));
    assert_eq!(
        granted["params"]["notifications"],
        json!({}),
        "nothing of it can change: {granted}"
    );
}

#[test]
fn where_all_that_there_is_was_left_out_the_gate_answers_as_itself_and_calls_are_decided() {
    let mut between = Between::of(&["files"]);
    between.0.leave_out(0);
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    let said = told(&mut between, request(1, "initialize", &hello));
    assert_eq!(said["result"]["serverInfo"]["name"], "ringfence", "{said}");
    let list = told(&mut between, request(2, "tools/list", &json!({})));
    assert_eq!(list["result"]["tools"], json!([]), "{list}");
    let call = between.call(3, "read");
    let denied = between.0.decided(call.ticket, Decided::Deny("its file is wrong".to_owned()));
    assert_eq!(to_client(&denied)[0]["result"]["isError"], true);
}

#[test]
fn a_server_that_would_not_begin_is_no_gate_without_servers() {
    for leaves_out in [false, true] {
        let mut between = Between::of(&["files", "shop"][..if leaves_out { 2 } else { 1 }]);
        if leaves_out {
            between.0.leave_out(1);
        }
        let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
        let effects = between.client(request(1, "initialize", &hello));
        assert!(to_client(&effects).is_empty());
        let told_why = to_client(&between.0.ended_because(0, "it ended"));
        assert_eq!(told_why[0]["error"]["message"], "it ended");
        let again = told(&mut between, request(2, "initialize", &hello));
        assert_eq!(again["error"]["message"], "there is no server", "{again}");
    }
}
