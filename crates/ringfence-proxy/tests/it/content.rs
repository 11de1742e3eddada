//! What passes is looked through where a rule says so: each way to get something past that has an oracle, the same
//! answer where no rule has it looked through.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use ringfence_core::{
    Action, Certainty, Detector, Finding, FindingKind, Handling, HttpUsage, Inspect, Treatment,
};

use crate::harness::{Client, Proxy, Setup, server, wait};

/// Finds `ghp_` with 36 letters behind it.
pub struct Looks;
pub static LOOKS: Looks = Looks;

impl Inspect for Looks {
    fn inspect(&self, text: &str) -> Vec<Finding> {
        let starts = text.match_indices("ghp_").map(|(start, _)| start);
        let letters = |text: &str| text.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let is_one = |start: &usize| letters(&text[start + 4..]) == 36;
        let finding = |start| Finding {
            rule: "token",
            kind: FindingKind::Secret,
            certainty: Certainty::Certain,
            at: start..start + 40,
        };
        starts.filter(is_one).map(finding).collect()
    }
}

const TOKEN: &str = "ghp_0123456789012345678901234567890123ab";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    None,
    Redact,
    Block,
}

impl Rule {
    fn handling(self) -> Handling {
        let secrets: BTreeSet<Detector> = [Detector::Secrets].into();
        match self {
            Rule::None => Handling::default(),
            Rule::Redact => Handling { redact: secrets, ..Handling::default() },
            Rule::Block => Handling { block: secrets, ..Handling::default() },
        }
    }
}

/// A gate whose rule is this one, in front of a server on a port.
fn gate(rule: Rule, port: u16) -> Proxy {
    let address = format!("127.0.0.1:{port}");
    let mut setup = Setup::permitting(&[&address]);
    let methods = ["GET", "HEAD", "POST"];
    let policy = methods.iter().fold(setup.policy.inspect(&address), |policy, method| {
        policy.permit(Action::NetRequest, &format!("{method} http://{address}/"))
    });
    setup.policy = policy.handle(rule.handling());
    setup.start()
}

/// What a client reads of what a server says in these pieces, and the account of it.
fn answered(rule: Rule, method: &str, pieces: &[Vec<u8>]) -> (String, HttpUsage) {
    let said = pieces.to_vec();
    let (port, serving) = server(1, move |mut client| {
        client.head();
        for piece in &said {
            thread::sleep(Duration::from_millis(5));
            // Who is cut off is gone.
            let _ = std::io::Write::write_all(&mut client.stream, piece);
        }
    });
    let proxy = gate(rule, port);
    let mut client = proxy.client();
    client.send(format!(
        "{method} http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         TE: trailers\r\nRange: bytes=0-\r\nAccept-Encoding: gzip\r\n\r\n"
    ));
    let read = client.rest().unwrap_or_default();
    serving.join().unwrap();
    let usage = wait(|| proxy.test.log.requests().pop());
    (String::from_utf8_lossy(&read).into_owned(), usage)
}

fn chunked(head: &str, parts: &[&str], trailers: &str) -> Vec<Vec<u8>> {
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{head}\r\n");
    let chunk = |part: &&str| format!("{:x}\r\n{part}\r\n", part.len()).into_bytes();
    let last = format!("0\r\n{trailers}\r\n").into_bytes();
    std::iter::once(head.into_bytes()).chain(parts.iter().map(chunk)).chain([last]).collect()
}

fn with_length(head: &str, body: &str) -> Vec<Vec<u8>> {
    let length = body.len();
    vec![format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()]
}

