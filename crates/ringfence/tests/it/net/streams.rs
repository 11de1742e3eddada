//! What flows, and how it ends, where each request is decided.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::inspect::{inside, net, paths};
use super::stage::{Net, certificate};
use crate::attacks::stage::{Side, everybody, text};

/// Most memory that a broker of the tests' build may ever have needed, in KiB.
const PEAK_KIB_MAX: u64 = 160 * 1024;

const SPOKEN: [(&str, &str); 2] = [("web", "plain"), ("tls", "tls")];

/// What conversations of `streams.py` come to, outside and inside.
fn both(net: &Net, conversations: &str, (server, spoken): (&str, &str)) -> (String, String) {
    let words = format!("python3 streams.py {conversations} good.example {{{server}}} {spoken}");
    let outside = text(&net.script(Side::Outside, &format!("{words} ca.pem")));
    (outside, inside(net, &words))
}

#[test]
fn what_is_decided_flows_as_if_nobody_looked() {
    let net = net(everybody().pop().unwrap());
    for server in SPOKEN {
        let all = "events,rests,websocket,half,drip,told_to_go_on,cut";
        let (outside, inside) = both(&net, all, server);
        for line in outside.lines() {
            // Which of the servers continues by itself is its affair.
            if !line.starts_with("told_to_go_on") {
                assert!(inside.contains(line), "{line}: {inside}");
            }
        }
        assert!(outside.lines().count() >= 7 && outside.contains("drip HTTP/1.1 200"), "{outside}");
        assert!(inside.contains("rests 1 connection"), "{inside}");
        assert!(inside.contains("told_to_go_on HTTP/1.1 100 Continue 5"), "{inside}");
    }
}

#[test]
fn clients_that_end_or_say_too_much_are_told_or_let_go() {
    let net = net(everybody().pop().unwrap());
    for server in SPOKEN {
        let words = format!(
            "python3 streams.py is_left,told_to_stay,big_head,reset good.example {{{}}} {}",
            server.0, server.1
        );
        net.seen();
        let said = inside(&net, &words);
        assert!(said.contains("is_left 2 connections HTTP/1.1 200"), "{said}");
        assert!(said.contains("told_to_stay HTTP/1.1 403"), "{said}");
        assert!(said.contains("big_head HTTP/1.1 431"), "{said}");
        assert!(said.contains("reset gone"), "{said}");
        assert_eq!(paths(&net), ["/any/leave", "/any/peer"]);
        let ends = net.entries("bytes_sent");
        assert!(ends.iter().any(|it| it.to_string().contains("\"error\"")), "{ends:#?}");
    }
}

#[test]
fn bodies_without_end_cost_no_memory() {
    let net = net(everybody().pop().unwrap());
    for (server, spoken) in SPOKEN {
        for what in ["endless", "upload"] {
            let words = format!("python3 streams.py {what} good.example {{{server}}} {spoken}");
            // The world stays until it is let go: of a broker that is gone nothing can be asked.
            let mut command = net.command(Side::Inside, &format!("{words}; read gone"));
            command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let go = child.stdin.take();
            let mut lines =
                BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            assert_eq!(lines.next().as_deref(), Some("waiting"));
            let said = lines.next().unwrap_or_default();
            // It is the broker itself that was started.
            let peak = peak_kib(child.id()).unwrap_or_default();
            drop(go);
            child.wait().unwrap();
            assert!(said.contains("read") || said.contains("TimeoutError"), "{what}: {said}");
            assert!((1..PEAK_KIB_MAX).contains(&peak), "{what} {spoken}: {peak} KiB, {said}");
        }
    }
}

/// The most memory that a process had so far.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn no_certificate_is_believed_that_the_host_would_not_believe() {
    let net = net(everybody().pop().unwrap());
    let good = certificate().0.to_str().unwrap();
    let bad = ["expired", "other", "client"];
    let all = std::iter::once(good.to_owned())
        .chain(bad.map(|kind| good.replace(".pem", &format!("-{kind}.pem"))))
        .map(|path| std::fs::read_to_string(path).unwrap());
    // Whoever signed them is believed: it is all else that is wrong.
    net.stage.write("all.pem", &all.collect::<String>());
    for kind in bad {
        let url = format!("https://good.example:{{tls_{kind}}}/open/1");
        let outside = text(&net.script(Side::Outside, &format!("curl -sSk {url}")));
        assert!(outside.contains("hello from"), "{kind}: {outside}");
        net.seen();
        let mut command = net.command(Side::Inside, &format!("curl -sSk {url}"));
        command.env("SSL_CERT_FILE", net.stage.home().join("all.pem"));
        let said = text(&command.output().unwrap());
        assert!(said.contains("does not show that it is `good.example`"), "{kind}: {said}");
        assert!(paths(&net).is_empty(), "{kind}");
    }
}
