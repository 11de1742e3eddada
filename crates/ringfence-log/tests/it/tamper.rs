//! Any change made without the host key to what was signed is found, with its first bad index.

use std::fs;

use proptest::prelude::*;
use ringfence_core::Durability;
use ringfence_log::{Closed, HostLog, LogError, State, VerifyError, seal, verify_all};

use crate::small::{Small, append, entry, forged, records};

const COUNT: u64 = 5;

/// Which record holds the byte at `offset`.
fn record_at(records: &[Vec<u8>], offset: usize) -> u64 {
    let mut end = 0;
    let before = records.iter().take_while(|record| {
        end += record.len();
        end <= offset
    });
    before.count() as u64
}

#[test]
fn a_changed_bit_anywhere_in_the_entries_is_found_with_its_entry() {
    for small in [Small::closed(COUNT).0, Small::unclosed(COUNT)] {
        let (path, good) = (small.segment(), fs::read(small.segment()).unwrap());
        let records = records(&path);
        for offset in 0..good.len() {
            let mut bad = good.clone();
            bad[offset] ^= 1 << (offset % 8);
            fs::write(&path, &bad).unwrap();
            assert_eq!(small.bad_index(), Some(record_at(&records, offset)), "at {offset}");
        }
        fs::write(&path, &good).unwrap();
        small.verify().unwrap();
    }
}

#[test]
fn a_changed_bit_anywhere_in_checkpoint_or_origin_is_found() {
    let (small, _) = Small::closed(COUNT);
    for name in ["checkpoint", "origin"] {
        let (path, good) = (small.file(name), fs::read(small.file(name)).unwrap());
        for (offset, bit) in (0..good.len()).flat_map(|at| [(at, 0x01), (at, 0x20), (at, 0x80)]) {
            let mut bad = good.clone();
            bad[offset] ^= bit;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(small.verify(), Err(VerifyError::Tampered(_))), "{name} at {offset}");
        }
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(small.verify(), Err(VerifyError::Tampered(_))), "{name} of {length}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(small.verify(), Err(VerifyError::Tampered(_))), "{name} removed");
        fs::write(&path, &good).unwrap();
        small.verify().unwrap();
    }
}

#[test]
fn entries_cut_off_at_any_length_are_found_with_the_first_that_is_missing() {
    for small in [Small::closed(COUNT).0, Small::unclosed(COUNT)] {
        let (path, good) = (small.segment(), fs::read(small.segment()).unwrap());
        let records = records(&path);
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert_eq!(small.bad_index(), Some(record_at(&records, length)), "of {length}");
        }
    }
}

#[test]
fn a_forged_payload_with_a_right_checksum_is_found_with_its_entry() {
    let (small, _) = Small::closed(COUNT);
    let good = records(&small.segment());
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index] = forged(&good[index], index as u64, br#"{"at_ms":0,"event":"forged"}"#);
        fs::write(small.segment(), bad.concat()).unwrap();
        assert_eq!(small.bad_index(), Some(index as u64));
    }
}

#[test]
fn a_forged_payload_is_found_even_when_the_leaf_file_is_forged_too() {
    let (small, _) = Small::closed(COUNT);
    let good = records(&small.segment());
    let mut bad = good.clone();
    bad[3] = forged(&good[3], 3, b"{}");
    fs::write(small.segment(), bad.concat()).unwrap();
    let leaves = bad
        .iter()
        .map(|record| ringfence_log::leaf_of(record[16..48].try_into().unwrap(), &record[48..]));
    fs::write(small.file("leaves"), leaves.collect::<Vec<_>>().concat()).unwrap();
    assert!(small.bad_index().is_some_and(|index| index <= 3));
    fs::remove_file(small.file("leaves")).unwrap();
    assert!(small.bad_index().is_some_and(|index| index <= 3));
}

#[test]
fn any_two_swapped_entries_are_found_with_the_first_of_them() {
    let (small, _) = Small::closed(COUNT);
    let good = records(&small.segment());
    for first in 0..good.len() {
        for second in first + 1..good.len() {
            let mut bad = good.clone();
            bad.swap(first, second);
            fs::write(small.segment(), bad.concat()).unwrap();
            assert_eq!(small.bad_index(), Some(first as u64), "as they are");
            bad[first] = forged(&bad[first], first as u64, &good[second][48..]);
            bad[second] = forged(&bad[second], second as u64, &good[first][48..]);
            fs::write(small.segment(), bad.concat()).unwrap();
            assert_eq!(small.bad_index(), Some(first as u64), "renumbered");
        }
    }
}

