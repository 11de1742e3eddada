//! A session on a terminal that goes, and one that is stopped and continued.

use crate::run::{POLICY, Person, Terminal, each};

#[test]
fn a_terminal_that_goes_ends_the_session_whatever_the_command_does() {
    each(POLICY, |person| {
        for script in ["echo started; sleep 1000", "trap '' HUP; echo started; sleep 1000"] {
            let mut terminal = Terminal::start(person, script);
            terminal.shows("started");
            assert!(!terminal.hang_up().success());
            let verified = person.ringfence(&["log", "verify"]);
            assert_eq!(verified.code, 0, "{verified}");
            let list = person.ringfence(&["sessions"]);
            assert!(list.out.contains("exit ") && !list.out.contains("running"), "{list}");
            assert!(!list.out.contains("lost"), "{list}");
        }
    });
}

/// What is typed into a shell to run a script in a world.
fn typed(person: &Person, script: &str) -> String {
    let policy = person.home.path("policy.cedar");
    format!("ringfence run --policy {} -- sh -c '{script}'\r", policy.display())
}

#[test]
fn a_command_that_stops_stops_its_session_and_both_go_on_together() {
    each(POLICY, |person| {
        let mut terminal = Terminal::shell(person);
        // The words are put together, so that what is typed is not what is waited for.
        terminal.types(&typed(person, "echo sta\"\"rted; kill -STOP $$; echo go\"\"es on"));
        terminal.shows("started");
        terminal.shows("Stopped");
        terminal.types("echo the shell ta\"\"lks; fg\r");
        terminal.shows("the shell talks");
        terminal.shows("goes on");
        terminal.shows("1 permitted");
        terminal.types("exit\r");
        assert!(terminal.child.wait().unwrap().success(), "{}", terminal.seen);
    });
}

#[test]
fn where_nobody_could_continue_it_a_stopped_command_goes_on_at_once() {
    each(POLICY, |person| {
        let mut terminal = Terminal::start(person, "kill -STOP $$; echo goes on");
        terminal.shows("goes on");
        assert!(terminal.child.wait().unwrap().success());
    });
}
