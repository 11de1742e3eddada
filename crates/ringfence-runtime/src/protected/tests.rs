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
    let found = find_git_dirs(root);
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
    assert_eq!(find_git_dirs(&tree).git_dirs, [PathBuf::new(); 0]);
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
    assert_eq!(between("/p", "/p/.claude"), [PathBuf::new(); 0]);
    assert_eq!(between("/p", "/p/a/b/c"), [Path::new("/p/a"), Path::new("/p/a/b")]);
    assert_eq!(between("/p", "/other/a"), [PathBuf::new(); 0]);
}
