mod drawn;
mod joined;
mod letters;
mod parts;

use super::quotes::Quotes;
use super::*;
use ringfence_core::Detector;

/// Finds `ghp_` with 36 letters behind it, `key ` with what follows in its line, `BEGIN` to `END`, cards of sixteen
/// fours, also with spaces, and escapes.
struct Looks;

impl Inspect for Looks {
    fn inspect(&self, text: &str) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut add = |rule, kind, certainty, at: std::ops::Range<usize>| {
            all.push(Finding { rule, kind, certainty, at });
        };
        let letters = |text: &str| text.bytes().take_while(u8::is_ascii_alphanumeric).count();
        for (start, _) in text.match_indices("ghp_") {
            if letters(behind(text, start + 4)) == 36 {
                add("token", FindingKind::Secret, Certainty::Certain, start..start + 40);
            }
        }
        for (start, _) in text.match_indices("key ") {
            let count = letters(behind(text, start + 4));
            if count > 3 {
                add("named", FindingKind::Secret, Certainty::Likely, start + 4..start + 4 + count);
            }
        }
        for (start, _) in text.match_indices("BEGIN") {
            let end = behind(text, start).find("END").map_or(text.len(), |at| start + at + 3);
            add("pem", FindingKind::Secret, Certainty::Certain, start..end);
        }
        for card in ["4444444444444444", "4444 4444 4444 4444"] {
            for (start, _) in text.match_indices(card) {
                add("card", FindingKind::Card, Certainty::Certain, start..start + card.len());
            }
        }
        for (start, _) in text.match_indices('\u{1b}') {
            add("escape", FindingKind::Terminal, Certainty::Certain, start..start + 1);
        }
        all.sort_by_key(|finding| finding.at.start);
        all
    }

    fn open(&self, text: &str) -> Option<usize> {
        let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let start = text.len() - text.bytes().rev().take_while(belongs).count();
        let last = behind(text, start);
        let begins =
            |word: &str| !last.is_empty() && (last.starts_with(word) || word.starts_with(last));
        begins("ghp_").then_some(start)
    }
}

fn behind(text: &str, at: usize) -> &str {
    text.get(at..).unwrap()
}

static LOOKS: Looks = Looks;
const TOKEN: &str = "ghp_0123456789012345678901234567890123ab";

fn rules(redact: &str, block: &str, way: Way) -> Rules {
    let list = |text: &str| {
        if text.is_empty() { BTreeSet::new() } else { Detector::list(text).unwrap() }
    };
    let handling = Handling { redact: list(redact), block: list(block) };
    let stand_ins = ["ghp_standin01234567890123456789012345678".to_owned()];
    Rules::new(handling, &LOOKS, Arc::new(stand_ins.into()), way)
}

fn passing(form: Form) -> Passing {
    Passing::new(rules("secrets,card", "", Way::In), form)
}

/// What goes on of a text that comes in pieces of a size.
fn in_pieces(form: Form, size: usize, text: &[u8]) -> String {
    let mut passing = passing(form);
    let mut out = Vec::new();
    for piece in text.chunks(size) {
        out.extend(passing.push(piece).unwrap());
    }
    out.extend(passing.finish().unwrap());
    assert!(!passing.holds());
    String::from_utf8(out).unwrap()
}

/// The same in pieces of all sizes, which come to the same.
fn passed(form: Form, text: &str) -> String {
    let whole = in_pieces(form, text.len().max(1), text.as_bytes());
    for size in [1, 2, 3, 7, 39, 40, 41, 1000] {
        assert_eq!(in_pieces(form, size, text.as_bytes()), whole, "in pieces of {size}");
    }
    whole
}

#[test]
fn what_is_cut_in_pieces_is_taken_out_all_the_same() {
    let text = format!("one {TOKEN} two\nkey password\nand {TOKEN}");
    let clean = "one [redacted: token] two\nkey [redacted: named]\nand [redacted: token]";
    assert_eq!(passed(Form::Text, &text), clean);
    assert_eq!(passed(Form::Text, "nothing is in here\nat all"), "nothing is in here\nat all");
    assert_eq!(passed(Form::Text, ""), "");
}

