//! `git`: which of its options start programs, and which of its words are files.

use super::super::ArgumentRole;
use super::Taking;
use super::read::Word;

/// Subcommands of git that are no alias and start nothing that an argument names.
const OF_GIT: &[&str] = &[
    "add",
    "apply",
    "blame",
    "branch",
    "cat-file",
    "checkout",
    "cherry-pick",
    "clean",
    "clone",
    "commit",
    "config",
    "describe",
    "diff",
    "fetch",
    "grep",
    "init",
    "log",
    "ls-files",
    "ls-remote",
    "ls-tree",
    "merge",
    "merge-base",
    "mv",
    "notes",
    "pull",
    "push",
    "rebase",
    "reflog",
    "remote",
    "reset",
    "restore",
    "revert",
    "rev-list",
    "rev-parse",
    "rm",
    "shortlog",
    "show",
    "show-ref",
    "stash",
    "status",
    "switch",
    "tag",
    "version",
    "worktree",
];

/// Options that start a program which they name, or have settings in them that do; git takes them cut short as well.
const RUNS: &[&str] = &[
    "--config",
    "--exec",
    "--ext-diff",
    "--open-files-in-pager",
    "--receive-pack",
    "--recurse-submodules",
    "--recursive",
    "--template",
    "--textconv",
    "--upload-pack",
];

/// Letters of the same, by subcommands.
const LETTERS: &[(&str, &[char])] = &[("clone", &['c', 'u']), ("grep", &['O']), ("rebase", &['x'])];

/// Subcommands whose operands are files, what becomes of these, and whether `REVISION:FILE` is one.
const FILES: &[(&str, ArgumentRole)] = &[
    ("add", ArgumentRole::ReadPath),
    ("apply", ArgumentRole::ReadPath),
    ("blame", ArgumentRole::ReadPath),
    ("cat-file", ArgumentRole::ReadPath),
    ("diff", ArgumentRole::ReadPath),
    ("grep", ArgumentRole::ReadPath),
    ("init", ArgumentRole::WritePath),
    ("log", ArgumentRole::ReadPath),
    ("mv", ArgumentRole::WritePath),
    ("restore", ArgumentRole::WritePath),
    ("rm", ArgumentRole::DeletePath),
    ("show", ArgumentRole::ReadPath),
];

/// Subcommands that talk to other hosts.
const GOES: &[&str] = &["clone", "fetch", "ls-remote", "pull", "push", "remote"];

impl Taking<'_> {
    pub(super) fn git(&mut self, words: &[Word]) {
        let mut rest = words;
        while let Some((first, others)) = rest.split_first() {
            let value = || others.split_first();
            match first.text.as_deref() {
                Some("-C" | "--git-dir" | "--work-tree") => {
                    // Where it works has settings that start programs.
                    let Some((dir, others)) = value() else { break };
                    self.enter(dir);
                    rest = others;
                }
                Some(
                    "--no-pager"
                    | "-P"
                    | "--bare"
                    | "--version"
                    | "--help"
                    | "--no-optional-locks"
                    | "-p",
                ) => {
                    rest = others;
                }
                Some(option) if option.starts_with('-') => {
                    // Settings name programs.
                    self.shell.opaque = true;
                    rest = others;
                }
                Some(subcommand) => return self.git_subcommand(subcommand, others),
                None => break,
            }
        }
        self.shell.opaque |= rest.first().is_some_and(|word| word.text.is_none());
    }

    fn git_subcommand(&mut self, subcommand: &str, words: &[Word]) {
        self.shell.opaque |= !OF_GIT.contains(&subcommand);
        self.shell.opaque |= subcommand == "config" && words.len() > 1;
        let role = FILES.iter().find(|(name, _)| *name == subcommand).map(|(_, role)| *role);
        let operands = words.iter().filter(|word| !is_option(word)).count();
        let (mut rest, mut ended, mut operand) = (words.iter(), false, 0_usize);
        while let Some(word) = rest.next() {
            let Some(text) = word.text.as_deref() else {
                self.shell.opaque = true;
                continue;
            };
            self.shell.opaque |= text.contains("::") || runs(subcommand, text);
            if text == "--" {
                ended = true;
            } else if let Some((role, value)) = with_file(text).filter(|_| !ended) {
                match value {
                    Some(file) => self.path(role, &Word::known(file)),
                    None => rest.next().into_iter().for_each(|file| self.path(role, file)),
                }
            } else if is_option(word) && !ended {
                self.looks(word);
            } else {
                operand = operand.saturating_add(1);
                let is_target = operand > 1 && operand == operands;
                match role {
                    Some(role) => {
                        self.path(role, &Word { text: Some(file_of(text)), ..word.clone() });
                    }
                    None if is_target && subcommand == "clone" => {
                        self.path(ArgumentRole::WritePath, word);
                    }
                    None if subcommand == "worktree" && operand > 1 => {
                        self.path(ArgumentRole::WritePath, word);
                    }
                    None => self.git_address(subcommand, word),
                }
            }
        }
    }

    /// An address, as `git` takes it, or what looks like a file.
    fn git_address(&mut self, subcommand: &str, word: &Word) {
        let text = word.text.as_deref().unwrap_or_default();
        let goes = GOES.contains(&subcommand) && !text.contains("://");
        match text.split_once(':').filter(|_| goes) {
            Some((host, _)) if !host.contains('/') && host.contains(['.', '@']) => {
                self.ssh_host(host, "22");
            }
            Some(_) | None => self.looks(word),
        }
    }
}

fn is_option(word: &Word) -> bool {
    word.text.as_deref().is_some_and(|text| text.starts_with('-'))
}

/// Whether an option starts a program: whole, cut short, or among other letters.
fn runs(subcommand: &str, text: &str) -> bool {
    let option = text.split('=').next().unwrap_or_default();
    if option.starts_with("--") {
        // What is whole is not taken for what is longer.
        return option.len() > 2
            && option != "--text"
            && RUNS.iter().any(|name| name.starts_with(option));
    }
    let of = |(name, _): &&(&str, &[char])| *name == subcommand;
    let letters = LETTERS.iter().find(of).map(|(_, letters)| *letters);
    letters.is_some_and(|letters| text.starts_with('-') && text.contains(letters))
}

/// An option with a file, and the file where it stands in the same word.
fn with_file(text: &str) -> Option<(ArgumentRole, Option<&str>)> {
    let (option, value) =
        text.split_once('=').map_or((text, None), |(option, value)| (option, Some(value)));
    let is = |name: &str| option.len() > 3 && name.starts_with(option);
    if is("--output") {
        return Some((ArgumentRole::WritePath, value));
    }
    (is("--file") || is("--contents") || is("--pathspec-from-file") || is("--exclude-from"))
        .then_some((ArgumentRole::ReadPath, value))
}

/// The file of `REVISION:FILE`, or of what is none.
fn file_of(text: &str) -> String {
    let file = text.rsplit_once(':').map_or(text, |(_, file)| file);
    if file.is_empty() { ".".to_owned() } else { file.to_owned() }
}
