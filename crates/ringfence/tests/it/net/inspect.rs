//! Requests within TLS that is opened, by real programs; the servers say what they saw.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::stage::Net;
use crate::attacks::stage::{Side, everybody, text};
use crate::schemas::conforms;

/// Permits connections, and of the requests only `GET` beneath `/open/`.
pub(super) fn net(who: crate::attacks::stage::Who) -> Net {
    Net::with_policy(who, |port| {
        let permit = |action: &str, endpoint: &str, when: &str| {
            format!(
                "permit (principal, action == Action::\"{action}\", \
                 resource == Endpoint::\"{endpoint}\") {when};\n"
            )
        };
        let reads = "when { context.path like \"/any/*\" || \
                     (context.method == \"GET\" && \
                      (context.path like \"/open/*\" || context.path like \"/files/*\")) || \
                     (context.path like \"/asked/*\" && context.approvals.contains(\"owner\")) }";
        let any = "when { context.path like \"/open/*\" }";
        let tls = ["tls_expired", "tls_other", "tls_client"];
        let all = ["web", "tls", "h2", "only_h2", "banner", "lenient", "lenient_tls"]
            .into_iter()
            .chain(tls)
            .map(|name| {
                let port = port(name);
                let (named, address) =
                    (format!("good.example:{port}"), format!("127.0.0.1:{port}"));
                permit("net.connect", &named, "")
                    + &permit("net.connect", &address, "")
                    + &permit(
                        "net.request",
                        &named,
                        if name.contains("len") || name.contains("h2") { any } else { reads },
                    )
            });
        all.collect()
    })
}

/// What a script inside prints where the host believes the servers.
pub(super) fn inside(net: &Net, script: &str) -> String {
    let mut command = net.command(Side::Inside, script);
    command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
    text(&command.output().unwrap())
}

pub(super) fn paths(net: &Net) -> Vec<String> {
    let seen = net.seen().into_iter();
    seen.filter_map(|it| it["path"].as_str().map(str::to_owned)).collect()
}

#[test]
fn one_rule_on_the_path_decides_what_curl_may_ask_for() {
    for who in everybody() {
        let net = net(who);
        for origin in ["https://good.example:{tls}", "http://good.example:{web}"] {
            net.seen();
            let said =
                inside(&net, &format!("curl -sS {origin}/open/1 {origin}/other {origin}/open/2"));
            assert_eq!(said.matches("hello from").count(), 2, "{said}");
            assert!(said.contains("may not send GET"), "{said}");
            assert_eq!(paths(&net), ["/open/1", "/open/2"], "{said}");
            let said =
                inside(&net, &format!("curl -sS -X POST -d x {origin}/open/1 -w '%{{http_code}}'"));
            assert!(said.contains("403"), "{said}");
            assert!(paths(&net).is_empty(), "{said}");
        }
    }
}

#[test]
fn programs_believe_what_the_session_signs_without_any_setting() {
    for who in everybody() {
        let net = net(who);
        let url = "https://good.example:{tls}/open/1";
        for script in [
            format!("curl -sS {url}"),
            format!("curl -sS --http1.1 {url}"),
            // Asks the system's own file.
            format!("env -u SSL_CERT_FILE wget -qO- {url}"),
            format!(
                "python3 -c 'import urllib.request as r; print(r.urlopen(\"{url}\").read().decode())'"
            ),
            format!("node -e 'fetch(\"{url}\").then(r => r.text()).then(console.log)'"),
        ] {
            let said = inside(&net, &script);
            assert!(said.contains("hello from tls"), "{script}: {said}");
        }
    }
}

#[test]
fn a_server_that_is_not_believed_is_told_of_in_plain_words() {
    for who in everybody() {
        let net = net(who);
        let mut command = net.command(Side::Inside, "curl -sS https://good.example:{tls}/open/1");
        command.env_remove("SSL_CERT_FILE");
        let said = text(&command.output().unwrap());
        assert!(said.contains("does not show that it is `good.example`: nobody whom"), "{said}");
        assert!(said.contains("SSL_CERT_FILE names"), "{said}");
        assert!(paths(&net).is_empty());
    }
}

#[test]
fn what_cannot_be_looked_into_is_refused_where_requests_are_decided() {
    for who in everybody() {
        let net = net(who);
        let banner = net.attempt(Side::Outside, "banner good.example {banner}");
        assert!(banner.contains("220 ready"), "{banner}");
        net.seen();
        let said = inside(&net, "python3 client.py banner good.example {banner}; echo");
        assert!(!said.contains("220 ready"), "{said}");
        let heard = net.seen();
        assert!(heard.iter().all(|it| it.get("got").is_none()), "{heard:?}");
    }
}

