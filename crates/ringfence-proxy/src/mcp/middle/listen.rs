//! Changes that the client listens to, and what we listen to at servers for that.
//!
//! A client of 2026-07-28 says in `subscriptions/listen` what it wants to be told; one in a session is told of
//! changed lists, and of resources that it subscribed. Each resource is decided as `resources/subscribe`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::frame::{INTERNAL_ERROR, INVALID_PARAMS, Kind, Members, Message};
use super::asker::SUBSCRIPTION;
use super::client::Asked;
use super::tells::subscribed;
use super::watch::{User, Waiter, Watch};
use super::{Call, Called, Decided, Effect, Ended, Era, Middle, Name, UnderWay, value_param};

/// Most subscriptions of one client that are open.
const LISTENS_MAX: usize = 64;

/// Most resources of one subscription.
const URIS_MAX: usize = 256;

/// A subscription of the client.
#[derive(Debug)]
pub(super) struct Listen {
    name: Name,
    /// Notifications of changed lists that it wants.
    lists: BTreeSet<&'static str>,
    pub(super) uris: BTreeSet<(usize, String)>,
    /// Resources about which nothing is known yet, by their tickets.
    left: Vec<(u64, usize, String)>,
    /// How many resources servers have been asked for.
    pub(super) watching: usize,
    is_acknowledged: bool,
}

