use std::ffi::OsString;

use serde_json::json;

use super::entry::is_consumed;
use super::*;
use crate::environment::Environment;

fn file(dir: &Path, client: Client, name: &str, text: &str) -> Result<ClientFile, ClientError> {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    ClientFile::read(client, &path, &[dir]).map(Option::unwrap)
}

fn environment(all: &[(&str, &str)]) -> Environment {
    all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn understood(said: Value) -> Understood {
    let entry = Entry { name: "x".to_owned(), project: None, said };
    let environment =
        environment(&[("PLAIN", "yes"), ("GITHUB_TOKEN", "abcdefghijkl"), ("SECRET_PW", "pw")]);
    entry.understood(&environment, Path::new("/home/ada"), Path::new("/home/ada/project"))
}

fn described(said: Value) -> Described {
    match understood(said) {
        Understood::Server(described) => *described,
        other @ (Understood::Already | Understood::Not(_)) => panic!("{other:?}"),
    }
}

fn why_not(said: Value) -> String {
    match understood(said) {
        Understood::Not(why) => why,
        other @ (Understood::Already | Understood::Server(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_changed_in_the_entries_that_are_taken_over_and_in_no_other_byte() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\n  // which tools I have\n  \"servers\": {\n    \"files\": {\n      \"command\": \"npx\", // fast\n      \
                \"args\": [\"files\", \"/data\",],\n      \"env\": {\"A\": \"1\"},\n      \"cwd\": \"/srv\",\n      \
                \"dev\": {\"watch\": \"x\"}\n    },\n    /* not this one */\n    \"other\": { \"url\" : \"https://a.example/mcp\" },\n  \
                },\n  \"inputs\": [ ]\n}\n";
    let read = file(dir.path(), Client::Vscode, ".vscode/mcp.json", text).unwrap();
    assert_eq!(read.entries.len(), 2);
    let name: ServerName = "files".parse().unwrap();
    let (new, lose) = read.with(&[(0, &name)], "ringfence").unwrap();
    assert_eq!(lose, ["files"]);
    let expected = "{\n  // which tools I have\n  \"servers\": {\n    \"files\": {\n      \"type\": \"stdio\",\n      \
                    \"command\": \"ringfence\",\n      \"args\": [\n        \"mcp\",\n        \"run\",\n        \"files\",\n        \
                    \"--agent\",\n        \"vscode\"\n      ],\n      \"dev\": {\n        \"watch\": \"x\"\n      },\n      \
                    \"cwd\": \"/srv\"\n    },\n    /* not this one */\n    \"other\": { \"url\" : \"https://a.example/mcp\" },\n  \
                    },\n  \"inputs\": [ ]\n}\n";
    assert_eq!(new, expected);
    // What was changed is ours when it is read again.
    let again = file(dir.path(), Client::Vscode, ".vscode/mcp.json", &new).unwrap();
    let understood = again.entries[0].understood(&environment(&[]), dir.path(), dir.path());
    assert_eq!(understood, Understood::Already);
}

#[test]
fn projects_that_claude_code_keeps_in_one_file_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"{"numStartups": 3, "mcpServers": {"a": {"command": "x"}}, "projects": {
        "/p/one": {"mcpServers": {"a": {"command": "y"}}, "history": []}, "/p/two": {}, "/p/odd": 1}}"#;
    let read = file(dir.path(), Client::Claude, ".claude.json", text).unwrap();
    let all: Vec<_> = read.entries.iter().map(|it| (it.project.as_deref(), &it.said)).collect();
    assert_eq!(all, [(None, &json!({"command": "x"})), (Some("/p/one"), &json!({"command": "y"}))]);
    let (new, lose) = read.with(&[(1, &"b".parse().unwrap())], "/opt/ringfence").unwrap();
    let new: Value = serde_json::from_str(&new).unwrap();
    assert!(lose.is_empty());
    assert_eq!(new["mcpServers"]["a"]["command"], "x");
    let one = &new["projects"]["/p/one"];
    assert_eq!(one["mcpServers"]["a"]["args"], json!(["mcp", "run", "b", "--agent", "claude"]));
    assert_eq!((&one["history"], &new["numStartups"]), (&json!([]), &json!(3)));
}

#[test]
fn toml_keeps_its_comments_and_what_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let text = "# mine\nmodel = \"o\"\n\n[mcp_servers.git] # git\ncommand = \"uvx\"\nargs = [\"git\"]\n\
                startup_timeout_sec = 9 # slow\n[mcp_servers.git.env]\nA = \"1\"\n\n[mcp_servers.web]\n\
                url = \"https://a.example/mcp\"\nbearer_token_env_var = \"TOKEN\"\n";
    let read = file(dir.path(), Client::Codex, ".codex/config.toml", text).unwrap();
    let names: Vec<&str> = read.entries.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["git", "web"]);
    let (git, web) = ("git".parse().unwrap(), "web".parse().unwrap());
    let (new, _) = read.with(&[(0, &git), (1, &web)], "ringfence").unwrap();
    for part in ["# mine\nmodel = \"o\"", "# git\n", "startup_timeout_sec = 9 # slow"] {
        assert!(new.contains(part), "{part}: {new}");
    }
    assert!(!new.contains("A = ") && !new.contains("url") && !new.contains("TOKEN"), "{new}");
    assert_eq!(new.matches("command = \"ringfence\"").count(), 2, "{new}");
    assert!(new.contains(r#"args = ["mcp", "run", "web", "--agent", "codex"]"#), "{new}");
    file(dir.path(), Client::Codex, ".codex/config.toml", &new).unwrap();
}

#[test]
fn an_entry_that_its_client_has_switched_off_stays_so_when_it_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[mcp_servers.off]\ncommand = \"uvx\"\nargs = [\"git\"]\nenabled = false\n\n\
                [mcp_servers.on]\ncommand = \"uvx\"\n";
    let read = file(dir.path(), Client::Codex, ".codex/config.toml", text).unwrap();
    let (off, on) = ("off".parse().unwrap(), "on".parse().unwrap());
    let (new, _) = read.with(&[(0, &off), (1, &on)], "ringfence").unwrap();
    let again = file(dir.path(), Client::Codex, ".codex/config.toml", &new).unwrap();
    let said: Vec<_> =
        again.entries.iter().map(|it| (&it.said["command"], it.said.get("enabled"))).collect();
    assert_eq!(said, [(&json!("ringfence"), Some(&json!(false))), (&json!("ringfence"), None)]);
    let text = r#"{"mcpServers": {"off": {"command": "x", "disabled": true}}}"#;
    let read = file(dir.path(), Client::Cursor, ".cursor/mcp.json", text).unwrap();
    let (new, _) = read.with(&[(0, &"off".parse().unwrap())], "ringfence").unwrap();
    let new: Value = serde_json::from_str(&new).unwrap();
    assert_eq!(new["mcpServers"]["off"]["disabled"], json!(true), "{new}");
}

