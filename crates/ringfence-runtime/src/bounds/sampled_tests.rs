use std::collections::HashMap;

use super::{Key, Member, Seen, Stat, Used, members, of_stat, written};

#[test]
fn the_fields_are_counted_behind_a_name_with_parentheses_and_blanks() {
    let stat = "7 (a) b 1) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 9 0 555 1000 42 184";
    let (state, parent) = ('S', 1);
    let wanted = Stat { state, parent, ticks: 127, threads: 9, started: 555, pages: 42 };
    assert_eq!(of_stat(stat), Some(wanted));
    assert_eq!(of_stat("7 (a) S 1"), None);
    assert_eq!(of_stat(""), None);
}

#[test]
fn everybody_who_descends_from_a_process_is_a_member() {
    let own = i32::try_from(std::process::id()).unwrap();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let found = members(own).unwrap();
    assert!(found.contains(&own) && found.contains(&i32::try_from(child.id()).unwrap()));
    assert!(!found.contains(&1));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn bytes_that_were_taken_back_do_not_count_as_written() {
    let io = "rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 512\n";
    assert_eq!(written(io), Some(4096));
    assert_eq!(written("cancelled_write_bytes: 512\n"), None);
}

/// Members by id: their parent, and what they have used.
fn at(members: &[(i32, i32, u64)]) -> HashMap<Key, Member> {
    let member = |&(pid, parent, ticks)| {
        (Key(pid, 0), Member { parent, used: Used { ticks, written: 2 * ticks } })
    };
    members.iter().map(member).collect()
}

/// What counts as lost between two looks; the first process is 1.
fn lost(before: &[(i32, i32, u64)], now: &[(i32, i32, u64)]) -> u64 {
    let seen = Seen { last: at(before), lost: Used::default() };
    let lost = seen.lost_until(&at(now), 1);
    assert_eq!(lost.written, 2 * lost.ticks);
    lost.ticks
}

#[test]
fn what_nobody_waited_for_is_lost_and_kept() {
    let before = [(1, 0, 0), (2, 1, 5), (3, 2, 40), (4, 2, 7)];
    assert_eq!(lost(&before, &[(1, 0, 0), (2, 1, 5), (4, 2, 7)]), 40);
    // Its parent goes with it, and nobody waits for either.
    assert_eq!(lost(&before, &[(1, 0, 0)]), 52);
}

#[test]
fn what_somebody_waited_for_counts_once() {
    let before = [(1, 0, 0), (2, 1, 5), (3, 2, 40), (4, 3, 7)];
    // The parent waited.
    assert_eq!(lost(&before, &[(1, 0, 0), (2, 1, 45), (4, 1, 7)]), 0);
    // The parent waited, and was waited for itself in the same moment.
    assert_eq!(lost(&before, &[(1, 0, 0), (2, 1, 52)]), 0);
    // Orphans are waited for by the first process.
    assert_eq!(lost(&before, &[(1, 0, 52)]), 0);
    // An id that is used again is somebody else.
    let mut again = at(&[(1, 0, 0), (2, 1, 5), (4, 3, 7)]);
    again.insert(Key(3, 9), Member { parent: 2, used: Used { ticks: 40, written: 80 } });
    let seen = Seen { last: at(&before), lost: Used::default() };
    assert_eq!(seen.lost_until(&again, 1).ticks, 40);
}
