//! `log show` and `log verify`: the entries as they stand, and whether they were changed.

use std::fmt::Write as _;

use ringfence_core::{EntryRef, SessionId};
use ringfence_log::{
    HostKey, HostLogKnows, LogError, Logged, PublicKey, ReadError, Report, SessionReport, State,
    Tampered, Verified, VerifyError, verify_all, verify_session,
};
use ringfence_runtime::sealing;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use serde_json::{Value, json, value::RawValue};

use super::{context, follow};
use crate::cli::{LogCommand, LogShowArgs, LogVerifyArgs};
use crate::exit::{Done, Failure, Message};
use crate::render::{entry, text};
use crate::screen::{Paint, Screen, Stream, Tone};

/// Version of the JSON of both commands.
const SCHEMA: u32 = 1;
/// How the host log is called; no session is called so.
const HOST: &str = "host";

pub(crate) fn log(command: &LogCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        LogCommand::Show(args) => show(args, screen),
        LogCommand::Verify(args) => verify(args, screen),
    }
}

fn show(args: &LogShowArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let session = context::session(&dirs, args.session.as_ref())?;
    if args.follow {
        return follow::entries(&dirs, &session, Form::of(args.json), screen);
    }
    for logged in context::reader(&dirs, &EntryRef { session: session.clone(), index: 0 })? {
        print(&session, logged, Form::of(args.json), screen)?;
    }
    Ok(Done::Yes)
}

/// How entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Line,
    Json,
}

impl Form {
    pub(super) fn of(json: bool) -> Form {
        if json { Form::Json } else { Form::Line }
    }
}

/// Writes one entry.
pub(super) fn print(
    session: &SessionId,
    logged: Result<Logged, ReadError>,
    form: Form,
    screen: &Screen,
) -> Result<(), Failure> {
    match logged {
        Ok(logged) if form == Form::Json => {
            screen.json(&as_json(session, logged.index, logged.json)?)
        }
        Ok(logged) => screen.data(&entry::line(logged.index, &logged.entry)),
        Err(ReadError::Unknown { index, json: written, .. }) if form == Form::Json => {
            screen.json(&as_json(session, index, written)?)
        }
        Err(error @ ReadError::Unknown { .. }) => {
            screen.warn(&error.to_string());
            Ok(())
        }
        Err(error) => Err(context::unreadable(session, &error)),
    }
}

/// An entry byte for byte as it was written, with its name beside it.
fn as_json(session: &SessionId, index: u64, written: String) -> Result<Value, Failure> {
    let entry = RawValue::from_string(written).map_err(std::io::Error::from)?;
    Ok(json!({ "schema": SCHEMA, "session": session, "index": index, "entry": entry }))
}

fn verify(args: &LogVerifyArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    sealing::wait(&dirs);
    if let Some(session) = &args.session
        && !dirs.session(session).exists()
    {
        return Err(context::unreadable(session, &ReadError::NoLog(dirs.session(session))));
    }
    let Some(key) = public_key(&dirs, args.session.as_ref())? else {
        screen.note("there is nothing to verify: no session of this user has left a log");
        return Ok(Done::Yes);
    };
    let Some(session) = &args.session else {
        let report = verify_all(dirs.state(), &key).map_err(|error| could_not(&error))?;
        return answer(args, screen, &lines(report));
    };
    let result = verify_session(&dirs.session(session), session, &key);
    answer(args, screen, &[Line { name: session.to_string(), note: None, result }])
}

