//! Plain `http:` requests: each decided on its own, passed on as they are, streamed both ways.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use crate::harness::{Setup, answering, header, permitting, server};

const MIB: usize = 1024 * 1024;

fn get(endpoint: &str) -> String {
    format!("GET http://{endpoint}/ HTTP/1.1\r\nHost: {endpoint}\r\n\r\n")
}

#[test]
fn a_request_is_passed_on_in_origin_form_without_what_concerns_one_hop() {
    let (port, serving) = answering(1, "ok");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let (head, body) = proxy.ask(format!(
        "GET http://{address}/a/b?c=d%20e HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\
         Proxy-Authorization: Basic secret\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n\
         Connection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-Kept: 2\r\n\r\n"
    ));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(body, "ok");
    let seen = serving.join().unwrap().remove(0);
    let expected =
        format!("GET /a/b?c=d%20e HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\nX-Kept: 2\r\n\r\n");
    assert_eq!(seen, expected);
}

#[test]
fn an_address_without_a_path_asks_for_the_root() {
    let (port, serving) = answering(1, "ok");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    proxy.ask(format!("GET http://{address} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(serving.join().unwrap()[0].starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn every_request_on_a_kept_connection_is_decided_on_its_own() {
    let (port, _serving) = answering(2, "ok");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    let mut statuses = Vec::new();
    for endpoint in [address.as_str(), "evil.org:80", &address, "evil.org:443"] {
        client.send(get(endpoint));
        statuses.push(client.response().0[9..12].to_owned());
    }
    assert_eq!(statuses, ["200", "403", "200", "403"]);
    assert_eq!(proxy.decisions().len(), 4);
    assert_eq!(proxy.lookups.count(), 0);
}

#[test]
fn requests_sent_ahead_are_each_decided() {
    let (port, _serving) = answering(1, "ok");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(get(&address) + &get("evil.org:80"));
    assert!(client.response().0.starts_with("HTTP/1.1 200 "));
    assert!(client.response().0.starts_with("HTTP/1.1 403 "));
}

#[test]
fn a_tunnel_cannot_be_asked_for_behind_a_body() {
    let (port, serving) = server(1, |mut client| {
        let head = client.head();
        let body = client.exactly(7);
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        (head, body)
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(format!(
        "POST http://{address}/ HTTP/1.1\r\nHost: {address}\r\nContent-Length: 7\r\n\r\n1234567\
         CONNECT evil.org:443 HTTP/1.1\r\nHost: evil.org\r\n\r\n"
    ));
    assert!(client.response().0.starts_with("HTTP/1.1 200 "));
    assert!(client.response().0.starts_with("HTTP/1.1 403 "));
    assert_eq!(serving.join().unwrap()[0].1, b"1234567");
}

#[test]
fn a_body_framed_in_two_ways_reaches_the_server_in_one() {
    let (port, serving) = server(1, |mut client| {
        let head = client.head();
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        head
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let (head, _) = proxy.ask(format!(
        "POST http://{address}/ HTTP/1.1\r\nHost: {address}\r\nContent-Length: 40\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ));
    if head.starts_with("HTTP/1.1 400 ") {
        return;
    }
    let seen = serving.join().unwrap().remove(0);
    let framings = [header(&seen, "content-length"), header(&seen, "transfer-encoding")];
    assert_eq!(framings, [None, Some("chunked")], "{seen}");
}

#[test]
fn a_host_header_in_another_spelling_of_the_same_host_is_taken() {
    let (port, _serving) = answering(2, "ok");
    let (name, address) = (format!("example.com:{port}"), format!("127.0.0.1:{port}"));
    let proxy = permitting(&[&name, &address]);
    for host in [format!("EXAMPLE.com:{port}"), format!("example.com.:{port}")] {
        let (head, _) = proxy.ask(format!("GET http://{name}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{host}: {head}");
    }
}

#[test]
fn an_old_client_without_a_host_header_is_served() {
    let (port, serving) = answering(1, "ok");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let (head, body) = proxy.ask(format!("GET http://{address}/ HTTP/1.0\r\n\r\n"));
    assert!(head.contains(" 200 "), "{head}");
    assert_eq!(body, "ok");
    // HTTP/1.1, which the server is spoken to in, needs one.
    assert_eq!(header(&serving.join().unwrap()[0], "host"), Some(address.as_str()));
}

#[test]
fn events_are_passed_on_one_by_one_as_they_come() {
    let (received, next) = sync_channel::<()>(0);
    let next = Mutex::new(next);
    let (port, _serving) = server(1, move |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n");
        client.send("transfer-encoding: chunked\r\n\r\n");
        for number in 0..5 {
            client.send(format!("9\r\ndata: {number}\n\n\r\n"));
            // Not before the client has it: a gate that waits for more would wait for ever.
            next.lock().unwrap().recv().unwrap();
        }
        client.send("0\r\n\r\n");
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(get(&address));
    client.head();
    for number in 0..5 {
        client.until(&format!("data: {number}\n\n"));
        received.send(()).unwrap();
    }
    client.until("0\r\n\r\n");
}

#[test]
fn a_body_is_passed_up_as_it_comes() {
    let (received, next) = sync_channel::<()>(0);
    let next = Mutex::new(next);
    let (port, _serving) = server(1, move |mut client| {
        client.head();
        for number in 0..5 {
            client.until(&format!("part {number}"));
            received.send(()).unwrap();
        }
        client.until("0\r\n\r\n");
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(format!("POST http://{address}/ HTTP/1.1\r\nHost: {address}\r\n"));
    client.send("Transfer-Encoding: chunked\r\n\r\n");
    for number in 0..5 {
        client.send(format!("6\r\npart {number}\r\n"));
        next.lock().unwrap().recv().unwrap();
    }
    client.send("0\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_large_body_passes_both_ways_and_is_counted() {
    let (port, serving) = server(1, |mut client| {
        client.head();
        let sum = client.exactly(8 * MIB).iter().map(|&byte| u64::from(byte)).sum::<u64>();
        client.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 8 * MIB));
        client.send(vec![3; 8 * MIB]);
        sum
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    let length = 8 * MIB;
    client.send(format!(
        "POST http://{address}/ HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send(vec![2; length]);
    client.head();
    assert!(client.exactly(length).iter().all(|&byte| byte == 3));
    assert_eq!(serving.join().unwrap(), [2 * length as u64]);
    let usage = proxy.connection();
    let length = length as u64;
    assert!((length..length + 500).contains(&usage.bytes_sent), "{usage:?}");
    assert!((length..length + 500).contains(&usage.bytes_received), "{usage:?}");
    assert_eq!(usage.error, None);
}

#[test]
fn an_answer_that_breaks_off_does_not_look_complete() {
    let (port, _serving) = server(1, |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(get(&address));
    assert_eq!(header(&client.head(), "content-length"), Some("100"));
    let rest = client.rest().unwrap_or_default();
    assert!(rest.len() < 100);
    let error = proxy.connection().error.unwrap();
    assert!(error.starts_with("the server broke off"), "{error}");
}

#[test]
fn a_server_that_ends_without_an_answer_is_a_502() {
    let (port, _serving) = server(1, |mut client| client.head());
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let (head, body) = proxy.ask(get(&address));
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(body.starts_with("the server broke off"), "{body}");
    assert!(proxy.connection().error.is_some());
}

#[test]
fn a_server_that_may_speak_tls_is_said_to() {
    // A server of TLS answers a request with an alert, or not at all.
    for answer in [&[21, 3, 3, 0, 2, 2, 10][..], b""] {
        let (port, _serving) = server(1, move |mut client| {
            client.head();
            client.send(answer);
        });
        let address = format!("127.0.0.1:{port}");
        let proxy = permitting(&[&address]);
        let (head, body) = proxy.ask(get(&address));
        assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
        assert!(body.contains("; it may speak TLS, so that `https:` is meant"), "{body}");
        let error = proxy.connection().error.unwrap();
        assert!(error.contains("it may speak TLS"), "{error}");
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    let (port, _serving) = server(1, |mut client| {
        client.head();
        client.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(get(&address));
    assert_eq!(header(&client.head(), "transfer-encoding"), Some("chunked"));
    assert_eq!(client.until("0\r\n\r\n"), "9\r\nall of it\r\n0\r\n\r\n");
}

#[test]
fn a_head_request_gets_the_head_only() {
    let (port, _serving) = server(1, |mut client| {
        client.head();
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(format!("HEAD http://{address}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert_eq!(header(&client.head(), "content-length"), Some("1000"));
    client.send(get("evil.org:80"));
    assert!(client.head().starts_with("HTTP/1.1 403 "));
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let (port, serving) = server(1, |mut client| {
        let head = client.head();
        client.exactly(4);
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        head
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(format!(
        "POST http://{address}/ HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\n\
         Content-Length: 4\r\n\r\n"
    ));
    assert!(client.head().starts_with("HTTP/1.1 100 "));
    client.send("body");
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(header(&serving.join().unwrap()[0], "expect"), None);
}

#[test]
fn a_websocket_passes() {
    let (port, serving) = server(1, |mut client| {
        let head = client.head();
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n");
        client.send("Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nfirst");
        let said = client.exactly(5);
        client.send("last");
        (head, said)
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(format!(
        "GET http://{address}/chat HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive, Upgrade\
         \r\nUpgrade: websocket\r\nSec-WebSocket-Key: y\r\n\r\n"
    ));
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(client.exactly(5), b"first");
    client.send("frame");
    assert_eq!(client.rest().unwrap(), b"last");
    drop(client);
    let (seen, said) = serving.join().unwrap().remove(0);
    assert_eq!(header(&seen, "upgrade"), Some("websocket"));
    assert_eq!(header(&seen, "sec-websocket-key"), Some("y"));
    assert_eq!(said, b"frame");
    let usage = proxy.connection();
    assert_eq!(usage.error, None);
    assert!(usage.bytes_sent > 100 && usage.bytes_received > 100, "{usage:?}");
}

#[test]
fn an_upgrade_to_anything_else_is_not_passed_on() {
    let (port, serving) = answering(1, "plain");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let (head, body) = proxy.ask(format!(
        "GET http://{address}/ HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade, HTTP2-Settings\
         \r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
    ));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "plain");
    let seen = serving.join().unwrap().remove(0);
    assert_eq!([header(&seen, "upgrade"), header(&seen, "http2-settings")], [None, None]);
}

#[test]
fn a_server_that_switches_unasked_is_not_followed() {
    let (port, _serving) = server(1, |mut client| {
        client.head();
        client.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n");
        client.send("Upgrade: raw\r\n\r\nsmuggled");
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let (head, _) = proxy.ask(get(&address));
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
}

#[test]
fn a_slow_client_is_served_and_a_stalled_one_is_let_go() {
    let mut setup = Setup::permitting(&[]);
    setup.limits.head_wait = std::time::Duration::from_millis(300);
    let proxy = setup.start();
    let mut stalled = proxy.client();
    stalled.send("GET http://a.com/ HTTP/1.1\r\nHost:");
    // Nothing comes back but the end, or the end behind an answer.
    let answer = stalled.rest().unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(proxy.decisions(), Vec::<String>::new());

    let patient = permitting(&[]);
    let mut slow = patient.client();
    for byte in get("evil.org:80").bytes() {
        slow.send([byte]);
    }
    assert!(slow.response().0.starts_with("HTTP/1.1 403 "));
}

#[test]
fn a_target_and_a_host_that_differ_reach_nobody() {
    let (port, _serving) = answering(1, "reached");
    let (address, other) = (format!("127.0.0.1:{port}"), format!("b.example:{port}"));
    let proxy = permitting(&[&address, &other]);
    for (target, host) in [(&address, &other), (&other, &address)] {
        let (head, body) =
            proxy.ask(format!("GET http://{target}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert!(body.contains("the `Host` header says"), "{body}");
    }
    // On a connection that was decided the target is held against that, too.
    let mut client = proxy.tunnel(&address);
    client.send(format!("GET http://{other}/ HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(client.head().starts_with("HTTP/1.1 421 "));
}

/// A server that says so much before it answers; how much of it was taken.
fn hinting(early: usize) -> (u16, std::thread::JoinHandle<Vec<usize>>) {
    server(1, move |mut client| {
        client.head();
        let hint = b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
        let taken = (0..early).take_while(|_| client.stream.write_all(hint).is_ok()).count();
        let _ = client.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        taken
    })
}

#[test]
fn a_server_that_says_things_before_its_answer_without_end_is_ended() {
    for through in ["proxy", "tunnel"] {
        for (early, status) in [(3, "200"), (64, "200"), (1_000_000, "502")] {
            let (port, serving) = hinting(early);
            let address = format!("127.0.0.1:{port}");
            let proxy = permitting(&[&address]);
            let mut client =
                if through == "proxy" { proxy.client() } else { proxy.tunnel(&address) };
            let target = if through == "proxy" { format!("http://{address}/") } else { "/".into() };
            client.send(format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
            let (head, body) = client.response();
            assert_eq!(head.get(9..12), Some(status), "{through} {early}: {head}");
            let taken = serving.join().unwrap()[0];
            if status == "502" {
                assert!(taken < early, "{through}: all of it was read");
                assert!(body.contains("more than 64 things before its answer"), "{body}");
                let error = proxy.connection().error.unwrap();
                assert!(error.contains("more than 64 things"), "{error}");
            }
        }
    }
}
