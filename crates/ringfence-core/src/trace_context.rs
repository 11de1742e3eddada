//! Where an act stands in a trace that somebody else began: W3C Trace Context, `traceparent`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Digits of a version, of a trace, of a span and of flags.
const DIGITS: [usize; 4] = [2, 32, 16, 2];

/// A place in a trace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    trace: String,
    span: String,
    flags: String,
}

/// What is no place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no `traceparent`: version, trace, span and flags, in small hexadecimal digits with `-` between"
)]
pub struct NoTraceContext;

impl TraceContext {
    /// The trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace
    }

    /// The span beneath which it stands: 16 hexadecimal digits.
    pub fn span_id(&self) -> &str {
        &self.span
    }

    /// A place beneath another span of the same trace; `None` where that is the name of none.
    pub fn beneath(&self, span: &str) -> Option<TraceContext> {
        is_id(span, DIGITS[2]).then(|| TraceContext { span: span.to_owned(), ..self.clone() })
    }
}

impl FromStr for TraceContext {
    type Err = NoTraceContext;

    /// Later versions may have more behind the flags (section 3.2.4), which is not taken over.
    fn from_str(text: &str) -> Result<TraceContext, NoTraceContext> {
        let mut parts = text.splitn(DIGITS.len().saturating_add(1), '-');
        let mut next = || parts.next().ok_or(NoTraceContext);
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        let has_more = parts.next().is_some();
        let is_version = is_hex(version, DIGITS[0]) && version != "ff";
        let is_known = is_version && (version != "00" || !has_more);
        if !is_known || !is_id(trace, DIGITS[1]) || !is_id(span, DIGITS[2]) {
            return Err(NoTraceContext);
        }
        if !is_hex(flags, DIGITS[3]) {
            return Err(NoTraceContext);
        }
        let [trace, span, flags] = [trace, span, flags].map(str::to_owned);
        Ok(TraceContext { trace, span, flags })
    }
}

/// As it is passed on: of the version that is written here.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{}", self.trace, self.span, self.flags)
    }
}

impl TryFrom<String> for TraceContext {
    type Error = NoTraceContext;
    fn try_from(text: String) -> Result<TraceContext, NoTraceContext> {
        text.parse()
    }
}

impl From<TraceContext> for String {
    fn from(context: TraceContext) -> String {
        context.to_string()
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    text.len() == digits && text.bytes().all(is_digit)
}

/// Zeros alone name nothing.
fn is_id(text: &str, digits: usize) -> bool {
    is_hex(text, digits) && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_place_in_a_trace_reads_the_same_again() {
        let context: TraceContext = GOOD.parse().unwrap();
        assert_eq!(context.to_string(), GOOD);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let beneath = context.beneath("1111111111111111").unwrap();
        assert_eq!(beneath.to_string(), GOOD.replace("00f067aa0ba902b7", "1111111111111111"));
        assert_eq!(context.beneath("11"), None);
        let later: TraceContext =
            format!("{}-what-there-may-be", GOOD.replacen("00", "cc", 1)).parse().unwrap();
        assert_eq!(later, context, "of a later version the part that is known counts");
    }

    #[test]
    fn what_is_no_place_in_a_trace_is_refused() {
        let upper = GOOD.to_uppercase();
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        let more = format!("{GOOD}-00");
        let version = GOOD.replacen("00", "ff", 1);
        let short = GOOD.strip_suffix('1').unwrap();
        for wrong in ["", "00", "-", &upper, &zero_trace, &zero_span, &more, &version, short] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(NoTraceContext), "{wrong}");
        }
    }
}
