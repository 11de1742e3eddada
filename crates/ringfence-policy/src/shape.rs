//! Bounds the shape of a text before it is parsed: Cedar's parser and checker recurse, and a text
//! that nests deeply enough ends the process, whoever wrote it.

/// Deepest nesting of brackets and `if`s within a rule.
pub const NESTING_MAX: usize = 32;

/// Most operators and member accesses within a rule; each makes its tree one deeper.
pub const OPERATORS_MAX: usize = 500;

/// Where a text exceeds its bounds, and what is exceeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excess {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// What stands at a place of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Text,
    Escape,
    Comment,
}

/// Counts of the rule that is being read.
#[derive(Default)]
struct Counts {
    depth: usize,
    ifs: usize,
    operators: usize,
    word: String,
}

/// Checks every rule of a text.
pub(crate) fn check(text: &str) -> Result<(), Excess> {
    let mut within = Within::Code;
    let mut counts = Counts::default();
    let mut before = ' ';
    for (offset, letter) in text.char_indices() {
        within = match (within, letter) {
            (Within::Text, '\\') => Within::Escape,
            (Within::Text, '"') | (Within::Comment, '\n' | '\r') => Within::Code,
            (Within::Escape, _) | (Within::Code, '"') => Within::Text,
            (Within::Code, '/') if before == '/' => Within::Comment,
            (same, _) => same,
        };
        before = letter;
        if within == Within::Code {
            counts.read(letter);
            counts.excess().map_or(Ok(()), |message| Err(Excess { offset, message }))?;
        }
    }
    Ok(())
}

impl Counts {
    fn read(&mut self, letter: char) {
        if letter.is_alphanumeric() || letter == '_' {
            self.word.push(letter);
            return;
        }
        if std::mem::take(&mut self.word) == "if" {
            self.ifs += 1;
        }
        match letter {
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
            '&' | '|' | '+' | '-' | '*' | '.' | '!' | '<' | '>' | '=' => self.operators += 1,
            ';' => *self = Counts::default(),
            _ => {}
        }
    }

    fn excess(&self) -> Option<String> {
        if self.depth + self.ifs > NESTING_MAX {
            return Some(format!("the rule nests more than {NESTING_MAX} deep"));
        }
        // A pair like `&&` or `==` counts twice.
        (self.operators > 2 * OPERATORS_MAX)
            .then(|| format!("the rule has more than {OPERATORS_MAX} operators"))
    }
}
