//! What passes, looked through by the detectors: real programs, with the same answers outside as the oracle.

use serde_json::Value;

use super::stage::Net;
use crate::attacks::stage::{Side, Who, everybody, text};
use crate::schemas::conforms;

/// A token of GitHub's with the checksum that it has, and an address.
const TOKEN: &str = "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";

/// A part of it.
const PART: &str = "8Zk2mQ4xVt7Ls9Wd";

/// One of AWS, which is one in a name in small letters as well.
const KEY: &str = "AKIAQ3EGPX5N7TLWR2YB";

/// The token in a message, to who reads it by its own head.
const MESSAGE: &str = "Content-Transfer-Encoding: base64\r\n\r\n\
     Z2hwXzhaazJtUTR4VnQ3THM5V2QzUmY2SGIxTmM1WXAwSjIwR1cwMw==";

/// The token in base64.
const ENCODED: &str = "Z2hwXzhaazJtUTR4VnQ3THM5V2QzUmY2SGIxTmM1WXAwSjIwR1cwMw==";

/// The same as `TOKEN` with dots in it, which the server leaves out: what goes out is none.
fn spelt() -> String {
    let letters: Vec<String> = TOKEN.chars().map(String::from).collect();
    letters.join(".")
}

fn net(who: Who, rules: impl Fn(u64) -> String) -> Net {
    Net::with_policy(who, |port| {
        let all = ["web", "tls", "h2", "banner"].map(|name| {
            let port = port(name);
            format!(
                "permit (principal, action == Action::\"net.connect\", \
                 resource == Endpoint::\"127.0.0.1:{port}\");\n"
            ) + &rules(port)
        });
        all.concat()
    })
}

fn connect(annotation: &str, port: u64) -> String {
    format!(
        "@id(\"looked-{port}\") {annotation} permit (principal, action == Action::\"net.connect\", \
         resource == Endpoint::\"good.example:{port}\");\n"
    )
}

/// What a script inside prints where the host believes the servers.
fn inside(net: &Net, script: &str) -> String {
    let mut command = net.command(Side::Inside, script);
    command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
    text(&command.output().unwrap())
}

const HOW: [&str; 6] = ["plain", "json", "events", "bytes", "error", "header"];

#[test]
fn what_a_server_says_is_looked_through_where_a_rule_has_it_so() {
    for who in everybody() {
        let net = net(who, |port| connect("@redact(\"secrets,email\")", port));
        for origin in ["https://good.example:{tls}", "http://good.example:{web}"] {
            let words = format!("{}/me@mail.example", spelt());
            let each = |words: &str| {
                let ask = |how: &str| format!("curl -sSki {origin}/say/{how}/{words}; echo; ");
                HOW.map(ask).concat()
            };
            let outside = text(&net.script(Side::Outside, &each(&words)));
            assert!(outside.matches(TOKEN).count() >= 4, "{outside}");
            let inside = inside(&net, &each(&words));
            assert_eq!(inside.matches("[redacted: github-token]").count(), 7, "{inside}");
            assert!(!inside.contains(PART) && inside.contains(" end"), "{inside}");
            let json = inside.lines().find(|line| line.contains("\"key\"")).unwrap();
            let json: Value = serde_json::from_str(json).unwrap();
            assert_eq!(json["n"][1], "é");
        }
        let log = net.stage.succeed(&["log", "show"]);
        assert!(log.contains("; redacted github-token (2 times)"), "{log}");
        assert!(!log.contains(PART), "{log}");
        let shown: Value = serde_json::from_str(&net.stage.succeed(&["show", "--json"])).unwrap();
        conforms(&shown, "show.schema.json");
        assert!(shown.to_string().contains("\"rule\":\"github-token\""), "{shown}");
        let shown = net.stage.succeed(&["show"]);
        assert!(shown.contains("redacted github-token"), "{shown}");
    }
}