/// Ways in which a server says a token.
fn ways() -> Vec<(&'static str, &'static str, Vec<Vec<u8>>)> {
    let (one, other) = TOKEN.split_at(11);
    let letters: Vec<String> = TOKEN.chars().map(String::from).collect();
    let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
    let json = "Content-Type: application/json\r\n";
    let ok = "HTTP/1.1 200 OK\r\n";
    let long = format!("{}\n{TOKEN}\n", "x".repeat(1_200_000));
    vec![
        ("whole", "GET", with_length(ok, &format!("a {TOKEN} b"))),
        ("an error", "GET", with_length("HTTP/1.1 500 No\r\n", TOKEN)),
        (
            "two chunks",
            "GET",
            chunked("Content-Type: text/plain\r\n", &["a ", one, other, " b"], ""),
        ),
        ("tiny chunks", "GET", chunked(json, &letters, "")),
        (
            "events",
            "GET",
            chunked("Content-Type: text/event-stream\r\n", &["data: ", one, other, "\n\n"], ""),
        ),
        ("no length", "GET", vec![format!("HTTP/1.0 200 OK\r\n\r\n{TOKEN}").into_bytes()]),
        ("a header", "GET", with_length(&format!("{ok}X-Echo: a {TOKEN}\r\n"), "b")),
        ("a header of no body", "HEAD", with_length(&format!("{ok}X-Echo: {TOKEN}\r\n"), "")),
        (
            "a trailer",
            "GET",
            chunked("Trailer: X-Last\r\n", &["b"], &format!("X-Last: {TOKEN}\r\n")),
        ),
        ("a long body", "GET", with_length(&format!("{ok}Content-Type: text/plain\r\n"), &long)),
        ("no type", "GET", chunked("", &[one, other], "")),
        (
            "a picture that is none",
            "GET",
            with_length(&format!("{ok}Content-Type: image/png\r\n"), TOKEN),
        ),
    ]
}

#[test]
fn however_a_server_says_it_what_is_looked_for_is_taken_out() {
    for (name, method, pieces) in ways() {
        let (read, usage) = answered(Rule::None, method, &pieces);
        let read = read.replace("\r\n1\r\n", "");
        let bare: String = read.lines().filter(|line| line.len() > 3).collect();
        let is_there = read.contains(TOKEN) || bare.contains(TOKEN) || name == "tiny chunks";
        assert!(is_there || ["two chunks", "events", "no type"].contains(&name), "{name}: {read}");
        assert!(usage.found.is_empty() && usage.error.is_none(), "{name}: {usage:?}");

        let (read, usage) = answered(Rule::Redact, method, &pieces);
        assert!(read.contains("[redacted: token]"), "{name}: {read}");
        assert!(!read.contains("ghp_"), "{name}: {read}");
        assert_eq!(usage.error, None, "{name}");
        let [found] = usage.found.as_slice() else { panic!("{name}: {usage:?}") };
        assert_eq!(
            (found.rule.as_str(), found.treatment, found.count),
            ("token", Treatment::Redacted, 1)
        );
    }
}

#[test]
fn what_may_not_pass_is_answered_with_words_or_cut_off() {
    for (name, method, pieces) in ways() {
        let (read, usage) = answered(Rule::Block, method, &pieces);
        assert!(!read.contains("ghp_"), "{name}: {read}");
        let error = usage.error.unwrap_or_default();
        assert!(
            error.contains("`token` is in it, and a rule does not let it in"),
            "{name}: {error}"
        );
        if ["events", "a long body"].contains(&name) {
            assert!(read.starts_with("HTTP/1.1 200"), "{name}: {read}");
            assert!(!read.ends_with("0\r\n\r\n"), "{name}: {read}");
            assert_eq!(usage.refused, None, "{name}");
        } else {
            assert!(
                read.starts_with("HTTP/1.1 403 Denied by Ringfence: the answer was not"),
                "{name}: {read}"
            );
            assert_eq!(usage.refused, Some(403), "{name}");
        }
    }
}

#[test]
fn what_cannot_be_looked_into_is_refused_or_noted() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let refused = [
        (
            "encoded",
            with_length(
                &format!("{ok}Content-Type: text/plain\r\nContent-Encoding: gzip\r\n"),
                TOKEN,
            ),
        ),
        (
            "a part",
            with_length("HTTP/1.1 206 Part\r\nContent-Range: bytes 4-9/44\r\n", &TOKEN[4..]),
        ),
        (
            "other letters",
            with_length(&format!("{ok}Content-Type: text/plain; charset=utf-16\r\n"), TOKEN),
        ),
    ];
    for (name, pieces) in refused {
        for rule in [Rule::Redact, Rule::Block] {
            let (read, usage) = answered(rule, "GET", &pieces);
            assert!(read.starts_with("HTTP/1.1 403"), "{name}: {read}");
            assert!(!read.contains(&TOKEN[4..]) && usage.refused == Some(403), "{name}");
        }
        assert!(answered(Rule::None, "GET", &pieces).0.contains(&TOKEN[4..]), "{name}");
    }
    let binary =
        with_length(&format!("{ok}Content-Type: image/png\r\nETag: \"1\"\r\n"), "\0\u{1}PNG");
    let (read, usage) = answered(Rule::Redact, "GET", &binary);
    assert!(read.ends_with("\0\u{1}PNG") && read.contains("\"1\""), "{read}");
    assert_eq!(usage.unlooked.as_deref(), Some("it is no text"));
    let (read, _) = answered(Rule::Block, "GET", &binary);
    assert!(read.starts_with("HTTP/1.1 403") && read.contains("it is no text"), "{read}");
}

