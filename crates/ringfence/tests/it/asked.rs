//! Files that are asked about: a question for each open, answered by a person, and what was decided is
//! what is opened.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use serde_json::Value;

use crate::run::{Person, Terminal, each, wait_for};

/// Notes are read, a key is touched, and `out` is changed only after a question.
const POLICY: &str = r#"
@id("programs") permit (principal, action == Action::"exec", resource);
@id("project") permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
@id("out") permit (principal, action == Action::"fs.read", resource in Dir::"HOME/out");
@id("ask-notes") permit (principal, action == Action::"fs.read", resource in Dir::"HOME/notes")
when { context.approvals.contains("owner") };
@id("never") forbid (principal, action in Action::"fs", resource in Dir::"HOME/notes/never");
@id("ask-key") forbid (principal, action in Action::"fs", resource == Path::"PROJECT/key")
unless { context.approvals.contains("owner") };
@id("later") forbid (principal, action == Action::"fs.read", resource in Dir::"PROJECT/later");
@id("ask-out") permit (principal, action in [Action::"fs.write", Action::"fs.delete"],
                       resource in Dir::"HOME/out")
when { context.approvals.contains("owner") };
"#;

fn each_asking(check: impl Fn(&Person)) {
    each_asking_under(POLICY, check);
}

fn each_asking_under(policy: &str, check: impl Fn(&Person)) {
    each(policy, |person| {
        let home = &person.home;
        home.write(".config/ringfence/settings.toml", "roles = [\"owner\"]\n");
        home.write("notes/a", "secret of a\n");
        home.write("notes/sub/b", "secret of b\n");
        home.write("notes/never/c", "secret of c\n");
        home.write("project/key", "secret key\n");
        home.write("project/free", "free\n");
        home.write("out/old", "old\n");
        person.own();
        check(person);
    });
}

fn read(person: &Person, name: &str) -> String {
    fs::read_to_string(person.home.path(name)).unwrap_or_default()
}

#[test]
fn each_read_of_a_file_is_a_question_and_the_answer_holds_for_that_read() {
    each_asking(|person| {
        for name in ["notes/a", "notes/sub/b", "project/key"] {
            let path = person.home.path(name).display().to_string();
            let script = format!("cat {path}; echo \"= $?\"; cat {path}; echo \"== $?\"");
            let mut terminal = Terminal::start(person, &script);
            let asked = terminal.answers("allow once");
            assert!(asked.contains("read") && asked.contains(&path), "{asked}");
            terminal.answers("refuse");
            assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.seen);
            let seen = &terminal.seen;
            assert!(seen.contains("= 0") && seen.contains("== 1"), "{name}: {seen}");
            assert_eq!(seen.matches("secret").count(), 1, "{name}: {seen}");
        }
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains("approved"), "{log}");
    });
}

#[test]
fn without_anybody_to_ask_nothing_is_read_or_changed_and_a_grant_answers_for_all() {
    each_asking(|person| {
        let [notes, out, key] =
            ["notes", "out", "project/key"].map(|it| person.home.path(it).display().to_string());
        let script = format!(
            "{{ cat {notes}/a {notes}/sub/b {key}; echo x > {out}/new; echo x >> {out}/old; \
             rm -f {out}/old; mkdir {out}/d; mv {out}/old {out}/moved; truncate -s 0 {out}/old; \
             true > {key}; rm -f {key}; cat free; cat {out}/old; }} 2>&1 | cat"
        );
        let ended = person.sh(&script);
        assert!(!ended.out.contains("secret"), "{ended}");
        assert!(ended.out.contains("free") && ended.out.contains("old"), "{ended}");
        assert!(ended.out.contains("there is no terminal to ask on"), "{ended}");
        assert!(ended.out.contains(&format!("ringfence grant fs.read:{notes}/a")), "{ended}");
        assert_eq!(fs::read_dir(person.home.path("out")).unwrap().count(), 1);
        assert_eq!(
            (read(person, "out/old"), read(person, "project/key")),
            ("old\n".into(), "secret key\n".into())
        );
        let granted =
            person.ringfence(&["grant", &format!("fs.read:{notes}/a"), "--always", "--yes"]);
        assert_eq!(granted.code, 0, "{granted}");
        let ended = person.sh(&format!("cat {notes}/a; cat {notes}/sub/b"));
        assert!(ended.out.contains("secret of a") && !ended.out.contains("secret of b"), "{ended}");
    });
}

