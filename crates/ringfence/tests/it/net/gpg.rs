//! Signatures by the person's gpg agent, for programs of a world without a key.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::attacks::stage::{Stage, Who, everybody, text};
use crate::run::Terminal;

/// A person with two keys that have no passphrase, one of which settings name.
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
Key-Type: eddsa
Key-Curve: ed25519
Key-Usage: sign,cert
Subkey-Type: ecdh
Subkey-Curve: cv25519
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
        stage.write("project/assuan.py", include_str!("../../net/assuan.py"));
        let mut gpg = Gpg { stage, named: String::new(), other: String::new() };
        gpg.outside("mkdir -m 700 $GNUPGHOME && gpg -q --batch --gen-key ../outside/keys");
        gpg.named = fingerprints(&gpg, "named@example.com").remove(0);
        gpg.other = fingerprints(&gpg, "other@example.com").remove(0);
        gpg.settings(&format!("[gpg]\nkeys = {{ commits = \"{}\" }}\n", gpg.named));
        gpg
    }

    fn settings(&self, text: &str) {
        self.stage.write(".config/ringfence/settings.toml", text);
    }

    fn with_keys(&self, mut command: Command) -> Command {
        command.env("GNUPGHOME", self.stage.home().join("outside/gnupg")).stdin(Stdio::null());
        command
    }

    /// What a script says, outside.
    fn outside(&self, script: &str) -> String {
        let script = format!("{{ {script}\n}} 2>&1");
        let mut command =
            self.with_keys(self.stage.command(Path::new("/bin/sh"), &["-c", &script]));
        text(&command.output().unwrap())
    }

    /// Where the person's agent is: in the user's own directory below `/run`, if there is one.
    fn socket(&self, kind: &str) -> String {
        self.outside(&format!("gpgconf --list-dirs {kind}")).trim().to_owned()
    }

    /// What a script inside says.
    fn said(&self, script: &str) -> String {
        let script = format!("{{ {script}\n}} 2>&1 | cat");
        text(&self.inside(&script).output().unwrap())
    }

    fn inside(&self, script: &str) -> Command {
        self.with_keys(self.stage.ringfence_command(&["run", "--", "sh", "-c", script]))
    }

    /// Entries of the last session that have these words.
    fn entries(&self, words: &str) -> Vec<Value> {
        let shown = self.stage.succeed(&["log", "show", "--json"]);
        let lines = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line.to_string().contains(words)).collect()
    }
}

/// The fingerprint of a key, and of its subkey where it has one.
fn fingerprints(gpg: &Gpg, key: &str) -> Vec<String> {
    listed(gpg, key, "fpr:")
}

/// The keygrips of the same.
fn grips(gpg: &Gpg, key: &str) -> Vec<String> {
    listed(gpg, key, "grp:")
}

fn listed(gpg: &Gpg, key: &str, kind: &str) -> Vec<String> {
    let listed = gpg.outside(&format!("gpg --with-colons --with-keygrip -K {key}"));
    let lines = listed.lines().filter(|line| line.starts_with(kind));
    lines.map(|line| line.split(':').nth(9).unwrap().to_owned()).collect()
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
        self.outside("gpgconf --kill gpg-agent; gpgconf --remove-socketdir");
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
        assert_eq!(used.len(), 2, "{used:?}");
        let done = gpg.entries("\"done\"");
        assert!(done.len() >= 2, "{done:?}");
    }
}

#[test]
fn a_card_that_gpg_looks_for_is_not_there_and_nothing_is_denied() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let named = &gpg.named;
        let said = gpg.said(&format!(
            "echo text | gpg --batch -u {named} --clearsign && \
             python3 assuan.py $GNUPGHOME/S.gpg-agent 'SCD SERIALNO'"
        ));
        assert!(said.contains("BEGIN PGP SIGNATURE") && said.contains(" 0 denied"), "{said}");
        assert!(said.contains("ERR 67108983 No SmartCard daemon"), "{said}");
        assert_eq!(gpg.entries("\"refused\"").len(), 0);
    }
}

