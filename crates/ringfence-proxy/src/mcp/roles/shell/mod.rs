//! What a command line of a shell does: which programs it starts, which files and hosts it names, and whether that
//! is all.
//!
//! Wrappers are unfolded (`env`, `sudo`, `xargs`, `sh -c`, `find -exec` ...). Whatever is made only when it runs (a
//! variable, a substitution, the code of an interpreter) is not known before, and makes the text opaque where it
//! could be a program, a file or a host.

mod builtins;
mod client;
mod git;
mod programs;
mod quoting;
mod read;
mod special;
mod variables;
mod wrappers;

use std::collections::BTreeSet;

use super::ArgumentRole;
use programs::{Kind, Operands};
use read::{Redirection, Simple, Word};

/// Longest text that is taken apart, in bytes.
pub const SHELL_BYTES_MAX: usize = 16 * 1024;
/// Deepest that programs start each other.
const LEVELS_MAX: usize = 8;
/// Most directories that a text may be in at some time.
const DIRS_MAX: usize = 8;
/// Most commands that are looked at.
const COMMANDS_MAX: usize = 512;

/// What a command line does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shell {
    /// The names of its programs, without their directories.
    pub programs: BTreeSet<String>,
    /// Each program as it is written, with its arguments as far as they are known.
    pub started: Vec<Vec<String>>,
    /// The files it names, and what becomes of them.
    pub paths: BTreeSet<(ArgumentRole, String)>,
    /// The hosts it names, as `HOST:PORT`, or as an address with `://`.
    pub hosts: BTreeSet<String>,
    /// It may do more than that.
    pub opaque: bool,
}

impl Shell {
    /// Takes a text apart.
    pub fn read(text: &str) -> Shell {
        let mut shell = Shell::default();
        let mut taking = Taking { shell: &mut shell, commands: 0, dirs: vec![String::new()] };
        taking.script(text, 0);
        shell
    }
}

/// A path as it is reached from where the text began.
fn beneath(dir: &str, path: &str) -> String {
    if dir.is_empty() || path.starts_with(['/', '~']) {
        return path.to_owned();
    }
    format!("{}/{path}", dir.trim_end_matches('/'))
}

struct Taking<'a> {
    shell: &'a mut Shell,
    commands: usize,
    /// Where it may be by now, each as it is reached from where it began.
    dirs: Vec<String>,
}

