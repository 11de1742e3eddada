//! Whom a text of addresses sends mail to, by domain.

use ringfence_core::{Endpoint, Host};

/// Longest text of addresses, in bytes.
pub const ADDRESSES_BYTES_MAX: usize = 16 * 1024;
/// Most addresses in one text.
const ADDRESSES_MAX: usize = 500;

/// The domains of all addresses in a text, in the spelling that is looked up. What can be read in two ways has
/// none: `a@x, b@y` and `A <a@x>` have one reading; comments, quoted names with an address in them, routes and
/// quoted local parts are read otherwise by every program.
pub fn domains(text: &str) -> Result<Vec<String>, String> {
    if text.len() > ADDRESSES_BYTES_MAX {
        return Err(format!("it is longer than {ADDRESSES_BYTES_MAX} bytes"));
    }
    // The last are signs that some take for `@`, `,` or `<`, and letters that nobody sees.
    let odd = |letter: char| {
        letter.is_control()
            || "()\\\":%!`|[]?".contains(letter)
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(letter, '\u{feff}' | '\u{fe50}'..='\u{fe6f}' | '\u{ff00}'..='\u{ffef}')
    };
    // A word in `=?..?=` is another one to whoever decodes it (RFC 2047), with commas and addresses in it.
    if text.contains(odd) {
        return Err(
            "addresses with quotation marks, comments, groups, routes or encoded words have \
                    two readings"
                .to_owned(),
        );
    }
    let one = |part: &str| domain(part.trim());
    let all: Vec<&str> = text.split([',', ';']).filter(|part| !part.trim().is_empty()).collect();
    if all.is_empty() || all.len() > ADDRESSES_MAX {
        return Err("it is no address of mail".to_owned());
    }
    all.into_iter().map(one).collect()
}

fn domain(text: &str) -> Result<String, String> {
    let wrong = || format!("`{}` is no address of mail", text.escape_debug());
    let bare = match text.split_once('<') {
        Some((name, rest)) => {
            // Some programs send to what stands in the name.
            let rest = rest.strip_suffix('>').ok_or_else(wrong)?;
            if name.contains(['@', '>']) {
                return Err(wrong());
            }
            rest
        }
        None => text,
    };
    let (local, domain) = bare.split_once('@').ok_or_else(wrong)?;
    let plain = |letter: char| letter.is_alphanumeric() || "#$&'*+-/=^_{}~.".contains(letter);
    // It would be an option to the program that sends it.
    if local.is_empty()
        || local.starts_with('-')
        || !local.chars().all(plain)
        || domain.contains(['@', '[', ' '])
    {
        return Err(wrong());
    }
    // The standards of 2003 and of 2008 make two domains of one with these letters.
    if domain.contains(['\u{df}', '\u{1e9e}', '\u{3c2}', '\u{200c}', '\u{200d}']) {
        return Err(wrong());
    }
    // A port makes an endpoint of it, so that it is read as every host is.
    let endpoint: Endpoint = format!("{domain}:25").parse().map_err(|error| format!("{error}"))?;
    match endpoint.host {
        Host::Name(name) => Ok(name),
        Host::Address(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_known_by_their_domains() {
        for (text, expected) in [
            ("a@Example.COM", vec!["example.com"]),
            ("A B <a.b+c@example.com>", vec!["example.com"]),
            (
                "a@x.example, B <b@y.example>; c@z.example.",
                vec!["x.example", "y.example", "z.example"],
            ),
            ("a@b\u{fc}cher.example", vec!["xn--bcher-kva.example"]),
            ("o'neil@example.com", vec!["example.com"]),
        ] {
            assert_eq!(domains(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_has_two_readings_is_no_address() {
        for text in [
            "",
            ",",
            "a",
            "@x.example",
            "a@",
            "a@b@c",
            "a@x.example@y.example",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "\"a@x.example\"@y.example",
            "\"a\" <a@x.example>",
            "a(b)@x.example",
            "a@x.example(c)",
            "a@x.example <b@y.example>",
            "A <a@x.example> <b@y.example>",
            "<a@x.example> b@y.example",
            "group: a@x.example",
            "a@x.example\nbcc: b@y.example",
            "a%y.example@x.example",
            "y.example!a@x.example",
            "<@y.example:a@x.example>",
            "a b@x.example",
            "a@x example",
            "a@-x.example",
            "a@x..example",
            "a\\@b@c",
            "a|b@x.example",
            "a@x.example>",
            "=?utf-8?q?b=40evil.com=2C?=a@example.com",
            "=?utf-8?b?YkBldmlsLmNvbSw=?= <a@example.com>",
            "A =?x?= <a@example.com>",
            "a@example.com, =?utf-8?q?x?=",
            "\"b@evil.com,\"a@example.com",
            "b@evil.com(,a@example.com)",
            "all: b@evil.com, a@example.com;",
            "<@evil.com,@b:a@example.com>",
            "mailto:a@example.com",
            "a@example.com?cc=b",
            "a?bcc=b@example.com",
            "-Xlog@example.com",
            "b\u{ff20}evil.com\u{ff0c} <a@example.com>",
            "b\u{fe6b}evil.com a@example.com",
            "a\u{200b}@example.com",
            "a@example.com\u{2028}b@evil.com",
            "a@fa\u{df}.example",
            "a@[IPv6:::1]",
            "a@example.com\r\nBcc: b@evil.com",
        ] {
            assert!(domains(text).is_err(), "{text:?}");
        }
    }
}
