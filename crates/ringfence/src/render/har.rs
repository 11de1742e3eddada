//! A session's requests and connections as an HTTP archive (HAR 1.2), for programs that read those.
//!
//! What is not recorded is said by the format's own means: -1, and comments.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;

use ringfence_core::{
    Act, Answer, Carried, Entry, Event, HttpRequest, HttpUsage, NetUsage, Outcome, Request, Scheme,
    SessionId, Verdict,
};
use ringfence_runtime::wording::rule_line;
use serde_json::{Value, json};

use super::text::rfc3339;

/// Said of the whole archive.
const COMMENT: &str = "Made from the log of a session. Bodies, values of headers and of query \
    fields, cookies and versions of HTTP are not recorded. Requests are here where each one was \
    decided; every other connection is one entry with the method CONNECT, its bytes as bodies.";
/// What stands for a value that is not recorded.
const UNRECORDED: &str = "not recorded";
/// The version of HTTP, which the log does not have.
const HTTP_VERSION: &str = "unknown";

/// The archive of a session's entries, which come in the order of the log.
pub fn archive<I>(session: &SessionId, entries: I) -> Value
where
    I: IntoIterator<Item = (u64, Entry)>,
{
    let mut builder = Builder::default();
    entries.into_iter().for_each(|(index, entry)| builder.take(index, entry));
    let entries = builder.entries(session);
    json!({ "log": {
        "version": "1.2",
        "creator": { "name": "Ringfence", "version": env!("CARGO_PKG_VERSION") },
        "entries": entries,
        "comment": COMMENT,
    }})
}

/// What became of an act.
enum Fate {
    /// It was permitted; the outcome comes with another entry.
    Permitted,
    /// It was denied, for this reason.
    Denied(String),
    /// It was asked about; the answer, if any.
    Asked(String, Option<Answer>),
    /// A request that was answered, or failed.
    Request(HttpUsage),
    /// A connection that ended.
    Connection(NetUsage),
    /// It was an address that a name led to: the connection to the name says the rest.
    Address,
    /// It failed.
    Failed(String),
}

/// One act on the network.
struct Seen {
    at_ms: u64,
    request: Request,
    fate: Fate,
}

#[derive(Default)]
struct Builder {
    /// By the index of the decision.
    seen: BTreeMap<u64, Seen>,
}

impl Builder {
    fn take(&mut self, index: u64, entry: Entry) {
        let Entry { at_ms, event } = entry;
        match event {
            Event::Decided { request, verdict, grounds, .. } => {
                if !matches!(request.act, Act::Request(_) | Act::Connect(_)) {
                    return;
                }
                let fate = match verdict {
                    Verdict::Permit => Fate::Permitted,
                    Verdict::Ask(_) => Fate::Asked(rule_line(&grounds), None),
                    Verdict::Deny => Fate::Denied(rule_line(&grounds)),
                };
                self.seen.insert(index, Seen { at_ms, request, fate });
            }
            Event::Answered { of, answer, .. } => {
                if let Some(Seen { fate: Fate::Asked(_, given), .. }) = self.seen.get_mut(&of) {
                    *given = Some(answer);
                }
            }
            Event::Finished { of, outcome } => {
                if let Some(seen) = self.seen.get_mut(&of) {
                    seen.end(outcome);
                }
            }
            Event::SessionOpened { .. }
            | Event::Refused { .. }
            | Event::FilesRead(_)
            | Event::SecretMisused(_)
            | Event::OddMessage(_)
            | Event::ClientCame(_)
            | Event::Lease(_)
            | Event::Arrived { .. }
            | Event::Asked { .. }
            | Event::ProcessExited { .. }
            | Event::Granted { .. }
            | Event::Revoked { .. }
            | Event::PolicyReloaded { .. }
            | Event::Quarantined { .. }
            | Event::TakenBack(_)
            | Event::Reviewed(_)
            | Event::Covered { .. }
            | Event::LimitReached { .. }
            | Event::SessionClosed { .. }
            | Event::LogOpened { .. }
            | Event::LogClosed { .. } => {}
        }
    }

