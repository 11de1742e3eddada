//! The same world on a kernel without nftables, where connections are led to the net gate by who
//! answers `connect`; and attacks on that.

use serde_json::Value;

use super::stage::{Kernel, Net};
use crate::attacks::stage::{Side, Who, everybody, text};

/// Servers whose name is permitted on every port but that of `banner`.
fn net(who: Who) -> Net {
    let net = Net::with_policy(who, |port| {
        let rule = |endpoint: String| {
            format!(
                "permit (principal, action == Action::\"net.connect\", \
                 resource == Endpoint::\"{endpoint}\");\n"
            )
        };
        let all = ["web", "tls", "h2", "echo"].map(|name| {
            let port = port(name);
            let www = rule(format!("www.good.example:{port}"));
            www + &rule(format!("good.example:{port}")) + &rule(format!("127.0.0.1:{port}"))
        });
        all.concat()
    });
    net.on(Kernel::WithoutNetfilter)
}

/// Whether a client got as far as the server that is not permitted.
fn evil(seen: &Value) -> bool {
    seen["server"] == "banner"
}

#[test]
fn programs_without_any_setting_reach_what_is_permitted() {
    for who in everybody() {
        let net = net(who);
        for (script, expected) in [
            ("curl -sS http://good.example:{web}/", "hello from web"),
            ("curl -sS --cacert ca.pem https://good.example:{tls}/", "hello from tls"),
            ("curl -sS -x http://127.0.0.1:3128 http://good.example:{web}/", "hello from web"),
            (
                "python3 -c 'import urllib.request as r; \
                 print(r.urlopen(\"http://good.example:{web}/\").read().decode())'",
                "hello from web",
            ),
            (
                "node -e 'fetch(\"http://good.example:{web}/\").then(r => r.text())\
                 .then(console.log)'",
                "hello from web",
            ),
            ("python3 client.py half good.example {echo}", "100000 end"),
            ("python3 led.py family6 {web}", "HTTP/1.1 200 OK"),
        ] {
            let output = net.script(Side::Inside, script);
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.trim_end(), expected, "{script}: {}", text(&output));
        }
        let entries = net.entries(&net.with_ports("good.example:{web}"));
        assert!(entries.iter().any(|entry| entry.to_string().contains("\"pid\":")), "{entries:?}");
    }
}

#[test]
fn sockets_do_what_they_do_elsewhere() {
    for who in everybody() {
        let net = net(who);
        let ways = "python3 led.py ways {web}";
        let outside = net.script(Side::Outside, ways);
        let inside = net.script(Side::Inside, ways);
        let said = |output| String::from_utf8_lossy(output).into_owned();
        assert!(
            said(&outside.stdout).contains("late port, bound HTTP/1.1 200 OK"),
            "{}",
            text(&outside)
        );
        assert_eq!(said(&inside.stdout), said(&outside.stdout), "{}", text(&inside));
    }
}

#[test]
fn git_and_a_static_program_reach_what_is_permitted() {
    for who in everybody() {
        let net = net(who);
        net.stage.write("project/get.c", include_str!("../../net/get.c"));
        let make = "cc -static -O1 -o get get.c 2>/dev/null && \
             cd ../outside && mkdir files && git init -q -b main files/repo && cd files/repo && \
             git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first && \
             git update-server-info";
        let made = net.script(Side::Outside, make);
        assert!(made.status.success(), "{}", text(&made));
        let clone = "./get good.example {web} && GIT_SSL_CAINFO=$PWD/ca.pem git clone -q \
             https://good.example:{tls}/files/repo/.git c && git -C c log --format=%s";
        let output = net.script(Side::Inside, clone);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim_end(), "hello from web\nfirst", "{}", text(&output));
    }
}

#[test]
fn many_connections_at_a_time_each_arrive_where_they_were_meant_to_go() {
    for who in everybody() {
        let net = net(who);
        let output = net.script(Side::Inside, "python3 led.py each {web} 200");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim_end(), "{'HTTP/1.1 200 OK': 200}", "{}", text(&output));
    }
}

