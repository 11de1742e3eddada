//! What is said where a server is added once more, is not added after all, or goes: what helps, once, and nothing that does not.

use std::fs;

use serde_json::{Value, json};

use crate::mcp_add::{Setup, tool};
use crate::person::{Who, text};
use crate::schemas::conforms;
use crate::talk::Talk;

fn run(setup: &Setup, words: &[&str]) -> (String, Option<i32>) {
    let output = setup.person.ringfence(words).output().unwrap();
    (text(&output), output.status.code())
}

fn add(setup: &Setup, words: &[&str]) {
    let server = ["--", "/usr/bin/python3", "server.py", "old"];
    setup.person.succeed(&[&["mcp", "add"], words, &server[..]].concat());
}

fn file(setup: &Setup, name: &str) -> Value {
    let text = fs::read_to_string(setup.own().join(format!("mcp/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_server_that_is_there_is_added_once_more_by_its_name_alone() {
    let setup = Setup::of_notes();
    add(&setup, &["it", "--yes", "--env", "NOTE=a b"]);
    let before = file(&setup, "it");
    let write = tool("write_note", "Writes.", &["path", "text"]);
    setup.says(&json!({"tools": [tool("read_note", "", &["path"]), write]}));
    let (said, code) = run(&setup, &["mcp", "inspect", "it", "--diff"]);
    assert!(code == Some(1) && said.contains("run `ringfence mcp add it`"), "{said}");
    let output = setup.person.ringfence(&["mcp", "inspect", "it", "--diff", "--json"]).output();
    let told: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    conforms(&told, "mcp-server.schema.json");
    let [change] = told["differences"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!(change["before"], before["tools"]["write_note"]["definition"]);
    assert_eq!(change["now"]["description"], "Writes.");
    let (said, code) = run(&setup, &["mcp", "add", "it", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let after = file(&setup, "it");
    assert_eq!((&after["command"], &after["env"]), (&before["command"], &before["env"]));
    assert_eq!(after["tools"]["write_note"]["definition"]["description"], "Writes.");
    // Another variable in place of those is one.
    let (said, code) = run(&setup, &["mcp", "add", "it", "--yes", "--env", "OTHER=c"]);
    assert_eq!((code, &file(&setup, "it")["env"]), (Some(0), &json!({"OTHER": "c"})), "{said}");
    let (said, code) = run(&setup, &["mcp", "add", "none", "--yes"]);
    assert!(code == Some(2) && said.contains("nothing says what `none` is"), "{said}");
    // An address with its headers.
    let web = json!({"version": 1, "url": "http://127.0.0.1:1/mcp", "headers": {"X-Of": "a"}});
    fs::write(setup.own().join("mcp/web.json"), web.to_string()).unwrap();
    let (said, code) = run(&setup, &["mcp", "add", "web", "--yes"]);
    assert!(code == Some(2) && said.contains("nothing listens at `127.0.0.1:1`"), "{said}");
    assert_eq!(file(&setup, "web"), web);
}

#[test]
fn what_a_project_says_of_a_server_starts_nothing_before_the_project_is_trusted() {
    let setup = Setup::of_notes();
    setup.person.write(".ringfence/policy.cedar", "// ours\n");
    let command = json!(["/bin/sh", "-c", "echo > started"]);
    let server = json!({"version": 1, "command": command});
    setup.person.write(".ringfence/mcp/theirs.json", &server.to_string());
    let (said, code) = run(&setup, &["mcp", "add", "theirs", "--project", "--yes"]);
    assert!(code == Some(2) && said.contains("a project that is not trusted"), "{said}");
    assert!(said.contains("`ringfence trust`") && !said.contains("starting"), "{said}");
    assert!(!setup.person.project().join("started").exists());
    let (said, code) = run(&setup, &["mcp", "add", "theirs", "--yes"]);
    assert!(code == Some(2) && said.contains("`ringfence mcp add theirs --project`"), "{said}");
    setup.person.succeed(&["trust", "--yes"]);
    let (said, _) = run(&setup, &["mcp", "add", "theirs", "--project", "--yes"]);
    assert!(said.contains("starting `theirs`"), "{said}");
}

#[test]
fn what_cannot_be_reached_or_ends_of_itself_is_not_said_to_have_been_denied_something() {
    let setup = Setup::of_notes();
    let (said, code) = run(&setup, &["mcp", "add", "web", "http://127.0.0.1:1/mcp", "--yes"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error: nothing listens at `127.0.0.1:1`"), "{said}");
    assert!(said.contains("nothing was denied: start what is to listen there"), "{said}");
    assert!(!said.contains("was denied, run"), "{said}");
    let listed = setup.person.succeed(&["sessions", "--json"]);
    let session = listed.lines().find(|it| it.contains("\"web\"")).unwrap();
    let session: Value = serde_json::from_str(session).unwrap();
    assert_eq!(session["summary"]["exit_code"], 2, "{session}");
    // One that lacks something of its own.
    setup.person.write("lacks.py", "import nothing_of_that_name\n");
    let words = ["mcp", "add", "lacks", "--yes", "--", "/usr/bin/python3", "lacks.py", "../x"];
    let (said, code) = run(&setup, &words);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nothing was denied: it ended of itself"), "{said}");
    assert!(said.contains("No module named") && !said.contains("was denied, run"), "{said}");
    assert!(!said.contains("exists nowhere"), "{said}");
    // What keeps it from starting is still said to be denied, where it is.
    let far = "import urllib.request\nurllib.request.urlopen('http://example.com/')\n";
    setup.person.write("denied.py", far);
    let words = ["mcp", "add", "denied", "--yes", "--", "/usr/bin/python3", "denied.py"];
    let (said, code) = run(&setup, &words);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("to see what it did and was denied, run `ringfence show s"), "{said}");
}

#[test]
fn without_a_policy_that_is_said_once_and_before_anything_is_asked() {
    let setup = Setup::of_notes();
    fs::remove_file(setup.policy()).unwrap();
    let server = json!({"command": "/usr/bin/python3", "args": ["server.py", "old"]});
    let config = json!({"mcpServers": {"one": server, "two": server}});
    let client = setup.person.home().join(".claude.json");
    fs::write(&client, config.to_string()).unwrap();
    for words in [&["mcp", "import"][..], &["mcp", "import", "--all"]] {
        let (said, code) = run(&setup, words);
        assert_eq!(code, Some(2), "{words:?}: {said}");
        assert_eq!(said.matches("no policy").count(), 1, "{words:?}: {said}");
        assert_eq!(said.matches("`ringfence init`").count(), 1, "{words:?}: {said}");
        assert!(!said.contains("--all") && !said.contains("one:"), "{words:?}: {said}");
    }
    assert_eq!(fs::read_to_string(&client).unwrap(), config.to_string());
    // What there is can be listed all the same, by programs.
    let listed = setup.person.succeed(&["mcp", "import", "--json"]);
    assert!(listed.contains("\"two\""), "{listed}");
    let (said, code) = run(&setup, &["mcp", "remove", "nothing"]);
    assert!(code == Some(2) && said.contains("`ringfence init` writes one"), "{said}");
}

#[test]
fn sessions_that_go_on_with_a_server_that_is_removed_are_named() {
    let setup = Setup::of_notes();
    add(&setup, &["it", "--yes"]);
    add(&setup, &["other", "--yes"]);
    let session = |talk: &mut Talk| {
        talk.tools();
        let of = setup.person.succeed(&["sessions", "--json"]);
        let of = of.lines().find(|it| it.contains("mcp-client") && it.contains("\"running\""));
        let of: Value = serde_json::from_str(of.unwrap()).unwrap();
        of["session"].as_str().unwrap().to_owned()
    };
    let mut talk = Talk::with(setup.person.ringfence(&["mcp", "run", "it"]));
    let runs = session(&mut talk);
    let (said, code) = run(&setup, &["mcp", "remove", "other", "--yes"]);
    assert!(code == Some(0) && !said.contains(&runs), "{said}");
    let (said, code) = run(&setup, &["mcp", "remove", "it", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("go on with it until they end: ") && said.contains(&runs), "{said}");
    talk.end();
    add(&setup, &["it", "--yes"]);
    let (said, code) = run(&setup, &["mcp", "remove", "it", "--yes"]);
    assert!(code == Some(0) && !said.contains("until"), "{said}");
}

#[test]
fn what_became_of_a_clients_copy_is_said_and_of_secrets_in_it_only_where_there_are() {
    let setup = Setup::of_notes();
    let client = setup.person.home().join(".claude.json");
    let copy = setup.person.home().join(".claude.json.before-ringfence");
    let token = "ghp_1234567890abcdefghijklmnopqrstuvwxyz";
    for env in [json!({}), json!({ "GITHUB_TOKEN": token })] {
        let args = ["server.py", "old"];
        let server = json!({"command": "/usr/bin/python3", "args": args, "env": env});
        fs::write(&client, json!({"mcpServers": {"one": server}}).to_string()).unwrap();
        let has_secret = env != json!({});
        let (said, code) = run(&setup, &["mcp", "import", "--all"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("secrets that stood in it"), has_secret, "{said}");
        assert!(copy.exists());
        let (said, code) = run(&setup, &["mcp", "import", "--undo", "--all"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("the copy is removed: {}", copy.display())), "{said}");
        assert!(!copy.exists() && !said.contains(", then"), "{said}");
        assert!(said.contains("run `ringfence mcp remove one`\n"), "{said}");
        assert_eq!(said.contains("run `ringfence secret remove one-"), has_secret, "{said}");
        run(&setup, &["mcp", "remove", "one", "--yes"]);
    }
}

/// A server that needs nothing but itself.
const ALONE: &str = r#"
import json, sys
hello = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
for line in sys.stdin:
    asked = json.loads(line)
    result = {"initialize": hello, "tools/list": {"tools": []}}.get(asked.get("method"))
    if result is not None:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
    elif "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}}), flush=True)
"#;

#[test]
fn a_server_beside_the_project_is_not_given_the_project_and_starts_from_anywhere() {
    let setup = Setup::new(Who::Caller);
    fs::write(setup.policy(), "permit (principal, action == Action::\"exec\", resource);\n")
        .unwrap();
    let project = setup.person.project();
    let beside = project.parent().unwrap().join("beside");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("server.py"), ALONE).unwrap();
    setup.person.give(&beside);
    let words = ["mcp", "add", "it", "--yes", "--", "/usr/bin/python3", "../beside/server.py"];
    let (said, code) = run(&setup, &words);
    assert_eq!(code, Some(0), "{said}");
    let script = beside.join("server.py").display().to_string();
    assert!(said.contains(&format!("`../beside/server.py` is kept as `{script}`")), "{said}");
    assert_eq!(file(&setup, "it")["command"], json!(["/usr/bin/python3", script]));
    let rules = setup.rules();
    assert!(rules.contains(&format!("Dir::\"{}\"", beside.display())), "{rules}");
    assert!(!rules.contains(&format!("\"{}\"", project.display())), "{rules}");
    // What leads nowhere is a word like others, and what lies in the project is found from there.
    setup.person.write("own.py", ALONE);
    let words = ["mcp", "add", "own", "--yes", "--", "/usr/bin/python3", "own.py", "../none"];
    let (said, code) = run(&setup, &words);
    assert!(code == Some(0) && !said.contains("is kept as"), "{said}");
    assert_eq!(file(&setup, "own")["command"], json!(["/usr/bin/python3", "own.py", "../none"]));
}

#[test]
fn a_program_without_a_directory_is_kept_as_what_it_is_found_as() {
    let setup = Setup::of_notes();
    let words = |more: &[&str]| {
        let words = [&["mcp", "add"], more, &["--", "python3", "server.py", "old"]].concat();
        let (said, code) = run(&setup, &words);
        assert_eq!(code, Some(0), "{said}");
        said
    };
    let said = words(&["it", "--yes", "--env", "NOTE=a"]);
    assert!(said.contains("`python3` is kept as `/usr/bin/python3`"), "{said}");
    let whole = json!(["/usr/bin/python3", "server.py", "old"]);
    assert_eq!(file(&setup, "it")["command"], whole);
    // One that was kept without, or is found elsewhere by a PATH of its own, is the same server.
    let said = words(&["it", "--yes", "--env", "PATH=/usr/bin", "--env", "NOTE=a"]);
    assert!(!said.contains("is kept as"), "{said}");
    assert_eq!(file(&setup, "it")["command"], json!(["python3", "server.py", "old"]));
    let said = words(&["it", "--yes"]);
    assert!(said.contains("its variables stay as they are"), "{said}");
    let it = file(&setup, "it");
    assert_eq!((&it["command"], &it["env"]["NOTE"]), (&whole, &json!("a")));
    // A project's is for many hosts.
    let said = words(&["ours", "--project", "--yes"]);
    assert!(!said.contains("is kept as"), "{said}");
}
