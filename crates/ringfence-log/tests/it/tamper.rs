//! Any change made without the host key to what was signed is found, with its first bad index.

use std::fs::{self, OpenOptions};
use std::io::Write;

use proptest::prelude::*;
use ringfence_log::{HostLog, State, VerifyError, seal, verify_all};

use crate::small::{Small, append, forged, records};

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

#[test]
fn sealing_cuts_the_torn_tail_and_closes_the_log() {
    let small = Small::unclosed(COUNT);
    let mut segment = OpenOptions::new().append(true).open(small.segment()).unwrap();
    segment.write_all(&[7; 21]).unwrap();
    let closed = seal(&small.dir(), &small.session, &small.key).unwrap();
    let verified = small.verify().unwrap();
    assert_eq!((verified.size, verified.state), (COUNT, State::Closed));
    assert_eq!(verified.root, closed.root);
    assert_eq!(seal(&small.dir(), &small.session, &small.key).unwrap(), closed);
}

#[test]
fn a_log_that_does_not_verify_is_not_sealed() {
    let small = Small::unclosed(COUNT);
    let good = fs::read(small.segment()).unwrap();
    fs::write(small.segment(), &good[..good.len() - 1]).unwrap();
    assert!(seal(&small.dir(), &small.session, &small.key).is_err());
    assert_eq!(fs::read(small.segment()).unwrap(), &good[..good.len() - 1]);
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
