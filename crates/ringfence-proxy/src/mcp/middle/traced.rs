//! Where a request stands in a trace: what its client says of that, and what its server is told (MCP 2026-07-28,
//! `traceparent` and `tracestate` in `_meta`).

use ringfence_core::TraceContext;

use super::super::edit::Change;
use super::super::frame::{Members, quoted, string};
use super::{Effect, Middle, OddKind, odd};

/// Keys of `_meta`.
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Longest `tracestate` that is passed on, in bytes: W3C Trace Context, section 3.3.1.5, asks for as much.
const STATE_BYTES_MAX: usize = 512;

/// What a request says of a trace.
#[derive(Debug, Clone, Default)]
pub(super) struct Traced {
    /// Where it stands, if it says so in a way that can be read.
    pub(super) by: Option<TraceContext>,
    /// What is changed where it is passed on.
    changes: Vec<Change<'static>>,
    /// What of it cannot be read, and is not passed on.
    wrong: Option<&'static str>,
}

impl Traced {
    /// Of a request with these parameters.
    pub(super) fn of(params: Option<&str>) -> Traced {
        // Most say nothing of it; escaped, nobody writes these.
        let says = |params: &&str| params.contains(PARENT) || params.contains(STATE);
        let meta = params.filter(says).and_then(Members::of);
        let meta = meta.and_then(|all| all.get("_meta")).and_then(Members::of);
        let Some(meta) = meta else { return Traced::default() };
        let (parent, state) = (meta.get(PARENT), meta.get(STATE));
        let by = parent.and_then(|raw| string(raw)?.parse().ok());
        let is_state = |raw: &str| string(raw).is_some_and(|it| it.len() <= STATE_BYTES_MAX);
        let mut traced = Traced { by, ..Traced::default() };
        if parent.is_some() && traced.by.is_none() {
            traced.wrong = Some("a `traceparent` that is none");
            traced.changes.push((PARENT, None));
        }
        if state.is_some_and(|raw| traced.by.is_none() || !is_state(raw)) {
            traced.wrong = traced.wrong.or(Some("a `tracestate` without a trace, or that is none"));
            traced.changes.push((STATE, None));
        }
        traced
    }

    /// What was dropped of it, aloud.
    pub(super) fn told(&self) -> Option<Effect> {
        self.wrong.map(|what| odd(None, OddKind::OutOfPlace, what))
    }

    /// What its server is told in place of what the client said.
    pub(super) fn changes(self) -> Vec<Change<'static>> {
        self.changes
    }
}

impl Middle {
    /// A request that is decided has a span of its own, beneath which its server stands; only where its client has said
    /// where that is in a trace. To be told before [`Middle::decided`].
    pub fn has_span(&mut self, ticket: u64, span: &str) {
        let Some(waiting) = self.waiting.get_mut(&ticket) else { return };
        let beneath = waiting.traced.by.as_ref().and_then(|by| by.beneath(span));
        if let Some(beneath) = beneath {
            waiting.traced.changes.push((PARENT, Some(quoted(&beneath.to_string()))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(meta: &str) -> (Option<String>, Vec<&'static str>, bool) {
        let traced = Traced::of(Some(&format!(r#"{{"name":"a","_meta":{meta}}}"#)));
        let by = traced.by.as_ref().map(ToString::to_string);
        let is_told = traced.told().is_some();
        (by, traced.changes().into_iter().map(|(name, _)| name).collect(), is_told)
    }

    #[test]
    fn a_trace_is_read_as_it_stands() {
        let both = format!(r#"{{"traceparent":"{GOOD}","tracestate":"a=1,b=2"}}"#);
        assert_eq!(of(&both), (Some(GOOD.to_owned()), vec![], false));
        assert_eq!(of(r#"{"progressToken":"traceparent"}"#), (None, vec![], false));
    }

    #[test]
    fn what_is_no_trace_is_dropped_and_told() {
        for parent in [r#""""#, "1", "null", r#""00-00-00-00""#, &format!("[\"{GOOD}\"]")] {
            let both = format!(r#"{{"traceparent":{parent},"tracestate":"a=1"}}"#);
            assert_eq!(of(&both), (None, vec![PARENT, STATE], true), "{parent}");
        }
        assert_eq!(of(r#"{"tracestate":"a=1"}"#), (None, vec![STATE], true));
        let long = format!(r#"{{"traceparent":"{GOOD}","tracestate":"{}"}}"#, "a".repeat(513));
        assert_eq!(of(&long), (Some(GOOD.to_owned()), vec![STATE], true));
    }
}
