//! Bodies whose letters, or how they are written, are said where not every reader looks.

use base64::Engine as _;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName};

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let one = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), value.parse().unwrap())
    };
    all.iter().map(one).collect()
}

fn of(kind: &str) -> Declared {
    declared(&headers(&[(CONTENT_TYPE.as_str(), kind)]))
}

/// What stops a body that goes out, or nothing; the same in pieces.
fn stops(kind: &str, body: &[u8]) -> String {
    let stopped = |size: usize| {
        let form = match form(of(kind), body) {
            Ok(form) => form,
            Err(closed) => return format!("{closed:?}"),
        };
        let mut passing = Passing::new(rules("", "secrets", Way::Out), form);
        let all = body.chunks(size).try_for_each(|it| passing.push(it).map(drop));
        let all = all.and_then(|()| passing.finish().map(drop));
        all.err().map(|blocked| blocked.rule).unwrap_or_default()
    };
    let whole = stopped(body.len().max(1));
    // Small pieces of what is long take long.
    for size in [1, 7, 700].into_iter().filter(|size| body.len() < 1_000 * size) {
        assert_eq!(stopped(size), whole, "in pieces of {size}");
    }
    whole
}

/// A text in UTF-7, each of its letters encoded.
fn utf_7(text: &str) -> String {
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(wide);
    let read = base64::engine::general_purpose::STANDARD_NO_PAD.decode(&encoded).unwrap();
    let read: Vec<u16> = read.chunks(2).map(|it| u16::from_be_bytes([it[0], it[1]])).collect();
    assert_eq!(String::from_utf16(&read).unwrap(), text, "a receiver has it");
    format!("+{encoded}-")
}

/// The same in a form.
fn utf_7_field() -> String {
    utf_7(TOKEN).replace('+', "%2B").replace('/', "%2F")
}

#[test]
fn a_form_that_names_its_own_letters_hides_nothing() {
    let hidden = utf_7_field();
    assert_eq!(stops(FORM, format!("t={hidden}").as_bytes()), "", "nobody takes it for letters");
    for named in [
        "_charset_=utf-7",
        "_charset_=UTF-7",
        "_charset_=%75tf-7",
        "%5Fcharset%5f=utf-7",
        "%5f%63%68%61%72%73%65%74%5f=utf-16",
        "_CHARSET_=unicode-1-1-utf-7",
        "_charset_=",
        "_charset_=utf-8&_charset_=utf-7",
        "x=y;_charset_=utf-7",
        "_charset_=utf%2d16le",
        "_charset_=%20utf-7",
    ] {
        for text in [
            format!("{named}&t={hidden}"),
            format!("t={hidden}&{named}"),
            format!("a=b&{named}&t={hidden}"),
            format!("{}&{named}&t={hidden}", "a=b".repeat(9_000)),
        ] {
            assert_eq!(stops(FORM, text.as_bytes()), "unclear", "{named}");
        }
    }
    let long = format!("_charset_={}utf-7&t={hidden}", "%20".repeat(9_000));
    assert_eq!(stops(FORM, long.as_bytes()), "unclear");
    for fine in [
        "_charset_=UTF-8&a=b",
        "a=b&_charset_=windows-1252",
        "_charset_",
        "charset=utf-7",
        "x_charset_=utf-7",
        "a=_charset_&b=utf-7",
    ] {
        assert_eq!(stops(FORM, fine.as_bytes()), "", "{fine}");
    }
    let text = format!("_charset_=utf-7&t={TOKEN}");
    assert_eq!(passed(Form::Fields, &text), text.replace(TOKEN, "[redacted: token]"));
}

#[test]
fn an_address_that_names_its_own_letters_is_not_asked_for() {
    let out = rules("", "secrets", Way::Out);
    let rule = |target: &str| {
        let looked = out_target(&out, &target.parse().unwrap(), &mut Tally::default());
        looked.err().map(|blocked| blocked.rule).unwrap_or_default()
    };
    let hidden = utf_7_field();
    assert_eq!(rule(&format!("/x?_charset_=utf-7&t={hidden}")), "unclear");
    assert_eq!(rule(&format!("/x?t={hidden}&%5Fcharset_=utf-16")), "unclear");
    assert_eq!(rule(&format!("/x?_charset_=utf-8&t={TOKEN}")), "token");
    assert_eq!(rule("/x?_charset_=utf-8&a=b"), "");
    assert_eq!(rule("/_charset_=utf-7?a=b"), "");
}