    fn entries(&self, session: &SessionId) -> Vec<Value> {
        let requests = self.seen.values().filter_map(Seen::http);
        let inspected = requests.map(|http| (http.endpoint.to_string(), http.scheme)).collect();
        let shown = self.seen.iter().filter(|(_, seen)| seen.stands_for_itself(&inspected));
        shown.map(|(index, seen)| self.entry(session, *index, seen)).collect()
    }

    fn entry(&self, session: &SessionId, index: u64, seen: &Seen) -> Value {
        let (status, words, comment) = seen.answer();
        let (sent, received, duration_ms) = seen.sizes();
        let mut entry = json!({
            "startedDateTime": rfc3339(seen.at_ms),
            "time": duration_ms,
            "request": seen.asked(sent),
            "response": {
                "status": status,
                "statusText": words,
                "httpVersion": HTTP_VERSION,
                "cookies": [],
                "headers": [],
                "content": {
                    "size": received,
                    "mimeType": "",
                    "comment": UNRECORDED,
                },
                "redirectURL": "",
                "headersSize": -1,
                "bodySize": received,
            },
            "cache": {},
            "timings": {
                "blocked": -1, "dns": -1, "connect": -1, "ssl": -1,
                "send": 0, "wait": duration_ms, "receive": 0,
                "comment": "only the sum is recorded",
            },
            "comment": comment,
            "_ringfence": {
                "entry": format!("{session}/{index}"),
                "agent": seen.request.agent,
                "process": seen.request.process,
                "findings": seen.findings(),
                "package": seen.http().and_then(|http| http.package.as_ref()),
            },
        });
        if let (Some(address), Some(entry)) = (self.address_of(seen), entry.as_object_mut()) {
            entry.insert("serverIPAddress".to_owned(), json!(address));
        }
        entry
    }

    /// The one address that was dialled for an endpoint; of several, nobody knows which it was.
    fn address_of(&self, seen: &Seen) -> Option<String> {
        let Some(http) = seen.http() else { return seen.address() };
        if matches!(seen.fate, Fate::Denied(_) | Fate::Asked(..)) {
            return None;
        }
        let wanted = &http.endpoint;
        let same = |it: &&Seen| matches!(&it.request.act, Act::Connect(to) if to == wanted);
        let all = self.seen.values().filter(same);
        let addresses: BTreeSet<String> = all.filter_map(Seen::address).collect();
        let mut addresses = addresses.into_iter();
        addresses.next().filter(|_| addresses.next().is_none())
    }
}

