//! Messages within messages, and types of which readers make several things.

use super::*;

const MIXED: &str = "multipart/mixed; boundary=b";

const UNREADABLE: &str = "unreadable-part";

/// What stops a body that goes out where something may not, or nothing; the same in pieces.
fn stops(kind: &str, text: &str) -> String {
    let passing = || Passing::new(rules("", "secrets", Way::Out), form_of(kind));
    let whole = passing().whole(text.as_bytes().to_vec());
    for size in [1, 7, 700] {
        let mut streams = passing();
        let all = text.as_bytes().chunks(size).try_for_each(|it| streams.push(it).map(drop));
        let all = all.and_then(|()| streams.finish().map(drop));
        assert_eq!(all.is_err(), whole.is_err(), "{size}: {text}");
    }
    whole.err().map(|blocked| blocked.rule).unwrap_or_default()
}

fn declared_of(kind: &str) -> Declared {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, kind.parse().unwrap());
    declared(&headers)
}

/// A request of HTTP, whose body comes in pieces.
fn in_chunks() -> String {
    let (one, two) = TOKEN.split_at(20);
    let chunks = format!("14\r\n{one}\r\n14\r\n{two}\r\n0\r\n\r\n");
    let lines: Vec<&str> = chunks.split("\r\n").collect();
    let read: String = lines.chunks(2).filter(|it| it[0] == "14").map(|it| it[1]).collect();
    assert_eq!(read, TOKEN, "a receiver has it");
    format!("POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

/// Messages with heads of their own, each with what may not go out to who reads it so.
fn messages() -> [String; 4] {
    let inner = wrapped(&format!("one two three four five six {TOKEN}\n"));
    assert!(received(&inner).contains(TOKEN), "a receiver has it");
    let encoded = format!("Content-Transfer-Encoding: base64\r\n\r\n{inner}");
    let nested =
        format!("Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n{encoded}\r\n--m--");
    [encoded, format!("{QUOTED}\r\n\r\n{}", quoted()), nested, in_chunks()]
}

#[test]
fn a_message_within_a_part_hides_nothing_that_may_not_go_out() {
    for kind in [
        "message/rfc822",
        "message/global",
        "message/partial; id=a; number=1",
        "MESSAGE/Delivery-Status",
        "message/http",
        "application/http",
        "Application/HTTP; msgtype=request",
        "application/http;version=1.1",
        "application/mbox",
        "application/warc",
        "\r\n message/rfc822",
        // What some readers take for one.
        "message / rfc822",
        "(a) message/rfc822",
        "message/rfc822 (a)",
        "text/plain, message/rfc822",
        "=?us-ascii?q?message/rfc822?=",
        "multipart / mixed; boundary=m",
        "message",
        "",
    ] {
        let head = format!("Content-Type: {kind}");
        for message in messages() {
            assert_eq!(stops(MIXED, &body(&[("", "x"), (&head, &message)])), UNREADABLE, "{kind}");
            let twice = format!("Content-Type: text/plain\r\n{head}");
            assert_eq!(stops(MIXED, &body(&[(&twice, &message)])), UNREADABLE, "{kind}");
        }
        // What is only to be taken out is, of what is written plainly and of what the part itself has encoded.
        let text = body(&[(&head, TOKEN)]);
        assert_eq!(passed(form_of(MIXED), &text), text.replace(TOKEN, "[redacted: token]"));
        let text = body(&[(&format!("{head}\r\n{BASE64}"), &base64_of(TOKEN))]);
        assert_ne!(passed(form_of(MIXED), &text), text, "{kind}");
    }
    for kind in [
        "text/plain",
        "application/vnd.message+json;x=y",
        "image/svg+xml",
        "text/http",
        "application/x-http",
    ] {
        let head = format!("Content-Type: {kind}");
        assert_eq!(stops(MIXED, &body(&[(&head, "text")])), "", "{kind}");
    }
}

#[test]
fn what_says_nothing_of_itself_in_a_digest_is_a_message() {
    let digest = "Content-Type: multipart/digest; boundary=d";
    for message in messages() {
        for head in ["", "X: y", "Content-Disposition: inline"] {
            let text = body(&[(head, &message)]);
            assert_eq!(stops("multipart/digest; boundary=b", &text), UNREADABLE, "{head}");
            assert_eq!(stops("Multipart/Digest;boundary=b", &text), UNREADABLE, "{head}");
        }
        for head in [digest, "Content-Type: MULTIPART/DIGEST;\r\n boundary=\"d\""] {
            let text = body(&[(head, &format!("--d\r\n\r\n{message}\r\n--d--"))]);
            assert_eq!(stops(MIXED, &text), UNREADABLE, "{head}");
        }
    }
    // What has a type is of that, also where more parts are in it; and behind the digest others are text again.
    let mixed = "Content-Type: multipart/mixed; boundary=e\r\n\r\n--e\r\n\r\nx\r\n--e--";
    let text = format!("--d\r\nContent-Type: text/plain\r\n\r\nx\r\n--d\r\n{mixed}\r\n--d--");
    assert_eq!(stops(MIXED, &body(&[(digest, &text), ("", "x")])), "");
    let text = format!("--d\r\n{mixed}\r\n--d\r\n\r\nx\r\n--d--");
    assert_eq!(stops(MIXED, &body(&[(digest, &text), ("", "x")])), UNREADABLE);
}

#[test]
fn a_whole_body_that_is_a_message_is_not_looked_at_as_if_it_were_text() {
    for kind in [
        "message/rfc822",
        "Message/Global; x=y",
        "message /rfc822",
        "a/b, message/rfc822",
        "application/http",
        "Application/HTTP; msgtype=request",
        "application/ http (a)",
        "application/json, application/http",
        "application/mbox",
    ] {
        assert_eq!(declared_of(kind), Declared::Message, "{kind}");
        assert_eq!(form(declared_of(kind), b"text"), Err(Closed::Message));
    }
    assert_eq!(declared_of("message/rfc822; charset=utf-7"), Declared::OtherLetters);
    for kind in [
        "text/message",
        "application/https",
        "application/json; profile=\"https://a.example/message/b\"",
    ] {
        assert_ne!(declared_of(kind), Declared::Message, "{kind}");
    }
}

#[test]
fn letters_that_some_readers_alone_find_named_are_not_looked_at() {
    let utf7 = format!("+AGc-{}", behind(TOKEN, 1));
    let first = base64::engine::general_purpose::STANDARD_NO_PAD.decode("AGc").unwrap();
    assert_eq!(first, b"\0g", "a receiver of UTF-7 has it");
    for named in [
        "charset=utf-7",
        "charset*=us-ascii''utf-7",
        "charset*0=utf; charset*1=-7",
        "CHARSET*0*=us-ascii''utf; charset*1=-7",
        "charset=utf-8; charset*=us-ascii''utf-7",
        "charset *=us-ascii''utf-7",
        "charset (a)=utf-7",
        "x=\"\\\"; charset*=us-ascii''utf-7",
    ] {
        let kind = format!("text/plain; {named}");
        assert_eq!(declared_of(&kind), Declared::OtherLetters, "{kind}");
        let text = body(&[(&format!("Content-Type: {kind}"), &utf7)]);
        assert_eq!(stops(MIXED, &text), UNREADABLE, "{kind}");
    }
    for fine in ["charset=utf-8", "charset = \"US-ASCII\"", "x*=us-ascii''utf-7"] {
        let text = body(&[(&format!("Content-Type: text/plain; {fine}"), "text")]);
        assert_eq!(stops(MIXED, &text), "", "{fine}");
    }
}

#[test]
fn a_boundary_that_some_readers_alone_find_named_is_none() {
    for named in [
        "boundary*=us-ascii''c",
        "boundary*0=c",
        "boundary=c; boundary*=us-ascii''d",
        "boundary*0*=us-ascii''d; boundary=c",
        "boundary (a)=d; boundary=c",
    ] {
        let kind = format!("multipart/mixed; {named}");
        assert_eq!(declared_of(&kind), Declared::NoParts, "{kind}");
        let text = body(&[(&format!("Content-Type: {kind}"), "--c\r\n\r\nx\r\n--c--")]);
        assert_eq!(stops(MIXED, &text), UNREADABLE, "{kind}");
    }
    for kind in ["multipart /mixed; boundary=b", "multipart/mixed; x*=y; boundary=b"] {
        assert!(matches!(declared_of(kind), Declared::Text(Form::Parts(_))), "{kind}");
    }
}
