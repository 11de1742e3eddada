//! Real agents that call the tools of a real server through the gate: one call allowed, one denied and one whose
//! result is redacted, in the session of the agent's own world.

use std::fs;
use std::process::Command;

use ringfence_testkit::model::{ModelServer, Script, Step};
use serde_json::{Value, json};

use super::{Kind, PROMPT, Setup};
use crate::person::{Who, text};

/// What a credential looks like that nobody has: its checksum holds.
fn credential() -> String {
    let random = "Zq9xYwB7hcR2mN4pLk8vT1sD6fGjA0";
    let mut crc = u32::MAX;
    for byte in random.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let (mut rest, mut sum) = (!crc, Vec::new());
    let digits: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while sum.len() < 6 {
        sum.insert(0, char::from(digits[rest as usize % 62]));
        rest /= 62;
    }
    format!("ghp_{random}{}", String::from_iter(sum))
}

/// Rules for the server, and on its tools for the agent.
const RULES: &str = r#"
permit (principal == Agent::"files", action == Action::"exec", resource);
permit (principal == Agent::"files", action == Action::"fs.read", resource in Dir::"AGENTS");
permit (principal == Agent::"files", action in Action::"fs", resource in Dir::"PROJECT");
"#;
const ON_TOOLS: &str = r#"
@id("reads") permit (principal == Agent::"AGENT", action == Action::"files/read_text_file", resource);
@id("no-drafts") forbid (principal == Agent::"AGENT", action == Action::"files/read_text_file", resource)
when { context.args.path like "*.draft" };
"#;

fn calls_tools(kind: Kind) {
    let Some(setup) = Setup::new(kind, Who::Caller) else { return };
    let (person, name) = match kind {
        Kind::Claude => (&setup.person, "claude"),
        Kind::Codex => (&setup.person, "codex"),
    };
    let secret = credential();
    person.write("a.txt", "the text of a\n");
    person.write("b.draft", "the text of b\n");
    person.write("c.txt", &format!("token = {secret}\n"));
    let own = person.home().join(".config/ringfence");
    let modules = setup.agents.dir().display().to_string();
    let rules = RULES.replace("AGENTS", &modules);
    let rules = rules.replace("PROJECT", &person.project().display().to_string());
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("policy.cedar"), &rules).unwrap();
    let server = setup.agents.server_of_files().display().to_string();
    person.succeed(&["mcp", "add", "files", "--yes", "--", "node", &server, "."]);
    fs::write(own.join("policy.cedar"), rules + &ON_TOOLS.replace("AGENT", name)).unwrap();

    let read = |path: &str| Step::Tool {
        name: "read_text_file".to_owned(),
        arguments: json!({"path": path}),
    };
    let steps = [read("a.txt"), read("b.draft"), read("c.txt")];
    let end = Step::Say("the script is done".to_owned());
    let model = ModelServer::start(Script::new(steps.into_iter().chain([end]))).unwrap();
    let port = model.address().port();
    let url = format!("http://host.ringfence.internal:{port}");
    let config = person.project().join("mcp.json");
    let servers =
        json!({"mcpServers": {"tools": {"command": "ringfence", "args": ["mcp", "run"]}}});
    fs::write(&config, servers.to_string()).unwrap();
    let config = config.display().to_string();
    let words = ["--mcp-config", &config, "--strict-mcp-config", "--allowedTools", "mcp__tools"];
    let words = if kind == Kind::Claude { &words[..] } else { &[] };
    let mut command: Command = setup.command(&url, PROMPT, words);
    if kind == Kind::Codex {
        let path = person.home().join(".codex/config.toml");
        let more = "\n[mcp_servers.tools]\ncommand = \"ringfence\"\nargs = [\"mcp\", \"run\"]\n\
                    required = true\nstartup_timeout_sec = 60\n";
        fs::write(&path, fs::read_to_string(&path).unwrap() + more).unwrap();
    }
    let output = command.output().unwrap();
    let said = text(&output);
    let results = model.tool_results();
    assert!(said.contains("the script is done"), "{kind:?}: {said}\n{results:#?}");
    assert_eq!(results.len(), 3, "{kind:?}: {results:#?}");
    let (allowed, denied, redacted) = (&results[0], &results[1], &results[2]);
    assert!(allowed.text.contains("the text of a"), "{kind:?}: {results:#?}");
    assert!(!denied.text.contains("the text of b"), "{kind:?}: {results:#?}");
    assert!(denied.text.contains("`no-drafts`"), "{kind:?}: {results:#?}");
    assert!(redacted.text.contains("token = [redacted: github-token]"), "{kind:?}: {results:#?}");
    assert!(!model.was_shown(&secret), "{kind:?}");
    // All of it is one session, the agent's.
    let session = session_of(person, name);
    let log = person.succeed(&["log", "show", &session]);
    for entry in [
        "permitted  call the tool files/read_text_file",
        "denied     call the tool files/read_text_file",
        "redacted github-token",
    ] {
        assert!(log.contains(entry), "{kind:?}: {entry}: {log}");
    }
    assert!(!log.contains(&secret), "{kind:?}");
}

fn session_of(person: &crate::person::Person, agent: &str) -> String {
    let listed = person.succeed(&["sessions", "--json"]);
    let sessions = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = { sessions }.find(|it| it["agent"] == agent);
    found.unwrap()["session"].as_str().unwrap().to_owned()
}

#[test]
fn claude_code_calls_tools_through_the_gate_and_hears_what_is_denied_and_not_what_is_secret() {
    calls_tools(Kind::Claude);
}

#[test]
fn codex_calls_tools_through_the_gate_and_hears_what_is_denied_and_not_what_is_secret() {
    calls_tools(Kind::Codex);
}
