//! What a binding may say, and what it holds for.

use super::*;

fn host(text: &str) -> Result<HostRule, BindingError> {
    text.parse()
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn bound(paths: &[&str], methods: &[&str]) -> Binding {
    Binding {
        name: "x".parse().unwrap(),
        hosts: vec![host("api.example.com").unwrap()],
        methods: methods.iter().map(|it| it.parse().unwrap()).collect(),
        paths: paths.iter().map(|it| it.parse().unwrap()).collect(),
        slots: vec![Slot::Basic],
        deliver: Vec::new(),
        shape: Shape::unknown(),
        backend: "age".to_owned(),
        ttl_seconds: None,
    }
}

#[test]
fn a_host_is_exact_unless_it_says_otherwise() {
    let one = host("API.example.com.").unwrap();
    assert!(one.holds(&endpoint("api.example.com:443")));
    for other in
        ["api.example.com:80", "example.com:443", "a.api.example.com:443", "xapi.example.com:443"]
    {
        assert!(!one.holds(&endpoint(other)), "{other}");
    }
    let beneath = host("*.example.com:8443").unwrap();
    assert!(beneath.holds(&endpoint("a.b.example.com:8443")));
    for other in [
        "example.com:8443",
        "xexample.com:8443",
        "a.example.com:443",
        "a.example.com.evil.net:8443",
    ] {
        assert!(!beneath.holds(&endpoint(other)), "{other}");
    }
}

#[test]
fn hosts_that_are_everybodys_or_nobodys_are_refused() {
    for text in [
        "",
        "*",
        "*.com",
        "*.1.2.3.4",
        "a b",
        "a/b",
        "user@a.example",
        "a.example:0",
        "http://a.example",
        "0x7f.1",
        "a\r\nb",
        "*.*.example.com",
    ] {
        assert!(host(text).is_err(), "{text}");
    }
}

#[test]
fn a_path_is_for_itself_and_what_is_beneath() {
    let binding = bound(&["/v1/messages"], &[]);
    for path in ["/v1/messages", "/v1/messages/", "/v1/messages/7"] {
        assert_eq!(binding.objects_to(&Method::POST, path), None, "{path}");
    }
    for path in [
        "/v1/messagesx",
        "/v1",
        "/",
        "/V1/messages",
        "/v1/messages/../admin",
        "/v1/messages/%2e%2e/admin",
        "/v1/messages/%2E./admin",
        "/v1/messages//x",
        "/v1/messages/..%2fadmin",
        "/v1/messages/..;/admin",
        "/v1/messages\\..\\admin",
        "/v1/messages/%252e%252e/x",
    ] {
        assert!(binding.objects_to(&Method::POST, path).is_some(), "{path}");
    }
    let pattern = bound(&["/repos/*/issues"], &[]);
    assert_eq!(pattern.objects_to(&Method::GET, "/repos/a/b/issues"), None);
    assert!(pattern.objects_to(&Method::GET, "/repos/a/b/issues/1").is_some());
}

#[test]
fn methods_are_those_that_are_named_and_never_trace() {
    let binding = bound(&[], &["get", "HEAD"]);
    assert_eq!(binding.objects_to(&Method::GET, "/"), None);
    assert!(binding.objects_to(&Method::POST, "/").is_some());
    let all = bound(&[], &[]);
    assert_eq!(all.objects_to(&Method::DELETE, "/a/../b"), None);
    assert!(all.objects_to(&Method::TRACE, "/").is_some());
    assert!(all.objects_to(&Method::CONNECT, "/").is_some());
    for wrong in ["TRACE", "connect", "G T", "", "GET\r\n"] {
        assert!(wrong.parse::<MethodName>().is_err(), "{wrong}");
    }
}

#[test]
fn slots_that_frame_a_message_are_refused() {
    for wrong in [
        "host",
        "Content-Length",
        "transfer-encoding",
        "a b",
        "",
        "x: a\r\nb: c",
        "x\0",
        ":authority",
        "Connection",
        "proxy-authorization",
    ] {
        assert!(Slot::header(wrong).is_err(), "{wrong}");
    }
    for (text, shown) in [
        ("X-Api-Key", "header x-api-key"),
        ("Authorization: Bearer", "header authorization: Bearer"),
        ("authorization:Token token=", "header authorization: Token token="),
    ] {
        let slot = Slot::header(text).unwrap();
        assert_eq!(slot.to_string(), shown);
        let again: Slot = serde_json::from_str(&serde_json::to_string(&slot).unwrap()).unwrap();
        assert_eq!(again, slot);
    }
    for wrong in ["", "a=b", "a&b", "a b", "ä"] {
        assert!(Slot::query(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn variables_that_would_change_what_runs_are_refused() {
    for wrong in [
        "PATH",
        "LD_PRELOAD",
        "ld_library_path",
        "HTTPS_PROXY",
        "RINGFENCE_DENIALS",
        "1A",
        "A-B",
        "",
        "A=B",
        "HOME",
        "BASH_ENV",
    ] {
        assert!(wrong.parse::<VariableName>().is_err(), "{wrong}");
    }
    assert!("ANTHROPIC_API_KEY".parse::<VariableName>().is_ok());
}

#[test]
fn every_known_kind_is_complete_or_asks_for_its_host() {
    for kind in crate::kinds::Kind::ALL {
        let mut binding = bound(&[], &[]);
        (binding.hosts, binding.slots) = (Vec::new(), Vec::new());
        kind.complete(&mut binding).unwrap();
        let hostless = matches!(
            kind,
            crate::kinds::Kind::Npm | crate::kinds::Kind::Pip | crate::kinds::Kind::GitHttps
        );
        assert_eq!(binding.hosts.is_empty(), hostless, "{kind}");
        assert_eq!(binding.check().is_err(), hostless, "{kind}");
        assert_eq!(kind.name().parse(), Ok(kind));
    }
}