#[test]
fn a_removed_or_repeated_entry_is_found_with_its_place() {
    let (small, _) = Small::closed(COUNT);
    let good = records(&small.segment());
    for index in 0..good.len() {
        let mut removed = good.clone();
        removed.remove(index);
        fs::write(small.segment(), removed.concat()).unwrap();
        assert_eq!(small.bad_index(), Some(index as u64), "removed");
        let mut repeated = good.clone();
        repeated.insert(index, good[index].clone());
        fs::write(small.segment(), repeated.concat()).unwrap();
        // The repeated entry stands one too early: the first copy is still right.
        assert_eq!(small.bad_index(), Some(index as u64 + 1), "repeated");
    }
}

#[test]
fn an_entry_added_behind_a_closed_log_is_found() {
    let (small, _) = Small::closed(COUNT);
    let good = records(&small.segment());
    let more = forged(&good[0], COUNT, &good[0][48..]);
    for added in [more.as_slice(), &more[..9], b"x"] {
        fs::write(small.segment(), [good.concat().as_slice(), added].concat()).unwrap();
        assert_eq!(small.bad_index(), Some(COUNT));
    }
    fs::write(small.segment(), good.concat()).unwrap();
    fs::write(small.file("segments/00000000000000000005.log"), &more).unwrap();
    assert_eq!(small.bad_index(), Some(COUNT));
}

#[test]
fn another_logs_entries_and_checkpoint_do_not_pass_for_this_ones() {
    let (small, _) = Small::closed(COUNT);
    let other = Small { session: "sothersession".parse().unwrap(), ..Small::new() };
    append(&other.log(), 0..COUNT);
    fs::rename(other.dir().join("log/checkpoint"), small.file("checkpoint")).unwrap();
    assert_eq!(small.bad_index(), None);
}

#[test]
fn a_log_signed_by_another_key_does_not_verify() {
    let (small, _) = Small::closed(COUNT);
    let (other, _) = Small::closed(COUNT);
    fs::remove_dir_all(small.dir()).unwrap();
    fs::rename(other.dir(), small.dir()).unwrap();
    assert_eq!(small.bad_index(), None);
}

#[test]
fn an_older_checkpoint_of_a_closed_log_is_found_by_the_host_log() {
    let small = Small::new();
    let host = HostLog::open(small.state.path(), &small.key).unwrap();
    let log = small.log();
    host.opened(&small.session, 1).unwrap();
    let older = fs::read(small.file("checkpoint")).unwrap();
    append(&log, 0..COUNT);
    host.closed(&small.session, log.close().unwrap(), 2).unwrap();
    host.wait().unwrap();
    let intact = || verify_all(small.state.path(), &small.key.public()).unwrap();
    assert!(intact().is_intact());
    let good = fs::read(small.segment()).unwrap();
    fs::write(small.file("checkpoint"), &older).unwrap();
    assert!(!intact().is_intact(), "only the checkpoint is older");
    for length in 0..good.len() {
        fs::write(small.segment(), &good[..length]).unwrap();
        let report = intact();
        let Err(VerifyError::Tampered(found)) = &report.sessions[0].result else {
            panic!("cut to {length}: {report:?}")
        };
        fs::write(small.segment(), &good).unwrap();
        assert_eq!(found.index, Some(record_at(&records(&small.segment()), length)));
    }
}

#[test]
fn an_incomplete_record_behind_the_checkpoint_is_said_and_verifies() {
    let small = Small::unclosed(COUNT);
    assert_eq!(small.state(), State::Unclosed);
    let good = records(&small.segment());
    let more = forged(&good[0], COUNT, &good[0][48..]);
    for length in 1..more.len() {
        fs::write(small.segment(), [good.concat().as_slice(), &more[..length]].concat()).unwrap();
        assert_eq!(small.state(), State::TornTail { bytes: length as u64 });
    }
    fs::write(small.segment(), [good.concat().as_slice(), &more].concat()).unwrap();
    let verified = small.verify().unwrap();
    assert_eq!((verified.size, verified.signed), (COUNT + 1, COUNT));
}

