//! What a detector finds in a text, and what is done about it before anybody reads that text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Looks at a text that comes from outside, before an agent does.
pub trait Inspect: Send + Sync {
    /// What is in it, in the order of where it begins; findings may overlap.
    fn inspect(&self, text: &str) -> Vec<Finding>;

    /// Where in the last word of it something that is certain may have begun of which the end is still to come.
    /// Who does not know says nothing.
    fn open(&self, _text: &str) -> Option<usize> {
        None
    }
}

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A credential: a token, a key, a password.
    Secret,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// The number of a payment card.
    Card,
    /// The number of a bank account.
    Iban,
    /// A social security number of the United States.
    Ssn,
    /// An address of the internet.
    Ip,
    /// Characters that a terminal obeys and does not show.
    Terminal,
    /// Characters that are not seen, or that change the order in which others are.
    HiddenText,
    /// Words that are meant for a model and not for a person.
    Instruction,
}

impl FindingKind {
    /// As it is called in entries and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Secret => "secret",
            FindingKind::Email => "email",
            FindingKind::Phone => "phone",
            FindingKind::Card => "card",
            FindingKind::Iban => "iban",
            FindingKind::Ssn => "ssn",
            FindingKind::Ip => "ip",
            FindingKind::Terminal => "terminal",
            FindingKind::HiddenText => "hidden-text",
            FindingKind::Instruction => "instruction",
        }
    }
}

/// How sure a finding is; what is noisy is told and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It looks like it, as much else does.
    Noisy,
    /// It has the form, and stands where it would.
    Likely,
    /// Hardly anything else has this form, or its checksum holds.
    Certain,
}

/// Something that a detector found, and where; never the thing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it, `github-token`.
    pub rule: &'static str,
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// How sure that is.
    pub certainty: Certainty,
    /// Where it is, in bytes of the text.
    pub at: Range<usize>,
}

/// What a rule of a policy or the settings call by one name, in `@redact` and `@block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Credentials of all kinds.
    Secrets,
    /// All that follows.
    Pii,
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Numbers of bank accounts.
    Iban,
    /// Social security numbers.
    Ssn,
    /// Addresses of the internet.
    Ip,
    /// Escape sequences of terminals; these are made visible whether or not a rule says so.
    Terminal,
    /// Text that is not seen; this is made visible whether or not a rule says so.
    HiddenText,
}

impl Detector {
    /// All that there are.
    pub const ALL: [Detector; 10] = [
        Detector::Secrets,
        Detector::Pii,
        Detector::Email,
        Detector::Phone,
        Detector::Card,
        Detector::Iban,
        Detector::Ssn,
        Detector::Ip,
        Detector::Terminal,
        Detector::HiddenText,
    ];

    /// As rules and settings write it.
    pub fn name(self) -> &'static str {
        match self {
            Detector::Secrets => "secrets",
            Detector::Pii => "pii",
            Detector::Email => "email",
            Detector::Phone => "phone",
            Detector::Card => "card",
            Detector::Iban => "iban",
            Detector::Ssn => "ssn",
            Detector::Ip => "ip",
            Detector::Terminal => "terminal",
            Detector::HiddenText => "hidden-text",
        }
    }

    /// Several, with commas between them, as an annotation has them; the error is what is none.
    pub fn list(text: &str) -> Result<BTreeSet<Detector>, UnknownDetector> {
        text.split(',').map(|name| name.trim().parse()).collect()
    }

    /// Whether it finds things of a kind.
    pub fn finds(self, kind: FindingKind) -> bool {
        match kind {
            FindingKind::Secret => self == Detector::Secrets,
            FindingKind::Email => matches!(self, Detector::Pii | Detector::Email),
            FindingKind::Phone => matches!(self, Detector::Pii | Detector::Phone),
            FindingKind::Card => matches!(self, Detector::Pii | Detector::Card),
            FindingKind::Iban => matches!(self, Detector::Pii | Detector::Iban),
            FindingKind::Ssn => matches!(self, Detector::Pii | Detector::Ssn),
            FindingKind::Ip => matches!(self, Detector::Pii | Detector::Ip),
            FindingKind::Terminal => self == Detector::Terminal,
            FindingKind::HiddenText => self == Detector::HiddenText,
            FindingKind::Instruction => false,
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no detector has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no detector `{name}`")]
pub struct UnknownDetector {
    /// What was written.
    pub name: String,
}

impl FromStr for Detector {
    type Err = UnknownDetector;

    fn from_str(name: &str) -> Result<Detector, UnknownDetector> {
        let found = Detector::ALL.into_iter().find(|detector| detector.name() == name);
        found.ok_or_else(|| UnknownDetector { name: name.to_owned() })
    }
}

/// What is done about findings: what all rules that decided say, together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Handling {
    /// What is taken out where it is certain or likely.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub redact: BTreeSet<Detector>,
    /// What a text must not have, where it is certain or likely.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub block: BTreeSet<Detector>,
}

impl Handling {
    /// Nothing is said.
    pub fn is_empty(&self) -> bool {
        self.redact.is_empty() && self.block.is_empty()
    }

    /// What another rule says holds as well.
    pub fn add(&mut self, other: &Handling) {
        self.redact.extend(&other.redact);
        self.block.extend(&other.block);
    }

    /// What becomes of a finding; `always` are detectors whose certain findings are taken out of all texts.
    pub fn treatment(&self, finding: &Finding, always: &BTreeSet<Detector>) -> Treatment {
        let is_in = |all: &BTreeSet<Detector>| all.iter().any(|it| it.finds(finding.kind));
        let is_unseen = matches!(finding.kind, FindingKind::Terminal | FindingKind::HiddenText);
        let is_sure = finding.certainty == Certainty::Certain;
        if finding.certainty == Certainty::Noisy {
            Treatment::Told
        } else if is_in(&self.block) {
            Treatment::Blocked
        } else if is_unseen || is_in(&self.redact) || (is_sure && is_in(always)) {
            Treatment::Redacted
        } else {
            Treatment::Told
        }
    }
}

impl Handling {
    /// What becomes of a finding in what passes between programs: only what is named is touched, also of what is
    /// not seen, which programs may need.
    pub fn treatment_in_passing(&self, finding: &Finding) -> Treatment {
        let is_in = |all: &BTreeSet<Detector>| all.iter().any(|it| it.finds(finding.kind));
        if finding.certainty == Certainty::Noisy {
            Treatment::Told
        } else if is_in(&self.block) {
            Treatment::Blocked
        } else if is_in(&self.redact) {
            Treatment::Redacted
        } else {
            Treatment::Told
        }
    }
}

/// What becomes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// It is recorded, and stays.
    Told,
    /// It is replaced.
    Redacted,
    /// Nothing of the text is passed on.
    Blocked,
}

