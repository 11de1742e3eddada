//! Questions to the person at the terminal; without one, the flag to use is named instead.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use ringfence_runtime::environment::Environment;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::{Failure, Message};

/// Longest text that is read without being shown, in bytes: more is no secret that could be kept.
const HIDDEN_BYTES_MAX: u64 = 64 * 1024;

/// What the person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Yes.
    Given,
    /// Anything else.
    Refused,
}

/// Asks for a yes; `flag` is what stands in for it where there is no terminal.
pub fn consent(question: &str, flag: &str) -> Result<Consent, Failure> {
    let answer = line(&format!("{question} [y/N] "), flag)?;
    let yes = matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes");
    Ok(if yes { Consent::Given } else { Consent::Refused })
}

/// The same where nothing said is a yes: for what is safer than its contrary.
pub fn consent_unless(question: &str, flag: &str) -> Result<Consent, Failure> {
    let answer = line(&format!("{question} [Y/n] "), flag)?;
    let no = matches!(answer.to_ascii_lowercase().as_str(), "n" | "no");
    Ok(if no { Consent::Refused } else { Consent::Given })
}

/// What the person wants done with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Take it.
    Yes,
    /// Change it first.
    Edit,
    /// Anything else.
    No,
}

/// Asks for a yes, or for an editor.
pub fn consent_or_edit(question: &str, flag: &str) -> Result<Wish, Failure> {
    let answer = line(&format!("{question} [y/N/e] "), flag)?;
    Ok(match answer.to_ascii_lowercase().as_str() {
        "y" | "yes" => Wish::Yes,
        "e" | "edit" => Wish::Edit,
        _ => Wish::No,
    })
}

/// Asks for one line; `flag` is what stands in for it where there is no terminal.
pub fn answer(question: &str, flag: &str) -> Result<String, Failure> {
    line(question, flag)
}

/// Asks for one of `choices`, by its number; `None` when the answer is none of them.
pub fn choice(question: &str, choices: &[&str], flag: &str) -> Result<Option<usize>, Failure> {
    let mut text = format!("{question}\n");
    for (number, choice) in choices.iter().enumerate() {
        let _ = writeln!(text, "  {}  {choice}", number + 1);
    }
    let answer = line(&format!("{text}number, or nothing to stop: "), flag)?;
    let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    Ok(number.filter(|&number| number < choices.len()))
}

/// A text that nobody shall see: one line typed without echo, or, off a terminal, all of stdin.
pub fn hidden(question: &str) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| Message::new(format!("cannot read it: {error}")).could_not();
    let mut text = Zeroizing::new(String::new());
    if !io::stdin().is_terminal() {
        // Room from the start: a string that grows leaves copies of itself behind.
        text.reserve_exact(usize::try_from(HIDDEN_BYTES_MAX).unwrap_or_default());
        io::stdin().lock().take(HIDDEN_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        return Ok(text);
    }
    let silent = Silent::begin().map_err(failed)?;
    let _ = write!(io::stderr(), "{question}");
    let _ = io::stderr().flush();
    text.reserve_exact(usize::try_from(HIDDEN_BYTES_MAX).unwrap_or_default());
    let mut key = [0; 1];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut key).map_err(|it| failed(it.into()))? {
            0 => break,
            _ => match key[0] {
                b'\r' | b'\n' | END_OF_TEXT => break,
                INTERRUPT => {
                    drop(silent);
                    return Err(Message::new("nothing changed: it was interrupted").no());
                }
                BACKSPACE | DELETE => {
                    text.pop();
                }
                CLEAR_LINE => text.clear(),
                byte if text.len() < text.capacity() => text.push(char::from(byte)),
                _ => {}
            },
        }
    }
    drop(silent);
    Ok(text)
}

/// Keys that are no part of what is typed.
const INTERRUPT: u8 = 0x03;
const END_OF_TEXT: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CLEAR_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// A terminal that shows nothing of what is typed and sends no signals, until this is dropped: one
/// that a signal ended would stay silent.
struct Silent(Termios);

impl Silent {
    fn begin() -> io::Result<Silent> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        // What was typed before the question was there is no answer to it.
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Silent(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
        let _ = writeln!(io::stderr());
    }
}

/// Whether there is a terminal to ask on.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One line that is typed; `flag` is what stands in for it where there is no terminal.
pub fn line(prompt: &str, flag: &str) -> Result<String, Failure> {
    forget_typed();
    typed(prompt, flag)
}

/// What was typed before a question was there is no answer to it.
pub fn forget_typed() {
    if can_ask() {
        let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    }
}

/// The same as a [`line`] of a question that was shown since [`forget_typed`].
pub fn typed(prompt: &str, flag: &str) -> Result<String, Failure> {
    if !can_ask() {
        return Err(unasked(prompt, flag));
    }
    let _ = write!(io::stderr(), "{prompt}");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Message::new(format!("cannot read the answer: {error}")).could_not())?;
    Ok(answer.trim().to_owned())
}

/// What a question is answered with that cannot be asked: there is no terminal.
pub fn unasked(question: &str, flag: &str) -> Failure {
    let before = ["the question: "].into_iter().chain(std::iter::repeat("  "));
    let asked = before.zip(question.trim_end().lines()).map(|(it, line)| format!("{it}{line}"));
    let message = Message::new("this needs an answer, and there is no terminal to ask on");
    asked.fold(message, Message::detail).hint(flag).could_not()
}

/// Refuses what only the person outside may do, when the caller is in a world.
///
/// The wall is the world itself, which holds neither state nor sockets of ours; this only says so
/// instead of failing in some other way.
pub fn outside_only(environment: &Environment, what: &str) -> Result<(), Failure> {
    if environment.get("RINGFENCE_DENIALS").is_none() {
        return Ok(());
    }
    Err(Message::new(format!("{what} from inside a world: ask the person outside")).could_not())
}
