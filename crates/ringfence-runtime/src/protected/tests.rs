use super::*;

fn git_dir(at: &Path) {
    fs::create_dir_all(at.join("objects")).unwrap();
    fs::create_dir_all(at.join("refs")).unwrap();
    fs::write(at.join("HEAD"), "ref: refs/heads/main\n").unwrap();
}

#[test]
fn nested_bare_and_submodule_repositories_are_found() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for at in [".git", ".git/modules/lib", "a/b/c/.git", "bare.git", "node_modules/x/.git"] {
        git_dir(&root.join(at));
    }
    let found = survey(root);
    let names: Vec<&Path> =
        found.git_dirs.iter().map(|dir| dir.strip_prefix(root).unwrap()).collect();
    let expected = [".git", ".git/modules/lib", "a/b/c/.git", "bare.git"].map(Path::new);
    assert_eq!(names, expected);
    assert!(!found.cut_short);
}

#[test]
fn a_link_is_not_walked_into() {
    let root = tempfile::tempdir().unwrap();
    git_dir(&root.path().join("real/.git"));
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    std::os::unix::fs::symlink(root.path(), tree.join("out")).unwrap();
    assert!(survey(&tree).git_dirs.is_empty());
}

#[test]
fn absent_places_are_protected_but_not_those_of_a_repository_that_is_not_there() {
    let root = tempfile::tempdir().unwrap();
    let places = in_project(root.path(), &[]);
    assert!(places.iter().any(|place| place.path.ends_with(".claude")));
    assert!(!places.iter().any(|place| place.path.ends_with("hooks")));
    git_dir(&root.path().join(".git"));
    let places = in_project(root.path(), &[".vscode".to_owned()]);
    assert!(places.iter().any(|place| place.path.ends_with(".git/hooks")));
    assert!(places.iter().any(|place| place.path.ends_with(".git/config")));
    assert!(!places.iter().any(|place| place.path.ends_with(".vscode")));
}

#[test]
fn every_directory_between_root_and_place_is_named() {
    let between = |root: &str, place: &str| between(Path::new(root), Path::new(place));
    assert_eq!(between("/p", "/p/.git/hooks"), [Path::new("/p/.git")]);
    assert!(between("/p", "/p/.claude").is_empty());
    assert_eq!(between("/p", "/p/a/b/c"), [Path::new("/p/a"), Path::new("/p/a/b")]);
    assert!(between("/p", "/other/a").is_empty());
}

#[test]
fn files_that_the_host_runs_are_noticed_anywhere_and_a_rewrite_changes_their_stamp() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    git_dir(&root.join("sub/.git"));
    for file in [
        "sub/.git/hooks/pre-commit",
        "sub/.git/config",
        "a/.envrc",
        "a/.vscode/tasks.json",
        "README",
        ".claude/agents/x.md",
    ] {
        fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        fs::write(root.join(file), "1").unwrap();
    }
    fs::write(root.join("sub/.git/hooks/pre-push.sample"), "1").unwrap();
    std::os::unix::fs::symlink("/bin/sh", root.join("sub/.git/hooks/pre-push")).unwrap();
    let before = survey(root).runnable;
    let names: Vec<&Path> = before.keys().map(|path| path.strip_prefix(root).unwrap()).collect();
    let expected = [
        ".claude/agents/x.md",
        "a/.envrc",
        "a/.vscode/tasks.json",
        "sub/.git/config",
        "sub/.git/hooks/pre-commit",
        "sub/.git/hooks/pre-push",
    ]
    .map(Path::new);
    assert_eq!(names, expected);
    fs::write(root.join("a/.envrc"), "2").unwrap();
    let after = survey(root).runnable;
    assert_ne!(before[&root.join("a/.envrc")], after[&root.join("a/.envrc")]);
    assert_eq!(before[&root.join("sub/.git/config")], after[&root.join("sub/.git/config")]);
}

#[test]
fn what_git_takes_for_a_repository_is_found_also_when_it_is_redirected() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    git_dir(&root.join("linked-head"));
    fs::remove_file(root.join("linked-head/HEAD")).unwrap();
    std::os::unix::fs::symlink("refs/heads/none", root.join("linked-head/HEAD")).unwrap();
    fs::create_dir_all(root.join("elsewhere")).unwrap();
    fs::write(root.join("elsewhere/HEAD"), "ref: refs/heads/main\n").unwrap();
    assert!(!is_git_dir(&root.join("elsewhere")));
    fs::write(root.join("elsewhere/commondir"), "../x\n").unwrap();
    let found = survey(root);
    assert_eq!(found.git_dirs, [root.join("elsewhere"), root.join("linked-head")]);
    assert!(found.runnable.contains_key(&root.join("elsewhere/commondir")));
}

#[test]
fn only_a_repository_itself_or_that_of_a_working_tree_is_a_plain_common_directory() {
    let root = tempfile::tempdir().unwrap();
    let git = root.path().join(".git");
    git_dir(&git);
    let worktree = git.join("worktrees/w");
    fs::create_dir_all(&worktree).unwrap();
    assert!(is_plain_common_dir(&git, COMMON_DIR_ITSELF));
    assert!(is_plain_common_dir(&worktree, "../..\n"));
    assert!(!is_plain_common_dir(&git, "../x\n"));
    assert!(!is_plain_common_dir(&git, "/elsewhere\n"));
    assert!(!is_plain_common_dir(&git, "../..\n"));
    assert!(!is_plain_common_dir(&worktree, ".\n"));
    // What stands two levels up is no repository: nobody has looked at its configuration.
    fs::remove_file(git.join("HEAD")).unwrap();
    assert!(!is_plain_common_dir(&worktree, "../..\n"));
}

