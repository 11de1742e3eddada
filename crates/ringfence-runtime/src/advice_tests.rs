//! Tests of what is advised.

use super::*;

fn hint(grant: &str, session: Session<'_>) -> String {
    let grant = GrantText::parse(grant, &|_| None).unwrap();
    Advice::of(&grant, Path::new("/home/u"), Path::new("/home/u/p")).hint(session).unwrap()
}

fn check(grant: &str, part: &str) {
    let id = "sabcdefgh".parse().unwrap();
    let said = hint(grant, Session::Runs(&id));
    assert!(said.contains(part), "{grant}: {said}");
}

#[test]
fn a_grant_that_no_running_world_could_use_is_not_offered() {
    for path in ["/usr/x", "/etc/hosts", "/usr", "/bin/x", "/dev/x", "/no-such-top"] {
        for kind in ["fs.write", "fs.read"] {
            let said = hint(&format!("{kind}:{path}"), Session::Ended);
            assert!(said.contains("runtime base"), "{said}");
            assert!(!said.contains("ringfence grant"), "{said}");
        }
    }
}

#[test]
fn a_grant_says_when_it_takes_effect() {
    check("net:a.example:443", "run `ringfence grant net:a.example:443 --session sabcdefgh`");
    check("exec:/usr/bin/git push", "run `ringfence grant 'exec:/usr/bin/git push' --session");
    check("fs.write:/var/tmp", "run `ringfence grant fs.write:/var/tmp --session sabcdefgh`");
    check("fs.write:/var/no-such", "make `/var/no-such` yourself");
    check("fs.write:/var", "from the next session on, run `ringfence grant fs.write:/var --al");
}

#[test]
fn a_world_without_mounts_is_offered_no_grant_of_files_for_the_session() {
    let id = "sabcdefgh".parse().unwrap();
    let said = |tier, grant: &str| {
        let grant = GrantText::parse(grant, &|_| None).unwrap();
        let advice = Advice::in_tier(tier, &grant, (Path::new("/home/u"), Path::new("/p")));
        advice.hint(Session::Runs(&id)).unwrap()
    };
    for tier in [Tier::Landlock, Tier::Preload, Tier::Ptrace] {
        for grant in ["fs.read:/var/tmp", "fs.write:/var/tmp", "fs.write:/var/no-such"] {
            let said = said(tier, grant);
            assert!(said.contains("from the next session on"), "{said}");
            assert!(!said.contains("--session"), "{said}");
        }
        for grant in ["net:a.example:443", "exec:/usr/bin/git"] {
            assert!(said(tier, grant).contains("--session sabcdefgh"), "{grant}");
        }
    }
    assert!(said(Tier::Namespaces, "fs.read:/var/tmp").contains("--session sabcdefgh"));
}

#[test]
fn what_a_server_was_denied_is_allowed_to_it_alone_once_its_session_has_ended() {
    let (id, server) = ("sabcdefgh".parse().unwrap(), "files".parse().unwrap());
    let files = [PathBuf::from("/srv/p.cedar")];
    for (grant, rule) in [
        (
            "fs.read:/var/tmp",
            r#"permit (principal == Agent::"files", action == Action::"fs.read", resource in Dir::"/var/tmp");"#,
        ),
        (
            "net:a.example:443",
            r#"permit (principal == Agent::"files", action == Action::"net.connect", resource == Endpoint::"a.example:443");"#,
        ),
    ] {
        let text = GrantText::parse(grant, &|_| None).unwrap();
        let advice = |files: &[PathBuf]| {
            let advice = Advice::of(&text, Path::new("/home/u"), Path::new("/p"));
            advice.to_server(Some(&server), (&text, files))
        };
        let said = advice(&[]).hint(Session::Ended).unwrap();
        assert!(said.contains(rule) && said.contains("`ringfence policy edit --user`"), "{said}");
        assert!(!said.contains("ringfence grant"), "{said}");
        let said = advice(&files).hint(Session::Ended).unwrap();
        assert!(said.contains("write into `/srv/p.cedar`: permit"), "{said}");
        // A grant to a session is for its server alone.
        let said = advice(&[]).hint(Session::Runs(&id)).unwrap();
        assert!(said.contains("--session sabcdefgh"), "{said}");
    }
    let secret = GrantText::parse("fs.read:/home/u/.ssh", &|_| None).unwrap();
    let advice = Advice::of(&secret, Path::new("/home/u"), Path::new("/p"));
    let said = advice.to_server(Some(&server), (&secret, &[])).hint(Session::Ended).unwrap();
    assert!(said.starts_with("no grant is offered"), "{said}");
}

#[test]
fn what_a_server_would_make_is_allowed_by_its_directory_unless_that_is_a_home_or_runs_by_itself() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let home = dir.path();
    for name in ["notes", "bin", ".config/systemd/user", "work/.git/hooks", ".local"] {
        std::fs::create_dir_all(home.join(name)).unwrap();
    }
    let server = "files".parse().unwrap();
    let rule = |name: &str| {
        let grant = format!("fs.write:{}", home.join(name).display());
        let text = GrantText::parse(&grant, &|_| None).unwrap();
        let advice = Advice::of(&text, home, Path::new("/p"));
        advice.to_server(Some(&server), (&text, &[])).hint(Session::Ended).unwrap()
    };
    let of = |name: &str| format!("resource in Dir::\"{}\");", home.join(name).display());
    assert!(rule("notes/a.json.ac5f.tmp").ends_with(&of("notes")));
    for name in [
        "a.json.tmp",
        "bin/a",
        ".config/systemd/user/a.service",
        "work/.git/hooks/a",
        "none/a.json",
        ".local/a",
    ] {
        let said = rule(name);
        assert!(said.ends_with(&of(name)) || said.starts_with("no grant"), "{name}: {said}");
    }
}

#[test]
fn no_grant_is_offered_for_what_holds_secrets() {
    for grant in ["fs.read:/home/u/.ssh/id_rsa", "fs.write:/srv/.env", "net:169.254.169.254:80"] {
        let said = hint(grant, Session::Ended);
        assert!(said.starts_with("no grant is offered for "), "{said}");
        assert!(!said.contains("ringfence grant"), "{said}");
    }
}

#[test]
fn what_a_world_is_told_does_not_tell_what_is_on_the_host() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("there"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let said = |place: &Path| {
        let text = format!("fs.write:{}", place.display());
        let grant = GrantText::parse(&text, &|_| None).unwrap();
        let places = (dir.path(), Path::new("/p"));
        let id = "sabcdefgh".parse().unwrap();
        let said = Advice::inside(Tier::Namespaces, &grant, places).hint(Session::Runs(&id));
        said.unwrap().replace(place.to_str().unwrap(), "PLACE")
    };
    let in_home = |name| said(&dir.path().join(name));
    for (there, absent) in [
        (in_home("there"), in_home("absent")),
        (said(Path::new("/var/tmp")), said(Path::new("/var/no-such"))),
        (said(Path::new("/var")), said(Path::new("/no-such-top"))),
    ] {
        assert_eq!(there, absent);
        assert!(there.contains("ringfence grant fs.write:PLACE --"), "{there}");
    }
    // What is known by its name is so wherever it is, and of every world is what every world has.
    for name in [".ssh/id_rsa", ".env"] {
        assert!(in_home(name).starts_with("no grant is offered"), "{name}");
    }
    assert!(said(Path::new("/usr/no-such")).contains("runtime base"));
}

#[test]
fn what_cannot_be_quoted_is_not_offered() {
    let grant = Advice::Grant("fs.write:/tmp/a\nb".to_owned());
    assert_eq!(grant.hint(Session::Ended), None);
}
