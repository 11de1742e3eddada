//! `decide`: a request in, a verdict out.

use expect_test::expect;

use crate::home::Home;
use crate::policy::POLICY;

/// The verdict of a request and its exit status, in one line.
fn verdict(home: &Home, request: &str) -> String {
    let text = home.run_with(&["decide"], request);
    let status = text.lines().last().unwrap();
    let json = text.lines().find(|line| line.starts_with('{'));
    let word = json.map_or("nothing".to_owned(), |json| {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        json["verdict"].as_str().unwrap().to_owned()
    });
    format!("{word} {status}")
}

#[test]
fn the_exit_status_is_the_verdict() {
    let home = Home::with_policy(POLICY);
    let connect = r#"{"agent":"b","action":"net.connect","resource":"api.stripe.com:443"}"#;
    assert_eq!(verdict(&home, connect), "deny [1]");
    let write = r#"{"agent":"b","action":"fs.write","resource":"/srv/app/x"}"#;
    assert_eq!(verdict(&home, write), "deny [1]");
    let read = r#"{"agent":"b","action":"fs.read","resource":"/srv/app/x"}"#;
    assert_eq!(verdict(&home, read), "permit [0]");
    let outside = r#"{"agent":"b","action":"fs.read","resource":"/srv/app/../b"}"#;
    assert_eq!(verdict(&home, outside), "deny [1]");
    let push = r#"{"agent":"b","action":"exec","resource":"/usr/bin/git","argv":["git","push"]}"#;
    assert_eq!(verdict(&home, push), "ask [3]");
    let approved = push.replace('}', r#","approvals":["owner"]}"#);
    assert_eq!(verdict(&home, &approved), "permit [0]");
    let other = push.replace('}', r#","approvals":["nobody"]}"#);
    assert_eq!(verdict(&home, &other), "ask [3]");
}

#[test]
fn bad_input_is_no_answer() {
    let home = Home::with_policy(POLICY);
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"agent":"b","action":"exec","resource":"git"}"#,
        r#"{"agent":"b","action":"net.connect","resource":"host"}"#,
        r#"{"agent":"b","action":"net.connect","resource":"0x7f.1:80"}"#,
        r#"{"agent":"b","action":"fs.read","resource":"/a","argv":["x"]}"#,
        r#"{"agent":"b","action":"fs.read","resource":"/a","sudo":true}"#,
        r#"{"agent":"b","action":"net.connect","resource":"a:1"} trailing"#,
    ] {
        assert_eq!(verdict(&home, bad), "nothing [2]", "{bad}");
    }
}

#[test]
fn an_unknown_action_names_the_known_ones() {
    let home = Home::with_policy(POLICY);
    let request = r#"{"agent":"b","action":"fs.wirte","resource":"/a"}"#;
    expect![[r#"
        $ ringfence decide
        ! error: unknown action `fs.wirte`
        ! hint: the actions are exec, fs.read, fs.write, fs.delete, net.connect, net.request, secret.use, tool.call
        [2]
    "#]]
    .assert_eq(&home.run_with(&["decide"], request));
}

#[test]
fn nothing_is_recorded() {
    let home = Home::with_policy(POLICY);
    let request = r#"{"agent":"b","action":"fs.read","resource":"/srv/app/x"}"#;
    home.run_with(&["decide"], request);
    let sessions = home.state().join("sessions");
    assert_eq!(std::fs::read_dir(sessions).map_or(0, Iterator::count), 0);
}

#[test]
fn a_server_whose_file_is_wrong_is_a_server_to_the_rules_all_the_same() {
    let home = Home::with_policy(
        "permit (principal, action == Action::\"fs.read\", resource in Dir::\"/srv/app\")\n  \
         unless { principal in AgentKind::\"tool-server\" };\n",
    );
    let read = |agent: &str| {
        let request =
            format!(r#"{{"agent":"{agent}","action":"fs.read","resource":"/srv/app/x"}}"#);
        verdict(&home, &request)
    };
    assert_eq!(read("notes"), "permit [0]");
    home.write(".config/ringfence/mcp/notes.json", "{\"version\": 1,}");
    assert_eq!(read("notes"), "deny [1]");
    assert_eq!(read("claude"), "permit [0]");
}
