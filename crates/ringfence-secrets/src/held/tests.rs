//! A value goes into a request only for a permit on exactly that, and out of every answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request as HttpRequest;
use ringfence_core::{Action, Agent, Checked, Request};
use ringfence_testkit::gate::{ScriptedPolicy, TestGate};

use super::*;
use crate::binding::Slot;
use crate::look::Misplaced;
use crate::sentinel::Shape;

const VALUE: &str = "sk-ant-api03-Zq9/xY+wB_7h-cR2mN4pLk8vT1sD6fGj";
const HOST: &str = "api.example.com:443";

/// A backend that counts how often it is asked.
struct Kept(AtomicUsize, Result<(), String>);

impl Fetch for Kept {
    fn fetch(&self, binding: &Binding, _: &Occasion<'_>) -> Result<Fetched, FetchError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match &self.1 {
            Ok(()) => Ok(Fetched::Fixed(Secret::new(binding.name.clone(), VALUE).unwrap())),
            Err(why) => Err(FetchError {
                secret: binding.name.clone(),
                backend: "vault".to_owned(),
                why: why.clone(),
            }),
        }
    }
}

struct Stage {
    held: Held,
    backend: Arc<Kept>,
    gate: TestGate,
    sentinel: String,
}

fn stage_with(answers: Result<(), String>) -> Stage {
    let binding = Binding {
        name: "model".parse().unwrap(),
        hosts: vec!["api.example.com".parse().unwrap(), "b.example".parse().unwrap()],
        methods: Vec::new(),
        paths: Vec::new(),
        slots: vec![
            Slot::header("x-api-key").unwrap(),
            Slot::header("authorization: Bearer").unwrap(),
            Slot::query("key").unwrap(),
            Slot::Basic,
        ],
        deliver: Vec::new(),
        shape: Shape::of(VALUE),
        backend: "age".to_owned(),
        ttl_seconds: None,
    };
    let backend = Arc::new(Kept(AtomicUsize::new(0), answers));
    let held = Held::new(vec![binding], Arc::clone(&backend) as Arc<dyn Fetch>).unwrap();
    let sentinel = held.sentinels().into_values().next().unwrap().as_str().to_owned();
    let gate = TestGate::new(ScriptedPolicy::new().permit(Action::SecretUse, "model"));
    Stage { held, backend, gate, sentinel }
}

fn stage() -> Stage {
    stage_with(Ok(()))
}

fn endpoint() -> Endpoint {
    HOST.parse().unwrap()
}

fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = HttpRequest::builder().method("POST").uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

impl Stage {
    fn used(&self, head: &Parts) -> Use {
        match self.held.look(&endpoint(), head) {
            Look::Uses(uses) => uses.into_iter().next().unwrap(),
            Look::Nothing => panic!("nothing was found"),
            Look::Misused(Misplaced { place, why, .. }) => panic!("{place}: {why}"),
        }
    }

    fn permit(&self, act: Act) -> Permit {
        let request = Request { agent: Agent("a".to_owned()), act, process: None };
        match self.gate.gate.check(request) {
            Checked::Permit(permit) => permit,
            Checked::Ask(_) | Checked::Deny(_) => panic!("not permitted"),
        }
    }

    fn swap(&self, head: &mut Parts) -> Result<Running, SwapError> {
        let used = self.used(head);
        let permit = self.permit(Held::act(&used, &endpoint(), head));
        self.held.swap((&used, permit), &endpoint(), head)
    }
}