#[test]
fn a_file_that_cannot_be_understood_is_told_and_never_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let twice = r#"{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}"#;
    let many: Vec<String> =
        (0..300).map(|it| format!("\"s{it}\": {{\"command\": \"x\"}}")).collect();
    let many = format!("{{\"mcpServers\": {{{}}}}}", many.join(","));
    for (text, why) in [
        ("{", "no JSON"),
        ("", "no JSON"),
        ("{\"mcpServers\": [], }", "no object"),
        ("{\"mcpServers\": {} /* ", "no JSON"),
        ("{\"mcpServers\": {,}}", "no JSON"),
        ("{'mcpServers': {}}", "no JSON"),
        (&deep, "no JSON"),
        (twice, "two members called `a`"),
        (&many, "more than 200 servers"),
    ] {
        let error = file(dir.path(), Client::Cursor, ".cursor/mcp.json", text).unwrap_err();
        assert!(error.to_string().contains(why), "{text:.40}: {error}");
    }
    let toml = |text| file(dir.path(), Client::Codex, ".codex/config.toml", text).unwrap_err();
    assert!(toml("[mcp_servers").to_string().contains("no TOML"));
    assert!(toml("mcp_servers = 1").to_string().contains("is no table"));
    assert!(toml("[mcp_servers.a]\n[mcp_servers.a]").to_string().contains("no TOML"));
    fs::write(dir.path().join("x.json"), [0xff, 0xfe]).unwrap();
    let bytes = ClientFile::read(Client::Cursor, &dir.path().join("x.json"), &[dir.path()]);
    assert!(bytes.unwrap_err().to_string().contains("not UTF-8"));
    let large = File::create(dir.path().join("large.json")).unwrap();
    large.set_len(CLIENT_FILE_BYTES_MAX + 1).unwrap();
    let large = ClientFile::read(Client::Cursor, &dir.path().join("large.json"), &[dir.path()]);
    assert!(large.unwrap_err().to_string().contains("more than"));
    let none = ClientFile::read(Client::Cursor, &dir.path().join("none"), &[dir.path()]);
    assert!(none.unwrap().is_none());
}

