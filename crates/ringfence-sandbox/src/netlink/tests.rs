use super::*;

/// An answer of the kernel's: the number of the message it is about, and its error.
fn answer(sequence: u32, errno: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(36_u32.to_ne_bytes());
    bytes.extend(NLMSG_ERROR.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend((-errno).to_ne_bytes());
    bytes.extend([0; 16]);
    bytes
}

#[test]
fn a_batch_is_done_when_its_last_message_is() {
    assert!(!done(&answer(1, 0), 2).unwrap());
    assert!(done(&answer(2, 0), 2).unwrap());
    assert!(done(&[answer(1, 0), answer(2, 0)].concat(), 2).unwrap());
    assert!(!done(&[], 2).unwrap());
}

#[test]
fn a_failure_of_any_message_is_one_of_the_batch() {
    for text in [answer(1, libc::EOPNOTSUPP), [answer(1, libc::EOPNOTSUPP), answer(2, 0)].concat()]
    {
        let error = done(&text, 2).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}

#[test]
fn an_answer_that_is_cut_off_is_an_error() {
    let whole = answer(2, 0);
    for length in 16..20 {
        assert!(done(&whole[..length], 2).is_err(), "{length}");
    }
}

#[test]
fn attributes_are_aligned_and_lengths_are_without_padding() {
    let mut batch = Batch::default();
    batch.message(7, NLM_F_ACK, &[9; 4], |batch| {
        batch.nested(4, |batch| batch.text(1, "ab"));
    });
    let mut expected = Vec::new();
    expected.extend(32_u32.to_ne_bytes());
    expected.extend(7_u16.to_ne_bytes());
    expected.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    expected.extend(1_u32.to_ne_bytes());
    expected.extend([0; 4]);
    expected.extend([9; 4]);
    expected.extend(12_u16.to_ne_bytes());
    expected.extend((4 | NLA_F_NESTED).to_ne_bytes());
    expected.extend(7_u16.to_ne_bytes());
    expected.extend(1_u16.to_ne_bytes());
    expected.extend(*b"ab\0\0");
    assert_eq!(batch.bytes, expected);
}
