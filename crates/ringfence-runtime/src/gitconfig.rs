//! Git configuration as data: what of it an agent may see, and what of its changes comes back.
//!
//! Git runs programs that its configuration names (`core.fsmonitor`, `core.hooksPath`, aliases,
//! filters, helpers ...), so no configuration that an agent wrote may reach the host's git. The
//! world works on copies; only keys on a short list, with values of a plain form, are taken back.

mod merge;
mod signing;

use std::fmt::Write as _;

pub use merge::{MergedBack, merge_back};
use merge::{comes_back, names_a_remote};
pub use signing::Signers;
use signing::SignsBy;

/// How deep includes are followed; git itself allows 10.
const INCLUDE_DEPTH_MAX: usize = 4;

/// Most keys that a file may hold; a person's has a hundred.
const KEYS_MAX: usize = 20_000;

/// Sections of a person's configuration that cannot name a program, and are shown to agents.
const PLAIN_SECTIONS: &[&str] = &[
    "advice",
    "apply",
    "branch",
    "color",
    "column",
    "commit",
    "fetch",
    "format",
    "grep",
    "help",
    "i18n",
    "init",
    "log",
    "merge",
    "notes",
    "pack",
    "pull",
    "push",
    "rebase",
    "rerere",
    "stash",
    "status",
    "submodule",
    "tag",
    "user",
    "versionsort",
    "worktree",
];

/// Keys that differ from their section.
const KEYS: &[(&str, Shown)] = &[
    ("core.abbrev", Shown::Yes),
    ("core.autocrlf", Shown::Yes),
    ("core.eol", Shown::Yes),
    ("core.filemode", Shown::Yes),
    ("core.ignorecase", Shown::Yes),
    ("core.quotepath", Shown::Yes),
    ("core.safecrlf", Shown::Yes),
    ("core.symlinks", Shown::Yes),
    ("core.whitespace", Shown::Yes),
    ("diff.algorithm", Shown::Yes),
    ("diff.colormoved", Shown::Yes),
    ("diff.mnemonicprefix", Shown::Yes),
    ("diff.renames", Shown::Yes),
    ("commit.gpgsign", Shown::WhereItSigns),
    ("commit.template", Shown::No),
    ("init.templatedir", Shown::No),
    ("push.gpgsign", Shown::No),
    ("rebase.instructionformat", Shown::No),
    ("submodule.recurse", Shown::Yes),
    ("tag.forcesignannotated", Shown::WhereItSigns),
    ("tag.gpgsign", Shown::WhereItSigns),
    ("user.signingkey", Shown::WhereGpgSigns),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
    /// Where the person signs with a key that the world may have sign too: elsewhere no commit
    /// would come about.
    WhereItSigns,
    /// The same, where it is a key of gpg: one of ssh is named in words of our own.
    WhereGpgSigns,
}

/// One `section.subsection.key = value`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// Section, lower case.
    pub section: String,
    /// Subsection, as written.
    pub subsection: Option<String>,
    /// Key, lower case.
    pub key: String,
    /// Value; `None` for a key without `=`, which means true.
    pub value: Option<String>,
}

/// Why a configuration was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the git configuration is not understood")]
pub struct GitConfigError {
    /// Line, from 1.
    pub line: usize,
}

