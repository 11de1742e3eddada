//! The requests of a session that were decided one by one.

use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::Found;
use ringfence_runtime::view::{EndpointView, RequestView, SessionView};

use super::super::entry;
use super::super::text::{count, fit, table};
use super::{LIST_LINES_MAX, Style, more, total_of};
use crate::screen::Tone;

/// Columns of a request's line besides its address.
const REQUEST_COLUMNS: usize = 50;

/// How many went to an endpoint: `3 requests: 2 answered, 1 refused`.
pub(super) fn sum(of: &EndpointView) -> String {
    let all = match of.requests {
        0 => return String::new(),
        1 => "1 request".to_owned(),
        requests => format!("{requests} requests"),
    };
    match (of.requests.saturating_sub(of.refused), of.refused) {
        (_, 0) => all,
        (0, _) => format!("{all}: refused"),
        (answered, refused) => format!("{all}: {answered} permitted, {refused} refused"),
    }
}

/// The requests that were decided one by one, those to the same address together: what was
/// answered apart from what was refused, and what failed by its reason.
pub(super) fn requests(view: &SessionView, style: Style) -> String {
    type Key<'a> = (&'a str, &'a str, bool, Option<&'a str>);
    let mut by_address: BTreeMap<Key<'_>, Vec<&RequestView>> = BTreeMap::new();
    let spans = view.spans.iter().map(|span| &span.network_activity);
    let all = spans.chain([&view.unattributed.network_activity]).flat_map(|it| &it.requests);
    for request in all {
        let refused = request.refused.is_some();
        let key = (&*request.url, &*request.method, refused, request.error.as_deref());
        by_address.entry(key).or_default().push(request);
    }
    if by_address.is_empty() {
        return String::new();
    }
    let total = by_address.values().map(Vec::len).sum();
    let address_columns = style.columns.saturating_sub(REQUEST_COLUMNS).max(30);
    let rows: Vec<Vec<String>> = by_address
        .iter()
        .take(LIST_LINES_MAX)
        .map(|((url, method, refused, error), list)| {
            let times =
                if list.len() > 1 { format!("{} times", list.len()) } else { String::new() };
            vec![
                format!("  {}", fit(method, style.cut(8))),
                fit(url, address_columns),
                if *refused { format!("refused {}", statuses(list)) } else { statuses(list) },
                format!("sent {}", total_of(list.iter().map(|one| one.bytes_sent))),
                format!("received {}", total_of(list.iter().map(|one| one.bytes_received))),
                times,
                about_releases(list, style),
                error.map_or_else(String::new, |error| {
                    let what = if *refused { "" } else { "failed: " };
                    format!("{what}{}", fit(error, style.cut(40)))
                }),
                findings(list, style),
                looked_through(list, style),
            ]
        })
        .collect();
    let title = style.paint.tone(Tone::Heading, &count(total, "request", "requests"));
    let more = more(by_address.len(), LIST_LINES_MAX, "address", "addresses");
    format!("{title}\n{}{more}", table(&rows))
}

/// Which release was fetched, and which were taken out of a list.
fn about_releases(list: &[&RequestView], style: Style) -> String {
    let fetched = list.iter().find_map(|one| one.package.as_ref().map(ToString::to_string));
    let short = list.iter().find(|one| !one.kept_back.is_empty());
    let kept_back = short.map(|one| format!("kept back: {}", one.kept_back.join(" ")));
    fit(&fetched.or(kept_back).unwrap_or_default(), style.cut(60))
}

/// The statuses of answers, each once: `200`, `200 404`.
fn statuses(list: &[&RequestView]) -> String {
    let all: BTreeSet<u16> = list.iter().filter_map(|one| one.status.or(one.refused)).collect();
    all.iter().take(3).map(u16::to_string).collect::<Vec<_>>().join(" ")
}

/// What detectors said of requests.
fn findings(list: &[&RequestView], style: Style) -> String {
    let all: BTreeSet<&str> =
        list.iter().flat_map(|one| &one.findings).map(String::as_str).collect();
    if all.is_empty() {
        return String::new();
    }
    format!("found: {}", fit(&all.into_iter().collect::<Vec<_>>().join(", "), style.cut(40)))
}

/// What was found in them or in their answers, each rule once.
fn looked_through(list: &[&RequestView], style: Style) -> String {
    let sort = |found: &Found| (found.treatment, found.rule.clone());
    let mut all: Vec<Found> = list.iter().flat_map(|one| one.found.iter().cloned()).collect();
    all.sort_by_key(sort);
    all.dedup_by(|later, first| {
        let same = sort(later) == sort(first);
        first.count = if same { first.count.saturating_add(later.count) } else { first.count };
        same
    });
    let mut said = entry::found(&all).trim_start_matches("; ").to_owned();
    if let Some(why) = list.iter().find_map(|one| one.unlooked.as_deref()) {
        let before = if said.is_empty() { "" } else { "; " };
        said = format!("{said}{before}not looked through: {why}");
    }
    fit(&said, style.cut(60))
}
