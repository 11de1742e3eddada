//! `mcp test`: a server is started and compared with its pins, and a tool is called as an agent would call it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use ringfence_core::{Act, Agent, Event, Outcome, ServerName, SessionId, ToolUsage, Verdict};
use ringfence_log::{LogReader, Logged};
use ringfence_runtime::advice::Lasts;
use ringfence_runtime::broker::tools::{
    self, Answers, Ask, ENDED_EARLY, LastWords, LookError, ToolsRequest,
};
use ringfence_runtime::desk::{Said, Waiting};
use ringfence_runtime::servers::{Difference, Remark, Server};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use serde_json::{Value, json};

use super::seen::tell_meant;
use super::shown::{changes, differences_as_json, how_to_pin, pointed_at, why};
use super::{found, in_force, login, request, run, unreached};
use crate::cli::McpTestArgs;
use crate::exit::{Done, Failure, Message};
use crate::prompt;
use crate::render::question::Asked;
use crate::render::{entry, question, text};
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// The agent that calls where none is named.
const AGENT: &str = "mcp-client";

/// How our two requests are called.
const HELLO: u64 = 1;
const CALL: u64 = 2;

pub(super) fn test(args: &McpTestArgs, screen: &Screen) -> Result<Done, Failure> {
    let (servers, all): (Vec<Server>, _) = match &args.name {
        None => {
            let assembled = in_force::load(&args.policy, screen)?;
            (assembled.served(), assembled.servers)
        }
        Some(name) => {
            let assembled = found::load_for(name, &args.policy, screen)?;
            (vec![found::server(&assembled, name)?.clone()], assembled.servers)
        }
    };
    if servers.is_empty() {
        screen.note("no server of tools; to add one, run `ringfence mcp add NAME -- COMMAND`");
        return Ok(Done::Yes);
    }
    let request = request(args.policy.clone(), "test")?;
    match (&args.tool, servers.as_slice()) {
        (Some(tool), [server]) => call((server, tool), args, request, screen),
        (Some(_) | None, _) => compare((&servers, &all), &request, (args, screen)),
    }
}

/// Whether servers are what was pinned.
fn compare(
    (servers, all): (&[Server], &BTreeMap<ServerName, Server>),
    request: &ToolsRequest,
    (args, screen): (&McpTestArgs, &Screen),
) -> Result<Done, Failure> {
    let (mut all_same, mut failed) = (true, false);
    for server in servers {
        let name = &server.name;
        let looked = match server.is_left_out() {
            Some(why) => Err(LookError::Start(format!("its file is wrong: {why}")).into()),
            None => tools::look_at(server, request),
        };
        let looked = looked
            .or_else(|failed| login::offered(server, &failed, (request, screen)).ok_or(failed));
        let (differences, said, error) = match looked {
            Ok(said) => (Difference::all(&server.file, &said), said, None),
            Err(error) => {
                error.said.iter().for_each(|line| screen.note(&format!("  | {line}")));
                if let Some(hint) = login::hint(name, &error) {
                    screen.hint(&hint);
                }
                // To programs it is said whole.
                let why = if args.json { error.to_string() } else { why(&error) };
                (Vec::new(), server.file.said(), Some(why))
            }
        };
        all_same &= differences.is_empty();
        failed |= error.is_some();
        if args.json {
            screen.json(&json!({
                "schema": SCHEMA, "name": name, "error": error, "call": null,
                "differences": differences_as_json(server, &said, &differences),
            }))?;
        } else if let Some(error) = error {
            let said = format!("{name}: cannot be used: {}\n", printable(&error));
            screen.data(&text::fold_lines(&said, screen.room()))?;
        } else if differences.is_empty() {
            let tools = server.file.tools.len();
            screen.data(&format!("{name}: as it was pinned, {tools} tools\n"))?;
        } else {
            let changed = changes(server, &said, &differences);
            let remarks = pointed_at(&Remark::all(name, &said, all.values()));
            screen.data(&format!("{name}: not as it was pinned\n{changed}{remarks}"))?;
            screen.hint(&how_to_pin(name));
        }
    }
    match (failed, all_same) {
        (true, _) => Err(Failure::Said(crate::exit::Said::CouldNot)),
        (false, true) => Ok(Done::Yes),
        (false, false) => Ok(Done::No),
    }
}

