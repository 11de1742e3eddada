//! Changes to files: what is seen of them, by which path, and what is no change at all.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use ringfence_sandbox::notify::Attempt;

use super::harness::{Scratch, Session, line, unfiltered};

/// Runs a shell command in the directory and permits all it does; what was attempted, and output.
fn shell(scratch: &Scratch, command: &str) -> (Vec<String>, String) {
    let mut lines = Vec::new();
    let command = format!("cd {}; {command}", scratch.path().display());
    let output =
        Session::start("w", &["run", "/bin/bash", "-c", &command], &["/dev", "/proc", "/tmp"]).run(
            |attempt| {
                lines.push(scratch.short(&line(&attempt)));
                attempt.allow();
            },
        );
    (lines, output)
}

fn attempts(command: &str) -> Vec<String> {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.at("d")).unwrap();
    std::fs::write(scratch.at("f"), "text").unwrap();
    symlink("d", scratch.at("to-d")).unwrap();
    symlink("f", scratch.at("to-f")).unwrap();
    symlink("d/absent", scratch.at("dangling")).unwrap();
    shell(&scratch, command).0
}

#[test]
fn each_change_is_seen_with_its_kind_and_path() {
    for (command, expected) in [
        ("> new", "Created $D/new"),
        ("> f", "Modified $D/f"),
        (">> d/../f", "Modified $D/f"),
        ("> $PWD//d/./new", "Created $D/d/new"),
        ("rm f", "Deleted $D/f"),
        ("rmdir d/", "Deleted $D/d"),
        ("mkdir d/e", "Created $D/d/e"),
        ("mkdir d/e/", "Created $D/d/e"),
        ("mv f g", "Deleted $D/f, Created $D/g"),
        ("mv -T d e", "Deleted $D/d, Created $D/e"),
        ("> g; mv -f f g", "Created $D/g|Deleted $D/f, Modified $D/g"),
        ("ln f g", "Created $D/g"),
        ("ln -s f g", "Created $D/g"),
        ("mkfifo p", "Created $D/p"),
        ("perl -e 'truncate(\"f\", 1)'", "Modified $D/f"),
    ] {
        assert_eq!(attempts(command).join("|"), expected, "{command}");
    }
}

#[test]
fn symbolic_links_are_followed_where_the_kernel_follows_them() {
    for (command, expected) in [
        ("> to-d/new", "Created $D/d/new"),
        ("> to-d/../new", "Created $D/new"),
        ("> to-f", "Modified $D/f"),
        ("> dangling", "Created $D/d/absent"),
        ("rm to-f", "Deleted $D/to-f"),
        ("mv to-f g", "Deleted $D/to-f, Created $D/g"),
        ("mkdir dangling", ""),
        ("set -C; > dangling", ""),
        ("ln -sfn d/x to-d; > to-d", "Created $D/|Created $D/d/x"),
        ("exec 9<to-d; cd to-d; > ../new", "Created $D/new"),
    ] {
        let seen = attempts(command);
        // `ln -f` makes its link under a random name first.
        let seen: Vec<_> = seen
            .iter()
            .filter(|line| !line.starts_with("Deleted $D/Cu"))
            .map(|line| if line.starts_with("Created $D/Cu") { "Created $D/" } else { line })
            .collect();
        assert_eq!(seen.join("|"), expected, "{command}");
    }
}

#[test]
fn paths_through_proc_are_those_of_the_process() {
    for (command, expected) in [
        ("> /proc/self/cwd/new", "Created $D/new"),
        ("> /proc/thread-self/cwd/to-d/new", "Created $D/d/new"),
        ("> /proc/$$/root/$PWD/new", "Created $D/new"),
        ("exec 9<f; > /proc/self/fd/9", "Modified $D/f"),
        ("exec 9<f; > /dev/fd/9", "Modified $D/f"),
        ("exec 9<d; > /proc/self/fd/9/new", "Created $D/d/new"),
        ("> /dev/null; > /dev/stdout", ""),
        ("exec 9<f; rm f; > /dev/fd/9", "Deleted $D/f"),
    ] {
        assert_eq!(attempts(command).join("|"), expected, "{command}");
    }
}

