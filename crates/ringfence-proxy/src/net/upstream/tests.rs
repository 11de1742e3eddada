use super::*;

fn proxies(variables: &[(&str, &str)]) -> HostProxies {
    let find = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    HostProxies::from_variables(find)
}

fn towards(proxies: &HostProxies, endpoint: &str) -> String {
    match proxies.towards(&endpoint.parse().unwrap()) {
        Ok(None) => "direct".to_owned(),
        Ok(Some(proxy)) => proxy.endpoint.to_string(),
        Err(error) => error,
    }
}

#[test]
fn the_port_tells_which_proxy_and_small_letters_win() {
    let found = proxies(&[
        ("HTTP_PROXY", "http://no.example:1"),
        ("http_proxy", "http://one.example:3128/"),
        ("HTTPS_PROXY", "two.example:3129"),
    ]);
    assert_eq!(towards(&found, "a.example:80"), "one.example:3128");
    assert_eq!(towards(&found, "a.example:443"), "two.example:3129");
    assert_eq!(towards(&found, "a.example:5432"), "two.example:3129");
    assert_eq!(towards(&proxies(&[]), "a.example:443"), "direct");
    let all = proxies(&[("ALL_PROXY", "http://all.example")]);
    assert_eq!(towards(&all, "a.example:443"), "all.example:80");
}

#[test]
fn what_is_excepted_or_on_this_host_is_reached_directly() {
    let found = proxies(&[
        ("ALL_PROXY", "http://p.example:1"),
        ("NO_PROXY", "internal.example, .corp.example *.lab.example,10.0.0.1,x.example:8080"),
    ]);
    for direct in [
        "internal.example:443",
        "a.internal.example:443",
        "git.corp.example:22",
        "corp.example:22",
        "a.lab.example:80",
        "10.0.0.1:80",
        "x.example:8080",
        "host.ringfence.internal:5432",
        "localhost:80",
        "127.0.0.1:80",
        "[::1]:80",
    ] {
        assert_eq!(towards(&found, direct), "direct", "{direct}");
    }
    for other in ["notinternal.example:443", "10.0.0.11:80", "x.example:80", "corp.example.com:80"]
    {
        assert_eq!(towards(&found, other), "p.example:1", "{other}");
    }
    let none = proxies(&[("ALL_PROXY", "http://p.example:1"), ("NO_PROXY", "*")]);
    assert_eq!(towards(&none, "a.example:443"), "direct");
}

#[test]
fn a_proxy_that_cannot_be_spoken_to_is_said_and_not_passed_by() {
    for (proxy, expected) in [
        ("socks5://p.example:1", "speaks `socks5`"),
        ("https://p.example:1", "speaks `https`"),
        ("http://", "not understood"),
        ("http://p.example:99999", "not understood"),
    ] {
        let said = towards(&proxies(&[("HTTPS_PROXY", proxy)]), "a.example:443");
        assert!(said.contains(expected), "{proxy}: {said}");
    }
}

#[test]
fn credentials_are_decoded_once_and_never_shown() {
    let found = proxies(&[("HTTPS_PROXY", "http://me:p%40ss@p.example:1")]);
    let endpoint = "a.example:443".parse().unwrap();
    let proxy = found.towards(&endpoint).unwrap().unwrap();
    assert_eq!(proxy.credentials.as_deref(), Some(STANDARD.encode("me:p@ss").as_str()));
    assert!(!format!("{found:?}").contains("p@ss") && !format!("{found:?}").contains("cEBzcw"));
}
