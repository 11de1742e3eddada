//! The pieces of a word: letters, quotes, and what a `$` or a backquote begins.

use super::read::{CLOSE, COMMA, Draft, OPEN, Reader};

impl Reader<'_> {
    pub(super) fn piece(&mut self, draft: &mut Draft) {
        let Some(letter) = self.step() else { return };
        match letter {
            '\'' => {
                self.quotes(draft);
                loop {
                    match self.step() {
                        Some('\'') => return,
                        Some(letter) => draft.text.push(letter),
                        None => return self.unclosed(),
                    }
                }
            }
            '"' => {
                self.quotes(draft);
                self.double_quoted(draft);
            }
            '\\' => match self.step() {
                Some('\n') => {}
                Some(letter) => {
                    self.quotes(draft);
                    draft.text.push(letter);
                }
                None => self.unclosed(),
            },
            '$' => {
                let numbers = draft.numbers;
                self.dollar(draft);
                draft.splits |= draft.unknown && draft.numbers == numbers;
            }
            '`' => {
                self.backquoted(draft);
                draft.splits = true;
            }
            '~' if draft.text.is_empty() && !draft.quoted => {
                draft.unknown |= !matches!(
                    self.peek(0),
                    None | Some('/' | ' ' | '\t' | '\n' | ';' | '&' | '|' | ')')
                );
                draft.text.push('~');
            }
            '*' | '?' | '[' => {
                draft.globs = true;
                draft.text.push(letter);
            }
            '{' => draft.text.push(OPEN),
            ',' => draft.text.push(COMMA),
            '}' => draft.text.push(CLOSE),
            '=' => {
                let name = draft.text.trim_end_matches('+');
                let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let is_name = name
                    .starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                    && name.chars().all(plain);
                if is_name && !draft.quoted && !draft.unknown && draft.variable.is_none() {
                    draft.variable = Some(name.to_owned());
                }
                draft.text.push('=');
            }
            letter => draft.text.push(letter),
        }
    }

    /// From here on the word is quoted: a `~` that comes first is only a letter.
    fn quotes(&self, draft: &mut Draft) {
        if draft.text.is_empty() && self.peek(0) == Some('~') {
            draft.text.push_str("./");
        }
        draft.quoted = true;
    }

    fn double_quoted(&mut self, draft: &mut Draft) {
        loop {
            match self.step() {
                Some('"') => return,
                Some('\\') => match self.step() {
                    Some('\n') => {}
                    Some(letter @ ('$' | '`' | '"' | '\\')) => draft.text.push(letter),
                    Some(letter) => draft.text.extend(['\\', letter]),
                    None => return self.unclosed(),
                },
                Some('$') => self.dollar(draft),
                Some('`') => self.backquoted(draft),
                Some(letter) => draft.text.push(letter),
                None => return self.unclosed(),
            }
        }
    }

    fn unclosed(&mut self) {
        self.script.opaque = true;
    }

    /// What a `$` begins has a value that is not known here; what it runs is.
    fn dollar(&mut self, draft: &mut Draft) {
        match self.peek(0) {
            Some('(') => {
                self.step();
                // Arithmetic may run something as well, and is not taken apart.
                self.script.opaque |= self.peek(0) == Some('(');
                self.list(Some(')'));
            }
            Some('{') => self.parameter(),
            Some('\'') => {
                // Its escapes make any letter.
                self.step();
                self.script.opaque = true;
                while let Some(letter) = self.step() {
                    match letter {
                        '\'' => break,
                        '\\' => {
                            self.step();
                        }
                        _ => {}
                    }
                }
            }
            Some('[') => self.script.opaque = true,
            Some(letter) if letter.is_ascii_alphabetic() || letter == '_' => {
                while self.peek(0).is_some_and(|it| it.is_ascii_alphanumeric() || it == '_') {
                    self.step();
                }
            }
            Some('#' | '?' | '$' | '!') => {
                self.step();
                draft.numbers = draft.numbers.saturating_add(1);
            }
            Some(letter @ ('@' | '*' | '-' | '0'..='9')) => {
                self.step();
                draft.splits |= letter == '@';
            }
            Some('"') => return,
            Some(_) | None => {
                draft.text.push('$');
                return;
            }
        }
        draft.unknown = true;
        draft.pieces = draft.pieces.saturating_add(1);
    }

    fn parameter(&mut self) {
        let begin = self.at;
        while let Some(letter) = self.step() {
            match letter {
                '}' => {
                    let inside = self.letters.get(begin..self.at).unwrap_or_default();
                    let inside: String = inside.iter().collect();
                    let inside = inside.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
                    self.script.opaque |= !inside.is_some_and(is_plain_parameter);
                    return;
                }
                '\n' => break,
                _ => {}
            }
        }
        self.unclosed();
    }

    fn backquoted(&mut self, draft: &mut Draft) {
        draft.unknown = true;
        draft.pieces = draft.pieces.saturating_add(1);
        let mut inside = Vec::new();
        loop {
            match self.step() {
                Some('`') => break,
                Some('\\') => match self.step() {
                    Some(letter @ ('`' | '\\' | '$')) => inside.push(letter),
                    Some(letter) => inside.extend(['\\', letter]),
                    None => return self.unclosed(),
                },
                Some(letter) => inside.push(letter),
                None => return self.unclosed(),
            }
        }
        let (at, letters) = (self.at, std::mem::replace(&mut self.letters, inside));
        let awaited = std::mem::take(&mut self.awaited);
        self.at = 0;
        self.list(None);
        (self.at, self.letters, self.awaited) = (at, letters, awaited);
    }
}

/// Whether `${..}` only gives a value: no index and no part of a value by number, which are arithmetic and run what
/// stands in any variable; no assignment; no name that another variable has.
fn is_plain_parameter(inside: &str) -> bool {
    if inside.contains(['$', '`', '@', '\'', '"', '\\']) {
        return false;
    }
    let (of_length, rest) = match inside.strip_prefix('#') {
        Some("") => return true,
        Some(rest) => (true, rest),
        None => (false, inside),
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let behind = rest.trim_start_matches(plain);
    if behind.len() == rest.len() {
        return matches!(rest, "?" | "!" | "-" | "*");
    }
    if behind.is_empty() || of_length {
        return behind.is_empty();
    }
    let numbers = |text: &str| text.bytes().all(|it| it.is_ascii_digit() || b": ".contains(&it));
    match behind.strip_prefix(':') {
        Some(part) => part.starts_with(['-', '+', '?']) || numbers(part),
        None => behind.starts_with(['-', '+', '?', '#', '%', '/', '^', ',']),
    }
}
