//! Who may speak to us: the holder of the token, and nobody who was led here by a name that means something else.

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};

use crate::net::header;

/// Shortest token that is taken, in bytes.
pub const TOKEN_BYTES_MIN: usize = 32;

/// What requests are held against.
pub struct Guard {
    token: Vec<u8>,
    /// `HOST:PORT` as clients write it, in small letters.
    hosts: Vec<String>,
    /// Origins besides those of this host.
    origins: Vec<String>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is for another host, or comes from a page of one: DNS rebinding.
    Elsewhere(&'static str),
    /// It has no token.
    Unknown,
    /// It has another token than ours.
    Wrong,
}

impl Guard {
    /// One for who has this token and calls us by one of these names; the error says what is wrong with the token.
    pub fn new(token: &str, hosts: Vec<String>, origins: Vec<String>) -> Result<Guard, String> {
        let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.len() < TOKEN_BYTES_MIN || !is_plain {
            return Err(format!("a token is {TOKEN_BYTES_MIN} letters or more of ASCII"));
        }
        let small = |all: Vec<String>| all.iter().map(|it| it.to_ascii_lowercase()).collect();
        Ok(Guard { token: token.into(), hosts: small(hosts), origins: small(origins) })
    }

    /// Whether a request with this target and this head is answered.
    pub fn check(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let host = header(headers, HOST.as_str()).map(str::to_ascii_lowercase);
        if !host.is_some_and(|host| self.hosts.contains(&host)) {
            return Err(Refused::Elsewhere("the `Host` is not this one"));
        }
        // Where the target names a host that one counts (RFC 9112, section 3.2.2), and a login in it is part of the name.
        let named = target.authority().map(|it| it.as_str().to_ascii_lowercase());
        if named.is_some_and(|named| !self.hosts.contains(&named)) {
            return Err(Refused::Elsewhere("the request is for another host than its `Host` says"));
        }
        if headers.contains_key(ORIGIN) {
            let origin = header(headers, ORIGIN.as_str()).map(str::to_ascii_lowercase);
            let known = |it: String| self.origins.contains(&it) || is_of_this_host(&it);
            if !origin.is_some_and(known) {
                return Err(Refused::Elsewhere("the `Origin` is a page of somebody else"));
            }
        }
        let given = header(headers, AUTHORIZATION.as_str()).unwrap_or_default();
        let (kind, token) = given.split_once(' ').unwrap_or_default();
        let token = token.trim();
        if !kind.eq_ignore_ascii_case("bearer") || token.is_empty() {
            return Err(Refused::Unknown);
        }
        if same(token.as_bytes(), &self.token) { Ok(()) } else { Err(Refused::Wrong) }
    }
}

/// Whether an origin is a page that this host serves.
fn is_of_this_host(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit()) => {
            host
        }
        Some(_) | None => authority,
    };
    matches!(scheme, "http" | "https") && matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Whether two are the same, in a time that depends on their length alone.
fn same(left: &[u8], right: &[u8]) -> bool {
    let differ = left.iter().zip(right).fold(0, |differ, (left, right)| differ | (left ^ right));
    left.len() == right.len() && std::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn check(headers: &[(&str, &str)]) -> Result<(), Refused> {
        check_at("/mcp", headers)
    }

    fn check_at(target: &str, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let guard = Guard::new(
            TOKEN,
            vec!["127.0.0.1:80".to_owned()],
            vec!["https://app.example".to_owned()],
        );
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = hyper::header::HeaderName::try_from(*name).unwrap();
            all.append(name, HeaderValue::from_str(value).unwrap());
        }
        guard.unwrap().check(&target.parse().unwrap(), &all)
    }

    #[test]
    fn who_has_the_token_and_means_us_is_answered() {
        let (host, token) = (("host", "127.0.0.1:80"), format!("Bearer {TOKEN}"));
        let login = ("authorization", token.as_str());
        for origin in
            ["http://localhost:5173", "https://127.0.0.1", "http://[::1]:1", "https://App.example"]
        {
            assert_eq!(check(&[host, login, ("origin", origin)]), Ok(()), "{origin}");
        }
        assert_eq!(check(&[host, login]), Ok(()));
        for wrong in [
            "http://evil.example",
            "null",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example:80",
            "http://localhost:80:80",
            "http://localhost:evil",
            "file://localhost",
            "",
        ] {
            let refused = check(&[host, login, ("origin", wrong)]);
            assert!(matches!(refused, Err(Refused::Elsewhere(_))), "{wrong}");
        }
        for wrong in ["evil.example", "127.0.0.1", "127.0.0.1:81", "localhost:80", ""] {
            let refused = check(&[("host", wrong), login]);
            assert!(matches!(refused, Err(Refused::Elsewhere(_))), "{wrong}");
        }
        assert!(matches!(check(&[login]), Err(Refused::Elsewhere(_))));
        assert!(matches!(check(&[host, host, login]), Err(Refused::Elsewhere(_))));
        let two = ("origin", "http://localhost");
        assert!(matches!(check(&[host, login, two, two]), Err(Refused::Elsewhere(_))));
        for none in ["", "Bearer", "Bearer ", "Basic 0123456789abcdef0123456789abcdef", TOKEN] {
            assert_eq!(check(&[host, ("authorization", none)]), Err(Refused::Unknown), "{none}");
        }
        for wrong in ["Bearer x", "bearer 0123456789abcdef0123456789abcdeF"] {
            assert_eq!(check(&[host, ("authorization", wrong)]), Err(Refused::Wrong), "{wrong}");
        }
        assert_eq!(check(&[host]), Err(Refused::Unknown));
        assert_eq!(check(&[host, login, login]), Err(Refused::Unknown));
        assert!(Guard::new("short", Vec::new(), Vec::new()).is_err());
    }

    #[test]
    fn a_target_that_names_another_host_than_this_is_refused() {
        let (host, token) = (("host", "127.0.0.1:80"), format!("Bearer {TOKEN}"));
        let head = [host, ("authorization", token.as_str())];
        for same in ["http://127.0.0.1:80/mcp", "127.0.0.1:80", "*", "/mcp?http://evil.example/"] {
            assert_eq!(check_at(same, &head), Ok(()), "{same}");
        }
        for other in [
            "http://evil.example/mcp",
            "http://evil.example:80/mcp",
            "https://evil.example/mcp",
            "http://127.0.0.1/mcp",
            "http://127.0.0.1:81/mcp",
            "http://evil@127.0.0.1:80/mcp",
            "http://127.0.0.1:80@evil.example/mcp",
            "http://localhost:80/mcp",
            "evil.example:80",
        ] {
            let refused = check_at(other, &head);
            assert!(matches!(refused, Err(Refused::Elsewhere(_))), "{other}");
        }
    }
}
