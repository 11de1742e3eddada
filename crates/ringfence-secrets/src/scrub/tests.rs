//! Whatever the chunks, the value does not come out, and what is not the value does.

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::sentinel::Shape;

const VALUE: &str = "sk-ant-api03-Zq9/xY+wB_7h-cR2mN4pLk8vT1sD6fGj";

fn patterns(values: &[&str]) -> Patterns {
    let mut all = Patterns::default();
    for value in values {
        all.add(value, &Shape::of(value).sentinel().unwrap());
    }
    all
}

/// The text through the scrubber, in chunks that end at `cuts`.
fn through(patterns: &Patterns, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut scrubber = Scrubber::new(patterns);
    let mut out = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([text.len()]) {
        let to = cut.clamp(from, text.len());
        out.extend(scrubber.push(&text[from..to]));
        from = to;
    }
    out.extend(scrubber.finish());
    out
}

/// Whether two chunkings of a text came out alike, but for the first characters of what was replaced:
/// those may have gone on before it was known what they begin.
fn alike(out: &[u8], whole: &[u8], text: &[u8]) -> bool {
    let differ = out.iter().zip(whole).zip(text).filter(|((out, whole), _)| out != whole);
    let differ: Vec<bool> = differ.map(|((out, _), text)| out == text).collect();
    // A line may end before each of them, with two characters.
    out.len() == whole.len()
        && differ.len() <= SAID_CHARS * 3 * SPELLING_BYTES_MAX
        && differ.into_iter().all(|as_it_was| as_it_was)
}

