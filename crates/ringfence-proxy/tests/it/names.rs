//! What is not one plain name or address is refused before anything is decided.

use crate::harness::permitting;

fn refused(request: impl AsRef<[u8]>, status: &str) -> String {
    let proxy = permitting(&["127.0.0.1:80", "127.0.0.1:443", "a.com:443", "a.com:80"]);
    let shown = String::from_utf8_lossy(request.as_ref()).into_owned();
    let (head, body) = proxy.ask(request);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {head}");
    assert_eq!(proxy.lookups.count(), 0, "{shown:?}");
    assert_eq!(proxy.decisions(), Vec::<String>::new(), "{shown:?}");
    body
}

#[test]
fn a_tunnel_to_something_that_is_not_a_plain_endpoint_is_refused_with_the_reason() {
    for (target, reason) in [
        ("user@a.com:443", "a user name in the address is not taken"),
        ("user:secret@a.com:443", "a user name in the address is not taken"),
        ("a.com:443@127.0.0.1:443", "a user name in the address is not taken"),
        ("2130706433:443", "is not a plain address"),
        ("0x7f000001:443", "is not a plain address"),
        ("0x7f.1:443", "is not a plain address"),
        ("0177.0.0.1:443", "is not a plain address"),
        ("127.1:443", "is not a plain address"),
        ("127.0.0.01:443", "is not a plain address"),
        ("1.2.3.4.5:443", "is not a plain address"),
        ("a..com:443", "is not a host name"),
        ("-a.com:443", "is not a host name"),
        ("a.com..:443", "is not a host name"),
        ("a.com:0", "is not a port"),
        ("a~b.com:443", "is not a host name"),
        ("a!b.com:443", "is not a host name"),
    ] {
        let body = refused(format!("CONNECT {target} HTTP/1.1\r\nHost: a.com\r\n\r\n"), "400");
        assert!(body.contains(reason), "{target}: {body:?}");
    }
    let long = "a.".repeat(130) + "com";
    refused(format!("CONNECT {long}:443 HTTP/1.1\r\nHost: a.com\r\n\r\n"), "400");
}

/// hyper refuses these while reading the request line, with an empty body.
#[test]
fn a_tunnel_to_something_that_no_uri_can_hold_is_refused() {
    for target in [
        &b"a.com\0.evil.org:443"[..],
        b"a.com\0:443",
        b"a.com\r:443",
        b"a.com\n:443",
        b"a.com\t:443",
        b"a.com\x7f:443",
        b"a.com\x0b:443",
        b"a\xc3\xa4.com:443",
        b"a%00b.com:443",
        b"a.com%0d%0aHost:%20b:443",
        b"a.com:443:443",
        b"a.com:65536",
        b"a.com:+443",
        b"[::1:443",
        b"[fe80::1%25eth0]:443",
        b"::1:443",
        b"a.com/:443",
        b"a.com:443/path",
        b"http://a.com:443/",
        b"a\\b.com:443",
        b"a com:443",
    ] {
        let request = [&b"CONNECT "[..], target, b" HTTP/1.1\r\nHost: a.com\r\n\r\n"].concat();
        refused(request, "400");
    }
}

#[test]
fn a_tunnel_without_a_port_is_refused() {
    refused("CONNECT a.com HTTP/1.1\r\nHost: a.com\r\n\r\n", "400");
    refused("CONNECT a.com: HTTP/1.1\r\nHost: a.com\r\n\r\n", "400");
}

#[test]
fn a_request_that_names_two_hosts_is_refused() {
    for host in [
        "Host: b.com\r\n",
        "Host: a.com:81\r\n",
        "Host: a.com.b.com\r\n",
        "Host: a.com\r\nHost: b.com\r\n",
        "Host: a.com\r\nHost: a.com\r\n",
        "Host: a.com, b.com\r\n",
        "Host: user@a.com\r\n",
        "Host: a.com:80:80\r\n",
        "Host: \r\n",
        "",
    ] {
        let body = refused(format!("GET http://a.com/ HTTP/1.1\r\n{host}\r\n"), "400");
        assert!(!body.is_empty(), "{host:?}");
    }
}

#[test]
fn an_address_that_is_not_plain_http_is_refused_with_the_reason() {
    for (target, reason) in [
        ("https://a.com/", "only `http:` is forwarded"),
        ("ftp://a.com/", "only `http:` is forwarded"),
        ("http://user@a.com/", "a user name in the address is not taken"),
        ("http://user:x@a.com:80/", "a user name in the address is not taken"),
        ("http://a.com:0/", "is not a port"),
        ("http://a.com:/", "is not a port"),
        ("http://0x7f.1/", "is not a plain address"),
        ("http://2130706433/", "is not a plain address"),
        ("/", "this is a proxy"),
        ("/index.html", "this is a proxy"),
        ("*", "this is a proxy"),
    ] {
        let body = refused(format!("GET {target} HTTP/1.1\r\nHost: a.com\r\n\r\n"), "400");
        assert!(body.contains(reason), "{target}: {body:?}");
    }
}

#[test]
fn a_head_without_end_is_cut_off() {
    let many = "X-A: b\r\n".repeat(200);
    refused(format!("GET http://a.com/ HTTP/1.1\r\nHost: a.com\r\n{many}\r\n"), "431");
    let long = "x".repeat(80 * 1024);
    refused(format!("GET http://a.com/ HTTP/1.1\r\nHost: a.com\r\nX: {long}\r\n\r\n"), "431");
    refused(format!("GET http://a.com/{long} HTTP/1.1\r\nHost: a.com\r\n\r\n"), "414");
}

#[test]
fn what_is_not_http_gets_nothing() {
    for bytes in ["\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let proxy = permitting(&["a.com:443"]);
        let mut client = proxy.client();
        client.send(bytes);
        let answer = client.rest().unwrap_or_default();
        let bare = answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 ");
        assert!(bare, "{bytes:?}: {}", String::from_utf8_lossy(&answer));
        assert_eq!(proxy.decisions(), Vec::<String>::new());
    }
}
