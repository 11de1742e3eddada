use http::request::Parts;
use http::{HeaderValue, Request};

use super::*;
use crate::sigv4::tests::{parsed, vector_key, vectors};
use crate::sigv4::{digest, sign};

const HOST_NAME: &str = "example.amazonaws.com";

fn stand_in() -> Key {
    Key::new("AKIASTANDIN000000000", "standinstandinstandinstandinstandin00000", None).unwrap()
}

fn real(token: Option<&str>) -> Key {
    Key::new("AKIAREAL000000000000", "realrealrealrealrealrealrealrealrealreal", token).unwrap()
}

/// A request as a client in a world signs it.
fn signed(target: &str, body: &[u8]) -> Parts {
    let request = Request::builder().method("PUT").uri(target).header("x-amz-acl", "private");
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let when = (&stand_in(), "20260830T123600Z");
    sign(&mut head, (HOST_NAME, &digest(body)), ("eu-west-1", "lambda"), when).unwrap();
    head
}

fn verified(head: &Parts, body: &[u8]) -> Result<Verified, SignatureError> {
    let claim = Claim::of(head)?.expect("a claim");
    claim.verify(head, HOST_NAME, (&stand_in(), Some(&digest(body))))
}

fn why(head: &Parts, body: &[u8]) -> String {
    verified(head, body).map_or_else(|error| error.to_string(), |_| "believed".to_owned())
}

#[test]
fn the_vectors_of_aws_are_believed_and_signed_anew() {
    let mut seen = 0;
    for case in vectors() {
        for way in ["header", "query"] {
            let Some(text) = case[format!("{way}-signed-request")].as_str() else { continue };
            if case["context"].is_null() || text.contains("ecurity-Token") {
                continue;
            }
            let Some((mut head, body)) = parsed(text, None) else { continue };
            let body = digest(body.trim_end_matches('\n').as_bytes());
            let name = format!("{} {way}", case["name"]);
            let key = vector_key(&case);
            let of = |head: &Parts| Claim::of(head).unwrap().expect("a claim");
            let of = |head: &Parts, key: &Key| {
                let mut claim = of(head);
                // Their links have the body's digest for a service without a name.
                if claim.wants_body() {
                    claim.payload = Payload::Said(body.clone());
                }
                claim.verify(head, HOST_NAME, (key, None))
            };
            let found = of(&head, &key).unwrap_or_else(|error| panic!("{name}: {error}"));
            let again = found.resign(&mut head, HOST_NAME, &real(None)).unwrap();
            assert_ne!(again.ours, again.theirs, "{name}");
            let found = of(&head, &real(None)).unwrap_or_else(|error| panic!("{name}: {error}"));
            // There and back again: what AWS says.
            let back = found.resign(&mut head, HOST_NAME, &key).unwrap();
            let expected = case[format!("{way}-signature")].as_str().unwrap().trim();
            assert_eq!(back.ours, expected, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 60, "{seen}");
}

#[test]
fn a_token_of_the_real_key_is_added_and_signed() {
    let mut head = signed("/function?a=b%20c&a=", b"body");
    let found = verified(&head, b"body").unwrap();
    let token = "tokentokentoken/+=";
    found.resign(&mut head, HOST_NAME, &real(Some(token))).unwrap();
    assert_eq!(head.headers["x-amz-security-token"], token);
    let line = head.headers["authorization"].to_str().unwrap();
    assert!(line.contains("Credential=AKIAREAL000000000000/20260830/eu-west-1/lambda/"), "{line}");
    assert!(line.contains("x-amz-acl;x-amz-date;x-amz-security-token"), "{line}");
    assert!(!format!("{head:?}").contains(token), "{head:?}");
}

#[test]
fn what_was_changed_after_it_was_signed_is_not_believed() {
    let forged = "its signature is not what the stand-in makes of this request";
    let change = |change: &dyn Fn(&mut Parts)| {
        let mut head = signed("/a/b?x=1", b"body");
        change(&mut head);
        why(&head, b"body")
    };
    assert_eq!(change(&|_| ()), "believed");
    assert_eq!(change(&|head| head.uri = "/a/c?x=1".parse().unwrap()), forged);
    assert_eq!(change(&|head| head.uri = "/a/b?x=2".parse().unwrap()), forged);
    assert_eq!(change(&|head| head.uri = "/a/b?x=1&y=".parse().unwrap()), forged);
    assert_eq!(change(&|head| head.method = http::Method::DELETE), forged);
    let put = |name: &'static str, value: &'static str| {
        change(&|head: &mut Parts| {
            head.headers.insert(name, HeaderValue::from_static(value));
        })
    };
    assert_eq!(put("x-amz-acl", "public-read"), forged);
    assert_eq!(put("x-amz-date", "20260830T123601Z"), forged);
    assert_eq!(
        put("x-amz-security-token", "other"),
        "it has a session token, and its key has none"
    );
    assert_eq!(
        put("x-amz-date", "20260831T123600Z"),
        "its scope is of another day than x-amz-date"
    );
    assert_eq!(
        change(&|head| {
            head.headers.remove("x-amz-acl");
        }),
        "it signs a header that is not there"
    );
    assert_eq!(why(&signed("/", b"body"), b"other"), forged);
    // What it did not sign is nobody's but the sender's.
    assert_eq!(put("x-other", "1"), "believed");
}

#[test]
fn another_host_and_another_key_are_not_believed() {
    let head = signed("/", b"");
    let claim = Claim::of(&head).unwrap().unwrap();
    let digest = digest(b"");
    for (host, key) in [("other.amazonaws.com", stand_in()), (HOST_NAME, real(None))] {
        let found = claim.clone().verify(&head, host, (&key, Some(&digest)));
        assert!(matches!(found, Err(SignatureError::Forged(_))), "{host}");
    }
    // Its secret under another id.
    let key = Key::new("AKIAOTHER00000000000", stand_in().secret(), None).unwrap();
    assert!(claim.verify(&head, HOST_NAME, (&key, Some(&digest))).is_err());
}

#[test]
fn what_is_not_written_as_aws_writes_it_is_refused() {
    let scope = "20260830/eu-west-1/s3/aws4_request";
    let date = "20260830T123600Z";
    let of = |line: String| {
        let request = Request::builder().uri("/").header("x-amz-date", date);
        let (head, ()) = request.header("authorization", line).body(()).unwrap().into_parts();
        Claim::of(&head)
    };
    let good = format!("Credential=AKIA00000000/{scope}, SignedHeaders=host, Signature=ab");
    assert!(of(format!("{ALGORITHM} {good}")).unwrap().is_some());
    assert!(of("Bearer x".to_owned()).unwrap().is_none());
    assert!(of(format!("AWS4-ECDSA-P256-SHA256 {good}")).unwrap().is_none());
    for bad in [
        String::new(),
        "Credential=a".to_owned(),
        format!("{good}, Signature=cd"),
        format!("{good}, Credential=AKIA11111111/{scope}"),
        format!("{good}, Other=1"),
        good.replace("host", "host;authorization"),
        good.replace("=host", "=x-amz-date"),
        good.replace("=host", "=Host"),
        good.replace("=host", "=host;a b"),
        good.replace("/aws4_request", "/aws4_request/x"),
        good.replace("aws4_request", "aws5_request"),
        good.replace("20260830/", "20260831/"),
        good.replace("eu-west-1", ""),
    ] {
        assert!(of(format!("{ALGORITHM} {bad}")).is_err(), "{bad}");
    }
}

#[test]
fn two_signatures_are_one_too_many() {
    let mut head = signed("/", b"");
    let line = head.headers["authorization"].clone();
    head.headers.append("authorization", line);
    assert_eq!(why(&head, b""), "it has two signatures");
    let mut head = signed("/", b"");
    head.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".parse().unwrap();
    assert_eq!(why(&head, b""), "it has two signatures");
    let mut head = signed("/", b"");
    head.headers.append("x-amz-date", HeaderValue::from_static("20260830T123600Z"));
    assert_eq!(why(&head, b""), "a header of its signature is there twice");
}

#[test]
fn only_kinds_of_bodies_that_are_known_are_signed_anew() {
    let of = |said: &'static str| {
        let mut head = signed("/", b"");
        head.headers.insert("x-amz-content-sha256", HeaderValue::from_static(said));
        Claim::of(&head).map(|claim| claim.unwrap().wants_body())
    };
    for said in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"] {
        assert_eq!(of(said), Ok(false));
    }
    for said in
        ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-EVENTS", "x", ""]
    {
        assert!(matches!(of(said), Err(SignatureError::Unsupported(_))), "{said}");
    }
}

