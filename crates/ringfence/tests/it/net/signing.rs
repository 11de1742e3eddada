//! Signatures by the person's ssh agent, for programs of a world without a key.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use super::stage::Net;
use super::tools::{permit, ssh_server};
use crate::attacks::stage::{Side, Who, everybody, text};
use crate::started::{Started, free_port};

/// A person with an agent that has two keys, one of which settings name: it opens a server.
struct Signing {
    net: Net,
    _server: Started,
    agent: Child,
    dir: PathBuf,
    port: u16,
    user: String,
}

impl Signing {
    fn new(who: Who, rule: &str) -> Signing {
        let port = free_port();
        let net = Net::with_policy(who, |_| permit("good.example", port) + rule);
        let (server, user) = ssh_server(&net, port);
        let dir = net.stage.home().join("outside");
        let shell = |script: &str| {
            // By whoever runs the tests: ssh's programs want to know their user by name.
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]).current_dir(net.stage.project());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{script}: {}", text(&output));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let sock = dir.join("agent");
        let words = ["-D", "-a", sock.to_str().unwrap()];
        let agent = net.stage.command(Path::new("/usr/bin/ssh-agent"), &words).spawn().unwrap();
        let begun = Instant::now();
        while !sock.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no agent");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The key is where no world sees it.
        let fingerprint = shell(
            "mv key ../outside/key && mv key.pub ../outside/key.pub && cd ../outside && \
             ssh-keygen -q -t ed25519 -N '' -C other -f other && chmod 600 key && \
             SSH_AUTH_SOCK=$PWD/agent ssh-add -q key other && \
             ssh-keygen -l -f key.pub | cut -d' ' -f2",
        );
        let host = std::fs::read_to_string(dir.join("ssh/host.pub")).unwrap();
        let host = host.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        net.stage.write(".ssh/known_hosts", &format!("[good.example]:{port} {host}\n"));
        let settings = format!("[ssh]\nkeys = {{ deploy = \"{fingerprint}\" }}\n");
        net.stage.write(".config/ringfence/settings.toml", &settings);
        Signing { net, _server: server, agent, dir, port, user }
    }

    /// What a script inside says.
    fn said(&self, script: &str) -> String {
        let script = format!("{{ {script}; }} 2>&1 | cat");
        let mut command = self.net.command(Side::Inside, &script);
        text(&command.env("SSH_AUTH_SOCK", self.dir.join("agent")).output().unwrap())
    }

    fn url(&self) -> String {
        let repository = self.dir.join("repo.git");
        let make = format!("git init -q --bare -b main {}", repository.display());
        assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success());
        format!("ssh://{}@good.example:{}{}", self.user, self.port, repository.display())
    }
}

impl Drop for Signing {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

const LOGIN: &str = r#"
@id("login")
permit (principal, action == Action::"secret.use", resource == Secret::"deploy")
when { context.method == "ssh-login" && context has host && context.host == "good.example" };
"#;

const COMMIT: &str = r#"
@id("commit")
permit (principal, action == Action::"secret.use", resource == Secret::"deploy")
when { context.method == "ssh-sign" && context.path == "git" };
"#;

#[test]
fn git_pushes_over_ssh_without_a_key_in_the_world() {
    for who in everybody() {
        let signing = Signing::new(who, LOGIN);
        let url = signing.url();
        let said = signing.said(&format!(
            "git clone -q {url} work && cd work && git -c user.name=a -c user.email=a@b \
             commit -q --allow-empty -m pushed && git push -q origin HEAD:main && \
             git ls-remote origin main && echo pushed"
        ));
        assert!(said.contains("refs/heads/main\npushed\n"), "{said}");
        let used = signing.net.entries("ssh-login");
        assert!(used.iter().any(|it| it.to_string().contains("good.example")), "{used:?}");
        // Nothing of the key is in the world.
        let said = signing
            .said("find / -name 'key*' -path '*outside*' 2>/dev/null; env; cat /run/ringfence/*");
        assert!(!said.contains("outside/key"), "{said}");
    }
}

#[test]
fn a_login_that_is_not_permitted_is_not_signed() {
    for who in everybody() {
        let signing = Signing::new(who, COMMIT);
        let url = signing.url();
        let said = signing.said(&format!("git ls-remote {url} || echo it failed"));
        assert!(
            said.contains("Permission denied (publickey") && said.contains("it failed"),
            "{said}"
        );
        assert!(said.contains("may not use the secret deploy"), "{said}");
        // A commit is another thing.
        let key = std::fs::read_to_string(signing.dir.join("key.pub")).unwrap();
        let said = signing.said(&format!(
            "git init -q work && cd work && git -c user.name=a -c user.email=a@b -c gpg.format=ssh \
             -c user.signingkey='key::{}' commit -q -S --allow-empty -m signed && \
             git cat-file -p HEAD",
            key.trim()
        ));
        assert!(said.contains("-----BEGIN SSH SIGNATURE-----"), "{said}");
    }
}

#[test]
fn commits_are_signed_as_the_person_signs_them() {
    for who in everybody() {
        let signing = Signing::new(who, COMMIT);
        let net = &signing.net;
        let key = std::fs::read_to_string(signing.dir.join("key.pub")).unwrap();
        net.stage.write(".ssh/work.pub", &key);
        net.stage.write(
            ".gitconfig",
            "[user]\nname = a\nemail = a@b\nsigningkey = ~/.ssh/work.pub\n[gpg]\nformat = ssh\n\
             program = /bin/false\n[gpg \"ssh\"]\nprogram = /bin/false\ndefaultKeyCommand = /bin/false\n\
             [commit]\ngpgsign = true\n[tag]\ngpgsign = true\n",
        );
        let said = signing.said(
            "git init -q work && cd work && git commit -q --allow-empty -m signed && \
             git tag -m signed v1 && git cat-file -p HEAD && git cat-file -p v1 && \
             git config --get-regexp 'gpg|sign'",
        );
        assert_eq!(said.matches("-----BEGIN SSH SIGNATURE-----").count(), 2, "{said}");
        assert!(said.contains("user.signingkey key::ssh-ed25519 AAAA"), "{said}");
        assert!(!said.contains("/bin/false"), "{said}");
        // Each is a use that was decided.
        assert_eq!(net.entries("ssh-sign").len(), 2);
        // The host's git believes both.
        let allowed = format!("a@b {key}");
        net.stage.write("allowed", &allowed);
        let verify = format!(
            "cd work && for it in verify-commit\\ HEAD verify-tag\\ v1; do \
             git -c safe.directory='*' -c gpg.ssh.allowedSignersFile={}/allowed $it || exit 1; done",
            net.stage.home().display()
        );
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &verify]).current_dir(net.stage.project());
        let verified = command.output().unwrap();
        assert!(verified.status.success(), "{}", text(&verified));
    }
}

