//! A stand-in in a request is found: where it may stand it is a use, anywhere else it is misused, and it
//! is never passed over.
#![no_main]

use std::sync::{Arc, OnceLock};

use http::Request;
use libfuzzer_sys::fuzz_target;
use ringfence_core::Endpoint;
use ringfence_secrets::binding::Slot;
use ringfence_secrets::held::{Fetch, FetchError, Fetched, Occasion};
use ringfence_secrets::look::Look;
use ringfence_secrets::{Binding, Held, Secret};

/// What the seeds have in a stand-in's place.
const MARK: &[u8] = b"STAND";

struct Nothing;

impl Fetch for Nothing {
    fn fetch(&self, binding: &Binding, _: &Occasion<'_>) -> Result<Fetched, FetchError> {
        Ok(Fetched::Fixed(Secret::new(binding.name.clone(), "no-use").unwrap()))
    }
}

fn held() -> &'static (Held, String) {
    static ONCE: OnceLock<(Held, String)> = OnceLock::new();
    ONCE.get_or_init(|| {
        let slots = [Slot::header("x-api-key").unwrap(), Slot::header("authorization: Bearer").unwrap(), Slot::query("key").unwrap(), Slot::Basic];
        let binding = serde_json::json!({
            "name": "model", "for": ["api.example.com"], "paths": ["/v1/*"], "slots": slots,
            "shape": { "prefix": "sk-", "length": 40, "alphabet": "letters" }, "backend": "age",
        });
        let held = Held::new(vec![serde_json::from_value(binding).unwrap()], Arc::new(Nothing)).unwrap();
        let sentinel = held.sentinels().into_values().next().unwrap().as_str().to_owned();
        (held, sentinel)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (held, sentinel) = held();
    let Some((host, bytes)) = bytes.split_first() else { return };
    let sent = replaced(bytes, sentinel.as_bytes());
    let host = ["api.example.com:443", "other.example:443"][usize::from(host % 2)];
    let endpoint: Endpoint = host.parse().unwrap();
    body(&sent, sentinel);
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(_)) = parsed.parse(&sent) else { return };
    let (Some(method), Some(target)) = (parsed.method, parsed.path) else { return };
    let mut request = Request::builder().method(method).uri(target);
    for header in parsed.headers.iter() {
        request = request.header(header.name, header.value);
    }
    let Ok(request) = request.body(()) else { return };
    let (head, ()) = request.into_parts();
    let address = head.uri.path_and_query().map_or("", |it| it.as_str());
    let plainly = holds(address.as_bytes(), sentinel) || head.headers.values().any(|value| holds(value.as_bytes(), sentinel));
    match held.look(&endpoint, &head) {
        Look::Nothing => assert!(!plainly, "it was passed over"),
        Look::Uses(uses) => {
            assert!(!uses.is_empty() && held.is_bound(&endpoint));
            assert!(head.uri.path().starts_with("/v1/"), "{}", head.uri);
        }
        Look::Misused(_) => {}
    }
});

/// In a body it is found however the body is cut.
fn body(sent: &[u8], sentinel: &str) {
    let (held, _) = held();
    let cut = sent.first().map_or(1, |first| usize::from(*first) % 50 + 1);
    let mut watch = held.watch_body(&|_| true);
    let found = sent.chunks(cut).filter(|piece| watch.push(piece).is_some()).count() > 0;
    assert_eq!(found, holds(sent, sentinel));
}

fn holds(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted.as_bytes())
}

fn replaced(text: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.windows(MARK.len()).position(|part| part == MARK) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + MARK.len()..];
    }
    out.extend_from_slice(rest);
    out
}
