//! What a session of tool calls counts, as Prometheus reads it (text format 0.0.4).
//!
//! A label has one of the values that were pinned or that we have ourselves: nobody outside makes another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringfence_core::{FindingKind, Found, Treatment};
use ringfence_proxy::mcp::middle::{Called, Ended};

use crate::servers::{METHODS, Server};

/// What stands for a tool that nobody has pinned, and for a method that we do not know.
const OTHER: &str = "other";

/// Upper bounds of how long calls take, in microseconds.
const BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Permitted,
    Denied,
    /// A person was asked; what came of that is counted besides.
    Asked,
}

const DECISIONS: [&str; 3] = ["permitted", "denied", "asked"];
const ENDS: [&str; 3] = ["answered", "failed", "unanswered"];

/// The counts of a session.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    servers: Vec<OfServer>,
    found: Mutex<BTreeMap<(FindingKind, Treatment), u64>>,
    under_way: Arc<AtomicU64>,
    questions: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct OfServer {
    name: String,
    /// By decision.
    calls: BTreeMap<String, [AtomicU64; 3]>,
    ends: [AtomicU64; 3],
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    /// One more than there are bounds: what took longer.
    took: [AtomicU64; BOUNDS_US.len() + 1],
    took_us: AtomicU64,
}

/// Something that goes on for as long as this is there.
#[derive(Debug)]
pub(super) struct Going(Arc<AtomicU64>);

impl Going {
    fn on(gauge: &Arc<AtomicU64>) -> Going {
        gauge.fetch_add(1, Ordering::Relaxed);
        Going(Arc::clone(gauge))
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// Of a session with these servers.
    pub(super) fn of(servers: &[Server]) -> Metrics {
        let one = |server: &Server| {
            let names: BTreeSet<&str> = server.file.tools.keys().map(String::as_str).collect();
            let methods = METHODS.iter().map(|(method, _)| *method);
            let all = names.into_iter().chain(methods).chain([OTHER]);
            let calls = all.map(|name| (name.to_owned(), Default::default())).collect();
            OfServer { name: server.name.to_string(), calls, ..OfServer::default() }
        };
        Metrics { servers: servers.iter().map(one).collect(), ..Metrics::default() }
    }

    /// A call was decided.
    pub(super) fn decided(&self, (server, called): (usize, &Called), decision: Decision) {
        let (Called::Tool(name) | Called::Method(name)) = called;
        let Some(of) = self.servers.get(server) else { return };
        let counts = of.calls.get(name).or_else(|| of.calls.get(OTHER));
        add(counts.and_then(|all| all.get(decision as usize)), 1);
    }

    /// A call goes to its server, with arguments of so many bytes.
    pub(super) fn passed(&self, server: usize, bytes: usize) -> Going {
        add(self.servers.get(server).map(|of| &of.bytes_sent), whole(bytes));
        Going::on(&self.under_way)
    }

    /// A call that was made has ended.
    pub(super) fn ended(&self, server: usize, how: Ended, took: Duration) {
        let Some(of) = self.servers.get(server) else { return };
        let (end, bytes) = match how {
            Ended::Answered { bytes } => (0, bytes),
            Ended::Failed { bytes } => (1, bytes),
            Ended::Told => (0, 0),
            Ended::Unanswered => (2, 0),
        };
        add(of.ends.get(end), 1);
        add(Some(&of.bytes_received), whole(bytes));
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        add(of.took.get(at), 1);
        add(Some(&of.took_us), us);
    }

    /// An answer had something in it.
    pub(super) fn found(&self, found: &[Found]) {
        if found.is_empty() {
            return;
        }
        let mut all = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for one in found {
            let count = all.entry((one.kind, one.treatment)).or_default();
            *count = count.saturating_add(one.count);
        }
    }

    /// A person is asked.
    pub(super) fn asked(&self) -> Going {
        Going::on(&self.questions)
    }

    /// All of it, with how many clients have a session.
    pub(super) fn text(&self, clients: usize) -> String {
        let mut page = Page(String::new());
        page.head("calls_total", "counter", "calls of tools and methods, by what was decided");
        for of in &self.servers {
            for (tool, counts) in &of.calls {
                for (decision, count) in DECISIONS.iter().zip(counts) {
                    let labels =
                        [("server", of.name.as_str()), ("tool", tool), ("decision", decision)];
                    page.counted("calls_total", &labels, read(count));
                }
            }
        }
        page.head("calls_ended_total", "counter", "calls that were made, by how they ended");
        for of in &self.servers {
            for (how, count) in ENDS.iter().zip(&of.ends) {
                let labels = [("server", of.name.as_str()), ("how", how)];
                page.counted("calls_ended_total", &labels, read(count));
            }
        }
        self.durations(&mut page);
        page.head("sent_bytes_total", "counter", "bytes of arguments that servers were sent");
        page.of_each(&self.servers, "sent_bytes_total", |of| read(&of.bytes_sent));
        page.head("received_bytes_total", "counter", "bytes of what servers answered, as it came");
        page.of_each(&self.servers, "received_bytes_total", |of| read(&of.bytes_received));
        page.head("findings_total", "counter", "what answers had in them, by what became of it");
        for ((kind, treatment), count) in
            &*self.found.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let labels = [("kind", kind.name()), ("treatment", name(*treatment))];
            page.counted("findings_total", &labels, *count);
        }
        page.head("calls_under_way", "gauge", "calls that are not answered yet");
        page.counted("calls_under_way", &[], read(&self.under_way));
        page.head("questions_waiting", "gauge", "calls that wait for a person");
        page.counted("questions_waiting", &[], read(&self.questions));
        page.head("sessions", "gauge", "clients that have a session");
        page.counted("sessions", &[], whole(clients));
        page.0
    }