impl Setting {
    /// `section.key`, without the subsection.
    pub fn short_name(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// `section.subsection.key`, as `git config` takes it.
    pub fn name(&self) -> String {
        match &self.subsection {
            None => self.short_name(),
            Some(subsection) => format!("{}.{subsection}.{}", self.section, self.key),
        }
    }

    fn header(&self) -> String {
        match &self.subsection {
            None => format!("[{}]", self.section),
            Some(name) => {
                let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("[{} \"{quoted}\"]", self.section)
            }
        }
    }

    fn line(&self) -> String {
        match &self.value {
            None => format!("\t{}\n", self.key),
            Some(value) => format!("\t{} = {}\n", self.key, quote(value)),
        }
    }

    fn in_section(&self, other: &Setting) -> bool {
        self.section == other.section && self.subsection == other.subsection
    }
}

/// Parses a configuration file, git-config(1) "Syntax".
pub fn parse(text: &str) -> Result<Vec<Setting>, GitConfigError> {
    let mut parser = Parser { chars: text.chars().peekable(), line: 1 };
    let mut settings = Vec::new();
    let mut section: Option<(String, Option<String>)> = None;
    loop {
        parser.skip_blank();
        let Some(&next) = parser.chars.peek() else { return Ok(settings) };
        match next {
            '#' | ';' => parser.skip_line(),
            '[' => section = Some(parser.header()?),
            _ => {
                let (section, subsection) = section.clone().ok_or(parser.wrong())?;
                let (key, value) = parser.setting()?;
                settings.push(Setting { section, subsection, key, value });
            }
        }
        if settings.len() > KEYS_MAX {
            return Err(parser.wrong());
        }
    }
}

/// Writes settings as a file that [`parse`] reads back.
pub fn render(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut last: Option<&Setting> = None;
    for setting in settings {
        if !last.is_some_and(|last| last.in_section(setting)) {
            let _ = writeln!(text, "{}", setting.header());
        }
        text.push_str(&setting.line());
        last = Some(setting);
    }
    text
}

/// A person's configuration as an agent may see it: who they are and how they like their output.
/// `read` gives the text of a file that it names, by the path as written; `signers` are the keys that the
/// agent may have sign.
pub fn for_agent(
    text: &str,
    read: &dyn Fn(&str) -> Option<String>,
    signers: Signers<'_>,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(text, read, INCLUDE_DEPTH_MAX, &mut settings);
    let signs_by = SignsBy::of(&settings, read, signers);
    settings.retain(|setting| is_shown(setting, &signs_by));
    settings.extend(signs_by.told());
    // Owners differ where the payload's user is mapped; the mounts decide what it can reach.
    settings.push(Setting {
        section: "safe".to_owned(),
        subsection: None,
        key: "directory".to_owned(),
        value: Some("*".to_owned()),
    });
    settings
}

fn collect(
    text: &str,
    read: &dyn Fn(&str) -> Option<String>,
    depth: usize,
    into: &mut Vec<Setting>,
) {
    // A file that git itself would refuse shows nothing rather than half of it.
    for setting in parse(text).unwrap_or_default() {
        // Conditional includes depend on the directory git runs in: they are left out.
        let included = setting.section == "include" && setting.key == "path" && depth > 0;
        match setting.value.as_deref().filter(|_| included).and_then(read) {
            Some(text) => collect(&text, read, depth - 1, into),
            None => into.push(setting),
        }
    }
}

fn is_shown(setting: &Setting, signs_by: &SignsBy) -> bool {
    let name = setting.short_name();
    if setting.section == "alias" {
        return setting.value.as_deref().is_some_and(|value| !value.trim_start().starts_with('!'));
    }
    let of_key = KEYS.iter().find(|(key, _)| *key == name).map(|(_, shown)| *shown);
    let plain_section = PLAIN_SECTIONS.contains(&setting.section.as_str());
    // `merge.NAME.driver`, `submodule.NAME.update`: subsections of these name programs.
    let names_program = matches!(setting.section.as_str(), "merge" | "submodule" | "notes")
        && setting.subsection.is_some();
    of_key.map_or(plain_section && !names_program, |shown| match shown {
        Shown::Yes => true,
        Shown::No => false,
        Shown::WhereItSigns => *signs_by != SignsBy::Nothing,
        Shown::WhereGpgSigns => *signs_by == SignsBy::Gpg,
    })
}

/// Keys of a repository's configuration that run a program, for what is born in a world.
pub fn runs_code(text: &str) -> Vec<String> {
    let Ok(settings) = parse(text) else { return vec!["(not understood)".to_owned()] };
    let harmless = ["bare", "filemode", "ignorecase", "logallrefupdates", "precomposeunicode"];
    let mut names: Vec<String> = settings
        .iter()
        .filter(|setting| match setting.section.as_str() {
            "core" => {
                let version = setting.key == "repositoryformatversion";
                !version && setting.key != "symlinks" && !harmless.contains(&setting.key.as_str())
            }
            "branch" | "remote" => {
                let plain = comes_back(setting) && names_a_remote(setting, [&settings, &[]]);
                !plain && !is_local_remote(setting)
            }
            "user" | "color" | "init" => false,
            _ => true,
        })
        .map(Setting::short_name)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// `remote.NAME.url = ../elsewhere`: a path, which runs nothing on a fetch by itself.
fn is_local_remote(setting: &Setting) -> bool {
    let value = setting.value.as_deref().unwrap_or("");
    let path = value.strip_prefix("file://").unwrap_or(value);
    // A colon before the first slash is behind a server's name, or a scheme's.
    let is_path = !path.split('/').next().unwrap_or("").contains(':');
    setting.section == "remote"
        && setting.key == "url"
        && is_path
        && !path.contains("::")
        && !path.starts_with('-')
}

fn quote(value: &str) -> String {
    let needs = value.is_empty()
        || value.starts_with(char::is_whitespace)
        || value.ends_with(char::is_whitespace)
        || value.contains(['"', '\\', '#', ';', '\n', '\t', '\u{8}']);
    if !needs {
        return value.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

struct Parser<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
}

impl Parser<'_> {
    fn wrong(&self) -> GitConfigError {
        GitConfigError { line: self.line }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        if next == Some('\r') && self.chars.peek() == Some(&'\n') {
            return self.next();
        }
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn skip_blank(&mut self) {
        while self.chars.peek().is_some_and(|next| next.is_whitespace() || *next == '\u{feff}') {
            self.next();
        }
    }

    fn skip_line(&mut self) {
        while let Some(next) = self.next() {
            if next == '\n' {
                return;
            }
        }
    }

    /// `[section]`, `[section "subsection"]` or the old `[section.subsection]`.
    fn header(&mut self) -> Result<(String, Option<String>), GitConfigError> {
        self.next();
        let mut name = String::new();
        loop {
            match self.next().ok_or(self.wrong())? {
                ']' => break,
                ' ' | '\t' => {
                    let subsection = self.subsection()?;
                    return Ok((name.to_ascii_lowercase(), Some(subsection)));
                }
                next if next.is_ascii_alphanumeric() || next == '-' || next == '.' => {
                    name.push(next);
                }
                _ => return Err(self.wrong()),
            }
        }
        let name = name.to_ascii_lowercase();
        match name.split_once('.') {
            Some((section, subsection)) => Ok((section.to_owned(), Some(subsection.to_owned()))),
            None => Ok((name, None)),
        }
    }

    fn subsection(&mut self) -> Result<String, GitConfigError> {
        self.skip_blank();
        if self.next() != Some('"') {
            return Err(self.wrong());
        }
        let mut name = String::new();
        loop {
            match self.next().ok_or(self.wrong())? {
                '"' => break,
                '\n' => return Err(self.wrong()),
                '\\' => name.push(self.next().ok_or(self.wrong())?),
                other => name.push(other),
            }
        }
        if self.next() == Some(']') { Ok(name) } else { Err(self.wrong()) }
    }

    fn setting(&mut self) -> Result<(String, Option<String>), GitConfigError> {
        let mut key = String::new();
        while let Some(&next) = self.chars.peek() {
            if !next.is_ascii_alphanumeric() && next != '-' {
                break;
            }
            key.push(next.to_ascii_lowercase());
            self.next();
        }
        if !key.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(self.wrong());
        }
        while self.chars.peek().is_some_and(|next| matches!(next, ' ' | '\t' | '\r')) {
            self.chars.next();
        }
        match self.chars.peek() {
            None | Some('\n') => Ok((key, None)),
            Some('#' | ';') => {
                self.skip_line();
                Ok((key, None))
            }
            Some('=') => {
                self.next();
                Ok((key, Some(self.value()?)))
            }
            Some(_) => Err(self.wrong()),
        }
    }

    fn value(&mut self) -> Result<String, GitConfigError> {
        let (mut value, mut blank, mut quoted) = (String::new(), String::new(), false);
        loop {
            let Some(next) = self.next() else {
                return if quoted { Err(self.wrong()) } else { Ok(value) };
            };
            match next {
                '\n' if quoted => return Err(self.wrong()),
                '\n' => return Ok(value),
                '"' => quoted = !quoted,
                '#' | ';' if !quoted => {
                    self.skip_line();
                    return Ok(value);
                }
                ' ' | '\t' if !quoted => {
                    // Blanks count only between words.
                    blank.push(next);
                    continue;
                }
                '\\' => {
                    let escaped = self.escape()?;
                    if !value.is_empty() {
                        value.push_str(&blank);
                    }
                    value.extend(escaped);
                }
                other => {
                    if !value.is_empty() {
                        value.push_str(&blank);
                    }
                    value.push(other);
                }
            }
            blank.clear();
        }
    }

    /// The character a backslash stands for; none for a continued line.
    fn escape(&mut self) -> Result<Option<char>, GitConfigError> {
        match self.next().ok_or(self.wrong())? {
            '\n' => Ok(None),
            'n' => Ok(Some('\n')),
            't' => Ok(Some('\t')),
            'b' => Ok(Some('\u{8}')),
            same @ ('\\' | '"') => Ok(Some(same)),
            _ => Err(self.wrong()),
        }
    }
}

#[cfg(test)]
mod tests;