/// A text with these findings replaced; `findings` may overlap.
pub fn redacted<'a>(text: &'a str, findings: &[&Finding]) -> Cow<'a, str> {
    let mut all: Vec<&&Finding> = findings.iter().collect();
    // Of several that begin together the longest names the place.
    all.sort_by(|one, other| one.at.start.cmp(&other.at.start).then(other.at.end.cmp(&one.at.end)));
    let mut clean: Option<String> = None;
    let mut done = 0;
    for finding in all {
        let end = text.ceil_char_boundary(finding.at.end);
        // What is left of one that overlaps with the one before.
        let start = text.floor_char_boundary(finding.at.start).max(done);
        let Some(found) = text.get(start..end).filter(|found| !found.is_empty()) else { continue };
        let into = clean.get_or_insert_with(String::new);
        into.push_str(text.get(done..start).unwrap_or_default());
        into.push_str(&placeholder(finding, found));
        done = end;
    }
    match clean {
        None => Cow::Borrowed(text),
        Some(mut clean) => {
            clean.push_str(text.get(done..).unwrap_or_default());
            Cow::Owned(clean)
        }
    }
}

/// Unseen characters that are shown one by one; more of them are counted.
const SHOWN_MAX: usize = 3;

/// What is read in place of what was found: nothing that JSON would have to escape.
pub fn placeholder(finding: &Finding, found: &str) -> String {
    match finding.kind {
        FindingKind::Terminal => found.chars().map(visible).collect(),
        FindingKind::HiddenText => {
            let count = found.chars().count();
            if count <= SHOWN_MAX {
                found.chars().map(by_code).collect::<Vec<_>>().concat()
            } else {
                format!("[{count} hidden characters]")
            }
        }
        FindingKind::Secret
        | FindingKind::Email
        | FindingKind::Phone
        | FindingKind::Card
        | FindingKind::Iban
        | FindingKind::Ssn
        | FindingKind::Ip
        | FindingKind::Instruction => format!("[redacted: {}]", finding.rule),
    }
}

/// A control character as a picture of it (Unicode block Control Pictures), others as they are.
fn visible(letter: char) -> String {
    match u32::from(letter) {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}').to_string(),
        0x7f => '\u{2421}'.to_string(),
        0x80..0xa0 => by_code(letter),
        _ => letter.to_string(),
    }
}

fn by_code(letter: char) -> String {
    format!("<U+{:04X}>", u32::from(letter))
}

/// How often one rule found something, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The rule, `github-token`.
    pub rule: String,
    /// What kind of thing it finds.
    pub kind: FindingKind,
    /// How sure it was.
    pub certainty: Certainty,
    /// What became of it.
    pub treatment: Treatment,
    /// How often.
    pub count: u64,
}
