//! Our own lists of tools: what a server says of them is known before any is called, whether or not the client asks.
//!
//! A server is asked when it has begun and whenever it says that its tools have changed. Calls wait meanwhile; where
//! it does not say which tools it has, none is called.

use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::frame::{Answer, INTERNAL_ERROR, Members, Message, quoted, string};
use super::gather::{ITEMS_MAX, LIST_BYTES_MAX, PAGES_MAX};
use super::{Call, Decided, Effect, Middle, OddKind, Why, odd};

/// How long a server may take to say which tools it has.
const LIST_MS_MAX: u64 = 60_000;

/// Most tools that are told of one by one when they appear.
const TOLD_MAX: usize = 16;

/// What is known of a server's tools.
#[derive(Debug, Default)]
pub(super) struct Tools {
    state: State,
    /// Those that it had when they were listed last.
    known: Option<BTreeSet<String>>,
    /// Those of them that are called as tasks alone (2025-11-25, `execution.taskSupport`).
    as_tasks: BTreeSet<String>,
    /// Of those the ones that are shown.
    shown: BTreeSet<String>,
    /// Calls that wait for the list.
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
enum State {
    /// It has none, or they have been listed.
    #[default]
    Known,
    Listing(Listing),
    Failed,
}

#[derive(Debug)]
struct Listing {
    until_ms: u64,
    pages: usize,
    bytes: usize,
    names: BTreeSet<String>,
    as_tasks: BTreeSet<String>,
    shown: BTreeSet<String>,
    /// It said that they changed since it was asked.
    is_old: bool,
}

impl Tools {
    pub(super) fn only_as_task(&self, tool: &str) -> bool {
        self.as_tasks.contains(tool)
    }

    /// Whether its server said of a tool, when it was asked last, what may be shown.
    pub(super) fn is_shown(&self, tool: &str) -> bool {
        self.shown.contains(tool)
    }

    /// They have to be asked for anew.
    pub(super) fn forget(&mut self) {
        (self.state, self.shown) = (State::Known, BTreeSet::new());
    }

    pub(super) fn until_ms(&self) -> Option<u64> {
        match &self.state {
            State::Listing(listing) => Some(listing.until_ms),
            State::Known | State::Failed => None,
        }
    }
}

impl Middle {
    /// Whether a server is being asked for its tools.
    pub fn is_listing(&self, server: usize) -> bool {
        self.servers.get(server).is_some_and(|seat| seat.tools.until_ms().is_some())
    }

    /// Whether a call that waits is of a tool that its server did not have when it was asked last.
    pub fn lacks(&self, ticket: u64) -> bool {
        let waiting = self.waiting.get(&ticket);
        let Some((super::Called::Tool(tool), server)) = waiting.map(|it| (&it.what, it.server))
        else {
            return false;
        };
        let known = self.servers.get(server).and_then(|seat| seat.tools.known.as_ref());
        known.is_some_and(|known| !known.contains(tool))
    }

    /// Asks a server for its tools.
    pub(super) fn start_listing(&mut self, server: usize) -> Vec<Effect> {
        if !self.offers(server, "tools") {
            return Vec::new();
        }
        let until_ms = self.now_ms.saturating_add(LIST_MS_MAX);
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        if seat.kept.has_no_session() {
            return Vec::new();
        }
        if let State::Listing(listing) = &mut seat.tools.state {
            listing.is_old = true;
            return Vec::new();
        }
        let (names, shown, as_tasks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (pages, bytes, is_old) = (0, 0, false);
        let listing = Listing { until_ms, pages, bytes, names, as_tasks, shown, is_old };
        seat.tools.state = State::Listing(listing);
        vec![self.ask_page(server, None)]
    }

    fn ask_page(&mut self, server: usize, cursor: Option<&str>) -> Effect {
        let params = self.own_params(server, cursor.map(|cursor| ("cursor", Some(quoted(cursor)))));
        self.ask(server, Why::Own, "tools/list", &params)
    }

    /// A page of a list of ours has come.
    pub(super) fn own_page(
        &mut self,
        server: usize,
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        let State::Listing(listing) = &mut seat.tools.state else { return Vec::new() };
        let page = match answer {
            Answer::Result(at) => take(&self.shown, server, listing, message.part(at)),
            Answer::Error(at) => Err(format!("an error: {}", message.part(at))),
        };
        match page {
            Ok(Some(cursor)) => vec![self.ask_page(server, Some(&cursor))],
            Ok(None) => self.listed(server),
            Err(why) => self.not_listed(server, &why),
        }
    }

    fn listed(&mut self, server: usize) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        let State::Listing(listing) = std::mem::take(&mut seat.tools.state) else {
            return Vec::new();
        };
        seat.tools.as_tasks = listing.as_tasks;
        let before = seat.tools.known.replace(listing.names);
        seat.tools.shown = listing.shown;
        let mut effects = Vec::new();
        if let (Some(before), Some(now)) = (before, &seat.tools.known) {
            let new = now.difference(&before).take(TOLD_MAX);
            effects.extend(new.map(|tool| {
                odd(Some(server), OddKind::ToolAppeared, format!("the tool `{tool}` appeared"))
            }));
        }
        if listing.is_old {
            effects.extend(self.start_listing(server));
            // Calls wait as long as for one: a server may say without end that they have changed.
            if let Some(seat) = self.servers.get_mut(server)
                && let State::Listing(anew) = &mut seat.tools.state
            {
                anew.until_ms = listing.until_ms;
            }
            return effects;
        }
        let calls = std::mem::take(&mut seat.tools.calls);
        effects.extend(self.known_again(server));
        let waits = |call: &Call| self.waiting.contains_key(&call.ticket);
        effects.extend(calls.into_iter().filter(waits).map(Effect::Decide));
        effects
    }

