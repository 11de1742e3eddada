//! How a world starts, what its payload gets, and how it ends.

use std::time::{Duration, Instant};

use super::harness::{Place, everyone};

#[test]
fn the_payloads_exit_is_the_worlds() {
    for who in everyone() {
        let place = Place::new(who);
        for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)]
        {
            assert_eq!(place.script(&[], script).code, code, "{script}");
        }
    }
}

#[test]
fn a_program_that_cannot_be_started_ends_as_with_env() {
    for who in everyone() {
        let place = Place::new(who);
        let file = place.make_file("tools/plain", "text");
        for notify in [&[][..], &["--notify"][..]] {
            assert_eq!(place.run(notify, &["no-such-program"]).code, 127);
            assert_eq!(place.run(notify, &["/no/such/program"]).code, 127);
            assert_eq!(place.run(notify, &[&file]).code, 126);
            assert_eq!(place.run(notify, &["/usr"]).code, 126);
            assert_eq!(place.run(notify, &["true"]).code, 0);
        }
    }
}

#[test]
fn the_payload_gets_its_environment_directory_and_nothing_else() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        let options = ["--write", &data, "--cwd", &data, "--env", "A=b c"];
        let said = place.script(&options, "pwd; env | sort");
        let expected = format!(
            "{data}\nA=b c\nHOME=/home/agent\nPATH=/usr/local/bin:/usr/bin:/bin\nPWD={data}"
        );
        assert_eq!(said.out, expected, "{said:?}");
        let said = place.run(&["--cwd", "/no/such/place"], &["true"]);
        assert_eq!(said.code, 125);
        assert!(said.err.contains("enter the working directory `/no/such/place`"), "{said:?}");
    }
}

#[test]
fn the_payload_has_no_capability_no_new_privileges_and_a_filter() {
    for who in everyone() {
        let place = Place::new(who);
        let said = place.script(
            &[],
            "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status | tr -d '\\t '; \
             ulimit -c; umask; ls /proc | grep -c '^[0-9]'",
        );
        for line in ["CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "CapInh:"] {
            assert!(said.out.contains(&format!("{line}0000000000000000")), "{said:?}");
        }
        assert!(said.out.contains("NoNewPrivs:1\nSeccomp:2\n0\n"), "{said:?}");
        assert!(said.out.contains("\n0022\n"), "{said:?}");
    }
}

#[test]
fn a_notified_payload_runs_when_its_acts_are_permitted() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        let script =
            format!("mkdir {data}/d && echo x > {data}/d/f && cat {data}/d/f && ls {data}");
        let said = place.script(&["--notify", "--write", &data], &script);
        assert_eq!((said.out.as_str(), said.code), ("x\nd", 0), "{said:?}");
    }
}

#[test]
fn a_payload_with_a_terminal_has_it_to_itself() {
    for who in everyone() {
        let place = Place::new(who);
        let said = place.script(&["--pty"], "tty; stty size; test -w /dev/tty && echo writable");
        assert_eq!(said.out.replace('\r', ""), "/dev/pts/0\n24 80\nwritable", "{said:?}");
    }
}

#[test]
fn signals_reach_the_payloads_group() {
    for who in everyone() {
        let place = Place::new(who);
        let mut live = place
            .live(&[], "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done");
        assert_eq!(live.line(), "ready");
        assert_eq!(live.tell("signal 15"), "done");
        assert_eq!(live.line(), "caught");
        assert_eq!(live.end(), 3);
    }
}

#[test]
fn the_end_of_the_payload_ends_what_it_left_behind() {
    for who in everyone() {
        let place = Place::new(who);
        let tag = format!("9.{}{who:?}", std::process::id()).replace(['O', 'R'], "1");
        let tag: String = tag.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
        let said = place
            .script(&[], &format!("setsid sleep {tag} & (trap '' TERM HUP; sleep {tag}) & true"));
        assert_eq!(said.code, 0);
        gone(&tag);
    }
}