#[test]
fn of_a_key_with_a_subkey_that_signs_only_that_is_used() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let generate = "gpg -q --batch --passphrase '' --quick-gen-key";
        gpg.outside(&format!("{generate} rsa@example.com rsa2048 sign,cert"));
        let primary = fingerprints(&gpg, "rsa@example.com").remove(0);
        let add = "gpg -q --batch --passphrase '' --quick-add-key";
        gpg.outside(&format!("{add} {primary} rsa2048 sign"));
        let subkey = fingerprints(&gpg, "rsa@example.com").remove(1);
        gpg.settings(&format!("[gpg]\nkeys = {{ commits = \"{primary}\" }}\n"));
        let said = gpg.said(&format!(
            "{} && git log --show-signature; echo x | gpg --sign | gpg --verify; \
             echo x | gpg -u {primary}! --clearsign; \
             python3 ../assuan.py $GNUPGHOME/S.gpg-agent 'HAVEKEY {}' 'HAVEKEY {}'",
            commit(&primary),
            grips(&gpg, &primary)[0],
            grips(&gpg, &primary)[1],
        ));
        assert_eq!(said.matches("Good signature from").count(), 2, "{said}");
        assert_eq!(said.matches("-> OK").count(), 1, "{said}");
        assert_eq!(gpg.entries("gpg-sign").len(), 2, "{said}");
        assert_eq!(gpg.entries(&format!("{subkey}/sha512/")).len(), 2, "{said}");
        // A key that has two names keeps the first, and that is said.
        gpg.settings(&format!("[gpg]\nkeys = {{ a = \"{primary}\", b = \"{subkey}\" }}\n"));
        let said = gpg.said(&format!("echo x | gpg -u {primary} --clearsign"));
        assert!(said.contains("`b` of `[gpg] keys` is the key `a`"), "{said}");
        assert!(said.contains("may not use the secret a"), "{said}");
    }
}

#[test]
fn a_signature_that_is_not_permitted_is_not_made() {
    for who in everybody() {
        let gpg = Gpg::new(who, "");
        let made = gpg.outside(&commit(&gpg.named));
        assert_eq!(made, "", "outside it is made");
        let said =
            gpg.said(&format!("mkdir of && cd of && {} || echo no commit", commit(&gpg.named)));
        assert!(said.contains("may not use the secret commits"), "{said}");
        assert!(said.contains("no commit"), "{said}");
    }
}

/// What `assuan.py` says of a socket, for each list of lines.
fn talks(socket: &str, all: &[Vec<String>]) -> String {
    let mut script = String::new();
    for lines in all {
        let words: Vec<String> = lines.iter().map(|line| format!("'{line}'")).collect();
        script += &format!("python3 assuan.py {socket} {}; echo ==\n", words.join(" "));
    }
    script
}

