//! What we listen to at servers: their lists, and resources for whoever wants to be told of them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::frame::{Answer, Id, Kind, Members, Message, result_answer};
use super::asker::SUBSCRIPTION;
use super::listen::LISTS;
use super::{Effect, Ended, Era, Middle, Name, OddKind, UnderWay, Why, odd};

/// Most resources that are watched at all servers.
const WATCHES_MAX: usize = 1_024;

/// How often what we listen to is asked for again where a server ends it at once.
const REOPENED_MAX: u32 = 8;

/// How long it has to go on so that its end is none that counts: whoever is between ends idle streams.
const LASTED_MS: u64 = 20_000;

/// Something that we listen to.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) server: usize,
    /// A resource; `None` for the server's lists.
    uri: Option<String>,
    /// Whether the server has agreed.
    is_granted: bool,
    since_ms: u64,
    pub(super) users: BTreeSet<User>,
    pub(super) waiters: Vec<Waiter>,
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum User {
    Session,
    Listen(u64),
}

/// Who waits to be told whether it is watched.
#[derive(Debug)]
pub(super) enum Waiter {
    Session(Name, u64),
    Listen(u64, u64),
}

impl Middle {
    /// The client of a session subscribes a resource of a server that knows no sessions.
    pub(super) fn subscribe(
        &mut self,
        name: Name,
        (server, uri): (usize, String),
        ticket: u64,
    ) -> Vec<Effect> {
        self.watch((server, uri), Waiter::Session(name, ticket))
    }

    pub(super) fn unsubscribe(
        &mut self,
        name: &Name,
        (server, uri): (usize, String),
        ticket: u64,
    ) -> Vec<Effect> {
        let told = self.answer(name, result_answer(&name.id, "{}"));
        let mut effects = vec![told, Effect::Ended(ticket, Ended::Answered { bytes: 0 })];
        let found = self.watches.iter().find(|(_, watch)| watch.is_of(server, &uri));
        if let Some(at) = found.map(|(at, _)| *at) {
            if let Some(watch) = self.watches.get_mut(&at) {
                watch.users.remove(&User::Session);
            }
            effects.extend(self.unwatch_if_unused(at));
        }
        effects
    }

    /// Who wanted to subscribe does not any more.
    pub(super) fn watcher_gone(&mut self, at: u64, name: &Name) -> Vec<Effect> {
        let Some(watch) = self.watches.get_mut(&at) else { return Vec::new() };
        let mut effects = Vec::new();
        watch.waiters.retain(|waiter| match waiter {
            Waiter::Session(of, ticket) if of == name => {
                effects.push(Effect::Ended(*ticket, Ended::Unanswered));
                false
            }
            Waiter::Session(..) | Waiter::Listen(..) => true,
        });
        effects.extend(self.unwatch_if_unused(at));
        effects
    }

    /// Listens to a resource for somebody.
    pub(super) fn watch(&mut self, (server, uri): (usize, String), waiter: Waiter) -> Vec<Effect> {
        let found = self.watches.iter().find(|(_, watch)| watch.is_of(server, &uri));
        if let Some((at, is_granted)) = found.map(|(at, watch)| (*at, watch.is_granted)) {
            if let Some(watch) = self.watches.get_mut(&at) {
                watch.waiters.push(waiter);
            }
            return if is_granted { self.granted(at) } else { Vec::new() };
        }
        let at = self.number();
        if let Waiter::Session(name, _) = &waiter {
            self.under_way.insert(name.clone(), UnderWay::Watching(at));
        }
        let (users, waiters) = (BTreeSet::new(), vec![waiter]);
        let is_full = self.watches.len() >= WATCHES_MAX;
        let (uri_of, since_ms) = (Some(uri.clone()), self.now_ms);
        let watch = Watch { server, uri: uri_of, is_granted: false, since_ms, users, waiters };
        self.watches.insert(at, watch);
        if is_full {
            return self.not_granted(at, None);
        }
        match self.era(server) {
            Some(Era::Modern) => {
                vec![self.open(at, server, &json!({"resourceSubscriptions": [uri]}))]
            }
            Some(Era::Session) | None => {
                let params = json!({"uri": uri}).to_string();
                vec![self.ask(server, Why::Watch(at), "resources/subscribe", &params)]
            }
        }
    }

