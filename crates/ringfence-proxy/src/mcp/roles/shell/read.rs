//! Reads a shell's text into simple commands. What it does not understand beyond doubt makes the text opaque: the
//! shells that may carry it out are several, and each goes further than this.

use super::builtins::is_own_name;

/// Deepest nesting of substitutions and groups.
const LEVELS_MAX: usize = 16;
/// Most words that braces make of one.
const BRACES_MAX: usize = 64;

/// Stand for `{`, `,` and `}` that are not quoted, until the braces are taken apart.
pub(super) const OPEN: char = '\u{e000}';
pub(super) const COMMA: char = '\u{e001}';
pub(super) const CLOSE: char = '\u{e002}';

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// What it is, where that can be told; a `*` or `?` that is not quoted stands in it as it is.
    pub(super) text: Option<String>,
    /// Whether names of files are put in its place.
    pub(super) globs: bool,
    /// Whether several words may come of it, or none.
    pub(super) splits: bool,
    /// Whether it is a number that the shell itself makes: `$?`, `$#`, `$$`, `$!`.
    pub(super) number: bool,
}

/// What a redirection does to the file that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirection {
    Read,
    Write,
    Both,
}

/// A program with its words, or only redirections or variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) words: Vec<Word>,
    pub(super) redirections: Vec<(Redirection, Word)>,
    pub(super) variables: Vec<String>,
    /// Whether something is written into it: a pipe, a here-document.
    pub(super) fed: bool,
}

/// Everything that a text may run.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) commands: Vec<Simple>,
    pub(super) opaque: bool,
}

/// Signs of redirections, those first that begin as others do.
const KINDS: [(&str, Redirection); 9] = [
    ("&>>", Redirection::Write),
    ("&>", Redirection::Write),
    (">>", Redirection::Write),
    (">|", Redirection::Write),
    (">&", Redirection::Write),
    ("<&", Redirection::Read),
    ("<>", Redirection::Both),
    (">", Redirection::Write),
    ("<", Redirection::Read),
];

/// Reads a text.
pub(super) fn read(text: &str) -> Script {
    let mut script = Script::default();
    let odd = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if text.contains(odd) || text.contains([OPEN, COMMA, CLOSE]) {
        script.opaque = true;
        return script;
    }
    Reader {
        letters: text.chars().collect(),
        at: 0,
        level: 0,
        awaited: Vec::new(),
        script: &mut script,
    }
    .list(None);
    script
}

pub(super) struct Reader<'a> {
    pub(super) letters: Vec<char>,
    pub(super) at: usize,
    level: usize,
    /// Here-documents whose text comes with the next line: how they end, and whether they are taken as they are.
    pub(super) awaited: Vec<(String, bool)>,
    pub(super) script: &'a mut Script,
}

/// A word on its way.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that was seen, and none excludes another"
)]
#[derive(Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) unknown: bool,
    pub(super) globs: bool,
    pub(super) quoted: bool,
    pub(super) variable: Option<String>,
    pub(super) any: bool,
    pub(super) splits: bool,
    /// How much of it is known only when it runs, and how much of that is a number.
    pub(super) pieces: usize,
    pub(super) numbers: usize,
}