#[test]
fn what_would_fail_is_no_attempt() {
    for command in [
        "> none/new",
        "> f/new",
        "> d",
        "rm none",
        "mkdir d",
        "mkdir none/d",
        "ln -s x f",
        "mv none x",
        "set -C; > f",
        "cat f d/none",
        "> /proc/self/fd/77",
    ] {
        assert_eq!(attempts(&format!("{command} 2>&-")), Vec::<String>::new(), "{command}");
    }
}

#[test]
fn errors_are_those_of_the_kernel() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.at("d")).unwrap();
    symlink("loop", scratch.at("loop")).unwrap();
    symlink("d", scratch.at("to-d")).unwrap();
    let create = (libc::O_CREAT | libc::O_WRONLY).to_string();
    let careful = (libc::O_CREAT | libc::O_WRONLY | libc::O_NOFOLLOW).to_string();
    let write = libc::O_WRONLY.to_string();
    let long = format!("/{}", "x".repeat(5000));
    let name = "y".repeat(300);
    for (path, flags) in [
        (scratch.at("none/x"), &create),
        (scratch.at("d"), &create),
        (scratch.at("d"), &write),
        (scratch.at("d/"), &write),
        (scratch.at("loop"), &create),
        (scratch.at("loop/x"), &create),
        (scratch.at("to-d"), &careful),
        (scratch.at("none"), &write),
        (scratch.at(&name), &create),
        (long, &create),
        (String::new(), &create),
        (scratch.at("d/."), &create),
        (scratch.at("d/none/.."), &create),
    ] {
        let args = ["open", &path, flags.as_str()];
        let output = Session::start("w", &args, &[]).run(|attempt| panic!("{}", line(&attempt)));
        assert_eq!(output, unfiltered(&args), "{path}");
        assert!(!output.contains("ok"), "{path}");
    }
}

#[test]
fn private_places_need_no_decision_unless_a_link_leads_out_of_them() {
    let scratch = Scratch::new();
    let private = tempfile::tempdir_in("/tmp").unwrap();
    let tmp = private.path().display();
    let (lines, _) = shell(&scratch, &format!("> {tmp}/x; mkdir {tmp}/y; mv {tmp}/x {tmp}/y/"));
    assert_eq!(lines, Vec::<String>::new());
    let command = format!("ln -s $PWD {tmp}/out; > {tmp}/out/x; mv {tmp}/out/x {tmp}/x");
    let (lines, _) = shell(&scratch, &command);
    assert_eq!(lines, ["Created $D/x", "Deleted $D/x"]);
    let exposed = format!("{tmp}/exposed");
    let command = format!("cd {tmp}; > exposedx; mkdir exposed; > exposed/x; mv exposed/x y");
    let session = Session::start("w", &["run", "/bin/bash", "-c", &command], &["/tmp", "/dev"]);
    session.listener.expose(ringfence_core::AbsolutePath::parse(&exposed).unwrap());
    let mut lines = Vec::new();
    session.run(|attempt| {
        lines.push(line(&attempt).replace(&exposed, "$E"));
        attempt.allow();
    });
    assert_eq!(lines, ["Created $E", "Created $E/x", "Deleted $E/x"]);
}

#[test]
fn a_denied_change_does_not_happen() {
    let scratch = Scratch::new();
    std::fs::write(scratch.at("f"), "text").unwrap();
    let command = format!("cd {}; rm f; > new; mv f g", scratch.path().display());
    let mut seen = 0;
    let args = ["run", "/bin/bash", "-c", &format!("{command} 2>&-")];
    Session::start("w", &args, &["/dev"]).run(|attempt: Attempt| {
        seen += 1;
        attempt.deny(libc::EACCES);
    });
    assert_eq!(seen, 3);
    assert_eq!(std::fs::read_to_string(scratch.at("f")).unwrap(), "text");
    assert!(!scratch.path().join("new").exists() && !scratch.path().join("g").exists());
}

#[test]
fn a_path_that_is_not_utf_8_cannot_be_decided() {
    let scratch = Scratch::new();
    let (lines, _) = shell(&scratch, r"> $'\xff'");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("openat: path `") && lines[0].ends_with("is not UTF-8"));
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    assert!(!scratch.path().join(name).exists(), "permitting it is refused");
}