#[test]
fn headers_of_the_connection_are_not_signed_anew() {
    let request = Request::builder().method("PUT").uri("/");
    let request = request.header("connection", "keep-alive, x-hop, host").header("x-hop", "1");
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let when = (&stand_in(), "20260830T123600Z");
    sign(&mut head, (HOST_NAME, &digest(b"")), ("eu-west-1", "lambda"), when).unwrap();
    let found = verified(&head, b"").unwrap();
    found.resign(&mut head, HOST_NAME, &real(None)).unwrap();
    let line = head.headers["authorization"].to_str().unwrap();
    assert!(line.contains("SignedHeaders=host;x-amz-date,"), "{line}");
}

proptest::proptest! {
    #[test]
    fn what_anybody_writes_is_read_or_refused_and_never_believed(
        fields in "(Credential=|SignedHeaders=|Signature=|host|;|,|/|=| |[a-zA-Z0-9]|aws4_request){0,24}",
        query in "(X-Amz-(Algorithm|Credential|Date|SignedHeaders|Signature)|=|&|%|AWS4-HMAC-SHA256|[a-z0-9]){0,24}",
    ) {
        let request = Request::builder().uri(format!("/?{query}")).header("x-amz-date", "20260830T123600Z");
        let request = request.header("authorization", format!("{ALGORITHM} {fields}"));
        if let Ok(request) = request.body(()) {
            let (head, ()) = request.into_parts();
            proptest::prop_assert!(!matches!(Claim::of(&head), Ok(None)));
            if let Ok(Some(claim)) = Claim::of(&head) {
                let found = claim.verify(&head, HOST_NAME, (&stand_in(), Some(&digest(b""))));
                proptest::prop_assert!(found.is_err());
            }
        }
    }
}