fn part(text: &str, from: usize, to: usize) -> String {
    text.get(from..to).unwrap().to_owned()
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

fn unicode(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u00{byte:02X}")).collect::<Vec<_>>().concat()
}

/// A value as servers may write it, with what of it must not come out.
fn spellings(value: &str) -> Vec<(String, Vec<String>)> {
    let core = |text: &str| vec![part(text, 4, text.len() - 4)];
    let mut all = vec![
        (value.to_owned(), vec![value.to_owned()]),
        (percent(value), vec![percent(value)]),
        (percent(value).to_uppercase(), vec![percent(value).to_uppercase()]),
        (unicode(value), vec![unicode(value)]),
        (value.replace('/', "\\/"), vec![value.replace('/', "\\/")]),
        (value.replace('/', "%2F").replace('+', "%2B"), vec![value.replace('/', "%2F")]),
        (hex_text(value.as_bytes()).to_string(), vec![hex_text(value.as_bytes()).to_string()]),
        (
            hex_text(value.as_bytes()).to_uppercase(),
            vec![hex_text(value.as_bytes()).to_uppercase()],
        ),
    ];
    for before in ["", "u", "ab", "abc", "user:"] {
        for after in ["", "z", "zz"] {
            let text = format!("{before}{value}{after}");
            let standard = STANDARD.encode(&text);
            let url = URL_SAFE_NO_PAD.encode(&text);
            let skip = (before.len() + 2) * 4 / 3 + 1;
            let inner = |text: &str| {
                let end = text.trim_end_matches('=').len() - 6;
                vec![part(text, skip, end)]
            };
            all.push((standard.clone(), inner(&standard)));
            all.push((url.clone(), inner(&url)));
            all.push((percent(&standard), core(&percent(&inner(&standard)[0]))));
        }
    }
    all
}

#[test]
fn no_spelling_of_a_value_comes_out_whatever_the_chunks() {
    let patterns = patterns(&[VALUE]);
    for (spelled, gone) in spellings(VALUE) {
        let text = format!("{{\"key\": \"{spelled}\", \"more\": 1}}");
        let whole = through(&patterns, text.as_bytes(), &[]);
        for part in &gone {
            let out = String::from_utf8_lossy(&whole);
            assert!(!out.contains(part.as_str()), "{part} is left of {spelled}: {out}");
        }
        assert_eq!(whole.len(), text.len(), "{spelled}");
        assert!(whole.starts_with(b"{\"key\": \"") && whole.ends_with(b"\", \"more\": 1}"));
        for cut in 0..text.len() {
            let out = through(&patterns, text.as_bytes(), &[cut]);
            assert!(alike(&out, &whole, text.as_bytes()), "cut at {cut}: {out:?}");
        }
        let each: Vec<usize> = (0..text.len()).collect();
        let out = through(&patterns, text.as_bytes(), &each);
        assert!(alike(&out, &whole, text.as_bytes()), "{out:?}");
    }
}

/// A text in lines of this many characters.
fn in_lines(text: &str, width: usize, end: &str) -> String {
    let lines: Vec<&str> =
        text.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(end)
}

#[test]
fn a_value_in_a_text_of_many_lines_is_found_in_base64_and_in_hex() {
    let long = format!("{VALUE}.{VALUE}.{VALUE}");
    let sentinel = Shape::of(&long).sentinel().unwrap();
    let mut all = Patterns::default();
    all.add(&long, &sentinel);
    let texts = |value: &str| {
        let before = "-".repeat(50);
        let within = format!("{before}{value}{before}");
        [
            STANDARD.encode(value),
            STANDARD.encode(format!("a{within}")),
            STANDARD.encode(format!("ab{within}")),
            hex_text(within.as_bytes()).to_string(),
        ]
    };
    let ends = ["\n", "\r\n", "\\n", "\\r\\n", "%0A", "%0D%0A", "\\u000a", "\\u000d\\u000A"];
    for (real, stand_in) in texts(&long).iter().zip(texts(sentinel.as_str())) {
        for (width, end) in [76, 64, 60, 1].iter().flat_map(|it| ends.map(|end| (*it, end))) {
            let text = format!("\"{}\"", in_lines(real, width, end));
            let whole = through(&all, text.as_bytes(), &[]);
            let expected = format!("\"{}\"", in_lines(&stand_in, width, end));
            let out = String::from_utf8(whole).unwrap();
            assert_eq!(out.len(), text.len());
            // The characters at both ends hold bits of what is around the value; a longer spelling is filled up.
            let plain = end.bytes().all(|byte| b"\r\n\\rn".contains(&byte));
            let differ = out.bytes().zip(expected.bytes()).filter(|(one, other)| one != other);
            let differ = differ.count();
            assert!(
                !plain || differ <= 4,
                "{width} {end:?} {differ} {text:?}\n{out:?}\n{expected:?}"
            );
            let middle = part(real, real.len() / 2 - 10, real.len() / 2 + 10);
            assert!(!out.replace(end, "").contains(&middle), "{text}: {out}");
            for cut in (0..text.len()).step_by(211) {
                let cut = through(&all, text.as_bytes(), &[cut]);
                assert!(alike(&cut, out.as_bytes(), text.as_bytes()), "{text}");
            }
        }
    }
}

#[test]
fn a_line_that_ends_twice_is_no_part_of_a_value() {
    let patterns = patterns(&[VALUE]);
    let text = STANDARD.encode(VALUE);
    for end in ["\n\n", "\r\r", "\n\r", "\r\n\n"] {
        let text = in_lines(&text, 20, end);
        assert_eq!(through(&patterns, text.as_bytes(), &[]), text.as_bytes());
    }
}

#[test]
fn what_replaces_a_value_is_its_stand_in() {
    let sentinel = Shape::of(VALUE).sentinel().unwrap();
    let mut all = Patterns::default();
    all.add(VALUE, &sentinel);
    let out = all.scrubbed(format!("a {VALUE} b {VALUE}").as_bytes());
    assert_eq!(String::from_utf8(out).unwrap(), format!("a {0} b {0}", sentinel.as_str()));
}

#[test]
fn almost_a_value_passes_untouched() {
    let patterns = patterns(&[VALUE]);
    for text in [
        VALUE.trim_end_matches('j'),
        VALUE.trim_start_matches('s'),
        "",
        "%",
        "%%%%\\\\\\u00\\u0",
        "sk-ant-api03-",
        "\\u0073k-ant %73%6b",
    ] {
        assert_eq!(through(&patterns, text.as_bytes(), &[1, 2, 3]), text.as_bytes(), "{text}");
    }
}

#[test]
fn a_false_start_hides_no_value() {
    let patterns = patterns(&["aaaaaaab", "abababac"]);
    for text in ["aaaaaaaaab", "ababababac", "%61aaaaaaab", "%%61aaaaaab", "\\\\u0061aaaaaab"] {
        let out = String::from_utf8(through(&patterns, text.as_bytes(), &[3])).unwrap();
        for left in ["aaaaaaab", "abababac", "%61aaaaaab", "\\u0061aaaaaab"] {
            assert!(!out.contains(left), "{text} became {out}");
        }
    }
}

#[test]
fn what_is_had_while_an_answer_streams_is_looked_for_from_then_on() {
    let value = "sk-real-0123456789";
    let (none, all) = (Patterns::default(), patterns(&["another-secret-1", value]));
    let mut scrubber = Scrubber::new(&none);
    let mut out = scrubber.push(b"before, ");
    out.extend(scrubber.renew(&all));
    out.extend(scrubber.push(b"another-sec"));
    out.extend(scrubber.renew(&all));
    out.extend(scrubber.push(format!("ret-1, {value}").as_bytes()));
    out.extend(scrubber.finish());
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("before, ") && !text.contains(value), "{text}");
    assert!(!text.contains("another-secret-1"), "{text}");
    assert!(
        !text.contains("ther-secret-1") && text.len() == "before, another-secret-1, ".len() + 18
    );
}