#[test]
fn a_value_takes_the_place_of_its_stand_in_and_of_nothing_else() {
    let stage = stage();
    let key = stage.sentinel.as_str();
    let basic = format!("Basic {}", STANDARD.encode(format!("user:{key}")));
    let bearer = format!("Bearer {key}");
    let query = format!("/v1?a=1&key={key}&b=%20");
    for (uri, header) in [
        ("/v1", Some(("x-api-key", key))),
        ("/v1", Some(("authorization", bearer.as_str()))),
        ("/v1", Some(("authorization", basic.as_str()))),
        (query.as_str(), None),
    ] {
        let mut request = head(uri, header.as_slice());
        let running = stage.swap(&mut request).unwrap();
        running.finish(Outcome::Done).unwrap();
        let text = format!(
            "{:?} {}",
            request.uri,
            header.map_or("", |(name, _)| { request.headers[name].to_str().unwrap() })
        );
        assert!(!text.contains(key), "{text}");
        if let Some(("x-api-key", _)) = header {
            assert_eq!(request.headers["x-api-key"], VALUE);
        }
        assert!(header.is_none_or(|(name, _)| request.headers[name].is_sensitive()));
    }
    let mut request = head(&query, &[]);
    stage.swap(&mut request).unwrap().finish(Outcome::Done).unwrap();
    let expected = format!("a=1&key={}&b=%20", VALUE.replace('/', "%2F").replace('+', "%2B"));
    assert_eq!(request.uri.query(), Some(expected.as_str()));
    let mut request = head("/v1", &[("authorization", &basic)]);
    stage.swap(&mut request).unwrap().finish(Outcome::Done).unwrap();
    let expected = format!("Basic {}", STANDARD.encode(format!("user:{VALUE}")));
    assert_eq!(request.headers["authorization"], expected.as_str());
    assert_eq!(stage.backend.0.load(Ordering::Relaxed), 1, "it is fetched once");
}

#[test]
fn no_value_is_fetched_before_it_is_permitted() {
    let stage = stage();
    let request = head("/v1", &[("x-api-key", &stage.sentinel)]);
    let used = stage.used(&request);
    assert!(stage.held.patterns().is_empty());
    let elsewhere = Request {
        agent: Agent("a".to_owned()),
        act: Act::UseSecret(SecretUse {
            secret: used.secret.clone(),
            endpoint: None,
            method: String::new(),
            path: String::new(),
        }),
        process: None,
    };
    drop(stage.gate.gate.check(elsewhere));
    assert_eq!(stage.backend.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_permit_for_another_use_swaps_nothing() {
    let stage = stage();
    let request = head("/v1", &[("x-api-key", &stage.sentinel)]);
    let used = stage.used(&request);
    let other_host: Endpoint = "b.example:443".parse().unwrap();
    let other_path = head("/v2", &[("x-api-key", &stage.sentinel)]);
    for (endpoint, asked) in [(&other_host, &request), (&endpoint(), &other_path)] {
        let permit = stage.permit(Held::act(&used, endpoint, asked));
        let mut changed = head("/v1", &[("x-api-key", &stage.sentinel)]);
        let swapped = stage.held.swap((&used, permit), &self::endpoint(), &mut changed);
        assert!(matches!(swapped, Err(SwapError::OtherUse)));
        assert_eq!(changed.headers["x-api-key"], stage.sentinel.as_str());
    }
}

#[test]
fn a_stale_permit_swaps_nothing() {
    let stage = stage();
    let mut request = head("/v1", &[("x-api-key", &stage.sentinel)]);
    let used = stage.used(&request);
    let permit = stage.permit(Held::act(&used, &endpoint(), &request));
    stage.gate.gate.stop();
    let swapped = stage.held.swap((&used, permit), &endpoint(), &mut request);
    assert!(matches!(swapped, Err(SwapError::Denied(_))));
    assert_eq!(request.headers["x-api-key"], stage.sentinel.as_str());
    assert_eq!(stage.backend.0.load(Ordering::Relaxed), 0);
}

#[test]
fn a_backend_that_fails_is_a_failed_act_and_no_swap() {
    let stage = stage_with(Err("it gave no answer within 5 s".to_owned()));
    let mut request = head("/v1", &[("x-api-key", &stage.sentinel)]);
    let said = stage.swap(&mut request).map(drop).unwrap_err().to_string();
    assert!(said.contains("`model`") && said.contains("no answer within"), "{said}");
    assert_eq!(request.headers["x-api-key"], stage.sentinel.as_str());
    let outcomes = stage.gate.log.outcomes();
    assert!(matches!(&outcomes[..], [(_, Outcome::Failed { error })] if error.contains("vault")));
}

#[test]
fn a_swapped_request_asks_for_an_answer_that_can_be_searched() {
    let stage = stage();
    let mut request = head(
        "/v1",
        &[
            ("x-api-key", &stage.sentinel),
            ("accept-encoding", "gzip, br"),
            ("range", "bytes=0-9"),
            ("if-range", "x"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ],
    );
    stage.swap(&mut request).unwrap().finish(Outcome::Done).unwrap();
    assert_eq!(request.headers["accept-encoding"], "identity");
    for gone in ["range", "if-range", "sec-websocket-extensions"] {
        assert!(!request.headers.contains_key(gone), "{gone}");
    }
    let mut answer = HeaderMap::new();
    assert_eq!(unreadable(&answer), None);
    answer.insert("content-encoding", HeaderValue::from_static("identity"));
    assert_eq!(unreadable(&answer), None);
    answer.append("content-encoding", HeaderValue::from_static("identity, br"));
    assert!(unreadable(&answer).is_some_and(|why| why.contains("`br`")));
    let mut answer = HeaderMap::new();
    answer.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert_eq!(unreadable(&answer), None);
    answer.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip, chunked"));
    assert!(unreadable(&answer).is_some_and(|why| why.contains("`gzip`")));
    for (name, value, why) in [
        ("content-range", "bytes 0-3/8", "a part"),
        ("content-type", "Multipart/Byteranges; boundary=x", "a part"),
        ("sec-websocket-extensions", "permessage-deflate", "extended"),
    ] {
        let answer = HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )]);
        assert!(unreadable(&answer).is_some_and(|said| said.contains(why)), "{name}");
    }
}