#[test]
fn what_was_approved_is_changed_on_the_host_and_nothing_else() {
    each_asking(|person| {
        let out = person.home.path("out").display().to_string();
        let script = format!(
            "cd {out}; echo new > new; echo \"= $?\"; echo more >> old; echo \"= $?\"; \
             mkdir d; echo \"= $?\"; rm -f old; echo \"= $?\"; echo x > refused; echo \"= $?\""
        );
        let mut terminal = Terminal::start(person, &script);
        for (what, answer) in [
            ("make and write the file", "allow once"),
            ("write ", "allow once"),
            ("make the directory", "allow once"),
            ("delete", "refuse"),
            ("make and write the file", "refuse"),
        ] {
            let asked = terminal.answers(answer);
            assert!(asked.contains(what), "{what}: {asked}");
        }
        terminal.ends();
        assert_eq!(terminal.seen.matches("= 0").count(), 3, "{}", terminal.seen);
        assert_eq!(
            (read(person, "out/new"), read(person, "out/old")),
            ("new\n".into(), "old\nmore\n".into())
        );
        assert!(person.home.path("out/d").is_dir() && !person.home.path("out/refused").exists());
    });
}

#[test]
fn a_question_holds_back_the_call_that_asks_and_no_other() {
    each_asking(|person| {
        let notes = person.home.path("notes").display().to_string();
        let script = format!(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do \
             cat {notes}/a > got$i & done; \
             for i in 1 2 3 4 5 6 7 8; do cat free > copy && cp copy copy$i || exit 9; done; \
             echo > goes-on; wait; cat got*"
        );
        let mut terminal = Terminal::start(person, &script);
        wait_for(|| person.home.path("project/goes-on").exists().then_some(()));
        for _ in 0..20 {
            terminal.answers("allow once");
        }
        terminal.ends();
        assert_eq!(terminal.seen.matches("secret of a").count(), 20, "{}", terminal.seen);
    });
}

/// How a file is read without its plain path, one python expression each; NOTES is the directory.
const WAYS: &[(&str, &str)] = &[
    ("plain", "open(N+'/a').read()"),
    ("dots", "open(N+'/./sub/../a').read()"),
    ("slashes", "open(N.replace('/','//')+'//a').read()"),
    ("own root", "open('/proc/self/root'+N+'/a').read()"),
    ("a thread's root", "open('/proc/thread-self/root'+N+'/a').read()"),
    ("relative", "at(N, 'a')"),
    ("a descriptor of the directory", "of(os.open(N, os.O_RDONLY), 'a')"),
    (
        "a directory opened to read",
        "rd(os.open('a', 0, dir_fd=os.open(N, os.O_RDONLY|os.O_DIRECTORY)))",
    ),
    ("a reference", "rd(os.open('/proc/self/fd/%d' % os.open(N+'/a', os.O_PATH), 0))"),
    ("beneath a reference", "rd(os.open('a', 0, dir_fd=os.open(N, os.O_PATH)))"),
    ("a symbolic link", "link(N+'/a')"),
    ("a link to the directory", "link(N)[0:0] or open('l/a').read()"),
    ("a hard link", "[os.link(N+'/a', 'h'), open('h').read()][1]"),
    ("moved", "[os.rename(N+'/a', 'm'), open('m').read()][1]"),
    ("moved with its directory", "[os.rename(N, 'n'), open('n/a').read()][1]"),
    ("read and written", "open(N+'/a', 'r+').read()"),
    ("appended and read", "open(N+'/a', 'a+').read()"),
    ("made if missing", "rd(os.open(N+'/a', os.O_RDONLY|os.O_CREAT))"),
    ("not following", "rd(os.open(N+'/a', os.O_RDONLY|os.O_NOFOLLOW))"),
    ("openat2", "raw(437, -100, (N+'/a').encode(), bytes(24), 24)"),
    ("by handle", "raw(304, -100, bytes(128), 0)"),
    ("a program", "subprocess.run([N+'/a'], capture_output=True, text=True).stderr"),
    ("a shell's script", "subprocess.run(['sh', N+'/a'], capture_output=True, text=True).stderr"),
    ("the names of what is never read", "'secret'[0:len(os.listdir(N+'/never'))*9]"),
    ("what is never read", "open(N+'/never/c').read()"),
    ("the key by its descriptor", "rd(os.open('key', 0, dir_fd=os.open('.', 0)))"),
    ("a link to the key", "link('key')"),
    ("the key moved", "[os.rename('key', 'k'), open('k').read()][1]"),
    ("the key linked", "[os.link('key', 'k'), open('k').read()][1]"),
    ("the key in a moved project", "[os.rename('.', '../p'), open('../p/key').read()][1]"),
];

