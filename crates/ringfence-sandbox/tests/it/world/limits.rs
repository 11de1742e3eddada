//! What a world may use up; each limit has an oracle, the same script in a world without it.

use super::harness::{Place, everyone};

/// Counts what it can still start while all it started before is there.
const PROCESSES: &str = "python3 -I -c 'import os, time
made = 0
try:
    for _ in range(30):
        if os.fork() == 0: time.sleep(60); os._exit(0)
        made += 1
except BlockingIOError: pass
print(made)'";

const OPEN_FILES: &str = "python3 -I -c 'import os
made = 0
try:
    for _ in range(30): os.open(\"/dev/null\", os.O_RDONLY); made += 1
except OSError: pass
print(made)'";

const FILE_BYTES: &str = "head -c 9000 /dev/zero > /tmp/x; stat -c %s /tmp/x";

/// What the script counts in a world with these options.
fn count(place: &Place, options: &[&str], script: &str) -> u64 {
    let said = place.script(options, script);
    said.out.parse().unwrap_or_else(|_| panic!("{options:?}: {said:?}"))
}

#[test]
fn a_world_has_no_more_than_its_limits() {
    for who in everyone() {
        let place = Place::new(who);
        for (option, script, most, without) in [
            ("--processes", PROCESSES, 12, 30),
            ("--open-files", OPEN_FILES, 12, 30),
            ("--file-bytes", FILE_BYTES, 5000, 9000),
        ] {
            assert_eq!(count(&place, &[], script), without, "{who:?} {option}");
            let limited = count(&place, &[option, &most.to_string()], script);
            assert!((1..=most).contains(&limited), "{who:?} {option}: {limited}");
        }
    }
}

#[test]
fn processes_of_other_worlds_do_not_count() {
    for who in everyone() {
        let place = Place::new(who);
        let other = Place::new(who);
        let busy = other.live(&[], "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; echo; wait");
        busy.line();
        let made = count(&place, &["--processes", "12"], PROCESSES);
        assert!(made > 8, "{who:?}: {made}");
        busy.kill();
    }
}

#[test]
fn a_limit_is_only_ever_lowered() {
    for who in everyone() {
        let place = Place::new(who);
        let ask = "grep -E '^Max (processes|open files|file size)' /proc/self/limits";
        let before = place.script(&[], ask).out;
        let more = ["--open-files", "99999999999", "--processes", "99999999999"];
        assert_eq!(place.script(&more, ask).out, before, "{who:?}");
        // Nor can it be raised from within.
        let raise = "(ulimit -Hn 64) 2>/dev/null || echo refused; ulimit -Hn";
        assert_eq!(place.script(&["--open-files", "32"], raise).out, "refused\n32", "{who:?}");
    }
}
