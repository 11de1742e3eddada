use proptest::prelude::*;

use crate::*;

fn parse(method: &str, target: &str) -> Result<HttpRequest, HttpError> {
    let endpoint = "api.example.com:443".parse().unwrap();
    let parts = HttpParts { method, target, headers: &["Accept", "X-Key"], size: None };
    HttpRequest::new(endpoint, Scheme::Https, parts)
}

/// How a target is read, and how else, where it has two readings.
fn read(target: &str) -> (String, Option<String>) {
    let request = parse("GET", target).unwrap();
    let other = request.other_reading().map(|other| other.path.to_string());
    (request.path.to_string(), other)
}

#[test]
fn a_path_with_one_meaning_has_one_form() {
    for (target, path) in [
        ("/", "/"),
        ("/repos/acme/x", "/repos/acme/x"),
        ("/%72epos/%61cme?x=%2e%2e", "/repos/acme"),
        ("/a/", "/a/"),
        ("/%C3%A9t%C3%A9", "/été"),
        ("/a%20b", "/a b"),
        ("/...", "/..."),
        ("/a:b@c!$&'()*+,=~", "/a:b@c!$&'()*+,=~"),
    ] {
        assert_eq!(read(target), (path.to_owned(), None), "{target}");
    }
}

#[test]
fn a_path_with_two_readings_has_both() {
    for (target, one, other) in [
        ("/@acme%2fpkg", "/@acme%2Fpkg", "/@acme/pkg"),
        ("/admin%2Fusers", "/admin%2Fusers", "/admin/users"),
        ("//admin///users/", "//admin///users/", "/admin/users/"),
        ("/admin;v=1/users;a", "/admin;v=1/users;a", "/admin/users"),
        ("/admin%3bx", "/admin%3Bx", "/admin"),
        ("/a%3Fb%23c", "/a%3Fb%23c", "/a?b#c"),
        ("/100%25", "/100%25", "/100%"),
        // As apt asks for flat archives.
        ("/deb/./Packages", "/deb/./Packages", "/deb/Packages"),
        ("/a/%2e/b", "/a/./b", "/a/b"),
        ("/./admin/.", "/./admin/.", "/admin/"),
        ("/admin/.;x/;y", "/admin/.;x/;y", "/admin/"),
        ("/.", "/.", "/"),
    ] {
        assert_eq!(read(target), (one.to_owned(), Some(other.to_owned())), "{target}");
    }
}

#[test]
fn what_servers_read_in_different_ways_is_refused() {
    for target in [
        "/a/../b",
        "/./..",
        "/a/.%3b/../b",
        "/..",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e",
        "/a%2f..%2fb",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/..%3b/b",
        "/a%2f%2e%2e",
        "/a\\b",
        "/a%5cb",
        "/a%00",
        "/a%0a",
        "/a%0d%0ab",
        "/a%7f",
        "/a\u{1}",
        "/a%252e%252e/b",
        "/a%252fb",
        "/a%255c",
        "/a%2500",
        "/a%25253b",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/a%ff",
        "/a%c0%af",
        "/a#b",
        "a/b",
        "",
        "*",
        "http://x/",
    ] {
        assert!(parse("GET", target).is_err(), "{target:?}");
    }
}

#[test]
fn methods_are_words_in_capital_letters() {
    for method in ["GET", "M-SEARCH", "PROPFIND"] {
        assert_eq!(parse(method, "/").unwrap().method, method);
    }
    for method in ["", "get", "Delete", "GET ", "G\nT", "GET\0", "É", &"A".repeat(33)] {
        assert!(parse(method, "/").is_err(), "{method:?}");
    }
}

#[test]
fn a_header_that_says_that_something_else_is_meant_is_refused() {
    for name in ["X-HTTP-Method-Override", "x-method-override", "X-Original-URL"] {
        let endpoint = "a.example:443".parse().unwrap();
        let parts = HttpParts { method: "POST", target: "/", headers: &[name], size: None };
        let refused = HttpRequest::new(endpoint, Scheme::Https, parts);
        assert_eq!(refused, Err(HttpError::Override(name.to_ascii_lowercase())));
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let long = |count: usize| format!("/{}", "a".repeat(count));
    assert!(parse("GET", &long(URL_PATH_BYTES_MAX - 1)).is_ok());
    assert!(parse("GET", &long(URL_PATH_BYTES_MAX)).is_err());
    assert!(parse("GET", &format!("/?{}", "a".repeat(QUERY_BYTES_MAX))).is_ok());
    assert!(parse("GET", &format!("/?{}", "a".repeat(QUERY_BYTES_MAX + 1))).is_err());
}

#[test]
fn the_fields_of_a_query_are_decoded_and_their_values_are_not_recorded() {
    let request =
        parse("GET", "/x?key=s%20e+c&SECRETTOKEN&to%6ben=hunter2&a%26b=1&=v&a=1").unwrap();
    let fields: Vec<String> = request.query.fields().into_iter().collect();
    assert_eq!(fields, ["=v", "SECRETTOKEN", "a&b=1", "a=1", "key=s e c", "token=hunter2"]);
    let recorded = serde_json::to_string(&request).unwrap();
    assert!(recorded.contains(r#""query_names":["...","a","key"]"#), "{recorded}");
    for value in ["SECRET", "hunter2", "s%20e"] {
        assert!(!recorded.contains(value), "{recorded}");
        assert!(!format!("{request:?}").contains(value));
    }
    let again: HttpRequest = serde_json::from_str(&recorded).unwrap();
    assert_eq!((again.path, again.headers), (request.path, request.headers));
}

#[test]
fn an_approval_of_one_query_is_none_of_another() {
    let digest = |target: &str| Act::Request(parse("GET", target).unwrap()).digest("p");
    assert_ne!(digest("/x?a=1"), digest("/x?a=2"));
    assert_ne!(digest("/x?a=1"), digest("/x"));
    assert_eq!(digest("/x?a=1"), digest("/%78?a=1"));
}

#[test]
fn an_address_is_shown_without_its_query() {
    assert_eq!(parse("GET", "/a?key=v").unwrap().url(), "https://api.example.com/a");
    let endpoint = "[::1]:8080".parse().unwrap();
    let parts = HttpParts { method: "GET", target: "/a", headers: &[], size: None };
    let plain = HttpRequest::new(endpoint, Scheme::Http, parts).unwrap();
    assert_eq!(plain.url(), "http://[::1]:8080/a");
}

proptest! {
    #[test]
    fn a_canonical_path_is_its_own_form(text in "/([a.;/\\\\%é]|%2[0-9a-fA-F]|%[0-9a-f]{2}|//){0,12}") {
        let Ok(path) = UrlPath::parse(&text) else { return Ok(()) };
        prop_assert_eq!(UrlPath::parse(path.as_str()), Ok(path.clone()), "{}", text);
        prop_assert!(path.as_str().split('/').all(|segment| segment != ".."));
    }
}