#[test]
fn a_thread_is_seen_as_its_process() {
    let scratch = Scratch::new();
    let code = "import os, threading; print(os.getpid()); \
        t = threading.Thread(target=lambda: open('x', 'w')); t.start(); t.join()";
    let command =
        format!("cd {}; exec /usr/bin/python3 -I -c \"{code}\"", scratch.path().display());
    let mut seen = Vec::new();
    let args = ["run", "/bin/bash", "-c", &command];
    let output = Session::start("w", &args, &["/dev"]).run(|attempt| {
        seen.push((attempt.pid, attempt.tid, attempt.parent()));
        attempt.allow();
    });
    let (pid, tid, parent) = seen[0];
    assert_eq!(output, format!("{pid}\n"));
    assert!(tid != pid && parent == Some(std::process::id().cast_signed()));
}

/// What is made in place of the process cannot be told from what it makes itself.
#[test]
fn what_is_made_is_what_the_process_would_have_made() {
    for command in [
        "umask 027; > f; mkdir d; mkfifo p; ln -s x l; ln f h; stat -c '%A %h %N %U %G' *",
        "umask 0; install -m 600 /dev/null f; mkdir -m 1777 d; stat -c '%A %N' *",
        "echo one > f; echo two > f; echo three >> f; cat f; ls -l /proc/self/fd 8> f | wc -l",
        "exec 7> f; cat /proc/self/fdinfo/7 | grep flags; echo x >&7; cat f",
        "exec 7>> f; cat /proc/self/fdinfo/7 | grep flags; readlink /proc/self/fd/7 | wc -l",
        "mkfifo p; cat p & echo through > p; wait",
        "mkfifo p; exec 5<> p; echo both > p; read x <&5; echo $x",
        "echo out > /dev/stdout; echo null > /dev/null; echo tty > /dev/tty; echo $?",
        "mkdir d; mv d e/; mv e f; ls; mv -T f f/x; > g; mv g h/; echo $?; mv f/. k; mv . k",
        "> f; ln f g/; ln -s f g/; mkfifo g/; > g/; mkdir g/; ls -F; ln -s f l; mv l/ m; ls -F",
        "> a; > b; mv --exchange a b; ln -s nowhere l; mkdir l; ln l m; readlink m; > l; ls",
        "ulimit -n 9; for i in 1 2 3 4 5; do eval \"exec $((i + 4))> f$i\"; done; ls",
        "mkdir d d/e; > f; ln -s d l; ln -s f m; mkfifo p; python3 -I -c 'import os\n\
         for path in \"d d/ d/. d/.. f f/ l l/ m m/ p / . .. none none/ none/. f/x \".split(\" \"):\n\
          for act in os.unlink, os.rmdir:\n\
           try: print(path, act(path))\n\
           except OSError as error: print(path, error)'; ls",
        "python3 -I -c 'import os\nd = os.open(\".\", os.O_RDONLY)\n\
         f = os.open(\".\", os.O_TMPFILE | os.O_RDWR); os.write(f, b\"kept\")\n\
         os.link(f\"/proc/self/fd/{f}\", \"kept\", dst_dir_fd=d, follow_symlinks=True)\n\
         print(open(\"kept\").read(), os.get_inheritable(os.open(\"x\", os.O_CREAT)))'",
    ] {
        let run = |start: &dyn Fn(&[&str]) -> String| {
            let scratch = Scratch::new();
            let command = format!("exec 2>&1; cd {}; {command}", scratch.path().display());
            scratch.short(&start(&["run", "/bin/bash", "-c", &command]))
        };
        let ours = run(&|args| {
            Session::start("w", args, &["/dev", "/proc"]).run(|attempt| {
                attempt.allow();
            })
        });
        assert_eq!(ours, run(&unfiltered), "{command}");
    }
}

