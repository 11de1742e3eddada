//! Secrets that a vault has: asked for when a use was permitted, lent for the session, given back.
//! The vault is a double of the documented API.

use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use ringfence_testkit::vault::{LeaseIs, Mood, ROOT, VaultDouble};
use serde_json::json;

use super::secrets::shown;
use super::stage::Net;
use crate::attacks::stage::{Side, Who, everybody, text};
use crate::started::free_port;

const VALUE: &str = "value-of-the-key-in-the-vault";
/// What every value that the vault lends begins with.
const LENT: &str = "A1a-password";
const LONG: Duration = Duration::from_hours(1);

const RULES: &str = r#"
@id("use")
permit (principal, action == Action::"secret.use", resource)
when { context.method == "GET" };
"#;

struct Stage {
    net: Net,
    vault: VaultDouble,
}

fn stage(who: Who) -> Stage {
    let net = Net::with_policy(who, |port| {
        let port = port("keys");
        let permit = |host: &str| {
            format!(
                "permit (principal, action == Action::\"net.connect\", \
                 resource == Endpoint::\"{host}:{port}\");\n"
            )
        };
        ["good.example", "127.0.0.1"].map(permit).concat() + RULES
    });
    let vault = VaultDouble::start();
    vault.keep("kv/app", json!({ "key": VALUE }));
    vault.lend_at("database/creds/shop", LONG, LONG);
    vault.lend_at("aws/sts-project/good.example", LONG, LONG);
    Stage { net, vault }
}

/// Whoever runs the tests.
fn anybody() -> Who {
    everybody()[0]
}

impl Stage {
    /// In the environment of somebody who is logged in.
    fn logged_in(&self, mut command: Command) -> Command {
        command.env("VAULT_ADDR", self.vault.url()).env("VAULT_TOKEN", ROOT);
        command.env("VAULT_CLIENT_TIMEOUT", "1s");
        command.env("SSL_CERT_FILE", self.net.stage.home().join("project/ca.pem"));
        command
    }

    fn add(&self, words: &str) -> Output {
        let words = self.net.with_ports(&format!("secret add {words} --for good.example:{{keys}}"));
        let words: Vec<&str> = words.split_whitespace().collect();
        self.logged_in(self.net.stage.ringfence_command(&words)).output().unwrap()
    }

    fn keep(&self, words: &str) {
        let said = self.add(words);
        assert!(said.status.success() && !text(&said).contains(LENT), "{}", text(&said));
        self.vault.asked();
    }

    /// What a script inside prints, and what Ringfence says.
    fn inside(&self, script: &str) -> String {
        let script = format!("{{ {script}; }} 2>&1 | cat");
        let said = text(&self.logged_in(self.net.command(Side::Inside, &script)).output().unwrap());
        assert!(!said.contains(VALUE) && !said.contains(LENT) && !said.contains(ROOT), "{said}");
        let log = self.net.stage.succeed(&["log", "show", "--json"]);
        assert!(!log.contains(VALUE) && !log.contains(LENT) && !log.contains(ROOT), "{log}");
        said
    }

    fn is(&self) -> Vec<LeaseIs> {
        self.vault.leases().into_iter().map(|(_, is)| is).collect()
    }
}

const GET: &str = "curl -sS https://good.example:{keys}/v1 -w '<%{http_code}>' \
                   -H \"x-api-key: $MODEL_KEY\"";

