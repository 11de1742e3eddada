use std::process::Command;

use super::*;

fn git(dir: &Path, words: &[&str]) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"];
    let ran = Command::new("git").args(who).args(words).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn working_trees_and_submodules_as_git_makes_them_are_plain_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(root.join(name)).unwrap();
        git(&root.join(name), &["init", "-q"]);
        git(&root.join(name), &["commit", "-q", "--allow-empty", "-m", "x"]);
    }
    let one = root.join("one");
    git(&one, &["worktree", "add", "-q", "../beside"]);
    git(&one, &["worktree", "add", "-q", "within"]);
    git(&one, &["submodule", "add", "-q", "../two", "libs/two"]);
    for name in ["beside", "one/within", "one/libs/two"] {
        assert!(is_plain(&root.join(name).join(".git")), "{name}");
    }
    for (name, to) in [
        ("of-other", root.join("two/.git")),
        ("of-working-tree", root.join("one/.git/worktrees/within")),
        ("of-submodule", root.join("one/.git/modules/libs/two")),
        ("of-nothing", root.join("nothing")),
    ] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join(".git"), format!("gitdir: {}\n", to.display())).unwrap();
        assert!(!is_plain(&root.join(name).join(".git")), "{name}");
    }
    fs::create_dir(root.join("link")).unwrap();
    std::os::unix::fs::symlink("../one/.git", root.join("link/.git")).unwrap();
    assert!(!is_plain(&root.join("link/.git")));
}

#[test]
fn the_end_of_the_line_is_all_that_git_takes_away() {
    let root = tempfile::tempdir().unwrap();
    let dot_git = root.path().join(".git");
    for (text, wanted) in [
        ("gitdir: x\n", Some("x")),
        ("gitdir: x \r\n\n", Some("x ")),
        ("gitdir:  x", Some(" x")),
        ("gitdir: x\0y\n", Some("x")),
        ("gitdir:x\n", None),
        ("gitdir: \n", None),
        ("", None),
    ] {
        fs::write(&dot_git, text).unwrap();
        let wanted = wanted.map(|name| root.path().join(name));
        assert_eq!(leads_to(root.path()), wanted, "{text:?}");
    }
}
