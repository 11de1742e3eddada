use serde_json::json;

use super::super::frame::Frame;
use super::*;

fn message(value: &Value) -> Message {
    match Frame::parse(value.to_string().into_bytes()) {
        Ok(Frame::One(message)) => message,
        other => panic!("{other:?}"),
    }
}

fn call(name: &str, arguments: &Value) -> Message {
    message(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": name, "arguments": arguments,
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
    }}))
}

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limits": {"type": "object", "properties": {"count": {"type": "integer", "x-mcp-header": "Count"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "query": {"type": "string"},
    }})
}

fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_request_has_the_headers_that_its_body_says() {
    let repeated = repeated(&schema()).unwrap();
    let arguments =
        json!({"region": "us-west1", "limits": {"count": 42}, "dry": false, "query": "x"});
    let message = call("execute_sql", &arguments);
    let headers = required(&message, &repeated);
    for (name, value) in [
        (PROTOCOL_VERSION, "2026-07-28"),
        (METHOD, "tools/call"),
        (NAME, "execute_sql"),
        ("mcp-param-region", "us-west1"),
        ("mcp-param-count", "42"),
        ("mcp-param-dry", "false"),
    ] {
        assert_eq!(header(&headers, name), Some(value));
    }
    assert_eq!(check(&headers, &message, &repeated), Ok(()));
    let old = super::super::frame::Frame::parse(
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#.to_vec(),
    );
    let Ok(Frame::One(old)) = old else { panic!() };
    assert_eq!(required(&old, &repeated), []);
}

#[test]
fn values_that_a_header_cannot_carry_are_encoded() {
    for (text, carried) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
    ] {
        assert_eq!(encoded(text), carried);
        assert_eq!(decoded(carried).as_deref(), Some(text));
        let message = call(text, &json!({}));
        assert_eq!(check(&required(&message, &[]), &message, &[]), Ok(()));
    }
    assert_eq!(decoded("=?base64?%%%?="), None);
}

#[test]
fn headers_that_say_something_else_are_refused() {
    let repeated = repeated(&schema()).unwrap();
    let message = call("pay", &json!({"region": "eu", "limits": {"count": 1}}));
    let right = required(&message, &repeated);
    let with = |name: &str, value: Option<&str>| {
        let mut headers: Vec<Header> =
            right.iter().filter(|(found, _)| found != name).cloned().collect();
        headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        check(&headers, &message, &repeated)
    };
    for (name, value) in [
        (NAME, Some("read")),
        (NAME, Some("PAY")),
        (NAME, None),
        (NAME, Some("=?base64?cmVhZA==?=")),
        (METHOD, Some("tools/list")),
        (METHOD, Some("=?base64?dG9vbHMvY2FsbA==?=")),
        (METHOD, None),
        (PROTOCOL_VERSION, Some("2025-11-25")),
        (PROTOCOL_VERSION, None),
        ("mcp-param-region", Some("us")),
        ("mcp-param-region", None),
        ("mcp-param-count", Some("2")),
        ("mcp-param-dry", Some("true")),
    ] {
        assert!(with(name, value).is_err(), "{name} {value:?}");
    }
    assert_eq!(with("mcp-param-count", Some("1.0")), Ok(()));
    assert_eq!(with(NAME, Some("=?base64?cGF5?=")), Ok(()));
    assert_eq!(with("mcp-param-unknown", Some("x")), Ok(()));
    let mut twice = right.clone();
    twice.push((NAME.to_owned(), "pay".to_owned()));
    assert!(check(&twice, &message, &repeated).is_err());
}

#[test]
fn a_tool_whose_schema_repeats_what_it_cannot_is_refused() {
    for schema in [
        json!({"properties": {"a": {"type": "string", "x-mcp-header": ""}}}),
        json!({"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}}),
        json!({"properties": {"a": {"type": "string", "x-mcp-header": "a\r\nb"}}}),
        json!({"properties": {"a": {"type": "string", "x-mcp-header": 1}}}),
        json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
        json!({"properties": {"a": {"type": "object", "x-mcp-header": "A"}}}),
        json!({"properties": {
            "a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
        json!({"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}}),
        json!({"allOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
        json!({"$defs": {"a": {"type": "string", "x-mcp-header": "A"}}}),
    ] {
        assert!(repeated(&schema).is_err(), "{schema}");
    }
    // An argument may be called so.
    let schema = json!({"properties": {"x-mcp-header": {"type": "string"}, "a": {"const": {"x-mcp-header": 1}}}});
    assert_eq!(repeated(&schema), Ok(Vec::new()));
}
