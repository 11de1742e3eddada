use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::environment::Environment;

struct Place {
    root: tempfile::TempDir,
    dirs: StateDirs,
}

fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let environment: Environment = [("HOME", root.path())].into_iter().collect();
    let dirs = StateDirs::locate(&environment).unwrap();
    dirs.create().unwrap();
    Place { root, dirs }
}

fn project(place: &Place, policy: &str) -> PathBuf {
    let dir = place.root.path().join("clone");
    fs::create_dir_all(dir.join(".ringfence")).unwrap();
    fs::write(dir.join(".ringfence/policy.cedar"), policy).unwrap();
    dir
}

#[test]
fn a_fresh_clone_is_not_trusted() {
    let place = place();
    let dir = project(&place, "permit (principal, action, resource);");
    assert_eq!(Project::read(&dir).unwrap().trust(&place.dirs).unwrap(), Trust::Untrusted);
}

#[test]
fn one_changed_byte_or_an_added_settings_file_undoes_trust_and_shows_the_change() {
    let place = place();
    let dir = project(&place, "// one\n");
    Project::read(&dir).unwrap().give_trust(&place.dirs, 1).unwrap();
    assert_eq!(Project::read(&dir).unwrap().trust(&place.dirs).unwrap(), Trust::Trusted);

    fs::write(dir.join(".ringfence/settings.toml"), "[fs]\n").unwrap();
    let trust = Project::read(&dir).unwrap().trust(&place.dirs).unwrap();
    assert!(matches!(&trust, Trust::Changed { diff } if diff.contains("+[fs]")), "{trust:?}");

    fs::remove_file(dir.join(".ringfence/settings.toml")).unwrap();
    fs::write(dir.join(".ringfence/policy.cedar"), "// two\n").unwrap();
    let trust = Project::read(&dir).unwrap().trust(&place.dirs).unwrap();
    assert!(matches!(&trust, Trust::Changed { diff } if diff.contains("-// one\n+// two")));
}

#[test]
fn trust_is_for_a_place_so_a_copy_elsewhere_is_not_trusted() {
    let place = place();
    let dir = project(&place, "// one\n");
    Project::read(&dir).unwrap().give_trust(&place.dirs, 1).unwrap();
    let copy = place.root.path().join("copy");
    fs::create_dir_all(copy.join(".ringfence")).unwrap();
    fs::copy(dir.join(".ringfence/policy.cedar"), copy.join(".ringfence/policy.cedar")).unwrap();
    assert_eq!(Project::read(&copy).unwrap().trust(&place.dirs).unwrap(), Trust::Untrusted);
}

#[test]
fn a_project_reached_through_a_link_is_the_same_project() {
    let place = place();
    let dir = project(&place, "// one\n");
    Project::read(&dir).unwrap().give_trust(&place.dirs, 1).unwrap();
    let link = place.root.path().join("link");
    symlink(&dir, &link).unwrap();
    assert_eq!(Project::read(&link).unwrap().trust(&place.dirs).unwrap(), Trust::Trusted);
}

#[test]
fn links_in_place_of_our_directory_or_files_are_refused() {
    let place = place();
    let dir = project(&place, "// one\n");
    let policy = dir.join(".ringfence/policy.cedar");
    fs::rename(&policy, dir.join("real.cedar")).unwrap();
    symlink(dir.join("real.cedar"), &policy).unwrap();
    assert!(matches!(Project::read(&dir), Err(TrustError::File(FileError::NotRegular { .. }))));
    fs::remove_file(&policy).unwrap();
    fs::rename(dir.join(".ringfence"), dir.join("elsewhere")).unwrap();
    symlink(dir.join("elsewhere"), dir.join(".ringfence")).unwrap();
    assert!(matches!(Project::read(&dir), Err(TrustError::NotADirectory(_))));
}

#[test]
fn a_fifo_or_a_huge_file_in_place_of_a_policy_neither_hangs_nor_passes() {
    let place = place();
    let dir =
        project(&place, &" ".repeat(usize::try_from(whole_file::FILE_BYTES_MAX).unwrap() + 1));
    assert!(matches!(Project::read(&dir), Err(TrustError::File(FileError::TooLarge { .. }))));
    let policy = dir.join(".ringfence/policy.cedar");
    fs::remove_file(&policy).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &policy,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(matches!(Project::read(&dir), Err(TrustError::File(FileError::NotRegular { .. }))));
}

#[test]
fn a_damaged_or_foreign_record_is_not_trust() {
    let place = place();
    let dir = project(&place, "// one\n");
    let project = Project::read(&dir).unwrap();
    project.give_trust(&place.dirs, 1).unwrap();
    let record = record_path(&place.dirs, &project.dir);
    assert_eq!(fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&record, "{}").unwrap();
    assert!(matches!(project.trust(&place.dirs), Err(TrustError::Damaged { .. })));
    assert_eq!(untrust(&place.dirs, &dir).unwrap(), Forgotten::Was);
    assert_eq!(untrust(&place.dirs, &dir).unwrap(), Forgotten::WasNot);
    assert_eq!(project.trust(&place.dirs).unwrap(), Trust::Untrusted);
}

#[test]
fn a_project_without_a_policy_cannot_be_trusted() {
    let place = place();
    let empty = place.root.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error = Project::read(&empty).unwrap().give_trust(&place.dirs, 1).unwrap_err();
    assert!(matches!(error, TrustError::Nothing { .. }));
}

#[test]
fn the_nearest_project_upwards_is_found_but_not_the_home_itself() {
    let place = place();
    let dir = project(&place, "// one\n");
    let deep = dir.join("src/deep");
    fs::create_dir_all(&deep).unwrap();
    let home = fs::canonicalize(place.root.path()).unwrap();
    assert_eq!(Project::find(&deep, &home).unwrap().dir, fs::canonicalize(&dir).unwrap());
    fs::create_dir(home.join(".ringfence")).unwrap();
    let other = home.join("other");
    fs::create_dir(&other).unwrap();
    assert_eq!(Project::find(&other, &home).unwrap().dir, other);
}

#[test]
fn what_lies_in_a_directory_of_everybodys_is_nobodys_project() {
    let home = Path::new("/nonexistent");
    assert!(is_too_high(Path::new("/tmp"), home));
    // Who may change the mode of a project's directory takes no rules out of force by that.
    let place = place();
    let dir = project(&place, "// one\n");
    let below = dir.join("below");
    fs::create_dir(&below).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(Project::find(&below, home).unwrap().dir, fs::canonicalize(&dir).unwrap());
    assert!(!is_too_high(&dir, home));
}
