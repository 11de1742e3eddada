//! Servers of other clients are taken over: each is looked at and pinned, no secret of theirs is in a file of ours, and
//! what the client starts then is the gate.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::mcp_add::Setup;
use crate::person::{Who, text};
use crate::schemas::conforms;
use crate::talk::Talk;

fn tools() -> String {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}});
    json!({"tools": [{"name": "read_note", "description": "Reads.", "inputSchema": schema}]})
        .to_string()
}

/// A value that is nowhere else.
fn secret() -> String {
    ["ghp", "_", "n0T4r34lT0k3nN0tAr3alTok3nN0tAreal00"].concat()
}

fn server(env: &Value) -> Value {
    json!({"command": "/usr/bin/python3", "args": ["server.py", "old"], "env": env})
}

fn setup(who: Who) -> Setup {
    let setup = Setup::new(who);
    setup.person.write("says", &tools());
    setup
}

/// Whether a text is in any file below our own directories, but for the client's own backup.
fn is_in_our_files(setup: &Setup, what: &str) -> bool {
    let home = setup.person.home();
    let mut grep = Command::new("grep");
    grep.args(["-rqsF", what]).args([home.join(".config/ringfence"), home.join(".local")]);
    grep.status().unwrap().success()
}

/// Without an answer nothing is changed.
fn only_says_what_there_is(setup: &Setup, before: &str) {
    let (person, config) = (&setup.person, setup.person.home().join(".claude.json"));
    // It only says what there is.
    let listed: Value =
        serde_json::from_str(&person.succeed(&["mcp", "import", "--json"])).unwrap();
    conforms(&listed, "mcp-import.schema.json");
    let states: Vec<&str> = listed["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["found", "found", "already", "cannot"], "{listed}");
    let output = person.ringfence(&["mcp", "import"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no terminal to ask on") && said.contains("add `--all`"), "{said}");
    assert!(said.contains("broken: /usr/bin/false") && !said.contains("left as it is"), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
    assert!(!setup.own().join("mcp").exists());
}

#[test]
fn what_a_client_starts_is_taken_over_and_put_back() {
    for who in Who::all() {
        let setup = setup(who);
        let person = &setup.person;
        let config = person.home().join(".claude.json");
        let before = json!({"numStartups": 1, "mcpServers": {
            "My Notes": server(&json!({"GITHUB_TOKEN": secret(), "PLAIN": "x"})),
            "broken": {"command": "/usr/bin/false"},
            "mine": {"command": "ringfence", "args": ["mcp", "run"]},
            "odd": {"command": 1},
        }});
        let before = serde_json::to_string_pretty(&before).unwrap();
        fs::write(&config, &before).unwrap();
        person.give(&person.home());
        only_says_what_there_is(&setup, &before);
        let output = person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
        let said = text(&output);
        // One of them cannot be started.
        assert_eq!(output.status.code(), Some(1), "{who:?}: {said}");
        assert!(
            said.contains("My Notes (as `my-notes`)") && said.contains("left as it is: broken"),
            "{said}"
        );
        assert!(!said.contains(&secret()) && said.contains("[secret]"), "{who:?}: {said}");
        assert!(!is_in_our_files(&setup, &secret()), "{who:?}");
        let now: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
        let notes = &now["mcpServers"]["My Notes"];
        assert_eq!(notes["args"], json!(["mcp", "run", "my-notes", "--agent", "claude"]), "{now}");
        assert_eq!(now["mcpServers"]["broken"]["command"], "/usr/bin/false");
        assert!(notes.get("env").is_none() && now["numStartups"] == 1, "{now}");
        let pinned = fs::read_to_string(setup.own().join("mcp/my-notes.json")).unwrap();
        assert!(
            pinned.contains("\"PLAIN\": \"x\"") && !pinned.contains("GITHUB_TOKEN"),
            "{pinned}"
        );
        let kept = person.succeed(&["secret", "list"]);
        assert!(
            kept.contains("my-notes-github-token") && kept.contains("api.github.com"),
            "{kept}"
        );
        let rules = setup.rules();
        assert!(
            rules.contains("principal == Agent::\"claude\"")
                && rules.contains("Secret::\"my-notes-github-token\""),
            "{rules}"
        );

        // What the client starts is the gate, with the server behind it.
        let words: Vec<String> = notes["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut talk = Talk::with(person.ringfence(&words));
        assert_eq!(
            talk.call("read_note", json!({"path": "server.py"})).0,
            "called read_note",
            "{who:?}"
        );
        talk.end();

        let undone = person.ringfence(&["mcp", "import", "--undo", "--all"]).output().unwrap();
        assert!(undone.status.success(), "{who:?}: {}", text(&undone));
        assert_eq!(fs::read_to_string(&config).unwrap(), before, "{who:?}");
        let again = person.ringfence(&["mcp", "import", "--undo", "--all"]).output().unwrap();
        assert_eq!(again.status.code(), Some(1), "{who:?}: {}", text(&again));
    }
}

#[test]
fn a_secret_without_a_known_place_is_asked_about_and_never_copied() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let value = "s3cr3t-value-of-nobody";
    let config = person.project().join(".mcp.json");
    fs::write(
        &config,
        json!({"mcpServers": {"notes": server(&json!({"NOTES_API_KEY": value}))}}).to_string(),
    )
    .unwrap();
    let output = person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ringfence secret add notes-notes-api-key --for HOST"), "{said}");
    assert!(fs::read_to_string(&config).unwrap().contains(value));
    assert!(!is_in_our_files(&setup, value) && !setup.own().join("mcp/notes.json").exists());
    let answers = [
        ("take over `notes`", "y"),
        // What is asked for is a name, and no yes.
        ("nothing to leave the server as it is", "y"),
        ("`y` is no host", "no"),
        ("`no` is no host", "https://notes.example.com"),
        ("is a whole address", "notes.example.com"),
        ("let it reach that?", "y"),
        ("pin these", "y"),
        ("change the policy so?", "y"),
        ("change `", "y"),
    ];
    let (said, code) = setup.typed(&answers, &["mcp", "import"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(value) && !is_in_our_files(&setup, value), "{said}");
    assert!(!fs::read_to_string(&config).unwrap().contains(value));
    // Nothing is kept of what the person leaves.
    person.succeed(&["mcp", "import", "--undo", "--all"]);
    person.succeed(&["mcp", "remove", "notes"]);
    person.succeed(&["secret", "remove", "notes-notes-api-key", "--yes"]);
    let answers =
        [("take over `notes`", "y"), ("its host", "notes.example.com"), ("pin these", "n")];
    let (said, code) = setup.typed(&answers, &["mcp", "import"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("forgotten: the secret") && said.contains("left as it is"), "{said}");
    assert!(!person.succeed(&["secret", "list"]).contains("notes-notes"), "{said}");
}

#[test]
fn what_a_project_says_takes_nothing_of_the_environment() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    for (name, said) in [
        (
            "header",
            json!({"url": "http://127.0.0.1:1/mcp", "headers": {"X-Info": "${AWS_SECRET_ACCESS_KEY}"}}),
        ),
        ("variable", server(&json!({"FOO": "${AWS_SECRET_ACCESS_KEY}"}))),
    ] {
        let file = json!({"mcpServers": {name: said}}).to_string();
        person.write(".mcp.json", &file);
        let mut command = person.ringfence(&["mcp", "import", "--client", "claude", "--all"]);
        command.env("AWS_SECRET_ACCESS_KEY", "from-the-environment");
        let said = text(&command.output().unwrap());
        assert!(said.contains("it takes `$AWS_SECRET_ACCESS_KEY` from your environment"), "{said}");
        assert!(!is_in_our_files(&setup, "from-the-environment"), "{name}");
        assert_eq!(fs::read_to_string(person.project().join(".mcp.json")).unwrap(), file);
        // The same in a file of the person's own is theirs to say.
        if name == "variable" {
            let home =
                json!({"mcpServers": {name: server(&json!({"FOO": "${AWS_SECRET_ACCESS_KEY}"}))}});
            fs::remove_file(person.project().join(".mcp.json")).unwrap();
            fs::write(person.home().join(".claude.json"), home.to_string()).unwrap();
            person.give(&person.home());
            let mut command = person.ringfence(&["mcp", "import", "--json"]);
            command.env("AWS_SECRET_ACCESS_KEY", "from-the-environment");
            let said = text(&command.output().unwrap());
            assert!(said.contains(r#""found""#), "{said}");
        }
    }
}

#[test]
fn files_of_every_client_are_found_and_bad_ones_keep_no_others_from_it() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let home = person.home();
    let at = |path: &str, text: &str| {
        let path = home.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let json = |member: &str| json!({member: {"notes": {"command": "x"}}}).to_string();
    at(".claude.json", "{ broken");
    at(".config/Claude/claude_desktop_config.json", &json("mcpServers"));
    at(".cursor/mcp.json", &json("mcpServers"));
    at("project/.vscode/mcp.json", &json("servers"));
    at(".codex/config.toml", "[mcp_servers.notes]\ncommand = \"y\"\n");
    at(".gemini/settings.json", &json("mcpServers"));
    let output = person.ringfence(&["mcp", "import", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    conforms(&listed, "mcp-import.schema.json");
    let clients: Vec<&str> = listed["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["client"].as_str().unwrap())
        .collect();
    assert_eq!(clients, ["claude-desktop", "cursor", "vscode", "codex", "gemini"], "{listed}");
    // Another command under the same name is another server.
    assert_eq!(listed["servers"][3]["state"], "cannot", "{listed}");
    assert!(text(&output).contains("no JSON"), "{}", text(&output));
    let one = person.succeed(&["mcp", "import", "--json", "--client", "codex"]);
    assert_eq!(
        serde_json::from_str::<Value>(&one).unwrap()["servers"].as_array().unwrap().len(),
        1
    );
    for words in [
        &["mcp", "import", "--from", "../.claude.json"][..],
        &["mcp", "import", "--from", "nothing.json", "--client", "claude"],
        &["mcp", "import", "--from", "server.py"],
        &["mcp", "import", "--client", "emacs"],
    ] {
        let output = person.ringfence(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output));
    }
}

/// A value that only its look tells.
fn random() -> String {
    ["q7Zt", "2LmX9", "vB4nR8", "sK1pWd3"].concat()
}

#[test]
fn no_secret_is_stored_or_shown_in_the_clear_without_a_word() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let config = person.home().join(".claude.json");
    let servers = json!({"mcpServers": {
        "bare": server(&json!({"PGPASSWORD": "pw-of-nobody"})),
        "here": server(&json!({"PLAIN": "x"})),
        "odd": {"url": format!("https://a.example/mcp?key={}", random())},
        "oth": {"command": 1, "env": {"SERVICE_TOKEN": "token-of-others"}},
        "unsure": server(&json!({"WORKSPACE": random()})),
    }});
    let before = serde_json::to_string_pretty(&servers).unwrap();
    fs::write(&config, &before).unwrap();
    let listed: Value =
        serde_json::from_str(&person.succeed(&["mcp", "import", "--json"])).unwrap();
    conforms(&listed, "mcp-import.schema.json");
    assert_eq!(listed["servers"][0]["bare"], json!(["the variable `PGPASSWORD`"]), "{listed}");
    assert_eq!(listed["servers"][4]["unsure"], json!(["WORKSPACE"]), "{listed}");
    // Nobody is there to ask: what nothing can stand in for is left, what may be a secret is taken for one.
    let output = person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
    let said = text(&output);
    for part in [
        "does not go over HTTP, so that nothing can stand in for it",
        "a secret stands in its address (`key`)",
        "`WORKSPACE` of `unsure` is a secret",
        "[perhaps secret: WORKSPACE]",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let now = fs::read_to_string(&config).unwrap();
    assert!(now.contains("pw-of-nobody") && now.contains(&random()) && now.contains("\"here\""));
    for value in ["pw-of-nobody", "token-of-others", &random()] {
        assert!(!said.contains(value) && !is_in_our_files(&setup, value), "{value}: {said}");
    }
    person.succeed(&["mcp", "import", "--undo", "--all"]);
    // A person says what is what.
    let answers = [
        ("take over `bare`", "y"),
        ("store it in the clear in", "n"),
        ("take over `unsure`", "y"),
        ("keep `WORKSPACE` as a secret? [Y/n]", "n"),
        ("pin these", "y"),
        ("change the policy so?", "y"),
        ("change `", "y"),
    ];
    let (said, code) = setup.typed(&answers, &["mcp", "import"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("left as it is: bare") && !said.contains(&random()), "{said}");
    let pinned = fs::read_to_string(setup.own().join("mcp/unsure.json")).unwrap();
    assert!(pinned.contains(&random()) && !setup.own().join("mcp/bare.json").exists(), "{said}");
}

#[test]
fn an_undo_puts_back_what_was_made_here_and_nothing_else() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let config = person.home().join(".claude.json");
    let beside = person.home().join(".claude.json.before-ringfence");
    let before = json!({"mcpServers": {"here": server(&json!({}))}}).to_string();
    fs::write(&config, &before).unwrap();
    // Whoever can write beside the file could have any server started.
    fs::write(&beside, "{\"mcpServers\": {\"evil\": {\"command\": \"x\"}}}").unwrap();
    let undo = || {
        let output = person.ringfence(&["mcp", "import", "--undo", "--all"]).output().unwrap();
        (text(&output), output.status.code())
    };
    let (said, code) = undo();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("was not made here") && said.contains("nothing was put back"), "{said}");
    person.succeed(&["mcp", "import", "--all", "--no-policy"]);
    let left = fs::read_to_string(&config).unwrap();
    let backup = person.home().join(".claude.json.before-ringfence-2");
    fs::write(&backup, "{}").unwrap();
    let (said, code) = undo();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("not what was kept") && said.contains("run `diff "), "{said}");
    fs::write(&backup, &before).unwrap();
    fs::write(&config, "{\"theirs\": 1}").unwrap();
    let (said, code) = undo();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("changed it since"), "{said}");
    fs::write(&config, &left).unwrap();
    let (said, code) = undo();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
    assert!(beside.exists() && !backup.exists());
}

#[test]
fn an_undo_puts_back_our_entries_in_a_file_that_its_client_wrote_anew() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let config = person.home().join(".claude.json");
    let before = json!({"mcpServers": {"here": server(&json!({"A": "1"}))}});
    fs::write(&config, before.to_string()).unwrap();
    person.succeed(&["mcp", "import", "--all", "--no-policy"]);
    // Clients keep in it what they remember, and write it whole.
    let mut now: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    now["numStartups"] = json!(3);
    fs::write(&config, now.to_string()).unwrap();
    let output = person.ringfence(&["mcp", "import", "--undo", "--all"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in ["only what was written here goes back", "as they were in", "`here`"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let now: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
    assert_eq!(now, json!({"mcpServers": before["mcpServers"], "numStartups": 3}));
    assert!(!person.home().join(".claude.json.before-ringfence").exists());
    // What somebody has changed is theirs.
    person.succeed(&["mcp", "import", "--all", "--no-policy"]);
    let theirs = fs::read_to_string(&config).unwrap().replace("\"claude\"", "\"me\"");
    fs::write(&config, &theirs).unwrap();
    let output = person.ringfence(&["mcp", "import", "--undo", "--all"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("nothing of it was changed"), "{}", text(&output));
    assert_eq!(fs::read_to_string(&config).unwrap(), theirs);
}

#[test]
fn a_host_that_is_a_servers_own_and_its_secrets_is_proposed_once() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let entry = json!({"url": "https://127.0.0.1:1/mcp", "headers": {"Authorization": format!("Bearer {}", secret())}});
    let config = json!({"mcpServers": {"far": entry}}).to_string();
    fs::write(person.home().join(".claude.json"), config).unwrap();
    let said = text(&person.ringfence(&["mcp", "import", "--all"]).output().unwrap());
    let proposed: Vec<&str> =
        said.lines().filter(|line| line.contains("Endpoint::\"127.0.0.1:1\"")).collect();
    let added = proposed.iter().filter(|line| line.contains("+permit")).count();
    assert_eq!(added, 1, "{said}");
}

/// The first command with this in it that a hint names, word by word; none where no hint does.
fn command_with(said: &str, part: &str) -> Vec<String> {
    let mut named = said.split('`').filter(|it| it.starts_with("ringfence ") && it.contains(part));
    let words = named.next().unwrap_or_default().split_whitespace().skip(1);
    words.map(|it| it.trim_matches('\'').to_owned()).collect()
}

#[test]
fn a_server_whose_name_is_taken_is_taken_over_under_another() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let run = |words: &[&str]| person.ringfence(words).output().unwrap();
    let of = |args: &[&str]| json!({"mcpServers": {"Notes": {"command": "/usr/bin/python3", "args": args}}});
    fs::write(person.home().join(".claude.json"), of(&["server.py", "old"]).to_string()).unwrap();
    let cursor = person.home().join(".cursor/mcp.json");
    fs::create_dir_all(cursor.parent().unwrap()).unwrap();
    fs::write(&cursor, of(&["server.py", "new"]).to_string()).unwrap();
    // Two clients have one each.
    let output = run(&["mcp", "import", "--all", "--no-policy"]);
    let said = text(&output);
    assert!(
        output.status.success() && said.contains("another server is called `notes` already"),
        "{said}"
    );
    let named = command_with(&said, "--as ");
    assert_eq!(named[4..], ["--as".to_owned(), "Notes=notes-2".to_owned()], "{said}");
    // One of ours has the name.
    let output = run(&["mcp", "import", "--client", "cursor", "--all", "--no-policy"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("there is another server `notes` already"), "{said}");
    assert!(!said.contains("mcp remove"), "{said}");
    assert_eq!(command_with(&said, "--as "), named, "{said}");
    for (wrong, why) in [
        ("Other=notes-2", "no client starts a server that it calls `Other`"),
        ("Notes", "NAME=OTHER"),
        ("Notes=Two", "`Two` is no name of a server"),
    ] {
        let output = run(&["mcp", "import", "--all", "--as", wrong]);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(why), "{}", text(&output));
    }
    let mut words: Vec<&str> = named.iter().map(String::as_str).collect();
    words.extend(["--all", "--no-policy"]);
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output));
    let now: Value = serde_json::from_str(&fs::read_to_string(&cursor).unwrap()).unwrap();
    let started = json!(["mcp", "run", "notes-2", "--agent", "cursor"]);
    assert_eq!(now["mcpServers"]["Notes"]["args"], started, "{now}");
    let first = fs::read_to_string(setup.own().join("mcp/notes.json")).unwrap();
    assert!(first.contains("old") && !first.contains("\"new\""), "{first}");
}

#[test]
fn an_undo_names_what_was_added_and_nothing_starts_any_more() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let run = |words: &[&str]| person.ringfence(words).output().unwrap();
    let config = json!({"mcpServers": {"notes": server(&json!({"GITHUB_TOKEN": secret()}))}});
    fs::write(person.home().join(".claude.json"), config.to_string()).unwrap();
    fs::create_dir_all(person.home().join(".cursor")).unwrap();
    fs::write(person.home().join(".cursor/mcp.json"), config.to_string()).unwrap();
    let output = run(&["mcp", "import", "--yes"]);
    assert!(output.status.success(), "{}", text(&output));
    // The other client starts it still.
    let said = text(&run(&["mcp", "import", "--undo", "--yes", "--client", "claude"]));
    assert!(said.contains("as it was") && !said.contains("mcp remove"), "{said}");
    let output = run(&["mcp", "import", "--undo", "--yes"]);
    let said = text(&output);
    assert!(output.status.success() && said.contains("what was added for it stays"), "{said}");
    let (server, secret) =
        (command_with(&said, "mcp remove"), command_with(&said, "secret remove"));
    assert_eq!(server, ["mcp", "remove", "notes"], "{said}");
    assert_eq!(secret, ["secret", "remove", "notes-github-token"], "{said}");
    // Its rules name the secret: they go with the server.
    let early = run(&["secret", "remove", "notes-github-token"]);
    assert_eq!(early.status.code(), Some(2), "{}", text(&early));
    assert!(text(&early).contains("a rule speaks of it") && text(&early).contains("add `--yes`"));
    person.succeed(&["mcp", "remove", "notes", "--yes"]);
    person.succeed(&["secret", "remove", "notes-github-token"]);
    let said = text(&run(&["mcp", "import", "--undo", "--yes"]));
    assert!(said.contains("nothing was put back") && !said.contains("remove"), "{said}");
}

#[test]
fn a_second_client_is_given_rules_of_its_own_for_a_server_that_is_here_already() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let servers = json!({"mcpServers": {"notes": server(&json!({}))}}).to_string();
    fs::write(person.home().join(".claude.json"), &servers).unwrap();
    person.succeed(&["mcp", "import", "--all"]);
    let cursor = person.home().join(".cursor/mcp.json");
    fs::create_dir_all(cursor.parent().unwrap()).unwrap();
    fs::write(&cursor, &servers).unwrap();
    let import = |more: &[&str]| {
        let words = [&["mcp", "import", "--all", "--client", "cursor"], more].concat();
        let output = person.ringfence(&words).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let tools = || {
        let mut talk = Talk::with(person.ringfence(&["mcp", "run", "notes", "--agent", "cursor"]));
        let tools = talk.tools();
        talk.end();
        tools
    };
    // Who wants no rules is given none.
    let said = import(&["--no-policy"]);
    assert!(!said.contains("permit (") && tools().is_empty(), "{said}");
    person.succeed(&["mcp", "import", "--undo", "--all", "--client", "cursor"]);
    let said = import(&[]);
    assert!(said.contains("+permit (principal == Agent::\"cursor\""), "{said}");
    assert_eq!(tools(), ["read_note"], "{said}");
    // What it has is not proposed again.
    let rules = setup.rules();
    person.succeed(&["mcp", "import", "--undo", "--all", "--client", "cursor"]);
    let said = import(&[]);
    assert!(!said.contains("permit (") && setup.rules() == rules, "{said}");
    // They go with the server like all that was written for it.
    person.succeed(&["mcp", "remove", "notes", "--yes"]);
    assert!(!setup.rules().contains("cursor"), "{}", setup.rules());
}

/// The file of each client with one server in it, as a person may have written it, below the home.
const FILES: [(&str, &str, &str); 6] = [
    (
        "claude",
        ".claude.json",
        "{\"numStartups\": 1,\n  \"mcpServers\": {\"notes\":SERVER}, \"z\": 1.50}",
    ),
    (
        "claude-desktop",
        ".config/Claude/claude_desktop_config.json",
        "{\r\n\t\"mcpServers\": {\r\n\t\t\"notes\": SERVER\r\n\t}\r\n}\r\n",
    ),
    ("cursor", ".cursor/mcp.json", "{ \"mcpServers\" : { \"notes\" : SERVER } }\n\n"),
    (
        "vscode",
        "project/.vscode/mcp.json",
        "{\n  // ours\n  \"servers\": {\n    /* one */ \"notes\": SERVER,\n  },\n}\n",
    ),
    (
        "codex",
        ".codex/config.toml",
        "# mine\nmodel = \"x\"\n\n[mcp_servers.notes] # notes\ncommand = '/usr/bin/python3'\nargs = [ \"server.py\", \
         \"old\" ]\n\n[other]\na   = 1",
    ),
    (
        "gemini",
        ".gemini/settings.json",
        "{\"theme\":\"x\",\"mcpServers\":{\"notes\":SERVER},\"\u{fc}\":\"\\u00fc\"}",
    ),
];

/// The same where clients have their files elsewhere: below the home as on other systems, and in projects.
const FILES_ELSEWHERE: [(&str, &str, &str); 8] = [
    (
        "claude",
        ".claude.json",
        "{\"numStartups\": 1, \"projects\": {\n  \"/far\": {},\n  \"PROJECT\": {\"mcpServers\": {\"notes\":SERVER}}}}",
    ),
    ("claude", "project/.mcp.json", "{\"mcpServers\":\n{\"notes\": SERVER}}"),
    (
        "claude-desktop",
        "Library/Application Support/Claude/claude_desktop_config.json",
        "{\"mcpServers\":{\"notes\":SERVER}}\n",
    ),
    (
        "vscode",
        ".config/Code/User/mcp.json",
        "{\n\t\"servers\": {\n\t\t\"notes\": SERVER, // ours\n\t},\n\t\"inputs\": []\n}",
    ),
    (
        "vscode",
        "Library/Application Support/Code/User/mcp.json",
        "{ \"servers\": {\"notes\": SERVER} }\r\n",
    ),
    ("cursor", "project/.cursor/mcp.json", "{\"mcpServers\": {\"notes\": SERVER }}"),
    (
        "codex",
        "project/.codex/config.toml",
        "[mcp_servers]\n# mine\nnotes = { command = \"/usr/bin/python3\", args = [\"server.py\", \"old\"] }\n",
    ),
    ("gemini", "project/.gemini/settings.json", "\n{\"mcpServers\":{\n\"notes\":SERVER}}"),
];

#[test]
fn the_file_of_every_client_is_taken_over_and_put_back_byte_for_byte() {
    taken_over_and_put_back(&FILES);
}

#[test]
fn files_elsewhere_and_in_projects_are_taken_over_and_put_back_byte_for_byte() {
    taken_over_and_put_back(&FILES_ELSEWHERE);
}

fn taken_over_and_put_back(files: &[(&'static str, &str, &str)]) {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let entry = "{\"command\": \"/usr/bin/python3\",  \"args\": [\"server.py\", \"old\"]}";
    let project = person.project().display().to_string();
    let texts = files.iter().map(|(client, path, text)| {
        let text = text.replace("SERVER", entry).replace("PROJECT", &project);
        (*client, person.home().join(path), text)
    });
    let texts: Vec<(&str, PathBuf, String)> = texts.collect();
    for (_, path, text) in &texts {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let output = person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    for (client, path, before) in &texts {
        let now = fs::read_to_string(path).unwrap();
        let close: String = now.chars().filter(|it| !it.is_whitespace()).collect();
        let started = format!("[\"mcp\",\"run\",\"notes\",\"--agent\",\"{client}\"]");
        assert!(
            close.contains(&started) && !close.contains("python3"),
            "{}: {now}",
            path.display()
        );
        for kept in ["// ours", "# mine", "\"numStartups\": 1", "1.50", "a   = 1", "\\u00fc"] {
            assert_eq!(now.contains(kept), before.contains(kept), "{client}, {kept}: {now}");
        }
    }
    let clients: BTreeSet<&str> = texts.iter().map(|(client, _, _)| *client).collect();
    for client in clients {
        let words = ["mcp", "run", "notes", "--agent", client];
        let mut talk = Talk::with(person.ringfence(&words));
        let said = talk.call("read_note", json!({"path": "server.py"})).0;
        assert_eq!(said, "called read_note", "{client}");
        talk.end();
    }
    let output = person.ringfence(&["mcp", "import", "--undo", "--all"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    for (_, path, before) in &texts {
        assert_eq!(&fs::read_to_string(path).unwrap(), before, "{}", path.display());
    }
}

#[test]
fn a_link_in_a_project_leads_to_no_other_file_of_the_person() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let servers = json!({"mcpServers": {"notes": server(&json!({}))}}).to_string();
    let own = person.home().join("private.json");
    fs::write(&own, &servers).unwrap();
    let link = person.project().join(".mcp.json");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let output = person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
    let said = text(&output);
    assert!(said.contains("a link leads out of your home, or of the project"), "{said}");
    assert!(said.contains("no server was found"), "{said}");
    assert_eq!(fs::read_to_string(&own).unwrap(), servers);
    // One within the project is what it leads to, and so is one of the person's own.
    fs::remove_file(&link).unwrap();
    fs::rename(&own, person.project().join("shared.json")).unwrap();
    std::os::unix::fs::symlink("shared.json", &link).unwrap();
    let dotfiles = person.home().join("dotfiles.json");
    fs::write(&dotfiles, &servers).unwrap();
    std::os::unix::fs::symlink(&dotfiles, person.home().join(".claude.json")).unwrap();
    let output = person.ringfence(&["mcp", "import", "--all"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    for file in [person.project().join("shared.json"), dotfiles] {
        let now = fs::read_to_string(&file).unwrap();
        assert!(now.contains("\"run\""), "{now}");
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_policy_that_is_a_link_stays_one_and_a_projects_server_that_is_one_is_refused() {
    let setup = setup(Who::Caller);
    let person = &setup.person;
    let real = person.home().join("dotfiles.cedar");
    fs::rename(setup.policy(), &real).unwrap();
    std::os::unix::fs::symlink(&real, setup.policy()).unwrap();
    let add = |more: &[&str]| {
        let words = [&["mcp", "add", "notes", "--yes"], more, &["--", "/usr/bin/python3"]].concat();
        let words = [&words[..], &["server.py", "old"]].concat();
        person.ringfence(&words).output().unwrap()
    };
    let output = add(&[]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(fs::symlink_metadata(setup.policy()).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().contains("notes/read_note"));
    let dir = person.project().join(".ringfence/mcp");
    fs::create_dir_all(&dir).unwrap();
    let pins = setup.own().join("mcp/notes.json");
    let before = fs::read_to_string(&pins).unwrap();
    std::os::unix::fs::symlink(&pins, dir.join("notes.json")).unwrap();
    let output = add(&["--project", "--no-policy"]);
    assert!(!output.status.success(), "{}", text(&output));
    assert_eq!(fs::read_to_string(&pins).unwrap(), before);
}