const HELP: &str = "
import os, subprocess, ctypes
N = os.environ['NOTES']
def rd(fd): return os.read(fd, 99).decode()
def of(fd, name): return rd(os.open(name, 0, dir_fd=fd))
def at(d, name):
    here = os.getcwd()
    try: os.chdir(d); return open(name).read()
    finally: os.chdir(here)
def link(to):
    try: os.unlink('l')
    except OSError: pass
    os.symlink(to, 'l'); return open('l').read() if os.path.isfile(to) or True and to != N else ''
def raw(*a):
    fd = ctypes.CDLL(None, use_errno=True).syscall(*a)
    if fd < 0: raise OSError(ctypes.get_errno(), 'raw')
    return rd(fd)
";

fn ways(notes: &str) -> String {
    let mut script = format!("NOTES={notes} python3 -I - <<'END'\n{HELP}\n");
    for (name, way) in WAYS {
        script.push_str(&format!(
            "try: print({name:?}, '->', {way})\nexcept Exception as error: print({name:?}, 'not', error)\n"
        ));
    }
    script + "END\n"
}

#[test]
fn no_other_way_to_name_a_file_leads_around_the_question() {
    each_asking(|person| {
        let notes = person.home.path("notes").display().to_string();
        let mut outside = std::process::Command::new("sh");
        outside.args(["-c", &ways(&notes)]).current_dir(person.home.path("project"));
        let oracle = outside.env("HOME", "/").output().unwrap();
        let oracle = String::from_utf8_lossy(&oracle.stdout).into_owned();
        assert!(oracle.matches("secret").count() >= 12, "{oracle}");
    });
    each_asking(|person| {
        let notes = person.home.path("notes").display().to_string();
        let ended = person.sh(&ways(&notes));
        assert!(!ended.out.contains("secret"), "{ended}");
        let tried = ended.out.lines().filter(|line| line.contains(" not ") || line.contains("->"));
        assert_eq!(tried.count(), WAYS.len(), "{ended}");
        assert_eq!(read(person, "notes/a"), "secret of a\n");
        assert_eq!(read(person, "project/key"), "secret key\n");
    });
}

#[test]
fn an_approved_descriptor_is_of_that_file_and_of_nothing_around_it() {
    each_asking(|person| {
        let notes = person.home.path("notes").display().to_string();
        let script = format!(
            "python3 -I - <<'END'
import os, mmap
fd = os.open('{notes}/a', 0)
def tried(what, act):
    try: act(); print(what, 'DONE')
    except OSError as error: print(what, 'not:', error.strerror)
own = '/proc/self/fd/%d' % fd
print('read', os.read(fd, 6), mmap.mmap(fd, 0, prot=mmap.PROT_READ)[7:9])
tried('write again', lambda: os.open(own, os.O_RDWR))
tried('truncate', lambda: os.truncate(own, 0))
tried('permissions', lambda: os.fchmod(fd, 0o777))
tried('times', lambda: os.utime(fd, (1, 1)))
tried('beside', lambda: os.open('b', 0, dir_fd=fd))
tried('above', lambda: os.open(own + '/../sub/b', 0))
tried('linked', lambda: os.link(own, 'linked', follow_symlinks=True))
tried('run', lambda: os.execve(fd, ['a'], {{}}))
tried('mapped', lambda: mmap.mmap(fd, 0, prot=mmap.PROT_READ|mmap.PROT_EXEC))
print('end')
END"
        );
        let mut terminal = Terminal::start(person, &script);
        terminal.answers("allow once");
        terminal.ends();
        assert!(terminal.seen.contains("read b'secret' b'of'"), "{}", terminal.seen);
        assert!(!terminal.seen.contains("DONE"), "{}", terminal.seen);
        assert_eq!(read(person, "notes/a"), "secret of a\n");
    });
}

