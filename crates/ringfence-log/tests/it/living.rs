//! Logs while they are written: order, durability, limits, readers.

use std::collections::BTreeSet;
use std::fs;

use ringfence_core::{Durability, Entry, Event, Record, Summary};
use ringfence_log::{LogError, LogReader, ReadError, SessionLog, State, seal};

use crate::small::{Small, append, entry};

#[test]
fn many_writers_get_every_index_once_and_in_their_own_order() {
    let small = Small::new();
    let log = small.log();
    let (writers, each) = (8_u64, 300_u64);
    let indices = std::thread::scope(|scope| {
        let write = |writer: u64| {
            let log = log.clone();
            move || {
                let mut tickets = Vec::new();
                for number in 0..each {
                    let entry = entry(writer * each + number);
                    let durability =
                        if number % 3 == 0 { Durability::Before } else { Durability::Soon };
                    tickets.push(log.submit(&entry, durability).unwrap());
                }
                tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..writers).map(|writer| scope.spawn(write(writer))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(indices.iter().all(|own| own.is_sorted()));
    let all: BTreeSet<u64> = indices.iter().flatten().copied().collect();
    assert_eq!(all, (0..writers * each).collect());
    let at: Vec<u64> =
        LogReader::open(&small.dir()).unwrap().map(|logged| logged.unwrap().entry.at_ms).collect();
    for (writer, own) in (0_u64..).zip(&indices) {
        for (number, index) in (0_u64..).zip(own) {
            assert_eq!(at[usize::try_from(*index).unwrap()], writer * each + number);
        }
    }
    log.close().unwrap();
    assert_eq!(small.state(), State::Closed);
}

#[test]
fn a_soon_entry_is_in_the_file_when_record_returns() {
    let small = Small::new();
    let log = small.log();
    let mut reader = LogReader::open(&small.dir()).unwrap();
    assert!(reader.next().is_none());
    for number in 0..50 {
        assert_eq!(log.record(&entry(number), Durability::Soon).unwrap(), number);
        let logged = reader.next().unwrap().unwrap();
        assert_eq!((logged.index, logged.entry.at_ms), (number, number));
        assert_eq!(logged.json, serde_json::to_string(&entry(number)).unwrap());
        assert!(reader.next().is_none());
    }
    let from: Vec<u64> =
        LogReader::open_at(&small.dir(), 47).unwrap().map(|logged| logged.unwrap().index).collect();
    assert_eq!(from, [47, 48, 49]);
}

#[test]
fn a_before_entry_is_on_the_disk_when_record_returns() {
    let small = Small::new();
    let log = small.log();
    assert_eq!(log.append(&entry(1), Durability::Before).unwrap(), 0);
    assert_eq!(LogReader::open(&small.dir()).unwrap().count(), 1);
    assert_eq!(small.state(), State::Open);
}

#[test]
fn a_log_that_is_full_takes_nothing_more_but_its_own_closing() {
    let small = Small::new();
    let log = SessionLog::create(&small.dir(), &small.session, &small.key, 2_000).unwrap();
    let mut good = 0;
    let error = loop {
        match log.append(&entry(good), Durability::Soon) {
            Ok(_) => good += 1,
            Err(error) => break error,
        }
    };
    let text = "the log of session `stestsession` has reached its limit of 2000 bytes";
    assert_eq!(error.to_string(), text);
    assert!(log.append(&entry(1), Durability::Before).is_err());
    let event = Event::SessionClosed { summary: Summary::default() };
    assert_eq!(log.append(&Entry { at_ms: 1, event }, Durability::Soon).unwrap(), good);
    assert_eq!(log.close().unwrap().size, good + 1);
    assert_eq!(small.state(), State::Closed);
}

#[test]
fn a_closed_log_takes_no_entry_and_no_second_log_takes_its_place() {
    let small = Small::new();
    let log = small.log();
    let clone = log.clone();
    append(&log, 0..2);
    log.close().unwrap();
    assert!(matches!(clone.append(&entry(2), Durability::Soon), Err(LogError::Closed(_))));
    let again = SessionLog::create(&small.dir(), &small.session, &small.key, 1 << 20);
    assert!(matches!(again, Err(LogError::Exists(_))));
    assert_eq!(small.verify().unwrap().size, 2);
}

#[test]
fn a_log_that_somebody_still_holds_cannot_be_sealed() {
    let small = Small::new();
    let log = small.log();
    append(&log, 0..4);
    let written = log.hand_over().unwrap();
    let sealed = || seal(&small.dir(), &small.session, &small.key, written);
    assert!(matches!(sealed(), Err(LogError::Busy(_))));
    drop(log);
    sealed().unwrap();
    assert_eq!(small.verify().unwrap().size, 4);
}

#[test]
fn a_log_that_nobody_took_over_is_closed_by_its_own_process() {
    let small = Small::new();
    let log = small.log();
    append(&log, 0..4);
    let written = log.hand_over().unwrap();
    assert_eq!(log.close().unwrap(), written);
    assert_eq!(small.state(), State::Closed);
}

#[test]
fn a_damaged_entry_ends_the_reading_with_its_index() {
    let (small, _) = Small::closed(3);
    let mut bytes = fs::read(small.segment()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(small.segment(), bytes).unwrap();
    let mut reader = LogReader::open(&small.dir()).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().index, 0);
    assert!(matches!(reader.next(), Some(Err(ReadError::Damaged { index: 1, .. }))));
    assert!(reader.next().is_none());
    let none = LogReader::open(small.state.path());
    assert!(matches!(none, Err(ReadError::NoLog(_))));
}

#[test]
fn an_entry_larger_than_any_may_be_is_refused_and_the_log_goes_on() {
    let small = Small::new();
    let log = small.log();
    let text = "x".repeat(ringfence_log::ENTRY_BYTES_MAX);
    let event =
        Event::Granted { id: text, text: String::new(), scope: String::new(), by: String::new() };
    let refused = log.append(&Entry { at_ms: 1, event }, Durability::Soon);
    assert!(matches!(refused, Err(LogError::TooLarge { .. })));
    assert_eq!(log.append(&entry(0), Durability::Soon).unwrap(), 0);
}
