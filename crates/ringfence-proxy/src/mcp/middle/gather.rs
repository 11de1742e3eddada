//! Lists of several servers as one: every page of each is asked for, and the client gets it whole.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_json::value::RawValue;

use super::super::edit;
use super::super::frame::{
    Answer, INVALID_PARAMS, METHOD_NOT_FOUND, Members, Message, quoted, result_answer, string,
};
use super::asker::Asker;
use super::beside;
use super::client::Asked;
use super::{Effect, Middle, Name, OddKind, UnderWay, Why, odd};

/// Most pages of one list of one server.
pub(super) const PAGES_MAX: usize = 100;
/// Most items of one list, of all servers together.
pub(super) const ITEMS_MAX: usize = 10_000;
/// Most bytes of one list, of all servers together.
pub(super) const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most resources whose server is remembered.
const RESOURCES_MAX: usize = 100_000;

/// What is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
    /// Nothing but that all have answered.
    Nothing,
}

impl List {
    pub(super) fn of(method: &str) -> Option<List> {
        let all = [List::Tools, List::Prompts, List::Resources, List::Templates];
        all.into_iter().find(|list| list.method() == method)
    }

    fn method(self) -> &'static str {
        match self {
            List::Tools => "tools/list",
            List::Prompts => "prompts/list",
            List::Resources => "resources/list",
            List::Templates => "resources/templates/list",
            List::Nothing => "",
        }
    }

    /// What the result calls the list.
    fn key(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Resources => "resources",
            List::Templates => "resourceTemplates",
            List::Nothing => "",
        }
    }

    /// The parameters that its servers have of the client's request.
    fn own(self) -> &'static [&'static str] {
        match self {
            List::Nothing => &["level"],
            List::Tools | List::Prompts | List::Resources | List::Templates => &[],
        }
    }

    /// What a server says that it has if it has such a list.
    fn capability(self) -> &'static str {
        match self {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Resources | List::Templates => "resources",
            List::Nothing => "",
        }
    }
}

/// A list that is being gathered.
#[derive(Debug)]
pub(super) struct Gathered {
    name: Name,
    asker: Asker,
    list: List,
    bytes: usize,
    /// Who has not answered to the end, and how many pages came.
    left: BTreeMap<usize, usize>,
    /// Items by server, in their order.
    items: BTreeMap<usize, Vec<String>>,
    /// What else a result had, of the only server.
    rest: Vec<(String, String)>,
    /// An error that somebody answered with, as JSON.
    failed: Option<String>,
}

impl Gathered {
    pub(super) fn is_of_tools(&self) -> bool {
        self.list == List::Tools
    }
}

impl Middle {
    pub(super) fn gather(&mut self, list: List, asked: &Asked<'_>) -> Vec<Effect> {
        if super::text_param(asked.message, asked.params, "cursor").is_some() {
            // None was given out: a list is always whole.
            let told = "there is no such `cursor`";
            return vec![self.answer_error(&asked.name, INVALID_PARAMS, told)];
        }
        let all: Vec<usize> =
            self.present().filter(|server| self.offers(*server, list.capability())).collect();
        if all.is_empty() && !(list == List::Tools && self.is_alone()) {
            let told = format!("no server has {}", list.capability());
            return vec![self.answer_error(&asked.name, METHOD_NOT_FOUND, &told)];
        }
        self.gather_from(list, asked, &all)
    }

    pub(super) fn gather_from(
        &mut self,
        list: List,
        asked: &Asked<'_>,
        all: &[usize],
    ) -> Vec<Effect> {
        let number = self.number();
        self.under_way.insert(asked.name.clone(), UnderWay::Gathering(number));
        let gathered = Gathered {
            name: asked.name.clone(),
            asker: asked.asker.clone(),
            list,
            bytes: 0,
            left: all.iter().map(|server| (*server, 0)).collect(),
            items: BTreeMap::new(),
            rest: Vec::new(),
            failed: None,
        };
        if all.is_empty() {
            return self.gathered_so_far(number, gathered).into_iter().collect();
        }
        self.gathered.insert(number, gathered);
        let own = list.own();
        let more = beside::beyond(asked.message, (asked.params, own));
        let told = (!more.is_empty()).then(|| {
            let what = format!("`{}` with more than it has: {}", asked.method, more.join(", "));
            odd(None, OddKind::OutOfPlace, what)
        });
        let ask = |server: &usize| {
            let text = self.list_request(*server, &asked.asker, (asked.message, own));
            let name = self.number();
            self.is_sent(name, *server, Why::Gathering(number));
            Effect::ToServer(*server, text)
        };
        all.iter().map(ask).chain(told).collect()
    }

    /// A page has come, or an error in its place.
    pub(super) fn page(
        &mut self,
        (number, server): (u64, usize),
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        let Some(mut gathered) = self.gathered.remove(&number) else { return Vec::new() };
        let mut effects = Vec::new();
        let next = match answer {
            Answer::Error(at) => {
                gathered.failed = Some(message.part(at).to_owned());
                None
            }
            Answer::Result(at) => match self.take_page(&mut gathered, server, message.part(at)) {
                Ok(next) => next,
                Err(what) => {
                    effects.push(odd(Some(server), OddKind::BadList, what));
                    None
                }
            },
        };
        let pages = gathered.left.get(&server).copied().unwrap_or_default().saturating_add(1);
        match next {
            Some(cursor) if pages < PAGES_MAX => {
                gathered.left.insert(server, pages);
                let params = self.own_params(server, Some(("cursor", Some(quoted(&cursor)))));
                effects.push(self.ask(
                    server,
                    Why::Gathering(number),
                    gathered.list.method(),
                    &params,
                ));
            }
            Some(_) => {
                let what = format!("a list of more than {PAGES_MAX} pages");
                effects.push(odd(Some(server), OddKind::TooMuch, what));
                gathered.left.remove(&server);
            }
            None => {
                gathered.left.remove(&server);
            }
        }
        effects.extend(self.gathered_so_far(number, gathered));
        effects
    }

