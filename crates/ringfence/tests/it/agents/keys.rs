//! Real agents with a stand-in for their key, over TLS: they finish, the server saw the real key, and
//! the world never did.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ringfence_testkit::model::{ModelServer, Script, Step};

use super::{Kind, PROMPT, Setup};
use crate::net::certificate;
use crate::person::{Who, text};

/// What no stand-in has.
const PART: &str = "Zq9xY-wB_7hcR2mN4pLk8vT1sD6fGj";

/// TLS in front of a model; ends when dropped.
struct Front {
    process: Child,
    port: u16,
}

impl Front {
    fn of(model: &ModelServer) -> Front {
        let (certificate, key) = certificate();
        let port = model.address().port().to_string();
        let mut process = Command::new("/usr/bin/python3")
            .arg("tests/net/front.py")
            .args([certificate, key, Path::new(&port)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Front { process, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn finishes_with_a_stand_in(kind: Kind, who: Who) {
    let Some(setup) = Setup::new(kind, who) else { return };
    let (service, value, header) = match kind {
        Kind::Claude => ("anthropic", format!("sk-ant-api03-{PART}"), "x-api-key"),
        Kind::Codex => ("openai", format!("sk-proj-{PART}"), "authorization"),
    };
    // It looks for its own key, and shows the model what it found.
    let model = ModelServer::start(Script::new([
        Step::Shell("env | grep API_KEY; echo looked".to_owned()),
        Step::Say("the script is done".to_owned()),
    ]))
    .unwrap();
    let front = Front::of(&model);
    let endpoint = format!("host.ringfence.internal:{}", front.port);
    let words = ["secret", "add", "model", "--kind", service, "--for", &endpoint];
    let mut add = setup.person.ringfence(&words);
    let mut child = add.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    setup.person.succeed(&["grant", "secret:model", "--always", "--yes"]);
    let ca = setup.person.project().join("ca.pem");
    std::fs::copy(certificate().0, &ca).unwrap();
    let url = format!("https://{endpoint}");
    let mut command = setup.command(&url, PROMPT, &[]);
    let output = command.env("SSL_CERT_FILE", &ca).output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{kind:?} {who:?}: {said}");
    assert!(said.contains("the script is done"), "{kind:?} {who:?}: {said}");
    assert!(model.was_shown("looked"), "{kind:?} {who:?}: {said}");
    let requests = model.requests();
    let asked: Vec<_> = requests.iter().filter(|it| it.method == "POST").collect();
    assert!(!asked.is_empty());
    for request in &asked {
        let shown = request.header(header).unwrap_or_default();
        assert!(shown.ends_with(&value), "{kind:?} {who:?}: {} {shown}", request.path);
        // Not even what the agent reads of itself has it.
        assert!(!request.body.contains(PART), "{kind:?} {who:?}: {}", request.body);
    }
    assert!(!said.contains(PART), "{said}");
    // What it showed the model of itself is an incident, and stopped nothing.
    let shown = setup.person.succeed(&["show"]);
    assert!(shown.contains("stand-in of model in the body"), "{shown}");
    let home = setup.person.home();
    let found = Command::new("grep").args(["-rlF", PART]).arg(&home).output().unwrap();
    assert_eq!(text(&found), "", "{kind:?} {who:?}");
}

#[test]
fn claude_code_finishes_with_a_stand_in_for_its_key() {
    for who in Who::all() {
        finishes_with_a_stand_in(Kind::Claude, who);
    }
}

#[test]
fn codex_finishes_with_a_stand_in_for_its_key() {
    for who in Who::all() {
        finishes_with_a_stand_in(Kind::Codex, who);
    }
}