    fn not_listed(&mut self, server: usize, why: &str) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        seat.tools.state = State::Failed;
        let begins_anew = seat.kept.until_ms().is_some();
        let calls = std::mem::take(&mut seat.tools.calls);
        let why = format!("it does not say which tools it has: {why}");
        let mut effects = vec![odd(Some(server), OddKind::BadList, why)];
        for call in calls {
            let told = "its server does not say which tools it has".to_owned();
            effects.extend(self.decided_now(call.ticket, Decided::Deny(told)));
        }
        if begins_anew {
            effects.extend(self.ended_because(server, "the server does not begin anew"));
        }
        effects
    }

    pub(super) fn lists_too_slowly(&mut self) -> Vec<Effect> {
        let is_slow = |server: &usize| {
            let until = self.servers.get(*server).and_then(|seat| seat.tools.until_ms());
            until.is_some_and(|until| until <= self.now_ms)
        };
        let slow: Vec<usize> = (0..self.servers.len()).filter(is_slow).collect();
        slow.into_iter().flat_map(|server| self.not_listed(server, "no answer")).collect()
    }

    /// A server is gone: calls that wait for its list are answered with that.
    pub(super) fn lists_no_more(&mut self, server: usize) -> Vec<Effect> {
        let Some(seat) = self.servers.get_mut(server) else { return Vec::new() };
        let calls = std::mem::take(&mut seat.tools).calls;
        let waiting: Vec<_> =
            calls.into_iter().filter_map(|call| self.waiting.remove(&call.ticket)).collect();
        let told = "the server has ended";
        waiting.iter().map(|it| self.answer_error(&it.name, INTERNAL_ERROR, told)).collect()
    }

    /// Has a call decided once its server's tools are known.
    pub(super) fn decide_when_listed(&mut self, call: Call) -> Vec<Effect> {
        let server = call.server;
        let Some(seat) = self.servers.get_mut(server) else { return vec![Effect::Decide(call)] };
        match (&call.what, &seat.tools.state) {
            (super::Called::Method(_), _) | (_, State::Known) => vec![Effect::Decide(call)],
            (super::Called::Tool(_), State::Listing(_)) => {
                seat.tools.calls.push(call);
                Vec::new()
            }
            (super::Called::Tool(_), State::Failed) => {
                seat.tools.calls.push(call);
                self.start_listing(server)
            }
        }
    }
}

/// Takes the tools of a page; the cursor of the next one.
fn take(
    shown: &super::Shown,
    server: usize,
    listing: &mut Listing,
    result: &str,
) -> Result<Option<String>, String> {
    listing.pages = listing.pages.saturating_add(1);
    listing.bytes = listing.bytes.saturating_add(result.len());
    if listing.pages > PAGES_MAX || listing.bytes > LIST_BYTES_MAX {
        return Err(format!("more than {PAGES_MAX} pages or {LIST_BYTES_MAX} bytes"));
    }
    let members = Members::of(result).ok_or("a result that is no object")?;
    let raw = members.get("tools").ok_or("a list without `tools`")?;
    let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| "`tools` is no list")?;
    for item in items {
        let tool: Value = serde_json::from_str(item.get()).map_err(|error| error.to_string())?;
        let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
        if listing.names.len() >= ITEMS_MAX {
            return Err(format!("more than {ITEMS_MAX} tools"));
        }
        if shown(server, name, &tool) {
            listing.shown.insert(name.to_owned());
        }
        let support = tool.pointer("/execution/taskSupport").and_then(Value::as_str);
        if support == Some("required") {
            listing.as_tasks.insert(name.to_owned());
        }
        listing.names.insert(name.to_owned());
    }
    match members.get("nextCursor").filter(|raw| *raw != "null") {
        None => Ok(None),
        Some(raw) => match string(raw) {
            Some(cursor) => Ok(Some(cursor.into_owned())),
            None => Err("`nextCursor` is no text".to_owned()),
        },
    }
}