#[test]
fn a_server_sees_what_the_vault_has_and_the_world_never_does() {
    for who in everybody() {
        let stage = stage(who);
        stage.keep("model --from vault:kv/app#key --header x-api-key --env MODEL_KEY");
        let place = "vault-lease:database/creds/shop";
        stage.keep(&format!("user --from {place}#username --basic --env DB_USER"));
        stage.keep(&format!("password --from {place}#password --basic --env DB_PASSWORD"));
        // What was lent to see its shape was given back.
        assert_eq!(stage.is(), [LeaseIs::Revoked, LeaseIs::Revoked]);
        stage.net.stage.write(".vault-token", ROOT);
        let said = stage.inside(&format!(
            "{GET}; curl -sS https://good.example:{{keys}}/v1 -u \"$DB_USER:$DB_PASSWORD\"; \
             curl -sS https://good.example:{{keys}}/v1 -u \"$DB_USER:$DB_PASSWORD\"; \
             echo token=$VAULT_TOKEN; cat ~/.vault-token; env; \
             cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
        ));
        assert!(said.contains("<200>") && said.contains("token=\n"), "{said}");
        assert!(said.contains("Permission denied"), "{said}");
        let seen = stage.net.seen();
        let header = |name: &str| -> Vec<String> {
            let all = seen.iter().filter_map(|it| it["headers"][name].as_str());
            all.filter(|it| !it.is_empty()).map(str::to_owned).collect()
        };
        assert_eq!(header("x-api-key"), [VALUE], "{said}");
        let (password, _) = stage.vault.leases().pop().unwrap();
        let pair = format!("v-token-user-3:{password}");
        let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        assert_eq!(header("authorization"), [basic.clone(), basic], "{said}");
        // One entry read once; one lease for both secrets and both requests, gone at the end.
        assert_eq!(stage.is(), [LeaseIs::Revoked; 3]);
        let asked = stage.vault.asked();
        assert_eq!(asked[..2], ["GET /v1/kv/data/app", "GET /v1/database/creds/shop"]);
        assert!(
            asked.len() == 3 && asked[2].starts_with("POST /v1/sys/leases/revoke"),
            "{asked:?}"
        );
        let shown = stage.net.stage.succeed(&["show"]);
        assert!(shown.contains("1 lease of a vault") && shown.contains("given back"), "{shown}");
        let found = Command::new("grep")
            .args(["-rlE", &format!("{VALUE}|{LENT}"), "--exclude=.vault-token"])
            .arg(stage.net.stage.home())
            .output()
            .unwrap();
        assert_eq!(text(&found), "");
    }
}

#[test]
fn what_was_lent_is_given_back_however_the_agent_ends() {
    let stage = stage(anybody());
    stage.keep(
        "model --from vault-lease:database/creds/shop#password --header x-api-key --env MODEL_KEY",
    );
    let before = stage.is().len();
    let script = format!("{GET} >/dev/null; kill -9 $$; sleep 60");
    let command = stage.net.command(Side::Inside, &script);
    let ended = stage.logged_in(command).output().unwrap();
    assert_eq!(ended.status.code(), Some(128 + 9), "{}", text(&ended));
    assert_eq!(stage.is()[before..], [LeaseIs::Revoked], "{}", text(&ended));
}

#[test]
fn what_cannot_be_given_back_is_told_and_recorded() {
    let stage = stage(anybody());
    stage.keep(
        "model --from vault-lease:database/creds/shop#password --header x-api-key --env MODEL_KEY",
    );
    stage.vault.becomes(Mood::Keeps);
    let said = stage.inside(GET);
    assert!(said.contains("could not be given back to the vault"), "{said}");
    assert!(said.contains("vault lease revoke database/creds/shop/lease2"), "{said}");
    let shown = stage.net.stage.succeed(&["show"]);
    assert!(shown.contains("1 lease of a vault"), "{shown}");
    assert_eq!(stage.net.entries("not-returned").len(), 1);
}

