//! Real programs that know nothing of the gate.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use super::stage::Net;
use crate::attacks::stage::{Side, everybody, text};
use crate::started::free_port;

/// What a program prints outside, it prints inside.
fn same(net: &Net, script: &str, expected: &str) {
    for side in [Side::Outside, Side::Inside] {
        // Outside, the host is reached by another name.
        let script = match side {
            Side::Outside => script.replace("host.ringfence.internal", "localhost"),
            Side::Inside => script.to_owned(),
        };
        let output = net.script(side, &script);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim_end(), expected, "{side:?} {script}: {}", text(&output));
    }
}

#[test]
fn programs_without_any_setting_reach_what_is_permitted() {
    for who in everybody() {
        let net = Net::new(who);
        for script in [
            "curl -sS http://good.example:{web}/",
            "curl -sS -6 http://good.example:{web}/ 2>/dev/null || curl -sS http://good.example:{web}/",
            "curl -sS http://GOOD.Example:{web}/ -H 'Host: good.example:{web}'",
            "curl -sS http://host.ringfence.internal:{web}/",
            "python3 -c 'import urllib.request as r; \
             print(r.urlopen(\"http://good.example:{web}/\").read().decode())'",
            "node -e 'fetch(\"http://good.example:{web}/\").then(r => r.text()).then(console.log)'",
        ] {
            same(&net, script, "hello from web");
        }
        for script in [
            "curl -sS --cacert ca.pem https://good.example:{tls}/",
            "curl -sS --http1.1 --cacert ca.pem https://good.example:{tls}/",
            "NODE_EXTRA_CA_CERTS=ca.pem node -e \
             'fetch(\"https://good.example:{tls}/\").then(r => r.text()).then(console.log)'",
        ] {
            same(&net, script, "hello from tls");
        }
    }
}

#[test]
fn a_server_that_speaks_the_other_one_is_named_to_the_program() {
    for who in everybody() {
        let net = Net::new(who);
        let said = net.said("curl -sS https://good.example:{web}/ 2>&1 | cat");
        let told = net
            .with_ports("connect to good.example:{web}: `good.example:{web}` does not speak TLS");
        assert!(said.contains(&format!("did not come about: {told}")), "{said}");
        assert!(said.contains("wrong version number"), "curl's own words: {said}");
        assert_eq!(net.entries("does not speak TLS").len(), 1);
        let said = net.said("curl -sS http://good.example:{tls}/ 2>&1 | cat");
        assert!(said.contains("; it may speak TLS, so that `https:` is meant"), "{said}");
        assert_eq!(net.entries("it may speak TLS").len(), 1);
    }
}

#[test]
fn many_requests_pass_over_one_connection_with_bodies_of_every_kind() {
    for who in everybody() {
        let net = Net::new(who);
        let url = "http://good.example:{web}/";
        same(&net, &format!("curl -sS {url}a {url}b {url}c | sort -u"), "hello from web");
        let sum = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58";
        let expected = format!("1048576 {sum}");
        let body = "head -c 1048576 /dev/zero |";
        same(&net, &format!("{body} curl -sS --data-binary @- {url}"), &expected);
        let chunked = "-H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue'";
        same(&net, &format!("{body} curl -sS {chunked} --data-binary @- {url}"), &expected);
    }
}

#[test]
fn protocols_that_name_no_host_are_carried_as_they_are() {
    for who in everybody() {
        let net = Net::new(who);
        let expected = [
            ("banner good.example {banner}", "220 ready EHLO me"),
            ("half good.example {echo}", "100000 end"),
            ("websocket good.example {web}", "HTTP/1.1 101 Switching Protocols FRAMES OF ANY KIND"),
            ("multipath good.example {web}", "HTTP/1.1 200 OK"),
            ("fast_open good.example {web}", "HTTP/1.1 200 OK"),
        ];
        for (words, expected) in expected {
            for side in [Side::Outside, Side::Inside] {
                assert_eq!(net.attempt(side, &net.with_ports(words)), expected, "{side:?} {words}");
            }
        }
    }
}

#[test]
fn a_static_program_reaches_what_is_permitted() {
    for who in everybody() {
        let net = Net::new(who);
        // No library, no setting: it looks a name up and connects.
        net.stage.write("project/get.c", include_str!("../../net/get.c"));
        let compile = "cc -static -O1 -o get get.c 2>/dev/null";
        let made = net.script(Side::Outside, compile);
        assert!(made.status.success(), "{}", text(&made));
        same(&net, "./get good.example {web}", "hello from web");
    }
}

