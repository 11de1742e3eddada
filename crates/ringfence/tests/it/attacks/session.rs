//! Attacks on the running session's own means: its control socket, its grants, its neighbours.

use std::path::Path;
use std::process::Stdio;

use super::stage::{Side, Stage, everybody, text};
use super::targets::wait_until;

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
@id("tools")
permit (principal, action == Action::"fs.read", resource in Dir::"HOME/tools");
"#;

/// Works until the file `finish` is there.
const WAITS: &str = "echo > ready; while [ ! -e finish ]; do sleep 0.02; done";

fn with_tools(stage: &Stage) {
    let tools = stage.home().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::fs::copy(stage.ringfence(), tools.join("ringfence")).unwrap();
    stage.write("outside/secret", "the-secret\n");
}

#[test]
fn an_agent_can_grant_itself_nothing() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        with_tools(&stage);
        stage.copy_attacks("project/attacks");
        let secret = stage.home().join("outside/secret");
        let (home, secret) = (stage.home().display().to_string(), secret.display().to_string());
        let script = format!(
            "{home}/tools/ringfence grant fs.read:{secret} --session $RINGFENCE_SESSION --yes; \
             echo \"= granted $?\"; \
             {home}/tools/ringfence grant fs.read:{secret} --always --yes; echo \"= always $?\"; \
             for socket in {home}/.local/state/ringfence/run/ringfence/$RINGFENCE_SESSION.sock \
             {home}/.local/state/ringfence/run/$RINGFENCE_SESSION.sock; do \
             ./attacks unix $socket; echo \"= socket $?\"; done; \
             cat {secret}; echo \"= read $?\"; {WAITS}; cat {secret}; echo \"= later $?\""
        );
        stage.write("project/script.sh", &script);
        let mut run = stage.ringfence_command(&["run", "--", "sh", "./script.sh"]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the agent has tried", || stage.has("project/ready"));
        let session = stage.running().unwrap();
        // The oracle: the person does the same outside, where the sockets are.
        let sockets = format!("find {home}/.local/state/ringfence -name '{session}*.sock'");
        let found = stage.command(Path::new("/bin/sh"), &["-c", &sockets]).output().unwrap();
        let found = text(&found);
        let socket = found.lines().next().expect("a control socket");
        let attacks = stage.home().join("project/attacks");
        assert!(stage.command(&attacks, &["unix", socket]).output().unwrap().status.success());
        stage.succeed(&["grant", &format!("fs.read:{secret}"), "--session", &session, "--yes"]);
        stage.write("project/finish", "");
        let said = text(&run.wait_with_output().unwrap());
        let line = |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or("");
        assert!(!["", "= granted 0"].contains(&line("= granted")), "{who:?}: {said}");
        assert!(!["", "= always 0"].contains(&line("= always")), "{who:?}: {said}");
        assert!(!said.contains("= socket 0"), "{who:?}: {said}");
        assert!(!["", "= read 0"].contains(&line("= read")), "{who:?}: {said}");
        assert_eq!(line("= later"), "= later 0", "{who:?}: {said}");
    }
}

/// A protected place that does not exist is covered by something made for the purpose; the end of
/// one session must not take it away from under another.
#[test]
fn the_end_of_a_session_uncovers_nothing_in_another() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        std::fs::create_dir_all(stage.project().join(".git/objects")).unwrap();
        std::fs::create_dir_all(stage.project().join(".git/refs")).unwrap();
        stage.write("project/.git/HEAD", "ref: refs/heads/main\n");
        stage.give(&stage.project().join(".git"));
        let plant = "mkdir .vscode .git/hooks; echo x > .vscode/tasks.json; \
                     echo x > .git/hooks/pre-commit";
        let start = |name: &str, then: &str| {
            let text = WAITS.replace("ready", &format!("ready-{name}"));
            let text = text.replace("finish", &format!("finish-{name}"));
            stage.write(&format!("project/{name}.sh"), &format!("{text}; {then}"));
            let script = format!("./{name}.sh");
            let mut run = stage.ringfence_command(&["run", "--", "sh", &script]);
            let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            wait_until("a session runs", || stage.has(&format!("project/ready-{name}")));
            run
        };
        let mut first = start("first", "true");
        let mut second = start("second", &format!("{plant}; echo > tried"));
        stage.write("project/finish-first", "");
        first.wait().unwrap();
        stage.write("project/finish-second", "");
        // While it still runs: the person's editor and git look at any moment.
        wait_until("the second has tried", || stage.has("project/tried"));
        for name in [".vscode/tasks.json", ".git/hooks/pre-commit"] {
            assert!(!stage.has(&format!("project/{name}")), "{who:?}: {name}");
        }
        second.wait().unwrap();
        for name in [".vscode/tasks.json", ".git/hooks/pre-commit"] {
            assert!(!stage.has(&format!("project/{name}")), "{who:?}: {name} after the end");
        }
        stage.script(Side::Outside, plant);
        assert!(stage.has("project/.vscode/tasks.json"));
        assert!(stage.has("project/.git/hooks/pre-commit"));
    }
}

