//! Known agents start in a world by their mere names, in real shells; and what `enable` put in, `disable`
//! takes out to the byte.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::person::{Person, Who};
use crate::schemas::{conforms, lines_conform};

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// An agent that says where it is and what it was given, and starts itself again if it is told to.
const AGENT: &str = "#!/bin/sh\n\
    if [ -n \"$RINGFENCE_DENIALS\" ]; then echo inside; else echo outside; fi\n\
    printf '<%s>' \"$@\"; echo\n\
    if [ \"$1\" = again ]; then claude once; fi\n\
    if [ \"$1\" = peek ]; then : > /usr/refused; fi\n\
    exit 7\n";

fn person(who: Who) -> Person {
    let person = Person::new(who);
    let source = person.project().join("claude");
    fs::write(&source, AGENT).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
    let program = person.install(&source);
    fs::remove_file(source).unwrap();
    let policy = format!(
        "permit (principal, action == Action::\"exec\", resource);\n\
         permit (principal, action in Action::\"fs\", resource in Dir::\"{}\");\n\
         permit (principal, action == Action::\"fs.read\", resource in Dir::\"{}\");\n",
        person.project().display(),
        program.parent().unwrap().display(),
    );
    person.write(".ringfence/policy.cedar", &policy);
    person.succeed(&["trust", "--yes"]);
    person
}

/// A line typed into a shell of the person's.
fn typed(person: &Person, shell: &str, line: &str) -> Output {
    let program = Path::new("/usr/bin").join(shell);
    person.command(&program, &["-i", "-c", line]).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn sessions(person: &Person) -> usize {
    person.succeed(&["sessions", "--json"]).lines().count()
}

#[test]
fn every_shell_starts_a_known_agent_in_a_world_with_its_arguments_untouched() {
    for who in Who::all() {
        let person = person(who);
        for shell in SHELLS {
            assert_eq!(
                out(&typed(&person, shell, "claude")),
                "outside\n<>\n",
                "the oracle: {shell}"
            );
        }
        person.succeed(&["sandbox", "enable"]);
        for shell in SHELLS {
            let line = "claude --help 'a b' -- '' -x '$HOME' --version";
            let output = typed(&person, shell, line);
            let expected = "inside\n<--help><a b><--><><-x><$HOME><--version>\n";
            assert_eq!(out(&output), expected, "{shell}: {}", err(&output));
            assert_eq!(output.status.code(), Some(7), "{shell}");
            for line in ["command claude", "env claude", "sh -c claude", "echo | xargs claude"] {
                let output = typed(&person, shell, line);
                assert!(out(&output).starts_with("inside\n"), "{shell}: {line}: {}", err(&output));
            }
            // A shell started by a shell has the stand-ins once.
            let nested = format!("{shell} -i -c 'echo $PATH'");
            let path = out(&typed(&person, shell, &nested));
            assert_eq!(path.matches("ringfence/agents").count(), 1, "{shell}: {path}");
            let absent = typed(&person, shell, "codex --version");
            assert_eq!(absent.status.code(), Some(127), "{shell}: {}", err(&absent));
            assert!(err(&absent).contains("codex: not found"), "{}", err(&absent));
        }
    }
}

#[test]
fn inside_a_world_an_agents_name_is_the_agent_itself() {
    for who in Who::all() {
        let person = person(who);
        person.succeed(&["sandbox", "enable"]);
        let output = typed(&person, "bash", "claude again");
        assert_eq!(out(&output), "inside\n<again>\ninside\n<once>\n", "{}", err(&output));
        assert_eq!(sessions(&person), 1, "one world, not two");
    }
}

#[test]
fn no_variable_of_a_project_has_an_agent_start_otherwise() {
    for who in Who::all() {
        let person = person(who);
        person.succeed(&["sandbox", "enable"]);
        let other = person.project().join("elsewhere");
        let other = other.display();
        let everything = "permit (principal, action, resource);";
        let as_project = format!(
            "mkdir -p {other}/ringfence {other}/.config/ringfence; \
             echo '{everything}' | tee {other}/ringfence/policy.cedar > {other}/.config/ringfence/policy.cedar"
        );
        assert!(typed(&person, "bash", &as_project).status.success());
        // What a project's `.envrc` would do, after the shell has found its stand-ins.
        for (position, name) in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"].iter().enumerate() {
            let output = typed(&person, "bash", &format!("export {name}={other}; claude peek"));
            assert!(out(&output).starts_with("inside\n"), "{name}: {}", err(&output));
            assert!(err(&output).contains("1 denied"), "{name}: {}", err(&output));
            assert_eq!(sessions(&person), position + 1, "{name}");
        }
        let output = typed(&person, "bash", "export RINGFENCE_DENIALS=/x; claude");
        assert_eq!(out(&output), "", "not without a world: {}", err(&output));
        assert!(err(&output).contains("from inside a world"), "{}", err(&output));
    }
}