#[test]
fn a_link_put_there_while_the_question_waits_is_not_followed() {
    each_asking(|person| {
        person.home.write("elsewhere/a", "other secret\n");
        person.own();
        let notes = person.home.path("notes").display().to_string();
        for place in ["notes/a", "notes"] {
            let script = format!("cat {notes}/a; echo \"= $?\"");
            let mut terminal = Terminal::start(person, &script);
            let code = terminal.code("allow once");
            let (path, kept) = (person.home.path(place), person.home.path("kept"));
            fs::rename(&path, &kept).unwrap();
            symlink(person.home.path(&place.replace("notes", "elsewhere")), &path).unwrap();
            terminal.types(&code);
            terminal.ends();
            // The directory is the one that was there when the session began.
            let ended = if place == "notes" { "= 0" } else { "= 1" };
            assert!(terminal.seen.contains(ended), "{place}: {}", terminal.seen);
            assert!(!terminal.seen.contains("other secret"), "{place}: {}", terminal.seen);
            fs::remove_file(&path).unwrap();
            fs::rename(&kept, &path).unwrap();
        }
    });
}

#[test]
fn rules_that_ask_are_part_of_the_plan_and_refused_where_they_cannot_be_held() {
    each_asking(|person| {
        let policy = person.home.path("policy.cedar").display().to_string();
        let plan = person.ringfence(&["policy", "plan", "--policy", &policy, "--agent", "builder"]);
        for said in ["asked about", "fs.read", "ask-notes", "every file that is opened"] {
            assert!(plan.out.contains(said), "{plan}");
        }
        let key = person.home.path("project/key").display().to_string();
        let line = plan.out.lines().find(|line| line.contains(&format!(" {key} "))).unwrap();
        assert!(line.trim_start().starts_with("asked about"), "{line}");
        for option in [&["--review"][..], &["--tier", "landlock"]] {
            let mut words = vec!["run", "--policy", &policy, "--agent", "builder"];
            words.extend(option);
            words.extend(["--", "true"]);
            let refused = person.ringfence(&words);
            assert_eq!(refused.code, 125, "{refused}");
            assert!(refused.err.contains("cannot be asked about"), "{refused}");
        }
    });
}

#[test]
fn a_question_whose_process_was_killed_is_withdrawn() {
    each_asking(|person| {
        let notes = person.home.path("notes").display().to_string();
        let script = format!(
            "cat {notes}/a & until test -e asked; do sleep 0.1; done; kill -9 $!; wait; \
             cat {notes}/sub/b"
        );
        let mut terminal = Terminal::start(person, &script);
        terminal.leaves();
        person.home.write("project/asked", "");
        assert!(terminal.answers("allow once").contains("sub/b"), "{}", terminal.seen);
        assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.seen);
        assert!(terminal.seen.contains("secret of b"), "{}", terminal.seen);
        assert!(!terminal.seen.contains("secret of a"), "{}", terminal.seen);
    });
}

#[test]
fn tools_that_look_before_they_write_ask_where_writing_is_asked_about_and_then_work() {
    each_asking(|person| {
        person.home.write("out/gone", "");
        person.own();
        let out = person.home.path("out").display().to_string();
        let script = format!(
            "cd {out}; test -w old && test -w . && ! test -x old && echo writable; rm gone; \
             chmod 751 old; touch -h -d 2001-02-03 old; chmod 711 .; \
             git init -q --template= r && cd r && echo x > a && git add a && \
             git -c user.name=a -c user.email=a@b commit -qm made && git --no-pager log --oneline && \
             git status --short; echo al''l-done"
        );
        let mut terminal = Terminal::start(person, &script);
        let asked = terminal.answers_until("all-done", "allow once").concat();
        terminal.ends();
        let seen = &terminal.seen;
        assert!(seen.contains("writable") && seen.contains(" made"), "{seen}");
        assert!(!seen.contains("write-protected") && !seen.contains("Read-only"), "{seen}");
        for question in [
            "`rm` (process",
            "delete ",
            "change the permissions",
            "751 of",
            "change the times of",
            "make the directory",
        ] {
            assert!(asked.contains(question), "{question}: {asked}");
        }
        let old = person.home.path("out/old").metadata().unwrap();
        assert_eq!(old.mode() & 0o777, 0o751);
        assert!(old.modified().unwrap().elapsed().unwrap().as_secs() > 20 * 365 * 24 * 3600);
        assert_eq!(person.home.path("out").metadata().unwrap().mode() & 0o777, 0o711);
        assert!(
            person.home.path("out/r/.git/HEAD").exists() && !person.home.path("out/gone").exists()
        );
    });
}

