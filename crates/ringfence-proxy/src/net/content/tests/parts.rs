//! Bodies of several parts.

mod messages;

use base64::Engine as _;
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::*;

fn form_of(kind: &str) -> Form {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, kind.parse().unwrap());
    form(declared(&headers), b"--b\r\n").unwrap()
}

/// A body of parts, each a head and what it has.
fn body(parts: &[(&str, &str)]) -> String {
    let part = |(head, text): &(&str, &str)| format!("--b\r\n{head}\r\n\r\n{text}\r\n");
    parts.iter().map(part).collect::<String>() + "--b--\r\n"
}

/// Base64 in lines as mails have it.
fn wrapped(text: &str) -> String {
    let encoded = base64_of(text);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(76).map(|it| std::str::from_utf8(it).unwrap()).collect();
    lines.join("\r\n")
}

const BASE64: &str =
    "Content-Disposition: form-data; name=\"f\"\r\nContent-Transfer-Encoding: BASE64";
const QUOTED: &str = "content-transfer-encoding: quoted-printable";
const FIELDS: &str = "Content-Type: application/x-www-form-urlencoded";

fn quoted() -> String {
    format!("a =67hp=5F{}=\r\n{} b", behind(TOKEN, 4).split_at(10).0, behind(TOKEN, 14))
}

#[test]
fn each_part_is_read_as_its_head_says() {
    let form = form_of("multipart/form-data; boundary=b");
    let fields = format!("a=1&t=%67hp_{}&b=2", behind(TOKEN, 4));
    let text = body(&[("X: y", &format!("plain {TOKEN}")), (QUOTED, &quoted()), (FIELDS, &fields)]);
    let clean = body(&[
        ("X: y", "plain [redacted: token]"),
        (QUOTED, "a [redacted: token] b"),
        (FIELDS, "a=1&t=[redacted: token]&b=2"),
    ]);
    assert_eq!(passed(form, &text), clean);
    // What is encoded stays so: what is in it can be read still.
    for before in 0..60 {
        let inner = format!("{}key {TOKEN} and more of it", "x".repeat(before));
        let text = body(&[(BASE64, &wrapped(&inner)), ("", "left")]);
        let clean = in_pieces(form, 7, text.as_bytes());
        assert_eq!(clean, in_pieces(form, 100_000, text.as_bytes()), "{before}");
        let part = clean.split("\r\n\r\n").nth(1).unwrap().split("\r\n--b").next().unwrap();
        let part = part.replace("\r\n", "");
        let read = base64::engine::general_purpose::STANDARD.decode(&part);
        let read = String::from_utf8(read.unwrap()).unwrap();
        assert!(read.contains("[redacted: token]") && !read.contains("0123"), "{before}: {read}");
        assert!(read.starts_with(&"x".repeat(before)) && read.ends_with("more of it"), "{read}");
    }
}

#[test]
fn no_part_hides_what_may_not_go_out() {
    let out = |kind: &str, text: String| {
        let mut passing = Passing::new(rules("", "secrets", Way::Out), form_of(kind));
        let whole = passing.whole(text.clone().into_bytes()).map_err(|blocked| blocked.rule);
        let mut streams = Passing::new(rules("", "secrets", Way::Out), form_of(kind));
        let size = if text.len() > 5_000 { 1_100 } else { 11 };
        let streamed = text.as_bytes().chunks(size).try_for_each(|it| streams.push(it).map(drop));
        let streamed = streamed.and_then(|()| streams.finish().map(drop));
        assert_eq!(whole.is_err(), streamed.is_err(), "{text}");
        whole.err().unwrap_or_default()
    };
    let form = "Multipart/Form-Data; boundary=\"b\"";
    let inner = wrapped(&format!("one two three four five six seven {TOKEN}\n"));
    assert_eq!(out(form, body(&[(BASE64, &inner)])), "token");
    assert_eq!(out(form, body(&[("", "plain")])), "");
    assert_eq!(out(form, body(&[(QUOTED, &quoted())])), "token");
    assert_eq!(out("multipart/mixed; boundary=b", body(&[("", "a"), (BASE64, &inner)])), "token");
    // Behind a long first part, and in a part within a part, whose boundary stands on a line of its own.
    let long = "x\r\n".repeat(50_000);
    assert_eq!(out(form, body(&[("", &long), (BASE64, &inner)])), "token");
    let nested = format!("--in\r\n{BASE64}\r\n\r\n{inner}\r\n--in--");
    let head = "Content-Type: multipart/mixed;\r\n boundary=in";
    assert_eq!(out(form, body(&[(head, &nested)])), "token");
    // Letters that are none of base64, and the other alphabet.
    for between in [' ', '-', '_', ':', '\t'] {
        let spread: String = inner.chars().flat_map(|letter| [letter, between]).collect();
        assert!(!out(form, body(&[(BASE64, &spread)])).is_empty(), "{between}");
    }
    let in_fields = format!("a=1&t=%67hp_{}", behind(TOKEN, 4));
    let head = format!("{FIELDS}\r\n{BASE64}");
    assert_eq!(out(form, body(&[(&head, &wrapped(&in_fields))])), "token");
    let stand_in = wrapped("ghp_standin01234567890123456789012345678");
    assert_eq!(out(form, body(&[(BASE64, &stand_in)])), "");
}