#[test]
fn parts_do_not_name_letters_for_one_another() {
    let kind = "multipart/form-data; boundary=b";
    let body = |head: &str, text: &str| {
        let of_letters = format!("--b\r\nContent-Disposition: {head}\r\n\r\n{text}\r\n");
        let field = format!("--b\r\n\r\n{}\r\n", utf_7(TOKEN));
        [format!("{of_letters}{field}--b--"), format!("{field}{of_letters}--b--")]
    };
    for head in [
        "form-data; name=\"_charset_\"",
        "form-data; name=_charset_",
        "Form-Data;NAME=\"_CHARSET_\"",
        "form-data; name=\"%5Fcharset%5F\"",
        "form-data; name=\"_char\\set_\"",
        "form-data; name*=utf-8''%5Fcharset_",
        "form-data;\r\n name=\"_charset_\"",
    ] {
        for text in body(head, "utf-7") {
            assert_eq!(stops(kind, text.as_bytes()), "unreadable-part", "{text}");
        }
    }
    for text in body("form-data; name=\"charset\"", "utf-7") {
        assert_eq!(stops(kind, text.as_bytes()), "", "{text}");
    }
    // A form within a part.
    let text = format!(
        "--b\r\nContent-Type: {FORM}\r\n\r\na=b&_charset_=utf-7&t={}\r\n--b--",
        utf_7_field()
    );
    assert_eq!(stops(kind, text.as_bytes()), "unreadable-part");
}

#[test]
fn what_is_said_of_all_parts_is_nothing_that_hides_one() {
    let text = format!("--b\r\n\r\n{}\r\n--b--", utf_7(TOKEN));
    for said in [
        "multipart/form-data; boundary=b; charset=utf-7",
        "multipart/form-data; charset=\"UTF-16\"; boundary=b",
        "multipart/mixed; boundary=b; charset*=us-ascii''utf-7",
        "multipart/related; boundary=b; type=\"message/rfc822\"",
        "multipart/related; type=application/http; boundary=b",
    ] {
        assert_eq!(of(said), Declared::NoParts, "{said}");
        let head = said.replace("boundary=b", "boundary=c");
        let inner = text.replace("--b", "--c");
        let nested = format!("--b\r\nContent-Type: {head}\r\n\r\n{inner}\r\n--b--");
        assert_eq!(stops("multipart/mixed; boundary=b", nested.as_bytes()), "unreadable-part");
    }
    for fine in [
        "multipart/form-data; boundary=b; charset=utf-8",
        "multipart/related; boundary=b; type=\"multipart/alternative\"; start=\"<a>\"",
    ] {
        assert!(matches!(of(fine), Declared::Text(Form::Parts(_))), "{fine}");
    }
    // Whichever part is the first to a reader: each is looked into.
    let kind = "multipart/related; boundary=b; start=\"<root>\"; type=\"text/plain\"";
    let encoded = base64_of(&format!("root {TOKEN}"));
    let root = format!(
        "--b\r\nContent-ID: <root>\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n"
    );
    let other = "--b\r\nContent-ID: <other>\r\n\r\nother\r\n";
    assert_eq!(stops(kind, format!("{other}{root}--b--").as_bytes()), "token");
    assert_eq!(stops(kind, format!("{root}{other}--b--").as_bytes()), "token");
    assert_eq!(stops(kind, format!("{other}--b--").as_bytes()), "");
}

#[test]
fn a_whole_body_that_is_written_as_mails_are_is_not_looked_at_as_if_it_were_plain() {
    let body = base64_of(&format!("one two {TOKEN}"));
    assert_eq!(stops("text/plain", body.as_bytes()), "", "to who does not decode it");
    for kind in ["text/plain", "application/json", FORM, "multipart/mixed; boundary=b", ""] {
        for how in ["base64", "Quoted-Printable", "x-uuencode", "binary, base64", "7bit (a)"] {
            let said = headers(&[("content-type", kind), ("content-transfer-encoding", how)]);
            assert_eq!(declared(&said), Declared::Encoded, "{kind} {how}");
            assert_eq!(form(declared(&said), body.as_bytes()), Err(Closed::Encoded));
            let mut twice = headers(&[("content-type", kind)]);
            for how in ["8bit", how] {
                twice.append("content-transfer-encoding", how.parse().unwrap());
            }
            assert_eq!(declared(&twice), Declared::Encoded, "{kind} {how}");
        }
        for how in ["binary", "8BIT", " 7bit ", ""] {
            let said = headers(&[("content-type", kind), ("content-transfer-encoding", how)]);
            assert_eq!(declared(&said), of(kind), "{kind} {how}");
        }
    }
}

