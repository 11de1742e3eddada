//! Names of a session and its spans for OpenTelemetry, and for the programs of its world.
//!
//! They follow from the log alone (SHA-256 of the session's name and an entry's index), so that they
//! are the same whenever and wherever they are shown, and nothing has to be kept beside the log.

use std::fmt::Write as _;

use ringfence_core::SessionId;
use sha2::{Digest as _, Sha256};

/// Bytes of a trace id (W3C Trace Context, section 3.2.2.3).
const TRACE_BYTES: usize = 16;

/// Bytes of a span id (section 3.2.2.4).
const SPAN_BYTES: usize = 8;

/// The trace of a session, as 32 hexadecimal digits.
pub fn trace_id(session: &SessionId) -> String {
    hex(&[b"ringfence trace\0", session.as_str().as_bytes()], TRACE_BYTES)
}

/// The span that begins with an entry, as 16 hexadecimal digits.
pub fn span_id(session: &SessionId, entry: u64) -> String {
    let parts: [&[u8]; 4] =
        [b"ringfence span\0", session.as_str().as_bytes(), b"\0", &entry.to_be_bytes()];
    hex(&parts, SPAN_BYTES)
}

/// The span that stands for the session itself: its first entry's.
pub fn session_span_id(session: &SessionId) -> String {
    span_id(session, 0)
}

/// What tells the world's programs of the trace: the value of `TRACEPARENT`, whose last flag says
/// that it is recorded.
pub fn traceparent(session: &SessionId) -> String {
    format!("00-{}-{}-01", trace_id(session), session_span_id(session))
}

/// The first bytes of a digest; zeros alone would be no id (one in 2^64 is).
fn hex(parts: &[&[u8]], bytes: usize) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().iter().take(bytes).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_follow_from_the_log_and_differ_by_session_and_entry() {
        let (one, other): (SessionId, SessionId) =
            ("sabcdefgh".parse().unwrap(), "sabcdefgi".parse().unwrap());
        assert_eq!(trace_id(&one), trace_id(&one));
        assert_ne!(trace_id(&one), trace_id(&other));
        assert_ne!(span_id(&one, 1), span_id(&one, 2));
        assert_ne!(span_id(&one, 1), span_id(&other, 1));
    }

    #[test]
    fn the_parent_of_the_worlds_traces_has_the_form_of_the_standard() {
        let text = traceparent(&"sabcdefgh".parse().unwrap());
        let parts: Vec<&str> = text.split('-').collect();
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        assert_eq!(lengths, [2, 32, 16, 2]);
        assert!(text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()));
        assert!(!text.bytes().any(|byte| byte.is_ascii_uppercase()));
    }
}
