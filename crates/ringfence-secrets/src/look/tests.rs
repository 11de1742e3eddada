//! A stand-in counts where it belongs and nowhere else.

use base64::engine::general_purpose::STANDARD;
use http::Request;

use super::*;
use crate::sentinel::Shape;

struct Stage {
    binding: Binding,
    sentinel: Sentinel,
}

fn stage() -> Stage {
    let binding = Binding {
        name: "model".parse().unwrap(),
        hosts: vec!["api.example.com".parse().unwrap()],
        methods: vec!["POST".parse().unwrap()],
        paths: vec!["/v1".parse().unwrap()],
        slots: vec![
            Slot::header("x-api-key").unwrap(),
            Slot::header("authorization: Bearer").unwrap(),
            Slot::query("key").unwrap(),
            Slot::Basic,
        ],
        deliver: Vec::new(),
        shape: Shape::of("sk-ant-api03-0123456789abcdefghij"),
        backend: "age".to_owned(),
        ttl_seconds: None,
    };
    let sentinel = binding.shape.sentinel().unwrap();
    Stage { binding, sentinel }
}

impl Stage {
    fn look(&self, host: &str, request: &Req) -> Result<usize, String> {
        let fill = |text: &str| text.replace("KEY", self.sentinel.as_str());
        let mut builder = Request::builder().method(request.0).uri(fill(request.1));
        for (name, value) in request.2 {
            let value = match value.strip_prefix("b64:") {
                Some(plain) => format!("Basic {}", STANDARD.encode(fill(plain))),
                None => fill(value),
            };
            builder = builder.header(*name, value);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        look((&self.binding, &self.sentinel), &host.parse().unwrap(), &head)
            .map(|uses| uses.len())
            .map_err(|misplaced| format!("{}: {}", misplaced.place, misplaced.why))
    }
}

type Req<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

const HOST: &str = "api.example.com:443";

#[test]
fn a_stand_in_in_its_place_is_a_use() {
    let stage = stage();
    for request in [
        ("POST", "/v1/messages", &[("x-api-key", "KEY")] as &[_]),
        ("POST", "/v1", &[("Authorization", "Bearer KEY")]),
        ("POST", "/v1", &[("authorization", "bearer KEY")]),
        ("POST", "/v1?a=b&key=KEY", &[]),
        ("POST", "/v1", &[("authorization", "b64:user:KEY")]),
        ("POST", "/v1", &[("authorization", "b64:KEY:")]),
    ] {
        assert_eq!(stage.look(HOST, &request), Ok(1), "{request:?}");
    }
    assert_eq!(stage.look(HOST, &("GET", "/other?x=y", &[("accept", "*/*")])), Ok(0));
}

#[test]
fn a_stand_in_anywhere_else_is_an_incident() {
    let stage = stage();
    for (host, request, why) in [
        ("evil.example:443", ("POST", "/v1", &[("x-api-key", "KEY")] as &[_]), "not bound to evil"),
        ("api.example.com:8443", ("POST", "/v1", &[("x-api-key", "KEY")]), "not bound to"),
        (HOST, ("GET", "/v1", &[("x-api-key", "KEY")]), "the method GET"),
        (HOST, ("TRACE", "/v1", &[("x-api-key", "KEY")]), "TRACE never"),
        (HOST, ("POST", "/v2", &[("x-api-key", "KEY")]), "not bound to this path"),
        (HOST, ("POST", "/v1/../v2", &[("x-api-key", "KEY")]), "more than one way"),
        (HOST, ("POST", "/v1", &[("x-other", "KEY")]), "the header x-other"),
        (HOST, ("POST", "/v1", &[("x-api-key", "KEY, x")]), "the header x-api-key"),
        (HOST, ("POST", "/v1", &[("x-api-key", " KEYx")]), "the header x-api-key"),
        (HOST, ("POST", "/v1", &[("authorization", "Digest KEY")]), "but not after `Bearer `"),
        (HOST, ("POST", "/v1", &[("authorization", "token KEY")]), "but not after `Bearer `"),
        (HOST, ("POST", "/v1", &[("authorization", "b64:u:KEYx")]), "the header authorization"),
        (HOST, ("POST", "/v1", &[("cookie", "a=KEY")]), "the header cookie"),
        (HOST, ("POST", "/v1?other=KEY", &[]), "the query"),
        (HOST, ("POST", "/v1?KEY", &[]), "the query"),
        (HOST, ("POST", "/v1/KEY", &[]), "the path"),
        (
            HOST,
            ("POST", "/v1", &[("x-api-key", "KEY"), ("referer", "https://a/?k=KEY")]),
            "referer",
        ),
    ] {
        let said = stage.look(host, &request);
        assert!(said.as_ref().is_err_and(|it| it.contains(why)), "{request:?}: {said:?}");
    }
}

#[test]
fn an_escaped_stand_in_is_the_same_stand_in() {
    let stage = stage();
    let each = stage.sentinel.as_str().bytes().map(|byte| format!("%{byte:02x}"));
    let escaped = each.collect::<Vec<_>>().concat();
    let path = format!("/v1/{escaped}");
    assert!(stage.look(HOST, &("POST", &path, &[])).is_err());
    let query = format!("/v1?key={escaped}");
    assert_eq!(stage.look(HOST, &("POST", &query, &[])), Ok(1));
}

#[test]
fn a_stand_in_in_a_body_is_found_however_the_body_is_cut() {
    let stage = stage();
    let body = format!("{{\"prompt\": \"my key is {}.\"}}", stage.sentinel.as_str());
    let watch = || BodyWatch::new(vec![(stage.binding.name.clone(), stage.sentinel.clone())]);
    for size in 1..=body.len() {
        let mut watch = watch();
        let found = body.as_bytes().chunks(size).find_map(|piece| watch.push(piece));
        assert_eq!(found.as_ref(), Some(&stage.binding.name), "pieces of {size}");
    }
    let mut watch = watch();
    let harmless =
        body.replace(stage.sentinel.as_str(), stage.sentinel.as_str().trim_start_matches('s'));
    assert_eq!(harmless.as_bytes().chunks(7).find_map(|piece| watch.push(piece)), None);
    assert!(watch.carried.len() < stage.sentinel.as_str().len());
}
