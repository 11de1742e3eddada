//! What each profile refuses is refused by it, and what it opens stays inside.

use super::harness::{Place, Said, Who, everyone};

/// Calls that no kernel of today has: refused outside as inside, by whatever answer.
const GONE: [&str; 3] = ["nfsservctl", "uselib", "lookup_dcookie"];

fn errno(number: i32) -> String {
    format!("errno {number}")
}

/// Part, call, expected and real answer of each rule.
fn rules(said: &Said) -> Vec<(String, String, i32, i32)> {
    let lines = said.out.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse().unwrap();
        (words[0].to_owned(), words[1].to_owned(), number(2), number(3))
    });
    lines.collect()
}

#[test]
fn each_rule_of_each_profile_holds_inside_and_is_of_the_profiles_making() {
    for profile in ["default", "strict", "build", "browser"] {
        for who in everyone() {
            let place = Place::new(who);
            let probe = place.text("tools/probe");
            let calls = [probe.as_str(), "--calls", profile];
            let inside = place.run(&["--seccomp", profile], &calls);
            let inside = rules(&inside);
            assert!(inside.len() > 90, "{profile} has {} rules", inside.len());
            for (part, call, expected, answer) in &inside {
                assert_eq!(answer, expected, "{profile}: {part}: {call} as {who:?}");
            }
            if who == Who::Root {
                outside(&place, profile);
            }
        }
    }
}

/// The same calls get other answers from the kernel alone, so that it was the profile that refused.
fn outside(place: &Place, profile: &str) {
    let probe = place.text("tools/probe");
    // In a session of its own: `vhangup` would end somebody's terminal.
    let said = place.outside_script(&format!("setsid --wait {probe} --calls {profile}"));
    for (part, call, refused, answer) in rules(&said) {
        let gone = GONE.contains(&call.as_str());
        assert!(gone || answer != refused, "{profile}: {part}: {call} gets {answer} outside too");
    }
}

#[test]
fn programs_start_in_every_profile() {
    for profile in ["default", "strict", "build", "browser"] {
        for who in everyone() {
            let place = Place::new(who);
            let options = ["--seccomp", profile, "--notify", "--layers"];
            let said = place.script(&options, "ls / | head -1; date >/dev/null && echo $?");
            assert!(said.out.ends_with("bin\n0"), "{profile}: {said:?}");
            assert!(
                said.out.contains(&format!("seccomp Enforced profile `{profile}`")),
                "{said:?}"
            );
        }
    }
}

#[test]
fn processes_trace_each_other_in_the_build_profile_and_nobody_else() {
    for who in everyone() {
        let place = Place::new(who);
        for attack in ["ptrace", "peek"] {
            for (profile, answer) in
                [("build", "ok"), ("default", "errno 1"), ("browser", "errno 1")]
            {
                let said = place.inside(&["--seccomp", profile], &[attack]);
                assert_eq!(said.out, answer, "{attack} in {profile}: {said:?}");
            }
        }
        // The world's first process is none of its own.
        let script = "cat /proc/1/environ /proc/1/maps; echo x > /proc/1/mem; ls /proc/1/fd";
        let said = place.script(&["--seccomp", "build"], script);
        assert_eq!(said.out, "", "{said:?}");
        assert_eq!(said.err.matches("Permission denied").count(), 4, "{said:?}");
    }
}

#[test]
fn namespaces_are_made_inside_in_the_browser_profile_alone() {
    for who in everyone() {
        let place = Place::new(who);
        assert_eq!(place.outside(&["nest", "who"]).err, "");
        for profile in ["default", "strict", "build"] {
            let said = place.inside(&["--seccomp", profile, "--notify"], &["nest", "who"]);
            assert_eq!(said.out, errno(libc::EPERM), "{profile}: {said:?}");
        }
        let browser = ["--seccomp", "browser", "--notify"];
        let said = place.inside(&browser, &["nest", "who"]);
        let id = if who == Who::Root { 65534 } else { 12_345 };
        if rustix::process::geteuid().is_root() {
            assert_eq!(said.out, format!("{id} {id}"), "{said:?}");
        }
        let said = place.inside(&browser, &["nest", "into", "/proc/self/fdinfo", "who"]);
        assert!(!said.out.contains("errno"), "{said:?}");
        // No other namespaces, and without any no capabilities either.
        for attack in [["own-mount", ""], ["chroot", "/tmp"]] {
            let said = place.inside(&browser, &attack);
            assert_eq!(said.out, errno(libc::EPERM), "{attack:?}: {said:?}");
        }
    }
}

