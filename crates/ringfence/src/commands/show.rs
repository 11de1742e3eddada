//! `show`: what happened in a session.

use std::io::IsTerminal as _;

use ringfence_core::{Answer, EntryRef, SessionId};
use ringfence_log::ReadError;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::view::{self, AskedAct, SessionView, State};

use super::log::Form;
use super::{context, follow};
use crate::cli::ShowArgs;
use crate::exit::{Done, Failure, Message};
use crate::render::session::{Style, render, render_tree};
use crate::render::timeline;
use crate::screen::{Screen, Stream};

pub(crate) fn show(args: &ShowArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let session = context::session(&dirs, args.session.as_ref())?;
    if args.follow {
        return follow(args, (&dirs, &session), screen);
    }
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
    view.state = State::of(view.summary.as_ref(), context::broker(&dirs, &session, &running));
    if damage.is_some() && view.state == State::Lost {
        view.state = State::Unreadable;
    }
    if args.json {
        screen.json(&view)?;
    } else {
        screen.data(&picture(args, screen)(&view))?;
        hint(&view, &session, screen);
    }
    damage.map_or(Ok(Done::Yes), Err)
}

fn follow(
    args: &ShowArgs,
    (dirs, session): (&StateDirs, &SessionId),
    screen: &Screen,
) -> Result<Done, Failure> {
    if !args.tree && !args.timeline {
        return follow::entries(dirs, session, Form::of(args.json), screen);
    }
    if !std::io::stdout().is_terminal() {
        return Err(Message::new(
            "a tree or timeline is drawn anew on a terminal, and here is none",
        )
        .hint(format!("to have each entry once, run `ringfence show {session} --follow`"))
        .could_not());
    }
    follow::pictures(dirs, session, screen, &*picture(args, screen))
}

/// How a session is shown.
fn picture(args: &ShowArgs, screen: &Screen) -> Box<dyn Fn(&SessionView) -> String> {
    let style = Style { columns: screen.room(), paint: screen.paint(Stream::Out) };
    if args.tree {
        Box::new(move |view| render_tree(view, style))
    } else if args.timeline {
        Box::new(move |view| timeline::render(view, style))
    } else {
        Box::new(move |view| render(view, style))
    }
}

fn hint(view: &SessionView, session: &SessionId, screen: &Screen) {
    let denied = view.denials.iter().map(|denied| denied.entry);
    let approved = |asked: &&AskedAct| asked.answer == Some(Answer::Approved);
    let asked = view.questions.iter().filter(|it| !approved(it)).map(|asked| asked.entry);
    if let Some(entry) = denied.chain(asked).min() {
        screen.hint(&format!(
            "to see the whole reasoning, run `ringfence explain {session}/{entry}`"
        ));
    }
}
