//! One question on the terminal's bottom lines, answered by typing a random two-character code.
//!
//! A bare `y` could be typed by a terminal report or be on its way already: input is flushed when
//! the question appears, the codes are new each time, and the world's output stands still. What allows
//! more than the one act has three characters.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use ringfence_core::Answer;
use rustix::termios::{QueueSelector, tcflush, tcgetwinsize};

/// Letters and digits that are not mistaken for each other.
const CODE_LETTERS: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";
const CODE_LETTERS_COUNT: u8 = 31;

/// Letters and digits that may be typed until the question ends without an answer.
///
/// The last two keys are what is compared, so that a stray key costs nothing but itself. What the
/// world makes the terminal report is typed too, and would slide over many pairs: N keys are N - 1
/// pairs, and each is the approving code with a chance of 1 in 961 (31 letters, twice). Six keys
/// hit it blindly in at most 5 of 961 questions (0.5 %), and leave a person a whole wrong word. The code
/// for the rest of the session has a third letter: 4 of 29,791.
const KEYS_MAX: usize = 6;

/// Most lines of what is asked; a longer text is cut in the middle, and says so.
const QUESTION_LINES_MAX: usize = 4;
/// Fewest of the same, on a very small screen.
const QUESTION_LINES_MIN: usize = 2;

/// The part of the screen's lines that a file's path may take, and what allows more; and the most of them that
/// its reason may.
const SUBJECT_PART: usize = 3;
const REASON_LINES_MAX: usize = 2;

/// Lines of a screen that has no room for more than what must be.
const SMALL_ROWS: usize = 12;

/// Stands before each line that what others have written goes on in: none of it begins a line.
const MARGIN: &str = "| ";

/// Fewest columns that are drawn for.
const COLUMNS_MIN: usize = 40;

/// Lines and columns assumed where the terminal does not tell.
const SIZE_DEFAULT: (u16, u16) = (24, 80);

/// The answers' codes, never alike: two characters each, and three for what allows more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    approve: String,
    refuse: String,
    end: String,
    session: String,
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// About this one act.
    Answer(Answer),
    /// Allowed for the rest of the session, as the question says.
    ForSession,
    /// Refused, and the program that asks is ended.
    End,
}

impl Codes {
    /// Makes codes from random bytes.
    pub fn from_random(random: [u8; 9]) -> Codes {
        let letter = |byte: u8| {
            char::from(
                CODE_LETTERS.get(usize::from(byte) % CODE_LETTERS.len()).copied().unwrap_or(b'a'),
            )
        };
        let [approve @ .., _, _, _, _, _, _, _] = random;
        let [_, _, refuse @ .., _, _, _, _, _] = random;
        let [_, _, _, _, end @ .., _, _, _] = random;
        let [_, _, _, _, _, _, session @ ..] = random;
        // A code that begins or ends with another one would be taken for it.
        let apart = |bytes: &[u8], others: &[&String]| -> String {
            let code = |add: u8| -> String {
                bytes.iter().map(|byte| letter(byte.wrapping_add(add))).collect()
            };
            let is_apart = |code: &String| {
                !others.iter().any(|it| code.starts_with(*it) || code.ends_with(*it))
            };
            (0..CODE_LETTERS_COUNT).map(code).find(is_apart).unwrap_or_default()
        };
        let approve = apart(&approve, &[]);
        let refuse = apart(&refuse, &[&approve]);
        let end = apart(&end, &[&approve, &refuse]);
        let session = apart(&session, &[&approve, &refuse, &end]);
        Codes { approve, refuse, end, session }
    }
}

/// A question on its way to the user and its answer's way back.
pub struct Prompt {
    /// What is asked, all of it.
    pub text: String,
    /// The file that it is about, on lines of its own.
    pub subject: Option<String>,
    /// The rule that asks, and why.
    pub reason: String,
    /// What could be allowed for the rest of the session, with this act: a grant.
    pub wider: Option<String>,
    /// The program that could be ended.
    pub program: Option<String>,
    /// The codes.
    pub codes: Codes,
    /// Until when an answer counts.
    pub deadline: Instant,
    /// Set when nobody waits for an answer any more.
    pub withdrawn: Arc<AtomicBool>,
    /// Where the answer goes; holds one.
    pub reply: SyncSender<Choice>,
    /// What was typed until now.
    pub typing: Typing,
}

/// What was typed at a question that it does not answer yet.
#[derive(Debug, Default)]
pub struct Typing {
    /// The last keys, two at most.
    last: String,
    /// The one before those.
    before: Option<char>,
    /// Letters and digits so far.
    keys: usize,
    /// The pair that was no code, or the lone key that was followed by something else.
    wrong: Option<String>,
}

