//! What the plan shows, hides and protects.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::harness::{Place, Who, everyone};

#[test]
fn a_read_bind_can_be_read_and_not_changed_in_any_way() {
    for who in everyone() {
        let place = Place::new(who);
        let (data, file) = (place.text("data"), place.make_file("data/file", "text"));
        let options = ["--read", &data];
        assert_eq!(place.script(&options, &format!("cat {file}")).out, "text");
        for (attack, args) in [
            ("write", [file.as_str(), ""]),
            ("open-rw", [file.as_str(), ""]),
            ("chmod", [file.as_str(), ""]),
            ("write", [&place.text("data/new"), ""]),
            ("rename", [file.as_str(), &place.text("data/other")]),
            ("link", [file.as_str(), &place.text("data/other")]),
        ] {
            let said = place.inside(&options, &[attack, args[0], args[1]]);
            assert_eq!(said.out, "errno 30", "{attack}: {said:?}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    }
}

#[test]
fn a_write_bind_can_be_changed_and_its_files_keep_their_owner() {
    for who in everyone() {
        let place = Place::new(who);
        let (data, file) = (place.text("data"), place.make_file("data/file", "text"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let script =
            format!("cd {data} && cat file && echo more >> file && mkdir -p a/b && mv file a/b/c");
        let said = place.script(&["--write", &data], &script);
        assert_eq!((said.out.as_str(), said.code), ("text", 0), "{said:?}");
        let moved = place.path("data/a/b/c");
        assert_eq!(fs::read_to_string(&moved).unwrap(), "textmore\n");
        let owner = fs::metadata(place.path("data")).unwrap().uid();
        assert_eq!(fs::metadata(&moved).unwrap().uid(), owner);
        assert_eq!(fs::metadata(place.path("data/a")).unwrap().uid(), owner);
    }
}

#[test]
fn without_a_map_of_owners_the_payload_of_root_cannot_read_roots_files() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new(Who::Root);
    let (data, file) = (place.text("data"), place.make_file("data/file", "text"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.inside(&["--read", &data], &["read", &file]).out, "ok");
    let (probe, attack) = (place.text("tools/probe"), place.text("tools/attack"));
    let out = std::process::Command::new(probe)
        .args(["--read", &place.text("tools"), "--read", &data])
        .args([&place.text("scratch"), "--", &attack, "read", &file])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "errno 13");
}

#[test]
fn a_masked_place_is_there_and_may_not_be_looked_into() {
    for who in everyone() {
        let place = Place::new(who);
        place.make_dir("data/dir");
        place.make_file("data/dir/key", "secret");
        place.make_file("data/file", "secret");
        let data = place.text("data");
        for (name, kind) in [("dir", "dir"), ("file", "file"), ("absent", "dir")] {
            let target = place.text(&format!("data/{name}"));
            let options = ["--write", &data, "--mask", &target];
            let look = if kind == "dir" { format!("ls {target}") } else { format!("cat {target}") };
            let said = place.script(&options, &look);
            assert_eq!(said.out, "", "{name}: {said:?}");
            assert!(said.err.contains("Permission denied"), "{name}: {said:?}");
            for attack in ["write", "chmod"] {
                let said = place.inside(&options, &[attack, &target]);
                assert!(said.out.starts_with("errno"), "{attack} {name}: {said:?}");
            }
            let moved = place.text("data/moved");
            let said = place.inside(&options, &["rename", &target, &moved]);
            assert_eq!(said.out, "errno 16", "{name}: {said:?}");
        }
        assert_eq!(fs::read_to_string(place.path("data/file")).unwrap(), "secret");
        assert!(!place.path("data/absent").exists(), "what was made on the host is taken away");
    }
}

#[test]
fn a_mask_where_nothing_is_granted_shows_only_itself() {
    for who in everyone() {
        let place = Place::new(who);
        let secrets = place.make_dir("home/.ssh");
        place.make_file("home/.ssh/id", "secret");
        let key = place.text("home/.ssh/id");
        assert_eq!(place.inside(&[], &["read", &key]).out, "errno 2");
        assert_eq!(place.inside(&["--mask", &secrets], &["read", &key]).out, "errno 13");
        let home = place.text("home");
        assert_eq!(place.script(&["--mask", &secrets], &format!("ls -A {home}")).out, ".ssh");
    }
}

#[test]
fn a_hidden_place_is_covered_and_an_absent_one_left_alone() {
    for who in everyone() {
        let place = Place::new(who);
        place.make_dir("data/dir");
        let file = place.make_file("data/dir/file", "secret");
        let (data, dir) = (place.text("data"), place.text("data/dir"));
        let absent = place.text("data/absent");
        let options = ["--write", &data, "--hide", &dir, "--hide", &absent];
        assert_eq!(place.inside(&["--write", &data], &["read", &file]).out, "ok");
        assert_eq!(place.inside(&options, &["read", &file]).out, "errno 13");
        assert_eq!(place.inside(&options, &["read", &absent]).out, "errno 2");
    }
}

#[test]
fn a_place_bound_on_itself_cannot_be_moved_away_with_what_protects_it() {
    for who in everyone() {
        let place = Place::new(who);
        let (data, git) = (place.text("data"), place.make_dir("data/.git"));
        let hooks = place.make_dir("data/.git/hooks");
        let steal = format!("cd {data} && mv .git x && cp -r x .git && echo evil > .git/hooks/p");
        // The oracle: without a world the way around works.
        assert_eq!(place.outside_script(&steal).code, 0);
        fs::remove_dir_all(&git).unwrap();
        fs::rename(place.path("data/x"), &git).unwrap();
        let whole = ["--write", &data, "--write", &git, "--read", &hooks];
        let said = place.script(&whole, &steal);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.err.contains("busy"), "{said:?}");
        assert!(place.path("data/.git/hooks").read_dir().unwrap().next().is_none());
    }
}

#[test]
fn the_system_is_there_and_read_only() {
    for who in everyone() {
        let place = Place::new(who);
        for path in ["/usr/x", "/etc/x", "/x", "/bin/x", "/dev/x", "/home/x"] {
            let said = place.inside(&[], &["write", path]);
            assert!(["errno 30", "errno 2"].contains(&said.out.as_str()), "{path}: {said:?}");
        }
        assert_eq!(place.inside(&[], &["write", "/etc/passwd"]).out, "errno 30");
        let said = place.script(&[], "getent passwd | cut -d: -f1; ls / | tr '\\n' ' '");
        assert!(said.out.starts_with("agent\nnobody\n"), "{said:?}");
        for absent in ["root", "boot", "sys", "srv", "mnt", "work"] {
            assert!(!said.out.split_whitespace().any(|name| name == absent), "{absent}: {said:?}");
        }
    }
}

#[test]
fn private_directories_are_empty_writable_and_gone_afterwards() {
    for who in everyone() {
        let place = Place::new(who);
        let mark = format!("ringfence-test-{}", std::process::id());
        let script = format!(
            "ls -A /tmp /dev/shm /run /var/tmp | grep -v '^/'; for d in /tmp /dev/shm /run \
             /var/tmp /home/agent; do echo x > $d/{mark} && cat $d/{mark}; done"
        );
        let said = place.script(&["--dir", "/home/agent"], &script);
        let name = place.path("").file_name().unwrap().to_str().unwrap().to_owned();
        let lines: Vec<&str> =
            said.out.lines().filter(|line| !line.is_empty() && *line != name).collect();
        assert_eq!(lines, ["x"; 5], "{said:?}");
        assert!(!std::path::Path::new("/tmp").join(mark).exists());
        assert!(place.path("scratch").read_dir().unwrap().next().is_none());
    }
}

#[test]
fn devices_are_the_harmless_ones() {
    for who in everyone() {
        let place = Place::new(who);
        let script = "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 4 /dev/urandom | \
                      wc -c && ls /dev | tr '\\n' ' '";
        let said = place.script(&[], script);
        let expected =
            "3\n4\nfd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
        assert_eq!(said.out.trim(), expected, "{said:?}");
    }
}

#[test]
fn a_link_in_the_plan_is_shown_as_a_link_and_brings_nothing_in() {
    for who in everyone() {
        let place = Place::new(who);
        let (link, file) = (place.text("link"), place.make_file("data/file", "secret"));
        std::os::unix::fs::symlink(place.path("data"), &link).unwrap();
        let through = place.text("link/file");
        assert_eq!(place.outside(&["read", &through]).out, "ok");
        assert_eq!(place.inside(&["--read", &link], &["read", &through]).out, "errno 2");
        assert_eq!(place.inside(&["--read", &link], &["read", &file]).out, "errno 2");
    }
}

#[test]
fn what_cannot_be_bound_stops_the_start_and_is_named() {
    for who in everyone() {
        let place = Place::new(who);
        let absent = place.text("absent");
        let said = place.run(&["--read", &absent], &["true"]);
        assert_eq!(said.code, 125);
        assert!(said.err.contains(&format!("cannot bind `{absent}` into the world")), "{said:?}");
        let link = place.text("link");
        std::os::unix::fs::symlink(place.path("data"), &link).unwrap();
        place.make_dir("data/sub");
        let through = place.text("link/sub");
        let said = place.run(&["--read", &through], &["true"]);
        assert_eq!(said.code, 125, "a source with a link on its way is refused: {said:?}");
        let said = place.run(&["--read", "relative"], &["true"]);
        assert!(said.err.contains("`relative` is not an absolute path"), "{said:?}");
    }
}
