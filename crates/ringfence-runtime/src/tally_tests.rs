use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ringfence_core::{
    AbsolutePath, Act, Agent, Answer, AskFor, Durability, Entry, Event, FileChange, Grounds,
    Outcome, Process, Record, RecordError, Request, RuleRef, SetName, Verdict,
};

use super::{Tallied, Tally};

struct Fails;

impl Record for Fails {
    fn record(&self, _: &Entry, _: Durability) -> Result<u64, RecordError> {
        Err(RecordError { reason: "disk full".to_owned() })
    }
}

#[derive(Default)]
struct Works(AtomicU64);

impl Record for Works {
    fn record(&self, _: &Entry, _: Durability) -> Result<u64, RecordError> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn written(path: &str, set: SetName, verdict: Verdict) -> Entry {
    let rule = RuleRef { set, file: "f".to_owned(), line: 1, id: "r".to_owned(), reason: None };
    let request = Request {
        agent: Agent("a".to_owned()),
        act: Act::Write(AbsolutePath::parse(path).unwrap()),
        process: None,
    };
    let event = Event::Decided {
        request,
        verdict,
        grounds: Grounds { rules: vec![rule], ..Grounds::default() },
        digest: String::new(),
        approvals: Vec::new(),
        unobserved: true,
        change: Some(FileChange::Created),
    };
    Entry { at_ms: 0, event }
}

#[test]
fn a_file_written_twice_is_one_file() {
    let tally = Arc::new(Tally::default());
    let log = Tallied::new(Works::default(), Arc::clone(&tally));
    for path in ["/p/a", "/p/a", "/p/b"] {
        log.record(&written(path, SetName::Project, Verdict::Permit), Durability::Soon).unwrap();
    }
    let totals = tally.totals();
    assert_eq!((totals.permitted, totals.files_changed, totals.entries), (3, 2, 3));
}

#[test]
fn a_change_that_failed_is_counted_as_that_alone() {
    let tally = Arc::new(Tally::default());
    let log = Tallied::new(Works::default(), Arc::clone(&tally));
    let record = |event| log.record(&Entry { at_ms: 0, event }, Durability::Soon).unwrap();
    let write = |path| record(written(path, SetName::Project, Verdict::Permit).event);
    let (once, _, again) = (write("/p/a"), write("/p/b"), write("/p/b"));
    let arrived = record(Event::Arrived { port: 1, peer: "127.0.0.1:2".to_owned() });
    for of in [once, again, arrived] {
        let outcome = Outcome::Failed { error: "no".to_owned() };
        record(Event::Finished { of, outcome });
    }
    let totals = tally.totals();
    assert_eq!((totals.permitted, totals.failed, totals.files_changed), (3, 2, 1));
}

#[test]
fn a_question_is_denied_until_it_is_approved() {
    let tally = Arc::new(Tally::default());
    let log = Tallied::new(Works::default(), Arc::clone(&tally));
    let needs = AskFor { roles: std::collections::BTreeSet::new(), people: 1 };
    for _ in 0..4 {
        let asked = written("/p/a", SetName::Project, Verdict::Ask(needs.clone()));
        log.record(&asked, Durability::Soon).unwrap();
    }
    for answer in [Answer::Refused, Answer::Expired, Answer::Approved] {
        let event = Event::Answered { of: 0, answer, by: String::new() };
        log.record(&Entry { at_ms: 0, event }, Durability::Before).unwrap();
    }
    log.record(&written("/p/a", SetName::Project, Verdict::Permit), Durability::Soon).unwrap();
    let totals = tally.totals();
    assert_eq!((totals.permitted, totals.denied, totals.asked), (1, 3, 4));
}

#[test]
fn denied_and_world_private_files_are_not_counted_as_changed() {
    let tally = Arc::new(Tally::default());
    let log = Tallied::new(Works::default(), Arc::clone(&tally));
    let denied = written("/p/a", SetName::Project, Verdict::Deny);
    log.record(&denied, Durability::Soon).unwrap();
    let private = written("/tmp/a", SetName::BuiltIn, Verdict::Permit);
    log.record(&private, Durability::Soon).unwrap();
    let totals = tally.totals();
    assert_eq!((totals.permitted, totals.denied, totals.files_changed), (1, 1, 0));
}

#[test]
fn a_log_that_fails_ends_the_session_once() {
    let tally = Arc::new(Tally::default());
    let ended = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&ended);
    tally.on_failure(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let log = Tallied::new(Fails, Arc::clone(&tally));
    let entry = written("/p/a", SetName::Project, Verdict::Permit);
    assert!(log.record(&entry, Durability::Soon).is_err());
    assert!(log.record(&entry, Durability::Soon).is_err());
    assert_eq!(ended.load(Ordering::Relaxed), 1);
    assert_eq!(tally.failure(), Some("disk full"));
    assert_eq!(tally.totals().entries, 0);
}

#[test]
fn a_call_that_is_refused_unasked_counts_as_denied() {
    let tally = Arc::new(Tally::default());
    let log = Tallied::new(Works::default(), Arc::clone(&tally));
    let event = Event::Refused {
        process: Process { pid: 7, parent: None },
        syscall: "openat2".to_owned(),
        why: "its path cannot be read".to_owned(),
    };
    log.record(&Entry { at_ms: 0, event }, Durability::Soon).unwrap();
    assert_eq!((tally.totals().denied, tally.totals().permitted), (1, 0));
}
