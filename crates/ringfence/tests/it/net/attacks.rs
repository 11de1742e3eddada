//! Attacks on the net gate. Outside each of them reaches a server, which proves that it would.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::person::json_lines;

use super::stage::Net;
use crate::attacks::stage::{Side, Who, everybody, text};
use crate::attacks::targets::wait_until;

/// Outside the servers see the attack; inside they see none, and the attempt ends like this.
fn stopped(net: &Net, words: &str, sees: fn(&Value) -> bool, expected: &str) {
    let outside = net.attempt(Side::Outside, words);
    assert!(net.seen().iter().any(sees), "{words} must get through outside: {outside}");
    let inside = net.attempt(Side::Inside, words);
    let seen = net.seen();
    assert!(!seen.iter().any(sees), "{words} got through: {seen:?}");
    assert!(inside.contains(expected), "{words}: {inside}");
}

fn anything(_: &Value) -> bool {
    true
}

fn evil(seen: &Value) -> bool {
    ["host", "sni"].iter().any(|it| seen[it].as_str().is_some_and(|name| name.contains("evil")))
}

#[test]
fn a_name_that_is_not_permitted_is_refused_in_the_words_of_what_is_spoken() {
    for who in everybody() {
        let net = Net::new(who);
        let get =
            "raw evil.example {web} 'GET / HTTP/1.1\\r\\nHost: evil.example:{web}\\r\\n\\r\\n'";
        stopped(&net, get, evil, "HTTP/1.1 403 ");
        stopped(&net, "tls evil.example {tls} evil.example", evil, "SSLError");
        stopped(&net, "banner evil.example {banner}", anything, "ConnectionResetError");
        stopped(&net, "half evil.example {echo}", anything, "Error");
        let output = net.script(Side::Inside, "curl -sS http://evil.example:{web}/");
        let said = text(&output);
        assert!(said.contains("may not connect to evil.example:"), "{said}");
    }
}

#[test]
fn a_denied_connection_is_refused_where_the_protocol_has_no_better_word() {
    for who in everybody() {
        let net = Net::with_policy(who, |_| String::new());
        let script = "for port in 22 5432 6379; do \
             python3 client.py banner evil.example $port; \
             python3 client.py banner 192.0.2.7 $port; \
             python3 client.py banner ::ffff:192.0.2.7 $port; \
             python3 client.py banner 2001:db8::7 $port; \
             python3 client.py nonblocking evil.example $port; done";
        let said = net.said(script);
        assert_eq!(said.matches("ConnectionRefusedError 111").count(), 15, "{said}");
        assert!(said.contains("may not connect to evil.example:22"), "{said}");
        // Over IPv6, over IPv4, and without waiting.
        assert_eq!(net.entries("evil.example:22").len(), 3);
        let said = net.said("psql -h db.example -U me -c 'select 1'");
        assert!(said.contains("db.example") && said.contains("Connection refused"), "{said}");
        assert!(said.contains("may not connect to db.example:5432"), "{said}");
        let said = net.said("ssh -o BatchMode=yes evil.example true");
        assert!(
            said.contains("connect to host evil.example port 22: Connection refused"),
            "{said}"
        );
    }
}

#[test]
fn an_address_without_a_name_is_refused_unless_it_is_named() {
    for who in everybody() {
        let net = Net::new(who);
        // The host's own loopback cannot be spoken of: the world has its own.
        stopped(&net, "banner 127.0.0.1 {banner}", anything, "ConnectionRefusedError");
        stopped(&net, "banner ::ffff:127.0.0.1 {banner}", anything, "ConnectionRefusedError");
        stopped(&net, "banner 0.0.0.0 {banner}", anything, "ConnectionRefusedError");
        for address in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7", "169.254.169.254"] {
            let said = net.attempt(Side::Inside, &format!("banner {address} 80"));
            assert!(said.starts_with("ConnectionResetError"), "{address}: {said}");
        }
        let denied = net.entries("169.254.169.254:80");
        assert!(!denied.is_empty());
    }
}

