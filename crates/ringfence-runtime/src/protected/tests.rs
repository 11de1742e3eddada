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