#[test]
fn git_clones_over_https() {
    for who in everybody() {
        let net = Net::new(who);
        let make = "cd ../outside && mkdir files && git init -q -b main files/repo && cd files/repo && \
             git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first && \
             git update-server-info";
        let made = net.script(Side::Outside, make);
        assert!(made.status.success(), "{}", text(&made));
        let clone = "GIT_SSL_CAINFO=$PWD/ca.pem git clone -q \
             https://good.example:{tls}/files/repo/.git c$$ && git -C c$$ log --format=%s";
        same(&net, clone, "first");
    }
}

#[test]
fn a_published_port_is_reached_from_the_host_and_no_other() {
    for who in everybody() {
        let net = Net::with_policy(who, |_| String::new());
        for (host, world) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "::1")] {
            let (free, other) = (free_port(), free_port());
            let serve = format!(
                "import socket\n\
                 for port in (4000, {other}):\n\
                 \x20 s = socket.create_server(('{world}', port), family=socket.AF_INET6 \
                 if ':' in '{world}' else socket.AF_INET)\n\
                 \x20 if port == 4000: first = s\n\
                 print('serving', flush=True)\n\
                 c = first.accept()[0]\n\
                 c.sendall(c.recv(100).upper())\n\
                 c.shutdown(socket.SHUT_WR)\n\
                 c.recv(1)"
            );
            let published = format!("{free}:4000");
            let words = ["run", "--publish", &published, "--", "python3", "-c", &serve];
            let mut child = net
                .stage
                .ringfence_command(&words)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "serving\n");
            std::net::TcpStream::connect((host, other)).unwrap_err();
            let mut stream = std::net::TcpStream::connect((host, free)).unwrap();
            stream.write_all(b"hello").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "HELLO", "{world} as {who:?}");
            let peer = stream.local_addr().unwrap().to_string();
            // A world that ends takes what is under way with it: the server waits for this.
            drop(stream);
            assert!(child.wait().unwrap().success());
            let shown = net.stage.succeed(&["show", "--json"]);
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            let arrival = &shown["arrivals"][0];
            assert_eq!(arrival["peer"], peer, "{shown}");
            let connection = &arrival["connection"];
            let bytes = (&connection["bytes_sent"], &connection["bytes_received"]);
            assert_eq!(bytes, (&5.into(), &5.into()), "{connection}");
            assert_eq!(connection["endpoint"], "localhost:4000");
            let shown = net.stage.succeed(&["show"]);
            assert!(shown.contains("1 connection from this host"), "{shown}");
        }
    }
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_starts() {
    let net = Net::with_policy(everybody()[0], |_| String::new());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let words = ["run", "--publish", &port, "--", "touch", "ran"];
    let output = net.stage.ringfence_command(&words).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(said.contains(&format!("cannot listen on port {port} of this host")), "{said}");
    assert!(said.contains(&format!("--publish OTHER:{port}")), "{said}");
    assert!(!net.stage.has("project/ran"));
}

#[test]
fn what_would_become_of_a_connection_is_what_becomes_of_it() {
    for who in everybody() {
        let net = Net::new(who);
        let test = |target: &str| {
            let words = ["net", "test", &net.with_ports(target)];
            let output = net.named(&net.stage.ringfence_command(&words)).output().unwrap();
            (output.status.code(), text(&output))
        };
        let (code, said) = test("http://good.example:{web}/path");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("would be permitted: connect to good.example:"), "{said}");
        assert!(said.contains("passes   no rule speaks of the requests"), "{said}");
        assert!(said.contains("127.0.0.1, a loopback address: permitted"), "{said}");
        // Where requests pass, any one does.
        let (code, said) = test("http://good.example:{web}/open/../other");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("the permit on the name is for all of them"), "{said}");
        let (code, said) = test("evil.example:{web}");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("would be denied") && !said.contains("address  "), "{said}");
        assert!(said.contains("hint: to permit it from now on, run `ringfence grant net:evil."));
        let (code, said) = test("https://user@good.example/");
        assert_eq!(code, Some(2), "{said}");
        let other = Net::with_policy(who, |port| {
            let port = port("web");
            format!(
                "permit (principal, action == Action::\"net.connect\", \
                 resource == Endpoint::\"good.example:{port}\");"
            )
        });
        let words = ["net", "test", "--json", &other.with_ports("good.example:{web}")];
        let output = other.named(&other.stage.ringfence_command(&words)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (said["verdict"].as_str(), said["name"]["verdict"].as_str()),
            (Some("deny"), Some("permit"))
        );
        assert_eq!(said["addresses"][0]["special"], "a loopback address");
        let said =
            other.attempt(Side::Inside, "raw good.example {web} 'GET / HTTP/1.1\\r\\n\\r\\n'");
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    }
}