#[test]
fn a_part_that_cannot_be_looked_into_does_not_pass_what_blocks() {
    let form = form_of("multipart/mixed; boundary=b");
    let rule = |text: Vec<u8>| {
        let mut passing = Passing::new(rules("", "secrets", Way::Out), form);
        passing.whole(text).err().map(|blocked| blocked.rule)
    };
    let unreadable = Some("unreadable-part".to_owned());
    for (head, text) in [
        ("Content-Type: image/png", "\u{1}\0\u{2}"),
        ("Content-Transfer-Encoding: x-uuencode", "text"),
        ("Content-Encoding: gzip", "text"),
        ("Content-Type: text/plain; charset=utf-16", "text"),
        (BASE64, "AAECAwQFBgc="),
        (BASE64, "dGV4-dGV4/"),
        ("Content-Type: multipart/mixed", "--c\r\n\r\ntext"),
        (
            "Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: quoted-printable",
            "text",
        ),
    ] {
        assert_eq!(rule(body(&[("", "first"), (head, text)]).into_bytes()), unreadable, "{head}");
        // What is only to be taken out is, of what can be read.
        let text = body(&[("", TOKEN), (head, text)]);
        let mut passing = Passing::new(rules("secrets", "", Way::In), form);
        let clean = passing.whole(text.clone().into_bytes()).unwrap();
        assert_eq!(clean, text.replace(TOKEN, "[redacted: token]").into_bytes(), "{head}");
    }
    assert_eq!(rule(body(&[("Content-Type: text/plain; charset=utf-8", "text")]).into()), None);
}

#[test]
fn parts_that_cannot_be_told_from_one_another_are_not_looked_at_as_if_they_could() {
    let declared = |kinds: &[&str]| {
        let mut headers = HeaderMap::new();
        for kind in kinds {
            headers.append(CONTENT_TYPE, kind.parse().unwrap());
        }
        declared(&headers)
    };
    let long = format!("multipart/mixed; boundary={}", "x".repeat(300));
    for kinds in [
        &["multipart/mixed"][..],
        &["multipart/mixed; boundary="],
        &["multipart/mixed; boundary=a; boundary=b"],
        &["multipart/mixed; boundary=\"a\\\"b\""],
        &["multipart/mixed; boundary=a", "multipart/mixed; boundary=b"],
        &["text/plain", "multipart/mixed; boundary=b"],
        &[&long],
    ] {
        let declared = declared(kinds);
        assert_eq!(declared, Declared::NoParts, "{kinds:?}");
        assert_eq!(form(declared, b"text"), Err(Closed::NoParts));
    }
    for kind in ["multipart/mixed; charset=ascii; boundary=\"a b\"", "MULTIPART/related;boundary=a"]
    {
        assert!(matches!(declared(&[kind]), Declared::Text(Form::Parts(_))), "{kind}");
    }
}