/// The mask counts that a process has by then, whoever set it: itself, another thread of it, or
/// another process with which it is shared.
#[test]
fn what_is_made_has_the_permissions_that_the_process_leaves_it() {
    for command in [
        "for m in 0 077 027 0 777 7; do umask $m; > $m; mkdir d$m; > x$m; done; stat -c '%A %n' *",
        "umask 077; > a; (umask 0; > b; bash -c '> c; umask 7; > d'; > e); > f; stat -c '%A %n' *",
        "for i in {1..40}; do umask $((i % 8)); > $i; done; stat -c '%A %n' *",
        "python3 -I -c 'import os, threading\ndef make(name): os.close(os.open(name, os.O_CREAT))\n\
         for i in range(40):\n  make(f\"a{i}\")\n\
           t = threading.Thread(target=os.umask, args=(i,)); t.start(); t.join(); make(f\"b{i}\")\n\
         '; stat -c '%A %n' *",
        // A process with the same mask: clone(CLONE_FS | SIGCHLD).
        "python3 -I -c 'import ctypes, os\nc = ctypes.CDLL(None)\n\
         def make(name): os.close(os.open(name, os.O_CREAT))\n\
         os.umask(0); make(\"a\")\n\
         if c.syscall(56, 0x211, 0, 0, 0, 0) == 0: os.umask(0o77); os._exit(0)\n\
         os.wait(); make(\"b\")'; stat -c '%A %n' *",
        // A thread with a mask of its own: unshare(CLONE_FS).
        "python3 -I -c 'import ctypes, os, threading\nc = ctypes.CDLL(None)\n\
         def make(name): os.close(os.open(name, os.O_CREAT))\n\
         def apart(): c.unshare(0x200); os.umask(0o77); make(\"b\")\n\
         os.umask(0); make(\"a\")\n\
         t = threading.Thread(target=apart); t.start(); t.join(); make(\"c\")'; stat -c '%A %n' *",
    ] {
        let run = |start: &dyn Fn(&[&str]) -> String| {
            let scratch = Scratch::new();
            let command = format!("exec 2>&1; cd {}; {command}", scratch.path().display());
            scratch.short(&start(&["run", "/bin/bash", "-c", &command]))
        };
        let ours = run(&|args| {
            Session::start("w", args, &["/dev", "/proc"]).run(|attempt| {
                attempt.allow();
            })
        });
        assert_eq!(ours, run(&unfiltered), "{command}");
        assert!(!ours.contains("rror") && ours.lines().count() > 1, "{ours}");
    }
}

#[test]
fn a_bound_socket_is_a_file_that_is_made() {
    let long = "x".repeat(100);
    for name in
        ["s", "d/s", "to-d/s", "$D/d/../s", "none/s", "f", "dangling", "s/", "@s", ".", &long]
    {
        let run = |start: &dyn Fn(&[&str]) -> String| {
            let scratch = Scratch::new();
            std::fs::create_dir(scratch.at("d")).unwrap();
            std::fs::write(scratch.at("f"), "").unwrap();
            symlink("d", scratch.at("to-d")).unwrap();
            symlink("d/absent", scratch.at("dangling")).unwrap();
            let name = name.replace("$D", "/proc/self/cwd").replacen('@', "@ringfence-", 1);
            let said = start(&["bind", &name, scratch.path().to_str().unwrap()]);
            let mode = std::fs::symlink_metadata(scratch.at("s")).ok().map(|it| it.permissions());
            format!("{said}{mode:?}")
        };
        let made = std::cell::Cell::new(0);
        let ours = run(&|args| {
            Session::start("w", args, &["/dev", "/proc"]).run(|attempt| {
                assert!(line(&attempt).starts_with("Created /"), "{}", line(&attempt));
                made.set(made.get() + 1);
                attempt.allow();
            })
        });
        assert_eq!(ours, run(&unfiltered), "{name}");
        let makes = !["none/s", "f", "dangling", "s/", "@s", "."].contains(&name);
        assert_eq!(made.get() > 0, makes, "{name}");
    }
    let args = ["bind-others"];
    let ours = Session::start("w", &args, &[]).run(|attempt| panic!("{}", line(&attempt)));
    assert_eq!(ours, unfiltered(&args));
}

#[test]
fn a_socket_that_is_denied_its_path_makes_no_file() {
    let scratch = Scratch::new();
    let path = scratch.at("s");
    let output = Session::start("w", &["bind", &path], &[]).run(|attempt: Attempt| {
        assert_eq!(line(&attempt), format!("Created {path}"));
        attempt.deny(libc::EACCES);
    });
    assert!(output.starts_with("bind EACCES"), "{output}");
    assert!(!std::path::Path::new(&path).exists());
}
