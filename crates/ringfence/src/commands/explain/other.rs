//! Entries that are no decision: what each one is, what was done, and what to do.

use std::fmt::Write as _;

use ringfence_core::{Entry, EntryRef, Event, Misuse, Reviewed, SessionId};
use ringfence_log::Logged;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::{lease, printable};
use serde_json::json;

use super::SCHEMA;
use crate::exit::{Done, Failure};
use crate::render::{entry, text};
use crate::screen::{Screen, Stream, Tone};

/// What is said of an entry.
struct Told {
    title: String,
    lines: Vec<(&'static str, String)>,
    hints: Vec<String>,
}

pub(super) fn explain(
    dirs: &StateDirs,
    (name, logged): (&EntryRef, &Logged),
    (screen, as_json): (&Screen, bool),
) -> Result<Done, Failure> {
    let entry = &logged.entry;
    let told = told(dirs, name, logged);
    if as_json {
        screen.json(&json!({
            "schema": SCHEMA,
            "entry": name.to_string(),
            "at_ms": entry.at_ms,
            "event": entry.event,
            "said": told.title,
            "hints": told.hints,
        }))?;
        return Ok(Done::Yes);
    }
    let mut out = screen.paint(Stream::Out).tone(Tone::Heading, &told.title) + "\n";
    let at = ("entry", format!("{name}, {}", text::moment(entry.at_ms)));
    for (what, line) in std::iter::once(&at).chain(&told.lines) {
        let _ = writeln!(out, "  {what:<8} {line}");
    }
    screen.data(&out)?;
    told.hints.iter().for_each(|hint| screen.hint(hint));
    Ok(Done::Yes)
}

fn files_read(session: &SessionId, read: &Entry) -> Told {
    Told {
        title: entry::words_of(read),
        lines: vec![(
            "recorded",
            "because the session runs with `--trace=files`; reads are bounded by its mounts, and \
                 nobody was asked"
                .to_owned(),
        )],
        hints: vec![format!("to see them process by process, run `ringfence show {session}`")],
    }
}

fn reviewed(review: &Reviewed, entry: &Entry) -> Told {
    let session = &review.session;
    Told {
        title: crate::render::entry::words_of(entry),
        lines: vec![record()],
        hints: vec![format!("to see what waits, run `ringfence review show {session}`")],
    }
}

fn told(dirs: &StateDirs, name: &EntryRef, logged: &Logged) -> Told {
    let session = &name.session;
    match &logged.entry.event {
        Event::SecretMisused(misuse) => incident(misuse),
        Event::Refused { process, why, .. } => Told {
            title: format!("denied before any rule was asked: {}", printable(why)),
            lines: vec![
                ("process", process.pid.to_string()),
                ("done", "it was refused, and nothing of it went on".to_owned()),
            ],
            hints: vec![
                "no rule and no grant could permit it, for none can name it: the program has to \
                 ask for it in another way"
                    .to_owned(),
            ],
        },
        Event::Lease(change) => Told {
            title: format!("what a vault lent: {}", lease(change)),
            lines: Vec::new(),
            hints: vec![format!("to see what became of it, run `ringfence show {session}`")],
        },
        Event::Finished { of, .. } | Event::Asked { of, .. } | Event::Answered { of, .. } => Told {
            title: entry::words_of(&logged.entry),
            lines: vec![("about", about(dirs, &EntryRef { session: session.clone(), index: *of }))],
            hints: vec![format!(
                "to see why that was decided, run `ringfence explain {session}/{of}`"
            )],
        },
        Event::Quarantined { .. } => Told {
            title: entry::words_of(&logged.entry),
            lines: vec![record()],
            hints: vec![format!(
                "to accept a file that was moved aside, move it back from beside its place, where \
                 it ends in `.quarantined-{session}`"
            )],
        },
        Event::TakenBack(back) => Told {
            title: entry::words_of(&logged.entry),
            lines: vec![record()],
            hints: match back.left.as_slice() {
                [] => vec![format!("to see what is around it, run `ringfence log show {session}`")],
                _ => {
                    vec!["what was left, set yourself with `git config` if it is right".to_owned()]
                }
            },
        },
        Event::FilesRead(_) => files_read(session, &logged.entry),
        Event::Reviewed(review) => reviewed(review, &logged.entry),
        Event::Decided { .. }
        | Event::SessionOpened { .. }
        | Event::Arrived { .. }
        | Event::OddMessage(_)
        | Event::ClientCame(_)
        | Event::ProcessExited { .. }
        | Event::Granted { .. }
        | Event::Revoked { .. }
        | Event::PolicyReloaded { .. }
        | Event::Covered { .. }
        | Event::LimitReached { .. }
        | Event::SessionClosed { .. }
        | Event::LogOpened { .. }
        | Event::LogClosed { .. } => Told {
            title: entry::words_of(&logged.entry),
            lines: vec![record()],
            hints: vec![format!("to see what is around it, run `ringfence log show {session}`")],
        },
    }
}

/// Another entry, with what it says.
fn about(dirs: &StateDirs, of: &EntryRef) -> String {
    match super::logged(dirs, of) {
        Ok(logged) => format!("entry {of}: {}", entry::words_of(&logged.entry)),
        // It is damaged, and `log verify` says so.
        Err(_) => format!("entry {of}"),
    }
}

/// Said of what is no decision.
fn record() -> (&'static str, String) {
    ("kind", "a record of what happened; nothing was decided by it".to_owned())
}

fn incident(misuse: &Misuse) -> Told {
    let Misuse { process, secret, endpoint, method, path, place, why, refused } = misuse;
    let (place, why) = (printable(place), printable(why));
    let request = format!("{} {endpoint}{}", printable(method), printable(path));
    let done = if *refused {
        "the request was refused; the value itself was not sent"
    } else {
        "the request went on as it was: the value went to the same host in its own place"
    };
    let process = process.map_or_else(|| "not known".to_owned(), |it| it.pid.to_string());
    let mut hints =
        vec![format!("to see where `{secret}` may stand and go, run `ringfence secret list`")];
    if *refused {
        hints.push(format!(
            "if it belongs there, bind it so: `ringfence secret remove {secret}`, and `ringfence \
             secret add {secret}` with `--for`, `--header`, `--query`, `--path` or `--methods`"
        ));
        hints.push(
            "if nobody meant it to be there, look at what the agent read and ran before: \
             `ringfence show` has it"
                .to_owned(),
        );
    }
    Told {
        title: format!("incident: what stands in for the secret `{secret}` was in {place}"),
        lines: vec![
            ("request", request),
            ("process", process),
            ("wrong", why),
            ("done", done.to_owned()),
            (
                "worth",
                "a stand-in opens nothing by itself, and nothing once its session ends".to_owned(),
            ),
        ],
        hints,
    }
}
