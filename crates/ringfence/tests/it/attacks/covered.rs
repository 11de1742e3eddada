//! Places with secrets by other names than the well-known ones: where a link leads to them, and where a rule
//! of the policy shows all that is around them.

use std::path::Path;

use super::stage::{Side, Stage, everybody, text};

/// Everything runs, and the whole home is shown.
const HOME_READ: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
permit (principal, action == Action::"fs.read", resource in Dir::"HOME");
"#;

/// The same, and all of it may be written.
const HOME_WRITTEN: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"HOME");
"#;

/// What is said when a script tries all these commands, and which of them succeeded.
fn tried(stage: &Stage, side: Side, commands: &[&str]) -> (Vec<usize>, String) {
    let each = commands.iter().enumerate();
    let each = each.map(|(at, command)| format!("({command}) && echo did-$(({at} + 100))\n"));
    let script = each.collect::<Vec<String>>().concat();
    stage.write("project/script.sh", &format!("{script}echo end-of-script\n"));
    let inside = ["run", "--", "sh", "./script.sh"];
    let mut command = match side {
        Side::Outside => stage.command(Path::new("/bin/sh"), &["./script.sh"]),
        Side::Inside => stage.ringfence_command(&inside),
    };
    let said = text(&command.output().unwrap());
    assert!(said.contains("end-of-script"), "{side:?}: {said}");
    let did = |at: &usize| said.contains(&format!("did-{}", at + 100));
    ((0..commands.len()).filter(did).collect(), said)
}

#[test]
fn a_policy_opens_what_it_names_of_a_place_with_secrets_and_nothing_else() {
    let reading = [
        "grep the-key ~/.ssh/id",
        "grep the-key ~/.gnupg/key",
        "echo x > ~/.ssh/other",
        "mv ~/.ssh ~/.ssh2",
        "grep known ~/.ssh/known_hosts",
        "grep plain ~/.kube/config",
        "grep plain ~/.config/gh/deep/er/file",
    ];
    let named = r#"
        permit (principal, action == Action::"fs.read", resource == Path::"HOME/.ssh/known_hosts");
        permit (principal, action == Action::"fs.read", resource in Dir::"HOME/.config/gh/deep/er");
        permit (principal, action == Action::"fs.read", resource in Dir::"HOME/.kube");
        forbid (principal, action == Action::"fs.write", resource in Dir::"HOME/.gnupg");
    "#;
    for who in everybody() {
        for policy in [HOME_READ, HOME_WRITTEN] {
            let stage = Stage::new(who, &format!("{policy}{named}"));
            stage.write(".ssh/known_hosts", "known\n");
            for name in [".ssh/id", ".gnupg/key"] {
                stage.write(name, "the-key\n");
            }
            for name in [".kube/config", ".config/gh/deep/er/file"] {
                stage.write(name, "plain\n");
            }
            let (read, said) = tried(&stage, Side::Inside, &reading);
            assert_eq!(read, [4, 5, 6], "{who:?}: {said}");
            // The person's own are where they were.
            assert!(stage.has(".ssh/id") && !stage.has(".ssh/other"), "{said}");
            assert_eq!(tried(&stage, Side::Outside, &reading).0, [0, 1, 2, 3, 5, 6]);
        }
    }
}

#[test]
fn a_part_that_may_be_written_is_the_persons_own() {
    for who in everybody() {
        let stage = Stage::new(
            who,
            &format!(
                "{HOME_READ}permit (principal, action in Action::\"fs\", \
                 resource in Dir::\"HOME/.ssh/known_hosts\");"
            ),
        );
        stage.write(".ssh/known_hosts", "known\n");
        stage.write(".ssh/id", "the-key\n");
        let trying = ["echo more >> ~/.ssh/known_hosts", "grep the-key ~/.ssh/id"];
        let (did, said) = tried(&stage, Side::Inside, &trying);
        assert_eq!(did, [0], "{who:?}: {said}");
        assert_eq!(stage.read(".ssh/known_hosts"), "known\nmore\n");
    }
}