#[test]
fn a_name_is_looked_up_once_it_is_permitted_and_never_else() {
    // A port that stands for names needs root.
    for who in everybody().into_iter().filter(|who| *who != Who::Caller) {
        let permit = |port: &dyn Fn(&str) -> u64| {
            let permit = |host: &str| {
                format!(
                    "permit (principal, action == Action::\"net.connect\", \
                     resource == Endpoint::\"{host}:{}\");\n",
                    port("web")
                )
            };
            permit("known.invalid") + &permit("127.0.0.1")
        };
        let net = Net::with(who, permit, Some("127.0.66.53"));
        let asked = |it: &Value, name: &str| it["asked"].as_str() == Some(name);
        let get = |name: &str| {
            format!("raw {name} {{web}} 'GET / HTTP/1.1\\r\\nHost: {name}:{{web}}\\r\\n\\r\\n'")
        };
        for name in ["known.invalid", "secret.invalid"] {
            assert_eq!(net.attempt(Side::Outside, &get(name)), "HTTP/1.1 200 OK");
            // The name's server writes down what it was asked when it has answered.
            wait_until(name, || net.seen().iter().any(|it| asked(it, name)));
        }
        let said = net.attempt(Side::Inside, &get("secret.invalid"));
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
        // Also of a server that the program chooses, over TCP and UDP, of any type.
        net.script(Side::Inside, "getent hosts secret.invalid; getent ahosts a.secret.invalid");
        net.attempt(Side::Inside, "ask 127.0.66.53 secret.invalid");
        let seen = net.seen();
        assert!(seen.is_empty(), "{seen:?}");
        assert_eq!(net.attempt(Side::Inside, &get("known.invalid")), "HTTP/1.1 200 OK");
        let seen = net.seen();
        let once = seen.iter().filter(|it| asked(it, "known.invalid") && it["kind"] == 1).count();
        assert_eq!(once, 1, "{seen:?}");
    }
}

#[test]
fn a_synthetic_address_that_nobody_was_given_leads_nowhere() {
    for who in everybody() {
        // Whoever permits everything has not permitted to guess.
        let net = Net::with_policy(who, |_| {
            "permit (principal, action == Action::\"net.connect\", resource);".to_owned()
        });
        for address in ["198.18.0.1", "198.18.0.2", "198.19.255.255", "fd00:7269:6e67::2"] {
            let said = net.said(&format!("python3 client.py banner {address} 80"));
            assert!(said.contains("ConnectionRefusedError"), "{address}: {said}");
            assert!(said.contains("no name was ever given the address"), "{address}: {said}");
        }
        assert_eq!(net.entries("no name was ever given the address").len(), 1);
    }
}

#[test]
fn the_gates_own_listeners_are_no_target() {
    for who in everybody() {
        let net = Net::with_policy(who, |_| {
            "permit (principal, action == Action::\"net.connect\", resource);".to_owned()
        });
        let script = "for port in $(awk '$4 == \"0A\" { split($2, a, \":\"); print a[2] }' \
             /proc/net/tcp); do python3 client.py half 127.0.0.1 $((0x$port)); done";
        let said = net.said(script);
        assert_eq!(said.matches("this is the net gate itself").count(), 1, "{said}");
        // By its proxy, the host's own port of that number is meant, and nobody listens there.
        let said = net.attempt(Side::Inside, "socks 127.0.0.1 3128 3128");
        assert_eq!(said, "refused 4");
    }
}

