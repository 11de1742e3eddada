//! Who may connect where, and what is recorded of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ringfence_core::{Action, Approval, Checked, Event, Gate, NetUsage, Outcome, Question, Role};
use ringfence_proxy::net::{AskPort, NetLimits};
use ringfence_testkit::gate::ScriptedPolicy;

use crate::harness::{Setup, answering, closed_port, header, permitting, server, wait};

fn connect(endpoint: &str) -> String {
    format!("CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n\r\n")
}

#[test]
fn a_permitted_name_is_reached_through_a_tunnel() {
    let (port, serving) = server(1, |mut client| {
        let said = client.until("\n");
        client.send("pong\n");
        said
    });
    let (name, address) = (format!("example.com:{port}"), format!("127.0.0.1:{port}"));
    let proxy = permitting(&[&name, &address]);
    let mut client = proxy.tunnel(&name);
    client.send("ping\n");
    assert_eq!(client.until("\n"), "pong\n");
    assert_eq!(serving.join().unwrap(), ["ping\n"]);
    assert_eq!(proxy.decisions(), [format!("permit {name}"), format!("permit {address}")]);
}

#[test]
fn a_denied_name_is_answered_with_the_reason_and_never_looked_up() {
    let proxy = permitting(&["example.com:443"]);
    let (head, body) = proxy.ask(connect("secrets.example.org:443"));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(header(&head, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header(&head, "x-ringfence-denied"), Some("1"));
    assert_eq!(body, "denied: secrets.example.org:443\n");
    assert_eq!(proxy.lookups.count(), 0);
    assert_eq!(proxy.decisions(), ["deny secrets.example.org:443"]);
    assert_eq!(proxy.connections(), []);
}

#[test]
fn a_denial_says_so_in_the_status_line_because_many_clients_show_nothing_else() {
    let proxy = permitting(&[]);
    let (head, _) = proxy.ask(connect("example.org:443"));
    let first = head.lines().next().unwrap();
    assert_eq!(first, "HTTP/1.1 403 Denied by Ringfence: example.org:443");
}

#[test]
fn the_process_behind_a_connection_is_recorded() {
    let proxy = permitting(&[]);
    proxy.ask(connect("example.org:443"));
    let decided = proxy.test.log.entries().into_iter().find_map(|entry| {
        let Event::Decided { request, .. } = entry.event else { return None };
        request.process
    });
    assert_eq!(decided.unwrap().pid, i32::try_from(std::process::id()).unwrap());
}

#[test]
fn another_port_of_a_permitted_name_is_denied() {
    let proxy = permitting(&["example.com:443"]);
    assert!(proxy.ask(connect("example.com:22")).0.starts_with("HTTP/1.1 403 "));
    assert_eq!(proxy.lookups.count(), 0);
}

#[test]
fn a_subdomain_or_a_longer_name_is_another_name() {
    let proxy = permitting(&["example.com:443"]);
    for name in ["a.example.com:443", "example.com.evil.org:443", "xexample.com:443"] {
        assert!(proxy.ask(connect(name)).0.starts_with("HTTP/1.1 403 "), "{name}");
    }
    assert_eq!(proxy.lookups.count(), 0);
}

#[test]
fn case_and_a_trailing_dot_do_not_make_another_name() {
    let proxy = permitting(&[]);
    proxy.ask(connect("EXAMPLE.Com.:443"));
    assert_eq!(proxy.decisions(), ["deny example.com:443"]);
}

#[test]
fn a_name_that_leads_into_a_private_network_is_refused() {
    for (address, what) in [
        ("127.0.0.1", "a loopback address"),
        ("10.1.2.3", "a private address"),
        ("169.254.169.254", "a cloud metadata address"),
        ("100.64.0.9", "a carrier's shared address"),
        ("0.0.0.0", "an unspecified address"),
        ("224.0.0.1", "a multicast address"),
        ("::1", "a loopback address"),
        ("fd00:ec2::254", "a cloud metadata address"),
        ("fe80::1", "a link-local address"),
    ] {
        let mut setup = Setup::permitting(&["example.com:80"]);
        setup.answers = vec![vec![address.parse().unwrap()]];
        let proxy = setup.start();
        let (head, body) = proxy.ask(connect("example.com:80"));
        assert!(head.starts_with("HTTP/1.1 403 "), "{address}: {head}");
        let told = format!("`example.com` leads to {address}, {what}\n");
        assert!(body.starts_with(&told), "{address}: {body}");
        let ended = proxy.connections().pop().unwrap();
        assert_eq!(ended.address, None, "{address} was dialled");
        assert!(ended.error.unwrap().contains(what), "{address}");
    }
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_is_decided_as_itself() {
    let mut setup = Setup::permitting(&["example.com:80"]);
    setup.answers = vec![vec!["::ffff:127.0.0.1".parse().unwrap()]];
    let proxy = setup.start();
    assert!(proxy.ask(connect("example.com:80")).0.starts_with("HTTP/1.1 403 "));
    assert_eq!(proxy.decisions(), ["permit example.com:80", "deny 127.0.0.1:80"]);
}

#[test]
fn the_next_address_is_tried_when_one_may_not_be_dialled() {
    let (port, _serving) = server(1, |mut client| client.send("hello"));
    let (name, address) = (format!("example.com:{port}"), format!("127.0.0.1:{port}"));
    let mut setup = Setup::permitting(&[&name, &address]);
    let addresses: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
    setup.answers = vec![addresses.to_vec()];
    let proxy = setup.start();
    assert_eq!(proxy.tunnel(&name).exactly(5), b"hello");
    let denied = format!("deny 10.0.0.1:{port}");
    assert_eq!(proxy.decisions(), [format!("permit {name}"), denied, format!("permit {address}")]);
}

#[test]
fn a_public_address_needs_no_permit_of_its_own() {
    let mut setup = Setup::permitting(&["example.com:9"]);
    // Nobody's: where there is a route to it at all, the wait is short.
    setup.answers = vec![vec!["2a0f:ffff::9".parse().unwrap()]];
    setup.limits.dial_wait = Duration::from_millis(20);
    let proxy = setup.start();
    assert!(proxy.ask(connect("example.com:9")).0.starts_with("HTTP/1.1 502 "));
    assert_eq!(proxy.decisions(), ["permit example.com:9"]);
}

#[test]
fn an_answer_that_changes_is_never_asked_for_twice() {
    let (port, _serving) = server(1, |mut client| client.send("first"));
    let (name, address) = (format!("example.com:{port}"), format!("127.0.0.1:{port}"));
    let mut setup = Setup::permitting(&[&name, &address]);
    let answers: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
    setup.answers = answers.map(|answer| vec![answer]).to_vec();
    let proxy = setup.start();
    assert_eq!(proxy.tunnel(&name).exactly(5), b"first");
    assert_eq!(proxy.lookups.count(), 1);
    assert_eq!(proxy.connection().address, Some(address));
}

#[test]
fn an_address_is_denied_unless_it_is_named_as_such() {
    let proxy = permitting(&["example.com:80"]);
    for address in ["127.0.0.1:80", "169.254.169.254:80", "[::1]:80", "1.1.1.1:80"] {
        assert!(proxy.ask(connect(address)).0.starts_with("HTTP/1.1 403 "), "{address}");
    }
    assert_eq!(proxy.lookups.count(), 0);
}

#[test]
fn an_address_that_is_named_is_dialled_without_a_lookup() {
    let (port, _serving) = server(1, |mut client| client.send("hello"));
    let address = format!("127.0.0.1:{port}");
    let proxy = permitting(&[&address]);
    assert_eq!(proxy.tunnel(&address).exactly(5), b"hello");
    assert_eq!(proxy.lookups.count(), 0);
    assert_eq!(proxy.decisions(), [format!("permit {address}")]);
}

#[test]
fn the_hosts_own_services_have_a_name_that_the_policy_permits() {
    let (port, _serving) = answering(1, "from the host");
    let name = format!("host.ringfence.internal:{port}");
    let proxy = permitting(&[&name]);
    let (head, body) = proxy.ask(format!("GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "from the host");
    assert_eq!(proxy.lookups.count(), 0);
    assert_eq!(proxy.decisions(), [format!("permit {name}")]);
}

#[test]
fn the_hosts_own_services_are_denied_where_the_policy_does_not_name_them() {
    let (port, _serving) = answering(0, "");
    let proxy = permitting(&[]);
    let (head, _) = proxy.ask(connect(&format!("host.ringfence.internal:{port}")));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

#[test]
fn a_server_that_does_not_answer_is_a_502_with_the_reason() {
    let address = format!("127.0.0.1:{}", closed_port());
    let proxy = permitting(&[&address]);
    let (head, body) = proxy.ask(connect(&address));
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(body.contains("Connection refused"), "{body}");
    assert_eq!(header(&head, "x-ringfence-denied"), None);
    let ended = proxy.connections().pop().unwrap();
    assert_eq!(ended.address, Some(address));
    assert!(ended.error.unwrap().contains("Connection refused"));
}

#[test]
fn a_name_that_does_not_exist_is_a_502_with_the_reason() {
    let mut setup = Setup::permitting(&["example.com:443"]);
    setup.answers = vec![vec![]];
    let proxy = setup.start();
    let (head, body) = proxy.ask(connect("example.com:443"));
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert_eq!(body, "`example.com` does not resolve: no such name: example.com\n");
    assert!(proxy.connections().pop().unwrap().error.is_some());
}

#[test]
fn an_unrecorded_permit_is_a_denial() {
    let proxy = permitting(&["example.com:443"]);
    proxy.test.log.fail();
    let (head, _) = proxy.ask(connect("example.com:443"));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(proxy.lookups.count(), 0);
}

/// Approves every question, then does something else before the permit comes back.
struct Approver {
    gate: Gate,
    then: Box<dyn Fn(&Gate) + Send + Sync>,
}

impl AskPort for Approver {
    fn ask(&self, question: Question) -> Checked {
        let digest = question.digest.clone();
        let roles = [Role("owner".to_owned())].into();
        let approval = Approval { digest, approver: "ada".to_owned(), roles };
        let checked = self.gate.check_approved(question, vec![approval]);
        (self.then)(&self.gate);
        checked
    }
}

pub fn asking(
    endpoint: &str,
    then: impl Fn(&Gate) + Send + Sync + 'static,
) -> crate::harness::Proxy {
    let mut setup = Setup::permitting(&[]);
    setup.policy = ScriptedPolicy::new().ask(Action::NetConnect, endpoint, "owner");
    setup.start_asking(|test| Arc::new(Approver { gate: test.gate.clone(), then: Box::new(then) }))
}

#[test]
fn an_approved_question_opens_the_connection() {
    let (port, _serving) = server(1, |mut client| client.send("hello"));
    let address = format!("127.0.0.1:{port}");
    let proxy = asking(&address, |_| ());
    assert_eq!(proxy.tunnel(&address).exactly(5), b"hello");
    assert_eq!(proxy.decisions(), [format!("ask {address}"), format!("permit {address}")]);
}

#[test]
fn a_question_that_nobody_approves_is_a_denial() {
    let mut setup = Setup::permitting(&[]);
    setup.policy = ScriptedPolicy::new().ask(Action::NetConnect, "example.com:443", "owner");
    let proxy = setup.start();
    let (head, body) = proxy.ask(connect("example.com:443"));
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert_eq!(body, "denied: example.com:443\n");
    assert_eq!(proxy.lookups.count(), 0);
}

#[test]
fn a_question_answered_with_a_question_is_a_denial() {
    struct Parrot;
    impl AskPort for Parrot {
        fn ask(&self, question: Question) -> Checked {
            Checked::Ask(question)
        }
    }
    let mut setup = Setup::permitting(&[]);
    setup.policy = ScriptedPolicy::new().ask(Action::NetConnect, "example.com:443", "owner");
    let proxy = setup.start_asking(|_| Arc::new(Parrot));
    assert!(proxy.ask(connect("example.com:443")).0.starts_with("HTTP/1.1 403 "));
}

#[test]
fn a_permit_does_not_outlive_its_policy() {
    let reload = |gate: &Gate| gate.reload(Arc::new(ScriptedPolicy::new().with_digest("new")));
    let proxy = asking("127.0.0.1:9", reload);
    assert!(proxy.ask(connect("127.0.0.1:9")).0.starts_with("HTTP/1.1 403 "));
    let stale = proxy.test.log.outcomes().pop().unwrap().1;
    assert!(matches!(stale, Outcome::Failed { error } if error.contains("policy changed")));
}

#[test]
fn a_permit_does_not_outlive_its_session() {
    let proxy = asking("127.0.0.1:9", Gate::stop);
    assert!(proxy.ask(connect("127.0.0.1:9")).0.starts_with("HTTP/1.1 403 "));
    let stale = proxy.test.log.outcomes().pop().unwrap().1;
    assert!(matches!(stale, Outcome::Failed { error } if error.contains("stopped")));
}

#[test]
fn every_permit_has_exactly_one_end() {
    let (port, _serving) = answering(2, "ok");
    let (name, address) = (format!("example.com:{port}"), format!("127.0.0.1:{port}"));
    let mut proxy = permitting(&[&name, &address]);
    for _ in 0..2 {
        proxy.ask(format!("GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    }
    proxy.stop();
    let entries = proxy.test.log.entries();
    let decided = entries.iter().filter(|e| matches!(e.event, Event::Decided { .. })).count();
    let mut ended: Vec<u64> = proxy.test.log.outcomes().iter().map(|(of, _)| *of).collect();
    ended.sort_unstable();
    ended.dedup();
    assert_eq!((decided, ended.len(), entries.len()), (4, 4, 8));
}

#[test]
fn stopping_ends_open_tunnels_and_records_them() {
    let (port, serving) = server(1, |mut client| {
        client.send("hello");
        client.rest().map(|bytes| bytes.len()).unwrap_or_default()
    });
    let address = format!("127.0.0.1:{port}");
    let mut proxy = permitting(&[&address]);
    let mut client = proxy.tunnel(&address);
    assert_eq!(client.exactly(5), b"hello");
    proxy.stop();
    let NetUsage { bytes_received, .. } = proxy.test.log.connections().pop().unwrap();
    assert_eq!(bytes_received, 5);
    serving.join().unwrap();
}

#[test]
fn one_client_too_many_is_told_so() {
    let mut setup = Setup::permitting(&[]);
    setup.limits = NetLimits { connections_max: 1, ..NetLimits::default() };
    let proxy = setup.start();
    let mut first = proxy.client();
    first.send(connect("example.com:443"));
    first.response();
    let (head, body) = proxy.client().response();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "the net gate has all the clients it may have");
    drop(first);
    wait(|| proxy.ask_quietly(&connect("example.com:443")));
}