/// Calls a tool through the gate, in a session of its own.
fn call(
    (server, tool): (&Server, &str),
    args: &McpTestArgs,
    request: ToolsRequest,
    screen: &Screen,
) -> Result<Done, Failure> {
    let arguments: Value = serde_json::from_str(args.arguments.as_deref().unwrap_or("{}"))
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| {
            Message::new("the arguments are no object of JSON")
                .hint("name them like '{\"path\": \"a.txt\"}'")
                .could_not()
        })?;
    let agent = args.agent.clone().unwrap_or_else(|| AGENT.to_owned());
    if args.agent.is_some()
        && let Some(known) = in_force::quietly(&args.policy)?
    {
        tell_meant(&known, &Agent(agent.clone()), screen);
    }
    let servers = vec![server.name.clone()];
    let printed = LastWords::default();
    let kept = Some(printed.clone());
    let request = ToolsRequest { agent, servers, lasts: Lasts::EndsSoon, printed: kept, ..request };
    let (tells, told) = sync_channel(1);
    let named = tool.to_owned();
    let client = move |stream: UnixStream| {
        // Nobody waits for it where the session has failed.
        let _ = tells.send(speak(&stream, &named, &arguments));
    };
    let asks = prompt::can_ask().then(|| asks(screen.clone()));
    let ended = tools::run_for(&request, (client, asks), &mut |it| screen.notice(it));
    let closing = ended.map_err(|error| run::failure(&error, screen))?;
    let recorded = recorded(&request.dirs, &closing.session)?;
    let answer = told.recv().ok().and_then(Result::ok).flatten();
    let is_well = answer.as_ref().is_some_and(|answer| {
        answer.get("result").is_some_and(|result| result["isError"] != Value::Bool(true))
    });
    // What was denied has not come to the server.
    if !is_well && (recorded.iter().any(has_run) || !recorded.iter().any(is_denied)) {
        printed.lines().iter().for_each(|line| screen.note(&format!("  | {line}")));
    }
    if args.json {
        let call = as_json(tool, (answer.as_ref(), &recorded), &closing.session);
        screen.json(&json!({
            "schema": SCHEMA, "name": server.name, "error": null, "differences": [], "call": call,
        }))?;
    } else {
        for logged in &recorded {
            screen.note(entry::line(logged.index, &logged.entry).trim_end());
        }
        let words = words(answer.as_ref());
        screen.data(&words)?;
        if !is_well && recorded.iter().any(has_run) {
            unreached::tell(server, (&recorded, &request), screen)?;
        }
        let to_explain = recorded.iter().find(|it| is_denied(it)).or(recorded.first());
        if let Some(logged) = to_explain.filter(|_| !words.contains("`ringfence explain ")) {
            screen.hint(&format!(
                "to see the whole reasoning, run `ringfence explain {}/{}`",
                closing.session, logged.index
            ));
        }
    }
    match answer {
        None => Err(Message::new("the server did not answer").could_not()),
        Some(_) if is_well => Ok(Done::Yes),
        Some(_) => Ok(Done::No),
    }
}

/// Whether something was not permitted at once.
fn is_denied(logged: &Logged) -> bool {
    matches!(&logged.entry.event, Event::Decided { verdict, .. } if *verdict != Verdict::Permit)
}

/// Whether a call came to its server.
fn has_run(logged: &Logged) -> bool {
    let Event::Finished { outcome, .. } = &logged.entry.event else { return false };
    matches!(outcome, Outcome::Tool(_) | Outcome::Unknown)
}

/// Asks at this terminal what a rule asks about, one after the other.
fn asks(screen: Screen) -> Ask {
    let one_by_one = Mutex::new(());
    Box::new(move |question: &Waiting, answer: Answers<'_>| {
        let _turn = one_by_one.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { text, subject, reason, seconds_left, .. } = question;
        let head = format!("a person is asked, for {seconds_left} s more");
        let subject = subject.as_deref();
        let asked = Asked { head: &head, text, subject, reason, wider: None };
        let size = screen.asked_on();
        question::lay(asked, size).lines.iter().for_each(|line| screen.as_it_is(line));
        prompt::forget_typed();
        screen.note("  y = allow once, n or nothing = refuse");
        let line = question::again("this call", text, size.map_or(usize::MAX, |it| it.0));
        // Nothing said leaves it to be answered elsewhere.
        let Ok(typed) = prompt::typed(&line, ELSEWHERE) else { return };
        let said = match typed.to_ascii_lowercase().as_str() {
            "y" | "yes" => Said::Allow,
            _ => Said::Refuse,
        };
        if let Err(error) = answer(said) {
            screen.warn(&error.to_string());
        }
    })
}

