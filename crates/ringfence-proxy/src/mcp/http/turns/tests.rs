use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};

use super::*;

fn alone(future: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().build().unwrap();
    LocalSet::new().block_on(&runtime, future);
}

/// A message of about this many bytes.
fn message(bytes: usize) -> Vec<u8> {
    let text = "x".repeat(bytes);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/x","params":{{"x":"{text}"}}}}"#).into()
}

#[test]
fn whoever_has_little_to_say_is_not_behind_all_that_another_says() {
    alone(async {
        let (flood, other) = (Rc::new(Turns::default()), Rc::new(Turns::default()));
        let said = Rc::new(RefCell::new(Vec::new()));
        let mut all = Vec::new();
        // However many streams it has.
        for _ in 0..16 {
            let (turns, said) = (Rc::clone(&flood), Rc::clone(&said));
            all.push(spawn_local(async move {
                for _ in 0..64 {
                    turns.take(LIGHT_BYTES_MAX, || said.borrow_mut().push("flood")).await;
                }
            }));
        }
        let (turns, to) = (Rc::clone(&other), Rc::clone(&said));
        all.push(spawn_local(async move {
            for _ in 0..16 {
                turns.take(100, || to.borrow_mut().push("other")).await;
                yield_now().await;
            }
        }));
        for one in all {
            one.await.unwrap();
        }
        let said = said.borrow();
        let last = said.iter().rposition(|it| *it == "other").unwrap();
        // Each time it has its turn, the flood has had one at most, and all sixteen streams their first.
        assert!(last <= 16 + 3 * 16, "{last} of {}", said.len());
    });
}

#[test]
fn what_is_large_is_read_elsewhere_and_as_what_it_is() {
    alone(async {
        let turns = Turns::default();
        for bytes in [10, LIGHT_BYTES_MAX * 4] {
            let read = turns.read(message(bytes)).await.unwrap().unwrap();
            assert_eq!(read, Frame::parse(message(bytes)).unwrap());
            let mut broken = message(bytes);
            broken.pop();
            let (back, _) = turns.read(broken.clone()).await.unwrap().unwrap_err();
            assert_eq!(back, broken, "whoever hears it says what is wrong with it");
        }
        let here = std::thread::current().id();
        let reads = spawn_blocking(move || std::thread::current().id() != here);
        assert!(reads.await.unwrap());
    });
}

#[test]
fn others_go_on_while_something_large_is_read() {
    alone(async {
        let turns = Rc::new(Turns::default());
        let held = Arc::clone(&turns.large).acquire_owned().await.unwrap();
        let to = Rc::clone(&turns);
        let large =
            spawn_local(async move { to.read(message(LIGHT_BYTES_MAX * 4)).await.is_some() });
        yield_now().await;
        // Two at a time are not read; what is small is, meanwhile.
        assert!(turns.read(message(10)).await.unwrap().is_ok());
        assert!(!large.is_finished());
        drop(held);
        assert!(large.await.unwrap());
    });
}

#[test]
fn what_has_not_ended_is_bounded_over_all_streams() {
    let turns = Turns::default();
    let mut streams: Vec<Unended<'_>> = (0..8).map(|_| turns.unended()).collect();
    let part = UNENDED_BYTES_MAX / 8;
    for stream in &mut streams {
        assert_eq!(stream.are(part - 1), Ok(()));
        assert_eq!(stream.are(part), Ok(()), "it is not counted twice");
    }
    let mut one_more = turns.unended();
    assert_eq!(one_more.are(1), Err(TooMuch));
    drop(one_more);
    drop(streams);
    assert_eq!(turns.unended().are(UNENDED_BYTES_MAX), Ok(()));
    assert_eq!(turns.unended.load(Ordering::Relaxed), 0);
}
