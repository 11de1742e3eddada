use super::*;

/// A session with a home, a cache in it and a temporary directory, and what names are made of.
fn names(others: &[&str]) -> (tempfile::TempDir, PathBuf, OwnNames) {
    let root = tempfile::tempdir().unwrap();
    let real = fs::canonicalize(root.path()).unwrap();
    for below in ["one/home", "one/tmp", "two/home", "cache"] {
        fs::create_dir_all(real.join(below)).unwrap();
    }
    let dirs = vec![
        (real.join("one/home"), "/home/u".into()),
        (real.join("cache"), "/home/u/.cache".into()),
        (real.join("one/tmp"), "/tmp".into()),
    ];
    let names = OwnNames::new(dirs, others.iter().map(PathBuf::from).collect());
    (root, real, names)
}

#[track_caller]
fn check(others: &[&str], below: &str, expected: Option<&str>) {
    let (_root, real, names) = names(others);
    let path = real.join(below);
    let name = names.name(AbsolutePath::parse(path.to_str().unwrap()).unwrap());
    assert_eq!(name.as_path(), expected.map_or(path.as_path(), Path::new), "{below}");
}

#[test]
fn what_a_session_has_of_its_own_is_called_as_in_other_tiers() {
    let usual = ["/usr", "/home/u/project", "/home/u/.ssh"];
    check(&usual, "one/tmp/x/prog", Some("/tmp/x/prog"));
    check(&usual, "one/home/bin/prog", Some("/home/u/bin/prog"));
    check(&usual, "cache/go/prog", Some("/home/u/.cache/go/prog"));
    check(&["/home"], "one/home/prog", Some("/home/u/prog"));
}

#[test]
fn nothing_else_of_ours_has_another_name() {
    for below in ["one", "one/line", "one/denials.jsonl", "two/home/prog", "one/home2/x", "log"] {
        check(&[], below, None);
    }
}

#[test]
fn a_directory_of_its_own_lends_nobody_the_name_of_something_else() {
    let others = ["/usr", "/home/u/project", "/home/u/.ssh", "/tmp/job"];
    check(&others, "one/home/project/prog", None);
    check(&others, "one/home/project", None);
    check(&others, "one/home/.ssh/prog", None);
    check(&others, "one/tmp/job/prog", None);
    // Instead of the link to the cache.
    check(&others, "one/home/.cache/prog", None);
    // The policy grants the very place.
    check(&["/tmp"], "one/tmp/prog", None);
    check(&["/home/u"], "one/home/prog", None);
}

#[test]
fn links_on_the_way_to_the_session_do_not_hide_what_is_its_own() {
    let (_root, real, _) = names(&[]);
    let link = real.join("link");
    std::os::unix::fs::symlink(real.join("one"), &link).unwrap();
    let names = OwnNames::new(vec![(link.join("tmp"), "/tmp".into())], Vec::new());
    let path = AbsolutePath::parse(real.join("one/tmp/x").to_str().unwrap()).unwrap();
    assert_eq!(names.name(path).as_str(), "/tmp/x");
}
