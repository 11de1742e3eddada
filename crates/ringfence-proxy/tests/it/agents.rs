//! Real agents whose only way out is the net gate.

use ringfence_core::{Event, Verdict};
use ringfence_testkit::agents::{AgentCommand, Agents, Task};
use ringfence_testkit::model::{ModelServer, Script, Step};

use crate::harness::permitting;

fn reaches_its_model_and_nothing_else(start: fn(&Agents, &Task<'_>) -> AgentCommand) {
    let Some(agents) = Agents::for_tests() else { return };
    let home = tempfile::tempdir().unwrap();
    let model = ModelServer::start(Script::new([
        Step::Shell("curl -sS https://forbidden.example/".to_owned()),
        Step::Shell("curl -sS http://forbidden.example/".to_owned()),
        Step::Say("the script is done".to_owned()),
    ]))
    .unwrap();
    let place = format!("host.ringfence.internal:{}", model.address().port());
    let proxy = permitting(&[&place]);
    let url = format!("http://{place}");
    let task = Task { home: home.path(), model_url: &url, prompt: "run the script" };
    let mut command = start(&agents, &task).to_command();
    let gate = format!("http://{}", proxy.address);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"] {
        command.env(name, &gate);
    }
    let output = command.current_dir(home.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the script is done"), "{said}");

    let denied = ["deny forbidden.example:443", "deny forbidden.example:80"];
    let decisions = proxy.decisions();
    assert!(denied.iter().all(|it| decisions.iter().any(|decision| decision == it)));
    assert_eq!(proxy.lookups.count(), 0, "{decisions:?}");
    // curl shows the status of a refused CONNECT, and the whole reason of a refused request.
    assert!(model.was_shown("403"));
    assert!(model.was_shown("denied: forbidden.example:80"));
    assert!(denied_processes(&proxy.test.log.entries()) > 0);
    let connections = proxy.connections();
    assert!(connections.len() >= 3, "{connections:?}");
    let all_to_model = connections.iter().all(|usage| usage.endpoint.to_string() == place);
    assert!(all_to_model && connections.iter().all(|usage| usage.bytes_received > 0));
}

/// How many denials name a process that is not the test itself.
fn denied_processes(entries: &[ringfence_core::Entry]) -> usize {
    let own = i32::try_from(std::process::id()).unwrap();
    let foreign = |event: &Event| {
        let Event::Decided { request, verdict: Verdict::Deny, .. } = event else { return false };
        request.process.is_some_and(|process| process.pid != own && process.parent.is_some())
    };
    entries.iter().filter(|entry| foreign(&entry.event)).count()
}

#[test]
fn claude_code_reaches_its_model_and_nothing_else() {
    reaches_its_model_and_nothing_else(Agents::claude_code);
}

#[test]
fn codex_reaches_its_model_and_nothing_else() {
    reaches_its_model_and_nothing_else(Agents::codex);
}
