use std::os::unix::fs::symlink;

use super::*;

#[test]
fn places_of_logins_are_known_by_every_way_that_leads_to_them() {
    let host = tempfile::tempdir().unwrap();
    let home = host.path().join("home");
    let at = |name: &str| home.join(name);
    for dir in [".claude/projects/a", ".config/gh", ".config/app", "work/.claude", "dots/aws"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    fs::write(at(".config/gh/hosts.yml"), "").unwrap();
    symlink(at(".claude"), at("link")).unwrap();
    symlink(at("dots/aws"), at(".aws")).unwrap();
    symlink(&home, host.path().join("other")).unwrap();
    let places = Places::of(&home, &home, &Environment::default());
    for name in [
        ".claude",
        ".claude/projects/a",
        ".claude/../.claude",
        ".CLAUDE",
        ".Claude/none",
        ".config/gh/hosts.yml",
        ".config/gh",
        "link",
        "link/projects",
        // Where the place itself leads.
        "dots/aws",
        "../other/.claude",
        ".codex/none",
    ] {
        let why = places.why(&at(name));
        assert!(matches!(why, Some(Why::Is(_))), "{name}: {why:?}");
    }
    for name in ["", ".config", "dots", "../other", ".."] {
        let why = places.why(&at(name));
        assert!(matches!(why, Some(Why::Has(..))), "{name}: {why:?}");
    }
    // A project has such a directory of its own.
    for name in ["work", "work/.claude", ".config/app", "none", ".claudes"] {
        assert_eq!(places.why(&at(name)), None, "{name}");
    }
}

#[test]
fn what_links_in_such_a_place_lead_to_is_one_as_well() {
    let host = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(host.path()).unwrap().join("home");
    let at = |name: &str| home.join(name);
    let make = |name: &str| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), "").unwrap();
    };
    for name in ["c/login", "keys/age", "tree/a", "ssh/id", "pages/AGENTS.md", "plugin/a.js"] {
        make(&format!("dots/{name}"));
    }
    for dir in [".claude/plugins", ".config/sops/age", ".ssh", "many"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    let link = |to: &str, name: &str| symlink(at(to), at(name)).unwrap();
    link("dots/c/login", ".claude/.credentials.json");
    link("dots/tree", ".claude/projects");
    link("dots/keys/age", ".config/sops/age/keys.txt");
    link("dots/ssh/id", ".ssh/id_work");
    // None of these makes a place of what it leads to.
    link("dots/pages/AGENTS.md", ".claude/CLAUDE.md");
    link("dots/plugin", ".claude/plugins/own");
    // Of a directory that is linked deeper, what is called like a login.
    make("dots/deeper/own/auth.json");
    make("dots/deeper/own/notes.txt");
    link("dots/deeper", ".claude/plugins/deeper");
    // A login is none the less one for being linked as a page.
    make("dots/as/page.md");
    fs::write(at("dots/as/page.md"), "{\"accessToken\": \"of somebody\"}").unwrap();
    link("dots/as/page.md", ".claude/page.md");
    make("dots/by/name.md");
    link("dots/by/name.md", ".claude/.token.json");
    link("", ".claude/home");
    link(".claude/plugins", ".claude/inside");
    link("nowhere", ".claude/gone");
    let places = Places::of(&home, &home, &Environment::default());
    let deep = ["deeper/own/auth.json", "as/page.md", "by/name.md"];
    for name in ["c/login", "tree", "tree/a", "keys/age", "ssh/id"].into_iter().chain(deep) {
        let why = places.why(&at("dots").join(name));
        assert!(matches!(why, Some(Why::Is(_))), "{name}: {why:?}");
    }
    for name in ["", "c", "keys", "ssh", "deeper", "deeper/own", "as", "by"] {
        let why = places.why(&at("dots").join(name));
        assert!(matches!(why, Some(Why::Has(..))), "{name}: {why:?}");
    }
    let none = ["dots/plugin", "dots/deeper/own/notes.txt"];
    for name in ["dots/pages", "dots/pages/AGENTS.md", "many", "nowhere"].into_iter().chain(none) {
        assert_eq!(places.why(&at(name)), None, "{name}");
    }
}

#[test]
fn directories_behind_deep_links_are_looked_through_within_a_bound() {
    let host = tempfile::tempdir().unwrap();
    let dir = |name: String| {
        let dir = host.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    };
    let many = dir("many".to_owned());
    (0..=FOLLOWED_MAX).for_each(|number| fs::write(many.join(number.to_string()), "").unwrap());
    let mut followed = Followed::default();
    assert_eq!(followed.look(many), Vec::<PathBuf>::new());
    let after = dir("after".to_owned());
    fs::write(after.join("auth.json"), "").unwrap();
    assert_eq!(followed.look(after.clone()), Vec::<PathBuf>::new());
    let mut followed = Followed::default();
    assert_eq!(followed.look(after.clone()), [after.join("auth.json")]);
    // Once is enough, and a circle ends.
    assert_eq!(followed.look(after), Vec::<PathBuf>::new());
    for number in 0..FOLLOWED_DIRS_MAX {
        followed.look(dir(number.to_string()));
    }
    let last = dir("last".to_owned());
    fs::write(last.join("token"), "").unwrap();
    assert_eq!(followed.look(last), Vec::<PathBuf>::new());
}

#[test]
fn what_runs_by_itself_is_given_to_nobody_to_be_changed_by_whatever_way_it_is_named() {
    let host = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(host.path()).unwrap().join("home");
    let at = |name: &str| home.join(name);
    for dir in [
        ".config/systemd/user",
        ".config/autostart",
        ".config/app",
        ".local/bin",
        "bin/sub",
        "dots/bin",
        "dots/rc",
        "work/.git/hooks",
        "work/bin",
        "apps/tool",
    ] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    fs::write(at("dots/rc/bashrc"), "").unwrap();
    fs::write(at("apps/tool/run"), "").unwrap();
    symlink(at("dots/rc/bashrc"), at(".bashrc")).unwrap();
    symlink(at("dots/bin"), at(".zsh")).unwrap();
    symlink(at("dots/bin"), at(".oh-my-zsh")).unwrap();
    symlink(at("apps/tool/run"), at("bin/tool")).unwrap();
    let places = Places::of(&home, &home, &Environment::default());
    for name in [
        ".config/systemd",
        ".config/systemd/user",
        ".config/autostart",
        ".config/AUTOSTART",
        ".local/bin",
        "bin",
        "bin/sub",
        "work/.git",
        "work/.git/hooks",
        "dots/rc",
        "dots/bin",
        ".zsh",
        "dots",
        "apps/tool",
        "",
    ] {
        assert!(places.why_not_change(&at(name)).is_some(), "{name}");
        let is_read = !["", ".config"].contains(&name) && places.why(&at(name)).is_none();
        assert!(is_read || name.is_empty(), "{name}");
    }
    for name in ["work", "work/bin", ".config/app", "bins", "none"] {
        assert_eq!(places.why_not_change(&at(name)), None, "{name}");
    }
}

#[test]
fn what_looks_like_a_secret_is_none_for_being_about_keys_where_it_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::of(dir.path(), dir.path(), &Environment::default());
    let make = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let key = "-----BEGIN PRIVATE KEY-----\n";
    let (program, named) = (make("server.js", key), make("auth.json", ""));
    assert!(places.why_read(&program).is_some() && places.why_run(&program).is_none());
    assert!(places.why_read(&named).is_some() && places.why_run(&named).is_some());
    assert_eq!(places.why_read(&make("settings.json", "{}")), None);
    assert_eq!(secret_in(dir.path()), Some(named));
}
