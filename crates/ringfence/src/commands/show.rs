//! `show`: what happened in a session.

use ringfence_core::{Answer, EntryRef};
use ringfence_log::ReadError;
use ringfence_runtime::view::{self, AskedAct, State};

use super::context;
use crate::cli::ShowArgs;
use crate::exit::{Done, Failure};
use crate::render::session::{Style, render};
use crate::screen::{Screen, Stream};

pub(crate) fn show(args: &ShowArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let session = context::session(&dirs, args.session.as_ref())?;
    // Before the log is read: what ends meanwhile has its end there.
    let running = context::running(&dirs)?;
    let mut damage = None;
    let mut entries = Vec::new();
    for logged in context::reader(&dirs, &EntryRef { session: session.clone(), index: 0 })? {
        match logged {
            Ok(logged) => entries.push((logged.index, logged.entry)),
            // Written by another version: the rest of the log is still worth seeing.
            Err(error @ ReadError::Unknown { .. }) => screen.warn(&error.to_string()),
            Err(error) => damage = Some(context::unreadable(&session, &error)),
        }
    }
    let mut view = view::view(entries);
    view.state = State::of(&session, view.summary.as_ref(), &running);
    if args.json {
        screen.json(&view)?;
    } else {
        let style = Style { columns: screen.room(), paint: screen.paint(Stream::Out) };
        screen.data(&render(&view, style))?;
        let denied = view.denials.iter().map(|denied| denied.entry);
        let approved = |asked: &&AskedAct| asked.answer == Some(Answer::Approved);
        let asked = view.questions.iter().filter(|it| !approved(it)).map(|asked| asked.entry);
        if let Some(entry) = denied.chain(asked).min() {
            screen.hint(&format!(
                "to see the whole reasoning, run `ringfence explain {session}/{entry}`"
            ));
        }
    }
    damage.map_or(Ok(Done::Yes), Err)
}