/// git reads no more of a file than it was told there is, and calls what it read the whole of it.
#[test]
fn a_closed_file_looks_as_it_is_so_that_git_keeps_all_of_it() {
    each_asking(|person| {
        for (name, mode) in [("project/key", 0o755), ("notes/a", 0o640), ("notes/sub/b", 0o444)] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(person.home.path(name), mode).unwrap();
        }
        let notes = person.home.path("notes").display().to_string();
        let script = format!(
            "stat -c 'closed %a %s %y' key {notes}/a {notes}/sub/b; \
             git init -q --template= . && git add key && \
             git -c user.name=a -c user.email=a@b commit -qm made; \
             echo \"kept $(git show HEAD:key) $(git ls-tree HEAD key)\"; ./key; echo \"ran $?\"; \
             echo al''l-done"
        );
        let mut terminal = Terminal::start(person, &script);
        terminal.answers_until("all-done", "allow once");
        terminal.ends();
        let seen = &terminal.seen;
        assert!(seen.contains("kept secret key 100755"), "{seen}");
        assert!(seen.contains("ran 126"), "{seen}");
        for (name, mode, bytes) in
            [("project/key", 755, 11), ("notes/a", 640, 12), ("notes/sub/b", 444, 12)]
        {
            let modified = person.home.path(name).metadata().unwrap().mtime_nsec();
            let line = seen.lines().find(|it| {
                it.contains(&format!("closed {mode} {bytes} "))
                    && it.contains(&format!("{modified:09}"))
            });
            assert!(line.is_some(), "{name}: {seen}");
        }
    });
}

/// How permissions and times are changed, one python expression each; OUT is the directory.
const CHANGES: &[(&str, &str)] = &[
    ("by path", "os.chmod(O+'/old', 0o777)"),
    ("by dots", "os.chmod(O+'/../out/./old', 0o777)"),
    ("by a descriptor", "os.fchmod(os.open(O+'/old', 0), 0o777)"),
    ("by the directory", "os.chmod('old', 0o777, dir_fd=os.open(O, 0))"),
    ("by the descriptor's name", "os.chmod('/proc/self/fd/%d' % os.open(O+'/old', 0), 0o777)"),
    ("by a reference", "os.chmod('/proc/self/fd/%d' % os.open(O+'/old', os.O_PATH), 0o777)"),
    ("by a link", "[os.symlink(O+'/old', 'l'), os.chmod('l', 0o777)]"),
    ("by the root", "os.chmod('/proc/self/root'+O+'/old', 0o777)"),
    ("by another name", "[os.link(O+'/old', 'h'), os.chmod('h', 0o777)]"),
    ("fchmodat2", "sys(452, -100, O.encode()+b'/old', 0o777, 0)"),
    ("without a path", "sys(452, os.open(O+'/old', os.O_PATH), b'', 0o777, 0x1000)"),
    ("its owner", "os.chown(O+'/old', os.getuid(), os.getgid()) or os.chown(O+'/old', 1, 1)"),
    ("an attribute", "os.setxattr(O+'/old', 'user.x', b'1')"),
    ("times by path", "os.utime(O+'/old', (1, 1))"),
    ("times by a descriptor", "os.utime(os.open(O+'/old', 0), (1, 1))"),
    ("times by the old call", "sys(132, O.encode()+b'/old', 0)"),
    ("times in seconds", "sys(235, O.encode()+b'/old', 0)"),
    ("times at", "sys(261, -100, O.encode()+b'/old', 0)"),
    ("the directory", "os.chmod(O, 0o777)"),
    ("what is hidden", "os.chmod('key', 0o777)"),
    ("while the path changes", "race()"),
];