#[test]
fn an_agent_of_a_world_signs_with_named_keys_and_does_nothing_else() {
    let digest = || format!("SETHASH 8 {}", "5a".repeat(32));
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let (named, other) = (&grips(&gpg, &gpg.named)[0], &grips(&gpg, &gpg.other));
        let (other, deciphers) = (&other[0], &other[1]);
        // What the person's own agent answers to the last, and for what a world's refuses.
        let attempts = [
            (format!("SIGKEY {other}|{}|PKSIGN", digest()), "OK", format!("keygrip {other}")),
            (
                format!("SIGKEY {named}|{}|SIGKEY {other}|PKSIGN", digest()),
                "OK",
                format!("keygrip {other}"),
            ),
            (format!("SETKEY {deciphers}|PKDECRYPT"), "INQUIRE", format!("keygrip {deciphers}")),
            (format!("SETKEY {named}|PKDECRYPT"), "INQUIRE", "`PKDECRYPT`".to_owned()),
            (format!("KEYWRAP_KEY --export|EXPORT_KEY {named}"), "OK", "`EXPORT_KEY`".to_owned()),
            ("GENKEY".to_owned(), "INQUIRE", "`GENKEY`".to_owned()),
            ("RELOADAGENT".to_owned(), "OK", "`RELOADAGENT`".to_owned()),
            (format!("PASSWD {named}"), "ERR 83918950 Inapp", "`PASSWD`".to_owned()),
            (format!("DELETE_KEY --force {other}"), "OK", "`DELETE_KEY`".to_owned()),
            ("KILLAGENT".to_owned(), "OK", "`KILLAGENT`".to_owned()),
        ];
        let lines = |text: &String| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        let all: Vec<_> = attempts.iter().map(|(text, _, _)| lines(text)).collect();
        let last = |said: &str| said.trim_end().rsplit(" -> ").next().unwrap().to_owned();
        let inside = gpg.said(&talks("$GNUPGHOME/S.gpg-agent", &all));
        let refused = format!("{:?}", gpg.entries("\"refused\""));
        // Nothing of it has reached the person's agent, which does all of it.
        let socket = gpg.socket("agent-socket");
        let outside = gpg.outside(&talks(&socket, &all));
        let pairs = inside.split("==\n").zip(outside.split("==\n"));
        for ((inside, outside), (text, expected, why)) in pairs.zip(&attempts) {
            assert!(last(inside).starts_with("ERR "), "{text}: {inside}");
            assert!(refused.contains(why.as_str()), "{text}: {refused}");
            assert!(last(outside).starts_with(expected), "{text}: {outside}");
        }
        assert_eq!(inside.matches("==\n").count(), attempts.len(), "{inside}");
        // Under another name it is the same agent.
        let said = gpg.said(&format!(
            "ln -s $GNUPGHOME/S.gpg-agent s && python3 assuan.py s 'SIGKEY {named}' && \
             cd $GNUPGHOME && python3 $OLDPWD/assuan.py S.gpg-agent 'SIGKEY {other}' && \
             python3 $OLDPWD/assuan.py /proc/self/root/$GNUPGHOME/S.gpg-agent PKDECRYPT"
        ));
        assert_eq!(gpg.entries("\"refused\"").len(), 2, "{said}");
        assert_eq!(said.matches("ERR 67109115 Forbidden").count(), 2, "{said}");
    }
}

#[test]
fn what_is_no_line_of_an_agents_protocol_is_refused() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let named = &grips(&gpg, &gpg.named)[0];
        let cases = [
            (format!("x1:{}", "x".repeat(1001)), "a line is too long", "closed"),
            (format!("SIGKEY {named}\\0"), "`SIGKEY`", "OK"),
            (format!("SIGKEY {named}\\rPKDECRYPT"), "`SIGKEY`", "OK"),
            ("OPTION x\\r\\nPKDECRYPT".to_owned(), "`PKDECRYPT`", "ERR"),
            ("x2000:D endless".to_owned(), "more than 1000 lines", "closed"),
            ("PKSIGN".to_owned(), "", "OK"),
        ];
        let all: Vec<_> = cases.iter().map(|it| vec![it.0.clone(), "NOP".to_owned()]).collect();
        let said = gpg.said(&talks("$GNUPGHOME/S.gpg-agent", &all));
        let refused = format!("{:?}", gpg.entries("\"refused\""));
        for (said, (line, why, after)) in said.split("==\n").zip(&cases) {
            assert!(said.contains(&format!("NOP -> {after}")), "{line}: {said}");
            assert!(refused.contains(why), "{line}: {refused}");
        }
        assert_eq!(gpg.entries("gpg-sign").len(), 0, "no key, no digest, no signature");
    }
}