    fn open(&mut self, at: u64, server: usize, filter: &Value) -> Effect {
        let params = self.own_params(server, Some(("notifications", Some(filter.to_string()))));
        self.ask_as(at, (server, Why::Watch(at)), "subscriptions/listen", &params)
    }

    /// Listens to the lists of a server that has begun.
    pub(super) fn start_listening(&mut self, server: usize) -> Vec<Effect> {
        let mut filter = Map::new();
        for (key, _, kind) in LISTS {
            let path = format!("{kind}/listChanged");
            if self.capability(server, &path) == Some(&Value::Bool(true)) {
                filter.insert(key.to_owned(), Value::Bool(true));
            }
        }
        if filter.is_empty() {
            return Vec::new();
        }
        let at = self.number();
        let (users, waiters) = (BTreeSet::new(), Vec::new());
        let since_ms = self.now_ms;
        let watch = Watch { server, uri: None, is_granted: false, since_ms, users, waiters };
        self.watches.insert(at, watch);
        vec![self.open(at, server, &Value::Object(filter))]
    }

    /// A server agrees to tell.
    pub(super) fn acknowledged(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let at = subscription(message).and_then(|id| id.as_number());
        let is_its = |at: &u64| self.watches.get(at).is_some_and(|watch| watch.server == server);
        let Some(at) = at.filter(is_its) else {
            let what = "an acknowledgement of nothing";
            return vec![odd(Some(server), OddKind::UnknownAnswer, what)];
        };
        let Kind::Notification { params: Some(params), .. } = message.kind() else {
            return Vec::new();
        };
        let agreed = Members::of(message.part(params))
            .and_then(|all| serde_json::from_str::<Value>(all.get("notifications")?).ok())
            .unwrap_or_default();
        let has = |uri: &String| {
            let all = agreed.get("resourceSubscriptions").and_then(Value::as_array);
            all.is_some_and(|all| all.iter().any(|it| it.as_str() == Some(uri)))
        };
        let agrees = self.watches.get(&at).is_some_and(|watch| watch.uri.as_ref().is_none_or(has));
        if agrees { self.granted(at) } else { self.not_granted(at, None) }
    }

    /// A server has answered whether it tells, or that it does not any more.
    pub(super) fn watch_answered(
        &mut self,
        at: u64,
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        let Some(watch) = self.watches.get(&at) else { return Vec::new() };
        match (answer, self.era(watch.server)) {
            (Answer::Result(_), Some(Era::Session)) => self.granted(at),
            (Answer::Result(_), Some(Era::Modern) | None) => self.watch_over(at),
            // Over HTTP a stream may break off.
            (Answer::Error(_), Some(Era::Modern)) if watch.is_granted => self.watch_over(at),
            (Answer::Error(error), _) => {
                let error = message.part(error).to_owned();
                self.not_granted(at, Some(&error))
            }
        }
    }

    /// A server of 2026-07-28 ends what we listen to.
    pub(super) fn watch_ends(&mut self, server: usize, id: &Id) -> Vec<Effect> {
        let at = id.as_number();
        let is_its = |at: &u64| self.watches.get(at).is_some_and(|watch| watch.server == server);
        let Some(at) = at.filter(is_its) else {
            let what = "`notifications/cancelled` of something else than a subscription";
            return vec![odd(Some(server), OddKind::OutOfPlace, what)];
        };
        self.sent.remove(&at);
        self.watch_over(at)
    }

    /// It is asked for again, but not for ever.
    fn watch_over(&mut self, at: u64) -> Vec<Effect> {
        let Some(watch) = self.watches.remove(&at) else { return Vec::new() };
        let Some(seat) = self.servers.get_mut(watch.server).filter(|seat| !seat.is_gone) else {
            return Vec::new();
        };
        let lasted = self.now_ms.saturating_sub(watch.since_ms) >= LASTED_MS;
        seat.reopened = if lasted { 0 } else { seat.reopened.saturating_add(1) };
        if seat.reopened > REOPENED_MAX {
            self.watches.insert(at, watch);
            return self.not_granted(at, None);
        }
        let server = watch.server;
        let Some(uri) = watch.uri.clone() else {
            // What has changed meanwhile nobody was told.
            let mut effects = self.start_listing(server);
            effects.extend(self.start_listening(server));
            return effects;
        };
        let new = self.number();
        let since_ms = self.now_ms;
        self.watches.insert(new, Watch { is_granted: false, since_ms, ..watch });
        vec![self.open(new, server, &json!({"resourceSubscriptions": [uri]}))]
    }

