use ringfence_core::{AbsolutePath, SessionId};

use super::{Description, register, running, socket_path};

fn description(session: &str) -> Description {
    Description {
        session: session.parse::<SessionId>().unwrap(),
        agent: "builder".to_owned(),
        command: vec!["true".to_owned()],
        cwd: AbsolutePath::root(),
        broker_pid: std::process::id(),
        started_ms: 1,
        tier: "landlock".to_owned(),
        server: false,
    }
}

#[test]
fn a_registered_session_is_listed_and_gone_when_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (registered, listener) = register(dir.path(), &description("sabcdefgh")).unwrap();
    assert_eq!(running(dir.path()).unwrap(), vec![description("sabcdefgh")]);
    drop((registered, listener));
    assert!(running(dir.path()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_session_whose_broker_died_is_not_listed_and_its_files_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (registered, listener) = register(dir.path(), &description("sabcdefgh")).unwrap();
    drop(listener);
    std::mem::forget(registered);
    assert!(running(dir.path()).unwrap().is_empty());
    assert!(!socket_path(dir.path(), &"sabcdefgh".parse().unwrap()).exists());
}

#[test]
fn the_control_socket_is_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (_registered, _listener) = register(dir.path(), &description("sabcdefgh")).unwrap();
    let socket = socket_path(dir.path(), &"sabcdefgh".parse().unwrap());
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_runtime_directory_that_does_not_exist_has_no_sessions() {
    assert!(running(std::path::Path::new("/nonexistent/ringfence")).unwrap().is_empty());
}

#[test]
fn a_tier_that_is_not_known_is_not_taken_for_the_usual_one() {
    use ringfence_sandbox::world::Tier;
    let of = |tier: &str| Description { tier: tier.to_owned(), ..description("sabcdefgh") }.tier();
    assert_eq!((of("microvm"), of("")), (None, None));
    assert_eq!((of("landlock"), of("namespaces")), (Some(Tier::Landlock), Some(Tier::Namespaces)));
}
