//! Programs whose arguments are a language of their own.

use super::super::ArgumentRole;
use super::Taking;
use super::read::Word;

impl Taking<'_> {
    pub(super) fn find(&mut self, words: &[Word], level: usize) {
        let is_option = |word: &&Word| {
            word.text.as_deref().is_some_and(|text| text.starts_with(['-', '(', '!', ')']))
        };
        let mut words = words;
        // What stands before the directories: of these some take a word, or have it behind their letter.
        while let Some((first, others)) = words.split_first() {
            match first.text.as_deref() {
                Some("-H" | "-L" | "-P") => {}
                Some(text) if text == "--" || text.starts_with("-O") || text.starts_with("-D") => {
                    self.shell.opaque = true;
                }
                Some(_) | None => break,
            }
            words = others;
        }
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
                    self.shell.opaque |=
                        word.text.as_deref().is_some_and(|text| text.ends_with("dir"));
                    let inner = inner_of(&mut rest);
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

    pub(super) fn ssh_host(&mut self, text: &str, port: &str) {
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
        let (mut operands, mut is_told_where) = (Vec::new(), false);
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match word.text.as_deref() {
                Some(text) if !is_remote && target_of(text) != Target::None => {
                    is_told_where = true;
                    let to = match target_of(text) {
                        Target::Here(place) => Some(Word::known(place)),
                        Target::Next | Target::None => rest.next().cloned(),
                    };
                    if let Some(to) = to {
                        self.path(ArgumentRole::WritePath, &to);
                    }
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
        let last = operands.len().checked_sub(1).filter(|_| !is_told_where);
        // `install -d` makes each of them.
        let is_option = |text: &str| text.starts_with('-') && !text.starts_with("--");
        let makes = |text: &str| text.starts_with("--d") || is_option(text) && text.contains('d');
        let mut options = words.iter().filter_map(|word| word.text.as_deref());
        let all_made = name == "install" && options.any(makes);
        for (number, word) in operands.into_iter().enumerate() {
            let remote = word.text.as_deref().and_then(|text| text.split_once(':'));
            if let Some((host, _)) = remote.filter(|(host, _)| is_remote && !host.contains('/')) {
                self.ssh_host(host, "22");
            } else if Some(number) == last || all_made {
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
        // What is behind it can be the name of a copy elsewhere.
        let elsewhere = |word: &Word| {
            let text = word.text.as_deref().filter(|text| in_place(text));
            text.is_some_and(|text| text.contains(['/', '*']))
        };
        self.shell.opaque |= words.iter().any(elsewhere);
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
        self.shell.opaque |= !script.is_some_and(is_plain_sed);
        for word in words.iter().skip(options.saturating_add(1)) {
            match word.text.as_deref() {
                Some(text) if text.starts_with('-') => self.shell.opaque = true,
                _ => self.path(role, word),
            }
        }
    }
}

/// What `-exec` starts, without what ends it: `;`, or `+` right behind `{}` (POSIX `find`).
fn inner_of<'a>(rest: &mut impl Iterator<Item = &'a Word>) -> Vec<&'a Word> {
    let mut inner: Vec<&Word> = Vec::new();
    for word in rest {
        let text = word.text.as_deref();
        let is_behind_name = inner.last().is_some_and(|last| last.text.as_deref() == Some("{}"));
        if text == Some(";") || (text == Some("+") && is_behind_name) {
            break;
        }
        inner.push(word);
    }
    inner
}

/// Where an option of `cp`, `mv`, `ln` and `install` says where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target<'a> {
    /// In the same word.
    Here(&'a str),
    /// In the next one.
    Next,
    /// Nowhere.
    None,
}

fn target_of(text: &str) -> Target<'_> {
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        if name.is_empty() || !"target-directory".starts_with(name) {
            return Target::None;
        }
        return long.split_once('=').map_or(Target::Next, |(_, place)| Target::Here(place));
    }
    let letters = text.strip_prefix('-').unwrap_or_default();
    match letters.split_once(['t', 'S', 'm', 'o', 'g']) {
        Some((before, place))
            if letters.get(before.len()..).is_some_and(|it| it.starts_with('t')) =>
        {
            if place.is_empty() { Target::Next } else { Target::Here(place) }
        }
        Some(_) | None => Target::None,
    }
}

/// Whether a script of `sed` only prints, deletes or substitutes: `s/a/b/g`, `1,5p`, `/x/d`.
fn is_plain_sed(script: &str) -> bool {
    let mut rest = script;
    let digits = |letter: char| letter.is_ascii_digit() || letter == '$';
    rest = rest.trim_start_matches(digits);
    if let Some(more) = rest.strip_prefix(',') {
        rest = more.trim_start_matches(digits);
    } else if let Some(more) = rest.strip_prefix('/') {
        let Some((pattern, more)) = more.split_once('/') else { return false };
        if pattern.contains('\\') {
            return false;
        }
        rest = more;
    }
    if matches!(rest, "p" | "d" | "q" | "=" | "") {
        return true;
    }
    let Some(rest) = rest.strip_prefix('s') else { return false };
    let Some(sign) =
        rest.chars().next().filter(|sign| sign.is_ascii_punctuation() && *sign != '\\')
    else {
        return false;
    };
    // A sign that is escaped would end it somewhere else.
    let parts: Vec<&str> = rest.split(sign).collect();
    let escaped = format!("\\{sign}");
    match parts.as_slice() {
        ["", _, _, flags] => {
            let plain = |letter: char| letter.is_ascii_digit() || "gpiI".contains(letter);
            flags.chars().all(plain) && !rest.contains(&escaped) && !rest.contains('\n')
        }
        _ => false,
    }
}
