//! One question on the terminal's bottom line, answered by typing a random two-character code.
//!
//! A bare `y` could be typed by a terminal report or be on its way already: input is flushed when
//! the question appears, the codes are new each time, and the world's output stands still.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ringfence_core::Answer;
use rustix::termios::{QueueSelector, tcflush, tcgetwinsize};

/// Letters and digits that are not mistaken for each other.
const CODE_LETTERS: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";

/// Wrong codes until the question counts as refused.
const WRONG_CODES_MAX: u32 = 3;

/// Lines and columns assumed where the terminal does not tell.
const SIZE_DEFAULT: (u16, u16) = (24, 80);

/// The two answers' codes; each two characters, never alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    approve: String,
    refuse: String,
}

impl Codes {
    /// Makes codes from random bytes.
    pub fn from_random(random: [u8; 4]) -> Codes {
        let letter = |byte: u8| {
            char::from(
                CODE_LETTERS.get(usize::from(byte) % CODE_LETTERS.len()).copied().unwrap_or(b'a'),
            )
        };
        let [a, b, c, d] = random;
        let approve: String = [letter(a), letter(b)].iter().collect();
        let mut refuse: String = [letter(c), letter(d)].iter().collect();
        if refuse == approve {
            refuse = [letter(c), letter(d.wrapping_add(1))].iter().collect();
        }
        Codes { approve, refuse }
    }
}

/// A question on its way to the user and its answer's way back.
pub struct Prompt {
    /// What is asked, one line, already free of control characters.
    pub text: String,
    /// The codes.
    pub codes: Codes,
    /// Until when an answer counts.
    pub deadline: Instant,
    /// Where the answer goes; holds one.
    pub reply: SyncSender<Answer>,
    /// What was typed since the last whole code.
    pub typed: String,
    /// Wrong codes so far.
    pub wrong: u32,
}

impl Prompt {
    /// Draws the question on the bottom line, after what was typed before has been thrown away.
    pub(super) fn draw(&self) {
        let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
        let (rows, columns) = size();
        let line = self.line(usize::from(columns));
        // Saved cursor; no synchronised update, origin mode, character set or attribute of the
        // agent's may hide the question.
        super::show(
            format!("\x1b7\x1b[?2026l\x1b[?6l\x0f\x1b(B\x1b[0m\x1b[{rows};1H\x1b[2K\x1b[7m{line}\x1b[0m\x07")
                .as_bytes(),
        );
    }

    /// Takes the question off the screen.
    pub(super) fn erase() {
        let (rows, _) = size();
        super::show(format!("\x1b[{rows};1H\x1b[2K\x1b8").as_bytes());
    }

    /// The line as drawn: the codes always fit, the question is cut in the middle.
    fn line(&self, columns: usize) -> String {
        let ways = format!(" [{}] allow once  [{}] refuse ", self.codes.approve, self.codes.refuse);
        let room = columns.saturating_sub(ways.chars().count() + 1).max(20);
        format!("{}{ways}", shortened(&self.text, room))
    }

    pub(super) fn time_left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// Takes typed bytes; `true` when they answered the question.
    pub(super) fn typed(&mut self, bytes: &[u8]) -> bool {
        // Ctrl-C refuses. Anything that is no letter or digit starts the code anew, so that the
        // letters of an escape sequence do not add up to one.
        for byte in bytes {
            match byte {
                3 => return self.answer(Answer::Refused),
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    self.typed.push(char::from(byte.to_ascii_lowercase()));
                }
                _ => self.typed.clear(),
            }
            if self.typed.len() < 2 {
                continue;
            }
            let code = std::mem::take(&mut self.typed);
            if code == self.codes.approve {
                return self.answer(Answer::Approved);
            }
            if code == self.codes.refuse {
                return self.answer(Answer::Refused);
            }
            self.wrong += 1;
            if self.wrong >= WRONG_CODES_MAX {
                return self.answer(Answer::Refused);
            }
        }
        false
    }

    /// Answers *expired* once the deadline has passed.
    pub(super) fn expire_if_due(&mut self) -> bool {
        self.time_left(Instant::now()).is_zero() && self.answer(Answer::Expired)
    }

    /// The session ends: nobody will answer.
    pub(super) fn give_up(self) {
        Prompt::erase();
        let _ = self.reply.try_send(Answer::Expired);
    }

    fn answer(&mut self, answer: Answer) -> bool {
        // Whoever asked may have gone; the question is over all the same.
        let _ = self.reply.try_send(answer);
        true
    }
}

/// Lines and columns of the terminal; one that does not know says zero.
fn size() -> (u16, u16) {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok();
    let known = size.map(|size| (size.ws_row, size.ws_col));
    known.filter(|(rows, columns)| *rows > 0 && *columns > 0).unwrap_or(SIZE_DEFAULT)
}

/// The text within `room` characters, with its middle left out where it is longer.
fn shortened(text: &str, room: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= room {
        return text.to_owned();
    }
    let head = room.saturating_sub(3) * 2 / 3;
    let tail = room.saturating_sub(3).saturating_sub(head);
    let start: String = characters.iter().take(head).collect();
    let end: String = characters.iter().skip(characters.len().saturating_sub(tail)).collect();
    format!("{start}...{end}")
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
