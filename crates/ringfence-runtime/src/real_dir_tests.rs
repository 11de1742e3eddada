use std::fs;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn a_link_on_the_way_is_refused_whatever_it_leads_to() {
    let root = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(root.path()).unwrap();
    fs::create_dir_all(root.join("outside")).unwrap();
    fs::write(root.join("outside/config"), "theirs").unwrap();
    symlink(root.join("outside"), root.join("lib")).unwrap();
    assert!(RealDir::of(&root.join("lib/config")).is_err());
    let config = root.join("outside/config");
    let (dir, name) = RealDir::of(&config).unwrap();
    assert_eq!(dir.read_text(name).unwrap(), "theirs");
}

#[test]
fn a_link_in_place_of_the_file_is_neither_read_nor_written_through() {
    let root = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(root.path()).unwrap();
    fs::write(root.join("secret"), "secret").unwrap();
    symlink(root.join("secret"), root.join("config")).unwrap();
    let path = root.join("config");
    let (dir, name) = RealDir::of(&path).unwrap();
    assert!(dir.read_text(name).is_err());
    assert!(dir.replace(name, "new").is_err());
    assert_eq!(fs::read_to_string(root.join("secret")).unwrap(), "secret");
}

#[test]
fn a_file_keeps_its_mode_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(root.path()).unwrap().join("config");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let (dir, name) = RealDir::of(&path).unwrap();
    dir.replace(name, "new").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}
