//! Attacks by what a repository says about itself: its policy and its settings.

use super::stage::{Stage, everybody, text};

/// Lets everything happen; `HOME` stands for the home.
const EVERYTHING: &str = r#"
@id("everything")
permit (principal, action in [Action::"exec", Action::"net.connect"], resource);
@id("every-file")
permit (principal, action in Action::"fs", resource in Dir::"HOME");
"#;

/// The person's own policy: programs, and the project.
const OWN: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// A person with a policy of their own and a secret next to the project.
fn person(who: super::Who) -> Stage {
    let stage = Stage::without_policy(who);
    stage.write(".config/ringfence/policy.cedar", &here(&stage, OWN));
    stage.write("outside/secret", "the-secret\n");
    stage
}

/// A policy about this home.
fn here(stage: &Stage, policy: &str) -> String {
    policy.replace("HOME", stage.home().to_str().unwrap())
}

/// What reading the secret under `ringfence run` prints.
fn read_secret(stage: &Stage) -> String {
    let secret = stage.home().join("outside/secret");
    let words = ["run", "--", "cat", secret.to_str().unwrap()];
    text(&stage.ringfence_command(&words).output().unwrap())
}

#[test]
fn a_cloned_repository_that_permits_everything_widens_nothing() {
    for who in everybody() {
        let stage = person(who);
        stage.write("project/.ringfence/policy.cedar", &here(&stage, EVERYTHING));
        let said = read_secret(&stage);
        assert!(said.contains("not trusted"), "{who:?}: {said}");
        assert!(!said.contains("the-secret"), "{who:?}: {said}");
        // The oracle: trusted, the same policy opens the way.
        stage.succeed(&["trust", "--yes"]);
        assert!(read_secret(&stage).contains("the-secret"), "{who:?}");
    }
}

#[test]
fn a_cloned_repository_cannot_switch_enforcement_off() {
    for who in everybody() {
        let stage = person(who);
        let settings = "[dangerous]\naccept_gaps = [\"landlock\", \"seccomp\", \"namespaces\"]\n\n\
                        [fs]\ndynamic = true\n";
        stage.write("project/.ringfence/settings.toml", settings);
        stage.write("project/.ringfence/policy.cedar", &here(&stage, EVERYTHING));
        let said = read_secret(&stage);
        assert!(!said.contains("the-secret"), "{who:?}: {said}");
        assert!(said.contains("not trusted"), "{who:?}: {said}");
        let show = stage.ringfence_command(&["show", "--json"]).output().unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
        let layers = shown["layers"].as_array();
        for layer in layers.into_iter().flatten().filter(|layer| layer["layer"] != "pty") {
            assert_eq!(layer["state"], "enforced", "{who:?}: {layer}");
        }
    }
}

#[test]
fn a_policy_that_changes_after_it_was_trusted_is_not_in_force() {
    for who in everybody() {
        let stage = person(who);
        let narrow = "@id(\"nothing\")\nforbid (principal, action == Action::\"exec\", \
                      resource == Program::\"/none\");\n";
        stage.write("project/.ringfence/policy.cedar", narrow);
        stage.succeed(&["trust", "--yes"]);
        assert!(!read_secret(&stage).contains("the-secret"), "{who:?}");
        stage.write("project/.ringfence/policy.cedar", &here(&stage, EVERYTHING));
        let said = read_secret(&stage);
        assert!(!said.contains("the-secret"), "{who:?}: {said}");
        assert!(said.contains("hint: "), "{who:?}: {said}");
    }
}

#[test]
fn an_agent_cannot_change_the_policy_of_its_next_session() {
    for who in everybody() {
        let stage = person(who);
        stage.write("project/wider", &here(&stage, EVERYTHING));
        let script = "mkdir -p .ringfence ../.config/ringfence
                      cp wider .ringfence/policy.cedar
                      cp wider ../.config/ringfence/policy.cedar
                      mkdir made; cp wider made/policy.cedar
                      mv -T made .ringfence; mv -T made ../.config/ringfence
                      echo tried";
        let own = stage.read(".config/ringfence/policy.cedar");
        let tried = stage.script(super::Side::Inside, script);
        assert!(text(&tried).contains("tried"), "{}", text(&tried));
        assert_eq!(stage.read(".config/ringfence/policy.cedar"), own, "{who:?}");
        assert!(!stage.has("project/.ringfence/policy.cedar"), "{who:?}");
        assert!(!read_secret(&stage).contains("the-secret"), "{who:?}");
        // The oracle: the same script outside.
        stage.script(super::Side::Outside, script);
        assert!(read_secret(&stage).contains("the-secret"), "{who:?}");
    }
}

