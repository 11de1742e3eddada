//! A key of AWS signs what its stand-in signed, and is seen nowhere.

use std::sync::Arc;

use http::Request as HttpRequest;
use ringfence_core::{Act, Action, Agent, Checked, Endpoint, Request, Running};
use ringfence_testkit::gate::{ScriptedPolicy, TestGate};

use super::*;
use crate::held::{Fetch, FetchError, Fetched, Held, Occasion, SwapError};
use crate::kinds::Kind;
use crate::look::Look;
use crate::sigv4::claim::{Claim, Resigned};
use crate::sigv4::{SignatureError, digest, sign};

const VALUE: &str = "ASIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:token/of+42==";
const HOST: &str = "s3.eu-west-1.amazonaws.com";
const WHEN: &str = "20260830T123600Z";

struct Kept;

impl Fetch for Kept {
    fn fetch(&self, binding: &Binding, _: &Occasion<'_>) -> Result<Fetched, FetchError> {
        Ok(Fetched::Fixed(binding.value(VALUE).unwrap()))
    }
}

struct Stage {
    held: Held,
    gate: TestGate,
    key: Key,
}

fn binding() -> Binding {
    let mut binding = Binding {
        name: "cloud".parse().unwrap(),
        hosts: Vec::new(),
        methods: vec!["GET".parse().unwrap(), "PUT".parse().unwrap()],
        paths: Vec::new(),
        slots: Vec::new(),
        deliver: Vec::new(),
        shape: Shape::unknown(),
        backend: "age".to_owned(),
        ttl_seconds: None,
    };
    Kind::Aws.complete(&mut binding).unwrap();
    binding.check().unwrap();
    binding.shape = binding.shape_of(&binding.value(VALUE).unwrap());
    binding
}

fn stage() -> Stage {
    let mut binding = binding();
    binding
        .deliver
        .push(Delivery::File(ringfence_core::AbsolutePath::parse("/home/a/credentials").unwrap()));
    let held = Held::new(vec![binding], Arc::new(Kept)).unwrap();
    let found: Vec<(String, String)> =
        held.deliveries().map(|(place, it)| (place.to_string(), it.as_str().to_owned())).collect();
    let [(first, id), (second, secret), (_, file)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("$AWS_ACCESS_KEY_ID", "$AWS_SECRET_ACCESS_KEY"));
    assert!(id.starts_with("ASIA") && id.len() == 20 && secret.len() == 40, "{found:?}");
    let key = Key::new(id, secret, None).unwrap();
    // What the AWS programs read in a file is the same key.
    let read = Key::parse(&format!("{file}\n")).unwrap();
    assert_eq!(read.dangerous_text(), key.dangerous_text());
    let gate = TestGate::new(ScriptedPolicy::new().permit(Action::SecretUse, "cloud"));
    Stage { held, gate, key }
}

fn endpoint() -> Endpoint {
    format!("{HOST}:443").parse().unwrap()
}

/// A request as a program in the world signs it.
fn signed(stage: &Stage, body: &[u8]) -> Parts {
    let request = HttpRequest::builder().method("PUT").uri("/bucket/key");
    let (mut head, ()) = request.header("x-amz-acl", "private").body(()).unwrap().into_parts();
    let what = (HOST, digest(body));
    sign(&mut head, (what.0, &what.1), ("eu-west-1", "s3"), (&stage.key, WHEN)).unwrap();
    head
}

impl Stage {
    fn why(&self, to: &Endpoint, head: &Parts) -> String {
        match self.held.look(to, head) {
            Look::Nothing => "nothing".to_owned(),
            Look::Uses(uses) => format!("{} uses", uses.len()),
            Look::Misused(it) => format!("{}: {}", it.place, it.why),
        }
    }

    fn resign(&self, head: &mut Parts, body: &[u8]) -> Result<(Running, Resigned), SwapError> {
        let Look::Uses(uses) = self.held.look(&endpoint(), head) else { panic!("not found") };
        let used = &uses[0];
        assert!(used.is_signature());
        let claim = Claim::of(head)?.unwrap();
        let body = digest(body);
        let verified = self.held.verify(used, claim, (head, HOST), Some(&body))?;
        let act: Act = Held::act(used, &endpoint(), head);
        let request = Request { agent: Agent("a".to_owned()), act, process: None };
        let Checked::Permit(permit) = self.gate.gate.check(request) else { panic!("denied") };
        self.held.resign((used, permit), verified, (&endpoint(), HOST), head)
    }
}

