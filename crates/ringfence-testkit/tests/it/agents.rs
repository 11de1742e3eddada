use std::process::Output;

use ringfence_testkit::agents::{AgentCommand, Agents, Task};
use ringfence_testkit::model::{ModelServer, Script, Step};

/// Runs one agent without a world, so that a failure there is not taken for one of the world's.
fn runs_its_script(start: fn(&Agents, &Task<'_>) -> AgentCommand) {
    let Some(agents) = Agents::for_tests() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (home, work) = (dir.path().join("home"), dir.path().join("work"));
    for dir in [&home, &work] {
        std::fs::create_dir(dir).unwrap();
    }
    let file = work.join("written.txt");
    let path = file.display().to_string();
    let server = ModelServer::start(Script::new([
        Step::Shell("echo from-the-shell; echo to-stderr >&2; exit 3".to_owned()),
        Step::Write { path, content: "from the model\n".to_owned() },
        Step::Say("the script is done".to_owned()),
    ]))
    .unwrap();
    let task = Task { home: &home, model_url: &server.url(), prompt: "run the script" };
    let output = start(&agents, &task).to_command().current_dir(&work).output().unwrap();
    let Output { status, stdout, stderr } = &output;
    let said = String::from_utf8_lossy(stdout);
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(stderr));
    assert!(said.contains("the script is done"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "from the model\n");
    let results = server.tool_results();
    assert_eq!(results.iter().map(|result| result.step).collect::<Vec<_>>(), [0, 1]);
    for text in ["from-the-shell", "to-stderr"] {
        assert!(results[0].text.contains(text), "{}", results[0].text);
    }
}

#[test]
fn claude_code_runs_its_script() {
    runs_its_script(Agents::claude_code);
}

#[test]
fn codex_runs_its_script() {
    runs_its_script(Agents::codex);
}
