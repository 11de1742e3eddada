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
