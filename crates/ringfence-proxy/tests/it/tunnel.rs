//! Tunnels: bytes pass untouched, ends pass too, everything is counted.

use std::sync::Arc;
use std::thread;

use ringfence_core::Action;
use ringfence_testkit::gate::ScriptedPolicy;

use crate::decide::asking;
use crate::harness::{answering, permitting, server};

const MIB: usize = 1024 * 1024;

#[test]
fn a_client_that_has_said_all_still_hears_the_answer() {
    let (port, serving) = server(1, |mut client| {
        let said = client.rest().unwrap();
        client.send(format!("heard {}", said.len()));
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    client.send("everything");
    client.end();
    assert_eq!(client.rest().unwrap(), b"heard 10");
    serving.join().unwrap();
    let usage = proxy.connection();
    assert_eq!((usage.bytes_sent, usage.bytes_received, usage.error), (10, 8, None));
}

#[test]
fn a_server_that_has_said_all_still_hears_the_client() {
    let (port, serving) = server(1, |mut client| {
        client.send("bye");
        client.end();
        client.rest().unwrap()
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    assert_eq!(client.rest().unwrap(), b"bye");
    client.send("not yet");
    client.end();
    assert_eq!(serving.join().unwrap(), [b"not yet"]);
    let usage = proxy.connection();
    assert_eq!((usage.bytes_sent, usage.bytes_received, usage.error), (7, 3, None));
}

#[test]
fn what_a_client_sends_ahead_of_the_answer_arrives() {
    let (port, serving) = server(1, |mut client| {
        let said = client.exactly(11);
        client.send("ok");
        said
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.client();
    client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\nearly bytes"));
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    assert_eq!(client.rest().unwrap(), b"ok");
    drop(client);
    assert_eq!(serving.join().unwrap(), [b"early bytes"]);
    let usage = proxy.connection();
    assert_eq!((usage.bytes_sent, usage.bytes_received), (11, 2));
}

#[test]
fn bytes_pass_both_ways_at_once_and_are_counted() {
    let (port, serving) = server(1, |mut client| {
        let mut writer = client.stream.try_clone().unwrap();
        let writing = thread::spawn(move || {
            use std::io::Write as _;
            writer.write_all(&vec![b's'; 16 * MIB]).unwrap();
        });
        let all = client.exactly(16 * MIB).iter().all(|&byte| byte == 0);
        writing.join().unwrap();
        all
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    let mut writer = client.stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        use std::io::Write as _;
        writer.write_all(&vec![0; 16 * MIB]).unwrap();
    });
    assert!(client.exactly(16 * MIB).iter().all(|&byte| byte == b's'));
    writing.join().unwrap();
    assert_eq!(serving.join().unwrap(), [true]);
    client.end();
    let usage = proxy.connection();
    let bytes = 16 * MIB as u64;
    assert_eq!((usage.bytes_sent, usage.bytes_received), (bytes, bytes));
}

#[test]
fn many_clients_at_once_are_all_served_and_all_recorded() {
    let (port, serving) = server(64, |mut client| {
        let said = client.exactly(4);
        client.send(said);
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut client = proxy.tunnel(&address);
                client.send("ping");
                assert_eq!(client.rest().unwrap(), b"ping");
            });
        }
    });
    serving.join().unwrap();
    let connections = proxy.connections();
    assert_eq!(connections.len(), 64);
    assert!(connections.iter().all(|usage| (usage.bytes_sent, usage.bytes_received) == (4, 4)));
}

#[test]
fn a_tunnel_that_loses_its_permit_is_ended_and_others_stay() {
    let serve = |mut client: crate::harness::Client| {
        client.send("hello");
        client.rest().unwrap_or_default()
    };
    let ((kept, keeping), (lost, losing)) = (server(1, serve), server(1, serve));
    let (kept, lost) = (format!("127.0.0.1:{kept}"), format!("127.0.0.1:{lost}"));
    let mut proxy = permitting(&[&kept, &lost]);
    let (mut stays, mut goes) = (proxy.tunnel(&kept), proxy.tunnel(&lost));
    for client in [&mut stays, &mut goes] {
        assert_eq!(client.exactly(5), b"hello");
    }
    assert_eq!(proxy.end_unpermitted(), Vec::<String>::new());
    let policy = ScriptedPolicy::new().permit(Action::NetConnect, &kept).with_digest("new");
    proxy.test.gate.reload(Arc::new(policy));
    assert_eq!(proxy.end_unpermitted(), [lost.as_str()]);
    assert_eq!(goes.rest().unwrap_or_default(), b"");
    losing.join().unwrap();
    let usage = proxy.connection();
    assert_eq!(usage.error.as_deref(), Some("the policy no longer permits it"));
    assert_eq!((usage.endpoint.to_string(), usage.bytes_received), (lost, 5));
    stays.send("still here");
    stays.end();
    assert_eq!(keeping.join().unwrap(), [b"still here"]);
    proxy.stop();
}

#[test]
fn a_tunnel_whose_address_loses_its_permit_is_ended() {
    let (port, serving) = server(1, |mut client| {
        client.send("hello");
        client.rest().unwrap_or_default()
    });
    let (name, address) = (format!("example.com:{port}"), format!("127.0.0.1:{port}"));
    let proxy = permitting(&[&name, &address]);
    let mut client = proxy.tunnel(&name);
    assert_eq!(client.exactly(5), b"hello");
    let policy = ScriptedPolicy::new().permit(Action::NetConnect, &name).with_digest("new");
    proxy.test.gate.reload(Arc::new(policy));
    assert_eq!(proxy.end_unpermitted(), [name]);
    serving.join().unwrap();
}

#[test]
fn a_tunnel_that_a_new_policy_asks_about_is_ended_unless_it_was_approved() {
    let (port, serving) = server(2, |mut client| {
        client.send("hello");
        client.rest().unwrap_or_default()
    });
    let address = format!("127.0.0.1:{port}");
    let asks = |role| Arc::new(ScriptedPolicy::new().ask(Action::NetConnect, &address, role));
    let proxy = asking(&address, |_| ());
    let mut approved = proxy.tunnel(&address);
    assert_eq!(approved.exactly(5), b"hello");
    let permits = ScriptedPolicy::new().permit(Action::NetConnect, &address);
    proxy.test.gate.reload(Arc::new(permits));
    let mut unasked = proxy.tunnel(&address);
    assert_eq!(unasked.exactly(5), b"hello");
    assert_eq!(proxy.end_unpermitted(), Vec::<String>::new());
    proxy.test.gate.reload(asks("owner"));
    assert_eq!(proxy.end_unpermitted(), [address.as_str()]);
    assert_eq!(unasked.rest().unwrap_or_default(), b"");
    approved.send("still here");
    // What another role must approve was not approved by this one.
    proxy.test.gate.reload(asks("security"));
    assert_eq!(proxy.end_unpermitted(), [address.as_str()]);
    assert_eq!(approved.rest().unwrap_or_default(), b"");
    serving.join().unwrap();
}

#[test]
fn a_reset_is_passed_on_and_recorded() {
    let (port, serving) = server(1, |mut client| {
        client.send("half");
        client.exactly(4);
        reset(client.stream);
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    assert_eq!(client.exactly(4), b"half");
    client.send("more");
    serving.join().unwrap();
    let end = client.rest().unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    let usage = proxy.connection();
    assert!(usage.error.unwrap().contains("reset"));
    assert_eq!((usage.bytes_sent, usage.bytes_received), (4, 4));
}

#[test]
fn a_client_that_resets_ends_its_tunnel() {
    let (port, serving) = server(1, |mut client| {
        client.send("hello");
        client.rest().map_err(|error| error.kind())
    });
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    assert_eq!(client.exactly(5), b"hello");
    reset(client.stream);
    assert_eq!(serving.join().unwrap(), [Err(std::io::ErrorKind::ConnectionReset)]);
    assert!(proxy.connection().error.is_some());
}

/// Closes with a reset.
fn reset(stream: std::net::TcpStream) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _inside = runtime.enter();
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap().set_zero_linger().unwrap();
}

#[test]
fn requests_within_a_tunnel_are_for_its_host_alone() {
    let (port, serving) = answering(1, "first");
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    let get = |path: &str, host: &str| format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    client.send(get("one", &address) + &get("two", "evil.example"));
    let (head, body) = client.response();
    assert_eq!((head.lines().next(), body.as_str()), (Some("HTTP/1.1 200 OK"), "first"));
    let (head, body) = client.response();
    assert!(head.starts_with("HTTP/1.1 421 "), "{head}");
    assert!(body.contains("says `evil.example`"), "{body}");
    assert_eq!(client.rest().unwrap(), b"");
    assert!(serving.join().unwrap()[0].starts_with("GET /one "));
    assert!(proxy.connection().error.unwrap().contains("evil.example"));
}

#[test]
fn a_request_in_pieces_does_not_get_through_as_something_else() {
    let (port, serving) = server(1, |mut client| client.rest());
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    client.send("GET / ");
    std::thread::sleep(std::time::Duration::from_millis(400));
    client.send("HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(client.rest().is_err());
    let seen = serving.join().unwrap().pop().unwrap();
    assert!(seen.is_err() || seen.is_ok_and(|seen| seen == b"GET / "));
}

/// A TLS client's hello for a host, in one record.
fn hello(host: &str) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let name = [&[0], &short(host.len())[..], host.as_bytes()].concat();
    let name = [&short(name.len())[..], &name].concat();
    let extension = [&[0, 0], &short(name.len())[..], &name].concat();
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    body.extend(short(extension.len()));
    body.extend(extension);
    let message = [&[1, 0], &short(body.len())[..], &body].concat();
    [&[22, 3, 1], &short(message.len())[..], &message].concat()
}

/// A server's answer that asks for another hello (RFC 8446, section 4.1.3).
fn retry() -> Vec<u8> {
    let random = "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c";
    let random = (0..32).map(|at| u8::from_str_radix(&random[2 * at..2 * at + 2], 16).unwrap());
    let random: Vec<u8> = random.collect();
    [&[22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3], random.as_slice(), &[0, 0x13, 1, 0]].concat()
}

#[test]
fn a_second_hello_is_for_the_same_host() {
    for (second, passes) in [("a.example", true), ("A.example", true), ("evil.example", false)] {
        // Also sent ahead of the answer, behind early data.
        for ahead in [false, true] {
            let first = hello("a.example");
            let early = [23, 3, 3, 0, 2, 1, 2];
            let expected = first.len() + early.len();
            let (port, serving) = server(1, move |mut client| {
                client.exactly(expected);
                std::thread::sleep(std::time::Duration::from_millis(100));
                client.send(retry());
                client.rest().unwrap_or_default()
            });
            let endpoint = format!("a.example:{port}");
            let proxy = permitting(&[&endpoint, &format!("127.0.0.1:{port}")]);
            let mut client = proxy.tunnel(&endpoint);
            client.send([first.as_slice(), &early].concat());
            if ahead {
                client.send(hello(second));
                client.exactly(retry().len());
            } else {
                client.exactly(retry().len());
                client.send(hello(second));
            }
            if passes {
                client.end();
                assert_eq!(serving.join().unwrap().pop().unwrap(), hello(second));
            } else {
                // An alert, and the end.
                assert_eq!(client.exactly(7), [21, 3, 3, 0, 2, 2, 49]);
                assert_eq!(serving.join().unwrap().pop().unwrap(), b"");
                drop(client);
                assert!(proxy.connection().error.unwrap().contains("`evil.example`"));
            }
        }
    }
}

#[test]
fn a_server_without_tls_is_named_to_a_client_that_speaks_it() {
    let answer = "HTTP/1.1 400 Bad Request\r\n\r\n";
    let (port, _serving) = server(1, move |mut client| {
        client.exactly(40);
        client.send(answer);
        let _ = client.rest();
    });
    let address = format!("a.example:{port}");
    let proxy = permitting(&[&address, &format!("127.0.0.1:{port}")]);
    let mut client = proxy.tunnel(&address);
    client.send(hello("a.example"));
    // Its own words come first: programs know them.
    assert_eq!(client.exactly(answer.len()), answer.as_bytes());
    let _ = client.rest();
    let error = proxy.connection().error.unwrap();
    assert!(error.starts_with(&format!("`{address}` does not speak TLS")), "{error}");
}