/// The key that signed; `None` when there are neither a key nor logs.
fn public_key(dirs: &StateDirs, session: Option<&SessionId>) -> Result<Option<PublicKey>, Failure> {
    match HostKey::load(dirs.state()) {
        Ok(key) => Ok(Some(key.public())),
        Err(LogError::NoKey(_)) if session.is_none() && context::session_ids(dirs)?.is_empty() => {
            Ok(None)
        }
        Err(error) => {
            let text = error.to_string();
            let (what, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            let message = Message::new(what);
            Err(if hint.is_empty() { message } else { message.hint(hint) }.could_not())
        }
    }
}

/// One log and the answer about it.
struct Line {
    name: String,
    note: Option<&'static str>,
    result: Result<Verified, VerifyError>,
}

/// The host log first.
fn lines(report: Report) -> Vec<Line> {
    let host = Line { name: HOST.to_owned(), note: None, result: report.host };
    let sessions =
        report.sessions.into_iter().map(|SessionReport { session, result, host_log }| {
            let note = match host_log {
                HostLogKnows::Opened | HostLogKnows::Closed => None,
                HostLogKnows::Nothing => Some("the host log does not know it"),
            };
            Line { name: session.to_string(), note, result }
        });
    std::iter::once(host).chain(sessions).collect()
}

fn answer(args: &LogVerifyArgs, screen: &Screen, lines: &[Line]) -> Result<Done, Failure> {
    if args.json {
        screen.json_lines(lines.iter().map(line_json))?;
    } else {
        let rows: Vec<Vec<String>> =
            lines.iter().map(|line| row(line, screen.paint(Stream::Out))).collect();
        screen.data(&text::table(&rows))?;
    }
    let failed = |line: &&Line| matches!(line.result, Err(VerifyError::Tampered(_)));
    let tampered = lines.iter().filter(failed).count();
    if tampered > 0 {
        let logs = text::count(tampered, "log was", "logs were");
        return Err(Message::new(format!("{logs} changed after being signed")).no());
    }
    match lines.iter().find_map(|line| line.result.as_ref().err()) {
        Some(error) => Err(could_not(error)),
        None => Ok(Done::Yes),
    }
}

fn row(line: &Line, paint: Paint) -> Vec<String> {
    let (tone, word, mut what) = match &line.result {
        Ok(verified) => {
            let size = usize::try_from(verified.size).unwrap_or(usize::MAX);
            let entries = text::count(size, "entry", "entries");
            (
                Tone::Good,
                "verified",
                match line.name.as_str() {
                    // It is never closed: every session appends to it.
                    HOST => entries,
                    _ => format!("{entries}, {}", ending(verified)),
                },
            )
        }
        Err(VerifyError::Tampered(tampered)) => (Tone::Bad, "CHANGED", tampered.to_string()),
        Err(error @ VerifyError::Io { .. }) => (Tone::Warning, "unread", error.to_string()),
    };
    if let Some(note) = line.note {
        what.push_str("; ");
        what.push_str(note);
    }
    vec![line.name.clone(), paint.tone(tone, word), printable(&what)]
}

fn ending(verified: &Verified) -> String {
    let unsigned = verified.size.saturating_sub(verified.signed);
    let behind = match unsigned {
        0 => String::new(),
        count => format!(", {count} behind the last checkpoint"),
    };
    match verified.state {
        State::Closed => "closed".to_owned(),
        State::Open => format!("being written{behind}"),
        State::Unclosed => format!("not closed{behind}"),
        State::TornTail { bytes } => {
            format!("not closed{behind}, then {bytes} bytes of an incomplete entry")
        }
    }
}

fn line_json(line: &Line) -> Value {
    let mut object = json!({ "schema": SCHEMA, "log": line.name });
    let facts = match &line.result {
        Ok(verified) => json!({
            "verified": true,
            "size": verified.size,
            "signed": verified.signed,
            "root": hex(&verified.root),
            "state": match verified.state {
                State::Closed => "closed",
                State::Open => "open",
                State::Unclosed => "unclosed",
                State::TornTail { .. } => "torn-tail",
            },
        }),
        Err(VerifyError::Tampered(Tampered { index, what })) => {
            json!({ "verified": false, "index": index, "what": what })
        }
        Err(error @ VerifyError::Io { .. }) => json!({ "error": error.to_string() }),
    };
    if let (Some(object), Value::Object(facts)) = (object.as_object_mut(), facts) {
        object.extend(facts);
        if let Some(note) = line.note {
            object.insert("note".to_owned(), json!(note));
        }
    }
    object
}

fn could_not(error: &VerifyError) -> Failure {
    Message::new(error.to_string()).could_not()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