#[test]
fn a_signature_that_is_asked_about_waits_for_its_answer() {
    let rule = "permit (principal, action == Action::\"secret.use\", \
         resource == Secret::\"commits\") when { context.approvals.contains(\"owner\") };";
    let gpg = Gpg::new(everybody()[0], rule);
    for (number, answer, ended) in [("1", "allow once", "ended 0"), ("2", "refuse", "ended 128")] {
        let script = format!(
            "mkdir {number} && cd {number} && {{ {}; }}; echo ended $?",
            commit(&gpg.named)
        );
        let mut terminal = Terminal::owned_by(None, &gpg.inside(&script));
        let code = terminal.code(answer);
        terminal.types(&code);
        terminal.shows(ended);
        terminal.child.wait().unwrap();
    }
    let outside = gpg.outside("cd 1/work && git -c safe.directory='*' verify-commit HEAD");
    assert!(outside.contains("Good signature"), "{outside}");
    // Meanwhile the person's agent has ended: that is an error, and is recorded.
    let script = format!("mkdir 4 && cd 4 && {{ {}; }}; echo ended $?", commit(&gpg.named));
    let mut terminal = Terminal::owned_by(None, &gpg.inside(&script));
    let code = terminal.code("allow once");
    gpg.outside("gpgconf --kill gpg-agent");
    terminal.types(&code);
    terminal.shows("ended 128");
    terminal.child.wait().unwrap();
    assert_eq!(gpg.entries("the gpg agent cannot be asked").len(), 1, "{}", terminal.seen);
    // Where nobody can be asked, nobody said yes.
    let said = gpg.said(&format!("mkdir 3 && cd 3 && {} || echo no commit", commit(&gpg.named)));
    assert!(said.contains("no commit"), "{said}");
}

#[test]
fn of_the_persons_keys_a_world_has_the_public_halves() {
    for who in everybody() {
        // Also where all of the home is shown.
        let home = r#"permit (principal, action == Action::"fs.read", resource in Dir::"HOME");"#;
        let gpg = Gpg::new(who, &format!("{SIGN}{home}"));
        let home = gpg.stage.home().join("outside/gnupg").display().to_string();
        let outside = gpg.outside("ls $GNUPGHOME/private-keys-v1.d; gpg --with-colons -k");
        assert!(outside.contains(".key\n") && outside.contains(&gpg.other), "{outside}");
        let said = gpg.said(&format!(
            "find / -name '*.key' -path '*private-keys*' 2>/dev/null; ls {home}; \
             python3 assuan.py {}; python3 assuan.py {}; \
             ls $GNUPGHOME; touch $GNUPGHOME/x; rm $GNUPGHOME/S.gpg-agent; gpg --with-colons -k; \
             gpg --export-secret-keys | wc -c",
            gpg.socket("agent-socket"),
            gpg.socket("agent-extra-socket"),
        ));
        assert!(said.contains(&gpg.named) && !said.contains(&gpg.other), "{said}");
        assert!(!said.contains(".key\n") && said.contains("\n0\n"), "{said}");
        assert_eq!(said.matches("connect: ").count(), 2, "{said}");
        assert!(!said.contains("Pleased to meet"), "{said}");
        assert!(said.contains("gpg.conf\npubring.gpg\n"), "{said}");
        assert_eq!(
            said.matches(": cannot touch").count() + said.matches(": cannot remove").count(),
            2
        );
        assert!(!said.contains("WARNING: unsafe"), "{said}");
        // What was ciphered to the person stays so.
        let hidden = "echo secret | gpg -q --encrypt -r other@example.com -o sealed --yes \
             --trust-model always";
        gpg.outside(&format!("{hidden} && chmod 644 sealed"));
        assert_eq!(gpg.outside("gpg -q -d sealed"), "secret\n");
        let said = gpg.said("gpg -d sealed");
        assert!(!said.contains("secret\n") && said.contains("decryption failed"), "{said}");
    }
}