impl Reader<'_> {
    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at.saturating_add(ahead)).copied()
    }

    pub(super) fn step(&mut self) -> Option<char> {
        let letter = self.peek(0);
        self.at = self.at.saturating_add(1);
        letter
    }

    fn takes(&mut self, text: &str) -> bool {
        let is = text.chars().enumerate().all(|(ahead, letter)| self.peek(ahead) == Some(letter));
        if is {
            self.at = self.at.saturating_add(text.chars().count());
        }
        is
    }

    /// Commands up to an end.
    pub(super) fn list(&mut self, until: Option<char>) {
        self.level = self.level.saturating_add(1);
        let mut command = Simple::default();
        loop {
            if self.level > LEVELS_MAX {
                self.script.opaque = true;
                self.at = self.letters.len();
            }
            let Some(letter) = self.peek(0) else { break };
            match letter {
                ' ' | '\t' => {
                    self.step();
                }
                '\\' if self.peek(1) == Some('\n') => self.at = self.at.saturating_add(2),
                '\n' => {
                    self.end(&mut command);
                    self.step();
                    self.here_documents();
                }
                '&' if self.peek(1) == Some('>') => self.redirection(&mut command),
                ';' | '&' | '|' => self.separator(&mut command),
                '(' => self.group(&mut command),
                ')' => {
                    self.step();
                    if until == Some(')') {
                        self.end(&mut command);
                        self.level = self.level.saturating_sub(1);
                        return;
                    }
                    self.script.opaque = true;
                    self.end(&mut command);
                }
                '#' => {
                    while self.peek(0).is_some_and(|letter| letter != '\n') {
                        self.step();
                    }
                }
                '<' | '>' if self.peek(1) != Some('(') => self.redirection(&mut command),
                _ => self.word_of(&mut command),
            }
        }
        self.end(&mut command);
        self.level = self.level.saturating_sub(1);
        // Something was opened and not closed.
        self.script.opaque |= until.is_some() || !self.awaited.is_empty();
    }

    fn end(&mut self, command: &mut Simple) {
        let done = std::mem::take(command);
        if done != Simple::default() {
            self.script.commands.push(done);
        }
    }

    fn separator(&mut self, command: &mut Simple) {
        let pipes = self.peek(0) == Some('|') && self.peek(1) != Some('|');
        let ends_case = self.peek(0) == Some(';') && matches!(self.peek(1), Some(';' | '&'));
        self.script.opaque |= ends_case;
        self.end(command);
        while matches!(self.peek(0), Some(';' | '&' | '|')) {
            self.step();
        }
        command.fed = pipes;
    }

    /// A group in a shell of its own; anything else with such a sign is not taken apart.
    fn group(&mut self, command: &mut Simple) {
        let is_group = command.words.is_empty() && command.variables.is_empty();
        self.script.opaque |= !is_group || self.peek(1) == Some('(');
        if !is_group {
            self.end(command);
        }
        self.step();
        self.list(Some(')'));
    }

    fn redirection(&mut self, command: &mut Simple) {
        if self.takes("<<<") {
            command.fed = true;
            self.blanks();
            let _ = self.word();
            return;
        }
        if self.takes("<<-") || self.takes("<<") {
            command.fed = true;
            self.blanks();
            let draft = self.draft();
            self.script.opaque |= draft.unknown || !draft.any;
            self.awaited.push((draft.text, draft.quoted));
            return;
        }
        let Some((sign, kind)) = KINDS.into_iter().find(|(sign, _)| self.takes(sign)) else {
            return;
        };
        self.blanks();
        for word in self.word() {
            let number =
                |text: &str| text == "-" || text.trim_end_matches('-').parse::<u32>().is_ok();
            if sign.ends_with('&') && word.text.as_deref().is_some_and(number) {
                continue;
            }
            command.redirections.push((kind, word));
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(0), Some(' ' | '\t')) {
            self.step();
        }
    }

    fn word_of(&mut self, command: &mut Simple) {
        let before = self.at;
        let draft = self.draft();
        if self.at == before {
            // Nothing that a word begins with.
            self.script.opaque = true;
            self.step();
            return;
        }
        let number = !draft.text.is_empty() && draft.text.bytes().all(|byte| byte.is_ascii_digit());
        if number && !draft.quoted && matches!(self.peek(0), Some('<' | '>')) {
            return;
        }
        // `{PATH}>file` makes a variable of the file's number.
        let named = draft.text.starts_with(OPEN) && draft.text.ends_with(CLOSE);
        self.script.opaque |= named && matches!(self.peek(0), Some('<' | '>'));
        if command.words.is_empty() {
            if let Some(variable) = &draft.variable {
                self.script.opaque |= self.peek(0) == Some('(');
                command.variables.push(variable.clone());
                return;
            }
            if !draft.quoted && !draft.unknown && self.reserved(&draft.text) {
                return;
            }
        }
        command.words.extend(self.expanded(draft));
    }

    /// Words that only give a shape to what stands around them.
    fn reserved(&mut self, word: &str) -> bool {
        match word {
            "if" | "then" | "elif" | "else" | "fi" | "while" | "until" | "do" | "done" | "!" => {
                true
            }
            "for" => {
                // The name, and what it goes through: words, and no command.
                self.blanks();
                let name = self.word();
                let is_own = |name: &Word| name.text.as_deref().is_some_and(is_own_name);
                self.script.opaque |= !matches!(name.as_slice(), [name] if is_own(name));
                while !matches!(
                    self.peek(0),
                    None | Some(';' | '\n' | '(' | ')' | '&' | '|' | '<' | '>')
                ) {
                    let before = self.at;
                    self.blanks();
                    let _ = self.word();
                    if self.at == before {
                        break;
                    }
                }
                true
            }
            "case" | "esac" | "select" | "function" | "coproc" | "[[" | "]]" => {
                self.script.opaque = true;
                false
            }
            word if word.starts_with([OPEN, CLOSE]) && word.chars().count() == 1 => true,
            _ => false,
        }
    }

    fn word(&mut self) -> Vec<Word> {
        let draft = self.draft();
        self.script.opaque |= !draft.any;
        self.expanded(draft)
    }

    fn draft(&mut self) -> Draft {
        let mut draft = Draft::default();
        while let Some(letter) = self.peek(0) {
            match letter {
                '(' => {
                    // Patterns of some shells, and functions.
                    self.script.opaque = true;
                    break;
                }
                '<' | '>' if self.peek(1) == Some('(') => {
                    self.at = self.at.saturating_add(2);
                    self.list(Some(')'));
                    draft.unknown = true;
                    draft.pieces = draft.pieces.saturating_add(1);
                }
                ' ' | '\t' | '\n' | ';' | '&' | '|' | ')' | '<' | '>' => break,
                _ => self.piece(&mut draft),
            }
            draft.any = true;
        }
        draft
    }

    /// The texts of here-documents, behind the line that announced them.
    fn here_documents(&mut self) {
        for (end, as_it_is) in std::mem::take(&mut self.awaited) {
            let end: String = end.chars().map(unmarked).collect();
            let mut closed = false;
            while self.peek(0).is_some() {
                let mut line = String::new();
                while let Some(letter) = self.step().filter(|letter| *letter != '\n') {
                    line.push(letter);
                }
                if line.trim_start_matches('\t') == end {
                    closed = true;
                    break;
                }
                // What is run in it is not looked for.
                self.script.opaque |= !as_it_is && line.contains(['$', '`', '\\']);
            }
            self.script.opaque |= !closed;
        }
    }

    fn expanded(&mut self, draft: Draft) -> Vec<Word> {
        let Draft { text, unknown, globs, splits, pieces, numbers, .. } = draft;
        let number = unknown && text.is_empty() && pieces == 1 && numbers == 1;
        let texts = unbraced(&text).unwrap_or_else(|| {
            self.script.opaque = true;
            vec![text]
        });
        let word = |text: String| {
            let text = text.chars().map(unmarked).collect();
            Word { text: (!unknown).then_some(text), globs, splits, number }
        };
        texts.into_iter().map(word).collect()
    }
}