#[test]
fn what_a_stand_in_signed_the_key_signs() {
    let stage = stage();
    let mut head = signed(&stage, b"body");
    assert!(stage.held.patterns().is_empty());
    let (_, made) = stage.resign(&mut head, b"body").unwrap();
    let key = Key::parse(VALUE).unwrap();
    let line = head.headers["authorization"].to_str().unwrap().to_owned();
    assert!(line.contains(key.id()) && !line.contains(stage.key.id()), "{line}");
    assert!(line.contains(&made.ours) && made.ours != made.theirs);
    assert_eq!(head.headers["x-amz-security-token"], "token/of+42==");
    // As the server reads it, which holds the same key.
    let mut seen = head.clone();
    seen.headers.remove("x-amz-security-token");
    let again = Key::new(key.id(), key.secret(), Some("token/of+42==")).unwrap();
    let mut fresh = signed(&stage, b"body");
    fresh.headers.remove("authorization");
    sign(&mut fresh, (HOST, &digest(b"body")), ("eu-west-1", "s3"), (&again, WHEN)).unwrap();
    assert_eq!(fresh.headers["authorization"], head.headers["authorization"]);
    // Nothing of it comes back.
    let echo = format!("{line} {} token/of+42==", key.secret());
    let shown = stage.held.patterns_with((&made.ours, &made.theirs)).scrubbed(echo.as_bytes());
    let shown = String::from_utf8(shown).unwrap();
    for part in [key.id(), key.secret(), "token/of+42==", &made.ours] {
        assert!(!shown.contains(part), "{shown}");
    }
    assert!(shown.contains(stage.key.id()) && shown.contains(&made.theirs), "{shown}");
    assert!(!format!("{head:?}").contains(&made.ours));
}

#[test]
fn what_the_stand_in_did_not_sign_is_not_signed() {
    let stage = stage();
    let refused = |change: &dyn Fn(&mut Parts), body: &[u8]| {
        let mut head = signed(&stage, b"body");
        change(&mut head);
        matches!(stage.resign(&mut head, body), Err(SwapError::Unsigned(SignatureError::Forged(_))))
    };
    assert!(!refused(&|_| (), b"body"));
    assert!(refused(&|_| (), b"other"));
    assert!(refused(&|head| head.uri = "/bucket/other".parse().unwrap(), b"body"));
    let acl = |head: &mut Parts| {
        head.headers.insert("x-amz-acl", "public-read".parse().unwrap());
    };
    assert!(refused(&acl, b"body"));
    // Another key's signature under the id of the stand-in.
    let mut head = signed(&stage, b"body");
    head.headers.remove("authorization");
    let other =
        Key::new(stage.key.id(), "another-secret-of-40-characters-in-length", None).unwrap();
    sign(&mut head, (HOST, &digest(b"body")), ("eu-west-1", "s3"), (&other, WHEN)).unwrap();
    assert!(stage.resign(&mut head, b"body").is_err());
}

#[test]
fn a_stand_in_outside_of_a_signature_is_misused() {
    let stage = stage();
    let (id, secret) = (stage.key.id().to_owned(), stage.key.secret().to_owned());
    let other: Endpoint = "evil.example:443".parse().unwrap();
    let head = |method: &str, uri: &str, header: Option<(&str, &str)>| {
        let mut request = HttpRequest::builder().method(method).uri(uri);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    };
    let credential = format!(
        "{ALGORITHM} Credential={id}/20260830/r/s3/aws4_request, SignedHeaders=host, Signature=00"
    );
    let good = ("authorization", credential.as_str());
    assert_eq!(stage.why(&endpoint(), &head("GET", "/", Some(good))), "1 uses");
    assert_eq!(stage.why(&endpoint(), &head("GET", "/", None)), "nothing");
    let link = format!("/?X-Amz-Credential={id}%2F20260830");
    assert_eq!(stage.why(&endpoint(), &head("GET", &link, None)), "1 uses");
    assert!(
        stage.why(&other, &head("GET", &link, None)).ends_with("not bound to evil.example:443")
    );
    assert!(
        stage.why(&other, &head("GET", "/", Some(good))).ends_with("not bound to evil.example:443")
    );
    let wrong = "it belongs into a signature by AWS4-HMAC-SHA256, and nowhere else";
    let old = format!("AWS {id}:c2ln");
    let v4a = credential.replace(ALGORITHM, "AWS4-ECDSA-P256-SHA256");
    for (name, value) in [
        ("authorization", old.as_str()),
        ("authorization", &v4a),
        ("authorization", &id),
        ("x-other", &credential),
    ] {
        let why = stage.why(&endpoint(), &head("GET", "/", Some((name, value))));
        assert!(why.ends_with(wrong), "{value}: {why}");
    }
    for uri in [format!("/{id}"), format!("/?a={id}"), format!("/?x-amz-credential={id}%2F")] {
        assert!(stage.why(&endpoint(), &head("GET", &uri, None)).ends_with(wrong), "{uri}");
    }
    let sent = "what signs is never sent";
    for uri in
        [format!("/{secret}"), format!("/?{secret}"), format!("{link}&X-Amz-Signature={secret}")]
    {
        assert!(stage.why(&endpoint(), &head("GET", &uri, None)).ends_with(sent), "{uri}");
    }
    let why = stage.why(&endpoint(), &head("DELETE", "/", Some(good)));
    assert!(why.ends_with("it is not bound to the method DELETE"), "{why}");
}

#[test]
fn a_key_that_signs_stands_nowhere() {
    let mut binding = binding();
    binding.slots.push(crate::binding::Slot::Basic);
    assert!(binding.check().is_err());
    assert!(Kind::Aws.complete(&mut binding).is_err());
}