    fn durations(&self, page: &mut Page) {
        const NAME: &str = "call_duration_seconds";
        page.head(NAME, "histogram", "from the decision to the answer");
        for of in &self.servers {
            let mut below = 0_u64;
            for (at, count) in of.took.iter().enumerate() {
                below = below.saturating_add(read(count));
                let bound = BOUNDS_US.get(at).map_or_else(|| "+Inf".to_owned(), |us| seconds(*us));
                let labels = [("server", of.name.as_str()), ("le", bound.as_str())];
                page.counted("call_duration_seconds_bucket", &labels, below);
            }
            let labels = [("server", of.name.as_str())];
            page.line("call_duration_seconds_sum", &labels, &seconds(read(&of.took_us)));
            page.counted("call_duration_seconds_count", &labels, below);
        }
    }
}

/// A page of counts.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP ringfence_mcp_{name} {help}");
        let _ = writeln!(self.0, "# TYPE ringfence_mcp_{name} {kind}");
    }

    fn counted(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        self.line(name, labels, &count.to_string());
    }

    fn of_each(&mut self, all: &[OfServer], name: &str, count: impl Fn(&OfServer) -> u64) {
        for of in all {
            self.counted(name, &[("server", &of.name)], count(of));
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let label = |(name, value): &(&str, &str)| {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            format!("{name}=\"{value}\"")
        };
        let labels: Vec<String> = labels.iter().map(label).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "ringfence_mcp_{name}{labels} {value}");
    }
}

fn add(count: Option<&AtomicU64>, more: u64) {
    if let Some(count) = count {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn name(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Told => "told",
        Treatment::Redacted => "redacted",
        Treatment::Blocked => "blocked",
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::Certainty;

    use super::*;
    use crate::servers::{Pinned, ServerFile};

    fn metrics() -> Metrics {
        let mut file = ServerFile::started_by(vec!["true".to_owned()]);
        let tool = serde_json::json!({"name": "odd\"tool", "inputSchema": {"type": "object"}});
        file.tools = Pinned::all(vec![tool]).unwrap();
        Metrics::of(&[Server::new("a".parse().unwrap(), file).unwrap()])
    }

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.text(2).lines().any(|it| it == line)
    }

    #[test]
    fn what_is_counted_can_be_read() {
        let metrics = metrics();
        let tool = Called::Tool("odd\"tool".to_owned());
        metrics.decided((0, &tool), Decision::Permitted);
        metrics.decided((0, &tool), Decision::Denied);
        let (going, asked) = (metrics.passed(0, 40), metrics.asked());
        assert!(has(&metrics, "ringfence_mcp_calls_under_way 1"));
        assert!(has(&metrics, "ringfence_mcp_questions_waiting 1"));
        drop((going, asked));
        metrics.ended(0, Ended::Answered { bytes: 70 }, Duration::from_micros(1_200));
        metrics.ended(0, Ended::Failed { bytes: 1 }, Duration::from_secs(100));
        let (kind, treatment) = (FindingKind::Email, Treatment::Told);
        let certainty = Certainty::Likely;
        metrics.found(&[Found { rule: "email".to_owned(), kind, certainty, treatment, count: 3 }]);
        for line in [
            r#"calls_total{server="a",tool="odd\"tool",decision="permitted"} 1"#,
            r#"calls_total{server="a",tool="odd\"tool",decision="asked"} 0"#,
            r#"calls_ended_total{server="a",how="answered"} 1"#,
            r#"call_duration_seconds_bucket{server="a",le="0.001000"} 0"#,
            r#"call_duration_seconds_bucket{server="a",le="0.002500"} 1"#,
            r#"call_duration_seconds_bucket{server="a",le="+Inf"} 2"#,
            r#"call_duration_seconds_sum{server="a"} 100.001200"#,
            r#"call_duration_seconds_count{server="a"} 2"#,
            r#"sent_bytes_total{server="a"} 40"#,
            r#"received_bytes_total{server="a"} 71"#,
            r#"findings_total{kind="email",treatment="told"} 3"#,
            "calls_under_way 0",
            "questions_waiting 0",
            "sessions 2",
        ] {
            assert!(has(&metrics, &format!("ringfence_mcp_{line}")), "{line}\n{}", metrics.text(2));
        }
    }

    #[test]
    fn whoever_calls_what_is_not_there_makes_no_new_line() {
        let metrics = metrics();
        let before = metrics.text(0).lines().count();
        for number in 0..100 {
            metrics.decided((0, &Called::Tool(format!("tool-{number}"))), Decision::Denied);
            metrics.decided((0, &Called::Method(format!("x/{number}"))), Decision::Denied);
            metrics.decided((7, &Called::Tool("none".to_owned())), Decision::Denied);
        }
        assert_eq!(metrics.text(0).lines().count(), before);
        let other = r#"ringfence_mcp_calls_total{server="a",tool="other",decision="denied"} 200"#;
        assert!(has(&metrics, other));
    }
}