    fn granted(&mut self, at: u64) -> Vec<Effect> {
        let Some(watch) = self.watches.get_mut(&at) else { return Vec::new() };
        watch.is_granted = true;
        let (server, uri) = (watch.server, watch.uri.clone().unwrap_or_default());
        let waiters = std::mem::take(&mut watch.waiters);
        watch.users.extend(waiters.iter().map(|waiter| match waiter {
            Waiter::Session(..) => User::Session,
            Waiter::Listen(number, _) => User::Listen(*number),
        }));
        let mut effects = Vec::new();
        for waiter in waiters {
            match waiter {
                Waiter::Session(name, ticket) => {
                    effects.push(self.answer(&name, result_answer(&name.id, "{}")));
                    effects.push(Effect::Ended(ticket, Ended::Answered { bytes: 0 }));
                }
                Waiter::Listen(number, ticket) => {
                    effects.push(Effect::Ended(ticket, Ended::Answered { bytes: 0 }));
                    if let Some(listen) = self.listens.get_mut(&number) {
                        listen.uris.insert((server, uri.clone()));
                        listen.watching = listen.watching.saturating_sub(1);
                    }
                    effects.extend(self.acknowledge(number));
                }
            }
        }
        effects
    }

    fn not_granted(&mut self, at: u64, error: Option<&str>) -> Vec<Effect> {
        let Some(watch) = self.watches.remove(&at) else { return Vec::new() };
        let plain = r#"{"code":-32602,"message":"the server does not tell of this resource"}"#;
        let mut effects = Vec::new();
        for waiter in watch.waiters {
            match waiter {
                Waiter::Session(name, ticket) => {
                    let (id, error) = (name.id.json(), error.unwrap_or(plain));
                    let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
                    effects.push(self.answer(&name, text));
                    effects.push(Effect::Ended(ticket, Ended::Failed { bytes: 0 }));
                }
                Waiter::Listen(number, ticket) => {
                    effects.push(Effect::Ended(ticket, Ended::Failed { bytes: 0 }));
                    if let Some(listen) = self.listens.get_mut(&number) {
                        listen.watching = listen.watching.saturating_sub(1);
                    }
                    effects.extend(self.acknowledge(number));
                }
            }
        }
        effects
    }

    pub(super) fn unwatch_if_unused(&mut self, at: u64) -> Vec<Effect> {
        let Some(watch) = self.watches.get(&at) else { return Vec::new() };
        if !watch.users.is_empty() || !watch.waiters.is_empty() {
            return Vec::new();
        }
        let (server, uri) = (watch.server, watch.uri.clone().unwrap_or_default());
        self.watches.remove(&at);
        match self.era(server) {
            Some(Era::Modern) => {
                self.sent.remove(&at);
                vec![Effect::ToServer(server, super::asks::cancelled(at))]
            }
            Some(Era::Session) => {
                let params = json!({"uri": uri}).to_string();
                vec![self.ask(server, Why::Nothing, "resources/unsubscribe", &params)]
            }
            None => Vec::new(),
        }
    }

    /// The resources of a server that somebody is told of by us.
    pub(super) fn watched(&self, server: usize) -> BTreeSet<String> {
        let of_it = self.watches.values().filter(|watch| watch.server == server);
        let used = of_it.filter(|watch| watch.is_granted && !watch.users.is_empty());
        used.filter_map(|watch| watch.uri.clone()).collect()
    }

    /// A server is gone: it tells nothing any more.
    pub(super) fn watches_no_more(&mut self, server: usize) -> Vec<Effect> {
        let of_it = self.watches.iter().filter(|(_, watch)| watch.server == server);
        let of_it: Vec<u64> = of_it.map(|(at, _)| *at).collect();
        of_it.into_iter().flat_map(|at| self.not_granted(at, None)).collect()
    }
}

impl Watch {
    pub(super) fn is_of(&self, server: usize, uri: &str) -> bool {
        self.server == server && self.uri.as_deref() == Some(uri)
    }
}

/// To which subscription a notification belongs.
fn subscription(message: &Message) -> Option<Id> {
    let Kind::Notification { params: Some(at), .. } = message.kind() else { return None };
    let meta = Members::of(Members::of(message.part(at))?.get("_meta")?)?;
    Id::read(meta.get(SUBSCRIPTION)?)
}