/// What stops a body of parts, whole and in pieces, both ways and under both annotations; the same of each.
fn stopped(text: &[u8]) -> Option<String> {
    let form = form_of("multipart/form-data; boundary=b");
    let of = |redact: &str, block: &str, way: Way| {
        let whole = Passing::new(rules(redact, block, way), form).whole(text.to_vec());
        for size in [1, 3, 700] {
            let mut streams = Passing::new(rules(redact, block, way), form);
            let mut all = text.chunks(size).try_for_each(|it| streams.push(it).map(drop));
            all = all.and_then(|()| streams.finish().map(drop));
            assert_eq!(all.is_err(), whole.is_err(), "{size}: {}", String::from_utf8_lossy(text));
        }
        whole.err().map(|blocked| blocked.rule)
    };
    let first = of("", "secrets", Way::Out);
    assert_eq!(of("", "secrets", Way::In), first, "{}", String::from_utf8_lossy(text));
    assert_eq!(of("secrets", "", Way::In), first, "{}", String::from_utf8_lossy(text));
    first
}

#[test]
fn nothing_hides_beside_the_bodies_of_parts() {
    let unclear = Some("unclear".to_owned());
    let wide = |text: &str| text.bytes().flat_map(|it| [it, 0]).collect::<Vec<u8>>();
    let marked = [&b"\xff\xfe"[..], &wide(TOKEN)].concat();
    let big: Vec<u8> = TOKEN.bytes().flat_map(|it| [0, it]).collect();
    let gzip = b"\x1f\x8b\x08\x08abcd\x02\x03name".to_vec();
    let zstd = b"\x28\xb5\x2f\xfd\x24abcd".to_vec();
    let form = body(&[("X: y", "text")]).into_bytes();
    for hidden in [wide(TOKEN), marked, big, gzip, zstd.clone()] {
        for text in [
            hidden.clone(),
            // Before the first part, and behind the last, also where some see another.
            [&hidden, &b"\r\n"[..], &form].concat(),
            [&form, &hidden[..]].concat(),
            [&form, &b"\r\n"[..], &hidden].concat(),
            [&form, &b"text\r\n\r\n"[..], &hidden].concat(),
            // In something within a part, beside what it has.
            [&b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"[..], &hidden].concat(),
        ] {
            assert_eq!(stopped(&text), unclear, "{}", String::from_utf8_lossy(&text));
        }
        // In a head, which may have letters of one byte.
        if hidden != zstd {
            let text = [b"--b\r\nX: ", &hidden[..], b"\r\n\r\ntext\r\n--b--"].concat();
            assert_eq!(stopped(&text), unclear, "{}", String::from_utf8_lossy(&text));
        }
        assert_eq!(stopped(&[b"--b\r\n", &hidden[..]].concat()), unclear);
    }
    // Text without any part.
    for none in ["text", "{\"a\":\"b\"}", " --b\r\n\r\ntext", "--bb\r\n\r\ntext"] {
        assert_eq!(stopped(none.as_bytes()), unclear, "{none}");
    }
    let long = "line\r\n".repeat(20_000).into_bytes();
    let redacted = rules("secrets", "", Way::In);
    let mut streams = Passing::new(redacted, form_of("multipart/form-data; boundary=b"));
    assert!(long.chunks(3_000).any(|piece| streams.push(piece).is_err()));
    for fine in
        ["", "--b--\r\n", "--b\r\n\r\n\r\n--b--", "caf\u{e9}\r\n--b\r\n\r\nx\r\n--b--\r\n\u{e9}"]
    {
        assert_eq!(stopped(fine.as_bytes()), None, "{fine}");
    }
    assert_eq!(stopped(b"--b\r\nX: caf\xe9\r\n y\r\n\r\nx\r\n--b--\r\n\r\n"), None);
    // It is looked through as well.
    let text = format!("{TOKEN}\r\n--b\r\nX: {TOKEN}\r\n\r\nx\r\n--b--\r\n{TOKEN}");
    let clean = text.replace(TOKEN, "[redacted: token]");
    assert_eq!(passed(form_of("multipart/mixed; boundary=b"), &text), clean);
}

#[test]
fn a_head_that_some_readers_take_for_a_body_stops_it() {
    let inner = wrapped(&format!("key {TOKEN} and more of it"));
    for text in [
        format!("--b\r\n{BASE64}\r\n{inner}\r\n--b--\r\n"),
        format!("--b\r\n{BASE64}\r\n{inner}"),
        format!("--b\r\nX: y\r\n \r\n{BASE64}\r\n\r\n{inner}\r\n--b--\r\n"),
        format!("--b\r\nX: y\r{BASE64}\r\n\r\n{inner}\r\n--b--\r\n"),
        format!("--b\r\nX: {}\r\n{BASE64}\r\n\r\n{inner}\r\n--b--\r\n", "y".repeat(20_000)),
        "--b\r\nX: y\r\n--b--\r\n".to_owned(),
    ] {
        assert_eq!(stopped(text.as_bytes()), Some("unclear".to_owned()), "{text}");
    }
    // Behind the last some readers see another.
    let text = body(&[("", "x")]) + &format!("{BASE64}\r\n\r\n{inner}");
    let mut passing =
        Passing::new(rules("", "secrets", Way::Out), form_of("multipart/mixed; boundary=b"));
    assert_eq!(passing.whole(text.into_bytes()).unwrap_err().rule, "token");
}

/// What a receiver decodes of a part in base64, passing over what is no letter of it.
fn received(part: &str) -> String {
    let letter = |it: &u8| it.is_ascii_alphanumeric() || b"+/".contains(it);
    let mut letters: Vec<u8> = part.bytes().filter(letter).collect();
    letters.truncate(letters.len() / 4 * 4);
    let read = base64::engine::general_purpose::STANDARD.decode(letters).unwrap();
    String::from_utf8_lossy(&read).into_owned()
}

#[test]
fn a_boundary_within_a_part_is_none_behind_it() {
    let form = form_of("multipart/mixed; boundary=b");
    let nested = "Content-Type: multipart/mixed; boundary=QUJD";
    let inner = wrapped(&format!("one two three four five six {TOKEN}\n"));
    // What stands for a boundary and a head are twelve letters of base64 to who reads the part.
    let hidden = format!("--QUJD\r\nQU: JDQUJD\r\n\r\n{inner}");
    assert!(received(&hidden).contains(TOKEN), "a receiver has it");
    let text = body(&[(nested, "--QUJD\r\n\r\nx\r\n--QUJD--"), (BASE64, &format!("\r\n{hidden}"))]);
    let out = rules("", "secrets", Way::Out);
    let blocked = Passing::new(out, form).whole(text.clone().into_bytes());
    assert_eq!(blocked.unwrap_err().rule, "token");
    for size in [1, 7, 1_000] {
        let clean = in_pieces(form, size, text.as_bytes());
        let last = clean.rsplit("\r\n--b\r\n").next().unwrap();
        let part = last.split_once("\r\n\r\n").unwrap().1.strip_suffix("--b--\r\n").unwrap();
        assert!(!received(part).contains("0123456789"), "{size}: {clean}");
    }
    // Within the part it is one, also where parts are within parts.
    let deep = format!(
        "--QUJD\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n--d\r\n{BASE64}\r\n\r\n{inner}\r\n--d--\r\n--QUJD\r\n\r\nx\r\n--QUJD--"
    );
    let text = body(&[(nested, &deep), ("", "x")]);
    assert_eq!(stopped(body(&[(nested, "--QUJD\r\n\r\nx\r\n--QUJD--")]).as_bytes()), None);
    let blocked = Passing::new(rules("", "secrets", Way::Out), form).whole(text.into_bytes());
    assert_eq!(blocked.unwrap_err().rule, "token");
}

#[test]
fn what_is_a_boundary_to_some_readers_alone_stops_it() {
    let inner = wrapped(&format!("one two three four five six {TOKEN}\n"));
    let nested = "Content-Type: multipart/mixed; boundary=c";
    // A part that some read as base64 and others as text behind another head.
    let hidden = |boundary: &str| {
        format!("--b\r\n{BASE64}\r\n\r\nQUJD{boundary}X: y\r\n\r\n{inner}\r\n--b--\r\n")
    };
    for text in [
        hidden("\n--b\r\n"),
        hidden("\r\n--b\n"),
        hidden("\n--b\n"),
        hidden("\r\n--b \r\n"),
        hidden("\r\n--b\t\r\n"),
        hidden("\r--b\r"),
        hidden("\r--b--\r"),
        hidden("\n--b--\n"),
        hidden("\r\n--b-- \r\n"),
        // Lines that end by `\n` alone, but for some.
        format!("--b\nX: y\n\nx\r\n{BASE64}\r\n\r\n{inner}\n--b--\n"),
        format!("--b\nX: y\n\nx\r\n--b\n{BASE64}\n\nQUJD\n--b--\n"),
        format!("--b\r\nX: y\n\n{BASE64}\r\n\r\n{inner}\r\n--b--\r\n"),
        format!("--b\r\nX: y\n{BASE64}\r\n\r\n{inner}\r\n--b--\r\n"),
        format!("before\n--b\r\n{BASE64}\r\n\r\n{inner}\r\n--b--\r\n"),
        // Parts within a part that is encoded, and such as are called like those around them.
        body(&[(&format!("{nested}\r\n{BASE64}"), "--c\r\n\r\nx\r\n--c--")]),
        body(&[(&format!("{BASE64}\r\n{nested}"), "--c\r\n\r\nx\r\n--c--")]),
        body(&[("Content-Type: multipart/mixed; boundary=b", "--b\r\n\r\nx\r\n--b--")]),
    ] {
        assert_eq!(stopped(text.as_bytes()), Some("unclear".to_owned()), "{text}");
    }
    for fine in [
        // Lines of texts end as they like, where none of them has a boundary.
        "--b\r\n\r\none\ntwo\r\nthree\rfour\r\n--b--\r\n",
        "--b\n\none\ntwo\n--b\nX: y\n\nz\n--b--\n",
        "--b\r\n\r\n --b\n--bb\n-b\r--x\r\n--b--",
        "before\n\r\n--b\r\n\r\nx\r\n--b--",
    ] {
        assert_eq!(stopped(fine.as_bytes()), None, "{fine}");
    }
    let head = "Content-Transfer-Encoding: base64";
    let text = format!("--b\n{head}\n\n{}\n--b--\n", inner.replace('\r', ""));
    let form = form_of("multipart/mixed; boundary=b");
    let blocked = Passing::new(rules("", "secrets", Way::Out), form).whole(text.into_bytes());
    assert_eq!(blocked.unwrap_err().rule, "token", "all lines end by `\\n`");
}

#[test]
fn what_is_encoded_so_that_readers_decode_it_in_several_ways_stops_it() {
    let inner = wrapped(&format!("one two three four five six {TOKEN}\n"));
    let in_quoted = |text: &str| body(&[(QUOTED, text), ("", "x")]);
    for text in [
        // Some pass over a `=` among letters, some begin anew behind it, and some end there.
        body(&[(BASE64, &format!("Q={inner}"))]),
        body(&[(BASE64, &format!("QUI={inner}"))]),
        body(&[(BASE64, &format!("QQ==\r\n{inner}"))]),
        body(&[(BASE64, &format!("QQ==\r\n\r\n--\r\n{inner}"))]),
        // Python passes over all behind `=\r` to the end of the line, and others over spaces.
        in_quoted(&format!("{}=\rx\n{}", TOKEN.split_at(10).0, TOKEN.split_at(10).1)),
        in_quoted(&format!("{}= \r\n{}", TOKEN.split_at(10).0, TOKEN.split_at(10).1)),
        in_quoted("a==41"),
        in_quoted("a=4x"),
        in_quoted("a=x4"),
    ] {
        assert_eq!(stopped(text.as_bytes()), Some("unclear".to_owned()), "{text}");
    }
    for fine in [
        body(&[(BASE64, "dGV4\r\ndA==\r\n\r\n"), (BASE64, "dGV4dA=\r\n=")]),
        in_quoted("a=41=\r\nb=3D=0D=0A="),
        body(&[("", "a==4 = =\r\nQQ==QQ==")]),
    ] {
        assert_eq!(stopped(fine.as_bytes()), None, "{fine}");
    }
}