/// Where a question is answered else.
const ELSEWHERE: &str = "to answer it, run `ringfence approve` in another terminal";

/// What the session's log has of the call, and of what it needed.
fn recorded(dirs: &StateDirs, session: &SessionId) -> Result<Vec<Logged>, Failure> {
    let reader = LogReader::open(&dirs.session(session))
        .map_err(|error| crate::commands::context::unreadable(session, &error))?;
    let mut all = Vec::new();
    for logged in reader {
        let logged =
            logged.map_err(|error| crate::commands::context::unreadable(session, &error))?;
        if matches!(logged.entry.event, Event::Decided { .. } | Event::Finished { .. }) {
            all.push(logged);
        }
    }
    Ok(all)
}

/// What came back, as the agent reads it.
fn words(answer: Option<&Value>) -> String {
    let Some(answer) = answer else { return String::new() };
    let mut out = String::new();
    let mut say = |text: &str| {
        for line in text.lines() {
            let _ = writeln!(out, "{}", printable(line));
        }
    };
    let Some(result) = answer.get("result") else {
        let message = answer.pointer("/error/message").and_then(Value::as_str);
        // What it printed before it ended stands above.
        let ended = message.filter(|it| it.starts_with(ENDED_EARLY)).map(|_| ENDED_EARLY);
        say(ended.or(message).unwrap_or("an error"));
        return out;
    };
    let content = result.get("content").and_then(Value::as_array);
    for item in content.into_iter().flatten() {
        match item.get("text").and_then(Value::as_str) {
            Some(text) => say(text),
            None => say(&item.to_string()),
        }
    }
    if content.is_none_or(Vec::is_empty) {
        say(&serde_json::to_string_pretty(result).unwrap_or_default());
    }
    out
}

fn as_json(
    tool: &str,
    (answer, recorded): (Option<&Value>, &[Logged]),
    session: &SessionId,
) -> Value {
    let decisions: Vec<Value> = recorded
        .iter()
        .filter_map(|logged| {
            let Event::Decided { request, verdict, grounds, .. } = &logged.entry.event else {
                return None;
            };
            let verdict = match verdict {
                Verdict::Permit => "permit",
                Verdict::Deny => "deny",
                Verdict::Ask(_) => "ask",
            };
            let rules: Vec<&String> = grounds.rules.iter().map(|rule| &rule.id).collect();
            let is_call = matches!(request.act, Act::CallTool(_));
            Some(json!({
                "entry": format!("{session}/{}", logged.index), "is_call": is_call,
                "act": ringfence_runtime::wording::describe(&request.act), "verdict": verdict,
                "rules": rules, "failure": grounds.failure,
            }))
        })
        .collect();
    let usage = recorded.iter().find_map(|logged| {
        let Event::Finished { outcome: Outcome::Tool(usage), .. } = &logged.entry.event else {
            return None;
        };
        Some(usage.clone())
    });
    let ToolUsage { bytes_received, duration_ms, found, .. } = usage.clone().unwrap_or_default();
    json!({
        "tool": tool,
        "session": session,
        "decisions": decisions,
        "made": usage.is_some(),
        "bytes_received": bytes_received,
        "duration_ms": duration_ms,
        "found": found,
        "result": answer.and_then(|it| it.get("result")),
        "error": answer.and_then(|it| it.get("error")),
    })
}

/// Begins, calls one tool, and waits for its answer.
fn speak(stream: &UnixStream, tool: &str, arguments: &Value) -> io::Result<Option<Value>> {
    let hello = json!({"jsonrpc": "2.0", "id": HELLO, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "ringfence-test", "version": env!("CARGO_PKG_VERSION")},
    }});
    let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let call = json!({"jsonrpc": "2.0", "id": CALL, "method": "tools/call", "params": {
        "name": tool, "arguments": arguments,
    }});
    let (mut to, mut from) = (stream, BufReader::new(stream));
    writeln!(to, "{hello}")?;
    match answer(&mut from, HELLO)? {
        Some(answer) if answer.get("error").is_none() => {}
        refused => return Ok(refused),
    }
    writeln!(to, "{begun}\n{call}")?;
    answer(&mut from, CALL)
}

/// The answer to the request of this number; nothing where the gate has ended.
fn answer(from: &mut impl BufRead, number: u64) -> io::Result<Option<Value>> {
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if said.get("method").is_none() && said.get("id").and_then(Value::as_u64) == Some(number) {
            return Ok(Some(said));
        }
    }
}
