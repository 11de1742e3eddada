//! What is covered stays covered, whatever programs outside put in its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::harness::{Place, everyone};

/// What a program outside does to a place while a world runs.
type Change = fn(&Place, &Path);

/// A place in the world: how it is covered, what is there at the start, what happens to it, and the
/// file that would be open.
struct Case {
    name: &'static str,
    /// What the world may do with the directory around.
    tree: &'static str,
    cover: &'static str,
    place: &'static str,
    before: Option<&'static str>,
    change: Change,
    open: &'static str,
}

fn saved(place: &Place, path: &Path) {
    place.make_file("data/new", "SECRET");
    fs::rename(place.path("data/new"), path).unwrap();
}

fn removed_and_made(place: &Place, path: &Path) {
    fs::remove_file(path).unwrap();
    made(place, path);
}

fn made(place: &Place, path: &Path) {
    let name = path.strip_prefix(place.path("")).unwrap().to_str().unwrap().to_owned();
    place.make_dir(Path::new(&name).parent().unwrap().to_str().unwrap());
    place.make_file(&name, "SECRET");
}

fn dir_moved_and_made(place: &Place, path: &Path) {
    fs::rename(path, place.path("data/old")).unwrap();
    made(place, &path.join("key"));
}

fn dir_replaced(place: &Place, path: &Path) {
    place.make_file("key", "SECRET");
    place.make_dir("data/new");
    place.make_file("data/new/key", "SECRET");
    fs::rename(place.path("data/new"), path).unwrap();
}

fn way_moved_and_made(place: &Place, path: &Path) {
    fs::rename(path.parent().unwrap(), place.path("data/old")).unwrap();
    made(place, path);
}

fn linked(place: &Place, path: &Path) {
    place.make_file("data/elsewhere", "SECRET");
    symlink("elsewhere", place.path("data/new")).unwrap();
    fs::rename(place.path("data/new"), path).unwrap();
}

const CASES: &[Case] = &[
    Case {
        name: "a file that is saved by rename",
        tree: "--read",
        cover: "--mask",
        place: "data/netrc",
        before: Some("data/netrc"),
        change: saved,
        open: "data/netrc",
    },
    Case {
        name: "the same where the world may write",
        tree: "--write",
        cover: "--mask",
        place: "data/netrc",
        before: Some("data/netrc"),
        change: saved,
        open: "data/netrc",
    },
    Case {
        name: "a hidden file that is saved by rename",
        tree: "--read",
        cover: "--hide",
        place: "data/netrc",
        before: Some("data/netrc"),
        change: saved,
        open: "data/netrc",
    },
    Case {
        name: "a file that is removed and made anew",
        tree: "--read",
        cover: "--mask",
        place: "data/netrc",
        before: Some("data/netrc"),
        change: removed_and_made,
        open: "data/netrc",
    },
    Case {
        name: "a file that becomes a link",
        tree: "--read",
        cover: "--mask",
        place: "data/netrc",
        before: Some("data/netrc"),
        change: linked,
        open: "data/netrc",
    },
    Case {
        name: "a directory that is moved away",
        tree: "--read",
        cover: "--mask",
        place: "data/aws",
        before: Some("data/aws/key"),
        change: dir_moved_and_made,
        open: "data/aws/key",
    },
    Case {
        name: "an empty directory that is replaced",
        tree: "--write",
        cover: "--mask",
        place: "data/aws",
        before: None,
        change: dir_replaced,
        open: "data/aws/key",
    },
    Case {
        name: "a directory on the way that is moved away",
        tree: "--read",
        cover: "--mask",
        place: "data/config/gh",
        before: Some("data/config/gh"),
        change: way_moved_and_made,
        open: "data/config/gh",
    },
    Case {
        name: "a place at which nothing was, where the world only reads",
        tree: "--read",
        cover: "--mask",
        place: "data/config/gh/token",
        before: None,
        change: made,
        open: "data/config/gh/token",
    },
    Case {
        name: "a hidden place at which nothing was",
        tree: "--write",
        cover: "--hide",
        place: "data/config/gh/token",
        before: None,
        change: made,
        open: "data/config/gh/token",
    },
];