fn unmarked(letter: char) -> char {
    match letter {
        OPEN => '{',
        COMMA => ',',
        CLOSE => '}',
        letter => letter,
    }
}

/// The words that braces make of one; `None` where they are of another kind, or too many.
fn unbraced(text: &str) -> Option<Vec<String>> {
    let mut done = Vec::new();
    let mut waiting = vec![text.to_owned()];
    while let Some(text) = waiting.pop() {
        if done.len().saturating_add(waiting.len()) > BRACES_MAX {
            return None;
        }
        // The innermost pair first.
        let pair =
            text.find(CLOSE).and_then(|close| Some((text.get(..close)?.rfind(OPEN)?, close)));
        let Some((open, close)) = pair else {
            done.push(text);
            continue;
        };
        let before = text.get(..open)?;
        let inside = text.get(open..close)?.strip_prefix(OPEN)?;
        let after = text.get(close..)?.strip_prefix(CLOSE)?;
        if inside.contains("..") {
            return None;
        }
        if inside.contains(COMMA) {
            waiting.extend(inside.split(COMMA).rev().map(|part| format!("{before}{part}{after}")));
        } else {
            waiting.push(format!("{before}{{{inside}}}{after}"));
        }
    }
    Some(done)
}

impl Word {
    /// A word that is known.
    pub(super) fn known(text: &str) -> Word {
        Word { text: Some(text.to_owned()), globs: false, splits: false, number: false }
    }
}
