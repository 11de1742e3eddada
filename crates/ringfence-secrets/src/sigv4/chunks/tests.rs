use super::super::{Scope, SigningKey};
use super::*;

const ABOUT: &str = "20130524T000000Z\n20130524/us-east-1/s3/aws4_request";
/// The example of the Amazon S3 API reference: its seed, and the signatures of its chunks.
const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
const FIRST: &str = "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648";
const SECOND: &str = "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497";
const LAST: &str = "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9";

fn key(secret: &str) -> SigningKey {
    SigningKey::new(secret, &Scope::new("20130524T000000Z", "us-east-1", "s3").unwrap())
}

fn example() -> SigningKey {
    key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
}

fn chunks(trailer: Trailer, keys: (SigningKey, SigningKey), seeds: (&str, &str)) -> Chunks {
    let (theirs, ours) = seeds;
    Chunks::new(ABOUT.to_owned(), trailer, keys, (theirs.to_owned(), ours.to_owned()))
}

fn body() -> Vec<u8> {
    let mut body = format!("10000{EXTENSION}{FIRST}\r\n").into_bytes();
    body.extend(vec![b'a'; 65_536]);
    body.extend(format!("\r\n400{EXTENSION}{SECOND}\r\n").into_bytes());
    body.extend(vec![b'a'; 1024]);
    body.extend(format!("\r\n0{EXTENSION}{LAST}\r\n\r\n").into_bytes());
    body
}

#[test]
fn the_example_of_aws_is_believed_and_signed_anew_there_and_back() {
    for step in [1_000_000, 4096, 7] {
        let mut there = chunks(Trailer::Absent, (example(), key("other")), (SEED, "ours"));
        let mut out = Vec::new();
        for piece in body().chunks(step) {
            out.extend(there.push(piece).unwrap());
        }
        assert!(there.is_complete());
        assert_eq!(out.len(), body().len());
        assert!(!String::from_utf8_lossy(&out).contains(FIRST));
        let mut back = chunks(Trailer::Absent, (key("other"), example()), ("ours", SEED));
        assert!(back.push(&out).unwrap() == body() && back.is_complete());
    }
}

#[test]
fn a_changed_or_missing_chunk_goes_no_further() {
    let mut changed = body();
    let at = changed.len() / 2;
    changed[at] = b'b';
    let refused = |body: &[u8]| {
        let mut it = chunks(Trailer::Absent, (example(), key("other")), (SEED, "ours"));
        it.push(body).map(|out| (out.len(), it.is_complete()))
    };
    assert!(refused(&changed).is_err());
    let text = |it: &str| it.as_bytes().to_vec();
    for bad in [
        text("10000\r\n"),
        text("-1;chunk-signature=00\r\n"),
        text("+1;chunk-signature=00\r\na\r\n"),
        text("ffffffffffffffffffff;chunk-signature=00\r\n"),
        text("200000;chunk-signature=00\r\n"),
        text(&format!("0{EXTENSION}{LAST}\r\n\r\n")),
        vec![b'0'; 1000],
        [body(), text("x")].concat(),
    ] {
        assert!(refused(&bad).is_err(), "{}", String::from_utf8_lossy(&bad[..30]));
    }
    // Half of a body is not all of it, and half of a chunk does not go on.
    assert_eq!(refused(&body()[..30_000]), Ok((0, false)));
    assert_eq!(refused(&[]), Ok((0, false)));
}

#[test]
fn a_signed_trailer_is_signed_anew() {
    let theirs = example();
    let sign = |what: &str, last: &str, of: String| {
        theirs.sign(&format!("AWS4-HMAC-SHA256-{what}\n{ABOUT}\n{last}\n{of}"))
    };
    let nothing = digest(b"");
    let first = sign("PAYLOAD", SEED, format!("{nothing}\n{}", digest(b"hello")));
    let last = sign("PAYLOAD", &first, format!("{nothing}\n{nothing}"));
    let sum = "x-amz-checksum-crc32c:mnG7TA==";
    let trailer = sign("TRAILER", &last, digest(format!("{sum}\n").as_bytes()));
    let text = format!(
        "5{EXTENSION}{first}\r\nhello\r\n0{EXTENSION}{last}\r\n{sum}\r\n\
         {TRAILER_SIGNATURE}{trailer}\r\n\r\n"
    );
    let there = || chunks(Trailer::Signed, (example(), key("other")), (SEED, "ours"));
    let mut it = there();
    let out: Vec<u8> = text.as_bytes().chunks(3).flat_map(|part| it.push(part).unwrap()).collect();
    assert!(it.is_complete() && out.len() == text.len());
    let mut back = chunks(Trailer::Signed, (key("other"), example()), ("ours", SEED));
    assert_eq!(back.push(&out).unwrap(), text.as_bytes());
    let other = text.replace("mnG7TA==", "AAAAAA==");
    assert!(there().push(other.as_bytes()).is_err());
    // Where none is signed, there is none.
    let mut none = chunks(Trailer::Absent, (example(), key("other")), (SEED, "ours"));
    assert!(none.push(text.as_bytes()).is_err());
}

proptest::proptest! {
    #[test]
    fn nothing_of_a_body_that_was_not_signed_goes_on(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
        line in "[0-9a-f]{0,6}(;chunk-signature=[0-9a-f]{0,70})?\r\n[ab\r\n]{0,30}",
        step in 1..50_usize,
    ) {
        for body in [bytes, line.into_bytes()] {
            let mut it = chunks(Trailer::Signed, (example(), key("other")), (SEED, "ours"));
            let passed: Vec<u8> =
                body.chunks(step).map_while(|part| it.push(part).ok()).flatten().collect();
            proptest::prop_assert!(passed.is_empty() && !it.is_complete());
        }
    }
}