#[test]
fn whoever_has_namespaces_of_their_own_gets_no_further() {
    for who in everyone() {
        let place = Place::new(who);
        let secret = place.make_file("secret", "key");
        let data = place.text("data");
        let options = ["--seccomp", "browser", "--notify", "--read", &data, "--mask", &secret];
        let made = format!("{data}/made");
        let refused = [
            (vec!["mount", "/tmp"], libc::EPERM),
            (vec!["remount", "/usr"], libc::EPERM),
            (vec!["umount", "/proc"], libc::EPERM),
            (vec!["own-mount"], libc::EPERM),
            (vec!["ptrace"], libc::EPERM),
            (vec!["peek"], libc::EPERM),
            (vec!["enter", "/proc/1/ns/net"], libc::EPERM),
            (vec!["keyring"], libc::EPERM),
            (vec!["raw"], libc::EPERM),
            (vec!["link-up"], libc::EPERM),
            (vec!["filters"], libc::EPERM),
            (vec!["socket", "16", "0"], libc::EAFNOSUPPORT),
            (vec!["socket", "17", "0"], libc::EAFNOSUPPORT),
            (vec!["write", "/proc/sys/kernel/core_pattern"], libc::EACCES),
            (vec!["write", "/proc/1/mem"], libc::EACCES),
            (vec!["make", &made], libc::EROFS),
            // A mask is empty also for who may read what has no mode.
            (vec!["into", "/tmp", "make", "/x"], libc::EACCES),
        ];
        for (attack, number) in refused {
            let words: Vec<&str> = std::iter::once("nest").chain(attack.iter().copied()).collect();
            let said = place.inside(&options, &words);
            assert_eq!(said.out, errno(number), "{attack:?} as {who:?}: {said:?}");
        }
        let said = place.run(&options, &["sh", "-c", &format!("cat {secret}")]);
        assert_eq!(said.out, "", "{said:?}");
    }
}

#[test]
fn the_landlock_tier_refuses_the_browser_profile() {
    let place = Place::new(Who::Ordinary);
    let said = place.script(&["--tier", "landlock", "--notify", "--seccomp", "browser"], "true");
    assert_eq!(said.code, 125, "{said:?}");
    assert!(said.err.contains("namespaces made inside"), "{said:?}");
}

#[test]
fn where_one_may_write_nothing_starts_that_was_put_there() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        let attack = place.text("tools/attack");
        let copy = format!("cp {attack} {data}/copy && chmod 755 {data}/copy");
        let script = format!(
            "{copy}; {data}/copy who; /lib64/ld-linux-x86-64.so.2 /usr/bin/true && echo loads; \
             cp /usr/bin/true {data}/true; /lib64/ld-linux-x86-64.so.2 {data}/true && echo loaded; \
             {attack} map-code {data}/copy; printf '#!/bin/sh\\necho ran\\n' > {data}/s; \
             chmod 755 {data}/s; {data}/s; sh {data}/s; cp {data}/copy /tmp/copy; /tmp/copy who; \
             cp {data}/copy /dev/shm/copy; /dev/shm/copy who"
        );
        let with = place.script(&["--write", &data, "--notify"], &script);
        assert_eq!(with.out.matches("ran").count(), 2, "the oracle: {with:?}");
        assert!(with.out.contains("loaded") && with.out.contains("ok"), "{with:?}");
        let without = place.script(&["--write", &data, "--notify", "--noexec"], &script);
        // The loader of the system loads, an interpreter reads, and nothing else of it runs.
        assert_eq!(without.out, "loads\nerrno 1\nran", "{without:?}");
        assert_eq!(without.err.matches("ermission denied").count(), 4, "{without:?}");
    }
}
