//! Claude Code and Codex, unmodified, in worlds of `init`'s template, driven by a scripted model.

mod keys;
mod tools;

use std::fs;
use std::process::{Command, Output, Stdio};

use ringfence_testkit::agents::{AgentCommand, Agents, Attempts, Task};
use ringfence_testkit::model::{ModelServer, Script, Step};

use crate::person::{Person, Who, text};

/// What the agent is asked first; a later run that resumes knows it.
const PROMPT: &str = "please work through the script of the day";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Claude,
    Codex,
}

/// A person with an agent installed and a project set up for it.
struct Setup {
    kind: Kind,
    agents: Agents,
    person: Person,
}

impl Setup {
    fn new(kind: Kind, who: Who) -> Option<Setup> {
        let agents = Agents::for_tests()?;
        let person = Person::new(who);
        let profile = match kind {
            Kind::Claude => {
                person.install(&agents.claude_program());
                "claude-code"
            }
            Kind::Codex => {
                person.install(&agents.codex_program());
                "codex"
            }
        };
        let made =
            person.outside("git init -q . && git config user.name A && git config user.email a@b");
        assert!(made.status.success(), "{}", text(&made));
        person.succeed(&["init", "--agent", profile]);
        Some(Setup { kind, agents, person })
    }

    /// Runs the agent on a task with this model; more words go before its prompt.
    fn run(&self, model: &ModelServer, prompt: &str, words: &[&str]) -> Output {
        let url = model.url();
        let port = url.rsplit(':').next().unwrap();
        let url = format!("http://host.ringfence.internal:{port}");
        self.command(&url, prompt, words).output().unwrap()
    }

    /// The agent on a task with the model at this address, which it may reach.
    fn command(&self, url: &str, prompt: &str, words: &[&str]) -> Command {
        let (_, endpoint) = url.split_once("://").unwrap();
        self.person.succeed(&["grant", &format!("net:{endpoint}"), "--always", "--yes"]);
        let home = self.person.home();
        let task = Task { home: &home, model_url: url, prompt };
        let AgentCommand { argv, env } = match self.kind {
            Kind::Claude => self.agents.claude_code(&task),
            Kind::Codex => self.agents.codex(&task),
        };
        self.person.give(&home);
        let name = if self.kind == Kind::Claude { "claude" } else { "codex" };
        // What is installed in the person's PATH; Codex's own sandbox is off without being told.
        let own = ["--sandbox", "danger-full-access"];
        let rest = argv[1..].iter().map(String::as_str).filter(|word| !own.contains(word));
        let mut line = vec!["run", "--", name];
        if self.kind == Kind::Claude {
            line.extend(words);
            line.extend(rest);
        } else {
            let rest: Vec<&str> = rest.collect();
            line.extend(&rest[..rest.len() - 1]);
            line.extend(words);
            line.push(rest[rest.len() - 1]);
        }
        let mut command: Command = self.person.ringfence(&line);
        command.envs(env).stdin(Stdio::null());
        command
    }
}