#[test]
fn what_goes_over_many_lines_is_taken_out_as_one() {
    let text = format!("a\nBEGIN\n{}END\nb", "line of a key\n".repeat(200));
    assert_eq!(passed(Form::Text, &text), "a\n[redacted: pem]\nb");
    // It has no end: nothing of it is left.
    assert_eq!(passed(Form::Text, "a\nBEGIN\nline\nline\n"), "a\n[redacted: pem]");
}

#[test]
fn what_does_not_end_is_let_go_as_far_as_it_must_and_said_once() {
    let text = format!("BEGIN{}\nEND {TOKEN}", "\nline of a key".repeat(10_000));
    let clean = in_pieces(Form::Text, 1000, text.as_bytes());
    assert!(!clean.contains("ghp_") && clean.matches("line").count() < 9_900, "{}", clean.len());
    assert!(clean.starts_with("[redacted: pem]"), "{:?}", clean.get(..40));
    assert_eq!(clean.matches("[redacted: pem]").count(), 1);
}

#[test]
fn a_long_line_goes_on_while_it_comes() {
    let long = "x y".repeat(30_000);
    let text = format!("{long} {TOKEN} {long}");
    let mut passing = passing(Form::Text);
    let (mut out, mut sent) = (Vec::new(), 0);
    for piece in text.as_bytes().chunks(100) {
        sent += piece.len();
        out.extend(passing.push(piece).unwrap());
        assert!(sent < out.len() + 32 * 1024);
    }
    assert!(out.len() > 100_000);
    out.extend(passing.finish().unwrap());
    assert_eq!(String::from_utf8(out).unwrap(), format!("{long} [redacted: token] {long}"));
}