#[test]
fn connections_on_which_nothing_is_said_keep_no_one_from_the_agent() {
    for who in everybody() {
        let signing = Signing::new(who, LOGIN);
        signing.net.stage.write(
            "project/hold.py",
            "import os, socket, subprocess\n\
             held = []\n\
             for _ in range(40):\n    \
                 it = socket.socket(socket.AF_UNIX)\n    \
                 it.connect(os.environ['SSH_AUTH_SOCK'])\n    \
                 held.append(it)\n\
             print(subprocess.run(['ssh-add', '-l'], capture_output=True, text=True))\n",
        );
        let said = signing.said("python3 hold.py");
        assert!(said.contains("SHA256:"), "{said}");
    }
}

#[test]
fn an_agent_of_a_world_shows_named_keys_and_takes_none() {
    for who in everybody() {
        let signing = Signing::new(who, LOGIN);
        let said = signing.said("ssh-add -l");
        assert!(said.contains("SHA256:") && !said.contains(" other "), "{said}");
        for (attempt, expected) in [
            ("ssh-keygen -q -t ed25519 -N '' -f mine; ssh-add mine", "agent refused operation"),
            ("ssh-add -D", "Failed to remove all identities"),
            (
                "ssh-add -D",
                "denied: sign: an ssh agent of a world is not changed: this removes all",
            ),
            ("ssh-add -x </dev/null", "denied"),
            ("printf x | ssh-keygen -Y sign -n file -f ../outside/other.pub", "denied"),
        ] {
            let said = signing.said(&format!("{attempt} || echo denied"));
            assert!(said.contains(expected), "{attempt}: {said}");
        }
        let key = std::fs::read_to_string(signing.dir.join("key.pub")).unwrap();
        let sign = format!(
            "echo '{}' > k.pub; printf x | ssh-keygen -Y sign -n file -f k.pub",
            key.trim()
        );
        let said = signing.said(&sign);
        assert!(said.contains("may not use the secret deploy"), "{said}");
        assert!(!said.contains("BEGIN SSH SIGNATURE"), "{said}");
    }
}

#[test]
fn a_world_has_no_agent_unless_settings_name_a_key() {
    for who in everybody() {
        let signing = Signing::new(who, LOGIN);
        signing.net.stage.write(".config/ringfence/settings.toml", "");
        let said = signing.said("ls /run/ringfence; echo agent=$SSH_AUTH_SOCK; ssh-add -l");
        assert!(said.contains("agent=\n") && !said.contains("ssh-agent"), "{said}");
        assert!(said.contains("hint: to log in and sign by your ssh agent, name its"), "{said}");
    }
}

#[test]
fn a_named_key_that_the_persons_agent_lacks_is_told_of_at_the_start() {
    for who in everybody() {
        let signing = Signing::new(who, LOGIN);
        let lacks = "and your ssh agent has no such key";
        assert!(!signing.said("true").contains(lacks));
        let missing = format!("SHA256:{}", "x".repeat(43));
        let settings = format!("[ssh]\nkeys = {{ deploy = \"{missing}\" }}\n");
        signing.net.stage.write(".config/ringfence/settings.toml", &settings);
        let said = signing.said("true");
        assert!(said.contains(&format!("`[ssh] keys` names {missing}, {lacks}")), "{said}");
    }
}