/// What is granted while a session runs would have none of the protections of what was before: a
/// repository waits for the next session, and a tree without one does not.
#[test]
fn a_granted_repository_keeps_its_hooks() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let repository = stage.home().join("outside/repository");
        let mut git =
            stage.command(Path::new("git"), &["init", "-q", repository.to_str().unwrap()]);
        assert!(git.output().unwrap().status.success());
        // One whose repository lies elsewhere is one as well.
        let tree = stage.home().join("outside/tree");
        let (at, tree_at) = (repository.to_str().unwrap(), tree.to_str().unwrap());
        for words in [
            "-c user.name=a -c user.email=a@b commit -q --allow-empty -m x".to_owned(),
            format!("worktree add -q {tree_at}"),
        ] {
            let words: Vec<&str> = ["-C", at].into_iter().chain(words.split(' ')).collect();
            let made = stage.command(Path::new("git"), &words).output().unwrap();
            assert!(made.status.success(), "{}", text(&made));
        }
        let hook = repository.join(".git/hooks/pre-commit").display().to_string();
        let script = format!("{WAITS}; echo x > {hook}; echo y > ../outside/plain/file");
        let plain = stage.home().join("outside/plain");
        std::fs::create_dir(&plain).unwrap();
        stage.give(&plain);
        stage.write("project/script.sh", &script);
        let mut run = stage.ringfence_command(&["run", "--", "sh", "./script.sh"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the agent waits", || stage.has("project/ready"));
        let session = stage.running().unwrap();
        let grant = |tree: &Path| {
            let grant = format!("fs.write:{}", tree.display());
            stage.succeed(&["grant", &grant, "--session", &session, "--yes"])
        };
        let hint = "not in force in this session";
        let answer = grant(&repository);
        assert!(answer.contains(hint) && answer.contains("repository/.git"), "{who:?}: {answer}");
        let answer = grant(&tree);
        assert!(answer.contains(hint) && answer.contains("tree/.git"), "{who:?}: {answer}");
        let answer = grant(&plain);
        assert!(!answer.contains("outside/plain` is granted, but"), "{who:?}: {answer}");
        stage.write("project/finish", "");
        let said = text(&run.wait_with_output().unwrap());
        assert!(stage.has("outside/plain/file"), "{who:?}: the grant works: {said}");
        assert!(!stage.has("outside/repository/.git/hooks/pre-commit"), "{who:?}: {said}");
    }
}

/// A person's `git clean -fd` takes away the empty directories that stand for absent places.
#[test]
fn a_cover_that_is_taken_away_opens_nothing() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let git = |words: &[&str]| {
            let output = stage.command(Path::new("git"), words).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
        };
        git(&["init", "-q", "."]);
        git(&["init", "-q", "nested"]);
        git(&["-C", "nested", "config", "core.hooksPath", ".githooks"]);
        let covers = [".vscode", "nested/.githooks"];
        let plant: String = covers
            .iter()
            .map(|cover| format!("mkdir {cover}; echo x > {cover}/pre-commit; "))
            .chain(["mkdir t; echo x > t/pre-commit; mv -T t .vscode".to_owned()])
            .collect();
        stage.write("project/script.sh", &format!("{WAITS}; {plant}"));
        let mut run = stage.ringfence_command(&["run", "--", "sh", "./script.sh"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the agent waits", || stage.has("project/ready"));
        assert!(covers.iter().all(|cover| stage.has(&format!("project/{cover}"))), "{who:?}");
        git(&["clean", "-q", "-fd", ".vscode"]);
        git(&["-C", "nested", "clean", "-q", "-fd"]);
        assert!(!covers.iter().any(|cover| stage.has(&format!("project/{cover}"))), "{who:?}");
        stage.write("project/finish", "");
        let said = text(&run.wait_with_output().unwrap());
        for cover in covers {
            assert!(!stage.has(&format!("project/{cover}/pre-commit")), "{who:?} {cover}: {said}");
        }
        stage.script(Side::Outside, &plant);
        for cover in covers {
            assert!(stage.has(&format!("project/{cover}/pre-commit")), "{who:?} {cover}");
        }
    }
}

