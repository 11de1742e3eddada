//! What leaves a world arrives at the net gate's sockets, whatever it is told; and nothing else.

use super::harness::{Live, Place, Said, everyone};

/// The address of the world itself, as the gate sees it.
const OWN: &str = "198.18.0.1";
const OWN_V6: &str = "fd00:7269:6e67::1";

/// A world in which the attack makes one attempt after the other, as it is told on a pipe.
fn attempts(place: &Place, lines: &[String]) -> Live {
    let attack = place.text("tools/attack");
    let all: Vec<String> = lines.iter().map(|line| format!("{attack} {line}")).collect();
    place.live(&[], &format!("{}; sleep 30", all.join("; ")))
}

#[test]
fn every_connection_arrives_with_its_target() {
    for who in everyone() {
        let place = Place::new(who);
        let targets = [
            ("192.0.2.1", "80", "192.0.2.1:80"),
            ("198.18.0.2", "443", "198.18.0.2:443"),
            // DNS over TCP, wherever it is asked.
            ("127.0.0.1", "53", "127.0.0.1:53"),
            ("8.8.8.8", "53", "8.8.8.8:53"),
            // An IPv4 address in an IPv6 socket.
            ("::ffff:192.0.2.1", "80", "192.0.2.1:80"),
        ];
        let lines: Vec<String> =
            targets.iter().map(|(address, port, _)| format!("tcp {address} {port}")).collect();
        let mut live = attempts(&place, &lines);
        for (address, _, expected) in targets {
            let from = if address.starts_with("127.") { "127.0.0.1" } else { OWN };
            assert_eq!(live.tell("captured"), format!("{from} to {expected}"), "{address}");
            assert_eq!(live.line(), "ok");
        }
        live.kill();
        let lines = ["tcp 2001:db8::1 443".to_owned(), "tcp fd00:7269:6e67::2 80".to_owned()];
        let mut live = attempts(&place, &lines);
        for expected in ["[2001:db8::1]:443", "[fd00:7269:6e67::2]:80"] {
            assert_eq!(live.tell("captured6"), format!("{OWN_V6} to {expected}"));
        }
        live.kill();
    }
}

#[test]
fn every_question_for_a_name_arrives_at_the_name_server() {
    for who in everyone() {
        let place = Place::new(who);
        let lines = ["udp 8.8.8.8 53".to_owned(), "udp 127.0.0.1 53".to_owned()];
        let mut live = attempts(&place, &lines);
        assert!(live.tell("asked").starts_with(&format!("{OWN} sent")));
        assert!(live.tell("asked").starts_with("127.0.0.1 sent"));
        live.kill();
        let mut live = attempts(&place, &["udp 2001:db8::53 53".to_owned()]);
        assert!(live.tell("asked6").starts_with(&format!("{OWN_V6} sent")));
        live.kill();
    }
}

#[test]
fn the_worlds_own_localhost_is_left_alone() {
    for who in everyone() {
        let place = Place::new(who);
        let serve = "import socket, os, sys\n\
            for family, host in (socket.AF_INET, '127.0.0.1'), (socket.AF_INET6, '::1'):\n\
            \x20 s = socket.create_server((host, 4321), family=family)\n\
            \x20 c = socket.create_connection((host, 4321))\n\
            \x20 c.sendall(b'mine'); print(s.accept()[0].recv(4).decode())";
        let said = place.run(&[], &["python3", "-c", serve]);
        assert_eq!(said.out, "mine\nmine", "{said:?}");
    }
}

#[test]
fn the_payload_cannot_change_its_network() {
    for who in everyone() {
        let place = Place::new(who);
        // Routes may be asked for, not made; the packet filter is not even spoken to.
        let change = "import socket, struct\n\
            s = socket.socket(16, 3, 0)\n\
            head = struct.pack('=IHHII', 28, 25, 5, 1, 0)\n\
            s.send(head + struct.pack('=BBBBBBBBI', 2, 0, 0, 0, 254, 0, 0, 0, 0))\n\
            print(-struct.unpack('=i', s.recv(100)[16:20])[0])\n\
            try: socket.socket(16, 3, 12)\n\
            except OSError as e: print(e.errno)";
        let said = place.run(&[], &["python3", "-c", change]);
        let refused = libc::EPERM;
        assert_eq!(said.out, format!("{refused}\n{refused}"), "{said:?}");
        let said = place.script(&[], "echo 1 > /proc/sys/net/ipv4/ip_forward");
        assert_ne!(said.code, 0, "{said:?}");
    }
}

/// A world on a kernel that answers who asks for its packet filter with an error.
fn without_nftables(place: &Place, errno: i32) -> Said {
    place.poorer(&place.path("tools/attack"), &["without-netfilter", &errno.to_string()])
}

#[test]
fn a_kernel_without_nftables_starts_a_world_that_is_as_closed_and_says_so() {
    for who in everyone() {
        let place = Place::new(who);
        for errno in [libc::EPROTONOSUPPORT, libc::EOPNOTSUPP, libc::ENOENT, libc::EPERM] {
            let said = without_nftables(&place, errno);
            assert_eq!(said.code, 0, "{said:?}");
            let net = said.out.lines().find(|line| line.starts_with("net ")).unwrap();
            assert!(net.starts_with("net Degraded ") && net.contains("nftables"), "{net}");
        }
    }
}

#[test]
fn a_packet_filter_that_fails_is_not_taken_for_one_that_is_missing() {
    for who in everyone() {
        let place = Place::new(who);
        for errno in [libc::ENOMEM, libc::EMFILE, libc::EINVAL] {
            let said = without_nftables(&place, errno);
            assert_eq!(said.code, 125, "{said:?}");
            assert!(said.err.contains("send everything to the net gate"), "{said:?}");
        }
    }
}