/// A log as a broker leaves it that has ended and waited for no disk: signed up to nothing yet.
fn handed_over(count: u64) -> (Small, Closed) {
    let small = Small::new();
    let log = small.log();
    let checkpoint = fs::read(small.file("checkpoint")).unwrap();
    append(&log, 0..count);
    let written = log.hand_over().unwrap();
    assert!(matches!(log.append(&entry(0), Durability::Soon), Err(LogError::Closed(_))));
    assert!(matches!(log.append(&entry(0), Durability::Before), Err(LogError::Closed(_))));
    // In a process that ends, the committer signs nothing any more.
    drop(log);
    fs::write(small.file("checkpoint"), checkpoint).unwrap();
    (small, written)
}

#[test]
fn a_log_that_was_handed_over_is_sealed_as_it_was_written() {
    let (small, written) = handed_over(COUNT);
    assert_eq!(Closed::from_bytes(&written.to_bytes()), Some(written));
    assert_eq!(small.verify().unwrap().signed, 0);
    for _ in 0..2 {
        seal(&small.dir(), &small.session, &small.key, written).unwrap();
        let verified = small.verify().unwrap();
        assert_eq!((verified.size, verified.state), (COUNT, State::Closed));
        assert_eq!(verified.root, written.root);
    }
}

#[test]
fn what_is_changed_between_the_brokers_end_and_the_sealing_is_found() {
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(Change, u64); 6] = [
        (|records| records[3] = forged(&records[3], 3, br#"{"at_ms":0,"event":"x"}"#), 3),
        (|records| drop(records.pop()), COUNT - 1),
        (|records| records.clear(), 0),
        (|records| records.push(forged(&records[0], COUNT, &records[0].clone()[48..])), COUNT),
        (|records| records.push(vec![7; 21]), COUNT),
        (|records| records[4].truncate(9), 4),
    ];
    for (number, (change, index)) in changes.into_iter().enumerate() {
        let (small, written) = handed_over(COUNT);
        let mut records = records(&small.segment());
        change(&mut records);
        fs::write(small.segment(), records.concat()).unwrap();
        // Nothing was signed: as it stands, nobody could tell.
        assert!(small.verify().is_ok());
        seal(&small.dir(), &small.session, &small.key, written).unwrap();
        assert_eq!(small.bad_index(), Some(index), "change {number}");
    }
}

#[test]
fn a_log_whose_segments_are_gone_is_found_after_the_sealing() {
    let (small, written) = handed_over(COUNT);
    fs::remove_dir_all(small.file("segments")).unwrap();
    seal(&small.dir(), &small.session, &small.key, written).unwrap();
    assert_eq!(small.bad_index(), Some(0));
}

#[test]
fn a_log_is_not_sealed_with_less_than_was_signed_or_with_another_end() {
    let (small, closed) = Small::closed(COUNT);
    let shorter = Closed { size: COUNT - 1, ..closed };
    assert!(seal(&small.dir(), &small.session, &small.key, shorter).is_err());
    let other = Closed { root: [0; 32], ..closed };
    assert!(seal(&small.dir(), &small.session, &small.key, other).is_err());
    let open = Small::unclosed(COUNT);
    assert!(seal(&open.dir(), &open.session, &open.key, shorter).is_err());
    assert_eq!((small.state(), open.state()), (State::Closed, State::Unclosed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_overwritten_range_is_found_at_its_first_changed_entry(
        count in 1_u64..40, at in any::<prop::sample::Index>(),
        garbage in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let (small, _) = Small::closed(count);
        let good = fs::read(small.segment()).unwrap();
        let records = records(&small.segment());
        let at = at.index(good.len());
        let mut bad = good.clone();
        for (place, byte) in bad[at..].iter_mut().zip(&garbage) {
            *place = *byte;
        }
        let changed = good.iter().zip(&bad).position(|(one, other)| one != other);
        fs::write(small.segment(), &bad).unwrap();
        match changed {
            None => prop_assert!(small.verify().is_ok()),
            Some(changed) => prop_assert_eq!(small.bad_index(), Some(record_at(&records, changed))),
        }
    }
}
