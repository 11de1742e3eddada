//! What is refused before any session hears of it: the answer, and what is told of it.

use hyper::{Response, StatusCode};

use super::super::super::frame::{Id, error_answer};
use super::super::super::middle::OddKind;
use super::reply::{Reply, json, plain};
use super::sessions::Sessions;

/// An answer that says no.
pub(super) struct Refusal {
    response: Box<Response<Reply>>,
    /// What was odd; none where it is not the client's doing.
    odd: Option<(OddKind, String)>,
}

impl Refusal {
    /// For how a request was sent.
    pub(super) fn of(status: StatusCode, kind: OddKind, why: &str) -> Refusal {
        let odd = Some((kind, why.to_owned()));
        Refusal { response: Box::new(plain(status, why)), odd }
    }

    /// For what a request is, which has this name where that can be told: an error of the protocol.
    pub(super) fn wrong((kind, code): (OddKind, i64), id: Option<&Id>, why: &str) -> Refusal {
        Refusal::with((kind, why), error_answer(id, code, why))
    }

    /// The same with an answer that is written already.
    pub(super) fn with((kind, why): (OddKind, &str), answer: String) -> Refusal {
        let response = Box::new(json(StatusCode::BAD_REQUEST, answer));
        Refusal { response, odd: Some((kind, why.to_owned())) }
    }

    /// The same with another status.
    pub(super) fn status(mut self, status: StatusCode) -> Refusal {
        *self.response.status_mut() = status;
        self
    }

    /// For what is not the client's doing.
    pub(super) fn ours(response: Response<Reply>) -> Refusal {
        Refusal { response: Box::new(response), odd: None }
    }

    /// The answer, of which is told whose it is where the session is there that the request names.
    pub(super) fn told(self, named: Option<&str>, sessions: &Sessions) -> Response<Reply> {
        if let Some((kind, what)) = &self.odd {
            match named.and_then(|name| sessions.find(name)) {
                Some(session) => session.hears.refused(*kind, what),
                None => sessions.opens.refused(*kind, what),
            }
        }
        *self.response
    }
}
