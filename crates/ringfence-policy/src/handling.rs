//! `@redact` and `@block`: what a permit says about what comes back of a call, and what passes with a request.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::{Action, Detector, Handling};

use crate::checks::find;
use crate::load::{Draft, Page};
use crate::problem::{Problem, nearest_word};
use crate::rule::{Effect, Rule};
use crate::validation::did_you_mean;

/// The annotations that are about results.
const KEYS: [&str; 2] = ["redact", "block"];

/// What can be looked through.
const LOOKED_THROUGH: [Action; 3] = [Action::ToolCall, Action::NetConnect, Action::NetRequest];

/// What a rule says. Names that no detector has are problems of their own, and count for nothing here.
pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Handling {
    let named = |key: &str| -> BTreeSet<Detector> {
        let text = annotations.get(key).map_or("", String::as_str);
        text.split(',').filter_map(|name| name.trim().parse().ok()).collect()
    };
    Handling { redact: named("redact"), block: named("block") }
}

/// Whether a rule has what passes over the network looked through.
pub(crate) fn is_on_net(rule: &Rule) -> bool {
    let net = [Action::NetConnect, Action::NetRequest];
    !rule.handling.is_empty() && net.iter().any(|action| rule.applies_to(*action))
}

/// What several rules say together.
pub(crate) fn united<'a>(rules: impl Iterator<Item = &'a Rule>) -> Handling {
    let mut all = Handling::default();
    rules.for_each(|rule| all.add(&rule.handling));
    all
}

/// What is wrong with what a rule says.
pub(crate) fn problems(page: &Page, draft: &Draft) -> Vec<Problem> {
    let written = KEYS.iter().filter_map(|key| Some((*key, draft.rule.annotations.get(*key)?)));
    written.filter_map(|(key, text)| problem(page, draft, (key, text))).collect()
}

fn problem(page: &Page, draft: &Draft, (key, text): (&str, &str)) -> Option<Problem> {
    let span = find(page, draft.span, &format!("@{key}"));
    let wrong = |message: String, hint: String| Some(page.problem(span, message, Some(hint)));
    let names = Detector::ALL.map(Detector::name);
    if let Err(unknown) = Detector::list(text) {
        let hint = did_you_mean(nearest_word(&unknown.name, names), &names);
        return wrong(unknown.to_string(), hint);
    }
    if draft.rule.effect == Effect::Forbid {
        let hint =
            format!("write `@{key}` on the permit: where nothing is permitted, nothing comes back");
        return wrong(format!("a forbid with `@{key}`"), hint);
    }
    if !LOOKED_THROUGH.iter().any(|action| draft.rule.applies_to(*action)) {
        let hint = "results of tools and what passes over the network are looked through; what programs read in \
                    files is not";
        return wrong(
            format!("`@{key}` on a rule that permits no call of a tool and no connection"),
            hint.to_owned(),
        );
    }
    None
}
