//! Conversations that ended early, in plain words: which side ended what.

use std::error::Error;

use super::secrets::Stopped;

/// One of the two that the gate stands between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A program of the world.
    Client,
    /// Whom it speaks to.
    Server,
}

/// Why HTTP with one side ended; a body that could not be passed on to it is the other one's.
pub(super) fn ended(with: Side, error: &hyper::Error) -> String {
    let (here, there) = match with {
        Side::Client => ("the client", "the server"),
        Side::Server => ("the server", "the client"),
    };
    if error.is_user() {
        if caused_by::<Stopped>(error) {
            return "the request was stopped: its body is not what may go on".to_owned();
        }
        return format!("{there} broke off in the middle of a body: {}", innermost(error));
    }
    if error.is_timeout() {
        return format!("{here} took too long to send a request");
    }
    if error.is_parse() {
        return format!("{here} does not speak HTTP as it should: {}", innermost(error));
    }
    if error.is_incomplete_message() || error.is_closed() {
        return format!("{here} broke off in the middle of a message");
    }
    format!("{here} broke off: {}", innermost(error))
}

/// The same of a server that was spoken to without TLS, and had said so many bytes.
pub(super) fn ended_plainly(error: &hyper::Error, received: u64) -> String {
    let reason = ended(Side::Server, error);
    let mute = received == 0 && !error.is_user() && !error.is_timeout();
    if mute || error.is_parse() {
        return format!("{reason}; it may speak TLS, so that `https:` is meant, or another port");
    }
    reason
}

fn caused_by<E: Error + 'static>(error: &hyper::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        if cause.is::<E>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// What is behind an error that only says where it was met.
fn innermost(error: &hyper::Error) -> String {
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