#[test]
fn escapes_of_json_hide_nothing_and_json_stays_json() {
    let hidden = format!("\\u0067\\u0068p\\u005F{}", behind(TOKEN, 4));
    let text = format!(
        "{{\"{TOKEN}\": 1, \"a\\\"\": \"x {hidden} \\u00e9\\n\", \"n\": 4444444444444444, \"o\": [-1.5e3,\
         \"4444444444444444\"], \"p\": \"BEGIN\", \"q\": \"left\"}}"
    );
    let clean = passed(Form::Json, &text);
    assert_eq!(
        clean,
        "{\"[redacted: token]\": 1, \"a\\\"\": \"x [redacted: token] \\u00e9\\n\", \"n\": \
         \"[redacted: card]\", \"o\": [-1.5e3,\"[redacted: card]\"], \"p\": \"[redacted: pem]\", \"q\": \"left\"}"
            .replace("\"q\": \"left\"", clean.split(", \"q\"").nth(1).map_or("", |_| "\"q\": \"left\""))
    );
    serde_json::from_str::<serde_json::Value>(&clean).unwrap();
    let lines = format!("{text}\n{text}\n");
    for line in passed(Form::Json, &lines).lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn no_escape_is_cut_in_two() {
    // What is found begins with the letter of an escape, or ends within one.
    let text = r#"["\nkey abcdef", "x\tBEGIN\n", "\\key abcdef\\", "BEGIN\u00e9"]"#;
    serde_json::from_str::<serde_json::Value>(&passed(Form::Json, text)).unwrap();
    for at in 0..12 {
        let whole = quotes::within_string("a\\u0067bc\\\\d", at..at + 1, Quotes::default());
        assert!(
            [0..1, 1..7, 7..7, 7..8, 8..9, 9..11, 11..11, 11..12].contains(&whole),
            "{at}: {whole:?}"
        );
    }
}

#[test]
fn events_keep_their_form_and_their_data_is_json_still() {
    let text = format!(
        "event: a\ndata: {{\"text\": \"{TOKEN}\", \"n\": 4444444444444444}}\n\ndata: {TOKEN}\n\ndata: it's \"4444444444444444\n\n"
    );
    let clean = "event: a\ndata: {\"text\": \"[redacted: token]\", \"n\": \"[redacted: card]\"}\n\n\
                 data: [redacted: token]\n\ndata: it's \"[redacted: card]\n\n";
    assert_eq!(passed(Form::Events, &text), clean);
}

#[test]
fn a_text_that_pauses_is_let_go_but_for_its_last_word() {
    let mut passing = passing(Form::Text);
    assert_eq!(passing.push(b"Go on? ghp_0123").unwrap(), b"");
    assert_eq!(passing.pause().unwrap(), b"Go on? ");
    assert_eq!(passing.push(&TOKEN.as_bytes()[8..]).unwrap(), b"");
    assert_eq!(passing.pause().unwrap(), b"");
    assert_eq!(passing.push(b" 4444 44").unwrap(), b"");
    assert_eq!(passing.pause().unwrap(), b"[redacted: token] ");
    assert_eq!(passing.push(b"44 4444 4444, key ").unwrap(), b"");
    assert_eq!(passing.pause().unwrap(), b"[redacted: card], key ");
    assert_eq!(passing.push(b"swordfish\n").unwrap(), b"[redacted: named]\n");
    assert_eq!(passing.finish().unwrap(), b"");
}

#[test]
fn a_line_that_has_ended_is_not_held() {
    let mut passing = passing(Form::Events);
    assert_eq!(passing.push(b"data: 1\n\n").unwrap(), b"data: 1\n\n");
    assert!(!passing.holds());
}

#[test]
fn what_may_not_pass_ends_it_before_anything_of_it_has_gone_on() {
    let text = format!("first\nthen {TOKEN}\nlast\n");
    for size in [1, 5, 1000] {
        let mut passing = Passing::new(rules("", "secrets", Way::In), Form::Text);
        let mut out = Vec::new();
        let mut pieces = text.as_bytes().chunks(size);
        let blocked = pieces.find_map(|piece| match passing.push(piece) {
            Ok(more) => {
                out.extend(more);
                None
            }
            Err(blocked) => Some(blocked),
        });
        assert_eq!(blocked, Some(Blocked { rule: "token".to_owned() }));
        assert!(b"first\n".starts_with(&out));
        assert_eq!(passing.tally().found()[0].treatment, Treatment::Blocked);
    }
}

#[test]
fn what_goes_out_is_stopped_where_it_is_certain_and_never_changed() {
    let stops = |text: &str| {
        let mut passing = Passing::new(rules("secrets", "secrets", Way::Out), Form::Text);
        passing.whole(text.as_bytes().to_vec()).map(|out| assert_eq!(out, text.as_bytes())).is_err()
    };
    assert!(stops(&format!("x {TOKEN}")));
    assert!(!stops("key password"));
    assert!(!stops("x ghp_standin01234567890123456789012345678 y"));
    let only_in = rules("secrets", "", Way::Out);
    let mut passing = Passing::new(only_in, Form::Text);
    assert_eq!(passing.whole(TOKEN.as_bytes().to_vec()).unwrap(), TOKEN.as_bytes());
}

#[test]
fn what_stands_in_for_a_secret_is_worth_nothing_and_stays() {
    let text = "ghp_standin01234567890123456789012345678";
    assert_eq!(passed(Form::Text, text), text);
}

#[test]
fn escapes_of_terminals_are_touched_where_a_rule_names_them_only() {
    assert_eq!(passed(Form::Text, "a\u{1b}[2J"), "a\u{1b}[2J");
    let mut named = Passing::new(rules("terminal", "", Way::In), Form::Json);
    assert_eq!(named.whole(b"\"\\u001b[2J\"".to_vec()).unwrap(), "\"\u{241b}[2J\"".as_bytes());
}

#[test]
fn bytes_that_are_no_text_pass_as_they_are() {
    let bytes = [b"caf\xe9 ", TOKEN.as_bytes(), b" \xff\xfe\n\xc3"].concat();
    for size in [1, 3, 1000] {
        let mut passing = passing(Form::Text);
        let mut out = Vec::new();
        for piece in bytes.chunks(size) {
            out.extend(passing.push(piece).unwrap());
        }
        out.extend(passing.finish().unwrap());
        assert_eq!(out, b"caf\xe9 [redacted: token] \xff\xfe\n\xc3");
    }
    let plain = b"caf\xe9 \xff\xfe\n\xc3".to_vec();
    assert_eq!(passing(Form::Text).whole(plain.clone()).unwrap(), plain);
}

#[test]
fn what_was_found_is_counted_once() {
    let mut passing = passing(Form::Text);
    for piece in format!("{TOKEN}\n\u{1b}\n{TOKEN}\nkey abcd\n").as_bytes().chunks(3) {
        passing.push(piece).unwrap();
        passing.pause().unwrap();
    }
    passing.finish().unwrap();
    let found = passing.tally().found();
    let found: Vec<_> = found.iter().map(|it| (it.rule.as_str(), it.treatment, it.count)).collect();
    assert_eq!(
        found,
        [
            ("escape", Treatment::Told, 1),
            ("named", Treatment::Redacted, 1),
            ("token", Treatment::Redacted, 2)
        ]
    );
}

#[test]
fn heads_are_looked_through_value_by_value() {
    use hyper::header::{HeaderMap, HeaderValue};
    let mut headers = HeaderMap::new();
    headers.insert("x-echo", HeaderValue::from_str(&format!("a {TOKEN}")).unwrap());
    headers.insert("x-other", HeaderValue::from_static("b"));
    let mut tally = Tally::default();
    in_headers(&rules("secrets", "", Way::In), &mut headers, &mut tally).unwrap();
    assert_eq!(
        (&headers["x-echo"], &headers["x-other"]),
        (&"a [redacted: token]".parse().unwrap(), &"b".parse().unwrap())
    );

    // As it reads, in an address of a `location` or a cookie.
    for (value, clean) in [
        (
            format!("https://a/?t=%67hp_{}&x=%20y", behind(TOKEN, 4)),
            "https://a/?t=[redacted: token]&x=%20y",
        ),
        ("a=BEGIN+x%20END; b=c%20d".to_owned(), "a=[redacted: pem]; b=c%20d"),
        (format!("a%2f{TOKEN}"), "a%2f[redacted: token]"),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_str(&value).unwrap());
        let rules = rules("secrets", "", Way::In);
        in_headers(&rules, &mut headers, &mut Tally::default()).unwrap();
        assert_eq!(headers["location"], clean, "{value}");
    }

    let out = rules("", "secrets", Way::Out);
    let blocked = |value: String| {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&value).unwrap());
        out_headers(&out, &headers, &mut Tally::default()).is_err()
    };
    let stand_in = "ghp_standin01234567890123456789012345678";
    assert!(blocked(format!("Bearer {TOKEN}")));
    let written = format!("%67hp%5f{}", behind(TOKEN, 4));
    assert!(blocked(format!("session=a%20{written}")) && blocked(format!("a+{written}")));
    assert!(!blocked(format!("s=%67{}", behind(stand_in, 1))));
    assert!(blocked(format!("s=%67{}; t={written}", behind(stand_in, 1))));
    // Nor does one that reads so only where it is decoded hide what is one only as it is written.
    assert!(blocked(format!("s=%67{}; t={TOKEN}%41", behind(stand_in, 1))));
    assert!(!blocked(format!("s=ghp_%73{}%38; t=a%41", stand_in.get(5..39).unwrap())));
    assert!(!blocked(format!("Bearer {stand_in}")) && !blocked("Bearer x".to_owned()));
    assert!(!blocked(format!("Basic {}", base64_of(&format!("me:{stand_in}")))));
    // What stands beside what is worth nothing is worth something all the same.
    let basic = |text: String| format!("Basic {}", base64_of(&text));
    assert!(blocked(basic(format!("{TOKEN}:{stand_in}"))));
    assert!(blocked(basic(format!("{stand_in}:{TOKEN}")).trim_end_matches('=').to_owned()));
    assert!(blocked(basic(format!("me:{TOKEN}"))));
    assert!(blocked(format!("a={stand_in}; b={TOKEN}")));

    let target =
        |target: &str| out_target(&out, &target.parse().unwrap(), &mut Tally::default()).is_err();
    assert!(target(&format!("/a/{TOKEN}")) && target(&format!("/?a=b&c={TOKEN}&d")));
    assert!(target(&format!("/?c=%67%68p%5f{}", behind(TOKEN, 4))));
    assert!(!target(&format!("/?c={stand_in}")) && !target("/a?b=c"));
    assert!(!target(&format!("/?c=%67{}", behind(stand_in, 1))));
    assert!(target(&format!("/?c={stand_in}&d={TOKEN}")));
    assert!(target(&format!("/%67{}/{TOKEN}%41", behind(stand_in, 1))));
    assert!(target(&format!("/{stand_in}%20{TOKEN}")) && target("/?c=BEGIN+a+END"));
}

