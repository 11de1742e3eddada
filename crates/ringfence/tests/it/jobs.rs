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

#[test]
fn a_session_in_the_background_asks_nothing_of_the_terminal_and_works_when_it_is_brought_back() {
    each(POLICY, |person| {
        let mut terminal = Terminal::shell(person);
        let script = "echo sta\"\"rted; while [ ! -e go ]; do sleep 0.1; done; echo r\"\"eads; \
                      read it; echo go\"\"t $it";
        let typed = typed(person, script);
        terminal.types(&format!("{} &\r", typed.trim_end()));
        terminal.shows("started");
        let list = person.ringfence(&["sessions"]);
        assert!(list.out.contains("running"), "{list}");
        // What it goes on with after it began is written in the background too.
        terminal.types("touch go; echo the shell ta\"\"lks\r");
        terminal.shows("the shell talks");
        terminal.shows("reads");
        terminal.types("jobs; echo li\"\"sted\r");
        terminal.shows("listed");
        assert!(terminal.seen.contains("Running") && !terminal.seen.contains("Stopped"));
        terminal.types("fg\rhello\r");
        terminal.shows("got hello");
        terminal.shows("2 permitted");
        terminal.types("exit\r");
        assert!(terminal.child.wait().unwrap().success(), "{}", terminal.seen);
    });
}

#[test]
fn a_session_that_ends_in_the_background_leaves_the_terminal_as_it_is() {
    each(POLICY, |person| {
        let mut terminal = Terminal::shell(person);
        let script = "echo sta\"\"rted; kill -STOP $$; echo en\"\"ds";
        terminal.types(&typed(person, script));
        terminal.shows("Stopped");
        terminal.types(
            "stty -a >before; bg; wait; stty -a >after; cmp before after && echo sa\"\"me\r",
        );
        terminal.shows("ends");
        terminal.shows("same");
        assert!(!terminal.seen.contains("tty output"), "{}", terminal.seen);
    });
}

#[test]
fn a_stopped_session_is_not_taken_for_one_whose_broker_died() {
    each(POLICY, |person| {
        let mut terminal = Terminal::shell(person);
        let script = "echo sta\"\"rted; while [ ! -e go ]; do sleep 0.1; done";
        terminal.types(&format!("{} &\r", typed(person, script).trim_end()));
        terminal.shows("started");
        terminal.types("kill -STOP %1; wait %1; echo is stop\"\"ped\r");
        terminal.shows("is stopped");
        let list = person.ringfence(&["sessions"]);
        assert!(list.out.contains("stopped") && !list.out.contains("lost"), "{list}");
        let shown = person.ringfence(&["show", "--json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(shown["state"], "stopped", "{shown}");
        terminal.types("kill -CONT %1; touch go; wait; echo is o\"\"ver\r");
        terminal.shows("is over");
        let list = person.ringfence(&["sessions"]);
        assert!(list.out.contains("exit 0"), "{list}");
    });
}

#[test]
fn a_question_in_the_background_is_told_of_and_put_when_the_session_is_brought_back() {
    crate::run::each_asking(|person| {
        let mut terminal = Terminal::shell(person);
        let script = "id -u >/dev/null; echo en\"\"ded $?";
        terminal.types(&format!("{} &\r", typed(person, script).trim_end()));
        terminal.shows("once `fg` has brought the session back");
        assert!(!terminal.seen.contains("allow once"), "{}", terminal.seen);
        terminal.types("jobs; fg\r");
        let code = terminal.code("allow once");
        assert!(terminal.seen.contains("Running"), "{}", terminal.seen);
        terminal.types(&code);
        terminal.shows("ended 0");
        terminal.shows("1 asked");
        terminal.types("exit\r");
        assert!(terminal.child.wait().unwrap().success(), "{}", terminal.seen);
    });
}

#[test]
fn what_is_said_on_a_terminal_of_80_columns_breaks_between_words_and_commands_stay_whole() {
    each(POLICY, |person| {
        let mut terminal = Terminal::start(person, "stty cols 80; (: > /usr/refused); exit 0");
        assert!(terminal.ends().success(), "{}", terminal.seen);
        let lines: Vec<&str> = terminal.seen.lines().map(str::trim_end).collect();
        let is_short = |line: &&str| line.chars().count() <= 80;
        assert!(lines.iter().all(is_short), "{lines:#?}");
        for whole in ["`ringfence show s", "`ringfence explain s"] {
            let closed =
                |line: &&str| line.split_once(whole).is_some_and(|(_, rest)| rest.contains('`'));
            assert!(lines.iter().any(closed), "{whole}: {lines:#?}");
        }
    });
}
