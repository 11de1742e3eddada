//! Signatures by the person's gpg agent, for programs of a world without a key.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::attacks::stage::{Stage, Who, everybody, text};

/// A person with three keys that have no passphrase, one of which settings name.
struct Gpg {
    stage: Stage,
    /// Named: it signs.
    named: String,
    /// Not named: it signs too, and has a subkey that deciphers.
    other: String,
}

const KEYS: &str = "%no-protection
Key-Type: eddsa
Key-Curve: ed25519
Key-Usage: sign
Name-Email: named@example.com
%commit
Key-Type: rsa
Key-Length: 2048
Key-Usage: sign,cert
Subkey-Type: rsa
Subkey-Length: 2048
Subkey-Usage: encrypt
Name-Email: other@example.com
%commit
";

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

const SIGN: &str = r#"
@id("commits")
permit (principal, action == Action::"secret.use", resource == Secret::"commits")
when { context.method == "gpg-sign" };
"#;

impl Gpg {
    fn new(who: Who, rules: &str) -> Gpg {
        let stage = Stage::new(who, &format!("{POLICY}{rules}"));
        stage.write("outside/keys", KEYS);
        let mut gpg = Gpg { stage, named: String::new(), other: String::new() };
        gpg.outside("mkdir -m 700 $GNUPGHOME && gpg -q --batch --gen-key ../outside/keys");
        let listed = gpg.outside("gpg --with-colons --list-secret-keys");
        let mut fingerprints = listed.lines().filter(|line| line.starts_with("fpr:"));
        let mut next = || fingerprints.next().unwrap().split(':').nth(9).unwrap().to_owned();
        (gpg.named, gpg.other) = (next(), next());
        gpg.settings(&format!("[gpg]\nkeys = {{ commits = \"{}\" }}\n", gpg.named));
        gpg
    }

    fn settings(&self, text: &str) {
        self.stage.write(".config/ringfence/settings.toml", text);
    }

    fn with_keys(&self, mut command: Command) -> String {
        let home = self.stage.home().join("outside/gnupg");
        let output = command.env("GNUPGHOME", home).stdin(Stdio::null()).output().unwrap();
        text(&output)
    }

    /// What a script says, outside.
    fn outside(&self, script: &str) -> String {
        let script = format!("{{ {script}; }} 2>&1");
        self.with_keys(self.stage.command(Path::new("/bin/sh"), &["-c", &script]))
    }

    /// What a script inside says.
    fn said(&self, script: &str) -> String {
        let script = format!("{{ {script}; }} 2>&1 | cat");
        self.with_keys(self.stage.ringfence_command(&["run", "--", "sh", "-c", &script]))
    }

    /// Entries of the last session that have these words.
    fn entries(&self, words: &str) -> Vec<Value> {
        let shown = self.stage.succeed(&["log", "show", "--json"]);
        let lines = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line.to_string().contains(words)).collect()
    }
}

/// A commit that is signed by this key.
fn commit(key: &str) -> String {
    format!(
        "git init -q -b main work && cd work && git config user.name a && \
         git config user.email a@b && git config user.signingkey {key} && \
         git commit -q -S --allow-empty -m signed"
    )
}

impl Drop for Gpg {
    fn drop(&mut self) {
        self.outside("gpgconf --kill gpg-agent");
    }
}

#[test]
fn git_signs_by_a_key_that_is_not_in_the_world() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let said = gpg.said(&format!(
            "{} && git tag -s -m tagged v1 && git log --format='%G? %GF' --show-signature && \
             git tag -v v1 && echo all of it",
            commit(&gpg.named)
        ));
        assert!(said.contains("Good signature from") && said.contains("all of it"), "{said}");
        // The person's own gpg finds the signature good, too.
        let verified = gpg.outside("cd work && git -c safe.directory='*' verify-commit HEAD");
        assert!(verified.contains("Good signature"), "{verified}");
        let used = gpg.entries(&format!("{}/sha", gpg.named));
        assert!(used.len() >= 2, "{used:?}");
    }
}

#[test]
fn a_signature_that_is_not_permitted_is_not_made() {
    for who in everybody() {
        let gpg = Gpg::new(who, "");
        let made = gpg.outside(&commit(&gpg.named));
        assert_eq!(made, "", "outside it is made");
        let said = gpg.said(&format!("rm -rf work; {} || echo no commit", commit(&gpg.named)));
        assert!(said.contains("may not use the secret commits"), "{said}");
        assert!(said.contains("no commit"), "{said}");
    }
}
