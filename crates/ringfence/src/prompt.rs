//! Questions to the person at the terminal; without one, the flag to use is named instead.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use ringfence_runtime::environment::Environment;

use crate::exit::{Failure, Message};

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

fn line(prompt: &str, flag: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Message::new("this needs an answer, and there is no terminal to ask on")
            .hint(flag)
            .could_not());
    }
    // What was typed before the question was there is no answer to it.
    let _ = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
    let _ = write!(io::stderr(), "{prompt}");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Message::new(format!("cannot read the answer: {error}")).could_not())?;
    Ok(answer.trim().to_owned())
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
