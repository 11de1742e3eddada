//! What rules have looked through (`@redact`, `@block`): a request before its server has it, an answer before its
//! client does. A body that is not long is held back until all of it has come, so that what may not pass is answered
//! with words; of a longer one, or of one that goes on, the rest is looked through as it comes, and cut off.

mod begun;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use ringfence_core::{Endpoint, Handling, Request, Scheme};
use ringfence_secrets::held::{make_readable, scrub_head, unreadable};
use tokio::time::{Instant, timeout_at};

use super::super::aws::{Room, Sent, reserve};
use super::super::broken::{Side, ended};
use super::super::content::{
    self, Blocked, Closed, Declared, Form, Passing, Rules, SNIFF_BYTES, Tally, Way,
};
use super::super::live::Client;
use super::super::open::Port;
use super::super::reply::Refusal;
use super::super::secrets::{self, Carries, Scrubbing};
use super::account::Account;
use super::answered::{Answered, Rest};
use super::looking::{Looking, Of};
use super::server::Server;
pub(crate) use begun::Begun;

/// Longest body that is held back until all of it has come, in bytes.
const WHOLE_BYTES_MAX: usize = 1024 * 1024;
/// How long is waited for all of it, in milliseconds; what does not end by then is looked through as it comes.
const WHOLE_WAIT_MS: u64 = 5_000;

/// What tells one state of a body from another, and how long it is: not so of one that was changed.
const STATES: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::ETAG,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("x-goog-hash"),
];

impl Port {
    /// What is looked for in what passes one way with a request.
    fn rules(&self, handling: &Handling, way: Way) -> Result<Rules, Refusal> {
        let inspect = self.config.inspect.ok_or_else(|| {
            Refusal::Blocked(
                "a rule has it looked through, and nothing here can do that".to_owned(),
            )
        })?;
        let stand_ins = Arc::new(self.config.held.stand_ins());
        Ok(Rules::new(handling.clone(), inspect, stand_ins, way))
    }

    /// Tells of something that a rule does not let pass; what the client is told.
    pub(super) fn blocked(&self, request: &Request, reason: String) -> Refusal {
        self.tell_failed(request, &reason);
        Refusal::Blocked(reason)
    }
}

/// A permitted request, looked through where rules say so, with the values of its secrets in it.
pub(super) async fn put_together(
    (port, who): (&Arc<Port>, &Client),
    place: (&Endpoint, Scheme),
    account: &mut Account,
    (mut head, body): (Parts, Sent),
) -> Result<(Parts, Carries, Option<Box<Looking>>), Refusal> {
    let (body, looking, room) = request(port, account, (&mut head, body)).await?;
    let (head, mut carries) = secrets::put_in((port, who), place, (head, body)).await?;
    match (&mut carries.room, room) {
        (Some(of_signature), Some(room)) => of_signature.merge(room),
        (none, room) => *none = none.take().or(room),
    }
    Ok((head, carries, looking))
}

/// Looks through a request, as far as it is held back; its body, and what looks through the rest.
async fn request(
    port: &Arc<Port>,
    account: &mut Account,
    (head, body): (&mut Parts, Sent),
) -> Result<(Sent, Option<Box<Looking>>, Option<Room>), Refusal> {
    let Some((handling, asked)) = account.handling().cloned() else {
        return Ok((body, None, None));
    };
    let rules = port.rules(&handling, Way::Out)?;
    if head.headers.contains_key(header::UPGRADE) {
        let reason = "a rule has what passes looked through, which is not done with a websocket";
        return Err(port.blocked(&asked, reason.to_owned()));
    }
    if !is_signed(&head.headers) {
        make_readable(head);
    }
    if !rules.blocks() {
        return Ok((body, None, None));
    }
    // Names go as they were looked at: in small letters.
    head.extensions.clear();
    let mut tally = Tally::default();
    let looked = content::out_headers(&rules, &head.headers, &mut tally)
        .map_err(|blocked| not_sent("a header", &blocked))
        .and_then(|()| {
            let target = content::out_target(&rules, &head.uri, &mut tally);
            target.map_err(|blocked| not_sent("the address", &blocked))
        });
    let looked = match looked {
        Ok(()) => body_of_request((port, &rules), &mut tally, (&head.headers, body)).await,
        Err(reason) => Err(reason),
    };
    account.found(&tally);
    let checked = looked.map_err(|reason| port.blocked(&asked, reason))?;
    let of = Of { port: Arc::clone(port), request: asked };
    let looking = |form| Box::new(Looking::new(rules, (form, Way::Out), of));
    Ok((checked.body, checked.form.map(looking), checked.room))
}

