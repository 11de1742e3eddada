//! Whether databases agree about where the texts, names and comments of a statement end.
//!
//! What one takes for a text another may carry out, and what one takes for a name may be another name to the next
//! (`u&"pg\005fsleep"`). Sources: the lexical chapters of the manuals of PostgreSQL (4.1), MySQL (11 and 12.1), SQLite
//! (`tokenize.c`), SQL Server (`Database identifiers`, `Comment`), DuckDB and Oracle (`Literals`).

/// How many readings a text has, as far as its signs tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readings {
    /// One.
    One,
    /// One more for MySQL, to whom a line ends at a `#`.
    OneMoreForMySql,
    /// Several.
    Several,
}

/// Goes through a text as a database does.
pub(super) fn of(text: &str) -> Readings {
    let odd = |letter: char| {
        let is_line_end = matches!(letter, '\u{2028}' | '\u{2029}');
        is_line_end || (letter.is_control() && !matches!(letter, '\n' | '\t' | '\r'))
    };
    let lone_return = text.replace("\r\n", "\n").contains('\r');
    let escaped = ["\\'", "\\\"", "\\`"].iter().any(|it| text.contains(it));
    if text.contains(odd) || lone_return || escaped || has_dollar_quote(text) {
        return Readings::Several;
    }
    let mut scan = Scan { rest: text, word: "", hash: Hash::None };
    loop {
        match scan.step() {
            None => return Readings::Several,
            Some(true) => {}
            Some(false) if scan.hash == Hash::None => return Readings::One,
            Some(false) => return Readings::OneMoreForMySql,
        }
    }
}

/// `$$` and `$tag$` begin a text in one database, and are names of variables in another.
fn has_dollar_quote(text: &str) -> bool {
    text.split('$').skip(1).any(|rest| {
        let of_tag = |letter: char| letter.is_alphanumeric() || letter == '_' || !letter.is_ascii();
        let numbered = rest.starts_with(|first: char| first.is_ascii_digit());
        rest.trim_start_matches(of_tag).is_empty() && !numbered && text.matches('$').count() > 1
    })
}

/// Whether there was a `#`, and in which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    None,
    InThisLine,
    Before,
}

struct Scan<'a> {
    rest: &'a str,
    /// What stands right before, where it is a word, with a `&` behind it.
    word: &'a str,
    hash: Hash,
}

impl<'a> Scan<'a> {
    /// One sign, text or comment on. `None` where it has several readings, `false` at the end.
    fn step(&mut self) -> Option<bool> {
        let rest = self.rest;
        let Some(letter) = rest.chars().next() else { return Some(false) };
        match letter {
            '\'' | '"' if is_prefix(self.word) => return None,
            '\'' => {
                self.skip_quoted(letter)?;
            }
            '"' => {
                let inside = self.skip_quoted(letter)?;
                has_one_spelling(inside).then_some(())?;
            }
            '`' => {
                // It is an operator to some, behind which the quotes are none of a name.
                let inside = self.skip_quoted(letter)?;
                (is_name(inside) && has_one_spelling(inside)).then_some(())?;
            }
            '[' => {
                // It begins a name in one database, and an element of an array in another.
                let (inside, behind) = rest.split_once(']').unwrap_or((rest, ""));
                (is_name(inside) && !behind.starts_with(']')).then_some(())?;
                self.skip(1);
            }
            '-' if rest.starts_with("--") => {
                // Nothing but a blank makes a comment of it everywhere.
                let behind = rest.get(2..)?.chars().next();
                behind.is_none_or(|it| it.is_ascii_whitespace()).then_some(())?;
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            }
            '/' if rest.starts_with("/*") => self.skip_comment()?,
            // A command to the client of a database, or an escape outside of any text.
            '\\' => return None,
            '#' => {
                self.hash = Hash::InThisLine;
                self.skip(1);
            }
            '\n' => {
                self.hash = if self.hash == Hash::None { Hash::None } else { Hash::Before };
                self.skip(1);
            }
            letter if is_of_a_word(letter) => {
                let end = rest.find(|it| !is_of_a_word(it)).unwrap_or(rest.len());
                let word = rest.get(..end)?;
                has_one_spelling(word).then_some(())?;
                let with_sign = end.saturating_add(1);
                let is_escape = word.eq_ignore_ascii_case("u") && rest.get(end..)?.starts_with('&');
                let end = if is_escape { with_sign } else { end };
                self.word = rest.get(..end)?;
                self.rest = rest.get(end..)?;
                return Some(true);
            }
            letter if letter.is_ascii() => self.skip(1),
            // Blanks to some, and letters to others.
            _ => return None,
        }
        Some(true)
    }

    fn skip(&mut self, bytes: usize) {
        self.word = "";
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Over a text or a name; one with the quote in it twice is two to this, and ends in the same place.
    fn skip_quoted(&mut self, quote: char) -> Option<&'a str> {
        let inside = self.rest.get(quote.len_utf8()..)?;
        let inside = inside.get(..inside.find(quote)?)?;
        self.same_in_all_lines(inside)?;
        self.skip(inside.len().saturating_add(2));
        Some(inside)
    }

    fn skip_comment(&mut self) -> Option<()> {
        let inside = self.rest.get(2..)?;
        let inside = inside.get(..inside.find("*/")?)?;
        // `/*! */`, `/*M! */` and `/*T! */` are carried out, `/*+ */` may set what holds for the statement.
        let is_code = inside.starts_with('+') || inside.chars().take(3).any(|it| it == '!');
        (!is_code && !inside.contains("/*")).then_some(())?;
        self.same_in_all_lines(inside)?;
        self.skip(inside.len().saturating_add(4));
        Some(())
    }

    /// What begins behind a `#` and goes on in the next line is something else to MySQL.
    fn same_in_all_lines(&self, inside: &str) -> Option<()> {
        (self.hash != Hash::InThisLine || !inside.contains('\n')).then_some(())
    }
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '$'
}

/// Whether a quote behind this word begins a text with rules of its own: `u&'..'`, `q'[..]'`, `r'..'`, `_utf8'..'`.
fn is_prefix(word: &str) -> bool {
    let own = ["u&", "q", "nq", "r", "rb", "br"].iter().any(|it| word.eq_ignore_ascii_case(it));
    own || word.starts_with('_')
}

/// Whether what stands in signs that not all take for quotes ends with them for everybody.
fn is_name(inside: &str) -> bool {
    let has = |signs: &str| inside.contains(signs);
    !inside.contains(['\'', '"', '`', ';', '#', '\\', '(', '\n']) && !has("--") && !has("/*")
}

/// Whether no database takes letters of it for others: full width, mathematical or circled ones.
fn has_one_spelling(name: &str) -> bool {
    let folds = |letter: char| {
        matches!(letter,
            '\u{17f}' | '\u{2100}'..='\u{214f}' | '\u{2460}'..='\u{24ff}'
            | '\u{fb00}'..='\u{fb06}' | '\u{ff00}'..='\u{ffef}' | '\u{1d400}'..='\u{1d7ff}')
    };
    !name.contains(folds)
}