#[test]
fn a_link_is_followed_within_the_home_and_not_out_of_it() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [home.path(), other.path()] {
        fs::write(dir.join("real.json"), "{\"mcpServers\": {\"a\": {\"command\": \"x\"}}}")
            .unwrap();
    }
    std::os::unix::fs::symlink("real.json", home.path().join("in.json")).unwrap();
    std::os::unix::fs::symlink(other.path().join("real.json"), home.path().join("out.json"))
        .unwrap();
    let read =
        |name: &str| ClientFile::read(Client::Cursor, &home.path().join(name), &[home.path()]);
    assert!(read("out.json").unwrap_err().to_string().contains("leads out"));
    let inner = read("in.json").unwrap().unwrap();
    fs::set_permissions(home.path().join("real.json"), fs::Permissions::from_mode(0o640)).unwrap();
    let inner = ClientFile { mode: 0o640, ..inner };
    let backups = Backups { at: home.path().join("state/clients.json") };
    let backup = backups.replace(&inner, "{}", (&[], &[])).unwrap();
    assert!(fs::symlink_metadata(home.path().join("in.json")).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(home.path().join("real.json")).unwrap(), "{}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home.path().join("real.json")), mode(&backup)), (0o640, 0o600));
    // Whoever has changed it meanwhile keeps what they wrote.
    assert!(matches!(backups.replace(&inner, "[]", (&[], &[])), Err(ClientError::Changed(_))));
}

#[test]
fn nothing_is_put_back_that_was_not_there_and_in_the_place_of_nothing_that_others_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let real = fs::canonicalize(dir.path()).unwrap().join("real.json");
    let before = "{\"mcpServers\": {\"a\": {\"command\": \"x\"}}}";
    let at = |text: &str| {
        fs::write(&real, text).unwrap();
        ClientFile::read(Client::Cursor, &real, &[dir.path()]).unwrap().unwrap()
    };
    let backups = Backups { at: dir.path().join("state/clients.json") };
    // One that lies there is nobody's that we know of.
    let others = real.with_file_name("real.json.before-ringfence");
    fs::write(&others, "{\"evil\": 1}").unwrap();
    let first = at(before);
    assert!(backups.last(Client::Cursor, &real).unwrap().is_none() && lies_beside(&real).is_some());
    let backup = backups.replace(&first, "{}", (&[], &[])).unwrap();
    assert!(backup.ends_with("real.json.before-ringfence-2"));
    let refused = |why: &str| {
        let error = backups.last(Client::Cursor, &real).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    fs::write(&real, "{ }").unwrap();
    refused("changed it since");
    fs::write(&real, "{}").unwrap();
    fs::write(&backup, "{\"evil\": 1}").unwrap();
    refused("not what was kept");
    fs::remove_file(&backup).unwrap();
    refused("cannot read");
    fs::write(&backup, before).unwrap();
    let undo = backups.last(Client::Cursor, &real).unwrap().unwrap();
    fs::write(&real, "{ }").unwrap();
    assert!(matches!(backups.put_back(&undo), Err(ClientError::Changed(_))));
    fs::write(&real, "{}").unwrap();
    // What was made twice is put back in two steps.
    let again = backups.replace(&at("{}"), "{\"a\": 1}", (&[], &[])).unwrap();
    assert!(backups.put_back(&undo).is_err());
    backups.put_back(&backups.last(Client::Cursor, &real).unwrap().unwrap()).unwrap();
    assert!(fs::read_to_string(&real).unwrap() == "{}" && !again.exists() && backup.exists());
    backups.put_back(&backups.last(Client::Cursor, &real).unwrap().unwrap()).unwrap();
    assert!(fs::read_to_string(&real).unwrap() == before && !backup.exists() && others.exists());
    assert!(backups.last(Client::Cursor, &real).unwrap().is_none());
    // What is remembered and cannot be read is no reason to guess.
    fs::write(&backups.at, "{").unwrap();
    assert!(matches!(backups.last(Client::Cursor, &real), Err(ClientError::Remembered { .. })));
    assert!(matches!(
        backups.replace(&at(before), "{}", (&[], &[])),
        Err(ClientError::Remembered { .. })
    ));
    assert_eq!(fs::read_to_string(&real).unwrap(), before);
}

