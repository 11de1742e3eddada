//! What a command runs: its program, and the files that this one interprets.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::{Around, normal};

/// How programs are called that run files of others; versions may follow.
const INTERPRETERS: &[&str] =
    &["node", "nodejs", "deno", "bun", "tsx", "python", "pypy", "ruby", "java", "perl", "php"];

/// By which letters interpreters are given a program itself, or the name of a module, in the place of a file: alone, behind
/// others (`-Bc`), and with it behind them; and which letters take what follows them for a value.
const CODE: &[(&[&str], &str, &str)] = &[
    (&["python", "pypy"], "cm", "WX"),
    (&["node", "nodejs", "tsx", "bun"], "ep", "rC"),
    (&["ruby"], "e", "CEFIKTWirx"),
    (&["perl"], "eE", "CDFIMVdimx"),
    (&["php"], "rBRE", "FScdftz"),
];

/// The same by whole words.
const CODE_WORDS: &[&str] = &["--eval", "--print"];

/// The same, as `deno` is told it.
const CODE_COMMAND: (&str, &str) = ("deno", "eval");

/// How the programs of this system begin that no interpreter runs.
const BINARY: &[u8] = b"\x7fELF";

/// How files are called that an interpreter runs.
const SCRIPTS: &[&str] = &["js", "mjs", "cjs", "ts", "mts", "py", "rb", "jar", "pl", "php"];

/// Longest first line that is read of a program, in bytes.
const SHEBANG_BYTES_MAX: u64 = 512;

/// The program of a command, and what it runs if it is an interpreter.
pub(super) fn started(command: &[String], around: Around<'_>) -> Vec<PathBuf> {
    let mut words = command.iter();
    let is_env = |word: &String| Path::new(word).file_name() == Some(OsStr::new("env"));
    let mut all = Vec::new();
    let Some(mut program) = words.next() else { return all };
    while is_env(program) || program.contains('=') || program.starts_with('-') {
        let Some(word) = words.next() else { return all };
        program = word;
    }
    all.extend(found(program, around));
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    if is_interpreter(name) {
        let scripts = scripts(without_version(name), words);
        all.extend(scripts.into_iter().filter_map(|word| normal(&around.cwd.join(word))));
    }
    all
}

/// What of an interpreter's words it runs as files: none behind what is a program itself.
fn scripts<'a>(interpreter: &str, words: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut words = words.peekable();
    let mut all = Vec::new();
    while let Some(word) = words.next_if(|word| word.starts_with('-')) {
        match option(interpreter, word) {
            Opt::Code => return all,
            Opt::Value => all.extend(words.next().filter(|it| is_script(Path::new(it)))),
            Opt::Other => {}
        }
    }
    let Some(first) = words.next().filter(|word| (interpreter, word.as_str()) != CODE_COMMAND)
    else {
        return all;
    };
    all.push(first);
    all.extend(words.filter(|word| !word.starts_with('-') && is_script(Path::new(word))));
    all
}

/// What an option of an interpreter is.
enum Opt {
    /// A program, or the name of a module.
    Code,
    /// One whose value is the next word.
    Value,
    /// Another.
    Other,
}

fn option(interpreter: &str, word: &str) -> Opt {
    let Some((_, code, values)) = CODE.iter().find(|(names, ..)| names.contains(&interpreter))
    else {
        return Opt::Other;
    };
    if CODE_WORDS.contains(&word.split_once('=').map_or(word, |(name, _)| name)) {
        return Opt::Code;
    }
    if word.starts_with("--") {
        return Opt::Other;
    }
    let mut letters = word.trim_start_matches('-').chars();
    while let Some(letter) = letters.next() {
        if code.contains(letter) {
            return Opt::Code;
        }
        if values.contains(letter) {
            return if letters.as_str().is_empty() { Opt::Value } else { Opt::Other };
        }
    }
    Opt::Other
}

