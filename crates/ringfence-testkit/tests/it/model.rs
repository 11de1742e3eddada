use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ringfence_testkit::model::{ModelServer, Script, Step};
use serde_json::{Value, json};

fn two_steps() -> ModelServer {
    let steps = [Step::Shell("git status".to_owned()), Step::Say("finished".to_owned())];
    ModelServer::start(Script::new(steps)).unwrap()
}

fn post(server: &ModelServer, path: &str, body: &Value) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let body = body.to_string();
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn json_of(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The `data:` lines of an event stream.
fn events(answer: &str) -> Vec<&str> {
    answer.lines().filter_map(|line| line.strip_prefix("data: ")).collect()
}

#[test]
fn messages_ask_for_the_first_step_and_then_for_the_next() {
    let server = two_steps();
    let tools = json!([{ "name": "Bash" }]);
    let first = json!({ "tools": tools, "messages": [{ "role": "user", "content": "go" }] });
    let call = &json_of(&post(&server, "/v1/messages", &first))["content"][0];
    assert_eq!((&call["name"], &call["input"]["command"]), (&json!("Bash"), &json!("git status")));
    let result = json!({
        "type": "tool_result", "tool_use_id": call["id"],
        "content": [{ "type": "text", "text": "denied: git" }]
    });
    let messages = json!([{ "role": "user", "content": [result] }]);
    let second = json!({ "tools": tools, "messages": messages });
    let answer = json_of(&post(&server, "/v1/messages?beta=true", &second));
    assert_eq!(answer["content"][0]["text"], "finished");
    assert_eq!(server.tool_results()[0].text, "denied: git");
    assert!(server.was_shown("denied: git"));
    assert!(!server.was_shown("git status"));
}

#[test]
fn the_same_transcript_gets_the_same_answer() {
    let server = two_steps();
    let first = json!({ "tools": [{ "name": "Bash" }], "messages": [] });
    let answers = [1, 2].map(|_| post(&server, "/v1/messages", &first));
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn results_of_other_calls_do_not_advance_the_script() {
    let server = two_steps();
    let result = json!({ "type": "tool_result", "tool_use_id": "toolu_other", "content": "x" });
    let messages = json!([{ "role": "user", "content": [result] }]);
    let body = json!({ "tools": [{ "name": "Bash" }], "messages": messages });
    let answer = json_of(&post(&server, "/v1/messages", &body));
    assert_eq!(answer["content"][0]["type"], "tool_use");
}

#[test]
fn messages_stream_as_chunked_events() {
    let server = two_steps();
    let body = json!({ "stream": true, "tools": [{ "name": "Bash" }], "messages": [] });
    let answer = post(&server, "/v1/messages", &body);
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    let kinds: Vec<Value> = events(&answer)
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).unwrap()["type"].clone())
        .collect();
    let expected = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn calls_without_tools_get_plain_text_and_do_not_advance_the_script() {
    let server = two_steps();
    let body = json!({ "messages": [{ "role": "user", "content": "a title, please" }] });
    let answer = json_of(&post(&server, "/v1/messages", &body));
    assert_eq!(answer["content"][0]["type"], "text");
}

#[test]
fn responses_ask_through_the_tool_that_is_offered() {
    let server = two_steps();
    for (tool, argument, command) in [
        ("exec_command", "cmd", json!("git status")),
        ("shell_command", "command", json!("git status")),
        ("shell", "command", json!(["bash", "-lc", "git status"])),
    ] {
        let tools = json!([{ "type": "web_search" }, { "type": "function", "name": tool }]);
        let body = json!({ "tools": tools, "input": [] });
        let call = &json_of(&post(&server, "/v1/responses", &body))["output"][0];
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert_eq!((&call["name"], &arguments[argument]), (&json!(tool), &command));
        let output = json!({
            "type": "function_call_output", "call_id": call["call_id"], "output": "denied"
        });
        let body = json!({ "stream": true, "tools": tools, "input": [output] });
        let answer = post(&server, "/v1/responses", &body);
        let last: Value = serde_json::from_str(events(&answer).last().unwrap()).unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], "finished");
    }
}

#[test]
fn chat_completions_ask_and_end() {
    let server = two_steps();
    let tools = json!([{ "type": "function", "function": { "name": "bash" } }]);
    let body = json!({ "tools": tools, "messages": [] });
    let answer = json_of(&post(&server, "/v1/chat/completions", &body));
    let call = &answer["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "bash");
    let result = json!({ "role": "tool", "tool_call_id": call["id"], "content": "denied" });
    let body = json!({ "stream": true, "tools": tools, "messages": [result] });
    let answer = post(&server, "/v1/chat/completions", &body);
    let events = events(&answer);
    let first: Value = serde_json::from_str(events[0]).unwrap();
    assert_eq!(first["choices"][0]["delta"]["content"], "finished");
    assert_eq!(events.last(), Some(&"[DONE]"));
    assert_eq!(server.tool_results()[0].text, "denied");
}

#[test]
fn a_file_is_asked_for_with_the_shell_where_there_is_no_tool_for_it() {
    let step = Step::Write { path: "/tmp/it's".to_owned(), content: "a 'b'\n".to_owned() };
    let server = ModelServer::start(Script::new([step])).unwrap();
    let tools = json!([{ "type": "function", "name": "exec_command" }]);
    let body = json!({ "tools": tools, "input": [] });
    let call = json_of(&post(&server, "/v1/responses", &body))["output"][0].clone();
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(
        arguments["cmd"],
        r"printf %s 'a '\''b'\''
' > '/tmp/it'\''s'"
    );
}

#[test]
fn an_agent_without_a_shell_is_told_so() {
    let server = two_steps();
    let body = json!({ "tools": [{ "name": "Read" }], "messages": [] });
    let answer = json_of(&post(&server, "/v1/messages", &body));
    let text = answer["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("none of these tools runs a shell command: Read"), "{text}");
}

#[test]
fn unknown_paths_are_not_found() {
    let server = two_steps();
    assert!(post(&server, "/v2/other", &json!({})).starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_script_reads_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("script.json");
    let text = r#"[{"shell":"ls"},{"write":{"path":"/a","content":"b"}},{"say":"bye"}]"#;
    std::fs::write(&path, text).unwrap();
    let script = Script::read(&path).unwrap();
    assert_eq!(serde_json::to_string(&script).unwrap(), text);
    std::fs::write(&path, r#"[{"shout":"ls"}]"#).unwrap();
    assert!(Script::read(&path).is_err());
}