/// A file that was rewritten, and that somebody has changed since; what can be put back of it.
fn changed(
    (client, name): (Client, &str),
    (before, taken): (&str, &[&str]),
    change: impl Fn(&str) -> String,
) -> (tempfile::TempDir, Backups, Result<Option<Undo>, ClientError>) {
    let dir = tempfile::tempdir().unwrap();
    let file = file(dir.path(), client, name, before).unwrap();
    let backups = Backups { at: dir.path().join("state/clients.json") };
    let names: Vec<ServerName> = taken.iter().map(|it| it.parse().unwrap()).collect();
    let at = |name: &ServerName| file.entries.iter().position(|it| it.name == name.as_str());
    let taken: Vec<(usize, &ServerName)> =
        names.iter().map(|name| (at(name).unwrap(), name)).collect();
    let (text, _) = file.with(&taken, "ringfence").unwrap();
    backups.replace(&file, &text, (&taken, &[])).unwrap();
    fs::write(&file.path, change(&text)).unwrap();
    let undo = backups.last(client, &file.path);
    (dir, backups, undo)
}

#[test]
fn of_a_file_that_its_client_wrote_anew_our_own_entries_go_back_alone() {
    let before = r#"{
  "mcpServers": {
    "a": {"command": "x", /* why */ "args": ["1"], "env": {"K": "v"}},
    "b": {"command": "y"},
    "theirs": {"command": "z"}
  },
  "projects": {"/p": {"mcpServers": {"a": {"command": "other"}}}}
}"#;
    let of = (Client::Claude, ".claude.json");
    let with_more = |text: &str| text.replacen('{', "{\n  \"numStartups\": 7,", 1);
    let (_dir, backups, undo) = changed(of, (before, &["a", "b"]), with_more);
    let undo = undo.unwrap().unwrap();
    assert_eq!(undo.before, with_more(before));
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(undo.extent, Extent::Entries { back: both, changed: vec![], gone: vec![] });
    backups.put_back(&undo).unwrap();
    assert_eq!(fs::read_to_string(&undo.path).unwrap(), with_more(before));
    assert!(!undo.backup.exists() && backups.last(Client::Claude, &undo.path).unwrap().is_none());
    // The members of an entry in another order are the same entry; what somebody changed is theirs.
    let mixed = |text: &str| {
        let mut all: Value = serde_json::from_str(text).unwrap();
        all["mcpServers"]["b"]["args"][2] = json!("other");
        let a = all["mcpServers"]["a"].as_object().unwrap().clone();
        let reversed: serde_json::Map<_, _> = a.into_iter().rev().collect();
        all["mcpServers"]["a"] = Value::Object(reversed);
        all.to_string()
    };
    let (_dir, backups, undo) = changed(of, (before, &["a", "b"]), mixed);
    let undo = undo.unwrap().unwrap();
    let (back, changed_since) = (vec!["a".to_owned()], vec!["b".to_owned()]);
    assert_eq!(undo.extent, Extent::Entries { back, changed: changed_since, gone: vec![] });
    backups.put_back(&undo).unwrap();
    let now = fs::read_to_string(&undo.path).unwrap();
    assert!(now.contains("/* why */") && now.contains("\"other\""), "{now}");
    // Its copy stays for whoever compares; nothing more goes back.
    assert!(undo.backup.exists());
    let error = backups.last(Client::Claude, &undo.path).unwrap_err().to_string();
    assert!(error.contains("changed it since") && error.contains("no entry in it"), "{error}");
}

