//! The one place that maps what happened to an exit code.

use std::io;
use std::process::ExitCode;

/// How a command ended that ended as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Yes, or done.
    Yes,
    /// The answer is no, and has been printed.
    No,
    /// The answer is that a person must approve.
    Ask,
    /// The code of the command that was run.
    Child(u8),
}

/// Why a command could not end as it should.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no.
    No(Message),
    /// There is no answer: usage, configuration, input or output.
    CouldNot(Message),
    /// Approval is needed and nobody is there to give it.
    Waiting(Message),
    /// Whoever read the output has gone away.
    Pipe,
    /// Already said on stderr.
    Said(Said),
}

/// What was said before the command gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The answer is no.
    No,
    /// There is no answer.
    CouldNot,
}

/// An error as a person reads it: what, the details beneath it, what to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What is wrong: lower case, no full stop.
    pub text: String,
    /// Further lines, indented under it.
    pub details: Vec<String>,
    /// What helps.
    pub hints: Vec<String>,
}

/// Exit code of a failure of ours in `run`, where the others are the command's own (env(1)).
const RUN_FAILED: u8 = 125;
/// 128 + SIGPIPE: what a program gets that does not catch the signal.
const PIPE: u8 = 141;

impl Message {
    /// An error without details.
    pub fn new(text: impl Into<String>) -> Message {
        Message { text: text.into(), ..Message::default() }
    }

    /// The same error with a further line.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Message {
        self.details.push(line.into());
        self
    }

    /// The same error with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Message {
        self.hints.push(hint.into());
        self
    }

    /// A failure that gives no answer.
    pub fn could_not(self) -> Failure {
        Failure::CouldNot(self)
    }

    /// A failure that is the answer no.
    pub fn no(self) -> Failure {
        Failure::No(self)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::Pipe
        } else {
            Message::new(format!("cannot write the output: {error}")).could_not()
        }
    }
}

/// Which table of codes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// Those of `run`: the command's own, 125 for a failure of ours.
    Run,
    /// Those of every other command: 0 yes, 1 no, 2 could not answer, 3 waiting.
    Answer,
}

impl Codes {
    /// The code of a command line that could not be parsed.
    pub fn usage(self) -> ExitCode {
        ExitCode::from(match self {
            Codes::Run => RUN_FAILED,
            Codes::Answer => 2,
        })
    }

    /// The code of how a command ended.
    pub fn of(self, result: &Result<Done, Failure>) -> ExitCode {
        ExitCode::from(self.number(result))
    }

    /// The same as a number, for who ends in our place.
    pub fn number(self, result: &Result<Done, Failure>) -> u8 {
        match result {
            Ok(Done::Yes) => 0,
            Ok(Done::Ask) | Err(Failure::Waiting(_)) => 3,
            Ok(Done::Child(code)) => *code,
            Err(Failure::Pipe) => PIPE,
            Err(Failure::No(_) | Failure::CouldNot(_) | Failure::Said(_)) if self == Codes::Run => {
                RUN_FAILED
            }
            Ok(Done::No) | Err(Failure::No(_) | Failure::Said(Said::No)) => 1,
            Err(Failure::CouldNot(_) | Failure::Said(Said::CouldNot)) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(codes: Codes, result: &Result<Done, Failure>) -> String {
        format!("{:?}", codes.of(result))
    }

    fn code(code: u8) -> String {
        format!("{:?}", ExitCode::from(code))
    }

    #[test]
    fn no_failure_of_ours_looks_like_an_answer() {
        let could_not = || Err(Message::new("x").could_not());
        assert_eq!(shown(Codes::Answer, &could_not()), code(2));
        assert_eq!(shown(Codes::Run, &could_not()), code(125));
        assert_eq!(shown(Codes::Run, &Err(Message::new("x").no())), code(125));
        assert_eq!(shown(Codes::Run, &Err(Failure::Said(Said::CouldNot))), code(125));
        assert_eq!(shown(Codes::Answer, &Err(Failure::Said(Said::CouldNot))), code(2));
    }

    #[test]
    fn an_answer_is_its_own_code() {
        assert_eq!(shown(Codes::Answer, &Ok(Done::Yes)), code(0));
        assert_eq!(shown(Codes::Answer, &Ok(Done::No)), code(1));
        assert_eq!(shown(Codes::Answer, &Err(Message::new("x").no())), code(1));
        assert_eq!(shown(Codes::Answer, &Ok(Done::Ask)), code(3));
        assert_eq!(shown(Codes::Run, &Err(Failure::Waiting(Message::new("x")))), code(3));
        assert_eq!(shown(Codes::Run, &Ok(Done::Child(137))), code(137));
    }

    #[test]
    fn a_reader_that_went_away_is_no_success() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(shown(Codes::Answer, &Err(Failure::from(pipe))), code(141));
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(shown(Codes::Answer, &Err(Failure::from(full))), code(2));
    }
}
