//! Where a request stands in a trace, as HTTP says it (W3C Trace Context): headers of a client count as if the request's
//! `_meta` said the same, and a server behind an address is told in both places.

use hyper::header::{HeaderMap, HeaderValue};
use ringfence_core::TraceContext;

use super::super::edit;
use super::super::frame::{Frame, Kind, Members, Message, quoted, string};
use crate::net::header;

/// Headers, and keys of `_meta`.
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Longest `tracestate` that is taken, in bytes: W3C Trace Context, section 3.3.1.5, asks for as much.
const STATE_BYTES_MAX: usize = 512;

/// What the headers of a request change in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// Nothing either: `_meta` says something else, and counts.
    Otherwise,
    /// This is the request with what they say.
    So(Frame),
}

/// What headers say of a request whose `_meta` says nothing.
pub(super) fn said(headers: &HeaderMap, frame: &Frame) -> Said {
    let Some(parent) = header(headers, PARENT) else { return Said::Nothing };
    let Frame::One(message) = frame else { return Said::Nothing };
    let Kind::Request { params, .. } = message.kind() else { return Said::Nothing };
    let raw = params.as_ref().map(|at| message.part(at));
    let meta = raw.and_then(Members::of).and_then(|all| Members::of(all.get("_meta")?));
    match meta.as_ref().and_then(|meta| meta.get(PARENT)) {
        Some(own) if string(own).as_deref() == Some(parent) => return Said::Nothing,
        Some(_) => return Said::Otherwise,
        None => {}
    }
    if parent.parse::<TraceContext>().is_err() {
        // Whoever reads one that is none begins a trace of its own.
        return Said::Nothing;
    }
    let state: Vec<&str> =
        headers.get_all(STATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let state = Some(state.join(",")).filter(|it| !it.is_empty() && it.len() <= STATE_BYTES_MAX);
    let changes = [(PARENT, Some(quoted(parent))), (STATE, state.map(|it| quoted(&it)))];
    let new = edit::within(raw, "_meta", &changes);
    let text = match params {
        Some(at) => message.with(vec![(at.clone(), &new)]),
        None => edit::object(Some(message.text()), &[("params", Some(new))]),
    };
    Frame::parse(text.into_bytes()).map_or(Said::Nothing, Said::So)
}

/// The headers of a request that say what its `_meta` says.
pub(super) fn headers(message: &Message) -> Vec<(&'static str, HeaderValue)> {
    let Kind::Request { params: Some(at), .. } = message.kind() else { return Vec::new() };
    // Most say nothing of it.
    let raw = Some(message.part(at)).filter(|raw| raw.contains(PARENT));
    let meta = raw.and_then(Members::of).and_then(|all| Members::of(all.get("_meta")?));
    let Some(meta) = meta else { return Vec::new() };
    let value = |name| HeaderValue::from_str(&string(meta.get(name)?)?).ok();
    // One says nothing without the other.
    let Some(parent) = value(PARENT) else { return Vec::new() };
    let state = value(STATE).map(|state| (STATE, state));
    std::iter::once((PARENT, parent)).chain(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b8-01";

    fn frame(params: &str) -> Frame {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call"{params}}}"#);
        Frame::parse(text.into_bytes()).unwrap()
    }

    fn with(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn headers_count_where_the_request_itself_says_nothing() {
        let both = with(&[(PARENT, ONE), (STATE, "a=1"), (STATE, "b=2")]);
        let meta = format!(r#""_meta":{{"traceparent":"{ONE}","tracestate":"a=1,b=2"}}"#);
        for (params, wanted) in [
            (String::new(), format!(r#","params":{{{meta}}}"#)),
            (r#","params":{"name":"a"}"#.to_owned(), format!(r#","params":{{"name":"a",{meta}}}"#)),
            // Without the place it belongs to it is somebody else's.
            (r#","params":{"_meta":{"tracestate":"c=3"}}"#.to_owned(), {
                let meta = format!(r#"{{"tracestate":"a=1,b=2","traceparent":"{ONE}"}}"#);
                format!(r#","params":{{"_meta":{meta}}}"#)
            }),
        ] {
            let Said::So(frame) = said(&both, &frame(&params)) else { panic!("{params}") };
            assert_eq!(frame, self::frame(&wanted), "{params}");
        }
    }

    #[test]
    fn what_the_request_itself_says_counts() {
        let params = format!(r#","params":{{"_meta":{{"traceparent":"{ONE}"}}}}"#);
        assert_eq!(said(&with(&[(PARENT, ONE)]), &frame(&params)), Said::Nothing);
        assert_eq!(said(&with(&[(PARENT, OTHER)]), &frame(&params)), Said::Otherwise);
    }

    #[test]
    fn headers_that_are_no_trace_say_nothing() {
        for lines in [
            &[(PARENT, "00-1-2-01")][..],
            &[(PARENT, ONE), (PARENT, OTHER)],
            &[(STATE, "a=1")],
            &[],
        ] {
            assert_eq!(said(&with(lines), &frame("")), Said::Nothing, "{lines:?}");
        }
        let told = br#"{"jsonrpc":"2.0","method":"notifications/progress"}"#;
        let told = Frame::parse(told.to_vec()).unwrap();
        assert_eq!(said(&with(&[(PARENT, ONE)]), &told), Said::Nothing);
    }

    #[test]
    fn a_server_is_told_by_headers_what_the_request_says() {
        let told = |params: &str| {
            let Frame::One(message) = frame(params) else { panic!("{params}") };
            headers(&message).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let meta = |meta: &str| format!(r#","params":{{"_meta":{{{meta}}}}}"#);
        let both = format!(r#""tracestate":"a=1","traceparent":"{ONE}""#);
        assert_eq!(told(&meta(&both)), [PARENT, STATE]);
        for nothing in [r#""tracestate":"a=1""#, r#""traceparent":7"#, r#""traceparent":"a\nb""#] {
            assert!(told(&meta(nothing)).is_empty(), "{nothing}");
        }
    }
}