#[test]
fn an_entry_that_is_gone_is_not_made_again_and_toml_keeps_its_order() {
    let before = "model = \"x\" # mine\n\n[mcp_servers.a]\ncommand = \"x\" # why\n\n\
                  [mcp_servers.a.env]\nK = \"v\"\n\n[mcp_servers.b]\ncommand = \"y\"\n\n[tui]\nz = 1\n";
    let of = (Client::Codex, ".codex/config.toml");
    let more = |text: &str| text.replace("z = 1", "z = 2");
    let (_dir, backups, undo) = changed(of, (before, &["a"]), more);
    let undo = undo.unwrap().unwrap();
    assert_eq!(undo.before, more(before));
    backups.put_back(&undo).unwrap();
    let gone = |text: &str| text.split("[mcp_servers.b]").next().unwrap().to_owned();
    let (_dir, _, undo) = changed(of, (before, &["a", "b"]), gone);
    let undo = undo.unwrap().unwrap();
    let (back, gone) = (vec!["a".to_owned()], vec!["b".to_owned()]);
    assert_eq!(undo.extent, Extent::Entries { back, changed: vec![], gone });
    assert!(!undo.before.contains("mcp_servers.b") && undo.before.contains("# why"));
    // Where nothing is left of ours, nothing is put back; nor where nothing of it can be read.
    for text in ["model = \"x\"\n", "[mcp_servers", "mcp_servers = 1\n"] {
        let (_dir, _, undo) = changed(of, (before, &["a", "b"]), |_| text.to_owned());
        assert!(undo.is_err(), "{text}");
    }
}

#[test]
fn secrets_are_told_from_what_anybody_may_see() {
    let all = described(json!({"command": "npx", "args": ["-y", "x"], "env": {
        "GITHUB_TOKEN": "whatever-it-is", "MY_PAT": "${GITHUB_TOKEN}", "API_KEY": "${env:MISSING}", "DEBUG": "1",
        "TOKEN_FILE": "/run/x", "MODE": "$PLAIN", "N": 3, "ROOT": "${workspaceFolder}/src",
        "DATABASE": "postgres://ada:pass@db.example/x",
    }}));
    let names = |all: &std::collections::BTreeMap<String, Sensitive>| {
        all.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&all.secret_env), "API_KEY GITHUB_TOKEN MY_PAT");
    assert!(all.secret_env["MY_PAT"].is == Reference::Variable("GITHUB_TOKEN".to_owned()));
    let plain: Vec<String> =
        all.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        plain.join(" "),
        "DATABASE=postgres://ada:pass@db.example/x DEBUG=1 MODE=yes N=3 ROOT=/home/ada/project/src TOKEN_FILE=/run/x"
    );
    assert_eq!(
        all.bare.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(),
        ["the variable `DATABASE`"]
    );
    assert!(!format!("{all:?}").contains("whatever"));
    let all = described(json!({"httpUrl": "https://a.example/mcp", "headers": {
        "Authorization": "Bearer abcdef", "X-Api-Key": "k", "Accept-Language": "de", "X-Trace": "${TRACE}",
    }}));
    assert_eq!(names(&all.secret_headers), "Authorization X-Api-Key X-Trace");
    assert_eq!(all.secret_headers["Authorization"].prefix, "Bearer");
    assert_eq!(all.headers.len(), 1);
    let codex = described(
        json!({"url": "https://a.example/mcp", "bearer_token_env_var": "T", "env_http_headers": {"X-Org": "ORG"}}),
    );
    assert!(codex.secret_headers["Authorization"].is == Reference::Variable("T".to_owned()));
    assert_eq!(names(&codex.secret_headers), "Authorization X-Org");
}