#[test]
fn names_of_headers_are_looked_through() {
    use hyper::header::{HeaderMap, HeaderName};
    let named = |name: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-other", "b".parse().unwrap());
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), "1".parse().unwrap());
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), "2".parse().unwrap());
        headers
    };
    for name in [TOKEN, "x-4444444444444444", "x-begin-end"] {
        let mut headers = named(name);
        let mut tally = Tally::default();
        in_headers(&rules("secrets,card", "", Way::In), &mut headers, &mut tally).unwrap();
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-other"], "{name}");
        assert_eq!(tally.found().len(), 1);
        let mut headers = named(name);
        assert!(in_headers(&rules("", "secrets,card", Way::In), &mut headers, &mut tally).is_err());
        let out = rules("", "secrets,card", Way::Out);
        assert!(out_headers(&out, &headers, &mut tally).is_err());
        let none = rules("", "email", Way::Out);
        assert!(out_headers(&none, &headers, &mut tally).is_ok());
    }
    let mut headers = named("x-plain");
    in_headers(&rules("secrets,card", "", Way::In), &mut headers, &mut Tally::default()).unwrap();
    assert_eq!(headers.len(), 3);
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn what_a_body_is_is_told_by_its_head_and_its_first_bytes() {
    let of = |kind: &str| {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("content-type", kind.parse().unwrap());
        declared(&headers)
    };
    for (kind, expected) in [
        ("application/json; charset=utf-8", Declared::Text(Form::Json)),
        ("application/problem+json", Declared::Text(Form::Json)),
        ("TEXT/Event-Stream", Declared::Text(Form::Events)),
        ("text/plain;charset=\"ISO-8859-15\"", Declared::Text(Form::Text)),
        ("text/html; charset=utf-16le", Declared::OtherLetters),
        ("application/json;charset=UTF-7", Declared::OtherLetters),
        ("image/svg+xml", Declared::Text(Form::Text)),
        ("application/x-www-form-urlencoded", Declared::Text(Form::Fields)),
        ("image/png", Declared::Other),
        ("", Declared::Other),
    ] {
        assert_eq!(of(kind), expected, "{kind}");
    }
    for kind in ["text/html; charset = utf-16", "text/plain;charset=utf-8; charset=utf-16le"] {
        assert_eq!(of(kind), Declared::OtherLetters, "{kind}");
    }
    let mut headers = hyper::HeaderMap::new();
    for kind in ["image/png", "text/plain; charset=utf-8", "text/plain;charset=latin1"] {
        headers.append("content-type", kind.parse().unwrap());
    }
    assert_eq!(declared(&headers), Declared::OtherLetters);

    let (text, other) = (Declared::Text(Form::Json), Declared::Other);
    for (first, of_text, of_other) in [
        (&b"plain \xc3"[..], Ok(Form::Json), Ok(Form::Text)),
        // Letters of one byte are text, whatever is said of them.
        (b"caf\xe9 tok", Ok(Form::Json), Ok(Form::Text)),
        (b"caf\xe9 \x01", Ok(Form::Json), Err(Closed::NoText)),
        (b"\x89PNG\r\n\x1a\n\0\0", Err(Closed::OtherLetters), Err(Closed::NoText)),
        (b"\0 plain", Err(Closed::OtherLetters), Err(Closed::NoText)),
        (b"\xff\xfeg\0h\0", Err(Closed::OtherLetters), Err(Closed::OtherLetters)),
        (b"g\0h\0p\0_\0", Err(Closed::OtherLetters), Err(Closed::NoText)),
    ] {
        assert_eq!((form(text, first), form(other, first)), (of_text, of_other), "{first:?}");
        assert_eq!(form(Declared::OtherLetters, first), Err(Closed::OtherLetters));
    }
}