#[test]
fn what_is_denied_is_said_as_it_is_elsewhere() {
    for who in everybody() {
        let net = net(who);
        let said = net.said(
            "curl -sS http://evil.example:{web}/; python3 client.py banner evil.example 22; \
             python3 client.py nonblocking evil.example 22; \
             for address in 192.0.2.7 ::ffff:192.0.2.7 2001:db8::7 169.254.169.254; do \
             python3 client.py banner $address 80; done; \
             python3 client.py banner 198.18.0.200 80; python3 client.py banner fd00:7269:6e67::99 80",
        );
        assert!(said.contains("may not connect to evil.example:"), "{said}");
        assert_eq!(said.matches("ConnectionRefusedError 111").count(), 4, "{said}");
        assert_eq!(said.matches("ConnectionResetError 104").count(), 4, "{said}");
        assert_eq!(said.matches("no name was ever given the address").count(), 2, "{said}");
        assert!(!net.entries("169.254.169.254:80").is_empty());
    }
}

#[test]
fn names_are_asked_of_the_gates_server_and_of_no_other() {
    for who in everybody() {
        let net = net(who);
        let said = net.said(
            "python3 client.py ask 127.0.0.1 good.example; \
             python3 client.py datagram 192.0.2.1 53; python3 client.py datagram good.example 443; \
             python3 led.py fast 192.0.2.1 80",
        );
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with('['), "over UDP and TCP: {said}");
        // Where nothing leaves, the kernel says so at once.
        assert_eq!(lines[1..4], ["PermissionError 13"; 3], "{said}");
    }
}

#[test]
fn the_gates_own_listener_is_no_target() {
    for who in everybody() {
        let net = net(who);
        let script = "for port in $(awk '$4 == \"0A\" { split($2, a, \":\"); print a[2] }' \
             /proc/net/tcp); do python3 client.py half 127.0.0.1 $((0x$port)); \
             python3 led.py fast 127.0.0.1 $((0x$port)); done";
        let said = net.said(script);
        assert!(said.contains("this is the net gate itself"), "{said}");
        assert!(!net.entries("this is the net gate itself").is_empty());
        // Nor by a port from which a connection was permitted, or asked for.
        net.seen();
        let said = net.said("python3 led.py told_twice {echo} {banner} 1023");
        assert!(!said.contains("220"), "{said}");
        assert!(!net.seen().iter().any(evil));
    }
}

#[test]
fn nobody_changes_where_a_connection_leads_once_it_was_read() {
    for who in everybody() {
        let net = net(who);
        for attack in
            ["swapped {echo} {banner}", "shared {echo} {banner}", "replaced {echo} {banner}"]
        {
            let oracle = net.script(Side::Outside, &format!("python3 led.py {attack} 200"));
            let seen = net.seen();
            assert!(seen.iter().any(evil), "{attack} works outside: {}", text(&oracle));
            let inside = net.script(Side::Inside, &format!("python3 led.py {attack} 60"));
            assert!(inside.status.success(), "{}", text(&inside));
            assert!(!net.seen().iter().any(evil), "{attack}");
            let tried = net.entries(&net.with_ports("good.example:{banner}"));
            assert!(!tried.is_empty(), "{attack} was made");
        }
        let attack = "python3 led.py elsewhere {echo} {banner}";
        let oracle = net.script(Side::Outside, attack);
        assert!(net.seen().iter().any(evil), "{}", text(&oracle));
        let inside = net.script(Side::Inside, attack);
        assert!(text(&inside).contains("ConnectionResetError"), "{}", text(&inside));
        assert!(!net.seen().iter().any(evil));
    }
}

#[test]
fn a_session_says_at_its_start_that_connections_are_led() {
    for who in everybody() {
        let net = net(who);
        let output = net.script(Side::Inside, "true");
        let said = text(&output);
        assert!(said.contains("without nftables (Protocol not supported"), "{said}");
        let shown = net.stage.succeed(&["show"]);
        assert!(
            shown.contains("net is degraded:") && shown.contains("without nftables"),
            "{shown}"
        );
        let doctor =
            net.poorer(net.stage.ringfence_command(&["doctor", "--all"])).output().unwrap();
        let said = text(&doctor);
        let net_line = said.lines().find(|line| line.contains("  net ")).unwrap_or_default();
        assert!(net_line.starts_with("note") && net_line.contains("without nftables"), "{said}");
    }
}
