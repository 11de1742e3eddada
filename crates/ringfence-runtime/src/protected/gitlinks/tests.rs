use std::process::Command;

use super::*;

fn git(dir: &Path, words: &[&str]) {
    let ran = Command::new("git").args(words).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn repository(version: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q"]);
    std::fs::create_dir_all(dir.path().join("src/deep")).unwrap();
    for name in ["a", "src/b", "src/deep/a-file-with-a-longer-name", "z"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    git(dir.path(), &["add", "."]);
    let sha = "1".repeat(40);
    for path in ["src/module", "target/s"] {
        git(dir.path(), &["update-index", "--add", "--cacheinfo", &format!("160000,{sha},{path}")]);
    }
    git(dir.path(), &["update-index", "--index-version", version]);
    dir
}

#[test]
fn submodules_are_found_in_every_version_of_the_index() {
    for version in ["2", "3", "4"] {
        let dir = repository(version);
        let found = of(&dir.path().join(".git"));
        assert!(!found.unreadable, "version {version}");
        assert_eq!(found.paths, ["src/module", "target/s"].map(PathBuf::from), "version {version}");
    }
}

#[test]
fn submodules_are_found_in_a_shared_index() {
    let dir = repository("2");
    git(dir.path(), &["update-index", "--split-index"]);
    let found = of(&dir.path().join(".git"));
    assert!(found.paths.contains(&PathBuf::from("target/s")), "{found:?}");
}

#[test]
fn an_index_cut_anywhere_is_unreadable_and_ends_nothing() {
    for version in ["2", "4"] {
        let dir = repository(version);
        let index = dir.path().join(".git/index");
        let whole = std::fs::read(&index).unwrap();
        // The last entry ends before the checksum of 20 bytes and the extensions.
        for length in 0..whole.len() / 2 {
            std::fs::write(&index, &whole[..length]).unwrap();
            assert!(of(&dir.path().join(".git")).unreadable, "{length} of {}", whole.len());
        }
    }
}

#[test]
fn a_directory_without_an_index_names_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(of(dir.path()), Gitlinks::default());
}
