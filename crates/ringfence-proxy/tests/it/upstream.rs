//! Where the host itself needs a proxy.

use ringfence_proxy::net::upstream::HostProxies;

use crate::harness::{Setup, server};

#[test]
fn the_hosts_own_proxy_is_asked_by_name_and_looks_it_up_itself() {
    let (port, serving) = server(1, |mut client| {
        let asked = client.head();
        client.send("HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n");
        let request = client.head();
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        (asked, request)
    });
    let mut setup = Setup::permitting(&["a.example:8080"]);
    let proxy = format!("http://me:secret@127.0.0.1:{port}");
    setup.proxies =
        HostProxies::from_variables(|name| (name == "https_proxy").then(|| proxy.clone()));
    let proxy = setup.start();
    let mut client = proxy.tunnel("a.example:8080");
    client.send("GET /path HTTP/1.1\r\nHost: a.example:8080\r\n\r\n");
    assert_eq!(client.response().1, "hi");
    let (asked, request) = serving.join().unwrap().pop().unwrap();
    assert!(asked.starts_with("CONNECT a.example:8080 HTTP/1.1\r\nHost: a.example:8080\r\n"));
    assert!(asked.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n"), "{asked}");
    assert!(request.starts_with("GET /path HTTP/1.1\r\n"), "{request}");
    assert_eq!(proxy.lookups.count(), 0);
    // What is denied is not asked of it either.
    let (head, _) = proxy.ask("CONNECT b.example:8080 HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}

#[test]
fn a_refusal_of_the_hosts_own_proxy_is_passed_on_in_its_words() {
    let (port, _serving) = server(1, |mut client| {
        client.head();
        client.send("HTTP/1.1 407 Who are you\r\n\r\n");
    });
    let mut setup = Setup::permitting(&["a.example:443"]);
    let proxy = format!("127.0.0.1:{port}");
    setup.proxies =
        HostProxies::from_variables(|name| (name == "ALL_PROXY").then(|| proxy.clone()));
    let proxy = setup.start();
    let (head, body) = proxy.ask("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(body.contains("says `HTTP/1.1 407 Who are you`"), "{body}");
}
