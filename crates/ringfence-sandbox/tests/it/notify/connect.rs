//! Connections: made on a copy of the address, and to unix sockets outside only after a decision.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ringfence_sandbox::notify::Attempt;

use super::harness::{Scratch, Session, line, unfiltered};

fn attempts(args: &[&str], mut answer: impl FnMut(Attempt)) -> (Vec<String>, String) {
    let mut lines = Vec::new();
    let output = Session::start("cn", args, &[]).run(|attempt| {
        lines.push(line(&attempt));
        answer(attempt);
    });
    (lines, output)
}

/// Counts the connections that are accepted at a path outside.
fn accept(path: &str) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    count
}

fn settled(count: &AtomicUsize) -> usize {
    std::thread::sleep(std::time::Duration::from_millis(20));
    count.load(Ordering::SeqCst)
}

#[test]
fn a_socket_bound_outside_is_an_attempt_that_permitting_makes() {
    let scratch = Scratch::new();
    let path = scratch.at("s");
    let outside = accept(&path);
    let (lines, output) = attempts(&["connect", &path], |attempt| attempt.connect().unwrap());
    assert_eq!(lines, [format!("connect {path} No")]);
    assert_eq!(output, "connect ok\n");
    assert_eq!(settled(&outside), 1);
}

#[test]
fn a_denied_socket_is_not_reached_and_continue_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.at("s");
    let outside = accept(&path);
    assert_eq!(unfiltered(&["connect", &path]), "connect ok\n");
    assert_eq!(settled(&outside), 1);
    let (_, output) = attempts(&["connect", &path], drop);
    assert_eq!(output, "connect EACCES\n");
    let (_, output) = attempts(&["connect", &path], |attempt| {
        attempt.allow();
    });
    assert_eq!(output, "connect EACCES\n");
    assert_eq!(settled(&outside), 1);
}

#[test]
fn a_socket_bound_inside_needs_no_decision() {
    let scratch = Scratch::new();
    let (lines, output) = attempts(&["connect-inside", &scratch.at("s")], drop);
    assert_eq!((lines, output.as_str()), (vec![], "connect ok\n"));
    let (lines, output) = attempts(&["connect-inside", "@name"], drop);
    assert_eq!((lines, output.as_str()), (vec![], "connect ok\n"));
}

#[test]
fn an_abstract_socket_outside_does_not_exist() {
    use std::os::linux::net::SocketAddrExt as _;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(b"ringfence-test").unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    assert_eq!(unfiltered(&["connect", "@ringfence-test"]), "connect ok\n");
    let (lines, output) = attempts(&["connect", "@ringfence-test"], drop);
    assert_eq!((lines, output.as_str()), (vec![], "connect ECONNREFUSED\n"));
}

#[test]
fn a_symbolic_link_does_not_hide_a_socket_outside() {
    let scratch = Scratch::new();
    let path = scratch.at("s");
    let _outside = accept(&path);
    std::os::unix::fs::symlink("s", scratch.at("link")).unwrap();
    let (lines, _) = attempts(&["connect", &scratch.at("link")], drop);
    assert_eq!(lines, [format!("connect {path} No")]);
    // Bound inside by one name does not vouch for another.
    let (lines, _) = attempts(&["connect-inside", &scratch.at("own"), &path], drop);
    assert_eq!(lines, [format!("connect {path} No")]);
}

#[test]
fn what_is_no_socket_has_the_error_of_the_kernel() {
    let scratch = Scratch::new();
    std::fs::write(scratch.at("file"), "").unwrap();
    drop(UnixListener::bind(scratch.at("stale")).unwrap());
    for name in ["none", "none/x", "file"] {
        let (lines, output) = attempts(&["connect", &scratch.at(name)], drop);
        assert_eq!(lines, Vec::<String>::new(), "{name}");
        assert_eq!(output, unfiltered(&["connect", &scratch.at(name)]), "{name}");
    }
    let (_, output) = attempts(&["connect", &scratch.at("stale")], |attempt| {
        assert_eq!(attempt.connect().unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    });
    assert_eq!(output, "connect ECONNREFUSED\n");
}

#[test]
fn tcp_within_the_world_needs_no_decision() {
    let (lines, output) = attempts(&["tcp"], drop);
    assert_eq!((lines, output.as_str()), (vec![], "blocking ok\nnon-blocking EINPROGRESS\n"));
}

#[test]
fn an_address_swapped_while_it_is_looked_at_never_reaches_outside() {
    let scratch = Scratch::new();
    let (inside, outside) = (scratch.at("in"), scratch.at("ex"));
    let reached = accept(&outside);
    unfiltered(&["race-connect", "30000", &inside, &outside]);
    let oracle = settled(&reached);
    assert!(oracle > 0, "the attack works where nobody looks");
    std::fs::remove_file(&inside).unwrap();
    let (lines, _) = attempts(&["race-connect", "1000", &inside, &outside], drop);
    assert!(!lines.is_empty(), "the attack was made");
    assert_eq!(settled(&reached), oracle);
}

#[test]
fn a_descriptor_swapped_meanwhile_reaches_nothing_that_was_denied() {
    let scratch = Scratch::new();
    let path = scratch.at("s");
    let reached = accept(&path);
    let (lines, _) = attempts(&["race-fd", "300", &path], drop);
    assert!(!lines.is_empty());
    assert_eq!(settled(&reached), 0);
}
