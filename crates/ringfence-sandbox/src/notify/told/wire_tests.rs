use proptest::prelude::*;

use super::*;

#[test]
fn a_question_is_read_as_the_library_writes_it() {
    let mut bytes = b"RFLINE\x00\x01".to_vec();
    for word in [7, 257, 1, 2, 3, 4, 5, u64::MAX] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    let question = Question { tid: 7, number: 257, args: [1, 2, 3, 4, 5, u64::MAX] };
    assert_eq!(Question::decode(&bytes), Some(question));
    assert_eq!(question.encode().as_slice(), bytes);
}

#[test]
fn an_answer_is_written_as_the_library_reads_it() {
    let check = |word: Word, kind: u8, errno: u8| {
        let mut bytes = b"RFLINE\x00\x01".to_vec();
        bytes.extend_from_slice(&[kind, 0, 0, 0, errno, 0, 0, 0]);
        assert_eq!(word.encode().as_slice(), bytes);
        assert_eq!(Word::decode(&bytes), Some(word));
    };
    check(Word::Reply(Reply::Continue), 1, 0);
    check(Word::Reply(Reply::Success), 2, 0);
    check(Word::Reply(Reply::Fail(13)), 3, 13);
    check(Word::File, 4, 0);
}

#[test]
fn a_failure_without_an_error_number_never_becomes_a_success() {
    for errno in [0, -1, 4096, i32::MIN, i32::MAX] {
        let bytes = Word::Reply(Reply::Fail(errno)).encode();
        assert_eq!(Word::decode(&bytes), Some(Word::Reply(Reply::Fail(libc::EACCES))), "{errno}");
    }
}

#[test]
fn what_is_cut_too_long_or_of_another_format_is_no_question() {
    let whole = Question { tid: 7, number: 2, args: [0; 6] }.encode();
    for length in 0..whole.len() {
        assert_eq!(Question::decode(&whole[..length]), None, "{length}");
    }
    let mut longer = whole.to_vec();
    longer.push(0);
    assert_eq!(Question::decode(&longer), None);
    for at in 0..8 {
        let mut other = whole;
        other[at] ^= 1;
        assert_eq!(Question::decode(&other), None, "{at}");
    }
}

#[test]
fn numbers_that_name_no_thread_are_no_question() {
    for tid in [0, u64::MAX, 1 << 31, 1 << 32, (1 << 32) + 7] {
        let mut bytes = Question { tid: 7, number: 2, args: [0; 6] }.encode();
        bytes[8..16].copy_from_slice(&tid.to_ne_bytes());
        assert_eq!(Question::decode(&bytes), None, "{tid}");
    }
    let mut bytes = Question { tid: 7, number: 2, args: [0; 6] }.encode();
    bytes[16..24].copy_from_slice(&u64::MAX.to_ne_bytes());
    assert_eq!(Question::decode(&bytes), None, "no call has a number below 0");
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Some(question) = Question::decode(&bytes) {
            prop_assert_eq!(question.encode().to_vec(), bytes.clone());
        }
        if let Some(word) = Word::decode(&bytes) {
            prop_assert_eq!(word.encode().to_vec(), bytes);
        }
    }

    #[test]
    fn every_question_arrives(tid in 1..i32::MAX, number in 0..i64::MAX, args in any::<[u64; 6]>()) {
        let question = Question { tid, number, args };
        prop_assert_eq!(Question::decode(&question.encode()), Some(question));
    }
}
