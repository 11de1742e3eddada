//! One question on the terminal's bottom lines, answered by typing a random two-character code.
//!
//! A bare `y` could be typed by a terminal report or be on its way already: input is flushed when
//! the question appears, the codes are new each time, and the world's output stands still.

use std::fmt::Write as _;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ringfence_core::Answer;
use rustix::termios::{QueueSelector, tcflush, tcgetwinsize};

/// Letters and digits that are not mistaken for each other.
const CODE_LETTERS: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";

/// Wrong codes until the question counts as refused.
const WRONG_CODES_MAX: u32 = 3;

/// Most lines of what is asked; a longer text is cut in the middle, and says so.
const QUESTION_LINES_MAX: usize = 4;
/// Fewest of the same, on a very small screen.
const QUESTION_LINES_MIN: usize = 2;

/// Fewest columns that are drawn for.
const COLUMNS_MIN: usize = 40;

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
    /// What is asked, all of it.
    pub text: String,
    /// The rule that asks, and why.
    pub reason: String,
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
    /// Draws the question on the bottom lines, after what was typed before has been thrown away.
    pub(super) fn draw(&self) {
        let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
        super::show(self.drawing(size()).as_bytes());
    }

    fn drawing(&self, (rows, columns): (u16, u16)) -> String {
        let lines = self.lines(usize::from(rows), usize::from(columns));
        let count = lines.len();
        // Room beneath what was said last, so that none of it is drawn over; then the cursor is
        // saved. No synchronised update, origin mode, character set or attribute of the agent's may
        // hide the question.
        let mut out = "\n".repeat(count);
        let _ = write!(out, "\x1b[{count}A\x1b7\x1b[?2026l\x1b[?6l\x0f\x1b(B\x1b[0m");
        for (row, line) in bottom(rows, count).zip(&lines) {
            let _ = write!(out, "\x1b[{row};1H\x1b[2K\x1b[7m{line}\x1b[0m");
        }
        out.push('\x07');
        out
    }

    /// Takes the question off the screen.
    pub(super) fn erase(&self) {
        let (rows, columns) = size();
        let count = self.lines(usize::from(rows), usize::from(columns)).len();
        let mut out = String::new();
        for row in bottom(rows, count) {
            let _ = write!(out, "\x1b[{row};1H\x1b[2K");
        }
        super::show((out + "\x1b8").as_bytes());
    }

    /// The question, its reason and the codes, each line as wide as the screen. What is asked is
    /// whole if it fits at all: what is left out of it could be what matters.
    fn lines(&self, rows: usize, columns: usize) -> Vec<String> {
        let columns = columns.max(COLUMNS_MIN);
        let most = (rows / 4).clamp(QUESTION_LINES_MIN, QUESTION_LINES_MAX);
        let asked = whole_or_cut(&ascii(&self.text), most * (columns - 2));
        let reason = whole_or_cut(&ascii(&self.reason), columns - 2);
        let codes = format!("[{}] allow once  [{}] refuse", self.codes.approve, self.codes.refuse);
        let mut lines = wrapped(&asked, columns - 2);
        lines.extend([reason, codes]);
        lines.iter().map(|line| format!(" {line:<width$} ", width = columns - 2)).collect()
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
        self.erase();
        let _ = self.reply.try_send(Answer::Expired);
    }

    fn answer(&mut self, answer: Answer) -> bool {
        // Whoever asked may have gone; the question is over all the same.
        let _ = self.reply.try_send(answer);
        true
    }
}

/// The last rows of a screen.
fn bottom(rows: u16, count: usize) -> impl Iterator<Item = u16> {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    rows.saturating_sub(count).saturating_add(1)..=rows
}

/// Lines and columns of the terminal; one that does not know says zero.
fn size() -> (u16, u16) {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok();
    let known = size.map(|size| (size.ws_row, size.ws_col));
    known.filter(|(rows, columns)| *rows > 0 && *columns > 0).unwrap_or(SIZE_DEFAULT)
}

/// The text in characters of one column each: what is wider, or combines with another, could push
/// the codes off the screen or look like something else.
fn ascii(text: &str) -> String {
    let plain = |character: char| (' '..='~').contains(&character);
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        if plain(character) {
            out.push(character);
        } else {
            out.extend(character.escape_default());
        }
        out
    })
}

/// The text within `room` characters, with its middle left out where it is longer.
fn whole_or_cut(text: &str, room: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= room {
        return text.to_owned();
    }
    let mark = format!(" ...[{} characters left out]... ", characters.len() - room);
    let kept = room.saturating_sub(mark.chars().count());
    let head = kept * 2 / 3;
    let start: String = characters.iter().take(head).collect();
    let end: String = characters.iter().skip(characters.len() - (kept - head)).collect();
    format!("{start}{mark}{end}")
}

/// Lines of at most `columns` characters, broken wherever they are full.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(columns.max(1)).map(|line| line.iter().collect()).collect()
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
