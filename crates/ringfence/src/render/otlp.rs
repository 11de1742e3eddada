//! A session as an OpenTelemetry trace: OTLP in JSON, as a collector takes it at `/v1/traces`.
//!
//! The session is the root span, each process a span beneath the one that started it, each connection
//! one beneath its process. Acts that were stopped are events of the process that tried them.

use std::collections::HashMap;

use ringfence_core::{Exit, SessionId};
use ringfence_runtime::otel;
use ringfence_runtime::view::{CallView, ConnectionView, NetworkActivity, SessionView, Span};
use serde_json::{Value, json};

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_CLIENT`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
/// `STATUS_CODE_UNSET`, `STATUS_CODE_ERROR`.
const UNSET: u8 = 0;
const ERROR: u8 = 2;

/// The trace of a session.
pub fn trace(session: &SessionId, view: &SessionView) -> Value {
    let ids = Ids::of(session, view);
    let mut spans = vec![whole(view, &ids)];
    for span in &view.spans {
        spans.push(process(span, view, &ids));
        let id = span.otel_span_id.as_deref().unwrap_or(&ids.root);
        spans.extend(connections(&span.network_activity, id, &ids));
    }
    spans.extend(connections(&view.unattributed.network_activity, &ids.root, &ids));
    spans.extend(view.calls.iter().map(|it| call(it, &ids)));
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes([
            ("service.name", Some(json!(view.agent))),
            ("service.instance.id", Some(json!(session))),
        ])},
        "scopeSpans": [{
            "scope": { "name": "ringfence", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans,
        }],
    }]})
}

/// The names of a session's spans.
struct Ids<'a> {
    session: &'a SessionId,
    trace: String,
    root: String,
    /// By the names that the view has.
    spans: HashMap<&'a str, &'a str>,
    /// When the last thing was recorded: what has no end goes on until then at least.
    last_ms: u64,
}

impl<'a> Ids<'a> {
    fn of(session: &'a SessionId, view: &'a SessionView) -> Ids<'a> {
        let named = |span: &'a Span| Some((span.span_id.as_str(), span.otel_span_id.as_deref()?));
        Ids {
            session,
            trace: otel::trace_id(session),
            root: otel::session_span_id(session),
            spans: view.spans.iter().filter_map(named).collect(),
            last_ms: view.last_ms.unwrap_or(0),
        }
    }
}

/// The session itself.
fn whole(view: &SessionView, ids: &Ids<'_>) -> Value {
    let exit = view.summary.as_ref().map(|summary| summary.exit_code);
    json!({
        "traceId": ids.trace,
        "spanId": ids.root,
        "name": format!("session {}", ids.session),
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(view.started_ms.unwrap_or(0)),
        "endTimeUnixNano": nanoseconds(view.ended_ms.unwrap_or(ids.last_ms)),
        "attributes": attributes([
            ("ringfence.state", Some(json!(view.state))),
            ("process.command_args", Some(json!(view.command))),
            ("process.working_directory", view.cwd.as_ref().map(|cwd| json!(cwd))),
            ("process.exit.code", exit.map(|code| json!(code))),
            ("ringfence.acts.permitted", view.summary.as_ref().map(|it| json!(it.permitted))),
            ("ringfence.acts.denied", view.summary.as_ref().map(|it| json!(it.denied))),
        ]),
        "events": events(view, None),
        "status": { "code": if exit.is_some_and(|code| code != 0) { ERROR } else { UNSET } },
    })
}

fn process(span: &Span, view: &SessionView, ids: &Ids<'_>) -> Value {
    let parent = span.parent_span.as_deref().and_then(|name| ids.spans.get(name));
    let (code, signal) = match span.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        Some(Exit::Unknown) | None => (None, None),
    };
    let failed = span.error.is_some() || signal.is_some() || code.is_some_and(|code| code != 0);
    let usage = &span.resource_usage;
    let (changes, network) = (&span.fs_changes, &span.network_activity);
    let named = |name: &String| ids.spans.get(name.as_str()).map(|id| json!(id));
    let mut of_span = attributes([
        ("process.pid", Some(json!(span.pid))),
        ("process.command_line", Some(json!(span.command))),
        ("process.executable.path", span.program.as_ref().map(|path| json!(path))),
        ("process.working_directory", span.cwd.as_ref().map(|path| json!(path))),
        ("process.exit.code", code.map(|code| json!(code))),
        ("process.exit.signal", signal.map(|signal| json!(signal))),
        ("ringfence.entry", span.entry.map(|entry| json!(entry))),
        ("ringfence.forked", span.forked.then_some(json!(true))),
        ("ringfence.replaces", span.replaces.as_ref().and_then(named)),
        ("ringfence.ended", Some(json!(span.ended_ms.is_some()))),
    ]);
    of_span.extend(attributes([
        ("ringfence.cpu_time_ms", usage.cpu_time_ms.map(|it| json!(it))),
        ("ringfence.peak_memory_mb", usage.peak_memory_mb.map(|it| json!(it))),
        ("ringfence.disk_read_bytes", usage.disk_read_bytes.map(|it| json!(it))),
        ("ringfence.disk_write_bytes", usage.disk_write_bytes.map(|it| json!(it))),
        ("ringfence.usage_sampled", usage.sampled.then_some(json!(true))),
        ("ringfence.bytes_sent", network.bytes_sent.map(|it| json!(it))),
        ("ringfence.bytes_received", network.bytes_received.map(|it| json!(it))),
        ("ringfence.files_created", Some(json!(changes.created.len()))),
        ("ringfence.files_modified", Some(json!(changes.modified.len()))),
        ("ringfence.files_deleted", Some(json!(changes.deleted.len()))),
    ]));
    let name = span.program.as_ref().map_or(span.command.as_str(), |path| path.file_name());
    json!({
        "traceId": ids.trace,
        "spanId": span.otel_span_id,
        "parentSpanId": parent.map_or(ids.root.as_str(), |id| *id),
        "name": name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(span.started_ms),
        "endTimeUnixNano": nanoseconds(span.ended_ms.unwrap_or(ids.last_ms)),
        "attributes": of_span,
        "events": events(view, Some(&span.span_id)),
        "status": status(failed, span.error.as_deref()),
    })
}

fn connections<'a>(
    activity: &'a NetworkActivity,
    parent: &'a str,
    ids: &'a Ids<'_>,
) -> impl Iterator<Item = Value> + 'a {
    activity.connections.iter().map(move |one| connection(one, parent, ids))
}

fn connection(one: &ConnectionView, parent: &str, ids: &Ids<'_>) -> Value {
    let end = one.duration_ms.map_or(ids.last_ms, |length| one.at_ms.saturating_add(length));
    let (host, port) = match one.endpoint.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok()),
        None => (one.endpoint.as_str(), None),
    };
    json!({
        "traceId": ids.trace,
        "spanId": otel::span_id(ids.session, one.entry),
        "parentSpanId": parent,
        "name": format!("connect {}", one.endpoint),
        "kind": CLIENT,
        "startTimeUnixNano": nanoseconds(one.at_ms),
        "endTimeUnixNano": nanoseconds(end.max(one.at_ms)),
        "attributes": attributes([
            ("server.address", Some(json!(host))),
            ("server.port", port.map(|port| json!(port))),
            ("network.peer.address", one.address.as_ref().map(|address| json!(address))),
            ("ringfence.bytes_sent", one.bytes_sent.map(|it| json!(it))),
            ("ringfence.bytes_received", one.bytes_received.map(|it| json!(it))),
            ("ringfence.entry", Some(json!(one.entry))),
        ]),
        "status": status(one.error.is_some(), one.error.as_deref()),
    })
}

/// A call of a tool: in the trace of its client where that has said so, beneath what the client called it from.
fn call(one: &CallView, ids: &Ids<'_>) -> Value {
    let end = one.duration_ms.map_or(ids.last_ms, |length| one.at_ms.saturating_add(length));
    let caller = one.span.as_deref().and_then(|name| ids.spans.get(name));
    let (trace, parent) = match &one.trace {
        Some(of_client) => (of_client.trace_id(), of_client.span_id()),
        None => (ids.trace.as_str(), caller.map_or(ids.root.as_str(), |id| *id)),
    };
    let why = one.error.as_deref().or(one.not_made.as_deref());
    json!({
        "traceId": trace,
        "spanId": one.otel_span_id,
        "parentSpanId": parent,
        "name": format!("tools/call {}", one.tool),
        "kind": CLIENT,
        "startTimeUnixNano": nanoseconds(one.at_ms),
        "endTimeUnixNano": nanoseconds(end.max(one.at_ms)),
        "attributes": attributes([
            ("gen_ai.tool.name", Some(json!(one.tool))),
            ("ringfence.bytes_sent", Some(json!(one.bytes_sent))),
            ("ringfence.bytes_received", one.bytes_received.map(|it| json!(it))),
            ("ringfence.entry", Some(json!(one.entry))),
        ]),
        "status": status(why.is_some(), why),
    })
}

fn status(failed: bool, why: Option<&str>) -> Value {
    match why {
        Some(why) => json!({ "code": ERROR, "message": why }),
        None => json!({ "code": if failed { ERROR } else { UNSET } }),
    }
}

/// What a process was denied, or what nobody is known to have tried.
fn events(view: &SessionView, span: Option<&str>) -> Vec<Value> {
    let denied = view.denials.iter().filter(|it| it.span.as_deref() == span).map(|it| {
        let why =
            [("ringfence.act", Some(json!(it.act))), ("ringfence.rule", Some(json!(it.rule)))];
        (it.entry, it.at_ms, "denied", attributes(why))
    });
    let asked = view.questions.iter().filter(|it| it.span.as_deref() == span).map(|it| {
        let answer = it.answer.map(|answer| json!(answer));
        let why = [("ringfence.act", Some(json!(it.act))), ("ringfence.answer", answer)];
        (it.entry, it.at_ms, "asked", attributes(why))
    });
    let mut all: Vec<_> = denied.chain(asked).collect();
    all.sort_by_key(|(entry, ..)| *entry);
    let event = |(entry, at_ms, name, mut why): (u64, u64, &str, Vec<Value>)| {
        why.extend(attributes([("ringfence.entry", Some(json!(entry)))]));
        json!({ "timeUnixNano": nanoseconds(at_ms), "name": name, "attributes": why })
    };
    all.into_iter().map(event).collect()
}

/// What is known, as OTLP writes attributes.
fn attributes<const N: usize>(all: [(&str, Option<Value>); N]) -> Vec<Value> {
    let known = all.into_iter().filter_map(|(key, value)| Some((key, value?)));
    known.map(|(key, value)| json!({ "key": key, "value": any_value(value) })).collect()
}

/// OTLP's JSON has integers of 64 bits as text.
fn any_value(value: Value) -> Value {
    match value {
        Value::Bool(it) => json!({ "boolValue": it }),
        Value::Number(it) => json!({ "intValue": it.to_string() }),
        Value::String(it) => json!({ "stringValue": it }),
        Value::Array(all) => {
            let values: Vec<Value> = all.into_iter().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Null | Value::Object(_) => json!({ "stringValue": value.to_string() }),
    }
}

fn nanoseconds(ms: u64) -> String {
    (u128::from(ms) * 1_000_000).to_string()
}
