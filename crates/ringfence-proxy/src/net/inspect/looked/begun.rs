//! The body of a request whose beginning has been read, so that it is known how all of it is looked through.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body as _, Bytes, Frame, Incoming};

/// It streams on; what looks through all of it as it is sent has been made with it. Nothing but its parent can make
/// one.
pub(crate) struct Begun {
    /// `None` once that is sent.
    first: Option<Bytes>,
    rest: Incoming,
}

impl Begun {
    pub(super) fn new(first: Bytes, rest: Incoming) -> Begun {
        Begun { first: Some(first), rest }
    }

    /// Whether the client has nothing more to send of it, and all that it sent is on its way.
    pub(crate) fn is_read(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    /// What was read of it, and the rest.
    pub(crate) fn apart(self) -> (Bytes, Incoming) {
        (self.first.unwrap_or_default(), self.rest)
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}
