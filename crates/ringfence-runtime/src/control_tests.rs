use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use ringfence_core::SessionId;

use super::{Command, ControlError, Reply, ask, descends, governed, serve};
use crate::registration::socket_path;

fn session() -> SessionId {
    "sabcdefgh".parse().unwrap()
}

#[test]
fn a_command_reaches_the_broker_and_its_answer_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket_path(dir.path(), &session())).unwrap();
    serve(listener, Arc::new(|command, _| Reply::Done(vec![format!("{command:?}")])));
    let reply = ask(dir.path(), &session(), &Command::GrantsChanged).unwrap();
    assert_eq!(reply, Reply::Done(vec!["GrantsChanged".to_owned()]));
}

#[test]
fn an_unknown_command_is_refused_and_the_broker_serves_on() {
    use std::io::{Read as _, Write as _};
    let dir = tempfile::tempdir().unwrap();
    let socket = socket_path(dir.path(), &session());
    serve(UnixListener::bind(&socket).unwrap(), Arc::new(|_, _| Reply::Done(Vec::new())));
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.write_all(b"\"open-the-gates\"\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("refused"), "{answer}");
    assert_eq!(ask(dir.path(), &session(), &Command::Status).unwrap(), Reply::Done(Vec::new()));
}

#[test]
fn a_session_without_a_broker_is_not_running() {
    let dir = tempfile::tempdir().unwrap();
    let error = ask(dir.path(), &session(), &Command::Status).unwrap_err();
    assert!(matches!(error, ControlError::NotRunning { .. }), "{error}");
}

#[test]
fn a_session_that_ends_while_it_is_asked_is_not_running() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket_path(dir.path(), &session())).unwrap();
    let hung_up = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // Read first: what was sent to nobody would be an error of the socket's.
        super::read_line(&stream).unwrap();
    });
    let error = ask(dir.path(), &session(), &Command::Status).unwrap_err();
    assert!(matches!(error, ControlError::NotRunning { .. }), "{error}");
    hung_up.join().unwrap();
}

#[test]
fn a_process_in_another_pid_namespace_is_governed() {
    let proc = tempfile::tempdir().unwrap();
    let process = |pid: &str, pid_ns: &str, parent: &str| {
        let dir = proc.path().join(pid);
        std::fs::create_dir_all(dir.join("ns")).unwrap();
        std::os::unix::fs::symlink(pid_ns, dir.join("ns/pid")).unwrap();
        std::os::unix::fs::symlink("user:[1]", dir.join("ns/user")).unwrap();
        std::fs::write(dir.join("stat"), format!("{pid} (a ) b) S {parent} 0")).unwrap();
    };
    process("self", "pid:[1]", "1");
    process("10", "pid:[1]", "1");
    process("11", "pid:[2]", "10");
    process("12", "pid:[1]", "11");
    assert!(!governed(proc.path(), 10));
    assert!(governed(proc.path(), 11), "in a world");
    assert!(governed(proc.path(), 12), "descends from a world");
    assert!(governed(proc.path(), 99), "unknown");
}

#[test]
fn this_test_is_not_governed_by_us() {
    let pid = i32::try_from(std::process::id()).unwrap();
    assert!(!governed(Path::new("/proc"), pid));
}

#[test]
fn what_a_client_has_started_descends_from_it_and_its_starter_does_not() {
    let proc = tempfile::tempdir().unwrap();
    let process = |pid: &str, parent: &str| {
        std::fs::create_dir_all(proc.path().join(pid)).unwrap();
        std::fs::write(proc.path().join(pid).join("stat"), format!("{pid} (a ) b) S {parent} 0"))
            .unwrap();
    };
    process("10", "1");
    process("11", "10");
    process("12", "11");
    process("20", "10");
    assert!(descends(proc.path(), 11, 11), "the client itself");
    assert!(descends(proc.path(), 12, 11), "its child");
    assert!(!descends(proc.path(), 10, 11), "who started it");
    assert!(!descends(proc.path(), 20, 11), "another one");
    assert!(descends(proc.path(), 99, 11), "unknown");
}
