//! `export`: what a session recorded, in a format of other programs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ringfence_core::EntryRef;
use ringfence_log::ReadError;
use ringfence_runtime::wording::printable;

use super::context;
use crate::cli::{ExportCommand, ExportHarArgs};
use crate::exit::{Done, Failure, Message};
use crate::render::har::archive;
use crate::screen::Screen;

/// Mode of a file that is made: a log is its owner's alone.
const FILE_MODE: u32 = 0o600;

pub(crate) fn export(command: &ExportCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        ExportCommand::Har(args) => har(args, screen),
    }
}

fn har(args: &ExportHarArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let session = context::session(&dirs, args.session.as_ref())?;
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
    let archive = archive(&session, entries);
    let Some(path) = &args.output else {
        screen.json(&archive)?;
        return Ok(Done::Yes);
    };
    write(path, &archive.to_string()).map_err(|error| {
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