/// What can be listened to besides resources: in the filter, and the notification.
pub(super) const LISTS: [(&str, &str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed", "tools"),
    ("promptsListChanged", "notifications/prompts/list_changed", "prompts"),
    ("resourcesListChanged", "notifications/resources/list_changed", "resources"),
];

impl Middle {
    /// The client wants to be told of changes.
    pub(super) fn listen(&mut self, asked: &Asked<'_>) -> Vec<Effect> {
        let wrong = |told: &str| (INVALID_PARAMS, told.to_owned());
        let filter = value_param(asked.message, asked.params, "notifications");
        let uris = filter.as_ref().map(resources_of);
        let refused = match &uris {
            None => Some(wrong("`subscriptions/listen` needs `notifications`")),
            Some(None) => Some(wrong("`resourceSubscriptions` is no list of addresses")),
            Some(Some(all)) if all.len() > URIS_MAX => Some(wrong("too many resources at once")),
            _ if self.listens.len() >= LISTENS_MAX => {
                Some((INTERNAL_ERROR, "too many subscriptions are open".to_owned()))
            }
            Some(Some(_)) => None,
        };
        if let Some((code, told)) = refused {
            return vec![self.answer_error(&asked.name, code, &told)];
        }
        let filter = filter.unwrap_or_default();
        let wants = |(key, _, kind): &(&str, &str, &str)| {
            filter.get(key) == Some(&Value::Bool(true)) && self.changes(kind)
        };
        let lists = LISTS.into_iter().filter(wants).map(|(_, method, _)| method).collect();
        let number = self.number();
        let (name, is_acknowledged) = (asked.name.clone(), false);
        self.under_way.insert(name.clone(), UnderWay::Listening(number));
        let (left, uris_of) = (Vec::new(), BTreeSet::new());
        let listen = Listen { name, lists, uris: uris_of, left, watching: 0, is_acknowledged };
        self.listens.insert(number, listen);
        let mut effects = Vec::new();
        for uri in uris.flatten().unwrap_or_default() {
            let Some(server) = self.server_of(&uri) else { continue };
            if self.capability(server, "resources/subscribe") != Some(&Value::Bool(true)) {
                continue;
            }
            let ticket = self.number();
            let arguments = json!({"uri": uri});
            if let Some(listen) = self.listens.get_mut(&number) {
                listen.left.push((ticket, server, uri));
            }
            let what = Called::Method("resources/subscribe".to_owned());
            effects.push(Effect::Decide(Call {
                ticket,
                server,
                what,
                arguments,
                trace: None,
                beside: Vec::new(),
            }));
        }
        effects.extend(self.acknowledge(number));
        effects
    }

    /// Whether any server tells when these change.
    fn changes(&self, kind: &str) -> bool {
        let path = format!("{kind}/listChanged");
        self.present().any(|server| self.capability(server, &path) == Some(&Value::Bool(true)))
    }

    pub(super) fn listen_awaits(&self, ticket: u64) -> bool {
        let is_it = |listen: &Listen| listen.left.iter().any(|(of, _, _)| *of == ticket);
        self.listens.values().any(is_it) || self.retells(ticket)
    }

    /// Whether a resource may be listened to has been decided.
    pub(super) fn listen_decided(&mut self, ticket: u64, decided: &Decided) -> Vec<Effect> {
        let found = self.listens.iter_mut().find_map(|(number, listen)| {
            let at = listen.left.iter().position(|(of, _, _)| *of == ticket)?;
            let (_, server, uri) = listen.left.remove(at);
            Some((*number, listen, server, uri))
        });
        let Some((number, listen, server, uri)) = found else {
            return self.retold_decided(ticket, decided);
        };
        match decided {
            Decided::Permit(_) => {
                listen.watching = listen.watching.saturating_add(1);
                self.watch((server, uri), Waiter::Listen(number, ticket))
            }
            Decided::Deny(_) => self.acknowledge(number).into_iter().collect(),
        }
    }

    /// Tells the client what it will be told, once all of that is known.
    pub(super) fn acknowledge(&mut self, number: u64) -> Option<Effect> {
        let listen = self.listens.get_mut(&number)?;
        if listen.is_acknowledged || !listen.left.is_empty() || listen.watching > 0 {
            return None;
        }
        listen.is_acknowledged = true;
        let mut filter = Map::new();
        for (key, method, _) in LISTS {
            if listen.lists.contains(method) {
                filter.insert(key.to_owned(), Value::Bool(true));
            }
        }
        if !listen.uris.is_empty() {
            let uris: Vec<&String> = listen.uris.iter().map(|(_, uri)| uri).collect();
            filter.insert("resourceSubscriptions".to_owned(), json!(uris));
        }
        let id = listen.name.id.json();
        let filter = Value::Object(filter);
        let text = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION}":{id}}},"notifications":{filter}}}}}"#
        );
        Some(Effect::to(listen.name.stream, text))
    }

    /// The client listens no more.
    pub(super) fn listens_no_more(&mut self, number: u64) -> Vec<Effect> {
        let Some(listen) = self.listens.remove(&number) else { return Vec::new() };
        let mut effects: Vec<Effect> =
            listen.left.iter().map(|(ticket, _, _)| Effect::Withdraw(*ticket)).collect();
        let of_it = |watch: &Watch| {
            watch.users.contains(&User::Listen(number))
                || watch
                    .waiters
                    .iter()
                    .any(|it| matches!(it, Waiter::Listen(of, _) if *of == number))
        };
        let watches: Vec<u64> =
            self.watches.iter().filter(|(_, watch)| of_it(watch)).map(|(at, _)| *at).collect();
        for at in watches {
            let Some(watch) = self.watches.get_mut(&at) else { continue };
            watch.users.remove(&User::Listen(number));
            watch.waiters.retain(|waiter| match waiter {
                Waiter::Listen(of, ticket) if *of == number => {
                    effects.push(Effect::Ended(*ticket, Ended::Unanswered));
                    false
                }
                Waiter::Listen(..) | Waiter::Session(..) => true,
            });
            effects.extend(self.unwatch_if_unused(at));
        }
        effects
    }

    /// A list of a server has changed.
    pub(super) fn changed(
        &mut self,
        server: usize,
        message: &Message,
        method: &str,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.session.is_some() {
            effects.push(Effect::ToClient(self.for_session(server, message)));
        }
        let all = self.listens.values().filter(|listen| listen.is_acknowledged);
        for listen in all.filter(|listen| listen.lists.contains(method)) {
            let text = subscribed(message, Some(&listen.name.id));
            effects.push(Effect::to(listen.name.stream, text));
        }
        effects
    }

    /// The client may see other tools than before, whatever their servers say.
    pub(super) fn tools_changed_for_all(&self) -> Vec<Effect> {
        let method = "notifications/tools/list_changed";
        let mut effects = Vec::new();
        if self.session.is_some() {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#);
            effects.push(Effect::ToClient(text));
        }
        let all = self.listens.values().filter(|listen| listen.is_acknowledged);
        for listen in all.filter(|listen| listen.lists.contains(method)) {
            let (id, stream) = (listen.name.id.json(), listen.name.stream);
            let meta = format!(r#"{{"_meta":{{"{SUBSCRIPTION}":{id}}}}}"#);
            let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{meta}}}"#);
            effects.push(Effect::to(stream, text));
        }
        effects
    }

    /// A resource of a server has changed.
    pub(super) fn updated(&mut self, server: usize, message: &Message) -> Vec<Effect> {
        let Kind::Notification { params: Some(at), .. } = message.kind() else { return Vec::new() };
        let members = Members::of(message.part(at));
        let uri = members.and_then(|all| super::string(all.get("uri")?)).unwrap_or_default();
        let of = (server, uri.into_owned());
        let is_subscribed = self
            .watches
            .values()
            .any(|watch| watch.is_of(server, &of.1) && watch.users.contains(&User::Session));
        let mut effects = Vec::new();
        if self.session.is_some() && (is_subscribed || self.era(server) == Some(Era::Session)) {
            effects.push(Effect::ToClient(self.for_session(server, message)));
        }
        let all = self.listens.values().filter(|listen| listen.is_acknowledged);
        for listen in all.filter(|listen| listen.uris.contains(&of)) {
            let text = subscribed(message, Some(&listen.name.id));
            effects.push(Effect::to(listen.name.stream, text));
        }
        effects
    }

    fn for_session(&self, server: usize, message: &Message) -> String {
        match self.era(server) {
            Some(Era::Modern) => subscribed(message, None),
            Some(Era::Session) | None => message.text().to_owned(),
        }
    }
}

/// The resources that a filter names; `None` where that is no list of texts.
fn resources_of(filter: &Value) -> Option<Vec<String>> {
    let all = match filter.get("resourceSubscriptions") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(all) => all.as_array()?,
    };
    let texts: BTreeSet<String> =
        all.iter().map(|uri| uri.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    Some(texts.into_iter().collect())
}
