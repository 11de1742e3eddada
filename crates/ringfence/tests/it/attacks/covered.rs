//! Places with secrets by other names than the well-known ones: where a link leads to them, and where a rule
//! of the policy shows all that is around them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, lchown, symlink};
use std::path::Path;
use std::process::Stdio;

use super::stage::{Side, Stage, Who, everybody, text};
use super::targets::wait_until;

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

/// A link of the person's.
fn link(stage: &Stage, name: &str, says: &str) {
    let link = stage.home().join(name);
    symlink(says, &link).unwrap();
    if stage.who == Who::Ordinary {
        let home = fs::metadata(stage.home()).unwrap();
        lchown(&link, Some(home.uid()), None).unwrap();
    }
}

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
    command.env("KUBECONFIG", stage.home().join("outside/kubeconfig"));
    let said = text(&command.output().unwrap());
    assert!(said.contains("end-of-script"), "{side:?}: {said}");
    let did = |at: &usize| said.contains(&format!("did-{}", at + 100));
    ((0..commands.len()).filter(did).collect(), said)
}

#[test]
fn a_place_with_secrets_that_is_a_link_is_covered_where_it_leads() {
    let reading = [
        "grep the-key ~/.aws/credentials",
        "grep the-key ~/dotfiles/aws/credentials",
        "grep the-key ~/.config/gh/hosts.yml",
        "grep the-key ~/dotfiles/config/gh/hosts.yml",
        "grep the-key ~/.kube/config",
        "grep the-key ~/dotfiles/kubeconfig",
    ];
    // Programs of the host's own would find what the agent put there.
    let planting = [
        "rm ~/.aws && mkdir ~/.aws && echo evil > ~/.aws/config",
        "mv ~/.config ~/.other && mkdir -p ~/.config/gh && echo evil > ~/.config/gh/config.yml",
        "mv ~/dotfiles/aws ~/dotfiles/other",
    ];
    for who in everybody() {
        for policy in [HOME_READ, HOME_WRITTEN] {
            let stage = Stage::new(who, policy);
            stage.write("dotfiles/aws/credentials", "the-key\n");
            stage.write("dotfiles/config/gh/hosts.yml", "the-key\n");
            stage.write("dotfiles/config/other", "plain\n");
            stage.write("dotfiles/kubeconfig", "the-key\n");
            stage.write(".kube/cache", "x\n");
            link(&stage, ".aws", "dotfiles/aws");
            link(&stage, ".config", "dotfiles/config");
            link(&stage, ".kube/config", "../dotfiles/kubeconfig");
            link(&stage, ".bash_history", "/dev/null");
            link(&stage, ".netrc", "dotfiles/none");
            assert_eq!(tried(&stage, Side::Outside, &reading).0, [0, 1, 2, 3, 4, 5]);
            let (read, said) = tried(&stage, Side::Inside, &reading);
            assert_eq!(read, [0; 0], "{who:?}: {said}");
            let leads = "dotfiles/aws`, which stays covered: it holds secrets";
            assert!(said.contains(leads), "{said}");
            let (planted, said) = tried(&stage, Side::Inside, &planting);
            assert_eq!(planted, [0; 0], "{who:?}: {said}");
            let rest = ["grep plain ~/.config/other", "echo x > /dev/null"];
            let (shown, said) = tried(&stage, Side::Inside, &rest);
            assert_eq!(shown, [0, 1], "{who:?}: {said}");
            assert!(!stage.has("dotfiles/none"), "what was made for the run is gone");
            assert_eq!(tried(&stage, Side::Outside, &planting).0, [0, 1, 2], "{who:?}");
        }
    }
}

#[test]
fn another_name_of_a_file_with_secrets_is_covered_too() {
    let reading = [
        "grep the-key ~/.netrc",
        "grep the-key ~/project/plain",
        "grep the-key ~/.ssh/id",
        "grep the-key ~/project/deep/er/id",
        "grep the-key ~/outside/kubeconfig",
        "grep the-key ~/project/kube",
        "grep the-key ~/project/named",
    ];
    for who in everybody() {
        for policy in [HOME_READ, HOME_WRITTEN, ""] {
            let alone = r#"
                permit (principal, action == Action::"exec", resource);
                permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
                permit (principal, action == Action::"fs.read", resource == Path::"HOME/project/named");
            "#;
            let named = "permit (principal, action == Action::\"fs.read\", \
                         resource == Path::\"HOME/project/named\");";
            let policy =
                if policy.is_empty() { alone.to_owned() } else { format!("{policy}{named}") };
            let stage = Stage::new(who, &policy);
            let home = stage.home();
            for name in [".netrc", ".ssh/id", "outside/kubeconfig", ".pgpass"] {
                stage.write(name, "the-key\n");
            }
            stage.write("project/deep/er/file", "x\n");
            for (file, other) in [
                (".netrc", "project/plain"),
                (".ssh/id", "project/deep/er/id"),
                ("outside/kubeconfig", "project/kube"),
                (".pgpass", "project/named"),
            ] {
                fs::hard_link(home.join(file), home.join(other)).unwrap();
            }
            assert_eq!(tried(&stage, Side::Outside, &reading).0, [0, 1, 2, 3, 4, 5, 6]);
            let (read, said) = tried(&stage, Side::Inside, &reading);
            // What the policy names is opened.
            assert_eq!(read, [6], "{who:?}: {said}");
            assert!(said.contains("another name of"), "{said}");
        }
    }
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

#[test]
fn a_link_of_a_place_with_secrets_that_is_replaced_meanwhile_opens_nothing() {
    for who in everybody() {
        let stage = Stage::new(who, HOME_READ);
        for name in ["dotfiles/aws/credentials", ".plain"] {
            stage.write(name, "the-key\n");
        }
        link(&stage, ".aws", "dotfiles/aws");
        stage.write(
            "project/script.sh",
            "echo > ready; while [ ! -e finish ]; do cat ~/.aws/credentials ~/dotfiles/aws/credentials; done\n\
             until grep plain ~/.plain; do sleep 0.02; done; cat ~/.aws/credentials",
        );
        let mut run = stage.ringfence_command(&["run", "--", "sh", "./script.sh"]);
        let run = run.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the agent waits", || stage.has("project/ready"));
        let save = "for n in 1 2 3 4 5; do rm -rf ~/.aws ~/dotfiles/aws; mkdir -p ~/.aws ~/dotfiles/aws; \
                    echo the-key | tee ~/.aws/credentials > ~/dotfiles/aws/credentials; \
                    echo plain > ~/.new; mv ~/.new ~/.plain; done; cat ~/.aws/credentials";
        stage.write("outside/save.sh", save);
        let save = stage.home().join("outside/save.sh");
        let mut save = stage.command(Path::new("/bin/sh"), &[save.to_str().unwrap()]);
        let outside = text(&save.output().unwrap());
        assert!(outside.contains("the-key"), "{outside}");
        stage.write("project/finish", "");
        let said = run.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "plain\n", "{who:?}");
    }
}
