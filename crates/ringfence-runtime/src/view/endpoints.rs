//! The sums of what went to each endpoint.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::Action;
use serde::Serialize;

use super::{DeniedAct, NetworkActivity};

/// All that went to one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EndpointView {
    /// `HOST:PORT` as decided, or the path of a socket.
    pub endpoint: String,
    /// Permitted connections.
    pub connections: u64,
    /// Requests; only where each one was decided.
    pub requests: u64,
    /// How many of them were refused: by a rule, or for what they carry.
    pub refused: u64,
    /// Bytes from the world, as far as connections have ended; `None` where nobody counts.
    pub bytes_sent: Option<u64>,
    /// Bytes to the world, likewise.
    pub bytes_received: Option<u64>,
    /// What detectors said of its requests.
    pub findings: BTreeSet<String>,
}

impl EndpointView {
    /// The sums, sorted by endpoint.
    pub(super) fn sums<'a>(
        all: impl Iterator<Item = &'a NetworkActivity>,
        denials: &'a [DeniedAct],
    ) -> Vec<EndpointView> {
        let mut sums: BTreeMap<&str, EndpointView> = BTreeMap::new();
        for activity in all {
            for connection in &activity.connections {
                let sum = sums.entry(&connection.endpoint).or_default();
                sum.connections += 1;
                sum.bytes_sent = added(sum.bytes_sent, connection.bytes_sent);
                sum.bytes_received = added(sum.bytes_received, connection.bytes_received);
            }
            for request in &activity.requests {
                let sum = sums.entry(&request.endpoint).or_default();
                sum.requests += 1;
                sum.refused += u64::from(request.refused.is_some());
                sum.findings.extend(request.findings.iter().cloned());
            }
        }
        for denial in denials.iter().filter(|it| it.action == Action::NetRequest) {
            let sum = sums.entry(&denial.resource).or_default();
            sum.requests += 1;
            sum.refused += 1;
        }
        let named = |(name, sum): (&str, _)| EndpointView { endpoint: name.to_owned(), ..sum };
        sums.into_iter().map(named).collect()
    }
}

/// The sum of what is known.
fn added(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    more.map_or(sum, |more| Some(sum.unwrap_or(0).saturating_add(more)))
}
