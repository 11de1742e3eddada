//! Every command that a hint names is a command that parses.

use std::path::{Path, PathBuf};

use clap::Parser as _;
use ringfence::cli::Cli;

/// Words that stand for what is filled in, with something that fits.
const SAMPLES: &[(&str, &str)] = &[
    ("{grant}", "net:a.example:443"),
    ("{command}", "trust"),
    ("{word}", "net:a.example:443"),
    ("{session}/{entry}", "sabcdefgh/1"),
    ("SESSION/INDEX", "sabcdefgh/1"),
    ("SESSION", "sabcdefgh"),
    ("ID", "g-1234"),
    ("CMD", "claude"),
    ("--as {}", "--as notes=notes-2"),
    ("NAME", "files"),
    ("[SESSION/]INDEX", "1"),
];

/// All Rust sources of the workspace that are not tests.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !["tests", "target", "examples", "benches"].contains(&name.as_str()) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|it| it == "rs") && !name.contains("tests") {
            found.push(path);
        }
    }
}

/// What stands in backticks after `ringfence `, in string literals and not in comments.
fn commands(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    code.split("`ringfence ")
        .skip(1)
        .filter_map(|rest| rest.split_once('`').map(|(command, _)| command))
        // A literal that goes on in the next line.
        .map(|command| command.replace("\\\n", "").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Whether a command parses with its placeholders filled in: `{}` may stand for any value.
fn parses(command: &str) -> Result<(), clap::Error> {
    let text =
        SAMPLES.iter().fold(command.to_owned(), |text, (place, with)| text.replace(place, with));
    let attempts = ["sabcdefgh", "sabcdefgh/1", "g-1234"].map(|value| {
        let words = text.split(' ').map(|word| if word.contains('{') { value } else { word });
        Cli::try_parse_from(std::iter::once("ringfence").chain(words)).map(|_| ())
    });
    attempts.into_iter().reduce(Result::or).unwrap()
}

#[test]
fn every_hint_names_a_command_that_parses() {
    let crates = Path::new("..");
    let mut files = Vec::new();
    sources(crates, &mut files);
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for command in commands(&text) {
            let parsed = parses(&command);
            let shown = file.strip_prefix(crates).unwrap().display();
            assert!(parsed.is_ok(), "{shown}: `ringfence {command}`: {}", parsed.unwrap_err());
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} commands were found: the search is broken");
}

#[test]
fn a_command_that_does_not_parse_would_be_found() {
    assert_eq!(commands("\"run `ringfence frobnicate {x}`\""), ["frobnicate {x}"]);
    assert!(parses("frobnicate {x}").is_err());
}

/// The last words of a line and the first of the next are whole words of what is said in one line.
#[test]
fn help_breaks_lines_between_words_at_80_columns() {
    for command in ["run", "grant", "review commit", "sandbox enable", "doctor"] {
        let help = |columns: &str| {
            let words = command.split(' ').chain(["--help"]);
            let program = env!("CARGO_BIN_EXE_ringfence");
            let mut ringfence = std::process::Command::new(program);
            let output = ringfence.args(words).env("COLUMNS", columns).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let narrow = help("80");
        for line in narrow.lines() {
            // A word that is longer than a line, such as a list of values, stays whole.
            let is_one = line.trim().split(' ').count() == 1;
            assert!(line.chars().count() <= 80 || is_one, "{command}: {line}");
        }
        assert_eq!(words(&narrow), words(&help("100")), "{command}");
    }
}