pub(super) fn is_interpreter(name: &str) -> bool {
    INTERPRETERS.contains(&without_version(name))
}

fn without_version(name: &str) -> &str {
    name.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.')
}

/// Whether a file is a program by its name or by how it begins, whose text may be about keys.
pub(super) fn is_program(file: &Path) -> bool {
    is_script(file) || shebang(file).is_some() || is_binary(file)
}

fn is_binary(file: &Path) -> bool {
    let mut begins = [0; BINARY.len()];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut begins));
    read.is_ok() && begins == BINARY
}

pub(super) fn is_script(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|it| SCRIPTS.contains(&it))
}

/// The file of a program, as a shell finds it.
pub(super) fn found(program: &str, around: Around<'_>) -> Option<PathBuf> {
    if program.contains('/') {
        return normal(&around.cwd.join(program));
    }
    let mut files = std::env::split_paths(around.path).map(|dir| dir.join(program));
    files.find(|file| file.is_absolute() && file.is_file())
}

/// Who interprets a script, by its first line.
pub(super) fn shebang(file: &Path) -> Option<Vec<String>> {
    let mut line = Vec::new();
    let file = fs::File::open(file).ok()?;
    BufReader::new(file.take(SHEBANG_BYTES_MAX)).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8(line).ok()?;
    let words = line.strip_prefix("#!")?.split_whitespace().map(str::to_owned);
    Some(words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts_of(command: &str) -> Vec<String> {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let (program, rest) = words.split_first().unwrap();
        scripts(without_version(program), rest.iter()).into_iter().cloned().collect()
    }

    #[test]
    fn behind_what_is_a_program_itself_stands_no_script() {
        for command in [
            "python3 -c code a.txt",
            "python3 -ccode a.txt",
            "python3.12 -Bc code a.txt",
            "python3 -Bccode a.py",
            "python3 -W ignore -c code a.txt",
            "python3 -Wignore -IBSc code a.txt",
            "python3 -m module a.txt",
            "python3 -Im module a.py",
            "pypy3 -mmodule a.txt",
            "node -e code a.js",
            "node -pe code a.txt",
            "node --eval code a.txt",
            "node --print=code a.txt",
            "node --no-warnings -C dev -e code a.txt",
            "bun -e code a.txt",
            "deno eval code a.txt",
            "ruby -ne code a.txt",
            "ruby -Ilib -e code a.txt",
            "perl -lne code a.txt",
            "perl -E code a.pl",
            "php -r code a.php",
        ] {
            assert_eq!(scripts_of(command), Vec::<String>::new(), "{command}");
        }
    }

    #[test]
    fn a_script_is_found_behind_the_options_of_who_runs_it() {
        for (command, script) in [
            ("python3 a", "a"),
            ("python3 -B a.py -c config", "a.py"),
            ("python3 -Wignore -X dev a.py", "a.py"),
            ("node --experimental-vm-modules a.js -e", "a.js"),
            ("node -r module a.js", "a.js"),
            ("java -Xmx1g -jar a.jar", "a.jar"),
            ("ruby -Ilib -rjson a", "a"),
            ("perl -Mstrict -w a.pl", "a.pl"),
            ("php -d memory=1 a.php", "a.php"),
        ] {
            assert_eq!(scripts_of(command), [script], "{command}");
        }
        assert_eq!(scripts_of("node -r ./hook.js a.js"), ["./hook.js", "a.js"]);
        assert_eq!(scripts_of("tsx watch a.ts"), ["watch", "a.ts"]);
    }

    #[test]
    fn a_text_is_no_program_for_being_run_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let is = |name: &str, text: &[u8]| {
            fs::write(dir.path().join(name), text).unwrap();
            is_program(&dir.path().join(name))
        };
        assert!(is("a.py", b"") && is("a", b"#!/bin/sh\n") && is("b", b"\x7fELF\x02"));
        assert!(!is("a.txt", b"text\n") && !is("c", b"\x7fEL") && !is("d", b""));
    }
}
