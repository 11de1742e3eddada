//! What is wrong with a policy, at its place, with a hint.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use serde::Serialize;

/// Everything that is wrong with a policy; never empty.
#[derive(Debug, Clone)]
pub struct PolicyErrors {
    problems: Vec<Problem>,
}

/// One thing that is wrong with a policy.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(crate) summary: ProblemSummary,
    pub(crate) source: Arc<NamedSource<String>>,
    pub(crate) span: SourceSpan,
}

/// A problem as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemSummary {
    /// The file as shown to a person.
    pub file: String,
    /// Line of the first character concerned, from 1.
    pub line: u32,
    /// Column of that character, from 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl PolicyErrors {
    pub(crate) fn new(problems: Vec<Problem>) -> PolicyErrors {
        PolicyErrors { problems }
    }

    /// The problems in the order of their files and places.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems as data.
    pub fn summaries(&self) -> Vec<ProblemSummary> {
        self.problems.iter().map(|problem| problem.summary.clone()).collect()
    }
}

impl Problem {
    /// The problem as data.
    pub fn summary(&self) -> &ProblemSummary {
        &self.summary
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "the policy was refused: {only}"),
            many => write!(f, "the policy was refused: {} problems", many.len()),
        }
    }
}

impl std::error::Error for PolicyErrors {}

impl Diagnostic for PolicyErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProblemSummary { file, line, column, message, .. } = &self.summary;
        write!(f, "{message} --> {file}:{line}:{column}")
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.summary.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, self.span))))
    }
}

/// The candidate that `word` was most likely meant to be, if one is near.
pub fn nearest_word<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= 1 + candidate.chars().count() / 3)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Longest word that is compared, in characters: the comparison is quadratic.
const WORD_CHARS_MAX: usize = 64;

/// Edits between two words, a swap of neighbours counting as one (optimal string alignment).
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().take(WORD_CHARS_MAX).collect();
    let right: Vec<char> = right.to_lowercase().chars().take(WORD_CHARS_MAX).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &other) in right.iter().enumerate() {
            let at = |cells: &[usize], index: usize| cells.get(index).copied().unwrap_or(0);
            let mut edits = (at(&above, column + 1) + 1)
                .min(at(&current, column) + 1)
                .min(at(&above, column) + usize::from(letter != other));
            let swapped = row > 0
                && column > 0
                && left.get(row - 1) == Some(&other)
                && right.get(column - 1) == Some(&letter);
            if swapped {
                edits = edits.min(at(&before, column - 1) + 1);
            }
            current.push(edits);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}