#[test]
fn a_session_leaves_an_archive_of_its_requests_and_sums_by_endpoint() {
    let net = net(everybody().pop().unwrap());
    let origin = "https://good.example:{tls}";
    let said = inside(
        &net,
        &format!(
            "curl -sS '{origin}/open/1?key=hidden' -H 'X-Mine: hidden'; curl -sS {origin}/other; \
             curl -sS -d 12345 -X GET '{origin}/open/a%20b%7D'; curl -sS http://good.example:1/"
        ),
    );
    let file = net.stage.home().join("session.har");
    let path = file.to_str().unwrap();
    assert_eq!(net.stage.succeed(&["export", "har", "--output", path]), "", "{said}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, net.stage.succeed(&["export", "har"]));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!text.contains("hidden"), "{text}");
    let archive: Value = serde_json::from_str(&text).unwrap();
    conforms(&archive, "export-har.schema.json");
    let entries = archive["log"]["entries"].as_array().unwrap();
    let told: Vec<String> = entries.iter().map(told).map(|it| it.join(" ")).collect();
    let expected = [
        "GET https://good.example:{tls}/open/1 200 0",
        "GET https://good.example:{tls}/other 403 -1",
        "GET https://good.example:{tls}/open/a%20b%7D 200 5",
        "CONNECT tcp://good.example:1 403 -1",
    ];
    assert_eq!(told, expected.map(|line| net.with_ports(line)));
    assert_eq!(entries[0]["serverIPAddress"], "127.0.0.1");
    assert_eq!(entries[0]["request"]["queryString"][0]["name"], "key");
    assert!(entries[0]["response"]["content"]["size"].as_i64().unwrap() > 0);
    for entry in entries {
        let timings = &entry["timings"];
        let sum: i64 =
            ["send", "wait", "receive"].iter().filter_map(|it| timings[it].as_i64()).sum();
        assert_eq!(entry["time"], sum);
    }

    let shown = net.stage.succeed(&["show", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    conforms(&shown, "show.schema.json");
    let by_name = net.with_ports("good.example:{tls}");
    let endpoints = shown["endpoints"].as_array().unwrap();
    let sums = endpoints.iter().find(|it| it["endpoint"] == by_name.as_str()).unwrap();
    assert_eq!((&sums["connections"], &sums["requests"]), (&3.into(), &3.into()));
    let line = format!("{by_name}  sent");
    let shown = net.stage.succeed(&["show"]);
    let line = shown.lines().find(|it| it.contains(&line)).unwrap_or_else(|| panic!("{shown}"));
    assert!(
        line.contains("3 times") && line.contains("3 requests: 2 permitted, 1 refused"),
        "{line}"
    );
}

/// Method, address, status and size of a request.
fn told(entry: &Value) -> [String; 4] {
    let (asked, answer) = (&entry["request"], &entry["response"]);
    let of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    [of(&asked["method"]), of(&asked["url"]), of(&answer["status"]), of(&asked["bodySize"])]
}

#[test]
fn what_would_become_of_a_request_is_what_becomes_of_it() {
    let net = net(everybody().pop().unwrap());
    let test = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| net.with_ports(word)).collect();
        let words: Vec<&str> =
            ["net", "test"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let output = net.named(&net.stage.ringfence_command(&words)).output().unwrap();
        (output.status.code(), text(&output))
    };
    let (code, said) = test(&["https://good.example:{tls}/open/1?a=b#c"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("would be permitted: send GET https://good.example:"), "{said}");
    assert!(said.contains("opened   each request is decided, this one: permitted"), "{said}");
    let (code, said) = test(&["https://good.example:{tls}/open/1", "--method", "POST"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("would be denied: send POST"), "{said}");
    assert!(said.contains("ringfence grant 'net.request:POST good.example:"), "{said}");
    let (code, said) = test(&["https://good.example:{tls}/open/../other"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("would be denied: send this to good.example:"), "{said}");
    assert!(said.contains("whatever the policy says: the path has the segment"), "{said}");
    let (code, said) = test(&["https://good.example:{tls}/open/1", "--method", "TRACE"]);
    assert!(code == Some(1) && said.contains("TRACE is not carried"), "{said}");
    let (code, said) = test(&["good.example:{tls}", "--method", "POST"]);
    assert!(code == Some(2) && said.contains("hint: write the whole address"), "{said}");
    let (code, said) = test(&["good.example:{tls}"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("opened   each request is decided\n"), "{said}");
    let (code, said) = test(&["http://good.example:{banner}/open/1", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let json = said.lines().find(|line| line.starts_with('{')).unwrap();
    let said: Value = serde_json::from_str(json).unwrap();
    conforms(&said, "net-test.schema.json");
    assert_eq!((&said["opened"], &said["request"]["verdict"]), (&true.into(), &"permit".into()));
}