#[test]
fn an_answer_that_echoes_a_value_shows_the_stand_in() {
    let stage = stage();
    let mut request = head("/v1", &[("x-api-key", &stage.sentinel)]);
    stage.swap(&mut request).unwrap().finish(Outcome::Done).unwrap();
    let patterns = stage.held.patterns();
    let mut headers = HeaderMap::new();
    headers.insert("x-echo", HeaderValue::from_static(VALUE));
    headers.insert("x-fine", HeaderValue::from_static("fine"));
    scrub_head(&mut headers, &patterns);
    assert_eq!(headers["x-echo"], stage.sentinel.as_str());
    assert_eq!(headers["x-fine"], "fine");
    let body = patterns.scrubbed(format!("you sent {VALUE}").as_bytes());
    assert_eq!(String::from_utf8(body).unwrap(), format!("you sent {}", stage.sentinel));
}

#[test]
fn nothing_that_is_written_down_has_a_value_in_it() {
    let stage = stage();
    let mut request = head("/v1", &[("x-api-key", &stage.sentinel)]);
    stage.swap(&mut request).unwrap().finish(Outcome::Done).unwrap();
    let entries = serde_json::to_string(&stage.gate.log.entries()).unwrap();
    assert!(entries.contains("secret.use") || entries.contains("use_secret"));
    // A sensitive header does not print itself either.
    let debug = format!("{entries} {request:?} {:?}", stage.held.sentinels());
    assert!(!debug.contains(VALUE.trim_start_matches("sk-ant-api03-")), "{debug}");
}

#[test]
fn no_value_that_was_had_is_ever_forgotten() {
    let mut had = HadSoFar::default();
    let lent = |number: usize| {
        Fetched::Lent(
            Secret::new("model".parse().unwrap(), &format!("lent-value-{number:05}")).unwrap(),
        )
    };
    for number in 0..LENT_MAX {
        assert!(had.take(lent(number)).is_some());
    }
    assert!(had.take(lent(LENT_MAX)).is_none());
    assert!(had.known(&lent(0)).is_some() && had.known(&lent(LENT_MAX - 1)).is_some());
}