/// It begins without anything that the host runs; what the agent makes of it is looked at.
#[test]
fn a_tree_granted_meanwhile_is_looked_at_in_the_end() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let plain = stage.home().join("outside/plain");
        std::fs::create_dir(&plain).unwrap();
        stage.give(&plain);
        let plant = format!(
            "cd {}; git init -q . && printf '#!/bin/sh\\ntouch ran\\n' > .git/hooks/pre-commit; \
             chmod +x .git/hooks/pre-commit; mkdir .vscode; echo '{{}}' > .vscode/tasks.json; \
             echo y > file",
            plain.display()
        );
        stage.write("project/script.sh", &format!("{WAITS}; {plant}"));
        let mut run = stage.ringfence_command(&["run", "--", "sh", "./script.sh"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the agent waits", || stage.has("project/ready"));
        let session = stage.running().unwrap();
        let grant = format!("fs.write:{}", plain.display());
        stage.succeed(&["grant", &grant, "--session", &session, "--yes"]);
        stage.write("project/finish", "");
        let said = text(&run.wait_with_output().unwrap());
        assert!(stage.has("outside/plain/file"), "{who:?}: the grant works: {said}");
        assert!(said.contains("pre-commit"), "{who:?}: {said}");
        let mut commit = stage.command(Path::new("git"), &[]);
        commit.current_dir(&plain).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        let _ = commit.args(["commit", "-q", "--allow-empty", "-m", "later"]).output().unwrap();
        assert!(!stage.has("outside/plain/ran"), "{who:?}: {said}");
        assert!(!stage.has("outside/plain/.vscode/tasks.json"), "{who:?}: {said}");
        // The oracle: without a world the hook runs.
        std::fs::remove_dir_all(&plain).unwrap();
        std::fs::create_dir(&plain).unwrap();
        stage.give(&plain);
        stage.script(Side::Outside, &plant);
        let _ = commit.output().unwrap();
        assert!(stage.has("outside/plain/ran"), "{who:?}");
    }
}

/// The policy forbids a place that does not exist; a directory that holds it comes from elsewhere.
#[test]
fn a_forbidden_place_cannot_be_moved_in_from_elsewhere() {
    const FORBIDS: &str = r#"
@id("deploy")
forbid (principal, action in [Action::"fs.write", Action::"fs.delete"],
        resource in Dir::"HOME/project/ci/deploy");
"#;
    for who in everybody() {
        let plant = "mkdir -p t/deploy; echo x > t/deploy/x; mv -T t ci; echo y > tried";
        let outside = Stage::new(who, POLICY);
        outside.script(Side::Outside, plant);
        assert!(outside.has("project/ci/deploy/x") && outside.has("project/tried"));
        let stage = Stage::new(who, &[POLICY, FORBIDS].concat());
        stage.script(Side::Inside, plant);
        assert!(stage.has("project/tried"), "{who:?}");
        assert!(!stage.has("project/ci/deploy/x"), "{who:?}");
    }
}

/// A person's own tools save such files by rename; the agent reads as fast as it can.
#[test]
fn a_secret_that_is_saved_outside_meanwhile_stays_covered() {
    for who in everybody() {
        let home = "permit (principal, action == Action::\"fs.read\", resource in Dir::\"HOME\");";
        let stage = Stage::new(who, &format!("{POLICY}\n{home}"));
        let at = |name: &str| stage.home().join(name).display().to_string();
        for name in [".netrc", ".plain"] {
            stage.write(name, "the-secret\n");
        }
        stage.write(
            "project/script.sh",
            &format!(
                "echo > ready; while [ ! -e finish ]; do cat {} {}/token; done; until grep plain {}; do sleep 0.02; done",
                at(".netrc"),
                at(".config/gh"),
                at(".plain")
            ),
        );
        let mut run = stage.ringfence_command(&["run", "--", "sh", "./script.sh"]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the agent waits", || stage.has("project/ready"));
        let save = "for n in 1 2 3 4 5 6 7 8 9; do echo the-secret > ~/.new; mv ~/.new ~/.netrc; \
                    rm -rf ~/.config/gh; mkdir -p ~/.config/gh; echo the-secret > ~/.config/gh/token; \
                    echo plain > ~/.new; mv ~/.new ~/.plain; done; cat ~/.netrc ~/.config/gh/token";
        let outside = text(&stage.script(Side::Outside, save));
        assert_eq!(outside.matches("the-secret").count(), 2, "{outside}");
        stage.write("project/finish", "");
        let said = run.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "plain\n", "{who:?}");
    }
}

/// `git config` outside replaces the file; the agent opens it as fast as it can.
#[test]
fn what_an_agent_writes_never_reaches_a_git_configuration_that_is_replaced_meanwhile() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        assert!(stage.script(Side::Outside, "git init -q .").status.success());
        let spin = "import os\nopen('ready', 'w')\nwritten = 0\nwhile not os.path.exists('finish'):\n  \
                    try:\n    file = os.open('.git/config', os.O_WRONLY | os.O_APPEND)\n    \
                    written += os.write(file, b'# planted\\n')\n    os.close(file)\n  \
                    except OSError: pass\nprint(written > 1000)";
        stage.write("project/spin.py", spin);
        let mut run = stage.ringfence_command(&["run", "--", "python3", "-I", "spin.py"]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the agent waits", || stage.has("project/ready"));
        let save = "for n in $(seq 60); do git config a.b $n; done";
        assert!(stage.script(Side::Outside, save).status.success());
        stage.write("project/finish", "");
        // The oracle: it has written all the time, into its own copy.
        let said = String::from_utf8_lossy(&run.wait_with_output().unwrap().stdout).into_owned();
        assert_eq!(said, "True\n", "{who:?}");
        let config = stage.read("project/.git/config");
        assert!(!config.contains("planted") && config.contains("b = 60"), "{who:?}: {config}");
    }
}