    /// Nothing more comes from a server.
    pub(super) fn gathers_no_more_from(&mut self, server: usize) -> Vec<Effect> {
        let numbers: Vec<u64> = self.gathered.keys().copied().collect();
        let mut effects = Vec::new();
        for number in numbers {
            let Some(mut gathered) = self.gathered.remove(&number) else { continue };
            if gathered.left.remove(&server).is_some() {
                let error = r#"{"code":-32603,"message":"the server has ended"}"#;
                gathered.failed = Some(error.to_owned());
            }
            effects.extend(self.gathered_so_far(number, gathered));
        }
        effects
    }

    fn gathered_so_far(&mut self, number: u64, gathered: Gathered) -> Option<Effect> {
        if !gathered.left.is_empty() {
            self.gathered.insert(number, gathered);
            return None;
        }
        let Gathered { name, asker, list, items, rest, failed, .. } = gathered;
        // Of several servers those that answer are heard.
        if let Some(error) = failed.filter(|_| items.is_empty()) {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, name.id.json());
            return Some(self.answer(&name, text));
        }
        let mut members: Vec<String> =
            rest.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        if list != List::Nothing {
            let all: Vec<String> = items.into_values().flatten().collect();
            members.insert(0, format!("{}:[{}]", quoted(list.key()), all.join(",")));
        }
        let result = format!("{{{}}}", members.join(","));
        let result = match asker {
            Asker::Session => edit::object(Some(&result), &[("resultType", None)]),
            // Each agent sees other tools: nobody keeps a list for another.
            Asker::Modern(_) => {
                let ttl = rest.iter().find(|(name, _)| name == "ttlMs");
                let changes = [
                    ("resultType", Some(quoted("complete"))),
                    ("ttlMs", Some(ttl.map_or_else(|| "0".to_owned(), |(_, ttl)| ttl.clone()))),
                    ("cacheScope", Some(quoted("private"))),
                ];
                edit::object(Some(&result), &changes)
            }
        };
        Some(self.answer(&name, result_answer(&name.id, &result)))
    }

    /// Takes the items of a page; the cursor of the next one.
    fn take_page(
        &mut self,
        gathered: &mut Gathered,
        server: usize,
        result: &str,
    ) -> Result<Option<String>, String> {
        let members = Members::of(result).ok_or("a result that is no object")?;
        let into = gathered.items.entry(server).or_default();
        if gathered.list == List::Nothing {
            return Ok(None);
        }
        gathered.bytes = gathered.bytes.saturating_add(result.len());
        if gathered.bytes > LIST_BYTES_MAX {
            return Err(format!("a list of more than {LIST_BYTES_MAX} bytes"));
        }
        let list = gathered.list;
        let raw =
            members.get(list.key()).ok_or_else(|| format!("a list without `{}`", list.key()))?;
        let items: Vec<&RawValue> =
            serde_json::from_str(raw).map_err(|_| format!("`{}` is no list", list.key()))?;
        let known: BTreeSet<&str> = ["nextCursor", list.key()].into();
        if !self.is_merged() {
            let rest = members.iter().filter(|(name, _)| !known.contains(name));
            gathered.rest = rest.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        }
        for item in items {
            if into.len() >= ITEMS_MAX {
                return Err(format!("a list of more than {ITEMS_MAX} items"));
            }
            into.extend(self.take_item(list, server, item.get()));
        }
        let next = members.get("nextCursor").filter(|raw| *raw != "null");
        next.map(|raw| {
            string(raw)
                .map(std::borrow::Cow::into_owned)
                .ok_or("`nextCursor` is no text".to_owned())
        })
        .transpose()
    }

    /// An item as the client sees it; `None` where it does not.
    fn take_item(&mut self, list: List, server: usize, item: &str) -> Option<String> {
        let members = Members::of(item)?;
        match list {
            List::Tools => {
                let name = string(members.get("name")?)?;
                let tool: Value = serde_json::from_str(item).ok()?;
                (self.shown)(server, &name, &tool).then(|| self.renamed(server, item, &members))?
            }
            List::Prompts => self.renamed(server, item, &members),
            List::Resources | List::Templates => {
                let key = if list == List::Resources { "uri" } else { "uriTemplate" };
                let uri = string(members.get(key)?)?.into_owned();
                if self.resources.len() < RESOURCES_MAX {
                    // Who lists it first has it: another server does not take it over.
                    self.resources.entry(uri).or_insert(server);
                }
                Some(item.to_owned())
            }
            List::Nothing => None,
        }
    }

    fn renamed(&self, server: usize, item: &str, members: &Members<'_>) -> Option<String> {
        let name = string(members.get("name")?)?;
        if !self.is_merged() {
            return Some(item.to_owned());
        }
        let at = members.at("name")?;
        let (before, behind) = (item.get(..at.start)?, item.get(at.end..)?);
        Some(format!("{before}{}{behind}", quoted(&self.qualified(server, &name))))
    }
}