#[test]
fn a_stand_in_whose_ringfence_is_gone_starts_nothing() {
    for who in Who::all() {
        let person = person(who);
        person.succeed(&["sandbox", "enable"]);
        fs::remove_file(person.ringfence_program()).unwrap();
        let output = typed(&person, "bash", "claude");
        assert_eq!((output.status.code(), out(&output)), (Some(127), String::new()));
        assert!(err(&output).contains("claude: not started"), "{}", err(&output));
    }
}

/// Content and mode of a file, where there is one.
type Look = Option<(Vec<u8>, u32)>;

/// Every file of a home's shells.
fn files(person: &Person) -> Vec<(&'static str, Look)> {
    let names = [".bashrc", ".profile", ".bash_profile", ".zshrc", ".config/fish/config.fish"];
    let look = |name: &'static str| {
        let path = person.home().join(name);
        let mode = fs::metadata(&path).map(|found| found.permissions().mode());
        (name, fs::read(&path).ok().zip(mode.ok()))
    };
    names.map(look).into()
}

#[test]
fn what_is_enabled_twice_is_there_once_and_disabling_leaves_every_byte_as_it_was() {
    for who in Who::all() {
        let person = person(who);
        let rc = person.home().join(".bashrc");
        fs::write(&rc, b"# \xff not UTF-8\r\nexport X=1").unwrap();
        fs::set_permissions(&rc, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(person.home().join(".profile"), "").unwrap();
        person.give(&person.home());
        let before = files(&person);
        let shown = person.succeed(&["sandbox", "enable", "--dry-run"]);
        assert!(shown.contains("+# >>> ringfence sandbox"), "{shown}");
        assert_eq!(files(&person), before, "a dry run changes nothing");
        person.succeed(&["sandbox", "enable"]);
        let once = files(&person);
        assert_ne!(once, before);
        person.succeed(&["sandbox", "enable"]);
        assert_eq!(files(&person), once);
        assert_eq!(person.succeed(&["sandbox", "enable", "--dry-run"]), "");
        let shown = person.succeed(&["sandbox", "disable", "--dry-run"]);
        assert!(shown.contains("-# >>> ringfence sandbox"), "{shown}");
        assert_eq!(files(&person), once);
        person.succeed(&["sandbox", "disable"]);
        assert_eq!(files(&person), before);
        assert_eq!(out(&typed(&person, "bash", "claude")), "outside\n<>\n");
        person.succeed(&["sandbox", "disable"]);
    }
}

#[test]
fn a_file_that_is_not_the_persons_own_is_left_alone_and_nothing_else_is_changed() {
    for who in Who::all() {
        let person = person(who);
        let outside = person.project().parent().unwrap().parent().unwrap().join("bin/rc");
        fs::write(&outside, "theirs\n").unwrap();
        symlink(&outside, person.home().join(".zshrc")).unwrap();
        let before = files(&person);
        let output = person.ringfence(&["sandbox", "enable"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        assert!(err(&output).contains("leads out of the home directory"), "{}", err(&output));
        assert_eq!(files(&person), before);
        assert_eq!(fs::read_to_string(&outside).unwrap(), "theirs\n");
        person.succeed(&["sandbox", "enable", "--shell", "bash"]);
        assert!(out(&typed(&person, "bash", "claude")).starts_with("inside\n"));
        fs::write(person.home().join(".bashrc"), "# >>> ringfence sandbox >>>\n").unwrap();
        person.give(&person.home().join(".bashrc"));
        let output = person.ringfence(&["sandbox", "disable"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        assert!(err(&output).contains("is missing"), "{}", err(&output));
    }
}

#[test]
fn the_status_says_what_is_covered_and_the_logs_what_was_refused() {
    for who in Who::all() {
        let person = person(who);
        let status = || -> Value {
            let text = person.succeed(&["sandbox", "status", "--json"]);
            serde_json::from_str(&text).unwrap()
        };
        let of = |status: &Value, shell: &str| -> Value {
            let all = status["shells"].as_array().unwrap();
            all.iter().find(|it| it["shell"] == shell).unwrap().clone()
        };
        assert_eq!(of(&status(), "bash")["covered"], false);
        person.succeed(&["sandbox", "enable", "--shell", "bash", "--shell", "fish"]);
        fs::write(person.home().join(".zshrc"), "alias claude=/opt/claude\n").unwrap();
        person.give(&person.home());
        let now = status();
        conforms(&now, "sandbox-status.schema.json");
        for (shell, covered) in [("bash", true), ("zsh", false), ("fish", true)] {
            assert_eq!(of(&now, shell)["covered"], covered, "{now}");
        }
        assert_eq!(of(&now, "zsh")["files"][0]["aliases"][0], "claude");
        let text = person.succeed(&["sandbox", "status"]);
        for part in ["not installed", "IDE", "cron", "an alias starts claude"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let line = format!("{} sandbox status --json", person.ringfence_program().display());
        let here = out(&typed(&person, "bash", &line));
        assert!(here.contains("\"here\":true") && !here.contains("\"here\":false"), "{here}");
        typed(&person, "bash", "claude peek");
        let logs = person.ringfence(&["sandbox", "logs", "--json"]).output().unwrap();
        lines_conform(&logs.stdout, "sandbox-logs.schema.json");
        assert_eq!(out(&logs).lines().count(), 1);
        let said = person.ringfence(&["sandbox", "logs"]).output().unwrap();
        assert!(said.status.success(), "{}", err(&said));
        assert!(out(&said).contains("/usr/refused"), "{}", out(&said));
        assert_eq!(fs::remove_file(agents(&person).join("claude")).ok(), Some(()));
        assert_eq!(of(&status(), "bash")["covered"], false, "a stand-in is gone");
    }
}

#[test]
fn the_logs_tell_of_starts_that_failed() {
    for who in Who::all() {
        let person = person(who);
        person.succeed(&["sandbox", "enable", "--shell", "bash"]);
        let quiet = person.ringfence(&["sandbox", "logs"]).output().unwrap();
        assert!(err(&quiet).contains("nothing failed to start"), "{}", err(&quiet));
        // A command that is not there comes to a session, a policy that is broken to none.
        let absent = person.ringfence(&["run", "--", "no-such-agent", "--now"]).output().unwrap();
        assert_eq!(absent.status.code(), Some(127), "{}", err(&absent));
        let broken = person.project().join("broken.cedar");
        fs::write(&broken, "permit (principal, action").unwrap();
        person.give(&person.project());
        let words = ["run", "--policy", broken.to_str().unwrap(), "--", "claude"];
        let broken = person.ringfence(&words).output().unwrap();
        assert_eq!(broken.status.code(), Some(125), "{}", err(&broken));
        let said = out(&person.ringfence(&["sandbox", "logs"]).output().unwrap());
        assert_eq!(said.matches("did not start: ").count(), 2, "{said}");
        assert!(said.contains("no-such-agent") && said.contains("no session "), "{said}");
        let json = person.ringfence(&["sandbox", "logs", "--json"]).output().unwrap();
        lines_conform(&json.stdout, "sandbox-logs.schema.json");
        let json = out(&json);
        let mut lines = json.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
        let last = lines.next().unwrap();
        assert!(last["session"].is_null() && last["failed"].is_string(), "{last}");
        let first = lines.next().unwrap();
        assert!(first["session"].is_string() && first["failed"].is_string(), "{first}");
    }
}

fn agents(person: &Person) -> std::path::PathBuf {
    let text = person.succeed(&["sandbox", "status", "--json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    status["directory"].as_str().unwrap().into()
}