#[test]
fn a_tls_client_that_asks_for_another_host_is_refused() {
    for who in everybody() {
        let net = Net::new(who);
        stopped(&net, "tls good.example {tls} evil.example", evil, "SSLError");
        let unnamed = |seen: &Value| seen["sni"].is_null() && seen.get("sni").is_some();
        stopped(&net, "tls good.example {tls} -", unnamed, "SSLError");
        let said = net.attempt(Side::Inside, "tls good.example {tls} GOOD.example");
        assert_eq!(said, "HTTP/1.1 200 OK");
        net.seen();
        let said = net.said("python3 client.py tls good.example {tls} evil.example");
        assert!(said.contains("asks for `evil.example`"), "{said}");
        assert!(!net.entries("asks for `evil.example`").is_empty());
        // Also within a tunnel that a proxy was asked for.
        let tunnel = "curl -sS -k --proxytunnel --proxy http://127.0.0.1:3128 \
             --connect-to evil.example:{tls}:good.example:{tls} https://evil.example:{tls}/";
        let output = net.script(Side::Inside, tunnel);
        assert!(!output.status.success(), "{}", text(&output));
        assert!(!net.seen().iter().any(evil));
    }
}

#[test]
fn an_http_request_for_another_host_is_refused_on_any_connection() {
    for who in everybody() {
        let net = Net::new(who);
        let good = "GET /1 HTTP/1.1\\r\\nHost: good.example:{web}\\r\\n\\r\\n";
        for other in [
            "GET /2 HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n",
            "GET http://evil.example/ HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n",
            "GET http://good.example/ HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n",
        ] {
            stopped(&net, &format!("raw good.example {{web}} '{other}'"), evil, "HTTP/1.1 421 ");
            let second = format!("raw good.example {{web}} '{good}{other}'");
            stopped(&net, &second, evil, "HTTP/1.1 200 OK | HTTP/1.1 421 ");
        }
        // Servers differ in what they pass over before a request; what reaches them is none.
        let late =
            "raw good.example {web} '\\r\\nGET /2 HTTP/1.0\\r\\nHost: evil.example\\r\\n\\r\\n'";
        let said = net.attempt(Side::Inside, late);
        assert!(said.starts_with("HTTP/1.1 421 ") || said.starts_with("HTTP/1.0 421 "), "{said}");
        // Nor is it hidden behind a method that no server knows.
        let unknown = "G".repeat(80);
        let first = format!("{unknown} / HTTP/1.1\\r\\nHost: good.example:{{web}}\\r\\n\\r\\n");
        let second = "GET /2 HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n";
        let words = format!("raw good.example {{web}} '{first}{second}'");
        stopped(&net, &words, evil, "HTTP/1.1 421 ");
        // Two hosts in one request, and a host that is not plain.
        for other in [
            "GET /2 HTTP/1.1\\r\\nHost: evil.example\\r\\nHost: good.example\\r\\n\\r\\n",
            "GET /2 HTTP/1.1\\r\\nHost : evil.example\\r\\n\\r\\n",
            "GET /2 HTTP/1.1\\r\\nX: y\\r\\n\\r\\n",
        ] {
            let said = net.attempt(Side::Inside, &format!("raw good.example {{web}} '{other}'"));
            assert!(said.starts_with("HTTP/1.1 400 "), "{other}: {said}");
            assert!(net.seen().is_empty(), "{other}");
        }
    }
}

#[test]
fn a_request_hidden_in_another_is_not_passed_on() {
    for who in everybody() {
        let net = Net::new(who);
        let hidden = "GET /hidden HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n";
        let length = hidden.replace("\\r\\n", "..").len();
        for front in [
            // Content-Length and Transfer-Encoding, both ways; twice a length; an odd coding.
            format!(
                "Content-Length: {length}\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n"
            ),
            format!("Content-Length: 0\\r\\nContent-Length: {length}\\r\\n\\r\\n"),
            "Transfer-Encoding: chunked, identity\\r\\n\\r\\n0\\r\\n\\r\\n".to_owned(),
            "Transfer-Encoding: xchunked\\r\\n\\r\\n0\\r\\n\\r\\n".to_owned(),
            "Content-Length: 0\\r\\n\\r\\n".to_owned(),
        ] {
            let first = format!("POST /1 HTTP/1.1\\r\\nHost: good.example:{{web}}\\r\\n{front}");
            let words = format!("raw good.example {{web}} '{first}{hidden}'");
            net.attempt(Side::Inside, &words);
            let seen = net.seen();
            assert!(!seen.iter().any(evil), "{front}: {seen:?}");
        }
    }
}

