//! `[detect]` and `[tools]`: what is taken out of results whatever rules say, and when an agent goes in circles.

use std::collections::BTreeSet;

use ringfence_core::Detector;
use ringfence_detect::LoopsMax;
use ringfence_proxy::mcp::middle::ANSWER_MS_MAX;
use serde::{Deserialize, Serialize};

/// Fewest calls that are a repetition.
const CALLS_MAX_LEAST: u32 = 2;

/// What is done about results of tools, and about an agent that goes in circles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultSettings {
    /// What is taken out of all results where it is certain.
    pub redact: BTreeSet<Detector>,
    /// Most identical calls within `loop_seconds`.
    pub same_call_max: u32,
    /// Most identical calls in a row that are answered alike.
    pub same_answer_max: u32,
    /// Most calls of one tool in a row that fail alike.
    pub same_failure_max: u32,
    /// Most different calls of one tool in a row that are answered alike.
    pub other_call_same_answer_max: u32,
    /// How long calls are remembered, in seconds.
    pub loop_seconds: u32,
    /// How long a server may say nothing to a request, in seconds.
    pub answer_seconds: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDetect {
    redact: Option<BTreeSet<Detector>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTools {
    same_call_max: Option<u32>,
    same_answer_max: Option<u32>,
    same_failure_max: Option<u32>,
    other_call_same_answer_max: Option<u32>,
    loop_seconds: Option<u32>,
    answer_seconds: Option<u32>,
}

impl Default for ResultSettings {
    fn default() -> ResultSettings {
        let LoopsMax { window_ms, same_call, same_answer, same_failure, same_answer_to_others } =
            LoopsMax::default();
        ResultSettings {
            redact: [Detector::Secrets].into(),
            same_call_max: same_call,
            same_answer_max: same_answer,
            same_failure_max: same_failure,
            other_call_same_answer_max: same_answer_to_others,
            loop_seconds: u32::try_from(window_ms / 1_000).unwrap_or(u32::MAX),
            answer_seconds: u32::try_from(ANSWER_MS_MAX / 1_000).unwrap_or(u32::MAX),
        }
    }
}

impl ResultSettings {
    /// When an agent goes in circles.
    pub fn loops(&self) -> LoopsMax {
        LoopsMax {
            window_ms: u64::from(self.loop_seconds).saturating_mul(1_000),
            same_call: self.same_call_max,
            same_answer: self.same_answer_max,
            same_failure: self.same_failure_max,
            same_answer_to_others: self.other_call_same_answer_max,
        }
    }

    /// How long a server may say nothing to a request, in milliseconds.
    pub fn answer_ms(&self) -> u64 {
        u64::from(self.answer_seconds).saturating_mul(1_000)
    }
}

impl RawTools {
    /// A limit at which nothing could be called, and what it must be.
    pub(super) fn too_little(&self) -> Option<(&'static str, String)> {
        let all = [
            ("same_call_max", self.same_call_max, CALLS_MAX_LEAST),
            ("same_answer_max", self.same_answer_max, CALLS_MAX_LEAST),
            ("same_failure_max", self.same_failure_max, CALLS_MAX_LEAST),
            ("other_call_same_answer_max", self.other_call_same_answer_max, CALLS_MAX_LEAST),
            ("loop_seconds", self.loop_seconds, 1),
            ("answer_seconds", self.answer_seconds, 1),
        ];
        all.into_iter().find_map(|(key, most, least)| {
            most.filter(|most| *most < least).map(|_| (key, format!("must be at least {least}")))
        })
    }
}

/// Everybody adds to what is taken out, yours in place of what is by itself; of each limit the least. How long calls are
/// remembered is the system's word before yours, and a project may only lengthen it.
pub(super) fn join(
    system: &super::Raw,
    user: &super::Raw,
    projects: &[&super::Raw],
) -> ResultSettings {
    let default = ResultSettings::default();
    let mut redact = user.detect.redact.clone().unwrap_or(default.redact);
    for raw in projects.iter().copied().chain([system]) {
        redact.extend(raw.detect.redact.iter().flatten());
    }
    let least = |of: fn(&RawTools) -> Option<u32>, default: u32| {
        let own = [system, user].into_iter().filter_map(|raw| of(&raw.tools)).min();
        let theirs = projects.iter().filter_map(|raw| of(&raw.tools)).min();
        let own = own.unwrap_or(default);
        theirs.map_or(own, |theirs| own.min(theirs))
    };
    let own = system.tools.loop_seconds.or(user.tools.loop_seconds).unwrap_or(default.loop_seconds);
    let theirs = projects.iter().filter_map(|raw| raw.tools.loop_seconds).max();
    ResultSettings {
        redact,
        same_call_max: least(|raw| raw.same_call_max, default.same_call_max),
        same_answer_max: least(|raw| raw.same_answer_max, default.same_answer_max),
        same_failure_max: least(|raw| raw.same_failure_max, default.same_failure_max),
        other_call_same_answer_max: least(
            |raw| raw.other_call_same_answer_max,
            default.other_call_same_answer_max,
        ),
        loop_seconds: own.max(theirs.unwrap_or_default()),
        answer_seconds: least(|raw| raw.answer_seconds, default.answer_seconds),
    }
}