#[test]
fn a_vault_that_gives_nothing_stops_the_request_and_nothing_else() {
    let stage = stage(anybody());
    stage.keep("model --from vault:kv/app#key --header x-api-key --env MODEL_KEY");
    for (mood, why) in [
        (Mood::Silent, "did not answer within 1 s"),
        (Mood::Sealed, "is sealed, or not in service"),
        (Mood::Endless, "answers with more than 2097152 bytes"),
        (Mood::Says("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwhat"), "is not understood"),
        (
            Mood::Says(
                "HTTP/1.1 302 Go\r\nlocation: http://evil.example/\r\ncontent-length: 0\r\n\r\n",
            ),
            "sends to another address, which is not followed: evil.example",
        ),
    ] {
        stage.vault.becomes(mood);
        stage.net.seen();
        let said = stage.inside(&format!("{GET}; curl -sS https://good.example:{{keys}}/v1"));
        assert!(said.contains("the secret `model` could not be had"), "{said}");
        assert!(said.contains(why) && said.contains("<502>"), "{why}: {said}");
        // Also where the program does not show what it is answered.
        let told =
            "permitted, but it did not come about: use the secret model for GET good.example";
        assert!(said.contains(told), "{why}: {said}");
        let used = stage.net.stage.succeed(&["show"]);
        assert!(used.contains("  failed: the secret `model` could not be had"), "{used}");
        assert!(!used.contains("times  failed"), "{used}");
        // A request without it goes on.
        assert!(said.contains("/v1  end"), "{said}");
        assert_eq!(shown(&stage.net, "x-api-key"), [""]);
        let finished = stage.net.entries("could not be had");
        assert!(!finished.is_empty() && finished[0].to_string().contains(why), "{finished:?}");
    }
    let mut command = stage.logged_in(stage.net.command(Side::Inside, GET));
    command.env("VAULT_ADDR", format!("http://127.0.0.1:{}", free_port()));
    let said = text(&command.output().unwrap());
    assert!(said.contains("Connection refused") && said.contains("<502>"), "{said}");
}

#[test]
fn a_template_is_filled_in_once_the_use_was_decided() {
    for who in everybody() {
        let stage = stage(who);
        stage.keep(
            "model --from vault-lease:aws/sts-{project}/{host}#password --ttl 15m \
             --header x-api-key --env MODEL_KEY",
        );
        let said = stage.inside(&format!("{GET} -X POST"));
        assert!(said.contains("may not use the secret model") && said.contains("<403>"), "{said}");
        assert_eq!(stage.vault.asked(), [""; 0]);
        let said = stage.inside(GET);
        assert!(said.contains("<200>"), "{said}");
        assert!(shown(&stage.net, "x-api-key").concat().starts_with(LENT), "{said}");
        let asked = stage.vault.asked();
        assert_eq!(asked[0], "GET /v1/aws/sts-project/good.example?ttl=900s");
        assert!(asked.len() == 2 && asked[1].contains("sys/leases/revoke"), "{asked:?}");
        assert_eq!(stage.is(), [LeaseIs::Revoked]);
    }
}

#[test]
fn what_is_wrong_with_a_place_is_said_before_a_session_needs_it() {
    let stage = stage(anybody());
    for (words, why) in [
        ("model --from vault:kv/app --basic --env KEY", "is no place that values are had from"),
        ("model --from vault:kv/app#wrong --basic --env KEY", "has no text `wrong`"),
        ("model --from vault:kv/nothing#key --basic --env KEY", "has nothing at `kv/data/nothing`"),
        ("model --from env:SOME_KEY --ttl 1h --basic --env KEY", "no time of its own"),
        ("model --ttl 1h --basic --env KEY", "--from"),
    ] {
        let said = stage.add(words);
        assert!(!said.status.success() && text(&said).contains(why), "{words}: {}", text(&said));
    }
    stage.keep("model --from vault:kv/app#key --basic --env KEY");
    let test = || {
        let command = stage.net.stage.ringfence_command(&["secret", "test", "model"]);
        text(&stage.logged_in(command).output().unwrap())
    };
    assert!(test().contains("model: its value can be read from vault:kv/app#key"), "{}", test());
    stage.vault.becomes(Mood::Sealed);
    assert!(test().contains("is sealed, or not in service"), "{}", test());
    let said = stage.net.stage.ringfence_command(&["secret", "rotate", "model"]).output().unwrap();
    assert!(text(&said).contains("the value of `model` is in vault:kv/app#key"), "{}", text(&said));
}