#[test]
fn a_cover_follows_what_takes_the_place_of_what_it_covered() {
    for who in everyone() {
        for case in CASES {
            println!("{who:?}: {}, {}", case.name, case.tree);
            let place = Place::new(who);
            if let Some(before) = case.before {
                made(&place, &place.path(before));
            }
            place.make_file("data/go", "");
            let (data, open) = (place.text("data"), place.text(case.open));
            let cover = place.text(case.place);
            // Where it only reads, it reads as fast as it can, at every moment; elsewhere the cover
            // is a moment late.
            let wait =
                if case.tree == "--read" { format!("cat {open}") } else { "sleep 0.02".into() };
            let script = format!(
                "cat {open}; echo before; until test -s {data}/go; do {wait}; done; \
                 cat {open}; echo after"
            );
            let live = place.live(&[case.tree, &data, case.cover, &cover], &script);
            assert_eq!(live.line(), "before");
            (case.change)(&place, &place.path(case.place));
            // The oracle: it is there, for everybody.
            assert_eq!(place.outside_script(&format!("cat {open}")).out, "SECRET");
            if case.tree == "--write" {
                assert_eq!(live.heard(), format!("covered {cover}"));
            }
            place.make_file("data/go", "now");
            assert_eq!(live.line(), "after");
            assert_eq!(live.end(), 0);
        }
    }
}

#[test]
fn a_directory_shown_part_by_part_is_as_it_is_outside() {
    for who in everyone() {
        let place = Place::new(who);
        for name in ["kept", "changed", "removed", "secret"] {
            place.make_file(&format!("data/{name}"), name);
        }
        place.make_file("elsewhere", "elsewhere");
        place.make_dir("data/dir");
        place.make_file("data/dir/file", "in the directory");
        symlink("kept", place.path("data/link")).unwrap();
        symlink("nowhere", place.path("data/astray")).unwrap();
        assert!(place.outside_script(&format!("mkfifo {}/pipe", place.text("data"))).code == 0);
        let (data, secret) = (place.text("data"), place.text("data/secret"));
        let script = format!(
            "cd {data}; ls -A | tr '\\n' ' '; cat link dir/file; echo; \
             until test -e go; do sleep 0.02; done; ls -A | tr '\\n' ' '; \
             cat changed new link dir/file newdir/file; echo; \
             echo x > kept || echo x > new2 || rm link || rm -r dir || echo only read"
        );
        let live = place.live(&["--read", &data, "--mask", &secret], &script);
        assert_eq!(
            live.line(),
            "astray changed dir kept link pipe removed secret keptin the directory",
            "{who:?}"
        );
        place.make_file("data/new", "new ");
        place.make_file("saved", "saved ");
        fs::rename(place.path("saved"), place.path("data/changed")).unwrap();
        fs::remove_file(place.path("data/removed")).unwrap();
        symlink("new", place.path("newlink")).unwrap();
        fs::rename(place.path("newlink"), place.path("data/link")).unwrap();
        place.make_dir("newdir");
        place.make_file("newdir/file", " moved in");
        fs::rename(place.path("newdir"), place.path("data/newdir")).unwrap();
        place.make_file("data/go", "");
        assert_eq!(
            live.line(),
            "astray changed dir go kept link new newdir pipe secret saved new new in the directory moved in"
        );
        assert_eq!(live.line(), "only read");
        assert_eq!(live.end(), 0);
    }
}

/// Programs write what is to take a file's place next to it, and keep what was there under other names.
#[test]
fn what_is_covered_is_not_shown_under_other_names() {
    const SECRETS: usize = 20;
    for who in everyone() {
        let place = Place::new(who);
        place.make_file("data/netrc", "SECRET");
        place.make_dir("data/ssh");
        place.make_file("data/ssh/key", "SECRET");
        place.make_file("data/go", "");
        let (data, netrc, ssh) =
            (place.text("data"), place.text("data/netrc"), place.text("data/ssh"));
        let script = format!(
            "echo before; until test -s {data}/go; do cat {data}/* {data}/*/* | grep SECRET; done; \
             until test -e {data}/later; do sleep 0.02; done; cat {data}/* {data}/*/* | grep SECRET; echo after"
        );
        let live = place.live(&["--read", &data, "--mask", &netrc, "--mask", &ssh], &script);
        assert_eq!(live.line(), "before");
        let save = format!(
            "cd {data}; for n in $(seq {SECRETS}); do sed -i s/SECRET/SECRET/ netrc; done; \
             mv ssh ssh.bak; ln netrc netrc.hard; mv netrc netrc.bak; cat * */*"
        );
        let outside = place.outside_script(&save).out;
        assert!(outside.matches("SECRET").count() > 2, "{outside}");
        place.make_file("data/later", "");
        place.make_file("data/go", "now ");
        assert_eq!(live.line(), "after", "{who:?}");
        assert_eq!(live.end(), 0);
    }
}

