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
    fs::create_dir_all(dirs.session(session).join("private/home")).unwrap();
    fs::create_dir_all(dirs.session(session).join("log")).unwrap();
    fs::create_dir_all(dirs.worlds().join(session.as_str())).unwrap();
}

#[test]
fn what_a_killed_session_left_goes_at_the_next_start_and_its_log_stays() {
    let home = tempfile::tempdir().unwrap();
    let dirs = dirs(home.path());
    let (dead, next) = (SessionId::from_random([1; 8]), SessionId::from_random([2; 8]));
    furnish(&dirs, &dead);
    let _next = Traces::of(&dirs, &next);
    assert!(!dirs.session(&dead).join("private").exists());
    assert!(!dirs.worlds().join(dead.as_str()).exists());
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
    assert!(dirs.session(&alive).join("private/home").exists());
    assert!(dirs.worlds().join(alive.as_str()).exists());
}