#[test]
fn what_may_be_a_secret_is_told_apart_so_that_a_person_can_be_asked() {
    let key = ["q7Zt", "2LmX9", "vB4nR8", "sK1pWd3"].concat();
    let all = described(json!({"command": "x", "args": ["--project", key], "env": {
        "WORKSPACE": key, "PGPASSWORD": "pw", "MYSQL_PWD": "$SECRET_PW", "HOST": "db.example",
    }}));
    assert!(all.secret_env.is_empty());
    let bare: Vec<&str> = all.bare.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        bare,
        ["the variable `PGPASSWORD`", "the variable `MYSQL_PWD`", "word 2 of its command"]
    );
    let mut kept = all.clone();
    kept.keep_secret("WORKSPACE");
    assert!(kept.secret_env["WORKSPACE"].is == Reference::Value(key.clone()));
    assert!(!kept.env.contains_key("WORKSPACE") && all.env.contains_key("WORKSPACE"));
    let all = described(json!({"url": format!("https://mcp.tavily.com/mcp/?tavilyApiKey={key}")}));
    assert_eq!(all.url.as_deref(), Some("https://mcp.tavily.com/mcp/"));
    assert!(all.secret_headers["Authorization"].is == Reference::Value(key.clone()));
    let all = described(json!({"url": format!("https://a.example/s/{key}/mcp?profile={key}")}));
    let bare: Vec<&str> = all.bare.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(bare, ["a part of its address", "`profile` in its address"]);
    let all = described(json!({"url": "https://a.example/mcp", "headers": {"X-Org": key}}));
    assert!(all.unsure.contains_key("X-Org") && all.headers.contains_key("X-Org"));
    for (url, why) in [
        ("https://a.example/mcp?api_key=x", "a secret stands in its address (`api_key`)"),
        ("https://evil.example/mcp.tavily.com?tavilyApiKey=x", "a secret stands in its address"),
        ("https://ada:pw@a.example/mcp", "a login stands in its address"),
    ] {
        assert!(why_not(json!({"url": url})).contains(why), "{url}");
    }
}

#[test]
fn what_only_the_client_knows_is_not_taken_over() {
    for (said, why) in [
        (json!([]), "no object"),
        (json!({}), "neither"),
        (json!({"command": "x", "url": "https://a.example/"}), "neither"),
        (json!({"command": 1}), "`command` is no text"),
        (json!({"command": "x", "args": "y"}), "`args` is no list"),
        (json!({"command": "x", "args": [1]}), "`args` is no list"),
        (json!({"command": "x", "env": {"A": ["b"]}}), "`env` are no"),
        (json!({"command": "x", "env": {"A": "${NOT_SET}"}}), "not set here"),
        (json!({"command": "x", "env": {"A": "${input:key}"}}), "asks for `A`"),
        (json!({"command": "x", "envFile": ".env"}), "envFile"),
        (json!({"command": "${extensionPath}/x"}), "only the client can fill in"),
        (json!({"command": "x", "args": ["${A:-b}"]}), "only the client can fill in"),
        (json!({"command": "x", "args": ["postgres://ada:pass@db.example/x"]}), "in its arguments"),
        (
            json!({"command": "x", "args": [format!("--token=ghp_{}", "a1B2".repeat(9))]}),
            "in its arguments",
        ),
    ] {
        let found = why_not(said.clone());
        assert!(found.contains(why), "{said}: {found}");
        assert!(!found.contains("pass") && !found.contains("ghp_"), "{found}");
    }
    for said in [
        json!({"command": "ringfence", "args": ["mcp", "run"]}),
        json!({"command": "/opt/bin/ringfence", "args": ["mcp", "run", "x"], "cwd": "/"}),
    ] {
        assert_eq!(understood(said), Understood::Already);
    }
    assert!(is_consumed("cwd") && !is_consumed("disabled"));
}

#[test]
fn names_of_ours_are_made_of_any_that_has_letters() {
    let name = |text: &str| name_for(text).map(|name| name.to_string());
    assert_eq!(name("My Server (v2)").unwrap(), "my-server-v2");
    assert_eq!(name("@org/files_1").unwrap(), "org-files-1");
    assert_eq!(name("3d-print").unwrap(), "d-print");
    assert_eq!(name(&"a".repeat(80)).unwrap().len(), 40);
    for none in ["", "--", "123", "\u{43a}\u{43e}\u{434}", "\u{1b}["] {
        assert_eq!(name(none), None, "{none}");
    }
}

#[test]
fn a_file_is_known_by_where_it_lies() {
    let of = |path: &str| Client::of_file(Path::new(path)).map(Client::name);
    assert_eq!(of("/home/ada/.claude.json"), Some("claude"));
    assert_eq!(of("/p/.vscode/mcp.json"), Some("vscode"));
    assert_eq!(of("/p/.cursor/mcp.json"), Some("cursor"));
    assert_eq!(of("/home/ada/.codex/config.toml"), Some("codex"));
    assert_eq!(of("/p/mcp.json"), None);
    for client in Client::ALL {
        assert_eq!(client.name().parse::<Client>().unwrap(), client);
    }
    assert!("emacs".parse::<Client>().unwrap_err().contains("claude, "));
}