#[test]
fn letters_of_two_bytes_hide_nothing_behind_what_was_seen_of_them_first() {
    let text = format!("{}\nthen {TOKEN} and more\n", "plain ".repeat(200));
    let wide: Vec<u8> = text.bytes().flat_map(|it| [it, 0]).collect();
    for size in [1, 2, 1000] {
        let clean = in_pieces(Form::Text, size, &wide);
        let read = clean.replace('\0', "");
        assert_eq!(read, text.replace(TOKEN, "[redacted: token]"), "in pieces of {size}");
    }
}

#[test]
fn forms_are_looked_at_as_they_read() {
    let token = format!("%67hp_{}", behind(TOKEN, 4));
    let text = format!("a=b+c&k=key+{}&t={token}&n=BEGIN%0Aa%2Fb+c%0AEND&left=%C3%A9%+", "abcde");
    let clean = "a=b+c&k=key+[redacted: named]&t=[redacted: token]&n=[redacted: pem]&left=%C3%A9%+";
    assert_eq!(passed(Form::Fields, &text), clean);
    // JSON in a field, with escapes of its own.
    let json = format!("payload=%7B%22a%22%3A%22%5Cu0067hp_{}%22%7D", behind(TOKEN, 4));
    assert_eq!(passed(Form::Fields, &json), "payload=%7B%22a%22%3A%22[redacted: token]%22%7D");
    // One that is long, in whatever pieces.
    let long = format!("a={}&t={token}&b={}", "%41".repeat(20_000), "%42+".repeat(9_000));
    for size in [7, 1000, 200_000] {
        let clean = in_pieces(Form::Fields, size, long.as_bytes());
        assert_eq!(clean, long.replace(&token, "[redacted: token]"), "in pieces of {size}");
    }
    assert_eq!(passed(Form::Text, &token), token);

    let out = || Passing::new(rules("", "secrets", Way::Out), Form::Fields);
    assert!(out().whole(text.clone().into_bytes()).is_err());
    assert!(out().whole(b"n=BEGIN%20x+END".to_vec()).is_err());
    let mut streams = out();
    assert!(long.as_bytes().chunks(3000).any(|piece| streams.push(piece).is_err()));
    let harmless = b"t=%67hp_standin01234567890123456789012345678&a=b%20c".to_vec();
    assert_eq!(out().whole(harmless.clone()).unwrap(), harmless);
}

thread_local!(static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

/// The same detectors, counting.
struct Counts;

impl Inspect for Counts {
    fn inspect(&self, text: &str) -> Vec<Finding> {
        LOOKED.set(LOOKED.get() + 1);
        LOOKS.inspect(text)
    }
}

static COUNTS: Counts = Counts;

#[test]
fn small_pieces_are_gathered_and_cost_no_more_than_large_ones() {
    let (redact, block) = (Detector::list("secrets").unwrap(), BTreeSet::new());
    let handling = Handling { redact, block };
    let mut passing =
        Passing::new(Rules::new(handling, &COUNTS, Arc::default(), Way::In), Form::Text);
    let text = format!("{}{TOKEN}\n", "a\n".repeat(20_000));
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(2) {
        out.extend(passing.gather(piece).unwrap());
    }
    assert!(LOOKED.get() <= text.len() / 2048 + 1, "{}", LOOKED.get());
    assert!(passing.waits());
    out.extend(passing.lines().unwrap());
    assert!(!passing.waits() && !passing.holds());
    assert_eq!(String::from_utf8(out).unwrap(), text.replace(TOKEN, "[redacted: token]"));
}