/// What a grant allows besides what its name says.
fn also(grant: &str) -> &'static str {
    if grant.starts_with("fs.write:") { ", deleting too" } else { "" }
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

    /// What is said of the question where nothing may be asked: in the background.
    pub(super) fn told(&self) -> String {
        let (rows, columns) = size();
        let about = self.about(usize::from(rows), usize::from(columns).max(COLUMNS_MIN) - 2);
        let asked: String = about.iter().flat_map(|line| ["\r\n ", line.trim_end()]).collect();
        let seconds = self.time_left(Instant::now()).as_secs();
        format!(
            "{asked}\r\n  asked for {seconds} s more, once `fg` has brought the session back\r\n"
        )
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

    /// The question, the file, its reason and the codes, each line as wide as the screen. What is asked is
    /// whole if it fits at all: what is left out of it could be what matters.
    fn lines(&self, rows: usize, columns: usize) -> Vec<String> {
        let columns = columns.max(COLUMNS_MIN);
        let mut lines = self.about(rows, columns - 2);
        let more = self.more(rows, columns - 2, lines.len());
        lines.extend(more.into_iter().flat_map(|(_, lines)| lines));
        lines.push(self.last_line(columns));
        lines.iter().map(|line| format!(" {line:<width$} ", width = columns - 2)).collect()
    }

    /// What is asked, of which file, and why.
    fn about(&self, rows: usize, room: usize) -> Vec<String> {
        let inner = room.saturating_sub(MARGIN.len());
        let most = (rows / 4).clamp(QUESTION_LINES_MIN, QUESTION_LINES_MAX);
        let asked = whole_or_cut(&ascii(&self.text), most * inner);
        // A command line stands as it is; a sentence is broken between its words.
        let lay = if self.subject.is_some() { sentence } else { exactly };
        let mut lines = lay(&asked, room);
        if let Some(subject) = &self.subject {
            let most = (rows / SUBJECT_PART).max(QUESTION_LINES_MIN);
            let cut = whole_or_cut(&ascii(subject), most * inner);
            lines.extend(behind_margin(wrapped(&cut, inner)));
        }
        let most = if rows < SMALL_ROWS { 1 } else { REASON_LINES_MAX };
        lines.extend(sentence(&whole_or_cut(&ascii(&self.reason), most * inner), room));
        lines
    }

    /// What can be chosen besides this one act, beneath so many lines, each on lines of its own: nobody
    /// chooses what there is no room to show wholly.
    fn more(&self, rows: usize, columns: usize, above: usize) -> Vec<(Choice, Vec<String>)> {
        let Codes { session, end, .. } = &self.codes;
        let wider = self.wider.as_ref().map(|it| {
            (Choice::ForSession, format!("[{session}] grant {it} for this session{}", also(it)))
        });
        let program =
            self.program.as_ref().map(|name| (Choice::End, format!("[{end}] end {name}")));
        let mut left = rows.saturating_sub(above + 1).min(rows / SUBJECT_PART);
        let choices = wider.into_iter().chain(program);
        let laid = choices.map(|(choice, text)| (choice, exactly(&ascii(&text), columns)));
        laid.filter(|(_, lines)| {
            let room = left.checked_sub(lines.len());
            left = room.unwrap_or(left);
            room.is_some()
        })
        .collect()
    }

    /// Whether a choice is shown on a screen of this size.
    fn offers(&self, choice: Choice, (rows, columns): (u16, u16)) -> bool {
        let (rows, room) = (usize::from(rows), usize::from(columns).max(COLUMNS_MIN) - 2);
        let above = self.about(rows, room).len();
        self.more(rows, room, above).iter().any(|(it, _)| *it == choice)
    }

    /// The codes, and what became of the keys so far: cut at its end where the screen is narrow.
    fn last_line(&self, columns: usize) -> String {
        let Codes { approve, refuse, .. } = &self.codes;
        let said = match &self.typing.wrong {
            Some(wrong) => {
                let left = KEYS_MAX.saturating_sub(self.typing.keys);
                format!("  `{wrong}` is a wrong code, {left} keys left")
            }
            None if self.typing.last.is_empty() => String::new(),
            None => format!("  `{}`", self.typing.last),
        };
        let line = format!("[{approve}] allow once  [{refuse}] refuse{said}");
        line.chars().take(columns - 2).collect()
    }

    /// Draws the codes' line again, with what was typed.
    pub(super) fn draw_typed(&self) {
        super::show(self.last_line_drawn(size()).as_bytes());
    }

    fn last_line_drawn(&self, (rows, columns): (u16, u16)) -> String {
        let columns = usize::from(columns).max(COLUMNS_MIN);
        let line = self.last_line(columns);
        format!("\x1b[{rows};1H\x1b[2K\x1b[7m {line:<width$} \x1b[0m", width = columns - 2)
    }

    pub(super) fn time_left(&self, now: Instant) -> Duration {
        if self.withdrawn.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        self.deadline.saturating_duration_since(now)
    }

    /// Takes typed bytes; `true` when they ended the question.
    pub(super) fn typed(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            if let Some(answer) = self.key(*byte) {
                return self.answer(answer);
            }
        }
        false
    }

    /// Takes one byte; the answer, if it completes one.
    fn key(&mut self, byte: u8) -> Option<Choice> {
        const CONTROL_C: u8 = 3;
        let offers = [Choice::End, Choice::ForSession].map(|it| self.offers(it, size()));
        let [offers_end, offers_session] = offers;
        if byte == CONTROL_C {
            return Some(Choice::Answer(Answer::Refused));
        }
        let typing = &mut self.typing;
        // Anything that is no letter or digit starts the code anew, so that the letters of an
        // escape sequence do not add up to one with what was typed before.
        if !byte.is_ascii_alphanumeric() {
            typing.before = None;
            if !typing.last.is_empty() {
                typing.wrong = Some(std::mem::take(&mut typing.last));
            }
            return None;
        }
        typing.keys += 1;
        if typing.last.len() == 2 {
            typing.before = typing.last.chars().next();
        }
        typing.last = typing.last.chars().skip(typing.last.len().saturating_sub(1)).collect();
        typing.last.push(char::from(byte.to_ascii_lowercase()));
        let typing = &self.typing;
        if typing.last == self.codes.approve {
            return Some(Choice::Answer(Answer::Approved));
        }
        if typing.last == self.codes.refuse {
            return Some(Choice::Answer(Answer::Refused));
        }
        if offers_end && typing.last == self.codes.end {
            return Some(Choice::End);
        }
        let session = offers_session.then_some(self.codes.session.as_str());
        let three: String = typing.before.into_iter().chain(typing.last.chars()).collect();
        if session == Some(three.as_str()) {
            return Some(Choice::ForSession);
        }
        let begins = session.is_some_and(|code| code.starts_with(&typing.last));
        let wrong = (typing.last.len() == 2 && !begins).then(|| typing.last.clone());
        let is_over = typing.keys >= KEYS_MAX;
        self.typing.wrong = wrong;
        is_over.then_some(Choice::Answer(Answer::Invalid))
    }

    /// Answers *expired* once the deadline has passed, or nobody waits any more.
    pub(super) fn expire_if_due(&mut self) -> bool {
        self.time_left(Instant::now()).is_zero() && self.answer(Choice::Answer(Answer::Expired))
    }

    /// The session ends: nobody will answer.
    pub(super) fn give_up(self) {
        self.erase();
        let _ = self.reply.try_send(Choice::Answer(Answer::Expired));
    }

    fn answer(&mut self, answer: Choice) -> bool {
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
    let mark = |left_out: usize| format!(" ...[{left_out} characters left out]... ");
    // The mark takes room too, and what it takes is left out.
    let kept = room.saturating_sub(mark(characters.len()).chars().count());
    let mark = mark(characters.len() - kept);
    let head = kept * 2 / 3;
    let start: String = characters.iter().take(head).collect();
    let end: String = characters.iter().skip(characters.len() - (kept - head)).collect();
    format!("{start}{mark}{end}")
}

/// Lines behind the margin.
fn behind_margin(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("{MARGIN}{line}")).collect()
}

/// A sentence broken between its words, behind the margin where it goes on.
fn sentence(text: &str, columns: usize) -> Vec<String> {
    let first = folded(text, columns).into_iter().next().unwrap_or_default();
    let rest = text.get(first.len()..).unwrap_or_default();
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let rest = (!rest.is_empty()).then(|| folded(rest, columns.saturating_sub(MARGIN.len())));
    [first].into_iter().chain(behind_margin(rest.unwrap_or_default())).collect()
}

/// A text as it stands, behind the margin where it goes on.
fn exactly(text: &str, columns: usize) -> Vec<String> {
    let first = wrapped(text, columns).into_iter().next().unwrap_or_default();
    let rest = text.get(first.len()..).unwrap_or_default();
    let rest = wrapped(rest, columns.saturating_sub(MARGIN.len()));
    [first].into_iter().chain(behind_margin(rest)).collect()
}

/// Lines of at most `columns` characters, broken wherever they are full.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(columns.max(1)).map(|line| line.iter().collect()).collect()
}

/// The same, broken between words where a line has any.
fn folded(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.extend(wrapped(word, columns)),
        }
    }
    lines
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