/// The person has no configuration yet, and the whole home may be written.
#[test]
fn an_agent_cannot_make_the_first_policy_of_a_person() {
    for who in everybody() {
        let stage = Stage::without_policy(who);
        stage.write("project/.ringfence/policy.cedar", &here(&stage, EVERYTHING));
        stage.succeed(&["trust", "--yes"]);
        assert!(!stage.has(".config"), "{who:?}");
        let script = "mkdir -p ../c/ringfence; echo > ../c/ringfence/policy.cedar
                      mv -T ../c ../.config || mv -T ../c/ringfence ../.config/ringfence
                      mkdir -p ../.config/ringfence; echo > ../.config/ringfence/policy.cedar
                      echo > tried";
        stage.script(super::Side::Inside, script);
        assert!(stage.has("project/tried"), "{who:?}");
        assert!(!stage.has(".config/ringfence/policy.cedar"), "{who:?}");
        stage.script(super::Side::Outside, script);
        assert!(stage.has(".config/ringfence/policy.cedar"), "{who:?}");
    }
}

/// Appends what permits everything to whatever file of a policy it may write, under each of its names.
const WIDEN: &str = "for name in own.cedar dots/real.cedar hop/real.cedar user.cedar; do
                         cat wider >> $name; mv $name moved; cp wider $name; mv wider-2 $name
                     done
                     mv hop hop-2; mkdir hop; cp wider hop/real.cedar; mv dots dots-2
                     echo > tried";

/// The files of its policy lie in the project, which it may write: by `--policy`, over links, and where the person's
/// own configuration is a link.
#[test]
fn an_agent_cannot_change_the_files_of_the_policy_it_runs_under() {
    for who in everybody() {
        let stage = person(who);
        let (project, own) = (stage.project(), here(&stage, OWN));
        let open = |name: &str| {
            let secret = stage.home().join("outside/secret");
            let words = ["run", "--policy", name, "--", "cat", secret.to_str().unwrap()];
            text(&stage.ringfence_command(&words).output().unwrap()).contains("the-secret")
        };
        for (files, name) in [("own.cedar", "own.cedar"), ("dots/real.cedar", "hop/real.cedar")] {
            stage.write("project/wider", &here(&stage, EVERYTHING));
            stage.write("project/wider-2", &here(&stage, EVERYTHING));
            stage.write(&format!("project/{files}"), &own);
            if name.starts_with("hop") {
                let _ = std::fs::remove_dir_all(project.join("hop"));
                std::os::unix::fs::symlink("dots", project.join("hop")).unwrap();
                stage.give(&project.join("hop"));
            }
            let words = ["run", "--policy", name, "--", "sh", "-c", WIDEN];
            stage.ringfence_command(&words).output().unwrap();
            assert!(stage.has("project/tried"), "{who:?} {name}");
            assert_eq!(stage.read(&format!("project/{files}")), own, "{who:?} {name}");
            assert_eq!(stage.read(&format!("project/{name}")), own, "{who:?} {name}");
            assert!(!open(name), "{who:?} {name}");
        }
        let user = stage.home().join(".config/ringfence/policy.cedar");
        std::fs::rename(&user, project.join("user.cedar")).unwrap();
        std::os::unix::fs::symlink(project.join("user.cedar"), &user).unwrap();
        stage.script(super::Side::Inside, WIDEN);
        assert_eq!(stage.read("project/user.cedar"), own, "{who:?}");
        assert!(!read_secret(&stage).contains("the-secret"), "{who:?}");
        // The oracle: the same script outside.
        stage.script(super::Side::Outside, WIDEN);
        assert!(read_secret(&stage).contains("the-secret") && open("own.cedar"), "{who:?}");
    }
}

/// A project is where a policy is, and not where somebody made a directory.
#[test]
fn an_agent_below_a_project_cannot_shed_its_rules() {
    for who in everybody() {
        let stage = person(who);
        stage.write("project/private", "the-secret\n");
        stage.write("project/sub/file", "\n");
        let forbids = "@id(\"no\") forbid (principal, action in Action::\"fs\", \
                       resource == Path::\"HOME/project/private\");\n";
        stage.write("project/.ringfence/policy.cedar", &here(&stage, forbids));
        stage.succeed(&["trust", "--yes"]);
        let run = |script: &str| {
            let mut command = stage.ringfence_command(&["run", "--", "sh", "-c", script]);
            text(&command.current_dir(stage.project().join("sub")).output().unwrap())
        };
        let policy = stage.home().join(".config/ringfence/policy.cedar").display().to_string();
        let script = format!(
            "mkdir -p .ringfence/mcp; cp {policy} .ringfence/settings.toml; cat ../private; echo made"
        );
        let said = run(&script);
        assert!(said.contains("made") && !said.contains("the-secret"), "{who:?}: {said}");
        assert!(stage.has("project/sub/.ringfence"), "{who:?}: the attack was made");
        let said = run("cat ../private; echo tried");
        assert!(said.contains("tried") && !said.contains("the-secret"), "{who:?}: {said}");
    }
}
