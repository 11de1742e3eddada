use super::{Filter, SEQUENCE_BYTES_MAX};

fn passed(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    Filter::default().pass(input, &mut output);
    output
}

/// The same, one byte at a time.
fn passed_slowly(input: &[u8]) -> Vec<u8> {
    let mut filter = Filter::default();
    let mut output = Vec::new();
    for byte in input {
        filter.pass(&[*byte], &mut output);
    }
    output
}

const ANSWERED: &[&str] = &[
    "\x1b[6n",
    "\x1b[5n",
    "\x1b[?6n",
    "\x1b[?996n",
    "\x1b[c",
    "\x1b[0c",
    "\x1b[>c",
    "\x1b[>0;1c",
    "\x1b[=c",
    "\x1bZ",
    "\x1b%@",
    "\x05",
    "\x1b[18t",
    "\x1b[14t",
    "\x1b[21t",
    "\x1b[20t",
    "\x1b[8;1;1t",
    "\x1b[x",
    "\x1b[1x",
    "\x1b[?2026$p",
    "\x1b[4$p",
    "\x1b[>q",
    "\x1b[>0q",
    "\x1b[?u",
    "\x1b[?1;1;0S",
    "\x1b[?4m",
    "\x1b[1;1;1;1;1;1*y",
    "\x1b[1$w",
    "\x1b['|",
    "\x1b[&u",
    "\x1b[5i",
    "\x1b[?2048h",
    "\x1b[?25;2048h",
    "\x1b[?02048h",
    "\x1b[#|",
    "\x1b[#R",
    "\x1bP$qm\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x1bP|17/6c73\x1b\\",
    "\x1bPtmux;\x1b\x1b[6n\x1b\\",
    "\x1b_Gi=1,a=q;AAAA\x1b\\",
    "\x1b]52;c;?\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b]10;?\x07",
    "\x1b]11;?\x1b\\",
    "\x1b]4;1;?\x07",
    "\x1b]50;?\x07",
    "\x1b]1337;ReportVariable=aGk=\x07",
    "\x1b]l\x1b\\",
    "\u{9b}6n",
    "\x1b[\u{5}6n",
];

#[test]
fn no_query_reaches_the_terminal() {
    for query in ANSWERED {
        let text = format!("a{query}b");
        let got = passed(text.as_bytes());
        let rest = got.strip_prefix(b"a").and_then(|rest| rest.strip_suffix(b"b"));
        let rest = rest.unwrap_or_else(|| panic!("{query:?} swallowed its surroundings: {got:?}"));
        assert!(!rest.contains(&0x1b) && !rest.contains(&0x05), "{query:?} passed as {rest:?}");
        assert!(!rest.contains(&0x9b), "{query:?} passed as {rest:?}");
    }
}

#[test]
fn no_query_reaches_the_terminal_in_single_bytes() {
    for query in ANSWERED {
        assert_eq!(passed_slowly(query.as_bytes()), passed(query.as_bytes()), "{query:?}");
    }
}

#[test]
fn an_eight_bit_control_does_not_pass() {
    assert_eq!(passed(b"\x9b6n"), b"6n");
    assert_eq!(passed(b"\x90$qm\x9c"), b"$qm");
    assert_eq!(passed(b"\xc2\x9b6n"), b"6n");
    assert_eq!(passed_slowly(b"\xc2\x9b6n"), b"6n");
}

#[test]
fn a_query_hidden_behind_an_unfinished_string_does_not_pass() {
    assert_eq!(passed(b"\x1b]0;title\x1b[6nz"), b"z");
    assert_eq!(passed(b"\x1b[1\x1b[6nz"), b"z");
    assert_eq!(passed(b"\x1bP\x18\x1b[6nz"), b"z");
    assert_eq!(passed(b"\x1b(\x1b[6nz"), b"z");
}

#[test]
fn an_overlong_sequence_is_dropped_whole() {
    let mut text = b"\x1b]0;".to_vec();
    text.extend(std::iter::repeat_n(b'x', SEQUENCE_BYTES_MAX + 1));
    text.extend_from_slice(b"\x07after");
    assert_eq!(passed(&text), b"after");
}

#[test]
fn what_draws_passes_unchanged() {
    for text in [
        "plain text\r\n\ttab \u{e9}\u{4e16}\u{1f600}",
        "\x1b[1;31mred\x1b[0m",
        "\x1b[2J\x1b[H\x1b[10;20H\x1b[K",
        "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1000;1006h",
        "\x1b[>1u\x1b[<u\x1b[>4;2m",
        "\x1b7\x1b8\x1b(B\x1b)0\x1b=\x1b>",
        "\x1b]0;my title\x07",
        "\x1b]8;;https://example.com/?q=1\x1b\\link\x1b]8;;\x1b\\",
        "\x1b]10;#ffffff\x07",
        "\x1b[2 q\x1b[!p\x1b[22;0t",
        "\x1b[38:2::10:20:30mtrue colour",
    ] {
        assert_eq!(passed(text.as_bytes()), text.as_bytes(), "{text:?}");
        assert_eq!(passed_slowly(text.as_bytes()), text.as_bytes(), "{text:?}");
    }
}

#[test]
fn a_letter_that_is_longer_than_need_be_does_not_pass() {
    for (bytes, wanted) in
        [(&b"a\xe0\x82\x9b6nb"[..], &b"a6nb"[..]), (b"a\xf0\x80\x82\x9b6nb", b"a6nb")]
    {
        assert_eq!(passed(bytes), wanted);
        assert_eq!(passed_slowly(bytes), wanted);
    }
}
