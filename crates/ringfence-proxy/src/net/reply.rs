//! What the gate itself answers, and the body that carries an upstream's answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use ringfence_core::{Act, Denial, HttpRequest};

use super::DenialText;
use super::forward::Upstream;
use super::inspect::{Answered, Cut};

/// Marks an answer of the gate's own that is a denial.
pub(super) const DENIED_HEADER: &str = "x-ringfence-denied";

const HEAD_TOO_LARGE: &str = "the head of the request is too large";

/// Why a request gets no connection.
pub(super) enum Refusal {
    /// It cannot be understood in one way only.
    Malformed(String),
    /// Its head exceeds the limit.
    HeadTooLarge,
    /// It is for another host than its connection was decided for.
    Misdirected(String),
    /// What stands in for a secret is where it may not be; recorded already.
    Misused(String),
    /// What it means for the rules on releases cannot be told.
    Unclear(String),
    /// It, or its answer, has in it what a rule lets nobody pass on.
    Blocked(String),
    /// The policy says no.
    Denied(Denial),
    /// The policy permits the name, but not the special address it leads to.
    AddressDenied {
        /// The answer on the address.
        denial: Denial,
        /// What the name leads to, for a person.
        leads_to: String,
    },
    /// It was permitted and did not come about.
    Unreachable(String),
    /// It was permitted, and the client did not send all of it.
    BrokenOff(String),
}

impl Refusal {
    pub(super) fn malformed(reason: &str) -> Refusal {
        Refusal::Malformed(reason.to_owned())
    }

    /// Why, in a line, for the account of the connection.
    pub(super) fn reason(&self) -> String {
        match self {
            Refusal::Malformed(reason)
            | Refusal::Misdirected(reason)
            | Refusal::Misused(reason)
            | Refusal::Unclear(reason)
            | Refusal::Blocked(reason)
            | Refusal::Unreachable(reason)
            | Refusal::BrokenOff(reason) => reason.clone(),
            Refusal::HeadTooLarge => HEAD_TOO_LARGE.to_owned(),
            Refusal::Denied(denial) => format!("{} was denied", denial.request.act.resource()),
            Refusal::AddressDenied { leads_to, .. } => format!("{leads_to}, which was denied"),
        }
    }

    /// The status of the answer for the client.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed(_) | Refusal::BrokenOff(_) => StatusCode::BAD_REQUEST,
            Refusal::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Refusal::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Refusal::Misused(_)
            | Refusal::Unclear(_)
            | Refusal::Blocked(_)
            | Refusal::Denied(_)
            | Refusal::AddressDenied { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// Why it is refused before any rule was asked; `None` where one was, or where it is recorded.
    pub(super) fn undecided(&self) -> Option<String> {
        match self {
            Refusal::Malformed(_)
            | Refusal::HeadTooLarge
            | Refusal::Misdirected(_)
            | Refusal::Unclear(_) => Some(self.reason()),
            Refusal::Misused(_)
            | Refusal::Blocked(_)
            | Refusal::Denied(_)
            | Refusal::AddressDenied { .. }
            | Refusal::Unreachable(_)
            | Refusal::BrokenOff(_) => None,
        }
    }

    /// The answer for the client.
    pub(super) fn into_reply(self, text: &DenialText) -> Response<Reply> {
        let status = self.status();
        match self {
            Refusal::Malformed(reason)
            | Refusal::BrokenOff(reason)
            | Refusal::Unreachable(reason) => plain(status, reason),
            Refusal::HeadTooLarge => plain(status, HEAD_TOO_LARGE.to_owned()),
            Refusal::Misdirected(reason) => {
                let mut response = plain(status, reason);
                // Whoever tries that may try to hide a request behind another.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                response
            }
            Refusal::Misused(reason) => {
                let mut response = plain(status, reason);
                response.headers_mut().insert(DENIED_HEADER, HeaderValue::from_static("1"));
                response
            }
            Refusal::Unclear(reason) | Refusal::Blocked(reason) => {
                forbidden(&reason, reason.clone())
            }
            Refusal::Denied(denial) => denied(&denial, text(&denial)),
            Refusal::AddressDenied { denial, leads_to } => {
                denied(&denial, format!("{leads_to}\n{}", text(&denial)))
            }
        }
    }
}

/// An answer's body.
pub(super) enum Reply {
    /// The gate's own words; `None` once sent.
    Text(Option<Bytes>),
    /// The upstream's, frame by frame as they come.
    Streamed {
        /// The frames.
        body: Incoming,
        /// The connection they come over, where it carries nothing else.
        upstream: Option<Upstream>,
    },
    /// The answer to a request that was decided.
    Inspected(Box<Answered>),
}

impl Reply {
    pub(super) fn empty() -> Reply {
        Reply::Text(None)
    }

    /// The upstream's body, over a connection that others keep.
    pub(super) fn streamed(body: Incoming) -> Reply {
        Reply::Streamed { body, upstream: None }
    }

    /// The same over a connection that ends with it.
    pub(super) fn over(self, connection: Upstream) -> Reply {
        match self {
            Reply::Text(_) | Reply::Inspected(_) => self,
            Reply::Streamed { body, .. } => Reply::Streamed { body, upstream: Some(connection) },
        }
    }
}

fn denied(denial: &Denial, text: String) -> Response<Reply> {
    forbidden(&phrase(denial), text)
}

/// What is denied, in a line: most programs show no more of an answer.
fn phrase(denial: &Denial) -> String {
    let resource = denial.request.act.resource();
    let Act::Request(HttpRequest { package: Some(package), .. }) = &denial.request.act else {
        return resource;
    };
    let reason = denial.grounds.rules.first().and_then(|rule| rule.reason.as_deref());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{package}{reason}")
}

fn forbidden(phrase: &str, text: String) -> Response<Reply> {
    let mut response = plain(StatusCode::FORBIDDEN, text);
    // Of a refused CONNECT most clients show the status line only.
    let phrase = format!("Denied by Ringfence: {phrase}");
    let phrase: String = phrase.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    if let Ok(phrase) = ReasonPhrase::try_from(phrase) {
        response.extensions_mut().insert(phrase);
    }
    response.headers_mut().insert(DENIED_HEADER, HeaderValue::from_static("1"));
    response
}

fn plain(status: StatusCode, mut text: String) -> Response<Reply> {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut response = Response::new(Reply::Text(Some(Bytes::from(text))));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Reply::Text(text) => Poll::Ready(text.take().map(|bytes| Ok(Frame::data(bytes)))),
            Reply::Streamed { body, upstream } => {
                let polled = Pin::new(body).poll_frame(context);
                if let (Poll::Ready(Some(Err(error))), Some(upstream)) = (&polled, upstream) {
                    upstream.failed(error);
                }
                polled.map_err(Cut::from)
            }
            Reply::Inspected(answered) => Pin::new(answered.as_mut()).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Text(text) => text.is_none(),
            Reply::Streamed { body, .. } => body.is_end_stream(),
            Reply::Inspected(answered) => answered.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Streamed { body, .. } => body.size_hint(),
            Reply::Inspected(answered) => answered.size_hint(),
        }
    }
}
