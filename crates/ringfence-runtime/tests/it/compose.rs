//! Worlds composed from `init`'s own template, with ordinary work and attacks in them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A home and a project in it, with the policy that `init` writes.
struct Setup {
    _root: tempfile::TempDir,
    home: PathBuf,
    project: PathBuf,
}

fn probe() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/compose-probe")
}

fn setup(profile: &str) -> Setup {
    let root = tempfile::Builder::new().prefix("compose").tempdir_in("/var/tmp").unwrap();
    let home = fs::canonicalize(root.path()).unwrap().join("home");
    let project = home.join("project");
    fs::create_dir_all(&project).unwrap();
    let setup = Setup { _root: root, home, project };
    setup.host("git init -q . && git config user.name Ann && git config user.email a@example.com");
    let written = setup.command(&["--init", profile]).output().unwrap();
    assert!(written.status.success(), "{}", text(&written.stderr));
    setup
}

impl Setup {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(probe());
        command.args(words).current_dir(&self.project).env_clear();
        command.env("HOME", &self.home).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("SECRET_TOKEN", "s3cret").env("LANG", "C.UTF-8");
        command
    }

    /// Runs a shell script in a world; standard output, exit code and the closing report.
    fn world(&self, script: &str) -> (String, i32, serde_json::Value) {
        let output = self.command(&["--", "sh", "-c", script]).output().unwrap();
        let errors = text(&output.stderr);
        let last = errors.lines().rfind(|line| line.starts_with('{'));
        let report = last.map(|line| serde_json::from_str(line).unwrap());
        let report = report.unwrap_or_else(|| panic!("no world: {errors}"));
        (text(&output.stdout), output.status.code().unwrap(), report)
    }

    fn host(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&self.project).env("HOME", &self.home);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn ordinary_work_works() {
    let setup = setup("generic");
    let (out, code, report) = setup.world(
        "set -e; echo 'int main(void){return 0;}' > a.c; cc -o a a.c; ./a
         git add a.c; git commit -qm one; git checkout -q -b topic
         git remote add origin https://example.com/x; git config branch.topic.remote origin
         printf x > f.new; mv f.new f; git clone -q . clone; git -C clone log --oneline | wc -l
         git init -q born; echo b | sort; echo state > $HOME/.toolrc; cat $HOME/.toolrc
         git config --global user.name Agent; test ! -e /etc/shadow",
    );
    assert_eq!((out.as_str(), code), ("1\nb\nstate\n", 0));
    assert_eq!(report["after"]["quarantined"], serde_json::json!([]));
    let remote = setup.host("git remote -v && git config branch.topic.remote && git log --oneline");
    assert!(text(&remote.stdout).contains("https://example.com/x"));
    assert!(!setup.home.join(".toolrc").exists());
    assert!(!setup.home.join(".gitconfig").exists());
    let left: Vec<_> = fs::read_dir(&setup.project).unwrap().flatten().collect();
    let stray = left.iter().filter(|it| it.file_name() == ".vscode" || it.file_name() == ".claude");
    assert_eq!(stray.count(), 0);
}

/// Each must fail in the world and leave nothing on the host; the oracle runs the same outside.
#[test]
fn what_the_host_would_run_cannot_be_planted() {
    let attacks = [
        ("mv .git x && mkdir -p .git/hooks", ".git/hooks/evil"),
        ("cp -r .git y && rm -rf .git && mv y .git", ".git/hooks/evil"),
        ("mkdir -p .git/hooks", ".git/hooks/evil"),
        ("mkdir -p .claude", ".claude/settings.json"),
        ("mkdir -p .vscode", ".vscode/tasks.json"),
        ("mkdir -p .husky", ".husky/pre-commit"),
        ("true", ".envrc"),
        ("true", ".ringfence/policy.cedar.new"),
    ];
    for (prepare, plant) in attacks {
        let script = format!("{prepare}; echo evil > {plant}");
        let outside = setup("generic");
        outside.host(&script);
        assert!(outside.project.join(plant).exists(), "no attack: {script}");
        let inside = setup("generic");
        let (_, code, _) = inside.world(&script);
        assert_ne!(code, 0, "{script}");
        assert!(!inside.project.join(plant).exists(), "{script}");
    }
}

#[test]
fn absent_hooks_are_covered_and_no_trace_is_left() {
    let setup = setup("generic");
    fs::remove_dir_all(setup.project.join(".git/hooks")).unwrap();
    let (_, code, _) = setup.world("echo evil > .git/hooks/pre-commit");
    assert_ne!(code, 0);
    assert!(!setup.project.join(".git/hooks").exists());
}