#[test]
fn killing_the_broker_ends_the_world() {
    for who in everyone() {
        let place = Place::new(who);
        let seconds = if who == super::harness::Who::Root { 81 } else { 82 };
        let tag = format!("{seconds}.{}", std::process::id());
        let live = place.live(&[], &format!("echo ready; setsid sleep {tag} & sleep {tag}"));
        assert_eq!(live.line(), "ready");
        let until = Instant::now() + Duration::from_secs(10);
        while !running(&tag) {
            assert!(Instant::now() < until, "the payload never ran");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The child is `timeout`; its child is the broker.
        let broker = children(live.child.id());
        assert_eq!(broker.len(), 1);
        let pid = rustix::process::Pid::from_raw(broker[0]).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        assert_eq!(live.end(), 137);
        gone(&tag);
    }
}

#[test]
fn a_mount_helper_that_is_killed_early_stops_the_start() {
    for who in everyone() {
        let said = Place::new(who).run(&["--lost-helper"], &["true"]);
        // 137: somebody held the line open on which the broker hears of it, and it waited.
        assert_eq!(said.code, 125, "{said:?}");
    }
}

#[test]
fn every_layer_says_what_it_enforces() {
    for who in everyone() {
        let place = Place::new(who);
        let said = place.run(&["--layers", "--notify"], &["true"]);
        for layer in ["namespaces", "mounts", "landlock", "seccomp", "notify", "net", "rlimits"] {
            assert!(said.out.contains(&format!("{layer} Enforced ")), "{layer}: {said:?}");
        }
        assert!(said.out.contains("pty Off "), "{said:?}");
        let said = place.run(&["--layers"], &["true"]);
        assert!(said.out.contains("notify Off no act is decided"), "{said:?}");
    }
}

#[test]
fn a_broker_that_has_guarded_its_memory_can_start_another_world() {
    for who in everyone() {
        let place = Place::new(who);
        assert_eq!(place.run(&["--guarded"], &["true"]).code, 0);
    }
}

#[test]
fn every_layer_can_be_tried_on_its_own() {
    for who in everyone() {
        let place = Place::new(who);
        let said = place.run(&["--try"], &[]);
        for layer in ["namespaces", "mounts", "landlock", "seccomp", "notify", "net"] {
            assert!(said.out.contains(&format!("{layer} Enforced ")), "{layer}: {said:?}");
        }
    }
}

#[test]
fn a_kernel_without_landlock_stops_the_start_and_says_so() {
    for who in everyone() {
        let place = Place::new(who);
        let call = libc::SYS_landlock_create_ruleset.to_string();
        let said = place.poorer(&place.path("tools/attack"), &["without", &call]);
        assert_eq!(said.code, 125, "{said:?}");
        assert!(said.err.contains("error: this kernel refuses Landlock: "), "{said:?}");
        assert!(said.err.contains("hint: boot with `lsm=landlock"), "{said:?}");
    }
}

#[test]
fn a_kernel_without_filters_stops_the_start_and_says_so() {
    for who in everyone() {
        let place = Place::new(who);
        let call = libc::SYS_seccomp.to_string();
        let said = place.poorer(&place.path("tools/attack"), &["without", &call]);
        assert_eq!(said.code, 125, "{said:?}");
        assert!(said.err.contains("refuses system-call filters with notification"), "{said:?}");
    }
}

#[test]
fn a_kernel_without_new_mounts_stops_the_start_and_says_so() {
    for who in everyone() {
        let place = Place::new(who);
        let call = libc::SYS_open_tree.to_string();
        let said = place.poorer(&place.path("tools/attack"), &["without", &call]);
        assert_eq!(said.code, 125, "{said:?}");
        assert!(said.err.contains("open it: Function not implemented"), "{said:?}");
    }
}

#[test]
fn a_kernel_that_gives_no_user_namespace_stops_the_start_and_names_the_switch() {
    let place = Place::new(super::harness::Who::Ordinary);
    let poor = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let prefix = ["--user", "--map-current-user", "--keep-caps", "sh", "-c", poor, "sh"];
    let said = place.poorer(std::path::Path::new("unshare"), &prefix);
    assert_eq!(said.code, 125, "{said:?}");
    assert!(said.err.contains("user.max_user_namespaces = 0"), "{said:?}");
    assert!(said.err.contains("hint: sudo sysctl -w user.max_user_namespaces="), "{said:?}");
    // Never chosen in silence, but named, with what it would not hold.
    assert!(said.err.contains("`--tier landlock`"), "{said:?}");
    assert!(said.err.contains("sizes and times of all files can be seen"), "{said:?}");
}

/// Waits until no process has `sleep TAG` as its command.
fn gone(tag: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while running(tag) {
        assert!(Instant::now() < until, "`sleep {tag}` outlived its world");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn running(tag: &str) -> bool {
    let wanted = format!("sleep\0{tag}\0");
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted.as_bytes())
    })
}

fn children(pid: u32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
