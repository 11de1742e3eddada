//! What the client tells without wanting an answer: who hears it, and what has to be permitted before.

use super::*;

const SECRET: &str = "what-nobody-may-have";

fn decisions(effects: &[Effect]) -> Vec<Call> {
    let call = |effect: &Effect| {
        let Effect::Decide(call) = effect else { panic!("{effect:?}") };
        call.clone()
    };
    effects.iter().map(call).collect()
}

#[test]
fn what_is_not_known_is_told_to_the_servers_for_which_it_is_permitted() {
    let mut between = Between::open(&["files", "shop"]);
    let told = json!({"jsonrpc": "2.0", "method": "notifications/exfil", "params": {"data": SECRET}, "x": 1.50});
    let calls = decisions(&between.client(told.clone()));
    assert_eq!(calls.len(), 2);
    for (server, call) in calls.iter().enumerate() {
        assert_eq!(call.server, server);
        assert_eq!(call.what, Called::Method("notifications/exfil".to_owned()));
        assert_eq!(call.arguments, json!({"data": SECRET}), "rules see what is told");
        assert!(between.0.awaits(call.ticket));
    }
    let denied = between.0.decided(calls[0].ticket, Decided::Deny("no".to_owned()));
    assert_eq!(only_odd(&denied), "`notifications/exfil` was denied, and not passed on to `files`");
    let permitted = between.0.decided(calls[1].ticket, Decided::Permit(None));
    assert_eq!(to_servers(&permitted), [(1, told.to_string())]);
    assert_eq!(permitted[1], Effect::Ended(calls[1].ticket, Ended::Told));
    for call in calls {
        assert!(!between.0.awaits(call.ticket));
        assert!(between.0.decided(call.ticket, Decided::Permit(None)).is_empty(), "once");
    }
}

#[test]
fn what_is_not_known_and_cannot_be_decided_is_told_to_nobody() {
    let mut between = Between::open(&["files"]);
    let list = json!({"jsonrpc": "2.0", "method": "notifications/exfil", "params": [SECRET]});
    assert!(only_odd(&between.client(list)).contains("no object"));
    let list = json!({"jsonrpc": "2.0", "id": 9, "method": "vendor/exfil", "params": [SECRET]});
    assert_eq!(to_client(&between.client(list))[0]["error"]["code"], -32602);
    let told = json!({"jsonrpc": "2.0", "method": "notifications/exfil"});
    let calls = decisions(&between.client(told.clone()));
    between.0.ended(0);
    let late = between.0.decided(calls[0].ticket, Decided::Permit(None));
    assert_eq!(late, [Effect::Ended(calls[0].ticket, Ended::Unanswered)], "its server is gone");
    let mut flooded = Between::open(&["files"]);
    for _ in 0..PENDING_MAX {
        assert_eq!(decisions(&flooded.client(told.clone())).len(), 1);
    }
    assert!(only_odd(&flooded.client(told)).contains("more than 1024 notifications"));
}

#[test]
fn what_says_no_more_than_its_name_carries_nothing_else() {
    for (told, is_odd) in [
        (json!({"params": {"data": SECRET}}), true),
        (json!({"params": {"_meta": {"data": SECRET}}}), true),
        (json!({"params": [SECRET]}), true),
        (json!({"data": SECRET}), true),
        (json!({"params": {}}), false),
        (json!({}), false),
    ] {
        let mut between = Between::open(&["files", "shop"]);
        let mut roots = told.clone();
        roots["jsonrpc"] = json!("2.0");
        roots["method"] = json!("notifications/roots/list_changed");
        let effects = between.client(roots);
        let plain = r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#.to_owned();
        assert_eq!(to_servers(&effects), [(0, plain.clone()), (1, plain)], "{told}");
        let odds = effects.iter().filter(|it| matches!(it, Effect::Odd(_))).count();
        assert_eq!(odds, usize::from(is_odd), "{told}: {effects:?}");
        let mut begun = told.clone();
        begun["jsonrpc"] = json!("2.0");
        begun["method"] = json!("notifications/initialized");
        let effects = Between::half_open().client(begun);
        assert!(!format!("{effects:?}").contains(SECRET), "{effects:?}");
        assert_eq!(json(&to_servers(&effects)[0].1)["method"], "notifications/initialized");
        let odds = effects.iter().filter(|it| matches!(it, Effect::Odd(_))).count();
        assert_eq!(odds, usize::from(is_odd), "{told}: {effects:?}");
    }
}

#[test]
fn progress_and_tasks_are_told_to_the_server_that_asked_and_to_nobody_before_it_may() {
    let mut between = Between::open(&["files", "shop"]);
    let ask = json!({
        "jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage",
        "params": {"task": {}, "_meta": {"progressToken": "mine"}},
    });
    let Effect::Decide(call) = between.server(1, ask).remove(0) else { panic!() };
    let progress = |number: u64| {
        let params = json!({"progressToken": number, "progress": 1, "message": SECRET});
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    };
    assert!(only_odd(&between.client(progress(call.ticket))).contains("nobody asked"));
    let asked = to_client(&between.0.decided(call.ticket, Decided::Permit(None)));
    let told = to_servers(&between.client(progress(asked[0]["id"].as_u64().unwrap())));
    assert_eq!((told.len(), told[0].0), (1, 1));
    let status = |task: &str| {
        let params = json!({"taskId": task, "status": "working", "statusMessage": SECRET});
        json!({"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": params})
    };
    assert!(only_odd(&between.client(status("t"))).contains("a task that nobody asked for"));
    let task = json!({"task": {"taskId": "t", "status": "working"}});
    between.client(json!({"jsonrpc": "2.0", "id": asked[0]["id"], "result": task}));
    let told = to_servers(&between.client(status("t")));
    assert_eq!((told.len(), told[0].0), (1, 1));
    assert!(only_odd(&between.client(status("other"))).contains("a task that nobody asked for"));
}
