//! What the documentation shows is what happens.

use crate::person::{Person, Who};

const START: &str = include_str!("../../../../docs/start.md");

/// The sample session of the start page: its command, and what is printed.
fn sample() -> (String, String) {
    let (_, rest) = START.split_once("    $ ringfence run -- ").unwrap();
    let block: Vec<&str> = rest.lines().take_while(|line| !line.is_empty()).collect();
    let shown = block[1..].iter().map(|line| line.trim_start_matches("    ").to_owned() + "\n");
    (format!("ringfence run -- {}", block[0]), shown.collect())
}

/// What differs from run to run and from machine to machine, made alike: the session's name, the
/// project's directory, and the line of a rule, which depends on the programs in `PATH`.
fn alike(text: &str, project: &str) -> String {
    let (_, session) = text.rsplit_once("`ringfence show ").unwrap();
    let session = session.split('`').next().unwrap();
    let text = text.replace(session, "SESSION").replace(project, "PROJECT");
    let mut parts = text.split("policy.cedar:");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        text + "policy.cedar:N" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

#[test]
fn the_sample_session_of_the_start_page_is_what_happens() {
    let (command, shown) = sample();
    let person = Person::new(Who::Caller);
    person.succeed(&["init", "--agent", "claude-code"]);
    let program = person.ringfence_program().display().to_string();
    let script = format!("{} 2>&1 || true", command.replacen("ringfence", &program, 1));
    let happened = String::from_utf8(person.outside(&script).stdout).unwrap();
    let project = person.project().display().to_string();
    assert_eq!(alike(&happened, &project), alike(&shown, "/home/ada/my-project"));
}