#[test]
fn the_persons_git_signs_in_a_world_where_it_can() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let make = "dir=$(mktemp -d -p .) && git init -q -b main $dir && cd $dir && \
             git commit -q --allow-empty -m one && git cat-file -p HEAD";
        let persons = |key: &str| {
            let user = format!("[user]\n\tname = a\n\temail = a@b\n\tsigningkey = {key}\n");
            let signs = "[commit]\n\tgpgsign = true\n[gpg]\n\tprogram = gpg\n";
            gpg.stage.write(".gitconfig", &format!("{user}{signs}"));
            let outside = gpg.outside(make);
            assert!(outside.contains("-----BEGIN PGP SIGNATURE-----"), "{outside}");
            gpg.said(&format!("git config --get gpg.program; {make}"))
        };
        let said = persons(&format!("0x{}", gpg.named.split_at(24).1));
        assert!(said.contains("-----BEGIN PGP SIGNATURE-----"), "{said}");
        assert!(!said.starts_with("gpg"), "{said}");
        let said = persons(&gpg.other);
        assert!(said.contains("one\n") && !said.contains("SIGNATURE"), "{said}");
    }
}

#[test]
fn a_key_that_is_not_there_is_said_and_offered_to_nobody() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        let there = gpg.said("echo home=$GNUPGHOME");
        assert!(there.contains("home=/run/ringfence/gnupg"), "{there}");
        let missing = "0".repeat(40);
        gpg.settings(&format!("[gpg]\nkeys = {{ commits = \"{missing}\" }}\n"));
        let said = gpg.said("echo home=$GNUPGHOME; ls /run/ringfence");
        assert!(said.contains("home=\n") && !said.contains("gnupg"), "{said}");
        assert!(said.contains(&format!("names {missing}, and no key of yours")), "{said}");
    }
}

/// A double of pinentry: knows the passphrase, and writes down what it is asked.
const PINENTRY: &str = r#"#!/bin/sh
echo OK
while read -r line; do
    echo "$line" >>"$GNUPGHOME/asked"
    [ "$line" = GETPIN ] && echo "D open sesame"
    echo OK
done
"#;

#[test]
fn a_passphrase_is_asked_for_outside_in_words_of_ours() {
    for who in everybody() {
        let gpg = Gpg::new(who, SIGN);
        gpg.stage.write("outside/pinentry", PINENTRY);
        let pinentry = gpg.stage.home().join("outside/pinentry").display().to_string();
        gpg.outside(&format!(
            "chmod 755 {pinentry}; echo pinentry-program {pinentry} >$GNUPGHOME/gpg-agent.conf; \
             gpgconf --kill gpg-agent; gpg -q --batch --quick-gen-key closed@example.com ed25519 sign"
        ));
        let closed = &fingerprints(&gpg, "closed@example.com")[0];
        gpg.settings(&format!("[gpg]\nkeys = {{ commits = \"{closed}\" }}\n"));
        // The person's own passphrase is remembered for the person alone.
        gpg.outside("echo x | gpg --clearsign -u closed@example.com; rm $GNUPGHOME/asked");
        let again = gpg.outside("echo x | gpg --clearsign -u closed@example.com");
        assert!(again.contains("BEGIN PGP SIGNATURE"), "{again}");
        assert!(!gpg.outside("cat $GNUPGHOME/asked").contains("GETPIN"), "it is remembered");
        let said = gpg.said(&commit(closed));
        let asked = gpg.outside("cat $GNUPGHOME/asked");
        let shown = asked.lines().find(|line| line.starts_with("SETDESC")).unwrap_or_default();
        assert!(shown.contains("Ringfence: `sh` signs with `commits`"), "{asked} {said}");
        assert!(
            shown.contains(closed.as_str()) && !asked.contains("closed@example.com"),
            "{asked}"
        );
        assert!(!said.contains("open sesame"), "{said}");
        assert!(gpg.outside("cd work && git log").contains("signed"), "{said}");
        // Told for one world, it holds for the next.
        gpg.outside("rm $GNUPGHOME/asked");
        let said = gpg.said(&format!("mkdir of && cd of && {} && git log", commit(closed)));
        assert!(said.contains("signed"), "{said}");
        assert!(!gpg.outside("cat $GNUPGHOME/asked").contains("GETPIN"), "{said}");
    }
}