#[test]
fn a_git_configuration_that_runs_code_stays_in_the_world() {
    let setup = setup("generic");
    let before = fs::read_to_string(setup.project.join(".git/config")).unwrap();
    let (_, code, report) = setup.world(
        "git config core.fsmonitor /tmp/evil && git config alias.x '!evil' && git config -l | grep -q evil",
    );
    assert_eq!(code, 0);
    assert_eq!(fs::read_to_string(setup.project.join(".git/config")).unwrap(), before);
    assert!(report["after"]["notices"][0]["text"].as_str().unwrap().contains("core.fsmonitor"));
}

#[test]
fn a_hook_in_a_repository_born_inside_is_moved_aside() {
    let setup = setup("generic");
    let (_, code, report) =
        setup.world("git init -q born && printf '#!/bin/sh\\n' > born/.git/hooks/post-checkout");
    assert_eq!(code, 0);
    assert!(!setup.project.join("born/.git/hooks/post-checkout").exists());
    assert_eq!(report["after"]["quarantined"].as_array().unwrap().len(), 1);
}

#[test]
fn the_home_is_empty_but_for_copies_and_its_secrets_are_denied() {
    let setup = setup("generic");
    fs::create_dir(setup.home.join(".ssh")).unwrap();
    fs::write(setup.home.join(".ssh/id"), "key").unwrap();
    fs::write(setup.home.join("diary"), "private").unwrap();
    fs::write(
        setup.home.join(".gitconfig"),
        "[user]\nname = Ann\n[credential]\nhelper = store\n[core]\nsshCommand = evil\n",
    )
    .unwrap();
    let (out, _, report) = setup.world(
        "cat $HOME/diary 2>&1; cat $HOME/.ssh/id 2>&1; cat $HOME/.aws/x 2>&1
         git config --global -l; echo ${SECRET_TOKEN-unset}; echo $HTTPS_PROXY",
    );
    assert!(out.contains("diary: No such file"), "{out}");
    assert!(out.contains("id: Permission denied") && out.contains("x: Permission denied"), "{out}");
    assert!(out.contains("user.name=Ann"), "{out}");
    assert!(!out.contains("helper") && !out.contains("sshcommand") && !out.contains("s3cret"));
    assert!(out.contains("unset\nhttp://127.0.0.1:3128\n"), "{out}");
    assert!(report["before"][0]["text"].as_str().unwrap().contains("SECRET_TOKEN"));
}

#[test]
fn an_agents_state_survives_and_its_settings_do_not_change() {
    let setup = setup("claude-code");
    let claude = setup.home.join(".claude");
    fs::write(claude.join("settings.json"), "{}").unwrap();
    fs::write(setup.home.join(".claude.json"), r#"{"theme":"dark"}"#).unwrap();
    let (_, _, _) = setup.world(
        "echo log > $HOME/.claude/history.jsonl; echo evil > $HOME/.claude/settings.json
         mkdir -p $HOME/.claude/hooks; echo evil > $HOME/.claude/hooks/x
         rm -rf $HOME/.claude/settings.json; mv $HOME/.claude $HOME/.old
         echo '{\"theme\":\"light\",\"mcpServers\":{\"x\":{\"command\":\"evil\"}}}' > $HOME/.new
         mv $HOME/.new $HOME/.claude.json",
    );
    assert_eq!(fs::read_to_string(claude.join("history.jsonl")).unwrap(), "log\n");
    assert_eq!(fs::read_to_string(claude.join("settings.json")).unwrap(), "{}");
    assert!(!claude.join("hooks").exists());
    let state = fs::read_to_string(setup.home.join(".claude.json")).unwrap();
    assert!(state.contains("light") && !state.contains("evil"), "{state}");
}

#[test]
fn codex_finds_its_own_sandbox_off_and_the_persons_settings_stay() {
    let setup = setup("codex");
    let config = setup.home.join(".codex/config.toml");
    fs::write(&config, "model = \"m\"\nsandbox_mode = \"read-only\"\n[x]\ny = 1\n").unwrap();
    let (out, code, _) = setup.world("true");
    assert_eq!((out.as_str(), code), ("", 0));
    // The profile follows the settings that `init` wrote, whatever the program is called.
    let (out, _, _) =
        setup.world("cat $HOME/.codex/config.toml; echo evil = 1 >> $HOME/.codex/config.toml");
    assert_eq!(out, "sandbox_mode = \"danger-full-access\"\nmodel = \"m\"\n[x]\ny = 1\n");
    assert!(!fs::read_to_string(&config).unwrap().contains("evil"));
}

#[test]
fn ringfences_own_files_are_not_there() {
    let setup = setup("generic");
    let own = setup.home.join(".local/state/ringfence");
    assert!(own.is_dir());
    let (out, _, _) = setup.world("ls $HOME/.local/state/ringfence 2>&1; ls /etc/ringfence 2>&1");
    assert!(!out.contains("sessions") && !out.contains("trust"), "{out}");
    assert!(Path::new(&own).join("sessions").exists());
}
