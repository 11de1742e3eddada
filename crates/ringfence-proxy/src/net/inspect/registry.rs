//! What the gate itself asks a registry: decided and recorded like a request of the client's.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use ringfence_core::{Act, Endpoint, HttpParts, HttpRequest};
use tokio::time::timeout;

use super::super::aws::Sent;
use super::super::reply::Refusal;
use super::super::secrets;
use super::account::Account;
use super::exchange::Exchange;
use crate::packages::LIST_BYTES_MAX;

/// How long a list may take to arrive, in seconds: the longest on a slow line.
const LIST_SECONDS_MAX: u64 = 120;

/// A request of the gate's own.
pub(super) struct Own<'a> {
    method: Method,
    target: &'a str,
    accept: Option<&'static str>,
}

/// What of a client's request is sent along with a request of the gate's own.
#[derive(Clone)]
pub(super) struct Along {
    endpoint: Endpoint,
    agent: Option<HeaderValue>,
    login: Option<HeaderValue>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl<'a> Own<'a> {
    /// Asks what is known of a file, without the file.
    pub(super) fn head(target: &'a str) -> Own<'a> {
        Own { method: Method::HEAD, target, accept: None }
    }

    /// Asks for a list.
    pub(super) fn list(target: &'a str, accept: Option<&'static str>) -> Own<'a> {
        Own { method: Method::GET, target, accept }
    }
}

impl Along {
    /// The client's name and its login, which is for that endpoint only.
    pub(super) fn with(endpoint: &Endpoint, headers: &HeaderMap) -> Along {
        Along {
            endpoint: endpoint.clone(),
            agent: headers.get(header::USER_AGENT).cloned(),
            login: headers.get(header::AUTHORIZATION).cloned(),
        }
    }
}

/// Asks the server at the other end of an exchange.
pub(super) async fn ask(
    exchange: &Exchange,
    own: Own<'_>,
    along: &Along,
) -> Result<Answer, Refusal> {
    let parts = HttpParts { method: own.method.as_str(), ..parts(own.target) };
    let http = HttpRequest::new(exchange.endpoint.clone(), exchange.scheme, parts)
        .map_err(|error| Refusal::Malformed(error.to_string()))?;
    let permit = exchange.port.permit(Act::Request(http), &exchange.who).await;
    let mut account =
        Account::open(&exchange.port, &exchange.who, permit.map_err(Refusal::Denied)?)?;
    let mut request = Request::new(());
    *request.method_mut() = own.method;
    *request.uri_mut() =
        own.target.parse().map_err(|_| Refusal::malformed("the address of a list"))?;
    let headers = request.headers_mut();
    let login = along.login.as_ref().filter(|_| along.endpoint == exchange.endpoint);
    for (name, value) in
        [(header::USER_AGENT, along.agent.as_ref()), (header::AUTHORIZATION, login)]
    {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(accept) = own.accept {
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    }
    let answered = async {
        let (who, place) = ((&exchange.port, &exchange.who), (&exchange.endpoint, exchange.scheme));
        let (head, ()) = request.into_parts();
        let (head, carries) = secrets::put_in(who, place, (head, Sent::Nothing)).await?;
        let request = Request::from_parts(head, account.outgoing(carries, None));
        let (response, _server) = exchange.send(request, false).await?;
        account.answered(response.status().as_u16());
        if response.status().as_u16() != 200 {
            return Err(Refusal::Unreachable(format!("the answer was {}", response.status())));
        }
        let (parts, body) = response.into_parts();
        let body = read(body).await.map_err(Refusal::Unreachable)?;
        account.passed((0, body.len() as u64));
        Ok(Answer { headers: parts.headers, body })
    };
    let answer = answered.await;
    if let Err(refusal) = &answer {
        account.refuse(refusal);
    }
    answer
}

/// A whole body that is not too large; the error is for a person.
pub(super) async fn read(mut body: Incoming) -> Result<Vec<u8>, String> {
    let reading = async {
        let mut read = Vec::new();
        while let Some(part) = part(&mut body).await? {
            if read.len().saturating_add(part.len()) > LIST_BYTES_MAX {
                return Err(format!("the list has more than {LIST_BYTES_MAX} bytes"));
            }
            read.extend_from_slice(&part);
        }
        Ok(read)
    };
    let wait = Duration::from_secs(LIST_SECONDS_MAX);
    timeout(wait, reading).await.unwrap_or_else(|_| Err("the list took too long".to_owned()))
}

/// At least so many bytes of a body, or all that there are.
pub(super) async fn first(body: &mut Incoming, least: usize) -> Result<Vec<u8>, String> {
    let mut first = Vec::new();
    while first.len() < least {
        match part(body).await? {
            Some(part) => first.extend_from_slice(&part),
            None => break,
        }
    }
    Ok(first)
}

async fn part(body: &mut Incoming) -> Result<Option<Bytes>, String> {
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        // Trailers are of no use without the body they belong to.
        if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// When a file was changed last, in milliseconds since the Unix epoch (RFC 9110, section 8.8.2).
pub(super) fn last_modified(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::LAST_MODIFIED)?.to_str().ok()?;
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

/// The type of an answer; empty where it says none.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// A request as it would be sent for a place.
pub(super) fn parts(target: &str) -> HttpParts<'_> {
    HttpParts { method: "GET", target, headers: &[], size: None }
}

/// A request's place: its path in canonical form, and its query.
pub(super) fn target(http: &HttpRequest) -> String {
    match http.query.as_str() {
        "" => http.path.to_string(),
        query => format!("{}?{query}", http.path),
    }
}
