use clap::{CommandFactory as _, Parser as _};

use super::*;

fn refused(words: &[&str]) -> bool {
    Cli::try_parse_from(std::iter::once("ringfence").chain(words.iter().copied())).is_err()
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn lines_of_a_paragraph_are_one_and_examples_stay_as_they_are() {
    let text = "One\ntwo:\n\n  a\n      b\n\nthree\nfour\n  c\nfive";
    assert_eq!(joined(text), "One two:\n\n  a\n      b\n\nthree four\n  c\nfive");
}

/// Each command with its name in full.
fn every(command: clap::Command, name: &str, look: &mut dyn FnMut(&str, clap::Command)) {
    for inner in command.get_subcommands() {
        every(inner.clone(), &format!("{name} {}", inner.get_name()), look);
    }
    look(name, command);
}

#[test]
fn no_help_is_wrapped_before_it_is_known_how_wide_the_terminal_is() {
    every(Cli::command(), "ringfence", &mut |name, command| {
        // Wide enough that nothing is wrapped for it.
        let shown = command.clone().term_width(10_000).render_long_help().to_string();
        let is_prose = |line: &str| {
            line.starts_with(char::is_alphabetic)
                && !line.starts_with("Usage")
                && !line.ends_with(':')
        };
        for (line, next) in shown.lines().zip(shown.lines().skip(1)) {
            assert!(!(is_prose(line) && is_prose(next)), "{name}: {line}\n{next}");
        }
        // What is no prose has to fit as it is.
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in examples.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() <= 80, "{name}: {line}");
        }
    });
}

#[test]
fn a_grant_takes_at_most_one_scope() {
    assert!(refused(&["grant", "net:a.example:443", "--session", "--always"]));
    assert!(refused(&["grant", "net:a.example:443", "--always", "--for", "2h"]));
    assert!(refused(&["grant", "net:a.example:443", "--everywhere"]));
    assert!(!refused(&["grant", "net:a.example:443", "--always", "--everywhere"]));
    assert!(!refused(&["grant", "net:a.example:443"]));
}

#[test]
fn a_time_has_a_number_and_a_unit() {
    assert_eq!(parse_time("2h"), Ok(Duration::from_hours(2)));
    for wrong in ["", "h", "2", "0s", "-1h", "2w", "99999999999999999999d", "367d", "2 h", "é"] {
        assert!(parse_time(wrong).is_err(), "`{wrong}` was taken");
    }
}

#[test]
fn run_needs_a_command_after_two_dashes() {
    assert!(refused(&["run"]));
    assert!(refused(&["run", "claude"]));
    assert!(!refused(&["run", "--", "claude", "--agent", "x"]));
}

#[test]
fn an_entry_is_an_index_or_a_session_with_one() {
    assert_eq!("12".parse(), Ok(EntryName::Last(12)));
    assert!("sabcdefgh/12".parse::<EntryName>().is_ok());
    for wrong in ["", "/", "x", "sabcdefgh", "sabcdefgh/", "-1", "../1"] {
        assert!(wrong.parse::<EntryName>().is_err(), "`{wrong}` was taken");
    }
}
