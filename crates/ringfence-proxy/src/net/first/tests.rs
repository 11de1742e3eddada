use proptest::prelude::*;

use super::*;

fn check(sent: &[u8], expected: &Speaks) {
    assert_eq!(speaks(sent), *expected, "{}", String::from_utf8_lossy(sent));
}

#[test]
fn http_is_told_by_the_version_that_ends_its_first_line() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\nHost: a\n",
        // What lenient servers take too.
        "\r\n\r\nGET / HTTP/1.1\r\n",
        "\n get / http/1.1\r\n",
        "FOO\t/\tHTTP/1.1\r\n",
        "GET /\u{b}HTTP/1.1\r\n",
        "GET /\u{1} HTTP/1.1\r\n",
        "G\u{e4}T / HTTP/1.1\r\n",
        // Servers differ in how long a method may be, and answer one that they do not know.
        &("G".repeat(1000) + " / HTTP/1.1\r\n"),
    ] {
        check(line.as_bytes(), &Speaks::Http);
    }
    check(PREFACE, &Speaks::Http2);
}

#[test]
fn a_line_that_may_become_a_request_is_waited_for() {
    for part in ["", "\r\n", "G", "GET", "GET /", "GET / HT", "GET / HTTP/1.1", "GET /\u{1}"] {
        check(part.as_bytes(), &Speaks::More);
    }
    for end in 0..16 {
        check(&PREFACE[..end], &Speaks::More);
    }
    let endless = [b"GET /", vec![b'a'; HEAD_BYTES_MAX].as_slice()].concat();
    assert!(matches!(speaks(&endless), Speaks::Unclear(_)));
}

#[test]
fn other_protocols_are_known_at_once() {
    for sent in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"EHLO a.example\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"get key\r\n",
        // psql asks for TLS, MySQL answers, MongoDB asks, git fetches.
        &[0, 0, 0, 8, 4, 210, 22, 47],
        &[0x20, 0, 0, 1],
        &[b' ', b'X', 0, 0, 1, 0, 0, 0],
        b"0032git-upload-pack /project.git\0host=a\0",
        b"AMQP\0\0\x09\x01",
    ] {
        check(sent, &Speaks::Other);
    }
}

#[test]
fn tls_says_whom_it_is_for() {
    check(&[22], &Speaks::More);
    assert!(matches!(speaks(&[22, 3, 1, 0, 0]), Speaks::Unclear(_)));
}

/// Pieces of what clients say, and of what only looks like it.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET ".to_vec()),
        Just(b" HTTP/1.1".to_vec()),
        Just(b"http/".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\0".to_vec()),
        Just(PREFACE.to_vec()),
        Just(b"\x16\x03\x01\0\x05\x01\0\0\x01".to_vec()),
        Just(vec![b'a'; 64]),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    // What is known of a client decides which of its bytes are passed on: it may not change.
    #[test]
    fn what_is_told_once_stays(sent in pieces()) {
        let mut known = Speaks::More;
        for end in 0..=sent.len() {
            let now = speaks(&sent[..end]);
            prop_assert!(known == Speaks::More || known == now, "{known:?} at {end}: {now:?}");
            known = now;
        }
    }
}
