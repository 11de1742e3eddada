//! Requests and uses that a person is asked about, and servers of HTTP/2 that come and go.

use std::time::{Duration, Instant};

use super::inspect::{inside, net, paths};
use super::stage::Net;
use crate::attacks::stage::{Side, everybody, text};
use crate::run::Terminal;

/// A script in a world on a terminal, where the host believes the servers.
fn on_terminal(net: &Net, script: &str) -> Terminal {
    let mut command = net.command(Side::Inside, script);
    command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
    Terminal::owned_by(None, &command)
}

#[test]
fn a_request_of_http_2_waits_for_its_answer_and_no_other_one_does() {
    let net = Net::with_policy(everybody()[0], |port| {
        let at = format!("good.example:{}", port("h2"));
        let rule = |action: &str, at: &str, when: &str| {
            format!(
                "permit (principal, action == Action::\"{action}\", \
                 resource == Endpoint::\"{at}\") {when};\n"
            )
        };
        let decided = "when { context.path like \"/open/*\" || \
             (context.path like \"/asked/*\" && context.approvals.contains(\"owner\")) }";
        rule("net.connect", &at, "")
            + &rule("net.connect", &format!("127.0.0.1:{}", port("h2")), "")
            + &rule("net.request", &at, decided)
    });
    net.stage.write(".config/ringfence/settings.toml", "roles = [\"owner\"]\n");
    let url = "https://good.example:{h2}";
    let script = format!(
        "curl -sS --http2 -Z --parallel-immediate {url}/asked/1 {url}/open/2 \
         -w '<%{{http_code}} %{{http_version}}>'"
    );
    let mut terminal = on_terminal(&net, &script);
    let code = terminal.code("allow once");
    // Over the same connection, while the question stands.
    arrives(&net, "/open/2");
    terminal.types(&code);
    terminal.shows("1 asked");
    assert_eq!(terminal.seen.matches("<200 2>").count(), 2, "{}", terminal.seen);
    assert_eq!(paths(&net), ["/asked/1"]);
    assert!(terminal.child.wait().unwrap().success());
    let mut terminal = on_terminal(&net, &script);
    let code = terminal.code("refuse");
    arrives(&net, "/open/2");
    terminal.types(&code);
    terminal.shows("<403 2>");
    terminal.shows("1 asked");
    assert!(terminal.child.wait().unwrap().success());
    assert!(paths(&net).is_empty());
}

/// Waits until a server was asked for this, and nothing else.
fn arrives(net: &Net, path: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    let mut seen = Vec::new();
    while seen.is_empty() && Instant::now() < until {
        seen = paths(net);
    }
    assert_eq!(seen, [path]);
}

#[test]
fn a_server_that_speaks_http_2_only_may_end_its_connection() {
    let net = net(everybody().pop().unwrap());
    let url = "https://good.example:{only_h2}/open";
    // Each once it is known that the connection of the one before has ended.
    let script = format!("curl -sS --http2 --rate 120/m {url}/leave {url}/leave {url}/1");
    let outside = text(&net.script(Side::Outside, &format!("{script} --cacert ca.pem")));
    assert_eq!(outside.matches("hello from h2").count(), 3, "{outside}");
    net.seen();
    let said = inside(&net, &script);
    assert_eq!(said.matches("hello from h2").count(), 3, "{said}");
    assert_eq!(paths(&net), ["/open/leave", "/open/leave", "/open/1"]);
}

#[test]
fn an_answer_of_http_2_that_breaks_off_does_not_look_whole() {
    let net = net(everybody().pop().unwrap());
    let url = "https://good.example:{h2}/open";
    for spoken in ["--http2", "--http1.1"] {
        // The client's own connection may be over with a part of an answer; the next one is none.
        let script = format!(
            "curl -sS {spoken} {url}/stop -o stopped; echo \"<$?>\"; wc -c < stopped; \
             curl -sS {spoken} {url}/1"
        );
        let said = inside(&net, &script);
        assert!(!said.contains("<0>") && said.contains("hello from h2"), "{spoken}: {said}");
        let ends = net.entries("bytes_received");
        let failed = |it: &serde_json::Value| it.to_string().contains("\"error\"");
        assert!(ends.iter().any(failed), "{spoken}: {ends:#?}");
    }
}
