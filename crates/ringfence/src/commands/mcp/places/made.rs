//! What a command names that is not there yet, or that is replaced as a whole: a world can only show a directory of it.

use std::fs;
use std::path::{Path, PathBuf};

use ringfence_runtime::servers::ServerFile;
use ringfence_runtime::trust::is_too_high;

use super::{Around, LOADED_FROM, PROGRAMS, Wanted, at, kept_back, shown, shut};

/// What the name of a variable or an option has in it whose file is written.
const DATA: &[&str] = &[
    "cache", "data", "database", "db", "dump", "history", "journal", "log", "memory", "output",
    "state", "storage", "store",
];

/// The same where it has one of these in it as well: it is read.
const READ: &[&str] = &["cert", "conf", "config", "key", "level", "schema", "settings"];

/// How files end that programs write, beside which most make others.
const WRITTEN: &[&str] = &["db", "db3", "duckdb", "jsonl", "log", "ndjson", "sqlite", "sqlite3"];

/// A file or a directory that a server makes, or makes anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// It, in a directory as that really lies.
    pub(super) path: PathBuf,
    /// Whether it is there.
    pub(super) is: Is,
}

/// Whether something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    There,
    /// Its directory is.
    NotYet,
    /// Neither is its directory.
    Nowhere,
}

/// What stands in a command and in the variables beside it that a server makes.
pub(super) fn made(file: &ServerFile, around: Around<'_>) -> Vec<Made> {
    let mut all: Vec<Made> = Vec::new();
    for (name, word) in words(file) {
        if let Some(made) = one(&name, &word, around).filter(|it| !all.contains(it)) {
            all.push(made);
        }
    }
    all
}

/// The words of a command with the option before each, and the variables with their names.
fn words(file: &ServerFile) -> Vec<(String, String)> {
    let (mut all, mut option) = (Vec::new(), String::new());
    for word in file.command.iter().skip(1) {
        match word.split_once('=') {
            Some((name, value)) if name.starts_with('-') => {
                all.push((name.to_owned(), value.to_owned()));
            }
            Some(_) | None if word.starts_with('-') => {
                option.clone_from(word);
                continue;
            }
            Some(_) | None => all.push((std::mem::take(&mut option), word.clone())),
        }
        option.clear();
    }
    let is_other = |name: &str| name == PROGRAMS || LOADED_FROM.contains(&name);
    let variables = file.env.iter().filter(|(name, _)| !is_other(name));
    all.extend(variables.map(|(name, value)| (name.clone(), value.clone())));
    all
}

fn one(name: &str, word: &str, around: Around<'_>) -> Option<Made> {
    if !["/", "~/", "./", "../"].iter().any(|it| word.starts_with(it)) || word.contains(':') {
        return None;
    }
    let path = super::normal(&at(word, around)?)?;
    let Ok(found) = fs::symlink_metadata(&path) else {
        return not_there(&path);
    };
    let real = fs::canonicalize(&path).ok()?;
    let is_written = !found.is_dir() && real.is_file() && looks_written(name, &real);
    is_written.then_some(Made { path: real, is: Is::There })
}

fn not_there(path: &Path) -> Option<Made> {
    let (dir, name) = (path.parent()?, path.file_name()?);
    if let Ok(dir) = fs::canonicalize(dir) {
        return dir.is_dir().then(|| Made { path: dir.join(name), is: Is::NotYet });
    }
    // What begins nowhere at all is no path of this host.
    let begins = path.ancestors().find(|it| it.is_dir()).is_some_and(|it| it.parent().is_some());
    begins.then(|| Made { path: path.to_owned(), is: Is::Nowhere })
}

/// Whether a file looks like one that its server writes, by what names it and by how it ends.
fn looks_written(name: &str, file: &Path) -> bool {
    let ends = file.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let has = |all: &[&str]| {
        name.split(|it: char| !it.is_ascii_alphanumeric()).any(|it| all.contains(&it))
    };
    (WRITTEN.contains(&ends) || has(DATA)) && !has(READ)
}

impl Wanted {
    /// The directory of what a server makes, which it works in; where that is opened to nobody, what becomes of what is
    /// written there.
    pub(super) fn make(&mut self, made: &Made, around: Around<'_>) {
        let Made { path, is } = made;
        let Some(dir) = path.parent() else { return };
        if let Some(why) = around.kept.why_read(path) {
            self.keep_back(path, &why.to_string());
            return;
        }
        let why_not = match is {
            Is::Nowhere => Some(format!("there is no {} here yet", shown(dir))),
            Is::There | Is::NotYet => why_not_work(dir, around)
                .map(|why| format!("its directory {} is not opened to it: {why}", shown(dir))),
        };
        let (path, dir_shown) = (shown(path), shown(dir));
        let note = match (why_not, is) {
            (None, Is::There | Is::NotYet | Is::Nowhere) => {
                self.point_at_secret_in(dir);
                self.works.insert(dir.to_owned());
                let what = if *is == Is::There { "may be replaced" } else { "is not there yet" };
                format!("{path} {what}: its directory {dir_shown} is proposed, with all in it")
            }
            (Some(why), Is::There) => format!(
                "{path} is proposed to be read alone, and what is written to it is lost or fails ({why}): put it \
                 into a directory of its own, and name it there"
            ),
            (Some(why), Is::NotYet | Is::Nowhere) => format!(
                "{path} is not there yet, and what is written to it is lost when the server ends ({why}): make a \
                 directory of its own for it, and name it there"
            ),
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Why a directory that nobody named is not given to be changed.
fn why_not_work(dir: &Path, around: Around<'_>) -> Option<String> {
    if dir.starts_with("/etc") || is_too_high(dir, around.home) {
        return Some("it is everybody's".to_owned());
    }
    let kept = kept_back(dir, around).or_else(|| {
        let why = around.kept.why_read(dir).or_else(|| around.kept.why_not_change(dir));
        why.map(|it| it.to_string())
    });
    shut(dir, around).map(|why| format!("it is {why}")).or(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_looks_written_by_what_names_it_and_by_how_it_ends() {
        for (name, file) in [
            ("MEMORY_FILE_PATH", "/d/mem.json"),
            ("--db-path", "/d/a"),
            ("", "/d/a.sqlite"),
            ("--file", "/d/memory.jsonl"),
        ] {
            assert!(looks_written(name, Path::new(file)), "{name} {file}");
        }
        for (name, file) in [
            ("--config", "/d/a.json"),
            ("--db-config", "/d/a.json"),
            ("DB_SSL_CERT", "/d/a.pem"),
            ("", "/d/a.txt"),
            ("--catalog", "/d/a.json"),
        ] {
            assert!(!looks_written(name, Path::new(file)), "{name} {file}");
        }
    }

    #[test]
    fn a_word_is_named_by_the_option_before_it() {
        let command = ["x", "--a=1", "--b", "2", "3", "--c", "--d", "4"].map(str::to_owned);
        let mut file = ServerFile::started_by(command.to_vec());
        file.env.insert("E".to_owned(), "5".to_owned());
        file.env.insert("PATH".to_owned(), "6".to_owned());
        let all = words(&file);
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, word)| (name.as_str(), word.as_str())).collect();
        assert_eq!(all, [("--a", "1"), ("--b", "2"), ("", "3"), ("--d", "4"), ("E", "5")]);
    }
}