fn write(path: &Path, text: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// An index of version 2 that names submodules and nothing else.
fn index(git_dir: &Path, names: &[&str]) {
    let mut bytes = b"DIRC\0\0\0\x02".to_vec();
    bytes.extend(u32::try_from(names.len()).unwrap().to_be_bytes());
    for name in names {
        let mut entry = vec![0; 62];
        entry[24..28].copy_from_slice(&0o160_000_u32.to_be_bytes());
        entry[60..].copy_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
        entry.extend(name.as_bytes());
        entry.resize((entry.len() + 8) / 8 * 8, 0);
        bytes.extend(entry);
    }
    write(&git_dir.join("index"), &bytes);
}

fn found_git_dirs(root: &Path) -> Vec<String> {
    let found = survey(root).git_dirs;
    found.iter().map(|dir| dir.strip_prefix(root).unwrap().display().to_string()).collect()
}

#[test]
fn what_looks_like_a_repository_hides_nothing_that_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    git_dir(&root);
    git_dir(&root.join("d"));
    git_dir(&root.join("d/lib/.git"));
    write(&root.join("d/.envrc"), b"1");
    write(&root.join("d/.vscode/tasks.json"), b"1");
    // A file that leads there does not make it one that is not looked into.
    write(&root.join("e/.git"), b"gitdir: ../d\n");
    write(&root.join("z/.git"), b"gitdir: ../d\n");
    git_dir(&root.join("d/lib/.git/hooks"));
    write(&root.join("d/lib/.git/hooks/pre-commit"), b"1");
    let found = survey(&root);
    for file in ["d/.envrc", "d/.vscode/tasks.json", "d/lib/.git/hooks/pre-commit"] {
        assert!(found.runnable.contains_key(&root.join(file)), "{file}");
    }
    assert_eq!(found_git_dirs(&root), ["", "d", "d/lib/.git", "d/lib/.git/hooks"]);
}

#[test]
fn git_asks_of_objects_and_refs_only_that_they_are_there() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for name in ["HEAD", "objects", "refs"] {
        write(&root.join("a/.git").join(name), b"ref: refs/heads/main\n");
    }
    assert_eq!(found_git_dirs(&root), ["a/.git"]);
}

#[test]
fn a_file_or_link_called_git_is_followed_as_git_does_also_to_where_nobody_looks() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for at in ["node_modules/b", "node_modules/c", "node_modules/blank ", "node_modules/e"] {
        git_dir(&root.join(at));
    }
    write(&root.join("b/.git"), b"gitdir: ../node_modules/b\n");
    fs::create_dir_all(root.join("c")).unwrap();
    std::os::unix::fs::symlink("../node_modules/c", root.join("c/.git")).unwrap();
    write(&root.join("d/.git"), b"gitdir: ../node_modules/blank \r\n");
    write(&root.join("f"), b"gitdir: ../node_modules/e\n");
    fs::create_dir_all(root.join("e")).unwrap();
    std::os::unix::fs::symlink("../f", root.join("e/.git")).unwrap();
    let expected = ["b", "blank ", "c", "e"].map(|name| format!("node_modules/{name}"));
    assert_eq!(found_git_dirs(&root), expected);
    let files = ["b/.git", "c/.git", "d/.git", "e/.git"].map(|name| root.join(name));
    let found = survey(&root);
    assert_eq!(found.dot_git_files.into_iter().collect::<Vec<_>>(), files);
    assert!(files.iter().all(|file| found.runnable.contains_key(file)));
}

#[test]
fn submodules_are_sought_in_every_working_tree_that_has_the_repository() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    for at in [".git", "node_modules/git", "node_modules/f/in/.git", "target/g/in/.git"] {
        git_dir(&root.join(at));
    }
    index(&root.join(".git"), &["node_modules/f", "target/g"]);
    index(&root.join("node_modules/git"), &["in"]);
    write(&root.join("node_modules/f/.git"), b"gitdir: ../git\n");
    write(&root.join("target/g/.git"), b"gitdir: ../../node_modules/git\n");
    let expected = [".git", "node_modules/f/in/.git", "node_modules/git", "target/g/in/.git"];
    assert_eq!(found_git_dirs(&root), expected);
}

#[test]
fn links_in_a_circle_end() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    git_dir(&root.join(".git"));
    fs::create_dir(root.join(".git/modules")).unwrap();
    for name in ["a", "b", "c", "d"] {
        std::os::unix::fs::symlink("../../.git", root.join(".git/modules").join(name)).unwrap();
    }
    write(&root.join("w/.git"), b"gitdir: ../w\n");
    std::os::unix::fs::symlink(".git", root.join("own")).unwrap();
    index(&root.join(".git"), &[".", "w", "own"]);
    assert_eq!(found_git_dirs(&root), [".git"]);
}

#[test]
fn a_name_beyond_ascii_hides_no_repository() {
    // Where names are compared without case it may be the one that is looked for.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for part in ["objects", "refs"] {
        fs::create_dir_all(root.join("bare").join(part)).unwrap();
    }
    fs::write(root.join("bare/HEAD"), "ref: refs/heads/main\n").unwrap();
    fs::write(root.join("bare/h\u{17f}"), "").unwrap();
    fs::write(root.join("plain"), "").unwrap();
    assert_eq!(survey(&root).git_dirs, [root.join("bare")]);
}
