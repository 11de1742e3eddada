//! What a server was told of the session that it has forgotten, told again once it has begun anew: from what level on to
//! log, and which resources the client is told of. Each of these is decided again: the policy may be another one since.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::super::super::frame::{Answer, Members, string};
use super::super::asker::Level;
use super::super::{Call, Called, Decided, Effect, Ended, Era, Middle, OddKind, Sent, Why, odd};

/// Most resources of one server that are told again; what was subscribed beyond is not.
const RESOURCES_MAX: usize = 1_024;

/// Longest name of a resource that is told again, in bytes.
const NAME_BYTES_MAX: usize = 4 * 1024;

/// What a server was told of the session of its client.
#[derive(Debug, Default)]
pub(in super::super) struct Told {
    /// Resources that the client has subscribed, and was answered so.
    resources: BTreeSet<String>,
    /// Those of which it was not, by the names of the requests.
    asked: BTreeMap<u64, String>,
    /// Those that are decided again, by ticket.
    deciding: BTreeMap<u64, String>,
}

impl Told {
    /// A request is passed on under a name of ours, to a server that has been sent these.
    fn passes(&mut self, (number, sent): (u64, &HashMap<u64, Sent>), what: &Called, text: &str) {
        let Called::Method(method) = what else { return };
        let is_subscribe = method == "resources/subscribe";
        if !is_subscribe && method != "resources/unsubscribe" {
            return;
        }
        let params = Members::of(text).and_then(|all| Members::of(all.get("params")?));
        let Some(uri) = params.and_then(|all| string(all.get("uri")?)) else { return };
        if !is_subscribe {
            self.resources.remove(&*uri);
            self.asked.retain(|_, asked| *asked != *uri);
            self.deciding.retain(|_, deciding| *deciding != *uri);
            return;
        }
        if self.asked.len() >= RESOURCES_MAX {
            // Those that were cancelled.
            self.asked.retain(|number, _| sent.contains_key(number));
        }
        if self.asked.len() < RESOURCES_MAX && uri.len() <= NAME_BYTES_MAX {
            self.asked.insert(number, uri.into_owned());
        }
    }

    /// Such a request is answered.
    pub(in super::super) fn answered(&mut self, number: u64, answer: &Answer) {
        let Some(uri) = self.asked.remove(&number) else { return };
        if matches!(answer, Answer::Result(_)) && self.resources.len() < RESOURCES_MAX {
            self.resources.insert(uri);
        }
    }

    /// The session is forgotten: what is being decided is of no use.
    pub(in super::super) fn forgotten(&mut self) {
        self.deciding.clear();
    }
}

impl Middle {
    /// A server has begun anew: it is told again what it was told.
    pub(in super::super) fn tell_again(&mut self, server: usize) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.level_again(server).into_iter().collect();
        if self.capability(server, "resources/subscribe") != Some(&Value::Bool(true)) {
            return effects;
        }
        let mut all = self.watched(server);
        let told = self.servers.get(server).map(|seat| &seat.kept.told);
        all.extend(told.into_iter().flat_map(|told| told.resources.iter().cloned()));
        for uri in all {
            let ticket = self.number();
            if let Some(seat) = self.servers.get_mut(server) {
                seat.kept.told.deciding.insert(ticket, uri.clone());
            }
            let what = Called::Method("resources/subscribe".to_owned());
            let arguments = json!({ "uri": uri });
            effects.push(Effect::Decide(Call {
                ticket,
                server,
                what,
                arguments,
                trace: None,
                beside: Vec::new(),
            }));
        }
        effects
    }

    /// The lowest level that somebody wants to be told of.
    fn level_again(&mut self, server: usize) -> Option<Effect> {
        let session = self.session.as_ref().and_then(|session| session.log_level.as_deref());
        let session = session.and_then(Level::read);
        let own = self.servers.get(server).and_then(|seat| seat.log_level);
        let level = session.into_iter().chain(own).min()?;
        if !self.offers(server, "logging") {
            return None;
        }
        let params = json!({"level": level.name()}).to_string();
        Some(self.ask(server, Why::Nothing, "logging/setLevel", &params))
    }

    /// Whether a resource that is to be told again is being decided by this name.
    pub(in super::super) fn retells(&self, ticket: u64) -> bool {
        self.servers.iter().any(|seat| seat.kept.told.deciding.contains_key(&ticket))
    }

    /// Whether a resource is told again has been decided.
    pub(in super::super) fn retold_decided(
        &mut self,
        ticket: u64,
        decided: &Decided,
    ) -> Vec<Effect> {
        let found =
            self.servers.iter_mut().enumerate().find_map(|(server, seat)| {
                Some((server, seat.kept.told.deciding.remove(&ticket)?))
            });
        let Some((server, uri)) = found else { return Vec::new() };
        let told = self.servers.get(server).map(|seat| &seat.kept.told);
        let is_wanted = told.is_some_and(|told| told.resources.contains(&uri))
            || self.watched(server).contains(&uri);
        match decided {
            Decided::Permit(_) if !is_wanted => {
                vec![Effect::Ended(ticket, Ended::Unanswered)]
            }
            Decided::Permit(new) => {
                let new = new.as_ref().and_then(|new| new.get("uri")?.as_str());
                let params = json!({"uri": new.unwrap_or(&uri)}).to_string();
                let asked = self.ask(server, Why::Nothing, "resources/subscribe", &params);
                vec![asked, Effect::Ended(ticket, Ended::Answered { bytes: 0 })]
            }
            Decided::Deny(_) => {
                if let Some(seat) = self.servers.get_mut(server) {
                    seat.kept.told.resources.remove(&uri);
                }
                let what = "a resource of the session that it forgot is not subscribed any more: that is denied now";
                vec![odd(Some(server), OddKind::Forgot, what)]
            }
        }
    }

    /// A request of the client is passed on to a server that began with `initialize`.
    pub(in super::super) fn notes_passed(
        &mut self,
        server: usize,
        number: u64,
        what: &Called,
        text: &str,
    ) {
        if self.era(server) == Some(Era::Session)
            && let Some(seat) = self.servers.get_mut(server)
        {
            seat.kept.told.passes((number, &self.sent), what, text);
        }
    }
}