#[test]
fn what_went_on_goes_on_once_also_where_other_things_are_looked_for() {
    let (none, all) = (Patterns::default(), patterns(&[VALUE, "abcdefghij-klm"]));
    let text = format!("abc abcdef {VALUE} ab %61bcdefghij-klm abcdefghij");
    for patterns in [&none, &all] {
        for step in 1..9 {
            let mut scrubber = Scrubber::new(patterns);
            let mut out = Vec::new();
            for chunk in text.as_bytes().chunks(step) {
                out.extend(scrubber.push(chunk));
                out.extend(scrubber.renew(&all));
            }
            out.extend(scrubber.finish());
            let whole = through(&all, text.as_bytes(), &[]);
            let differ = out.iter().zip(&whole).filter(|(out, whole)| out != whole).count();
            assert_eq!(out.len(), whole.len());
            // Two values, of which the first characters may be there.
            assert!(differ <= 2 * SAID_CHARS * SPELLING_BYTES_MAX, "{differ} by {step}");
            let out = String::from_utf8(out).unwrap();
            assert!(
                !out.contains(&part(VALUE, 12, VALUE.len())) && !out.contains("defghij-klm"),
                "{out}"
            );
        }
    }
}

#[test]
fn who_waits_for_the_last_word_has_it() {
    let patterns = patterns(&[VALUE]);
    for word in ["yes", "ask", "task", "a %", "sk", "sk-"] {
        let mut scrubber = Scrubber::new(&patterns);
        assert_eq!(scrubber.push(word.as_bytes()), word.as_bytes(), "{word}");
        assert_eq!(scrubber.push(b"!"), b"!");
    }
    // The end of its line is of the word.
    for text in [STANDARD.encode(VALUE), hex_text(VALUE.as_bytes()).to_string()] {
        for end in ["\n", "\r\n"] {
            let mut scrubber = Scrubber::new(&patterns);
            let word = part(&text, 0, SAID_CHARS) + end;
            assert_eq!(scrubber.push(word.as_bytes()), word.as_bytes());
            scrubber.push(part(&text, SAID_CHARS, text.len()).as_bytes());
            assert_eq!(scrubber.replaced(), 1, "{text}");
        }
    }
    // What is more than anybody knows of a key is kept until it is known to be none.
    let mut scrubber = Scrubber::new(&patterns);
    assert_eq!(scrubber.push(b"my sk-ant"), b"my sk-");
    assert_eq!(scrubber.push(b"hem"), b"anthem");
}

#[test]
fn nothing_is_kept_back_that_cannot_become_a_value() {
    let patterns = patterns(&[VALUE]);
    let mut scrubber = Scrubber::new(&patterns);
    let event = b"data: {\"type\": \"content_block_delta\"}\n\n";
    assert_eq!(scrubber.push(event), event);
    let broken = in_lines(&unicode(&STANDARD.encode(VALUE)), 6, "\\u000d\\u000a");
    let blank = format!("{}{}", part(&broken, 0, broken.len() - 6), "\n".repeat(1 << 16));
    for longest in ["%".repeat(1 << 16), part(&broken, 0, broken.len() - 1), blank] {
        for piece in longest.as_bytes().chunks(100) {
            scrubber.push(piece);
            let kept = scrubber.kept.len() + scrubber.gone.len();
            assert!(kept <= kept_bytes_max(VALUE.len()), "{kept}");
        }
    }
}

proptest! {
    #[test]
    fn no_chunking_lets_a_value_out(
        before in "[a-z%\\\\u0-9 s]{0,40}",
        after in "[a-z%\\\\u0-9 s]{0,40}",
        value in "[a-cA-C%\\\\/+\"=0-2]{8,24}",
        spelling in proptest::collection::vec(0..4_u8, 24),
        cuts in proptest::collection::vec(0..300_usize, 0..12),
    ) {
        let spelled: String = value
            .bytes()
            .zip(spelling)
            .map(|(byte, how)| match how {
                0 => char::from(byte).to_string(),
                1 => format!("%{byte:02X}"),
                2 => format!("\\u00{byte:02x}"),
                _ if b"/\\\"".contains(&byte) => format!("\\{}", char::from(byte)),
                _ => char::from(byte).to_string(),
            })
            .collect();
        let text = format!("{before}{spelled}{after}");
        let patterns = patterns(&[&value]);
        let mut cuts = cuts;
        cuts.sort_unstable();
        let out = through(&patterns, text.as_bytes(), &cuts);
        let found = memchr::memmem::find(&out, spelled.as_bytes());
        prop_assert!(found.is_none(), "{text} became {}", String::from_utf8_lossy(&out));
        prop_assert_eq!(out.len(), text.len());
        let whole = through(&patterns, text.as_bytes(), &[]);
        prop_assert!(alike(&out, &whole, text.as_bytes()), "{:?} {:?}", text, out);
    }
}
