//! A message for a server, read as far as whoever carries it has to know it.

use std::collections::BTreeMap;

use hyper::header::{HeaderName, HeaderValue};

use super::super::super::frame::{Frame, Id, Kind, Members, Message, string};
use super::super::super::headers::{self, Repeated};
use super::super::traced;

/// A message, and what is sent and done beside it.
pub(super) struct Outgoing {
    pub(super) message: Message,
    /// Headers that say what it says; the error is for a person.
    pub(super) headers: Result<Vec<(HeaderName, HeaderValue)>, String>,
    pub(super) stands: Stands,
    /// The request that it cancels.
    pub(super) cancels: Option<Id>,
}

/// Where a request belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    InSession,
    /// Nowhere: it is of 2026-07-28. The end of its stream cancels it, and no stream is taken up again.
    Alone,
    /// The same, and its stream goes on until somebody ends it.
    Listening,
}

impl Outgoing {
    /// Reads a message; nothing where it is none. `repeated` says which arguments of tools are repeated as headers. What
    /// is large takes its time.
    pub(super) fn read(
        text: String,
        repeated: &BTreeMap<String, Vec<Repeated>>,
    ) -> Option<Outgoing> {
        let Ok(Frame::One(message)) = Frame::parse(text.into_bytes()) else { return None };
        let required = headers::required(&message, of_tool(&message, repeated));
        let stands = match message.kind() {
            _ if required.is_empty() => Stands::InSession,
            Kind::Request { method, .. } if method == "subscriptions/listen" => Stands::Listening,
            Kind::Request { .. } | Kind::Notification { .. } | Kind::Response { .. } => {
                Stands::Alone
            }
        };
        let line = |(name, value): (String, String)| {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            Ok((name, value))
        };
        let headers: Result<Vec<_>, String> = required.into_iter().map(line).collect();
        let headers = headers.map(|mut all| {
            let traced = traced::headers(&message).into_iter();
            all.extend(traced.map(|(name, value)| (HeaderName::from_static(name), value)));
            all
        });
        let cancels = cancelled(&message);
        Some(Outgoing { message, headers, stands, cancels })
    }
}

/// Which arguments of the tool that a message calls are repeated.
fn of_tool<'a>(message: &Message, repeated: &'a BTreeMap<String, Vec<Repeated>>) -> &'a [Repeated] {
    let Kind::Request { params: Some(params), .. } = message.kind() else { return &[] };
    let members = Members::of(message.part(params));
    let name = members.as_ref().and_then(|all| all.get("name")).and_then(string);
    let found = name.and_then(|name| repeated.get(&*name));
    found.map_or(&[], Vec::as_slice)
}

/// Which request a message cancels.
fn cancelled(message: &Message) -> Option<Id> {
    let Kind::Notification { method, params: Some(params) } = message.kind() else { return None };
    let of_it = method == "notifications/cancelled";
    let members = of_it.then(|| Members::of(message.part(params))).flatten();
    members?.get("requestId").and_then(Id::read)
}
