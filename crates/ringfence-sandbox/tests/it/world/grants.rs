//! Grants made and revoked while the payload runs.

use std::fs;

use super::harness::{Place, everyone};

#[test]
fn a_grant_appears_in_running_processes_and_a_revoke_takes_it_away() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        place.make_file("data/file", "text");
        let script = "cd /srv; cat data/file 2>&1 | grep -o 'No such file'; \
             until cat data/file 2>/dev/null; do sleep 0.05; done; echo; \
             echo more >> data/file && mkdir data/new && exec 5<data/file && echo written; \
             while test -e data/file; do sleep 0.05; done; echo gone; cat <&5; \
             echo x > /srv/data/late || echo refused; echo end";
        let mut live = place.live(&["--grantable", "/srv"], script);
        assert_eq!(live.line(), "No such file");
        assert_eq!(live.tell(&format!("copy {data} /srv/data")), "done");
        assert_eq!(live.line(), "text");
        assert_eq!(live.line(), "written");
        assert_eq!(live.tell("revoke /srv/data"), "done");
        assert_eq!(live.line(), "gone");
        // An open descriptor survives: it was permitted when it was opened.
        assert_eq!(live.line(), "textmore");
        assert_eq!(live.line(), "refused");
        assert_eq!(live.line(), "end");
        assert_eq!(live.end(), 0);
        assert!(place.path("data/new").exists() && !place.path("data/late").exists());
    }
}

#[test]
fn a_granted_file_and_a_read_grant_are_no_more_than_that() {
    for who in everyone() {
        let place = Place::new(who);
        let top = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let (file, data) = (place.make_file("data/file", "text"), place.text("data"));
        place.make_file("data/other", "other");
        let script = format!(
            "until cat {file} 2>/dev/null; do sleep 0.05; done; echo; \
             cat {data}/other 2>&1 | grep -o 'No such file'; \
             echo x >> {file} 2>/dev/null || echo unwritable; echo end"
        );
        let mut live = place.live(&["--grantable", &top], &script);
        assert_eq!(live.tell(&format!("read {file}")), "done");
        assert_eq!(live.line(), "text");
        assert_eq!(live.line(), "No such file");
        assert_eq!(live.line(), "unwritable");
        assert_eq!(live.line(), "end");
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    }
}

#[test]
fn masks_and_protected_places_beneath_a_grant_stay_covered_from_its_first_moment() {
    for who in everyone() {
        let place = Place::new(who);
        let top = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let data = place.text("data");
        let (secret, hooks) = (place.make_dir("data/secret"), place.make_dir("data/hooks"));
        let key = place.make_file("data/secret/key", "SECRET");
        place.make_file("data/file", "text");
        // Reads the key as fast as it can while the grant comes and goes.
        let script = format!(
            "until test -e {data}/file; do cat {key} 2>/dev/null; done; echo there; \
             cat {key} 2>&1 | grep -o 'Permission denied'; \
             echo x > {hooks}/x 2>/dev/null || echo protected; \
             echo x > {data}/x && echo written; mv {secret} {data}/y 2>/dev/null || echo fixed; \
             echo end"
        );
        let options = ["--grantable", &top, "--mask", &secret, "--read", &hooks];
        let mut live = place.live(&options, &script);
        assert_eq!(live.tell(&format!("write {data}")), "done");
        let expected = ["there", "Permission denied", "protected", "written", "fixed", "end"];
        for line in expected {
            assert_eq!(live.line(), line);
        }
    }
}

#[test]
fn a_revoke_finds_its_mount_wherever_the_payload_has_moved_it() {
    for who in everyone() {
        let place = Place::new(who);
        let top = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let data = place.text("data");
        place.make_dir("data/a");
        let inner = place.make_dir("data/a/b");
        place.make_dir("granted");
        place.make_file("granted/file", "text");
        let script = format!(
            "cd {data}; until cat a/b/file 2>/dev/null; do sleep 0.05; done; echo; \
             mv a moved && mkdir -p a/b; cat moved/b/file && echo; echo moved; \
             while test -e moved/b/file; do sleep 0.05; done; echo gone"
        );
        let mut live = place.live(&["--grantable", &top, "--write", &data], &script);
        let source = place.text("granted");
        assert_eq!(live.tell(&format!("copy {source} {inner}")), "done");
        for line in ["text", "text", "moved"] {
            assert_eq!(live.line(), line);
        }
        assert_eq!(live.tell(&format!("revoke {inner}")), "done");
        assert_eq!(live.line(), "gone");
    }
}

#[test]
fn a_grant_that_cannot_be_made_is_an_error_and_changes_nothing() {
    for who in everyone() {
        let place = Place::new(who);
        let top = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let data = place.text("data");
        let link = place.text("link");
        std::os::unix::fs::symlink("/etc", &link).unwrap();
        let mut live = place.live(&["--grantable", &top], "sleep 20");
        let absent = place.text("absent");
        assert!(live.tell(&format!("read {absent}")).contains("No such file"));
        assert!(live.tell(&format!("read {link}")).starts_with("error: cannot bind"));
        assert!(live.tell("read /usr/share").contains("lies outside"));
        assert!(live.tell(&format!("copy {data} /nowhere/x")).contains("lies outside"));
        assert!(live.tell(&format!("read {top}")).contains("lies outside"));
        assert!(live.tell(&format!("revoke {data}")).contains("is not a grant"));
        assert_eq!(live.tell(&format!("read {data}")), "done");
        assert_eq!(live.tell(&format!("revoke {data}")), "done");
        assert!(live.tell(&format!("revoke {data}")).contains("is not a grant"));
        assert!(live.tell("revoke /usr").contains("is not a grant"));
        live.kill();
    }
}

#[test]
fn a_grant_through_a_link_that_the_payload_planted_is_refused() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        place.make_dir("granted");
        let script = format!("ln -s /tmp {data}/trap; echo ready; sleep 20");
        let mut live = place.live(&["--write", &data], &script);
        assert_eq!(live.line(), "ready");
        let source = place.text("granted");
        let answer = live.tell(&format!("copy {source} {data}/trap/x"));
        assert!(answer.starts_with("error: cannot bind"), "{answer}");
        live.kill();
    }
}