#[test]
fn names_that_can_be_read_in_two_ways_are_refused() {
    for who in everybody() {
        let net = Net::new(who);
        let by_socks = [
            ("good.example", "HTTP/1.1 200 OK"),
            ("GOOD.example.", "HTTP/1.1 200 OK"),
            ("evil.example\\\\x00.good.example", "refused 8"),
            ("good.example\\\\x00.evil.example", "refused 8"),
            ("evil.example\\\\r\\\\n.good.example", "refused 8"),
            ("good.example@evil.example", "refused 8"),
            ("127.1", "refused 8"),
            ("0x7f.0.0.1", "refused 8"),
            ("2130706433", "refused 8"),
            ("evil.example", "refused 2"),
        ];
        let by_connect =
            ["good.example%00.evil.example", "good.example@evil.example", "0177.0.0.1"];
        let socks =
            by_socks.map(|(name, _)| format!("python3 client.py socks {name} {{web}} 3128"));
        let connect = by_connect.map(|target| {
            let request = format!(
                "CONNECT {target}:{{web}} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"
            );
            format!("python3 client.py raw 127.0.0.1 3128 '{request}'")
        });
        // All in one world: it is the gate that is tested, not the start.
        let script: Vec<String> = socks.into_iter().chain(connect).collect();
        let output = net.script(Side::Inside, &script.join("; "));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut said_of = said.lines();
        for (name, expected) in by_socks {
            assert_eq!(said_of.next(), Some(expected), "{name}: {said}");
        }
        for target in by_connect {
            let said = said_of.next().unwrap_or_default();
            assert!(said.starts_with("HTTP/1.1 400 "), "{target}: {said}");
        }
    }
}

#[test]
fn no_datagram_leaves_a_world_but_a_question_for_a_name() {
    for who in everybody() {
        let net = Net::new(who);
        let sent = net.attempt(Side::Outside, "datagram good.example 443");
        assert_eq!(sent, "sent");
        for address in ["good.example", "192.0.2.1", "198.18.0.1"] {
            let said = net.attempt(Side::Inside, &format!("datagram {address} 443"));
            assert_eq!(said, "PermissionError 1", "{address}");
        }
    }
}

#[test]
fn a_connection_that_loses_its_permit_ends() {
    for who in everybody() {
        let net = Net::with_policy(who, |_| String::new());
        let grant = |text: &str| {
            let session = net.stage.running().unwrap();
            let text = net.with_ports(text);
            net.stage.succeed(&["grant", &text, "--session", &session, "--yes"]);
        };
        let script = "for try in $(seq 100); do \
             python3 client.py open_for good.example {echo} && break; sleep 0.1; done; \
             sleep 30";
        let mut child = net.command(Side::Inside, script).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let denied = lines.next().unwrap();
        assert!(denied.starts_with("Connection"), "{denied}");
        grant("net:good.example:{echo}");
        grant("net:127.0.0.1:{echo}");
        assert!(lines.any(|line| line == "open"));
        let listed = net.stage.succeed(&["grants", "list", "--json"]);
        let mut ended = String::new();
        for grant in json_lines(&listed).as_array().unwrap() {
            ended += &net.stage.succeed(&["grants", "revoke", grant["id"].as_str().unwrap()]);
        }
        assert!(ended.contains("ended: the connection to good.example:"), "{ended}");
        assert!(lines.any(|line| line == "ConnectionResetError"));
        let _ = child.kill();
        let _ = child.wait();
    }
}