/// The body of a request once it was looked at.
struct Checked {
    body: Sent,
    /// The form in which it is still to be looked through.
    form: Option<Form>,
    /// What of memory it takes.
    room: Option<Room>,
}

impl Checked {
    fn all(body: Sent) -> Checked {
        Checked { body, form: None, room: None }
    }
}

/// Looks through the body of a request, as far as it is held back; why it may not be sent.
async fn body_of_request(
    (port, rules): (&Port, &Rules),
    tally: &mut Tally,
    (headers, body): (&HeaderMap, Sent),
) -> Result<Checked, String> {
    let (bytes, rest, room) = match body {
        Sent::Nothing | Sent::Begun(_) => return Ok(Checked::all(body)),
        Sent::Whole(bytes) => (bytes.unwrap_or_default(), None, None),
        Sent::Streams(body) if body.is_end_stream() => {
            return Ok(Checked::all(Sent::Streams(body)));
        }
        Sent::Streams(mut body) => {
            let length = body.size_hint().exact().and_then(|it| usize::try_from(it).ok());
            let most = length.map_or(WHOLE_BYTES_MAX, |length| length.min(WHOLE_BYTES_MAX));
            let room = reserve(&port.bodies, most).await?;
            let read = read_request(&mut body).await?;
            let rest = read.goes_on().then_some(body);
            (Bytes::from(read.bytes), rest, Some(room))
        }
    };
    let form =
        form_of(headers, &bytes).map_err(|why| format!("the request was not sent: {why}"))?;
    if let Some(rest) = rest {
        // What streams on is not kept.
        let body = Sent::Begun(Begun::new(bytes, rest));
        return Ok(Checked { body, form: Some(form), room: None });
    }
    let mut passing = Passing::new(rules.clone(), form);
    let looked = passing.whole(bytes.to_vec());
    tally.add(passing.tally());
    looked.map_err(|blocked| not_sent("its body", &blocked))?;
    Ok(Checked { body: Sent::Whole(Some(bytes)), form: None, room })
}

/// What a body is that has to be looked through; why it cannot be.
fn form_of(headers: &HeaderMap, first: &[u8]) -> Result<Form, String> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).into_iter();
    if let Some(encoded) = codings.find(|it| !it.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let encoded = String::from_utf8_lossy(encoded.as_bytes()).into_owned();
        return Err(format!("it is encoded as `{encoded}`, and cannot be looked through"));
    }
    let form = content::form(content::declared(headers), first);
    form.map_err(|closed| format!("{closed}, and cannot be looked through"))
}

pub(super) fn not_sent(place: &str, blocked: &Blocked) -> String {
    format!("the request was not sent: {blocked}, in {place}, and a rule does not let it out")
}

/// Whether a header that is changed would make a signature wrong.
fn is_signed(headers: &HeaderMap) -> bool {
    let mut all = headers.get_all(header::AUTHORIZATION).into_iter();
    all.any(|value| value.as_bytes().starts_with(b"AWS4-"))
}

/// What is for the client of an answer that rules have looked through.
pub(super) async fn answer(
    port: &Arc<Port>,
    (handling, asked): (Handling, Request),
    (method, response): (Method, Response<Incoming>),
    (mut account, server, scrubbing): (Account, Arc<Server>, Option<Scrubbing>),
) -> Result<Response<Answered>, Refusal> {
    let of = Of { port: Arc::clone(port), request: asked };
    let come = Come { of, method, server, scrubbing };
    match come.looked_through(&handling, response, &mut account).await {
        Ok((parts, body, (begun, rest), come)) => {
            let answered = Answered::new(body, (account, come.server), come.scrubbing);
            Ok(Response::from_parts(parts, answered.behind(begun, rest)))
        }
        Err(refusal) => {
            account.refuse(&refusal);
            Err(refusal)
        }
    }
}

/// A list that is whole, looked through.
pub(super) fn list(
    port: &Port,
    account: &mut Account,
    (headers, body): (&mut HeaderMap, Vec<u8>),
) -> Result<Vec<u8>, Refusal> {
    let Some((handling, asked)) = account.handling().cloned() else { return Ok(body) };
    let rules = port.rules(&handling, Way::In)?;
    let form = match content::declared(headers) {
        Declared::Text(form) => form,
        Declared::Other
        | Declared::OtherLetters
        | Declared::NoParts
        | Declared::Message
        | Declared::Encoded => Form::Text,
    };
    let mut tally = Tally::default();
    let head = content::in_headers(&rules, headers, &mut tally);
    let mut passing = Passing::new(rules, form);
    let body = head.and_then(|()| passing.whole(body));
    tally.add(passing.tally());
    account.found(&tally);
    body.map_err(|blocked| port.blocked(&asked, not_passed(&blocked)))
}