const CHANGE_HELP: &str = "
import os, ctypes, threading
O = os.environ['OUT']
def sys(*a):
    if ctypes.CDLL(None, use_errno=True).syscall(*a) < 0: raise OSError(ctypes.get_errno(), 'raw')
def race():
    free, old = os.path.abspath('free').encode(), (O+'/old').encode()
    text = ctypes.create_string_buffer(max(len(free), len(old)) + 1)
    stop = []
    def swap():
        while not stop: text.value = free; text.value = old
    thread = threading.Thread(target=swap); thread.start()
    call, done = ctypes.CDLL(None).chmod, 0
    for _ in range(200): done += call(text, 0o700) == 0
    stop.append(1); thread.join()
    if os.stat(O+'/old').st_mode & 0o777 != 0o700: raise OSError(done, 'the other one')
";

fn changes(out: &str) -> String {
    let mut script = format!("OUT={out} python3 -I - <<'END'\n{CHANGE_HELP}\n");
    for (name, way) in CHANGES {
        script.push_str(&format!(
            "try: {way}; print({name:?}, 'DONE')\nexcept OSError as error: print({name:?}, 'not', error)\n"
        ));
    }
    script + "END\n"
}

#[test]
fn no_way_to_change_permissions_or_times_leads_around_the_question() {
    each_asking(|person| {
        let out = person.home.path("out").display().to_string();
        let mut outside = std::process::Command::new("sh");
        outside.args(["-c", &changes(&out)]).current_dir(person.home.path("project"));
        let oracle = String::from_utf8_lossy(&outside.output().unwrap().stdout).into_owned();
        assert!(oracle.matches("DONE").count() >= CHANGES.len() - 4, "{oracle}");
    });
    each_asking(|person| {
        let out = person.home.path("out").display().to_string();
        let stamp = |name: &str| {
            let of = person.home.path(name).metadata().unwrap();
            (of.mode(), of.mtime(), of.uid())
        };
        let stamps = || ["out/old", "out", "project/key"].map(stamp);
        let before = stamps();
        let ended = person.sh(&changes(&out));
        assert!(!ended.out.contains("DONE"), "{ended}");
        assert_eq!(ended.out.matches(" not ").count(), CHANGES.len(), "{ended}");
        assert_eq!(stamps(), before, "{ended}");
    });
}

#[test]
fn asking_whether_a_file_can_be_opened_is_answered_for_what_is_asked_about_and_for_nothing_else() {
    each_asking(|person| {
        person.home.write("out/closed", "");
        person.own();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o444);
        fs::set_permissions(person.home.path("out/closed"), mode).unwrap();
        let out = person.home.path("out").display().to_string();
        let home = out.strip_suffix("/out").unwrap();
        let script = format!(
            "can() {{ test -$1 $2 && echo yes $1 $2; }}; can w {out}/old; can r {home}/notes/a; \
             can w {out}/closed; can w {home}/notes/a; can r {home}/notes/never/c; can w /etc/passwd; \
             can x {out}/old; can w {out}/absent; true"
        );
        let ended = person.sh(&script);
        let yes: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("yes")).collect();
        let expected = [format!("yes w {out}/old"), format!("yes r {home}/notes/a")];
        assert_eq!(yes, expected.iter().map(String::as_str).collect::<Vec<_>>(), "{ended}");
    });
}

#[test]
fn a_grant_answers_the_questions_that_wait_and_those_that_would_come() {
    each_asking(|person| {
        let out = person.home.path("out").display().to_string();
        let script = format!("cd {out}; echo 1 > old && chmod 700 old && rm old; echo \"= $?\"");
        let mut terminal = Terminal::start(person, &script);
        terminal.leaves();
        let words = ["grant", &format!("fs.write:{out}"), "--session", "--yes"];
        let granted = person.ringfence(&words);
        assert!(granted.code == 0 && granted.err.contains("in force"), "{granted}");
        assert_eq!(terminal.ends().code(), Some(0), "{}", terminal.seen);
        assert!(terminal.seen.contains("= 0"), "{}", terminal.seen);
        assert!(!person.home.path("out/old").exists());
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains("granted meanwhile"), "{log}");
    });
}

