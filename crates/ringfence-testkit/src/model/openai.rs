//! OpenAI's Responses and chat-completions, streaming and not.

use serde_json::{Value, json};

use super::http::Reply;
use super::{
    IN_GROUP, Script, ToolResult, Turn, array, done, names, step_of, text_at, texts, turn,
};

pub(super) fn responses(body: &Value, script: &Script) -> Reply {
    let mut tools = names(body.get("tools"), |tool| tool.get("name").or_else(|| tool.get("type")));
    for group in array(body, "tools").iter().filter(|tool| text_at(tool, "type") == "namespace") {
        let within = names(group.get("tools"), |tool| tool.get("name"));
        let whole = |tool: String| format!("{}{IN_GROUP}{tool}", text_at(group, "name"));
        tools.extend(within.into_iter().map(whole));
    }
    let turn = turn(script, &tools, (done(&response_results(body)), body));
    let item = match &turn {
        Turn::Say(text) => json!({
            "type": "message", "role": "assistant", "id": "msg_scripted", "status": "completed",
            "content": [{ "type": "output_text", "text": text, "annotations": [] }]
        }),
        Turn::Call { id, tool, arguments } => {
            let mut call = json!({
                "type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": tool,
                "arguments": arguments.to_string(), "status": "completed"
            });
            if let Some((group, name)) = tool.split_once(IN_GROUP) {
                (call["namespace"], call["name"]) = (group.into(), name.into());
            }
            call
        }
    };
    let response = |status: &str, output: &[Value]| {
        json!({
            "id": "resp_scripted", "object": "response", "created_at": 0, "status": status,
            "model": body.get("model"), "output": output,
            "usage": { "input_tokens": 10, "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": 10, "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": 20 }
        })
    };
    if !super::wants_stream(body) {
        return Reply::Json(response("completed", &[item]));
    }
    let completed = response("completed", std::slice::from_ref(&item));
    let events = [
        json!({ "type": "response.created", "response": response("in_progress", &[]) }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": "response.completed", "response": completed }),
    ];
    let named = |event: Value| (Some(text_at(&event, "type").to_owned()), event.to_string());
    Reply::Events(events.into_iter().map(named).collect())
}

/// The results of our calls in a Responses transcript.
pub(super) fn response_results(body: &Value) -> Vec<ToolResult> {
    let result = |item: &Value| {
        let step = step_of(text_at(item, "call_id"))?;
        Some(ToolResult { step, text: texts(item.get("output")?) })
    };
    array(body, "input").iter().filter_map(result).collect()
}

pub(super) fn chat(body: &Value, script: &Script) -> Reply {
    let tools = names(body.get("tools"), |tool| tool.get("function")?.get("name"));
    let turn = turn(script, &tools, (done(&chat_results(body)), body));
    let (message, reason) = match &turn {
        Turn::Say(text) => (json!({ "role": "assistant", "content": text }), "stop"),
        Turn::Call { id, tool, arguments } => {
            let function = json!({ "name": tool, "arguments": arguments.to_string() });
            let call = json!({ "index": 0, "id": id, "type": "function", "function": function });
            (json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls")
        }
    };
    let envelope = |object: &str, choice: Value| {
        json!({
            "id": "chatcmpl_scripted", "object": object, "created": 0, "model": body.get("model"),
            "choices": [choice],
            "usage": { "prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20 }
        })
    };
    if !super::wants_stream(body) {
        let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
        return Reply::Json(envelope("chat.completion", choice));
    }
    let chunk = |delta: &Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        (None, envelope("chat.completion.chunk", choice).to_string())
    };
    Reply::Events(vec![
        chunk(&message, Value::Null),
        chunk(&json!({}), json!(reason)),
        (None, "[DONE]".to_owned()),
    ])
}

/// The results of our calls in a chat transcript.
pub(super) fn chat_results(body: &Value) -> Vec<ToolResult> {
    let result = |message: &Value| {
        let step = step_of(text_at(message, "tool_call_id"))?;
        Some(ToolResult { step, text: texts(message.get("content")?) })
    };
    array(body, "messages").iter().filter_map(result).collect()
}