impl Taking<'_> {
    fn script(&mut self, text: &str, level: usize) {
        if text.len() > SHELL_BYTES_MAX || level > LEVELS_MAX {
            self.shell.opaque = true;
            return;
        }
        let script = read::read(text);
        self.shell.opaque |= script.opaque;
        for command in script.commands {
            self.simple(&command, level);
        }
    }

    fn simple(&mut self, command: &Simple, level: usize) {
        for (kind, word) in &command.redirections {
            let roles: &[ArgumentRole] = match kind {
                Redirection::Read => &[ArgumentRole::ReadPath],
                Redirection::Write => &[ArgumentRole::WritePath],
                Redirection::Both => &[ArgumentRole::ReadPath, ArgumentRole::WritePath],
            };
            for role in roles {
                self.path(*role, word);
            }
        }
        self.shell.opaque |= command.variables.iter().any(|name| programs::is_telling(name));
        self.command(&command.words, command.fed, level);
    }

    /// A program and its arguments.
    fn command(&mut self, words: &[Word], fed: bool, level: usize) {
        self.commands = self.commands.saturating_add(1);
        let Some((first, rest)) = words.split_first() else { return };
        let known = first.text.as_deref().filter(|text| !first.globs || *text == "[");
        let written = known.filter(|name| !name.is_empty() && !name.starts_with('-'));
        let Some(written) =
            written.filter(|_| level <= LEVELS_MAX && self.commands <= COMMANDS_MAX)
        else {
            self.shell.opaque = true;
            return;
        };
        let name = written.rsplit('/').next().unwrap_or(written);
        self.shell.programs.insert(name.to_owned());
        let kind = programs::kind_of(name, written.contains('/'));
        if kind != Kind::Builtin && !programs::is_of_the_shell(name) {
            let words = std::iter::once(first).chain(rest);
            self.shell
                .started
                .push(words.map(|word| word.text.clone().unwrap_or_default()).collect());
        }
        match kind {
            Kind::Builtin if name == "cd" => self.cd(rest),
            Kind::Builtin => self.shell.opaque |= !builtins::is_harmless(name, rest),
            Kind::Harmless => {}
            Kind::Dd => rest.iter().for_each(|word| self.dd(word)),
            Kind::Opaque => {
                self.shell.opaque = true;
                self.operands(rest, &Operands::UNKNOWN);
            }
            Kind::Shell => {
                // What others make of the same words is more: arithmetic in more places, other quotes.
                self.shell.opaque |= !programs::is_common_shell(name);
                self.shell_of(rest, level);
            }
            Kind::Interpreter(flags) => self.interpreter(rest, (flags, fed)),
            Kind::Wrapper(wrapper) => self.wrapper(&wrapper, rest, (fed, level)),
            Kind::Find => self.find(rest, level),
            Kind::Git => self.git(rest),
            Kind::Ssh => self.ssh(rest, level),
            Kind::Client => self.client(rest, name == "curl"),
            Kind::Connects => self.connects(rest),
            Kind::Copies => self.copies(name, rest),
            Kind::Sed => self.sed(rest),
            Kind::Known(operands) => self.operands(rest, &operands),
            Kind::Unknown => self.operands(rest, &Operands::UNKNOWN),
        }
    }

    /// A file that is named; what is not known could be any.
    fn path(&mut self, role: ArgumentRole, word: &Word) {
        let Some(text) = &word.text else {
            self.shell.opaque = true;
            return;
        };
        if let Some(rest) = text.strip_prefix("/dev/tcp/").or(text.strip_prefix("/dev/udp/")) {
            self.host(&rest.replacen('/', ":", 1));
            return;
        }
        if matches!(text.as_str(), "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr" | "-")
        {
            return;
        }
        let text = match text.find(['*', '?', '[']).filter(|_| word.globs) {
            // Which ones is told by the directory, and that only then.
            Some(first) => {
                self.shell.opaque = true;
                let dir = text.get(..first).and_then(|before| before.rsplit_once('/'));
                dir.map_or(".", |(dir, _)| if dir.is_empty() { "/" } else { dir }).to_owned()
            }
            None => text.clone(),
        };
        for dir in &self.dirs {
            self.shell.paths.insert((role, beneath(dir, &text)));
        }
    }

    /// `cd`, with or without a directory.
    fn cd(&mut self, words: &[Word]) {
        let option = |word: &&Word| matches!(word.text.as_deref(), Some("-L" | "-P" | "--"));
        let mut operands = words.iter().skip_while(option);
        let home = Word::known("~");
        let dir = operands.next().unwrap_or(&home);
        let odd = |text: &str| text.starts_with(['-', '+']) && text != "-";
        // Some take two, and put the second in the place of the first.
        self.shell.opaque |= operands.next().is_some() || dir.text.as_deref().is_some_and(odd);
        self.enter(dir);
    }

    /// From here on it may be in this directory, or not: what is behind `&&` may not come about.
    fn enter(&mut self, word: &Word) {
        self.path(ArgumentRole::ReadPath, word);
        let Some(text) = word.text.as_deref().filter(|text| *text != "-" && !word.globs) else {
            self.shell.opaque = true;
            return;
        };
        let mut dirs = self.dirs.clone();
        dirs.extend(self.dirs.iter().map(|dir| beneath(dir, text)));
        dirs.sort();
        dirs.dedup();
        self.shell.opaque |= dirs.len() > DIRS_MAX;
        dirs.truncate(DIRS_MAX);
        self.dirs = dirs;
    }

    fn host(&mut self, text: &str) {
        self.shell.hosts.insert(text.to_owned());
    }

    /// What looks like a file or an address, whatever the program is.
    fn looks(&mut self, word: &Word) {
        let Some(text) = &word.text else {
            self.shell.opaque = true;
            return;
        };
        let value = match text.split_once('=') {
            Some((option, value)) if option.starts_with('-') || !option.contains('/') => value,
            Some(_) | None => behind_letters(text),
        };
        if value.contains("://") {
            self.host(value);
        } else if programs::is_path(value) {
            let known = Word { globs: word.globs, ..Word::known(value) };
            self.path(ArgumentRole::ReadPath, &known);
        }
    }

    /// Whether what comes before the files stands in this option of a program that is known: alone, several in one word, with its value behind it or in the next word, or
    /// cut short (POSIX "Utility Syntax Guidelines", GNU `getopt_long`).
    fn option<'a>(
        &mut self,
        (word, option): (&Word, &str),
        of: &Operands,
        rest: &mut impl Iterator<Item = &'a Word>,
    ) -> bool {
        let is_one_of = |all: &[&str], name: &str| all.contains(&name);
        let begins_one_of = |all: &[&str], name: &str| all.iter().any(|it| it.starts_with(name));
        let (name, value, is) = if option.starts_with("--") {
            let (name, value) =
                option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
            (name.to_owned(), value, &begins_one_of as &dyn Fn(&[&str], &str) -> bool)
        } else {
            let known = |name: &str| {
                let all = [of.opaque, of.writes, of.reads, of.values, of.instead];
                all.into_iter().any(|it| it.contains(&name))
            };
            let found = option.char_indices().skip(1).find_map(|(at, letter)| {
                let name = format!("-{letter}");
                let behind = option.get(at.saturating_add(letter.len_utf8())..);
                known(&name).then_some((name, behind.filter(|it| !it.is_empty())))
            });
            let Some((name, value)) = found else {
                self.looks(word);
                return false;
            };
            (name, value, &is_one_of as &dyn Fn(&[&str], &str) -> bool)
        };
        self.shell.opaque |= is(of.opaque, &name);
        let role = if is(of.writes, &name) {
            Some(ArgumentRole::WritePath)
        } else {
            is(of.reads, &name).then_some(ArgumentRole::ReadPath)
        };
        match (role, value) {
            (Some(role), Some(value)) => {
                self.path(role, &Word { globs: word.globs, ..Word::known(value) });
            }
            (Some(role), None) => rest.next().into_iter().for_each(|value| self.path(role, value)),
            (None, value) if is(of.values, &name) => {
                if value.is_none() {
                    rest.next();
                }
            }
            (None, _) => self.looks(word),
        }
        is(of.instead, &name)
    }

    /// The arguments of a program whose files stand as operands.
    fn operands(&mut self, words: &[Word], of: &Operands) {
        let mut rest = words.iter();
        let (mut operands, mut ended, mut skip, mut is_here) = (Vec::new(), false, of.skip, false);
        while let Some(word) = rest.next() {
            let text = word.text.as_deref();
            match text {
                Some("--") if !ended => ended = true,
                Some("-") => {}
                Some(option) if !ended && option.starts_with('-') => {
                    if self.option((word, option), of, &mut rest) {
                        skip = 0;
                    }
                    is_here |= is_among(option, of.here);
                }
                Some(command) if command.starts_with('+') && of.opaque.contains(&"+") => {
                    self.shell.opaque = true;
                }
                _ => operands.push(word),
            }
        }
        let skipped = skip.min(operands.len());
        for word in operands.iter().take(skipped) {
            self.looks(word);
        }
        if operands.len() == skipped && (is_here || of.here.contains(&"")) {
            self.path(ArgumentRole::ReadPath, &Word::known("."));
        }
        for (number, word) in operands.into_iter().skip(skipped).enumerate() {
            match of.role {
                Some(_) if of.second_written && number > 0 => {
                    self.path(ArgumentRole::WritePath, word);
                }
                Some(role) => self.path(role, word),
                None => self.looks(word),
            }
        }
    }

    /// A shell: what it is given with `-c` is taken apart as well.
    fn shell_of(&mut self, words: &[Word], level: usize) {
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let Some(text) = &word.text else { break };
            let bundle = text.strip_prefix('-').filter(|it| !it.starts_with('-') && !it.is_empty());
            match bundle {
                Some(letters) if letters.contains('c') => {
                    let code = rest.find(|word| {
                        let flag = |text: &str| text.starts_with(['-', '+']);
                        !word.text.as_deref().is_some_and(flag)
                    });
                    match code.and_then(|word| word.text.as_deref()) {
                        Some(code) => self.script(code, level.saturating_add(1)),
                        None => self.shell.opaque = true,
                    }
                    // What it is given besides are the values of variables.
                    return;
                }
                Some(letters) if letters.contains(['s', 'i', 'O', 'o']) => break,
                Some(_) => {}
                None if text.starts_with('-') || text.starts_with('+') => break,
                None => {
                    // A file of commands.
                    self.path(ArgumentRole::ReadPath, word);
                    return rest.for_each(|word| self.looks(word));
                }
            }
        }
        // It reads what it runs.
        self.shell.opaque = true;
    }

    /// An interpreter of another language: code that is given to it is not read.
    fn interpreter(&mut self, words: &[Word], (flags, fed): (&[&str], bool)) {
        let is_code = |text: &str| {
            let short = |flag: &&&str| flag.len() == 2 && !text.starts_with("--");
            let letter =
                |flag: &&str| flag.chars().nth(1).is_some_and(|letter| text.contains(letter));
            flags.iter().any(|flag| text == *flag || text.starts_with(&format!("{flag}=")))
                || (text.starts_with('-') && flags.iter().filter(short).any(letter))
        };
        let Some(first) = words.first() else {
            // A talk with somebody, or what it is fed.
            self.shell.opaque = true;
            return;
        };
        let is_option =
            |word: &Word| word.text.as_deref().is_some_and(|text| text.starts_with('-'));
        let only_tells = |word: &Word| matches!(word.text.as_deref(), Some("--version" | "--help"));
        if words.len() == 1 && only_tells(first) {
            return;
        }
        let told = words.iter().take_while(|word| is_option(word));
        let options = told.clone().count();
        let code = told
            .clone()
            .any(|word| word.text.as_deref().is_some_and(|text| text == "-" || is_code(text)));
        // Some take a word for what they are to do.
        let is_told = words.get(options).and_then(|word| word.text.as_deref()).is_some_and(is_code);
        self.shell.opaque |= code || is_told || fed || words.len() == options;
        for (number, word) in words.iter().enumerate() {
            if number == options && !code {
                self.path(ArgumentRole::ReadPath, word);
            } else {
                self.looks(word);
            }
        }
    }

    /// A program that starts another one.
    fn wrapper(&mut self, of: &programs::Wrapper, words: &[Word], (fed, level): (bool, usize)) {
        self.shell.opaque |= of.opaque;
        let mut rest = words;
        let mut skipped = 0;
        while let Some((first, others)) = rest.split_first() {
            let Some(text) = &first.text else {
                self.shell.opaque = true;
                return;
            };
            if text == "--" {
                rest = others;
                break;
            }
            let variable = text.split_once('=').filter(|_| of.variables && !text.starts_with('-'));
            if let Some((name, _)) = variable {
                self.shell.opaque |= programs::is_telling(name);
                rest = others;
            } else if let Some(option) = text.strip_prefix('-').filter(|it| !it.is_empty()) {
                self.looks(first);
                let plain = of.flags.contains(&text.as_str())
                    || (of.numbers && option.bytes().all(|byte| byte.is_ascii_digit()));
                let with_value = of.values.contains(&text.as_str());
                self.shell.opaque |= !plain && !with_value && !of.has_value_in(text);
                rest = others;
                if with_value {
                    rest = others.split_first().map_or(&[][..], |(value, others)| {
                        self.looks(value);
                        others
                    });
                }
            } else if skipped < of.skip {
                self.looks(first);
                skipped = skipped.saturating_add(1);
                rest = others;
            } else {
                break;
            }
        }
        self.command(rest, fed || of.feeds, level.saturating_add(1));
    }
}

/// Whether a word has one of these options: whole, cut short, or among other letters.
fn is_among(word: &str, options: &[&str]) -> bool {
    let (long, letters) = (word.split('=').next().unwrap_or(word), word.strip_prefix('-'));
    let is = |option: &&str| {
        if option.starts_with("--") {
            return long.len() > 3 && option.starts_with(long);
        }
        let letter = option.strip_prefix('-').filter(|it| !it.is_empty());
        let bundle = letters.filter(|it| !it.starts_with('-'));
        bundle.zip(letter).is_some_and(|(bundle, letter)| bundle.contains(letter))
    };
    options.iter().any(is)
}

/// What stands behind the letters of options in one word, where that is a place: `-o/etc/passwd`, `-I../x`.
fn behind_letters(text: &str) -> &str {
    if !text.starts_with('-') {
        return text;
    }
    let begins = |(at, _): (usize, char)| {
        let rest = text.get(at..)?;
        let is_place = ["/", "~", "./", "../"].iter().any(|it| rest.starts_with(it));
        is_place.then_some(rest)
    };
    text.char_indices().find_map(begins).unwrap_or(text)
}

#[cfg(test)]
mod tests;
