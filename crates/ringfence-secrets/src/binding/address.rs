//! Whole addresses, written where only a host can be meant.

use super::BindingError;

/// What to write in place of `https://HOST/PATH`.
pub(super) fn instead_of(text: &str) -> BindingError {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let port = if scheme == "http" && !host.contains(':') { ":80" } else { "" };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = if path.is_empty() {
        String::new()
    } else {
        format!(", and its path, if it matters, with `--path /{path}`")
    };
    BindingError::Address { given: text.to_owned(), host: format!("{host}{port}"), path }
}