#[test]
fn what_was_changed_says_nothing_of_what_it_was() {
    let head =
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-MD5: x\r\nDigest: y\r\nAccept-Ranges: bytes\r\n";
    let (read, _) = answered(Rule::Redact, "GET", &with_length(head, &format!("a {TOKEN}")));
    let lower = read.to_ascii_lowercase();
    for gone in ["etag", "md5", "digest", "accept-ranges"] {
        assert!(!lower.contains(gone), "{gone}: {read}");
    }
    assert!(lower.contains("content-length: 19\r\n"), "{read}");
    let (read, _) = answered(Rule::Redact, "GET", &with_length(head, "nothing"));
    let lower = read.to_ascii_lowercase();
    assert!(lower.contains("etag: \"1\"") && lower.contains("content-length: 7\r\n"), "{read}");
}

#[test]
fn what_is_said_ahead_of_an_answer_does_not_pass() {
    let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: <{TOKEN}>\r\n\r\n");
    let answer = with_length("HTTP/1.1 200 OK\r\n", "b");
    let pieces = [vec![hints.into_bytes()], answer].concat();
    for rule in [Rule::Redact, Rule::Block] {
        let (read, _) = answered(rule, "GET", &pieces);
        assert!(read.starts_with("HTTP/1.1 200") && !read.contains("ghp_"), "{read}");
    }
}

