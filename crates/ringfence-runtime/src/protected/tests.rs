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
