//! The official conformance suite, directly and through the gate: no check that passes directly fails through it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::mcp_clients::{installed, node};
use crate::person::{Person, Who, text};
use crate::served::Served;
use crate::started::{Started, free_port};

const FIXTURE: &str = "tests/net/mcp_conformance.mjs";
const CLIENT: &str = include_str!("../net/mcp_client.py");
const SUITE_CLIENT: &str = include_str!("../net/mcp_suite_client.sh");

/// Scenarios of servers, and their checks, that pass directly: what the suite has besides is pending there.
const SCENARIOS: usize = 30;
const CHECKS: u32 = 40;

/// Starts the fixture, which listens at this port.
fn start(port: u16, words: &[&str]) -> Started {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FIXTURE);
    let mut command = Command::new(node());
    command.arg(fixture).arg(installed()).args(words);
    Started::listening(command, port)
}

fn suite() -> Command {
    let index = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    let mut command = Command::new(node());
    command.arg(installed().join(index));
    command
}

/// Which scenarios the suite ran against a server, and how many checks of each passed and failed.
fn checked(port: u16) -> BTreeMap<String, (u32, u32)> {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://localhost:{port}/mcp");
    let output = suite().args(["server", "--url", &url]).current_dir(dir.path()).output().unwrap();
    let said = text(&output);
    let line = |line: &str| {
        let (name, counts) =
            line.strip_prefix(['\u{2713}', '\u{2717}'])?.trim().split_once(": ")?;
        let mut numbers = counts.split(", ").map(|it| it.split(' ').next()?.parse().ok());
        Some((name.to_owned(), (numbers.next()??, numbers.next()??)))
    };
    let all: BTreeMap<_, _> = said.lines().filter_map(line).collect();
    assert!(!all.is_empty(), "{said}");
    all
}

#[test]
fn what_passes_the_official_suite_directly_passes_it_through_the_gate() {
    let (port, before) = (free_port(), free_port());
    let _server = start(port, &[&port.to_string()]);
    let person = Person::new(Who::Caller);
    let own = person.home().join(".config/ringfence");
    fs::create_dir_all(&own).unwrap();
    let rules = format!(
        "permit (principal == Agent::\"suite\", action == Action::\"net.connect\", resource == Endpoint::\"127.0.0.1:{port}\");\n\
         permit (principal, action in Action::\"tool.call\", resource);\n"
    );
    fs::write(own.join("policy.cedar"), rules).unwrap();
    let url = format!("http://127.0.0.1:{port}/mcp");
    person.succeed(&["mcp", "add", "suite", &url, "--yes", "--no-policy"]);
    let served = Served::start(&person, &[]);
    let gate = served.port.to_string();
    let _shim = start(before, &["shim", &before.to_string(), &gate, &served.token]);
    let (direct, through) = std::thread::scope(|scope| {
        let direct = scope.spawn(|| checked(port));
        let through = checked(before);
        (direct.join().unwrap(), through)
    });
    assert_eq!(direct.len(), SCENARIOS, "{direct:?}");
    assert!(direct.values().all(|(_, failed)| *failed == 0), "{direct:?}");
    assert_eq!(direct.values().map(|(passed, _)| passed).sum::<u32>(), CHECKS, "{direct:?}");
    let mut expected = direct;
    // Answers that are there at once are no streams here, which the suite notes and does not count.
    expected.insert("server-sse-multiple-streams".to_owned(), (1, 0));
    assert_eq!(through, expected);
    let told = served.end();
    assert!(!told.contains("mcp: "), "nothing odd: {told}");
}

#[test]
fn the_gate_is_a_client_as_the_official_suite_wants_them() {
    let scenarios = [
        ("initialize", "[]", 1),
        ("tools_call", r#"[{"tool": "add_numbers", "arguments": {"a": 5, "b": 3}}]"#, 1),
        ("sse-retry", r#"[{"tool": "test_reconnection", "arguments": {}}]"#, 3),
    ];
    std::thread::scope(|scope| {
        for (scenario, calls, passed) in scenarios {
            scope.spawn(move || {
                let person = Person::new(Who::Caller);
                fs::create_dir_all(person.home().join(".config/ringfence")).unwrap();
                person.write("client.py", CLIENT);
                person.write("suite.sh", SUITE_CLIENT);
                let quoted = |text: &str| format!("'{text}'");
                let python = installed().join("python/bin/python").display().to_string();
                let words = [
                    "sh",
                    "suite.sh",
                    &quoted(&person.ringfence_program().display().to_string()),
                    &quoted(&python),
                    "client.py",
                    &quoted(calls),
                ];
                let mut command = suite();
                command.args(["client", "--scenario", scenario, "--command", &words.join(" ")]);
                command.current_dir(person.project()).env("HOME", person.home());
                let output = command.output().unwrap();
                let said = text(&output);
                assert!(output.status.success(), "{scenario}: {said}");
                let counted = ", 0 failed, 0 warnings";
                assert!(said.contains(counted), "{scenario}: {said}");
                assert!(said.matches("SUCCESS").count() >= passed, "{scenario}: {said}");
            });
        }
    });
}
