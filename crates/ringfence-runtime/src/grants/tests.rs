use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::environment::Environment;

fn dirs() -> (tempfile::TempDir, StateDirs) {
    let root = tempfile::tempdir().unwrap();
    let environment: Environment = [("HOME", root.path())].into_iter().collect();
    let dirs = StateDirs::locate(&environment).unwrap();
    dirs.create().unwrap();
    (root, dirs)
}

fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

fn give(dirs: &StateDirs, scope: Scope, expires: Option<u64>) -> Grant {
    let text = "net:example.com:443".to_owned();
    let new = NewGrant { text, scope, author: "ann".to_owned(), expires };
    add(dirs, new, 100, |id| format!("@id(\"{id}\")")).unwrap()
}

#[test]
fn a_grant_holds_only_where_and_while_it_says() {
    let (_root, dirs) = dirs();
    let ours = session("saaaaaaaa");
    let other = session("sbbbbbbbb");
    let (here, there) = (Path::new("/proj/here"), Path::new("/proj/there"));
    let of_session = give(&dirs, Scope::Session(ours.clone()), None);
    let of_project = give(&dirs, Scope::Project(here.to_owned()), None);
    let for_a_time = give(&dirs, Scope::Everywhere, Some(1000));
    let holds =
        |grant: &Grant, session, project, now_ms| grant.holds(Moment { session, project, now_ms });
    assert!(holds(&of_session, &ours, there, u64::MAX));
    assert!(!holds(&of_session, &other, here, 0));
    assert!(holds(&of_project, &other, here, 0));
    assert!(!holds(&of_project, &ours, there, 0));
    assert!(!holds(&of_project, &ours, Path::new("/proj/here/below"), 0));
    assert!(holds(&for_a_time, &ours, there, 999));
    assert!(!holds(&for_a_time, &ours, there, 1000));
    let now = Moment { session: &other, project: there, now_ms: 5 };
    assert_eq!(in_force(&dirs, now).unwrap(), [for_a_time]);
}

#[test]
fn a_revoked_grant_is_gone_and_cannot_be_revoked_again() {
    let (_root, dirs) = dirs();
    let grant = give(&dirs, Scope::Everywhere, None);
    assert!(grant.cedar.contains(&grant.id));
    assert_eq!(revoke(&dirs, &grant.id).unwrap(), grant);
    assert!(matches!(revoke(&dirs, &grant.id), Err(GrantError::Unknown(_))));
    assert_eq!(list(&dirs).unwrap(), []);
}

#[test]
fn a_name_cannot_lead_out_of_the_directory() {
    let (_root, dirs) = dirs();
    fs::write(dirs.state().join("precious.json"), "{}").unwrap();
    for id in ["../precious", "g-../../precious", "g-", "", "g-a/b", "precious"] {
        assert!(matches!(revoke(&dirs, id), Err(GrantError::Unknown(_))), "{id}");
    }
    assert!(dirs.state().join("precious.json").exists());
}

#[test]
fn a_damaged_or_renamed_grant_is_an_error_not_a_grant() {
    let (_root, dirs) = dirs();
    let grant = give(&dirs, Scope::Everywhere, None);
    let path = path_of(&dirs, &grant.id);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::rename(&path, path_of(&dirs, "g-zzzz")).unwrap();
    assert!(matches!(list(&dirs), Err(GrantError::Damaged { .. })));
    fs::write(path_of(&dirs, "g-zzzz"), "not json").unwrap();
    assert!(matches!(list(&dirs), Err(GrantError::Damaged { .. })));
}

#[test]
fn grants_of_ended_sessions_and_expired_ones_are_swept() {
    let (_root, dirs) = dirs();
    let running = session("saaaaaaaa");
    let kept = give(&dirs, Scope::Session(running.clone()), None);
    give(&dirs, Scope::Session(session("sbbbbbbbb")), None);
    give(&dirs, Scope::Everywhere, Some(50));
    let swept = sweep(&dirs, 60, |id| *id == running).unwrap();
    assert_eq!(swept.len(), 2);
    assert_eq!(list(&dirs).unwrap(), [kept]);
}

#[test]
fn a_program_is_resolved_to_the_file_it_is_now() {
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("tool"), "#!/bin/sh\n").unwrap();
    fs::write(bin.join("data"), "").unwrap();
    fs::set_permissions(bin.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("tool", bin.join("alias")).unwrap();
    let path = format!("/nonexistent::{}", bin.display());
    let real = fs::canonicalize(bin.join("tool")).unwrap();
    assert_eq!(resolve_program("alias", &path, root.path()).unwrap(), real);
    assert_eq!(resolve_program("bin/tool", "", root.path()).unwrap(), real);
    for missing in ["data", "none", "", "bin", "./tool"] {
        assert!(resolve_program(missing, &path, root.path()).is_err(), "{missing}");
    }
}