#[test]
fn a_form_in_other_letters_is_not_looked_at() {
    for letters in
        ["utf-7", "UTF-16", "\"utf-16le\"", "utf-32", "ibm037", "hz-gb-2312", "unicode_escape"]
    {
        assert_eq!(of(&format!("{FORM}; charset={letters}")), Declared::OtherLetters, "{letters}");
        assert_eq!(of(&format!("{FORM};x=y;charset = {letters}")), Declared::OtherLetters);
    }
    assert_eq!(of(&format!("{FORM}; charset=UTF-8")), Declared::Text(Form::Fields));
    let letters: Vec<String> = TOKEN.chars().map(String::from).collect();
    let wide = format!("t=%00{}", letters.join("%00"));
    assert_ne!(stops(FORM, wide.as_bytes()), "", "as it reads without zeros");
}

/// A text in units of so many bytes, the last or the first of them with its letters.
fn wide(text: &str, units: usize, is_little: bool) -> Vec<u8> {
    let one = |byte: u8| {
        let mut unit = vec![0; units];
        unit[if is_little { 0 } else { units - 1 }] = byte;
        unit
    };
    text.bytes().flat_map(one).collect()
}

#[test]
fn json_in_whatever_letters_hides_nothing() {
    let json = format!("{{\"a\": \"x\", \"t\": \"\\u0067{}\"}}", behind(TOKEN, 1));
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["t"], TOKEN, "a receiver has it");
    for kind in
        ["application/json", "application/problem+json", "text/plain", "", "application/x-own"]
    {
        // What marks UTF-8 is no reason to look away.
        assert_eq!(stops(kind, format!("\u{feff}{json}").as_bytes()), "token", "{kind}");
        for units in [2, 4] {
            for (is_little, mark) in [(true, "\u{feff}"), (false, "\u{feff}")] {
                let plain = wide(&json, units, is_little);
                assert_ne!(stops(kind, &plain), "", "{kind} {units} {is_little}");
                let mark = mark.encode_utf16().next().unwrap();
                let mut marked = vec![0; units - 2];
                marked.extend(mark.to_be_bytes());
                if is_little {
                    marked.reverse();
                }
                marked.extend(&plain);
                assert_ne!(stops(kind, &marked), "", "{kind} {units} {is_little}");
            }
        }
    }
    let text = format!("\u{feff}{{\"n\": 4444444444444444, \"t\": \"{TOKEN}\"}}");
    let clean = passed(Form::Json, &text);
    serde_json::from_str::<serde_json::Value>(clean.trim_start_matches('\u{feff}')).unwrap();
    assert!(!clean.contains(TOKEN), "{clean}");
}

#[test]
fn xml_that_names_its_own_letters_is_not_looked_at() {
    let xml = |line: &str| format!("<?xml {line}?><a>{}</a>", utf_7(TOKEN));
    for kind in ["application/xml", "image/svg+xml", "text/xml; charset=utf-8", "", "text/plain"] {
        for line in [
            "version=\"1.0\" encoding=\"utf-7\"",
            "version='1.0' encoding = 'UTF-16'",
            "encoding=\"IBM037\"",
            "version=\"1.0\" encoding=\"\"",
        ] {
            let closed = format!("{:?}", Closed::OtherLetters);
            assert_eq!(stops(kind, xml(line).as_bytes()), closed, "{kind} {line}");
            let marked = format!("\u{feff}{}", xml(line));
            assert_eq!(stops(kind, marked.as_bytes()), closed, "{kind} {line}");
        }
        for line in
            ["version=\"1.0\"", "version=\"1.0\" encoding=\"UTF-8\"", "encoding='iso-8859-1'"]
        {
            assert_eq!(stops(kind, xml(line).as_bytes()), "", "{kind} {line}");
        }
    }
    let part =
        format!("--b\r\nContent-Type: text/xml\r\n\r\n{}\r\n--b--", xml("encoding=\"utf-7\""));
    assert_eq!(stops("multipart/mixed; boundary=b", part.as_bytes()), "unreadable-part");
}
