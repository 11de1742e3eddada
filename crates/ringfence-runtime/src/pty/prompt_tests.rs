use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use ringfence_core::Answer;

use super::{Codes, Prompt, shortened};

fn prompt() -> (Prompt, Receiver<Answer>) {
    let (reply, answers) = sync_channel(1);
    let prompt = Prompt {
        text: "agent `a` asks to run `git push`".to_owned(),
        codes: Codes { approve: "k7".to_owned(), refuse: "m3".to_owned() },
        deadline: Instant::now() + Duration::from_mins(1),
        reply,
        typed: String::new(),
        wrong: 0,
    };
    (prompt, answers)
}

#[test]
fn the_approving_code_approves() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"k"));
    assert!(prompt.typed(b"7"));
    assert_eq!(answers.try_recv(), Ok(Answer::Approved));
}

#[test]
fn a_bare_yes_does_not_answer() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"y\r\n"));
    assert!(answers.try_recv().is_err());
}

#[test]
fn the_letters_of_an_escape_sequence_do_not_add_up_to_a_code() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"k\x1b[7m"));
    assert!(answers.try_recv().is_err());
}

#[test]
fn three_wrong_codes_refuse() {
    let (mut prompt, answers) = prompt();
    assert!(!prompt.typed(b"aa"));
    assert!(!prompt.typed(b"bb"));
    assert!(prompt.typed(b"cc"));
    assert_eq!(answers.try_recv(), Ok(Answer::Refused));
}

#[test]
fn control_c_refuses() {
    let (mut prompt, answers) = prompt();
    assert!(prompt.typed(&[3]));
    assert_eq!(answers.try_recv(), Ok(Answer::Refused));
}

#[test]
fn a_question_whose_deadline_has_passed_is_expired() {
    let (mut prompt, answers) = prompt();
    prompt.deadline = Instant::now();
    assert!(prompt.expire_if_due());
    assert_eq!(answers.try_recv(), Ok(Answer::Expired));
}

#[test]
fn the_two_codes_are_never_alike() {
    for byte in 0..=u8::MAX {
        let codes = Codes::from_random([byte, byte, byte, byte]);
        assert_ne!(codes.approve, codes.refuse);
        assert_eq!((codes.approve.len(), codes.refuse.len()), (2, 2));
    }
}

#[test]
fn a_long_question_is_cut_in_the_middle_and_the_codes_stay() {
    let (mut prompt, _answers) = prompt();
    prompt.text = "x".repeat(500);
    let line = prompt.line(80);
    assert!(line.chars().count() < 80, "{line}");
    assert!(line.contains("k7") && line.contains("m3"), "{line}");
    assert_eq!(shortened("abcdefghij", 8), "abc...ij");
}
