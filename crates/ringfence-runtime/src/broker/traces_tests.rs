use super::*;
use crate::environment::Environment;

fn dirs(home: &std::path::Path) -> StateDirs {
    let variables = [("HOME", home.as_os_str())];
    let dirs = StateDirs::locate(&Environment::from_iter(variables)).unwrap();
    dirs.create().unwrap();
    dirs
}

/// Lays out what a session has while it runs.
fn furnish(dirs: &StateDirs, session: &SessionId) {
    fs::create_dir_all(dirs.private_of(session).join("home")).unwrap();
    fs::create_dir_all(dirs.session(session).join("log")).unwrap();
}

#[test]
fn what_a_killed_session_left_goes_at_the_next_start_and_its_log_stays() {
    let home = tempfile::tempdir().unwrap();
    let dirs = dirs(home.path());
    let (dead, next) = (SessionId::from_random([1; 8]), SessionId::from_random([2; 8]));
    furnish(&dirs, &dead);
    let _next = Traces::of(&dirs, &next);
    assert!(!dirs.private_of(&dead).exists());
    assert!(dirs.session(&dead).join("log").exists());
}

#[test]
fn nothing_of_a_living_session_is_touched() {
    let home = tempfile::tempdir().unwrap();
    let dirs = dirs(home.path());
    let (alive, next) = (SessionId::from_random([1; 8]), SessionId::from_random([2; 8]));
    let _alive = Traces::of(&dirs, &alive);
    furnish(&dirs, &alive);
    let _next = Traces::of(&dirs, &next);
    assert!(dirs.private_of(&alive).join("home").exists());
}

/// Root is let in everywhere; what a session leaves belongs to whoever ran it.
#[test]
fn a_directory_that_the_agent_closed_goes_too() {
    let home = tempfile::tempdir().unwrap();
    let dirs = dirs(home.path());
    let session = SessionId::from_random([3; 8]);
    let traces = Traces::of(&dirs, &session);
    let closed = dirs.private_of(&session).join("home/closed");
    fs::create_dir_all(closed.join("inner")).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    drop(traces);
    assert!(!dirs.private_of(&session).exists());
}
