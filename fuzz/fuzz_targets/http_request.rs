//! A request that is taken for one to its connection's endpoint names no other host, and what the policy
//! sees of it has one form.
#![no_main]

use http::{Request, Version};
use libfuzzer_sys::fuzz_target;
use ringfence_core::{Endpoint, HttpParts, HttpRequest, Scheme, UrlPath};
use ringfence_proxy::net::first::{Speaks, speaks};
use ringfence_proxy::net::target::is_for;

fuzz_target!(|sent: &[u8]| {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(_)) = parsed.parse(sent) else { return };
    // Whatever a server could take for a request is seen to be one.
    assert!(matches!(speaks(sent), Speaks::Http | Speaks::Http2), "{:?}", speaks(sent));
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else { return };
    let version = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut request = Request::builder().method(method).uri(target).version(version);
    for header in parsed.headers.iter() {
        request = request.header(header.name, header.value);
    }
    let Ok(request) = request.body(()) else { return };
    let endpoint: Endpoint = "good.example:80".parse().unwrap();
    if is_for(&request, &endpoint).is_ok() {
        let named = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let hosts = request.headers().get_all("host").iter().map(|value| value.as_bytes());
        for host in hosts.chain(named) {
            one_host(host);
        }
    }
    let names: Vec<&str> = request.headers().keys().map(|name| name.as_str()).collect();
    let target = request.uri().path_and_query().map_or("", |it| it.as_str());
    let parts = HttpParts { method: request.method().as_str(), target, headers: &names, size: None };
    let Ok(decided) = HttpRequest::new(endpoint, Scheme::Http, parts) else { return };
    one_form(&decided.path);
    if let Some(other) = decided.other_reading() {
        assert_ne!(other.path, decided.path);
        assert!(!other.path.as_str().contains("//"));
        assert!(other.path.as_str().split('/').all(|segment| segment != "." && segment != ".."));
    }
    let logged = serde_json::to_string(&decided).unwrap();
    let read: HttpRequest = serde_json::from_str(&logged).unwrap();
    assert_eq!((read.path, read.method), (decided.path, decided.method));
});

/// However a server reads what is written plainly, it reads this name.
fn one_host(written: &[u8]) {
    let Ok(text) = std::str::from_utf8(written) else { return };
    if text.is_ascii() {
        let name = text.trim().strip_suffix(":80").unwrap_or(text.trim()).to_ascii_lowercase();
        assert_eq!(name.strip_suffix('.').unwrap_or(&name), "good.example", "{text}");
    }
}

fn one_form(path: &UrlPath) {
    assert!(path.as_str().starts_with('/'));
    assert!(path.as_str().split('/').all(|segment| segment != ".."), "{path}");
    assert_eq!(UrlPath::parse(path.as_str()).as_ref(), Ok(path));
}