#[test]
fn a_grant_for_what_a_forbid_asks_about_is_said_to_be_in_force_as_it_is() {
    each_asking(|person| {
        let key = person.home.path("project/key").display().to_string();
        let (mut child, session) =
            person.start("until test -e go; do sleep 0.1; done; cat key > got");
        let words = ["grant", &format!("fs.read:{key}"), "--session", session.as_str(), "--yes"];
        let granted = person.ringfence(&words);
        assert!(granted.code == 0 && granted.err.contains("\n  in force: "), "{granted}");
        person.home.write("project/go", "");
        child.wait().unwrap();
        assert_eq!(read(person, "project/got"), "secret key\n");
    });
}

#[test]
fn what_is_made_later_where_reading_is_forbidden_is_not_read_by_its_name() {
    each_asking(|person| {
        let script = "until test -e go; do sleep 0.1; done; cat beside later later/a ./later/../later/a; \
                      python3 -I -c \"print(open('later/a', 'r+').read())\"; cat < later/a; echo end";
        let (child, _) = person.start(script);
        person.home.write("project/beside", "beside\n");
        person.home.write("project/later/a", "secret of later\n");
        person.own();
        person.home.write("project/go", "");
        let ended = crate::run::Ended::from(child.wait_with_output().unwrap());
        assert!(ended.out.contains("beside") && ended.out.contains("end"), "{ended}");
        assert!(!ended.out.contains("secret of later"), "{ended}");
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains("denied") && log.out.contains("project/later/a"), "{log}");
    });
}

#[test]
fn what_a_person_refused_is_explained_and_never_suggested_under_the_policy_that_the_session_had() {
    each_asking(|person| {
        let notes = person.home.path("notes").display().to_string();
        let script = format!(
            "cat {notes}/a; curl -sS http://api.example.com/; echo \"= $?\"; cat {notes}/sub/b"
        );
        let mut terminal = Terminal::start(person, &script);
        terminal.answers("refuse");
        terminal.answers("allow once");
        terminal.ends();
        let log = person.ringfence(&["log", "show", "--json"]);
        let entries = log.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut answers = entries.filter(|it| it["entry"]["answer"] == "refused");
        let of = answers.next().unwrap()["entry"]["of"].to_string();
        let explained = person.ringfence(&["explain", &of]);
        assert!(explained.out.contains("answer   refused by `"), "{explained}");
        assert!(explained.out.contains("(entry "), "{explained}");
        let suggests = |refused: bool| {
            let made = person.ringfence(&["suggest"]);
            assert_eq!(made.code, 0, "{made}");
            assert!(made.out.contains("Endpoint::\"api.example.com:80\""), "{made}");
            assert_eq!(made.out.matches("\n+permit(").count(), 1, "{made}");
            assert!(!made.out.contains("\n+.*notes"), "{made}");
            let said = "a person refused this; nothing is suggested";
            assert_eq!(made.err.contains(said), refused, "{made}");
            made
        };
        let made = suggests(true);
        assert!(made.out.contains("policy.cedar") && !made.err.contains("changed since"), "{made}");
        let policy = person.home.path("policy.cedar");
        let text = fs::read_to_string(&policy).unwrap();
        fs::write(&policy, text.replace("/notes\")\nwhen", "/elsewhere\")\nwhen")).unwrap();
        let made = suggests(true);
        assert!(made.err.contains("has been changed since"), "{made}");
        fs::remove_file(&policy).unwrap();
        let made = person.ringfence(&["suggest"]);
        assert_eq!((made.code, made.out.as_str()), (2, ""), "{made}");
        assert!(made.err.contains("that file is gone"), "{made}");
    });
}

