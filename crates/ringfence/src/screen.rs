//! The terminal: data on stdout, everything else on stderr, colour only where it helps.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_runtime::notice::Notice;
use ringfence_runtime::wording;
use serde::Serialize;

use crate::cli::ColorChoice;
use crate::exit::{Failure, Message};
use crate::render::text;

/// Width of a terminal that does not tell its own, in columns.
const COLUMNS_DEFAULT: usize = 80;
/// Height of the same, in rows.
const ROWS_DEFAULT: usize = 24;
/// Least width that output is fitted into, in columns.
const COLUMNS_MIN: usize = 40;

/// Where a command writes.
#[derive(Debug, Clone)]
pub struct Screen {
    choice: ColorChoice,
    no_color: bool,
    columns: usize,
    /// Width of what is said beside the data; all that there is where a program reads it.
    said_columns: usize,
    /// What has been noticed so far.
    noticed: Arc<Mutex<BTreeSet<String>>>,
}

/// What a piece of text is; a colour beside the words, never instead of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Heading,
    /// Good.
    Good,
    /// Wants attention.
    Warning,
    /// Bad.
    Bad,
    /// Less important.
    Quiet,
}

/// How lines that are too long are broken.
type Fold = fn(&str, usize) -> Vec<String>;

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Data.
    Out,
    /// Everything else.
    Err,
}

/// Puts text into its tone, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// No colour at all.
    pub const PLAIN: Paint = Paint { on: false };

    /// The text in its tone.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        if !self.on || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

impl Screen {
    /// The screen of this process, by `NO_COLOR` and `COLUMNS` of its environment.
    pub fn new(choice: ColorChoice, variable: impl Fn(&str) -> Option<OsString>) -> Screen {
        let terminal = || {
            let size = rustix::termios::tcgetwinsize(io::stdout());
            size.map_or(COLUMNS_DEFAULT, |size| match usize::from(size.ws_col) {
                0 => COLUMNS_DEFAULT,
                columns => columns,
            })
        };
        let wanted = variable("COLUMNS").and_then(|it| it.to_str()?.parse().ok());
        let columns = match wanted.filter(|columns| *columns > 0) {
            Some(columns) => columns,
            None if io::stdout().is_terminal() => terminal(),
            None => usize::MAX,
        };
        Screen {
            choice,
            no_color: variable("NO_COLOR").is_some_and(|value| !value.is_empty()),
            columns: columns.max(COLUMNS_MIN),
            said_columns: said_columns().max(COLUMNS_MIN),
            noticed: Arc::default(),
        }
    }

    /// Width that text is cut to, in columns: `usize::MAX` where a program reads it, which gets all of it
    /// unless `COLUMNS` says otherwise.
    pub fn room(&self) -> usize {
        self.columns
    }

    /// Columns and rows of the terminal that questions are asked on; `None` where there is none.
    pub fn asked_on(&self) -> Option<(usize, usize)> {
        let is_wide = self.said_columns != usize::MAX;
        is_wide.then(|| (self.said_columns, said_size().1))
    }

    /// The first lines of a text, as many as the terminal shows at once.
    pub fn page(&self, text: &str) -> String {
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| size.ws_row);
        match usize::from(rows) {
            0 => text.to_owned(),
            // The last row is the cursor's.
            rows => text.split_inclusive('\n').take(rows.saturating_sub(1)).collect(),
        }
    }

    /// How to colour what goes to a stream.
    pub fn paint(&self, stream: Stream) -> Paint {
        let terminal = match stream {
            Stream::Out => io::stdout().is_terminal(),
            Stream::Err => io::stderr().is_terminal(),
        };
        Paint {
            on: match self.choice {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => terminal && !self.no_color,
            },
        }
    }

    /// Writes data to stdout, as it is.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Writes one JSON value and a line's end to stdout.
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        self.json_lines(std::iter::once(value))
    }

    /// Writes JSON Lines to stdout.
    pub fn json_lines<T: Serialize>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), Failure> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        for value in values {
            serde_json::to_writer(&mut out, &value).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }

    /// Tells the person something, on stderr, broken between words where a person reads it; a closed
    /// stderr is no reason to fail.
    pub fn note(&self, text: &str) {
        if self.said_columns == usize::MAX {
            return self.as_it_is(text);
        }
        self.as_it_is(text::fold_lines(text, self.said_columns).trim_end_matches('\n'));
    }

    /// The same for what is laid out already, and for what programs read.
    pub fn as_it_is(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Tells the person what helps, on stderr.
    pub fn hint(&self, text: &str) {
        self.labelled((Tone::Good, "hint:"), text, text::fold_hint);
    }

    /// A label and its text, broken between words where a person reads it.
    fn labelled(&self, (tone, label): (Tone, &str), text: &str, fold: Fold) {
        let first = self.paint(Stream::Err).tone(tone, label);
        let mut lines = text.lines().flat_map(|line| self.folded(line, label.len() + 1, fold));
        self.as_it_is(&format!("{first} {}", lines.next().unwrap_or_default()));
        lines.for_each(|line| self.as_it_is(&format!("  {line}")));
    }

    fn folded(&self, line: &str, before: usize, fold: Fold) -> Vec<String> {
        let room = self.said_columns.saturating_sub(before);
        // What fits stays as it is, with whatever its spaces put in line.
        if text::fits(line, room) { vec![line.to_owned()] } else { fold(line, room) }
    }

    /// Tells the person something they should know, on stderr.
    pub fn warn(&self, text: &str) {
        self.labelled((Tone::Warning, "warning:"), &printable_lines(text), text::fold);
    }

    /// The same with what helps, once: what is in force is looked at several times by some commands.
    pub fn notice(&self, notice: &Notice) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.insert(notice.text.clone()) {
            self.warn(&notice.text);
            notice.hint.iter().for_each(|hint| self.hint(hint));
        }
    }

    /// Says why a command failed, on stderr.
    pub fn failure(&self, failure: &Failure) {
        match failure {
            Failure::No(message) | Failure::CouldNot(message) | Failure::Waiting(message) => {
                self.message(message);
            }
            Failure::Pipe | Failure::Said(_) => {}
        }
    }

    fn message(&self, message: &Message) {
        self.labelled((Tone::Bad, "error:"), &printable_lines(&message.text), text::fold);
        let details = message.details.iter().map(|detail| printable_lines(detail));
        for line in details.flat_map(|detail| self.folded(&detail, 2, text::fold)) {
            self.as_it_is(&format!("  {line}"));
        }
        for hint in &message.hints {
            self.hint(&printable_lines(hint));
        }
    }
}

/// Width of the terminal that standard error is; of anything else, there is none.
fn said_columns() -> usize {
    if io::stderr().is_terminal() { said_size().0 } else { usize::MAX }
}

/// Columns and rows of the terminal that standard error is.
fn said_size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let known = |number: Option<u16>, default| match number.map_or(0, usize::from) {
        0 => default,
        number => number,
    };
    (
        known(size.map(|size| size.ws_col), COLUMNS_DEFAULT),
        known(size.map(|size| size.ws_row), ROWS_DEFAULT),
    )
}

/// Text that may quote what others wrote, with its line breaks kept.
fn printable_lines(text: &str) -> String {
    text.lines().map(wording::printable).collect::<Vec<_>>().join("\n")
}