#[test]
fn events_and_words_go_on_while_a_server_pauses() {
    let (port, serving) = server(1, |mut client| {
        client.head();
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(format!("{head}b\r\nfirst\nGo on\r\n"));
        thread::sleep(Duration::from_millis(1500));
        client.send("1\r\n?\r\n0\r\n\r\n");
    });
    let proxy = gate(Rule::Redact, port);
    let mut client = proxy.client();
    let began = Instant::now();
    client.send(format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"));
    client.until("first");
    client.until("Go ");
    assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
    client.until("on?");
    serving.join().unwrap();
}

/// What a server sees of a request, and what the client is answered.
fn sent(rule: Rule, head: &str, pieces: &[&str]) -> (String, String, HttpUsage) {
    let (port, serving) = server(1, |mut client: Client| {
        client.stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let mut seen = Vec::new();
        let mut part = [0; 8_192];
        while let Ok(count) = std::io::Read::read(&mut client.stream, &mut part) {
            seen.extend_from_slice(&part[..count]);
            if count == 0 || seen.ends_with(b"END") || seen.ends_with(b"0\r\n\r\n") {
                break;
            }
        }
        let _ = std::io::Write::write_all(
            &mut client.stream,
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
        String::from_utf8_lossy(&seen).into_owned()
    });
    let proxy = gate(rule, port);
    let mut client = proxy.client();
    client.send(format!(
        "{}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n",
        head.replace("ORIGIN", &format!("http://127.0.0.1:{port}"))
    ));
    for piece in pieces {
        thread::sleep(Duration::from_millis(20));
        let _ = std::io::Write::write_all(&mut client.stream, piece.as_bytes());
    }
    let read = client.rest().unwrap_or_default();
    let seen = serving.join().unwrap().remove(0);
    let usage = wait(|| proxy.test.log.requests().pop());
    (seen, String::from_utf8_lossy(&read).into_owned(), usage)
}

#[test]
fn what_may_not_go_out_reaches_no_server() {
    let (one, other) = TOKEN.split_at(20);
    let length = |body: &str| format!("POST ORIGIN/ HTTP/1.1\r\nContent-Length: {}", body.len());
    let body = format!("a={TOKEN}&END");
    let chunked = "POST ORIGIN/ HTTP/1.1\r\nTransfer-Encoding: chunked";
    let parts = [one, other, " END"].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
    let ways: Vec<(&str, String, Vec<&str>)> = vec![
        ("its body", length(&body), vec![&body]),
        ("its body", length(&body), vec![&body[..9], &body[9..]]),
        ("its body", chunked.to_owned(), vec![&parts[0], &parts[1], "4\r\n END\r\n0\r\n\r\n"]),
        ("a header", format!("GET ORIGIN/ HTTP/1.1\r\nAuthorization: Bearer {TOKEN}"), vec![]),
        ("the address", format!("GET ORIGIN/?q=%67%68%70_{} HTTP/1.1", &TOKEN[4..]), vec![]),
    ];
    for (place, head, pieces) in ways {
        let (seen, read, _) = sent(Rule::None, &head, &pieces);
        assert!(
            read.starts_with("HTTP/1.1 200") && seen.contains(&other[10..]),
            "{place}: {seen} {read}"
        );
        // What comes in is another matter.
        let (seen, read, _) = sent(Rule::Redact, &head, &pieces);
        assert!(
            read.starts_with("HTTP/1.1 200") && seen.contains(&other[10..]),
            "{place}: {seen} {read}"
        );
        let (seen, read, usage) = sent(Rule::Block, &head, &pieces);
        assert_eq!(seen, "", "{place}");
        assert!(
            read.starts_with("HTTP/1.1 403 Denied by Ringfence: the request was not sent: `token`"),
            "{read}"
        );
        let error = usage.error.unwrap_or_default();
        assert!(error.contains(&format!("in {place}, and a rule does not let it out")), "{error}");
        assert_eq!((usage.refused, usage.found[0].treatment), (Some(403), Treatment::Blocked));
    }
}

#[test]
fn a_long_body_is_stopped_on_its_way() {
    let long = "line\n".repeat(300_000);
    let body = format!("{long}{TOKEN}\n{long}END");
    let head = format!("POST ORIGIN/ HTTP/1.1\r\nContent-Length: {}", body.len());
    let (seen, _, _) = sent(Rule::None, &head, &[&body]);
    assert!(seen.contains(TOKEN));
    let (seen, read, usage) = sent(Rule::Block, &head, &[&body]);
    assert!(seen.contains("line") && !seen.contains("ghp_"), "{}", seen.len());
    assert!(read.starts_with("HTTP/1.1 403"), "{read}");
    assert!(usage.error.unwrap_or_default().contains("`token` is in it, in its body"), "{read}");
}

#[test]
fn a_body_that_is_allowed_arrives_whole() {
    let long = format!("{}END", "line of it\n".repeat(200_000));
    for body in ["END", long.as_str()] {
        let head = format!("POST ORIGIN/ HTTP/1.1\r\nContent-Length: {}", body.len());
        let (seen, read, usage) = sent(Rule::Block, &head, &[body]);
        assert!(seen.ends_with(body) && read.starts_with("HTTP/1.1 200"), "{read}");
        assert_eq!((usage.error, usage.bytes_sent), (None, body.len() as u64));
    }
    let (_, read, usage) = sent(
        Rule::Block,
        "POST ORIGIN/ HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 3",
        &["END"],
    );
    assert!(read.starts_with("HTTP/1.1 403") && read.contains("encoded as `gzip`"), "{read}");
    assert_eq!(usage.refused, Some(403));
}

#[test]
fn a_websocket_is_refused_where_what_passes_is_looked_through() {
    let head = "GET ORIGIN/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade";
    for rule in [Rule::Redact, Rule::Block] {
        let (seen, read, _) = sent(rule, head, &[]);
        assert_eq!(seen, "");
        assert!(read.starts_with("HTTP/1.1 403") && read.contains("websocket"), "{read}");
    }
}

#[test]
fn a_request_asks_for_what_can_be_looked_through() {
    let head = "GET ORIGIN/ HTTP/1.1\r\nRange: bytes=4-\r\nAccept-Encoding: br";
    let (seen, _, _) = sent(Rule::Redact, head, &[]);
    let seen = seen.to_ascii_lowercase();
    assert!(seen.contains("accept-encoding: identity") && !seen.contains("range"), "{seen}");
}