#[test]
fn what_may_not_come_in_or_go_out_is_refused_with_words() {
    for who in everybody() {
        let net = net(who, |port| connect("@block(\"secrets\")", port));
        let origin = "https://good.example:{tls}";
        let said = inside(&net, &format!("curl -sSi {origin}/say/json/{}", spelt()));
        assert!(said.contains(" 403") && said.contains("`github-token` is in it"), "{said}");
        assert!(!said.contains(PART), "{said}");
        let said = inside(&net, &format!("curl -sS {origin}/say/events/{}; echo ends $?", spelt()));
        assert!(!said.contains("ghp_8Zk2m") && !said.contains("ends 0"), "{said}");
        let said = inside(&net, &format!("curl -sSi --compressed {origin}/say/gzip/a"));
        assert!(said.contains(" 403") && said.contains("encoded as `gzip`"), "{said}");
        net.seen();
        for words in [
            // Messages, which say themselves how they are written.
            format!("-F 'a={MESSAGE};type=message/rfc822' {origin}/x"),
            format!("-H 'Content-Type: message/rfc822' -d '{MESSAGE}' {origin}/x"),
            format!("-H 'Content-Type: application/http' -d '{MESSAGE}' {origin}/x"),
            format!("-F 'a={MESSAGE};type=application/http' {origin}/x"),
            // Bodies that are decoded by who goes by this.
            format!(
                "-H 'Content-Type: text/plain' -H 'Content-Transfer-Encoding: base64' -d {ENCODED} {origin}/x"
            ),
            format!("-d '_charset_=utf-7&key=%2BAGg-' {origin}/x"),
            format!("-F _charset_=utf-7 -F key=+AGg- {origin}/x"),
            format!("'{origin}/x?_charset_=utf-7&key=%2BAGg-'"),
            format!(
                "-H 'Content-Type: multipart/form-data; boundary=b; charset=utf-7' -d '--b' {origin}/x"
            ),
            format!(
                "-H 'Content-Encoding: identity' -H 'Content-Encoding: gzip' -d key=value {origin}/x"
            ),
            format!("-d key={TOKEN} {origin}/x"),
            format!("-d key=%67{} {origin}/x", TOKEN.trim_start_matches('g')),
            format!("-H 'x-key: {TOKEN}' {origin}/x"),
            format!("-H '{KEY}: 1' --http1.1 {origin}/x"),
            format!("-u {TOKEN}:a {origin}/x"),
            format!("{origin}/x?key={TOKEN}"),
            format!("-T project.txt {origin}/x"),
        ] {
            let script = format!("echo {TOKEN} > project.txt; curl -sSi {words}");
            let said = inside(&net, &script);
            assert!(said.contains(" 403") && said.contains("the request was not sent"), "{said}");
            let seen = net.seen();
            assert!(
                seen.iter().all(|it| it.get("path").is_none() && it.get("body").is_none()),
                "{seen:?}"
            );
        }
        let entry = net.entries("\"refused\":403").pop().unwrap_or_default().to_string();
        assert!(entry.contains("github-token") && !entry.contains(PART), "{entry}");
        // What has nothing in it passes.
        let said = inside(&net, &format!("curl -sS -d key=value {origin}/x"));
        assert!(said.starts_with("9 "), "{said}");
    }
}

#[test]
fn what_cannot_be_looked_into_is_no_way_past() {
    let net = net(everybody().pop().unwrap(), |port| connect("@redact(\"secrets\")", port));
    let say = |how: &str| format!("curl -sSi http://good.example:{{web}}/say/{how}/{}", spelt());
    let named = format!("curl -sSi http://good.example:{{web}}/say/name/{KEY}");
    for (script, with) in [(say("latin"), "[redacted: github-token]"), (say("name"), " 200 ")] {
        let outside = text(&net.script(Side::Outside, &script));
        assert!(outside.contains(PART), "{outside}");
        let said = inside(&net, &script);
        assert!(said.contains(with) && !said.contains(PART), "{said}");
    }
    assert!(text(&net.script(Side::Outside, &named)).contains(&format!("{KEY}: named")));
    let said = inside(&net, &named);
    assert!(said.contains(" 200 ") && !said.contains(": named"), "{said}");
    for (how, why) in [("wide", "in an encoding that cannot be"), ("part", "is a part")] {
        let said = inside(&net, &say(how));
        assert!(said.contains(" 403") && said.contains(why) && !said.contains(PART), "{said}");
    }
    let banner = net.attempt(Side::Outside, "banner good.example {banner}");
    assert!(banner.contains("220 ready"), "{banner}");
    let said = inside(&net, "python3 client.py banner good.example {banner}; echo");
    assert!(!said.contains("220 ready"), "{said}");
    let said = inside(
        &net,
        "curl -sSi http://good.example:{web}/ -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
         -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='",
    );
    assert!(said.contains(" 403") && said.contains("websocket"), "{said}");
}

#[test]
fn a_program_of_http2_is_answered_without_what_a_rule_takes_out() {
    let net = net(everybody().pop().unwrap(), |port| connect("@redact(\"secrets\")", port));
    let said = inside(&net, "curl -sSi --http2 https://good.example:{h2}/ -H 'x-any: 1'");
    assert!(said.contains("HTTP/2 200"), "{said}");
}
