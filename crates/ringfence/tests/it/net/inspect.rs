//! Requests within TLS that is opened, by real programs; the servers say what they saw.

use super::stage::{Net, certificate};
use crate::attacks::stage::{Side, everybody, text};

/// Permits connections, and of the requests only `GET` beneath `/open/`.
fn net(who: crate::attacks::stage::Who) -> Net {
    Net::with_policy(who, |port| {
        let permit = |action: &str, endpoint: &str, when: &str| {
            format!(
                "permit (principal, action == Action::\"{action}\", \
                 resource == Endpoint::\"{endpoint}\") {when};\n"
            )
        };
        let reads = "when { context.method == \"GET\" && context.path like \"/open/*\" }";
        let all = ["web", "tls", "banner"].map(|name| {
            let port = port(name);
            let (named, address) = (format!("good.example:{port}"), format!("127.0.0.1:{port}"));
            permit("net.connect", &named, "")
                + &permit("net.connect", &address, "")
                + &permit("net.request", &named, reads)
        });
        all.concat()
    })
}

/// What a script inside prints where the host believes the servers.
fn inside(net: &Net, script: &str) -> String {
    let mut command = net.command(Side::Inside, script);
    command.env("SSL_CERT_FILE", certificate().0);
    text(&command.output().unwrap())
}

fn paths(net: &Net) -> Vec<String> {
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
        assert!(said.contains("does not show that it is `good.example`"), "{said}");
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