/// An answer that has come as far as its head.
struct Come {
    of: Of,
    method: Method,
    server: Arc<Server>,
    scrubbing: Option<Scrubbing>,
}

/// What was read of an answer and has been looked at, and what is done with the rest.
type Behind = ((Vec<u8>, Option<Room>), Rest);

type Through = (hyper::http::response::Parts, Incoming, Behind, Come);

impl Come {
    async fn looked_through(
        mut self,
        handling: &Handling,
        response: Response<Incoming>,
        account: &mut Account,
    ) -> Result<Through, Refusal> {
        let rules = self.of.port.rules(handling, Way::In)?;
        let (mut parts, mut body) = response.into_parts();
        // Names go as they are looked at, in small letters, and no words beside the status.
        parts.extensions.clear();
        let mut tally = Tally::default();
        let head = content::in_headers(&rules, &mut parts.headers, &mut tally);
        account.found(&tally);
        head.map_err(|blocked| self.of.blocked(&blocked))?;
        let declared = content::declared(&parts.headers);
        let has_none =
            account.first.is_none() && (self.method == Method::HEAD || body.is_end_stream());
        if has_none {
            if self.method == Method::HEAD && matches!(declared, Declared::Text(_)) {
                forget_states(&mut parts.headers);
            }
            return Ok((parts, body, ((Vec::new(), None), Rest::Streams), self));
        }
        let is_part = parts.status == StatusCode::PARTIAL_CONTENT;
        let part = is_part.then(|| "the answer is a part, although all was asked for".to_owned());
        if let Some(why) = unreadable(&parts.headers).or(part) {
            return Err(self.of.refused(format!("a rule has the answer looked through: {why}")));
        }
        let most = most_held(&rules, declared, &body);
        let room = reserve(&self.of.port.bodies, most).await.map_err(Refusal::Unreachable)?;
        let read = self.read(&mut body, account, most).await?;
        let form = match self.form(&rules, declared, &read.bytes)? {
            Ok(form) => form,
            Err(why) => {
                account.unlooked(why);
                let rest = match read.end {
                    End::NotYet => Rest::Streams,
                    End::Reached(trailers) => Rest::Ended(trailers),
                };
                return Ok((parts, body, ((read.bytes, Some(room)), rest), self));
            }
        };
        let (begun, rest) = self.pass((rules, form), read, &mut parts.headers, account)?;
        // What streams on is not kept.
        let room = Some(room).filter(|_| matches!(rest, Rest::Ended(_)));
        Ok((parts, body, ((begun, room), rest), self))
    }

    /// What a body is; why it is passed on without being looked through, or why it is not passed on.
    fn form(
        &self,
        rules: &Rules,
        declared: Declared,
        first: &[u8],
    ) -> Result<Result<Form, String>, Refusal> {
        match content::form(declared, first) {
            Ok(form) => Ok(Ok(form)),
            // What is to be taken out is, as far as it is written plainly.
            Err(Closed::Message | Closed::Encoded) if !rules.blocks() => {
                self.form(rules, Declared::Other, first)
            }
            Err(Closed::NoText) if !rules.blocks() => Ok(Err(Closed::NoText.to_string())),
            Err(closed) => {
                let reason = format!("a rule has the answer looked through, and {closed}");
                Err(self.of.refused(reason))
            }
        }
    }

    /// What goes on of what was read, and what becomes of the rest.
    fn pass(
        &mut self,
        (rules, form): (Rules, Form),
        read: Read,
        headers: &mut HeaderMap,
        account: &mut Account,
    ) -> Result<(Vec<u8>, Rest), Refusal> {
        let of = Of { port: Arc::clone(&self.of.port), request: self.of.request.clone() };
        let End::Reached(mut trailers) = read.end else {
            forget_states(headers);
            let mut looking = Looking::new(rules, (form, Way::In), of);
            let begun = looking.push(&read.bytes).map_err(|blocked| {
                account.found(looking.tally());
                self.of.blocked(&blocked)
            })?;
            return Ok((begun, Rest::LookedThrough(Box::new(looking))));
        };
        let mut passing = Passing::new(rules.clone(), form);
        let looked = passing.whole(read.bytes.clone());
        let mut tally = passing.tally().clone();
        let looked = looked.and_then(|clean| {
            let trailers = trailers.as_mut();
            trailers.map_or(Ok(()), |it| content::in_headers(&rules, it, &mut tally))?;
            Ok(clean)
        });
        account.found(&tally);
        let clean = looked.map_err(|blocked| self.of.blocked(&blocked))?;
        if clean != read.bytes {
            forget_states(headers);
        }
        Ok((clean, Rest::Ended(trailers)))
    }

