//! Programs whose arguments are a language of their own.

use super::super::ArgumentRole;
use super::Taking;
use super::programs;
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

impl Taking<'_> {
    pub(super) fn find(&mut self, words: &[Word], level: usize) {
        let is_option = |word: &&Word| {
            word.text.as_deref().is_some_and(|text| text.starts_with(['-', '(', '!', ')']))
        };
        let first = |word: &&Word| matches!(word.text.as_deref(), Some("-H" | "-L" | "-P"));
        let begin = words.iter().take_while(first).count();
        let words = words.get(begin..).unwrap_or_default();
        let roots: Vec<&Word> = words.iter().take_while(|word| !is_option(word)).collect();
        let here = Word::known(".");
        let roots = if roots.is_empty() { vec![&here] } else { roots };
        for root in &roots {
            self.path(ArgumentRole::ReadPath, root);
        }
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.text.as_deref() {
                Some("-exec" | "-execdir" | "-ok" | "-okdir") => {
                    let ends = |word: &&Word| matches!(word.text.as_deref(), Some(";" | "+"));
                    self.shell.opaque |=
                        word.text.as_deref().is_some_and(|text| text.ends_with("dir"));
                    let inner: Vec<&Word> = rest.by_ref().take_while(|word| !ends(word)).collect();
                    for root in &roots {
                        let at = |word: &&Word| match word.text.as_deref() {
                            Some("{}") => (*root).clone(),
                            Some(text) if text.contains("{}") => {
                                Word { text: None, ..Word::known("") }
                            }
                            Some(_) | None => (*word).clone(),
                        };
                        let inner: Vec<Word> = inner.iter().map(at).collect();
                        self.command(&inner, false, level.saturating_add(1));
                    }
                }
                Some("-delete") => {
                    for root in &roots {
                        self.path(ArgumentRole::DeletePath, root);
                    }
                }
                Some("-fprint" | "-fprint0" | "-fprintf" | "-fls") => {
                    rest.next()
                        .into_iter()
                        .for_each(|file| self.path(ArgumentRole::WritePath, file));
                }
                Some("-files0-from") | None => self.shell.opaque = true,
                Some(_) => {}
            }
        }
    }

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
        let runs = |text: &str| {
            let option = text.split('=').next().unwrap_or_default();
            let named = [
                "--exec",
                "--upload-pack",
                "--receive-pack",
                "--open-files-in-pager",
                "--ext-diff",
                "--textconv",
            ];
            let short = ["-x", "-u", "-c", "-O"].contains(&option)
                && ["clone", "rebase", "ls-remote", "fetch", "pull", "grep"].contains(&subcommand);
            named.contains(&option) || short || text.starts_with("ext::") || text.contains("::")
        };
        self.shell.opaque |= subcommand == "config" && words.len() > 1;
        for word in words {
            match word.text.as_deref() {
                Some(text) if runs(text) => self.shell.opaque = true,
                Some(text) => {
                    let takes_address = ["clone", "fetch", "pull", "push", "ls-remote", "remote"]
                        .contains(&subcommand);
                    match text.split_once(':').filter(|_| takes_address && !text.contains("://")) {
                        Some((host, _)) if !host.contains('/') && host.contains(['.', '@']) => {
                            self.ssh_host(host, "22");
                        }
                        Some(_) | None => self.looks(word),
                    }
                }
                None => self.shell.opaque = true,
            }
        }
    }

    fn ssh_host(&mut self, text: &str, port: &str) {
        let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
        self.host(&format!("{host}:{port}"));
    }

    pub(super) fn ssh(&mut self, words: &[Word], level: usize) {
        const WITH_VALUE: [&str; 11] =
            ["-p", "-l", "-i", "-b", "-c", "-m", "-e", "-Q", "-B", "-E", "-S"];
        const PLAIN: [&str; 14] =
            ["-4", "-6", "-A", "-a", "-C", "-f", "-n", "-N", "-q", "-T", "-t", "-tt", "-v", "-x"];
        let (mut rest, mut port) = (words, "22");
        while let Some((first, others)) = rest.split_first() {
            match first.text.as_deref() {
                Some(option) if WITH_VALUE.contains(&option) => {
                    let Some((value, others)) = others.split_first() else { break };
                    match value.text.as_deref() {
                        Some(number) if option == "-p" => port = number,
                        Some(_) if matches!(option, "-i") => {
                            self.path(ArgumentRole::ReadPath, value);
                        }
                        Some(_) if matches!(option, "-E" | "-S") => {
                            self.path(ArgumentRole::WritePath, value);
                        }
                        Some(_) => {}
                        None => self.shell.opaque = true,
                    }
                    rest = others;
                }
                Some(option) if PLAIN.contains(&option) => rest = others,
                Some(option) if option.starts_with('-') => {
                    // Settings and ways around, which name programs and other hosts.
                    self.shell.opaque = true;
                    rest = others;
                }
                Some(host) => {
                    self.ssh_host(host.strip_prefix("ssh://").unwrap_or(host), port);
                    self.elsewhere(others, level);
                    return;
                }
                None => {
                    self.shell.opaque = true;
                    return;
                }
            }
        }
    }

    /// What is run on another host: its programs count, its files are not here.
    fn elsewhere(&mut self, words: &[Word], level: usize) {
        if words.is_empty() {
            return;
        }
        self.shell.opaque = true;
        let texts: Option<Vec<&str>> = words.iter().map(|word| word.text.as_deref()).collect();
        let Some(texts) = texts else { return };
        let mut there = super::Shell::default();
        let mut taking =
            Taking { shell: &mut there, commands: self.commands, dirs: vec![String::new()] };
        taking.script(&texts.join(" "), level.saturating_add(1));
        self.shell.programs.extend(there.programs);
    }

    /// `dd if=FILE of=FILE`.
    pub(super) fn dd(&mut self, word: &Word) {
        match word.text.as_deref().and_then(|text| text.split_once('=')) {
            Some(("if", file)) => self.path(ArgumentRole::ReadPath, &Word::known(file)),
            Some(("of", file)) => self.path(ArgumentRole::WritePath, &Word::known(file)),
            Some(_) => {}
            None => self.looks(word),
        }
    }

    /// `nc HOST PORT` and the like.
    pub(super) fn connects(&mut self, words: &[Word]) {
        let plain = |text: &str| ["-v", "-vv", "-z", "-n", "-u", "-N", "-4", "-6"].contains(&text);
        let operands: Vec<&Word> =
            words.iter().filter(|word| !word.text.as_deref().is_some_and(plain)).collect();
        match operands.as_slice() {
            [Word { text: Some(host), .. }, Word { text: Some(port), .. }]
                if !host.starts_with('-') =>
            {
                self.host(&format!("{host}:{port}"));
            }
            _ => self.shell.opaque = true,
        }
    }

    /// `cp`, `mv`, `ln`, `install`, `scp`, `rsync`: from some places to one.
    pub(super) fn copies(&mut self, name: &str, words: &[Word]) {
        let is_remote = matches!(name, "scp" | "rsync");
        let mut operands = Vec::new();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.text.as_deref() {
                Some("-t" | "--target-directory") => {
                    rest.next().into_iter().for_each(|to| self.path(ArgumentRole::WritePath, to));
                }
                Some("-e" | "--rsh" | "-S" | "-o" | "-J" | "-F") if is_remote => {
                    self.shell.opaque = true;
                }
                Some(option) if option.starts_with('-') && option.len() > 1 => {
                    let runs = is_remote
                        && !option.bytes().skip(1).all(|it| b"avzrnqPpCh46u-".contains(&it));
                    self.shell.opaque |= runs;
                    self.looks(word);
                }
                _ => operands.push(word),
            }
        }
        let last = operands.len().saturating_sub(1);
        for (number, word) in operands.into_iter().enumerate() {
            let remote = word.text.as_deref().and_then(|text| text.split_once(':'));
            if let Some((host, _)) = remote.filter(|(host, _)| is_remote && !host.contains('/')) {
                self.ssh_host(host, "22");
            } else if number == last {
                self.path(ArgumentRole::WritePath, word);
            } else {
                self.path(ArgumentRole::ReadPath, word);
                if name == "mv" {
                    self.path(ArgumentRole::DeletePath, word);
                }
            }
        }
    }

    /// Its language can run programs and write files: only the plainest of it is told.
    pub(super) fn sed(&mut self, words: &[Word]) {
        let is_flag = |text: &str| {
            let letters = text.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
            let plain = |letter: char| "nErszu".contains(letter);
            letters.is_some_and(|letters| !letters.is_empty() && letters.chars().all(plain))
        };
        let in_place = |text: &str| text.starts_with("-i") || text.starts_with("--in-place");
        let texts: Vec<Option<&str>> = words.iter().map(|word| word.text.as_deref()).collect();
        let role = if texts.iter().flatten().any(|text| in_place(text)) {
            ArgumentRole::WritePath
        } else {
            ArgumentRole::ReadPath
        };
        let is_option =
            |text: Option<&str>| text.is_some_and(|text| is_flag(text) || in_place(text));
        let options = texts.iter().take_while(|text| is_option(**text)).count();
        let script = texts.get(options).copied().flatten();
        self.shell.opaque |= !script.is_some_and(programs::is_plain_sed);
        for word in words.iter().skip(options.saturating_add(1)) {
            match word.text.as_deref() {
                Some(text) if text.starts_with('-') => self.shell.opaque = true,
                _ => self.path(role, word),
            }
        }
    }
}