impl Seen {
    fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Request(usage) => self.fate = Fate::Request(usage),
            Outcome::Connection(usage) => self.fate = Fate::Connection(usage),
            Outcome::Failed { error } | Outcome::Mismatch { found: error } => {
                self.fate = Fate::Failed(error);
            }
            Outcome::Done => self.fate = Fate::Address,
            Outcome::Tool(_) | Outcome::NotMade { .. } | Outcome::Unknown => {}
        }
    }

    /// Not what was approved, which is decided once more; nor a connection whose requests are here.
    fn stands_for_itself(&self, inspected: &HashSet<(String, Scheme)>) -> bool {
        let carried = match &self.fate {
            Fate::Asked(_, answer) => return *answer != Some(Answer::Approved),
            Fate::Address => return false,
            Fate::Connection(usage) if usage.error.is_none() => usage.carried,
            Fate::Permitted
            | Fate::Denied(_)
            | Fate::Request(_)
            | Fate::Connection(_)
            | Fate::Failed(_) => None,
        };
        let scheme = match carried {
            Some(Carried::Opened) => Scheme::Https,
            Some(Carried::Http) => Scheme::Http,
            Some(Carried::Tls | Carried::Other) | None => return true,
        };
        !inspected.contains(&(self.request.act.resource(), scheme))
    }

    fn http(&self) -> Option<&HttpRequest> {
        if let Act::Request(http) = &self.request.act { Some(http) } else { None }
    }

    /// What detectors said, and why it was refused, where it was.
    fn findings(&self) -> Option<Vec<String>> {
        let found = self.http()?.findings.iter().cloned();
        let refused = match &self.fate {
            Fate::Request(HttpUsage { refused: Some(_), error, .. }) => error.clone(),
            Fate::Denied(rule) => Some(format!("denied: {rule}")),
            Fate::Asked(rule, _) => Some(format!("not approved: {rule}")),
            Fate::Permitted
            | Fate::Request(_)
            | Fate::Connection(_)
            | Fate::Address
            | Fate::Failed(_) => None,
        };
        Some(found.chain(refused).collect())
    }

    fn address(&self) -> Option<String> {
        let Fate::Connection(usage) = &self.fate else { return None };
        let address = usage.address.as_deref()?;
        Some(address.parse().map_or_else(
            |_| address.to_owned(),
            |address: SocketAddr| address.ip().to_canonical().to_string(),
        ))
    }

    /// Bytes sent, bytes received (-1 where that is not known), and the time it took.
    fn sizes(&self) -> (i64, i64, u64) {
        let size = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        match &self.fate {
            Fate::Request(usage) => {
                (size(usage.bytes_sent), size(usage.bytes_received), usage.duration_ms)
            }
            Fate::Connection(usage) => {
                (size(usage.bytes_sent), size(usage.bytes_received), usage.duration_ms)
            }
            Fate::Permitted
            | Fate::Denied(_)
            | Fate::Asked(..)
            | Fate::Address
            | Fate::Failed(_) => (-1, -1, 0),
        }
    }

    fn asked(&self, sent: i64) -> Value {
        let http = self.http();
        let (method, url) = http.map_or_else(
            || ("CONNECT", format!("tcp://{}", self.request.act.resource())),
            |http| (http.method.as_str(), address(http)),
        );
        let named = |name: &String| json!({ "name": name, "value": "", "comment": UNRECORDED });
        let all = |names: &BTreeSet<String>| names.iter().map(named).collect::<Vec<_>>();
        json!({
            "method": method,
            "url": url,
            "httpVersion": HTTP_VERSION,
            "cookies": [],
            "headers": http.map_or_else(Vec::new, |http| all(&http.headers)),
            "queryString": http.map_or_else(Vec::new, |http| all(&http.query_names)),
            "headersSize": -1,
            "bodySize": sent,
        })
    }

    /// The status, its words, and what else there is to say.
    fn answer(&self) -> (u16, &'static str, String) {
        let failed = |why: &str| (0, "", format!("failed: {why}"));
        match &self.fate {
            Fate::Request(HttpUsage { status: Some(status), error: None, .. }) => {
                (*status, "", String::new())
            }
            Fate::Request(HttpUsage { status: Some(status), error: Some(error), .. }) => {
                (*status, "", format!("failed: {error}"))
            }
            Fate::Request(HttpUsage { refused: Some(status), error, .. }) => {
                let why = error.as_deref().unwrap_or("no reason is recorded");
                (*status, words(*status), format!("refused: {why}"))
            }
            Fate::Request(usage) => failed(usage.error.as_deref().unwrap_or("there is no answer")),
            Fate::Connection(NetUsage { error: Some(error), .. }) | Fate::Failed(error) => {
                failed(error)
            }
            Fate::Connection(usage) => (200, "", carried(usage.carried).to_owned()),
            Fate::Permitted | Fate::Address => (0, "", "permitted; no end is recorded".to_owned()),
            Fate::Denied(rule) => (403, "Forbidden", format!("denied, and not sent: {rule}")),
            Fate::Asked(rule, _) => {
                (403, "Forbidden", format!("asked about and not approved, not sent: {rule}"))
            }
        }
    }
}

/// The words of a status that the gate answers with itself.
fn words(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        _ => "",
    }
}

fn carried(how: Option<Carried>) -> &'static str {
    match how {
        Some(Carried::Tls) => "a connection: TLS, untouched",
        Some(Carried::Opened) => "a connection: TLS, opened; no request was sent",
        Some(Carried::Http) => "a connection: HTTP, request by request, undecided",
        Some(Carried::Other) => "a connection: something that names no host, untouched",
        None => "a connection: nothing was said",
    }
}

/// A request's address as a URI (RFC 3986): what was decoded for the policy is encoded again.
fn address(http: &HttpRequest) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}[]".contains(&byte);
    let url = http.url();
    let origin = url.strip_suffix(http.path.as_str()).unwrap_or(&url);
    http.path.as_str().bytes().fold(origin.to_owned(), |mut url, byte| {
        if plain(byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
        url
    })
}
