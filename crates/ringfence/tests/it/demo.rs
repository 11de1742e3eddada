//! `demo`: a first session from beginning to end, in a real world.

use crate::home::Home;

#[test]
fn a_first_session_is_run_shown_and_verified() {
    let home = Home::new();
    let text = home.run(&["demo"]);
    assert!(text.ends_with("[0]\n"), "{text}");
    for expected in [
        "agent: I write a file",
        "it happened",
        "refused",
        "built in `protected`",
        "acts denied",
        "report.txt",
        "verified",
    ] {
        assert!(text.contains(expected), "no `{expected}` in:\n{text}");
    }
    let policy = home.run(&["log", "verify"]);
    assert!(policy.contains("closed") && policy.ends_with("[0]\n"), "{policy}");
    assert!(text.contains("which has ended"), "{text}");
    let late = home.run(&["grant", "net:example.com:80", "--session", &session(&text), "--yes"]);
    assert!(late.contains("has ended") && !late.contains("--always"), "{late}");
    // Its directory is gone, and the policy with it.
    let session = session(&text);
    let gone = home.run(&["suggest"]);
    assert!(gone.contains(&format!("where session {session} ran, is gone")), "{gone}");
    assert!(gone.contains(&format!("run `ringfence show {session}`")), "{gone}");
    assert!(gone.ends_with("[2]\n"), "{gone}");
    let (_, denied) = text.split_once("run `ringfence explain ").unwrap();
    let record = home.run(&["explain", denied.split_once('`').unwrap().0]);
    assert!(record.contains("only the record is shown: ") && record.ends_with("[0]\n"), "{record}");
    // One that ran where something still is can be meant instead.
    home.run(&["init", "--agent", "generic"]);
    home.run(&["run", "--", "true"]);
    let other = home.run(&["sessions", "--json"]);
    home.run(&["demo"]);
    let gone = home.run(&["suggest"]);
    let (_, other_one) = gone.split_once("run `ringfence suggest ").unwrap();
    let (other_one, _) = other_one.split_once('`').unwrap();
    assert!(other.contains(other_one) && other_one != session, "{gone}");
    let of_it = home.run(&["suggest", other_one]);
    assert!(of_it.ends_with("[0]\n"), "{of_it}");
    let left = std::fs::read_dir(home.path(".cache")).unwrap().count();
    assert_eq!(left, 0, "the demo left something behind");
}

/// The session that a denial of the demo names.
fn session(text: &str) -> String {
    let (_, rest) = text.split_once("ringfence show ").unwrap();
    rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned()
}

#[test]
fn what_the_demo_agent_was_refused_did_not_happen() {
    let home = Home::new();
    home.write(".profile", "mine\n");
    let text = home.run(&["demo", "--keep"]);
    assert!(text.ends_with("[0]\n"), "{text}");
    let project = std::fs::read_dir(home.path(".cache")).unwrap().next().unwrap().unwrap().path();
    assert!(project.join("report.txt").exists(), "the oracle: what was allowed did happen");
    assert!(!project.join(".git/hooks/post-commit").exists());
    let policy = std::fs::read_to_string(project.join(".ringfence/policy.cedar")).unwrap();
    assert!(!policy.contains("permit(principal, action, resource);"));
    assert!(!text.contains("\nmine\n"), "the agent read a file of the home: {text}");
}
