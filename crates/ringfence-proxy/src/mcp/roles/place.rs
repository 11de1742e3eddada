//! Where in a tool's arguments a text stands.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Deepest place that is understood, in steps.
pub const STEPS_MAX: usize = 64;

/// A place in a tool's arguments: names joined by dots, `[]` for the members of an array, `*` for any other
/// name, `{}` for such names themselves, `**` for a value and all that is in it.
///
/// In a name, `\` stands before `.`, `[`, `{`, `*` and itself; `\e` is the name without letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(Vec<Step>);

/// One step on the way to a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The value with this name.
    Name(String),
    /// A value whose name the schema does not say.
    Any,
    /// Such a name itself.
    Names,
    /// The members of an array.
    Members,
    /// The value, and whatever is in it.
    Below,
}

/// A text that is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place in a tool's arguments")]
pub struct PlaceError(String);

impl Place {
    /// All arguments.
    pub fn root() -> Place {
        Place::default()
    }

    /// One step on.
    #[must_use]
    pub fn then(&self, step: Step) -> Place {
        let mut steps = self.0.clone();
        steps.push(step);
        Place(steps)
    }

    /// The steps, from the outside.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// How many steps it is away.
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}

impl FromStr for Place {
    type Err = PlaceError;
    fn from_str(text: &str) -> Result<Place, PlaceError> {
        let wrong = || PlaceError(text.to_owned());
        let mut steps = Vec::new();
        for segment in segments(text) {
            segment_steps(&segment, &mut steps).ok_or_else(wrong)?;
        }
        let below = steps.iter().position(|step| matches!(step, Step::Below | Step::Names));
        let ends = below.is_none_or(|at| at.saturating_add(1) == steps.len());
        if ends && steps.len() <= STEPS_MAX { Ok(Place(steps)) } else { Err(wrong()) }
    }
}

/// A letter of a place, and whether a `\` stood before it.
type Letter = (char, bool);

/// What stands between dots.
fn segments(text: &str) -> Vec<Vec<Letter>> {
    let mut all = vec![Vec::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let read = match letter {
            '\\' => (letters.next().unwrap_or('\\'), true),
            letter => (letter, false),
        };
        if read == ('.', false) {
            all.push(Vec::new());
        } else if let Some(last) = all.last_mut() {
            last.push(read);
        }
    }
    all
}

fn segment_steps(segment: &[Letter], steps: &mut Vec<Step>) -> Option<()> {
    let mut name = segment;
    let mut suffixes = Vec::new();
    while let [before @ .., (opening, false), (closing, false)] = name {
        match (opening, closing) {
            ('[', ']') => suffixes.push(Step::Members),
            ('{', '}') => suffixes.push(Step::Names),
            (_, _) => break,
        }
        name = before;
    }
    let is_special = |letter: &Letter| matches!(letter, ('[' | '{' | '*' | '\\', false));
    match name {
        [] if suffixes.is_empty() => return None,
        [] => {}
        [('*', false)] => steps.push(Step::Any),
        [('*', false), ('*', false)] => steps.push(Step::Below),
        [('e', true)] => steps.push(Step::Name(String::new())),
        name if name.iter().any(is_special) => return None,
        name => steps.push(Step::Name(name.iter().map(|(letter, _)| *letter).collect())),
    }
    steps.extend(suffixes.into_iter().rev());
    Some(())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            if number > 0 && matches!(step, Step::Name(_) | Step::Any | Step::Below) {
                f.write_str(".")?;
            }
            match step {
                Step::Name(name) if name.is_empty() => f.write_str("\\e")?,
                Step::Name(name) => {
                    for letter in name.chars() {
                        let special = matches!(letter, '.' | '[' | '{' | '*' | '\\');
                        f.write_str(if special { "\\" } else { "" })?;
                        write!(f, "{letter}")?;
                    }
                }
                Step::Any => f.write_str("*")?,
                Step::Names => f.write_str("{}")?,
                Step::Members => f.write_str("[]")?,
                Step::Below => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Place {
    type Error = PlaceError;
    fn try_from(text: String) -> Result<Place, PlaceError> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}