    /// Takes a piece of a body, without values of secrets.
    fn take(&mut self, data: &[u8], read: &mut Read, account: &mut Account) {
        account.received(data.len() as u64);
        match &mut self.scrubbing {
            Some(scrubbing) => read.bytes.extend(scrubbing.push(data)),
            None => read.bytes.extend_from_slice(data),
        }
    }

    /// Reads a body to its end, or as far as is held back.
    async fn read(
        &mut self,
        body: &mut Incoming,
        account: &mut Account,
        most: usize,
    ) -> Result<Read, Refusal> {
        let until = Instant::now() + Duration::from_millis(WHOLE_WAIT_MS);
        let mut read = Read::default();
        if let Some(first) = account.first.take() {
            self.take(&first, &mut read, account);
        }
        while read.bytes.len() < most && read.goes_on() {
            let Ok(frame) = timeout_at(until, next(body)).await else { break };
            let frame = frame.transpose().map_err(|error| {
                let reason = ended(Side::Server, &error);
                self.server.failed(&reason);
                Refusal::Unreachable(reason)
            })?;
            match frame.map(Frame::into_data) {
                Some(Ok(data)) => self.take(&data, &mut read, account),
                Some(Err(other)) => {
                    let mut trailers = other.into_trailers().unwrap_or_default();
                    if let Some(scrubbing) = &self.scrubbing {
                        scrub_head(&mut trailers, &scrubbing.patterns());
                    }
                    read.end = End::Reached(Some(trailers));
                }
                None => read.end = End::Reached(None),
            }
        }
        if let (End::Reached(_), Some(scrubbing)) = (&read.end, &mut self.scrubbing) {
            read.bytes.extend(scrubbing.finish());
            self.scrubbing = None;
        }
        Ok(read)
    }
}

pub(super) fn not_passed(blocked: &Blocked) -> String {
    format!("the answer was not passed on: {blocked}, and a rule does not let it in")
}

/// What was read of a body; with its end where it has come, and trailers where it has some.
#[derive(Default)]
struct Read {
    bytes: Vec<u8>,
    end: End,
}

/// Whether a body has come to its end.
#[derive(Default)]
enum End {
    #[default]
    NotYet,
    Reached(Option<HeaderMap>),
}

impl Read {
    fn goes_on(&self) -> bool {
        matches!(self.end, End::NotYet)
    }
}

/// The same of a request; the error is for a person.
async fn read_request(body: &mut Incoming) -> Result<Read, String> {
    let until = Instant::now() + Duration::from_millis(WHOLE_WAIT_MS);
    let mut read = Read::default();
    while read.bytes.len() < WHOLE_BYTES_MAX && read.goes_on() {
        let Ok(frame) = timeout_at(until, next(body)).await else { break };
        let broke_off = |error: hyper::Error| ended(Side::Client, &error);
        match frame.transpose().map_err(broke_off)?.map(Frame::into_data) {
            Some(Ok(data)) => read.bytes.extend_from_slice(&data),
            Some(Err(_)) => {
                return Err("the request was not sent: it has trailers, and a rule has it looked \
                            through"
                    .to_owned());
            }
            None => read.end = End::Reached(None),
        }
    }
    Ok(read)
}

async fn next(body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// How much of an answer is held back at most: all of one that is not long, and of one that may be, where it may not
/// pass at all. Events are passed on as they come.
fn most_held(rules: &Rules, declared: Declared, body: &Incoming) -> usize {
    let length = body.size_hint().exact().map(|it| usize::try_from(it).unwrap_or(usize::MAX));
    match (declared, length) {
        (Declared::Text(Form::Events), _) => 1,
        // One more, so that its end is seen.
        (_, Some(length)) if length <= WHOLE_BYTES_MAX => length.saturating_add(1),
        (_, None) if rules.blocks() => WHOLE_BYTES_MAX,
        (Declared::Text(_), _) => 1,
        (
            Declared::Other
            | Declared::OtherLetters
            | Declared::NoParts
            | Declared::Message
            | Declared::Encoded,
            _,
        ) => SNIFF_BYTES,
    }
}

/// Takes out of a head what was said of a body that is another one now.
fn forget_states(headers: &mut HeaderMap) {
    for name in &STATES {
        headers.remove(name);
    }
    let sums = headers.keys().filter(|name| name.as_str().starts_with("x-amz-checksum-"));
    for name in sums.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}
