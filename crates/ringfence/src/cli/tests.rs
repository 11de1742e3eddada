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