#[test]
fn a_tree_that_is_moved_away_ends_its_world() {
    for who in everyone() {
        let place = Place::new(who);
        place.make_dir("data/tree");
        let netrc = place.make_file("data/tree/netrc", "SECRET");
        let (tree, data) = (place.text("data/tree"), place.text("data"));
        let script = format!("echo before; while sleep 0.02; do cat {netrc}; done");
        let live = place.live(&["--read", &data, "--write", &tree, "--mask", &netrc], &script);
        assert_eq!(live.line(), "before");
        fs::rename(&tree, place.path("data/old")).unwrap();
        place.make_file("new", "SECRET");
        fs::rename(place.path("new"), place.path("data/old/netrc")).unwrap();
        assert_ne!(live.end(), 0, "{who:?}");
    }
}

#[test]
fn a_grant_on_what_is_shown_part_by_part_holds_until_it_is_revoked() {
    for who in everyone() {
        let place = Place::new(who);
        place.make_file("data/secret", "SECRET");
        place.make_dir("data/dir");
        place.make_file("data/dir/file", "");
        let top = place.path("").to_str().unwrap().trim_end_matches('/').to_owned();
        let (data, secret) = (place.text("data"), place.text("data/secret"));
        let script = format!(
            "cd /; until echo x > {data}/written; do cat {secret}; sleep 0.02; done; echo granted; \
             cat {secret}; while test -e {data}/written -a -w {data}; do sleep 0.02; done; \
             until test -e {data}/go; do cat {secret}; done; \
             echo x > {data}/again || echo revoked"
        );
        let options = ["--grantable", &top, "--read", &data, "--mask", &secret];
        let mut live = place.live(&options, &script);
        assert_eq!(live.tell(&format!("write {data}")), "done");
        assert_eq!(live.line(), "granted");
        place.make_file("data/during", "");
        assert_eq!(live.tell(&format!("revoke {data}")), "done");
        place.make_file("data/go", "");
        assert_eq!(live.line(), "revoked");
        assert_eq!(live.end(), 0);
        assert!(place.path("data/written").exists() && !place.path("data/again").exists());
    }
}

#[test]
fn what_is_only_read_stays_so_when_it_is_replaced() {
    for who in everyone() {
        let place = Place::new(who);
        let (data, hooks) = (place.text("data"), place.make_dir("data/git/hooks"));
        let file = place.make_file("data/settings", "old");
        let script = format!(
            "echo before; until test -e {data}/go; do sleep 0.02; done; \
             echo evil > {file} || cat {file}; echo; echo evil > {hooks}/h || echo kept; \
             echo evil > {data}/plain && echo after"
        );
        let options = ["--write", &data, "--read", &file, "--read", &hooks];
        let live = place.live(&options, &script);
        assert_eq!(live.line(), "before");
        place.make_file("data/new", "new");
        fs::rename(place.path("data/new"), &file).unwrap();
        assert_eq!(live.heard(), format!("covered {file}"));
        fs::rename(place.path("data/git"), place.path("data/old")).unwrap();
        place.make_dir("data/git/hooks");
        assert_eq!(live.heard(), format!("covered {hooks}"));
        place.make_file("data/go", "");
        for line in ["new", "kept", "after"] {
            assert_eq!(live.line(), line, "{who:?}");
        }
    }
}

/// Many programs save at once; none of it is open in the end.
#[test]
fn a_cover_follows_many_changes() {
    const CHANGES: usize = 200;
    for who in everyone() {
        let place = Place::new(who);
        let netrc = place.make_file("data/netrc", "SECRET");
        let (data, last) = (place.text("data"), place.make_file("data/last", "SECRET"));
        let script = format!(
            "echo before; until test -e {data}/go; do sleep 0.02; done; cat {netrc}; echo after"
        );
        let live = place.live(&["--write", &data, "--mask", &netrc, "--mask", &last], &script);
        assert_eq!(live.line(), "before");
        for _ in 0..CHANGES {
            saved(&place, Path::new(&netrc));
        }
        // What is told of later comes after all that.
        saved(&place, Path::new(&last));
        while live.heard() != format!("covered {last}") {}
        place.make_file("data/go", "");
        assert_eq!(live.line(), "after", "{who:?}");
    }
}