/// Each thing once allowed and once forbidden, by this agent.
fn work_through_the_script(kind: Kind, who: Who) {
    let Some(setup) = Setup::new(kind, who) else { return };
    let project = setup.person.project();
    let at = |name: &str| project.join(name).display().to_string();
    let attempts = Attempts {
        allowed_command: "echo hello-from-inside".to_owned(),
        forbidden_command: "git push origin main".to_owned(),
        allowed_file: at("allowed.txt"),
        forbidden_file: at(".ringfence/forbidden.cedar"),
        forbidden_host: "forbidden.example".to_owned(),
    };
    let model = ModelServer::start(attempts.script()).unwrap();
    let output = setup.run(&model, PROMPT, &[]);
    let said = text(&output);
    assert!(output.status.success(), "{kind:?} {who:?}: {said}\n{:#?}", model.tool_results());
    assert!(said.contains("the script is done"), "{kind:?} {who:?}: {said}");
    assert!(model.was_shown("hello-from-inside"));
    // The reason of each denial reached the model: what was denied, and what a person can do.
    for shown in ["git", "forbidden.cedar", "forbidden.example:443", "ringfence grant net:"] {
        assert!(model.was_shown(shown), "{kind:?} {who:?}: the model was not shown `{shown}`");
    }
    assert!(model.was_shown("ringfence explain"), "{kind:?} {who:?}");
    assert_eq!(fs::read_to_string(at("allowed.txt")).unwrap(), "text\n");
    assert!(!project.join(".ringfence/forbidden.cedar").exists());
    let decided = setup.person.decided();
    let has = |verdict: &str, act: &str| {
        decided
            .iter()
            .any(|(given, of)| (given == "\"permit\"") == (verdict == "permit") && of.contains(act))
    };
    assert!(has("permit", "allowed.txt"), "{decided:#?}");
    assert!(has("permit", "host.ringfence.internal"), "{decided:#?}");
    let push = "\"text\":\"git push origin main\"";
    for denied in [push, "{\"write\":\"DIR/.ringfence", "{\"connect\":\"forbidden.example:443\"}"] {
        let denied = denied.replace("DIR", &project.display().to_string());
        assert!(has("deny", &denied) && !has("permit", &denied), "{denied}: {decided:#?}");
    }
    let shown = setup.person.succeed(&["show", "--json"]);
    for part in ["allowed.txt", "forbidden.example:443", "forbidden.cedar", "git push origin main"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    setup.person.succeed(&["log", "verify"]);
}

#[test]
fn claude_code_works_through_a_script_and_its_model_is_told_what_is_denied() {
    for who in Who::all() {
        work_through_the_script(Kind::Claude, who);
    }
}

#[test]
fn codex_works_through_a_script_and_its_model_is_told_what_is_denied() {
    for who in Who::all() {
        work_through_the_script(Kind::Codex, who);
    }
}

#[test]
fn a_conversation_goes_on_in_the_next_run() {
    for (kind, words) in [(Kind::Claude, &["--continue"][..]), (Kind::Codex, &["resume", "--last"])]
    {
        let Some(setup) = Setup::new(kind, Who::Caller) else { return };
        let first = ModelServer::start(Script::new([Step::Say("noted".to_owned())])).unwrap();
        let output = setup.run(&first, PROMPT, &[]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        let second = ModelServer::start(Script::default()).unwrap();
        let output = setup.run(&second, "go on", words);
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        assert!(second.was_shown("go on") && second.was_shown(PROMPT), "{kind:?}");
        let other = ModelServer::start(Script::default()).unwrap();
        let output = setup.run(&other, "go on", &[]);
        assert!(output.status.success() && !other.was_shown(PROMPT), "{kind:?} was not asked to");
    }
}

#[test]
fn an_agent_cannot_change_the_hook_that_shows_denials() {
    let Some(setup) = Setup::new(Kind::Claude, Who::Caller) else { return };
    let attempt = "set +e; for f in /etc/claude-code/ringfence-denials \
         /etc/claude-code/managed-settings.d/50-ringfence.json \
         /etc/claude-code/managed-settings.d/60-own.json /etc/claude-code/managed-settings.json
         do (echo x > $f) 2>/dev/null && echo WRITTEN $f; rm -f $f 2>/dev/null; done
         mv /etc/claude-code /etc/x 2>/dev/null && echo MOVED
         test -x /etc/claude-code/ringfence-denials && echo kept";
    let output = setup.person.inside(attempt);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "kept\n", "{}", text(&output));
}

/// Codex's own sandbox and others cannot be built in a world: they say so and run nothing.
#[test]
fn a_nested_sandbox_gets_a_clear_result() {
    let Some(setup) = Setup::new(Kind::Codex, Who::Caller) else { return };
    for script in [
        "unshare -U true",
        "unshare -rm true",
        "bwrap --ro-bind / / --dev /dev true",
        "bwrap --unshare-all --ro-bind / / true",
        "codex sandbox linux true || codex sandbox true",
    ] {
        let output = setup.person.inside(script);
        assert!(!output.status.success(), "{script}: {}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        assert!(
            said.contains("not permitted") || said.contains("denied") || said.contains("namespace"),
            "{script}: {said}"
        );
    }
    // Nothing is broken by having tried.
    assert!(setup.person.inside("true").status.success());
}
