//! `export`: what a session recorded, in a format of other programs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ringfence_core::EntryRef;
use ringfence_log::ReadError;
use ringfence_runtime::view::{self, State};
use ringfence_runtime::wording::printable;

use super::context;
use crate::cli::ExportCommand;
use crate::exit::{Done, Failure, Message};
use crate::render::har::archive;
use crate::render::otlp::trace;
use crate::screen::Screen;

/// Mode of a file that is made: a log is its owner's alone.
const FILE_MODE: u32 = 0o600;

pub(crate) fn export(command: &ExportCommand, screen: &Screen) -> Result<Done, Failure> {
    let (ExportCommand::Har(args) | ExportCommand::Otlp(args)) = command;
    let dirs = context::dirs()?;
    let session = context::session(&dirs, args.session.as_ref())?;
    // Before the log is read: what ends meanwhile has its end there.
    let running = context::running(&dirs)?;
    let mut entries = Vec::new();
    for logged in context::reader(&dirs, &EntryRef { session: session.clone(), index: 0 })? {
        match logged {
            Ok(logged) => entries.push((logged.index, logged.entry)),
            // Written by another version: the rest of the log is still worth having.
            Err(error @ ReadError::Unknown { .. }) => screen.warn(&error.to_string()),
            // Half an archive would look like a whole one.
            Err(error) => return Err(context::unreadable(&session, &error)),
        }
    }
    let exported = match command {
        ExportCommand::Har(_) => archive(&session, entries),
        ExportCommand::Otlp(_) => {
            let mut view = view::view(entries);
            view.state =
                State::of(view.summary.as_ref(), context::broker(&dirs, &session, &running));
            trace(&session, &view)
        }
    };
    let Some(path) = &args.output else {
        screen.json(&exported)?;
        return Ok(Done::Yes);
    };
    write(path, &exported.to_string()).map_err(|error| {
        let path = printable(&path.to_string_lossy());
        Message::new(format!("cannot write `{path}`: {error}")).could_not()
    })?;
    Ok(Done::Yes)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")
}
