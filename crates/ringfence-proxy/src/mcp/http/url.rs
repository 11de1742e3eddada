//! Where a server is, as its file says it: one reading only.

use std::fmt;
use std::str::FromStr;

use ringfence_core::{Endpoint, Scheme};

/// Longest address, in bytes.
const URL_BYTES_MAX: usize = 8 * 1024;

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its path and query, as they were written.
    pub target: String,
}

impl Url {
    /// What an address means that this server says, by itself or relative to its own; the error is for a person.
    /// It must be the same server's.
    pub fn join(&self, reference: &str) -> Result<Url, String> {
        let absolute = if reference.contains("://") {
            reference.to_owned()
        } else if reference.starts_with("//") {
            format!("{}:{reference}", self.scheme.as_str())
        } else if reference.starts_with('/') {
            format!("{}://{}{reference}", self.scheme.as_str(), self.endpoint)
        } else if let Some(query) = reference.strip_prefix('?') {
            let path = self.target.split('?').next().unwrap_or_default();
            format!("{}://{}{path}?{query}", self.scheme.as_str(), self.endpoint)
        } else {
            let path = self.target.split('?').next().unwrap_or_default();
            let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
            format!("{}://{}{dir}/{reference}", self.scheme.as_str(), self.endpoint)
        };
        let joined: Url = absolute.parse()?;
        if (joined.scheme, &joined.endpoint) != (self.scheme, &self.endpoint) {
            return Err(format!("`{joined}` is another server than `{self}`"));
        }
        Ok(joined)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Url, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("an address of more than {URL_BYTES_MAX} bytes"));
        }
        let odd = |byte: u8| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&byte);
        if text.bytes().any(odd) {
            return Err("the address has a letter that none has".to_owned());
        }
        let (scheme, rest) = text.split_once("://").ok_or("it is no address with `://`")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => {
                return Err(format!("servers are spoken to by `https` and `http`, not `{other}`"));
            }
        };
        if rest.contains('#') {
            return Err("an address with `#` is one of a place within something".to_owned());
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err("a login in an address would be in every log: use a header with a secret"
                .to_owned());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let usual = match scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
        };
        let with_port =
            if has_port { authority.to_owned() } else { format!("{authority}:{usual}") };
        let endpoint: Endpoint = with_port.parse().map_err(|error| format!("{error}"))?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Url { scheme, endpoint, target: format!("{slash}{target}") })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.endpoint, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_reading_or_none() {
        let read = |text: &str| text.parse::<Url>().map(|url| url.to_string());
        assert_eq!(read("https://Mcp.Example.com/mcp").unwrap(), "https://mcp.example.com:443/mcp");
        assert_eq!(read("http://127.0.0.1:3001").unwrap(), "http://127.0.0.1:3001/");
        assert_eq!(read("http://[::1]?a=b").unwrap(), "http://[::1]:80/?a=b");
        for wrong in [
            "mcp.example.com/mcp",
            "ftp://example.com/",
            "https://user:password@example.com/",
            "https://example.com/#x",
            "https://example.com\\@evil.com/",
            "https://0x7f.1/",
            "https://example.com:0/",
            "https:///mcp",
            "https://exa mple.com/",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_server_names_is_its_own() {
        let url: Url = "https://example.com/a/sse?x".parse().unwrap();
        let join = |text: &str| url.join(text).map(|url| url.target);
        assert_eq!(join("/message?sessionId=1").unwrap(), "/message?sessionId=1");
        assert_eq!(join("message").unwrap(), "/a/message");
        assert_eq!(join("?s=1").unwrap(), "/a/sse?s=1");
        assert_eq!(join("https://example.com/m").unwrap(), "/m");
        for wrong in [
            "//evil.com/m",
            "https://evil.com/m",
            "http://example.com/m",
            "https://example.com:8443/m",
        ] {
            assert!(join(wrong).is_err(), "{wrong}");
        }
    }
}