#[test]
fn what_no_answer_could_make_possible_is_refused_with_its_reason_and_not_asked_about() {
    each_asking(|person| {
        let [notes, out] = ["notes", "out"].map(|it| person.home.path(it).display().to_string());
        let script = format!(
            "ln {notes}/a h; ln {out}/old h; ln free {out}/h; rmdir {out}; ln key k; ls h k {out}/h; \
             mv {out}/old moved; echo al''l-done"
        );
        let mut terminal = Terminal::start(person, &script);
        // What is moved out is copied: it is read, and then its name goes.
        let asked = terminal.answers("allow once");
        assert!(asked.contains("delete") && asked.contains("/out/old"), "{asked}");
        terminal.ends();
        let seen = &terminal.seen;
        assert!(seen.contains("gets no second name"), "{seen}");
        assert!(seen.contains("is not itself removed"), "{seen}");
        assert_eq!(seen.matches("No such file").count(), 3, "{seen}");
        assert_eq!(
            (read(person, "project/moved"), read(person, "out/old")),
            ("old\n".into(), String::new())
        );
    });
}

#[test]
fn one_answer_allows_all_of_a_place_for_the_session_or_ends_the_program_that_asks() {
    each_asking(|person| {
        let home = &person.home;
        let [notes, out] = ["notes", "out"].map(|it| home.path(it).display().to_string());
        let script = format!(
            "git init -q --template= {out}/ended; echo \"ended $?\"; cat {notes}/a; \
             git init -q {out}/r && touch {out}/r/f && git -C {out}/r add f && \
             git -C {out}/r -c user.name=a -c user.email=a@b commit -qm made; echo \"made $?\"; \
             cat {notes}/sub/b; echo al''l-done"
        );
        let mut terminal = Terminal::start(person, &script);
        let asked = terminal.answers("end `git`");
        assert!(asked.contains("make the directory"), "{asked}");
        // A place of files that are read, and a place that is changed: each is granted for itself.
        terminal.answers("allow once");
        terminal.answers(&format!("grant fs.write:{out} for"));
        let asked = terminal.answers("refuse");
        assert!(asked.contains("/notes/sub/b"), "{asked}");
        terminal.ends();
        let seen = &terminal.seen;
        assert!(seen.contains("ended 143") && seen.contains("made 0"), "{seen}");
        assert!(!home.path("out/ended").exists(), "{seen}");
        assert!(home.path("out/r/.git/HEAD").exists(), "{seen}");
        assert_eq!(seen.matches("secret").count(), 1, "{seen}");
        let log = person.ringfence(&["log", "show"]);
        assert!(log.out.contains(&format!("fs.write:{out} (session ")), "{log}");
        let list = person.ringfence(&["grants", "list"]);
        assert!(!list.out.contains("fs.write"), "{list}");
    });
}

#[test]
fn no_end_is_offered_of_a_process_that_nothing_but_its_number_names() {
    let net = r#"@id("ask-net") permit (principal, action == Action::"net.connect", resource)
when { context.approvals.contains("owner") };"#;
    each_asking_under(&format!("{POLICY}{net}"), |person| {
        let notes = person.home.path("notes").display().to_string();
        let script = format!("curl -sS http://api.example.com/; cat {notes}/a; echo al''l-done");
        let mut terminal = Terminal::start(person, &script);
        // The socket may be another process's by now, and its number one's outside of the world.
        let asked = terminal.answers("refuse");
        assert!(asked.contains("api.example.com") && !asked.contains("] end "), "{asked}");
        let asked = terminal.answers("refuse");
        assert!(asked.contains("/notes/a") && asked.contains("] end `cat`"), "{asked}");
        terminal.ends();
    });
}

#[test]
fn a_place_with_something_like_a_secret_in_it_is_not_offered_but_the_one_file_is() {
    each_asking(|person| {
        person.home.write("notes/sub/.env", "KEY=secret of env\n");
        person.own();
        let notes = person.home.path("notes").display().to_string();
        let script = format!("cat {notes}/a {notes}/a; cat {notes}/sub/.env; echo al''l-done");
        let mut terminal = Terminal::start(person, &script);
        terminal.answers(&format!("grant fs.read:{notes}/a for"));
        let asked = terminal.answers("refuse");
        assert!(asked.contains("/notes/sub/.env") && !asked.contains("] grant "), "{asked}");
        terminal.ends();
        assert_eq!(terminal.seen.matches("secret of a").count(), 2, "{}", terminal.seen);
        assert!(!terminal.seen.contains("secret of env"), "{}", terminal.seen);
    });
}
