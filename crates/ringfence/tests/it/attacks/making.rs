//! Files and directories that are made in place of the payload: with its user's rights and no
//! others, with its own umask, and nowhere but where its path leads without a link.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::stage::{Side, Stage, Who, everybody, is_long, is_root, text};

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// What the script leaves in `made`, one line each, as somebody outside sees it.
fn listing(stage: &Stage) -> Vec<String> {
    let dir = stage.project().join("made");
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        let name = entry.file_name().into_string().unwrap();
        let (mode, gid) = (meta.mode(), meta.gid());
        lines.push(format!("{name} {mode:o} {}:{gid} {} bytes", meta.uid(), meta.len()));
    }
    lines.sort();
    lines
}

#[test]
fn what_is_made_for_the_payload_is_what_it_would_have_made() {
    let script = "mkdir made; cd made
        > plain; umask 077; > mine; mkdir mine.d; umask 0; > all; mkdir all.d; mkdir -m 1777 t
        umask 777; > none; umask 027; echo one > grows; echo two >> grows; echo three > new
        (umask 7; > in-shell); > after; set -C; > new 2> /dev/null || echo kept
        python3 -I -c 'import os
def ends(name, flags, mode=0o666):
    try: return os.open(name, flags | os.O_WRONLY | os.O_CREAT, mode)
    except OSError as error: print(name, error)
new = ends(\"python\", os.O_EXCL | os.O_APPEND, 0o711)
os.write(new, b\"ab\"); os.lseek(new, 0, 0); os.write(new, b\"c\")
ends(\"python\", os.O_EXCL); ends(\"dangling\", os.O_EXCL)
os.symlink(\"through\", \"link\"); ends(\"link\", os.O_NOFOLLOW); ends(\"link\", os.O_EXCL)
os.write(ends(\"link\", 0), b\"x\"); ends(\"none/x\", 0); ends(\"plain/x\", 0); ends(\"d/\", 0)
readable = os.open(\"both\", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o444)
os.write(readable, b\"both\"); os.lseek(readable, 0, 0); print(os.read(readable, 9))
print(os.get_inheritable(os.open(\"x\", os.O_CREAT)))'
        ls -1";
    for who in everybody() {
        let run = |side| {
            let stage = Stage::new(who, POLICY);
            let output = stage.script(side, script);
            (String::from_utf8(output.stdout).unwrap(), listing(&stage))
        };
        let ((ours, made), (theirs, expected)) = (run(Side::Inside), run(Side::Outside));
        assert_eq!(made, expected, "{who:?}");
        assert_eq!(ours, theirs, "{who:?}");
        assert!(made.len() > 15, "{who:?}: {made:?}");
    }
}

#[test]
fn a_setgid_directory_hands_on_its_group_and_no_more() {
    if !is_root() {
        return;
    }
    let stage = Stage::new(Who::Ordinary, POLICY);
    let shared = stage.project().join("shared");
    fs::create_dir(&shared).unwrap();
    chown(&shared, Some(0), Some(51_999)).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o2777)).unwrap();
    let said = stage.script(Side::Inside, "umask 0; > shared/f; mkdir shared/d");
    let of = |name: &str| {
        let meta = fs::metadata(shared.join(name)).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    let uid = fs::metadata(stage.project()).unwrap().uid();
    assert_eq!(of("f"), (uid, 51_999, 0o666), "{}", text(&said));
    assert_eq!(of("d"), (uid, 51_999, 0o2777), "{}", text(&said));
}

/// Root starts the world, and may write everywhere; its payload may not.
#[test]
fn what_only_root_could_make_is_not_made_for_the_payload() {
    if !is_root() {
        return;
    }
    let script = "for dir in theirs group closed/in; do > $dir/x; mkdir $dir/d; done; > ours/x";
    for (side, expected) in [(Side::Outside, true), (Side::Inside, false)] {
        let stage = Stage::new(Who::Root, POLICY);
        for (dir, owner, mode) in [
            ("ours", (0, 0), 0o755),
            ("theirs", (51_998, 51_998), 0o755),
            ("group", (51_998, 0), 0o770),
            ("closed", (51_998, 51_998), 0o700),
            ("closed/in", (51_998, 51_998), 0o777),
        ] {
            let path = stage.project().join(dir);
            fs::create_dir(&path).unwrap();
            chown(&path, Some(owner.0), Some(owner.1)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let said = text(&stage.script(side, script));
        for made in ["theirs/x", "theirs/d", "group/x", "group/d", "closed/in/x", "closed/in/d"] {
            assert_eq!(stage.has(&format!("project/{made}")), expected, "{made}: {said}");
        }
        assert!(stage.has("project/ours/x"), "{said}");
    }
}

/// A directory of the project that becomes, again and again, a link to one that is not.
#[test]
fn a_link_put_in_place_of_the_directory_leads_nothing_outside() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let (dir, link) = (stage.project().join("d"), stage.project().join("e"));
        fs::create_dir(&dir).unwrap();
        stage.give(&dir);
        symlink(stage.home().join("outside"), &link).unwrap();
        let tries = if is_long() { 10_000 } else { 1_000 };
        let script = format!(
            "i=0; while [ $i -lt {tries} ]; do i=$((i + 1)); echo > d/f$i; mkdir d/d$i; done 2> /dev/null; > tried"
        );
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let said = stage.script(Side::Inside, &script);
            over.store(true, Ordering::Relaxed);
            assert!(stage.has("project/tried"), "{}", text(&said));
        });
        let real = [dir, link].into_iter().find(|path| !path.is_symlink()).unwrap();
        assert!(fs::read_dir(real).unwrap().count() > 0, "{who:?}: nothing was made at all");
        let outside = fs::read_dir(stage.home().join("outside")).unwrap().count();
        assert_eq!(outside, 0, "{who:?}");
    }
}
