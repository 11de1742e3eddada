//! Anthropic's Messages, streaming and not.

use serde_json::{Value, json};

use super::http::Reply;
use super::{Script, ToolResult, Turn, array, done, names, step_of, text_at, texts, turn};

pub(super) fn messages(body: &Value, script: &Script) -> Reply {
    let tools = names(body.get("tools"), |tool| tool.get("name"));
    let turn = turn(script, &tools, (done(&results(body)), body));
    let model = body.get("model").cloned().unwrap_or_else(|| json!("scripted"));
    if super::wants_stream(body) { stream(&turn, &model) } else { whole(&turn, &model) }
}

/// The results of our calls in a transcript.
pub(super) fn results(body: &Value) -> Vec<ToolResult> {
    let blocks = array(body, "messages").iter().flat_map(|message| array(message, "content"));
    let result = |block: &Value| {
        let step = step_of(text_at(block, "tool_use_id"))?;
        let text = block.get("content").map(texts).unwrap_or_default();
        Some(ToolResult { step, text })
    };
    blocks.filter(|block| text_at(block, "type") == "tool_result").filter_map(result).collect()
}

fn stop_reason(turn: &Turn) -> &'static str {
    match turn {
        Turn::Say(_) => "end_turn",
        Turn::Call { .. } => "tool_use",
    }
}

/// Agents join messages of one id, so that every turn needs its own.
fn message_id(turn: &Turn) -> String {
    match turn {
        Turn::Say(_) => "msg_scripted_end".to_owned(),
        Turn::Call { id, .. } => format!("msg_scripted_{id}"),
    }
}

fn whole(turn: &Turn, model: &Value) -> Reply {
    let content = match turn {
        Turn::Say(text) => json!({ "type": "text", "text": text }),
        Turn::Call { id, tool, arguments } => {
            json!({ "type": "tool_use", "id": id, "name": tool, "input": arguments })
        }
    };
    Reply::Json(json!({
        "id": message_id(turn), "type": "message", "role": "assistant", "model": model,
        "content": [content], "stop_reason": stop_reason(turn), "stop_sequence": null,
        "usage": { "input_tokens": 10, "output_tokens": 10 }
    }))
}

fn stream(turn: &Turn, model: &Value) -> Reply {
    let (block, delta) = match turn {
        Turn::Say(text) => {
            (json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": text }))
        }
        Turn::Call { id, tool, arguments } => (
            json!({ "type": "tool_use", "id": id, "name": tool, "input": {} }),
            json!({ "type": "input_json_delta", "partial_json": arguments.to_string() }),
        ),
    };
    let events = [
        json!({ "type": "message_start", "message": {
            "id": message_id(turn), "type": "message", "role": "assistant", "model": model,
            "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 10, "output_tokens": 1 }
        }}),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta",
            "delta": { "stop_reason": stop_reason(turn), "stop_sequence": null },
            "usage": { "output_tokens": 10 } }),
        json!({ "type": "message_stop" }),
    ];
    let named = |event: Value| (Some(text_at(&event, "type").to_owned()), event.to_string());
    Reply::Events(events.into_iter().map(named).collect())
}
