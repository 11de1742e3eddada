//! AWS by boto3: the server saw requests that the real key signed, and the world never had it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::secrets::keep;
use super::stage::{Net, certificate};
use super::tools::{as_root, somebody};
use crate::attacks::stage::{Side, text};

const ID: &str = "ASIAREALREALREALREAL";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "token/of+the/session==";

const USE: &str = r#"
@id("use")
permit (principal, action == Action::"secret.use", resource == Secret::"cloud");
"#;

/// A network with a server of AWS in it.
struct Cloud {
    net: Net,
    server: Child,
    _until_dropped: ChildStdin,
    heard: Receiver<Value>,
    port: u64,
}

/// The pinned packages that setup installed.
fn packages() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/ringfence/aws");
    let dir = std::env::var_os("RINGFENCE_TEST_AWS").map_or_else(home, PathBuf::from);
    assert!(dir.is_dir(), "no packages of AWS: `cargo xtask setup --yes` installs them");
    dir
}

impl Cloud {
    fn new(value: &str, rules: &str) -> Cloud {
        let (certificate, key) = certificate();
        let mut server = Command::new(packages().join("bin/python"))
            .arg("tests/net/aws.py")
            .args([certificate, key])
            .arg(format!("{ID}:{KEY}:{TOKEN}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until_dropped = server.stdin.take().unwrap();
        let (say, heard) = sync_channel(10_000);
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if say.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let first: Value = heard.recv_timeout(Duration::from_mins(1)).unwrap();
        let port = first["ports"]["aws"].as_u64().unwrap();
        let net = Net::with_policy(somebody(), |of| {
            let keys = of("keys");
            let permit = |host: &str| {
                format!(
                    "permit (principal, action == Action::\"net.connect\", \
                     resource == Endpoint::\"{host}:{port}\");\n"
                )
            };
            let kept = ["good.example", "127.0.0.1"]
                .map(|host| permit(host).replace(&format!(":{port}"), &format!(":{keys}")));
            let cloud = ["good.example", "www.good.example", "127.0.0.1"].map(permit);
            kept.concat() + &cloud.concat() + rules
        });
        keep(&net, &format!("cloud --kind aws --for good.example:{port}"), value);
        // What is sent to a host with a secret is looked at, whichever secret's it is.
        let other = format!("other --for www.good.example:{port} --header x-api-key --env OTHER");
        keep(&net, &other, "other-0123456789-abcdef");
        let cloud = Cloud { net, server, _until_dropped: until_dropped, heard, port };
        cloud.bring_boto();
        cloud
    }

    /// Puts boto3 into the project, with what botocore knows of the services that are spoken to.
    fn bring_boto(&self) {
        let copy = format!(
            "mkdir site && cd {}/lib/python3*/site-packages && cp -r boto3 s3transfer jmespath dateutil \
             urllib3 six.py \"$OLDPWD/site\" && mkdir -p \"$OLDPWD/site/botocore/data\" && \
             for it in botocore/*; do [ $it = botocore/data ] || cp -r $it \"$OLDPWD/site/botocore\"; done && \
             cd botocore/data && cp -r *.json s3 sts secretsmanager \"$OLDPWD/../botocore/data\" 2>/dev/null; true",
            packages().display()
        );
        let copy =
            copy.replace("$OLDPWD/../botocore", "$HERE/site/botocore").replace("$OLDPWD", "$HERE");
        let copy = format!("HERE=$PWD; {copy}");
        let made = self.net.stage.command(Path::new("/bin/sh"), &["-c", &copy]);
        let made = as_root(&made).output().unwrap();
        assert!(made.status.success(), "{}", text(&made));
        self.net.stage.write("project/aws_client.py", include_str!("../../net/aws_client.py"));
    }

    /// What the client prints in a world, whose starter has a real key in the environment.
    fn said(&self, what: &str) -> String {
        let script = format!(
            "{{ python3 aws_client.py https://good.example:{} {what}; env | grep -c AWS_SESSION; }} 2>&1 | cat",
            self.port
        );
        let mut command = self.net.command(Side::Inside, &script);
        let ca = self.net.stage.home().join("project/ca.pem");
        command.env("SSL_CERT_FILE", ca).env("AWS_SECRET_ACCESS_KEY", KEY);
        let said = text(&command.env("AWS_SESSION_TOKEN", TOKEN).output().unwrap());
        for real in [ID, KEY, TOKEN] {
            assert!(!said.contains(real), "{what}: {said}");
        }
        said
    }

    /// What the server saw since this was last asked.
    fn seen(&self) -> Vec<Value> {
        std::thread::sleep(Duration::from_millis(50));
        self.heard.try_iter().collect()
    }

    fn incidents(&self) -> Vec<Value> {
        self.net
            .entries("secret_misused")
            .into_iter()
            .chain(self.net.entries("secret-misused"))
            .collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn boto3_works_with_a_key_that_it_does_not_have() {
    let value = format!(
        "{{\n \"Version\": 1,\n \"AccessKeyId\": \"{ID}\",\n \"SecretAccessKey\": \"{KEY}\",\n \
         \"SessionToken\": \"{TOKEN}\"\n}}\n"
    );
    let cloud = Cloud::new(&value, USE);
    let said = cloud.said("whole");
    assert!(said.contains("all of it, as arn:aws:sts::"), "{said}");
    let seen = cloud.seen();
    assert!(seen.len() >= 20, "{seen:?}");
    for it in &seen {
        assert_eq!((&it["id"], &it["token"]), (&Value::from(ID), &Value::from(TOKEN)), "{it}");
        assert_eq!(it["host_signed"], true, "{it}");
    }
    let payloads: Vec<&str> = seen.iter().filter_map(|it| it["payload"].as_str()).collect();
    assert!(payloads.iter().any(|it| it.len() == 64), "{payloads:?}");
    assert!(payloads.contains(&"STREAMING-UNSIGNED-PAYLOAD-TRAILER"), "{payloads:?}");
    // A service that is told no digest: the gate made it of the body.
    assert!(seen.iter().any(|it| it["payload"].is_null() && it["service"] == "sts"), "{seen:?}");

    let said = cloud.said("link chunks");
    assert!(said.contains("link 200 by a link / 403 denied: "), "{said}");
    assert!(said.contains("chunks 200 aaa"), "{said}");
    assert_eq!(cloud.incidents().len(), 1);
    let seen = cloud.seen();
    assert!(seen.iter().any(|it| it["path"] == "/links/a%20b" && it["token"] == TOKEN), "{seen:?}");
    assert_eq!(seen.iter().find_map(|it| it["chunks"].as_u64()), Some(79_000));
    let used = cloud.net.entries("use_secret");
    assert!(!used.is_empty() && !used.iter().any(|it| it.to_string().contains(KEY)));
}

#[test]
fn what_the_stand_in_did_not_sign_or_may_not_is_not_signed() {
    let cloud = Cloud::new(&format!("{ID}:{KEY}:{TOKEN}"), USE);
    let forged = "its signature is not what the stand-in makes of this request";
    let all = [
        ("secret", forged),
        ("token", "it has a session token, and its key has none"),
        ("path", forged),
        ("query", forged),
        ("date", "its scope is of another day"),
        ("host", "is not bound to www.good.example"),
        ("header", forged),
        ("method", forged),
        ("json", forged),
        ("loud", "what signs is never sent"),
        ("bearer", "it belongs into a signature by AWS4-HMAC-SHA256"),
        ("old", "it belongs into a signature by AWS4-HMAC-SHA256"),
        ("stranger", "is not bound to www.good.example"),
        ("two", "it has two signatures"),
        ("twice", "it has two signatures"),
        ("spoiled", "a chunk's signature is not what the stand-in makes of it"),
    ];
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let said = cloud.said(&names.join(" "));
    let line = |said: &str, name: &str| {
        let begins = format!("{name} ");
        let mut lines = said.lines().filter(|line| line.starts_with(&begins));
        lines.next().unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
    };
    for (name, why) in all {
        let line = line(&said, name);
        assert!(line.contains(" 403 ") && line.contains(why), "{line}");
    }
    let found = cloud.incidents();
    assert_eq!(found.len(), all.len(), "{found:?}");
    // A bucket was made for the body in chunks; of that a head and what was right of it went on.
    let seen = cloud.seen();
    assert!(seen.iter().all(|it| it["path"].as_str().is_some_and(|it| it.starts_with("/chunks"))));
    assert!(seen.iter().all(|it| it["chunks"].is_null()), "{seen:?}");

    // What only the server can tell, it tells: of the region, and of a body that its digest is not of.
    let said = cloud.said("region body");
    assert!(line(&said, "region").contains("expecting eu-west-1"), "{said}");
    assert!(line(&said, "body").contains("XAmzContentSHA256Mismatch"), "{said}");
    // What it was sent and says is the stand-in's again.
    assert!(line(&said, "body").contains("Credential=ASIA"), "{said}");
    assert!(cloud.incidents().is_empty() && cloud.seen().len() == 2);

    // What is not signed anew is refused in words, and is nobody's fault.
    let said = cloud.said("events large");
    let events = line(&said, "events");
    assert!(events.contains(" 403 ") && events.contains("a body is signed as a whole"), "{said}");
    // Said aside: the answer comes while the client still sends.
    assert!(said.contains("denied: ") && said.contains("set your SDK to send"), "{said}");
    assert!(cloud.seen().is_empty() && cloud.incidents().is_empty());
}

#[test]
fn without_a_rule_nothing_is_signed() {
    let cloud = Cloud::new(&format!("{ID}:{KEY}:{TOKEN}"), "");
    let said = cloud.said("whole");
    assert!(said.contains("may not use the secret cloud"), "{said}");
    assert!(cloud.seen().is_empty(), "{said}");
}

/// What is kept in Secrets Manager, by the real key.
const KEPT: &str = r#"
import boto3, sys
client = boto3.client("secretsmanager", endpoint_url=sys.argv[1], region_name="eu-west-1")
client.create_secret(Name="prod/orders", SecretString='{"key": "value-of-the-orders", "number": 3}')
client.create_secret(Name="plain", SecretString="value-that-is-plain")
"#;

#[test]
fn a_value_of_secrets_manager_is_put_in_and_the_world_has_neither_it_nor_the_keys() {
    let rules = format!("{USE}permit (principal, action == Action::\"secret.use\", resource);");
    let cloud = Cloud::new(&format!("{ID}:{KEY}:{TOKEN}"), &rules);
    let net = &cloud.net;
    let endpoint = format!("https://good.example:{}", cloud.port);
    let with_keys = |mut command: Command| {
        let ca = net.stage.home().join("project/ca.pem");
        command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", KEY);
        command.env("AWS_SESSION_TOKEN", TOKEN).env("AWS_CA_BUNDLE", &ca);
        command.env("SSL_CERT_FILE", ca).env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoint);
        text(&command.output().unwrap())
    };
    let mut keeping = Command::new(packages().join("bin/python"));
    keeping.args(["-c", KEPT, &endpoint]).current_dir(net.stage.project());
    assert_eq!(with_keys(net.named(&keeping)), "");
    let ringfence = |words: &str| {
        let words = net.with_ports(words);
        let words: Vec<&str> = words.split_whitespace().collect();
        with_keys(net.named(&net.stage.ringfence_command(&words)))
    };
    for (place, why) in [
        ("aws-sm:nothing@eu-west-1", "has no secret `nothing` in eu-west-1"),
        ("aws-sm:prod/orders#number@eu-west-1", "has no text `number` in it"),
        ("aws-sm:prod/orders#key", "add `@REGION`"),
        ("aws-sm:prod/orders#key@us-east-1", "does not know the keys"),
    ] {
        let said =
            ringfence(&format!("secret add odd --basic --env ODD --for a.example --from {place}"));
        assert!(said.contains(why), "{place}: {said}");
    }
    for (name, place, header) in [
        ("orders", "aws-sm:prod/orders#key", "x-api-key"),
        ("plain", "aws-sm:plain", "authorization:Bearer"),
    ] {
        let said = ringfence(&format!(
            "secret add {name} --from {place}@eu-west-1 --header {header} --env {} \
             --for good.example:{{keys}}",
            name.to_uppercase()
        ));
        assert!(said.contains("kept:") && !said.contains("value-"), "{said}");
    }
    net.seen();
    let script = "{ curl -sS https://good.example:{keys}/v1 -H \"x-api-key: $ORDERS\" \
                  -H \"authorization: Bearer $PLAIN\"; env; } 2>&1 | cat";
    let said = with_keys(net.command(Side::Inside, script));
    for real in [ID, KEY, TOKEN, "value-of-the-orders", "value-that-is-plain"] {
        assert!(!said.contains(real), "{said}");
    }
    let seen = net.seen().into_iter().find(|it| it["path"].is_string()).unwrap();
    let (key, bearer) = (&seen["headers"]["x-api-key"], &seen["headers"]["authorization"]);
    assert_eq!(
        (key, bearer),
        (&json!("value-of-the-orders"), &json!("Bearer value-that-is-plain"))
    );
}
