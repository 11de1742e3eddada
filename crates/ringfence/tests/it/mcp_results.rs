//! What real servers answer is looked through before their client has it.

use std::fs;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp::Setup;
use crate::person::{Person, Who, text};
use crate::talk::Talk;

/// Something that looks like a token of Slack, put together here so that no file has it.
fn token() -> String {
    format!(
        "{}-{}-{}-{}",
        ["xo", "xb"].concat(),
        "284719463052",
        "918273645546",
        "Qw7Zt2Xv9Lk4Pm1Rs6Hd8Bn3"
    )
}

const RULES: &str = r#"
@id("read") @redact("pii") permit (principal == Agent::"client", action == Action::"files/read_text_file", resource)
unless { context.args.path like "*plain*" };
@id("plain") permit (principal == Agent::"client", action == Action::"files/read_text_file", resource)
when { context.args.path like "*plain*" };
@id("listed") @block("email") permit (principal == Agent::"client", action == Action::"files/list_directory", resource);
@id("more") permit (principal == Agent::"client", action == Action::"files/get_file_info", resource);
"#;

/// The log of every session of a person.
fn logs(person: &Person) -> String {
    let sessions = fs::read_dir(person.home().join(".local/state/ringfence/sessions")).unwrap();
    let names = sessions.map(|it| it.unwrap().file_name().into_string().unwrap());
    names.map(|session| person.succeed(&["log", "show", &session])).collect()
}

fn with_rules(setup: &Setup) {
    let own = setup.person.home().join(".config/ringfence/policy.cedar");
    let policy = fs::read_to_string(&own).unwrap();
    let (before, _) = policy.split_once("@id(\"read\")").unwrap();
    fs::write(&own, format!("{before}{RULES}")).unwrap();
    setup.person.give(&own);
}

#[test]
fn what_files_have_in_them_is_taken_out_before_the_client_has_it() {
    for who in Who::all() {
        let Some(setup) = Setup::new(who) else { return };
        with_rules(&setup);
        let (person, token) = (&setup.person, token());
        let said = format!("token {token}\nof jo@example.com\u{1b}[2J pass\u{200b}word\n");
        person.write("a.txt", &said);
        person.write("plain.txt", &said);
        // Without us the client sees all of it.
        let server = setup.server.to_str().unwrap();
        let mut direct = Talk::with(person.command("node".as_ref(), &[server, "."]));
        assert_eq!(direct.call("read_text_file", json!({"path": "a.txt"})).0, said, "{who:?}");
        direct.close();

        let mut talk = setup.talk();
        let answer = talk
            .ask("tools/call", json!({"name": "read_text_file", "arguments": {"path": "a.txt"}}));
        let clean = "token [redacted: slack-token]\nof [redacted: email]␛[2J pass<U+200B>word\n";
        assert_eq!(answer["result"]["content"][0]["text"], clean, "{who:?}");
        assert!(!answer.to_string().contains(&token), "{who:?}: also where it is structured");
        let (plain, failed) = talk.call("read_text_file", json!({"path": "plain.txt"}));
        assert_eq!(plain, clean.replace("[redacted: email]", "jo@example.com"), "{who:?}");
        assert!(!failed);
        talk.end();

        let shown = logs(person);
        assert!(shown.contains("redacted") && shown.contains("slack-token"), "{who:?}: {shown}");
        assert!(!shown.contains(&token), "{who:?}");
    }
}

#[test]
fn a_result_that_a_rule_blocks_is_not_passed_on() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    with_rules(&setup);
    setup.person.write("dir/jo@example.com", "");
    let mut talk = setup.talk();
    let (said, failed) = talk.call("list_directory", json!({"path": "dir"}));
    assert!(failed && said.contains("what a rule blocks: email"), "{said}");
    assert!(!said.contains("jo@"), "{said}");
    setup.person.write("other/x", "");
    let (said, failed) = talk.call("list_directory", json!({"path": "other"}));
    assert!(!failed && said.contains('x'), "{said}");
    talk.end();
    let shown = logs(&setup.person);
    assert!(shown.contains("not passed on for email"), "{shown}");
    assert!(!shown.contains("answered with an error"), "its server did not: {shown}");
}

#[test]
fn an_agent_that_goes_in_circles_is_warned_and_then_denied() {
    let Some(setup) = Setup::new(Who::Caller) else { return };
    with_rules(&setup);
    let settings = setup.person.home().join(".config/ringfence/settings.toml");
    fs::write(&settings, "[tools]\nsame_answer_max = 6\nloop_seconds = 4\n").unwrap();
    setup.person.give(&settings);
    setup.person.write("plain.txt", "the same\n");
    let mut talk = setup.talk();
    let read = || json!({"name": "read_text_file", "arguments": {"path": "plain.txt"}});
    let mut warned = 0;
    for number in 0..6 {
        let answer = talk.ask("tools/call", read());
        let content = answer["result"]["content"].as_array().unwrap().clone();
        assert_eq!(content[0]["text"], "the same\n", "{number}");
        let is_warning = |item: &Value| {
            item["text"].as_str().is_some_and(|it| it.contains("warning from ringfence"))
        };
        warned += content.iter().filter(|item| is_warning(item)).count();
    }
    assert!(warned >= 1);
    let (said, failed) = talk.call("read_text_file", json!({"path": "plain.txt"}));
    assert!(failed && said.contains("6 times in a row with the same result"), "{said}");
    // Another call may be made, and this one when its time is over.
    assert!(!talk.call("get_file_info", json!({"path": "plain.txt"})).1);
    wait_until("it may be made again", || {
        !talk.call("read_text_file", json!({"path": "plain.txt"})).1
    });
    talk.end();
    let verified = setup.person.ringfence(&["log", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
}
