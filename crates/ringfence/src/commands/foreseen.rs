//! What would become of a connection and of a request over it: what is asked, and how it is said.

use std::fmt::Write as _;
use std::path::PathBuf;

use ringfence_core::{Agent, Clock as _, Decide as _, Facts, Request, Verdict};
use ringfence_policy::grant::GrantText;
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::foresight::{
    Address, Asker, Decision, Foreseen, HostProxies, HostResolver, Registries, Requests, Then,
};
use ringfence_runtime::registries;
use ringfence_runtime::wording::{self, needs, printable, rule_line};
use ringfence_secrets::binding::Binding;
use ringfence_secrets::store::Store;
use serde_json::{Value, json};

use super::decide::verdict;
use super::{context, in_force};
use crate::exit::{Failure, Message};
use crate::screen::Screen;

/// Version of the answer's JSON.
const SCHEMA: u32 = 1;

/// What questions about connections are answered by.
pub(crate) struct Around {
    found: Assembled,
    agent: Agent,
    facts: Facts,
    bindings: Vec<Binding>,
    proxies: HostProxies,
    registries: Registries,
}

/// What no rule changes: programs in a world do not come to this host's loopback by its names.
const OWN_LOCALHOST: &str = "world    nothing of this host is reached there from a world, whatever is permitted: the rest is \
                             for names that lead there, and for servers of tools at that address";

/// Whether names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Where the gate would.
    Real,
    /// Never: the name is an example.
    Never,
}

impl Around {
    /// The policy in force, or that of `files`, and what else counts here.
    pub(crate) fn here(files: &[PathBuf], agent: &str, screen: &Screen) -> Result<Around, Failure> {
        let found = in_force::load(files, screen)?;
        let (clock, _) = HostClock::new(found.settings.time_zone.as_deref())
            .map_err(|error| Message::new(error.to_string()).could_not())?;
        let facts = Facts {
            session: in_force::no_session()?,
            clock: clock.fact(),
            approvals: std::collections::BTreeSet::new(),
            approver_count: 0,
        };
        let (environment, dirs) = (context::environment(), context::dirs_anywhere()?);
        let named = &found.settings.registries;
        let registries = registries::of_host(named, dirs.home(), &environment);
        Ok(Around {
            agent: Agent(agent.to_owned()),
            facts,
            bindings: Store::at(dirs.secrets()).list()?,
            proxies: environment.proxies(),
            registries,
            found,
        })
    }

    pub(crate) fn asker(&self, lookup: Lookup) -> Asker<'_> {
        Asker {
            agent: &self.agent,
            policy: &self.found.policy,
            facts: &self.facts,
            bindings: &self.bindings,
            proxies: &self.proxies,
            resolve: match lookup {
                Lookup::Real => Some(&HostResolver),
                Lookup::Never => None,
            },
            registries: &self.registries,
        }
    }

    /// Which policy answers.
    pub(crate) fn digest(&self) -> &str {
        self.found.policy.digest()
    }

    /// What the policy says of an act.
    pub(crate) fn decide(&self, act: ringfence_core::Act) -> Decision {
        let request = Request { agent: self.agent.clone(), act, process: None };
        let ruling = self.found.policy.decide(&request, &self.facts);
        Decision { request, ruling }
    }
}

/// What it comes to, in words.
pub(crate) fn word(verdict: &Verdict, then: &Then) -> &'static str {
    match (verdict, then) {
        (Verdict::Permit, Then::Fails(_)) => "would fail",
        (Verdict::Permit, _) => "would be permitted",
        (Verdict::Ask(_), _) => "would be asked about",
        (Verdict::Deny, _) => "would be denied",
    }
}

/// Each step and why, a line each.
pub(crate) fn steps(foreseen: &Foreseen) -> Vec<String> {
    let mut out = vec![format!("name     {}", because(&foreseen.name))];
    match &foreseen.then {
        Then::Nothing => {}
        Then::Proxy(proxy) => {
            out.push(format!("proxy    {proxy}, which looks the name up itself"));
        }
        Then::Fails(why) => out.push(format!("address  {}", printable(why))),
        Then::Addresses(all) => {
            out.extend(all.iter().map(|address| format!("address  {}", describe(address))));
        }
    }
    out.push(match &foreseen.requests {
        Requests::Pass => "passes   no rule speaks of the requests: the permit on the name is \
            for all of them"
            .to_owned(),
        Requests::Each => "opened   each request is decided".to_owned(),
        Requests::Refused(why) => {
            format!("opened   this request is refused whatever the policy says: {}", printable(why))
        }
        Requests::Decided(decision) => {
            format!("opened   each request is decided, this one: {}", because(decision))
        }
    });
    // What the rules on the connection say is among what holds for a request.
    let decisive = match &foreseen.requests {
        Requests::Decided(decision) => decision.as_ref(),
        Requests::Pass | Requests::Each | Requests::Refused(_) => &foreseen.name,
    };
    let content = wording::content(&decisive.ruling.grounds.handling);
    out.extend(content.map(|content| format!("content  {content}")));
    out
}

/// The whole of it, for `net test`.
pub(crate) fn as_text(foreseen: &Foreseen) -> String {
    let act = match &foreseen.requests {
        Requests::Decided(decision) => wording::describe(&decision.request.act),
        Requests::Refused(_) => format!("send this to {}", foreseen.endpoint),
        Requests::Each | Requests::Pass => format!("connect to {}", foreseen.endpoint),
    };
    let mut out = format!("{}: {act}\n", word(&foreseen.verdict(), &foreseen.then));
    if foreseen.endpoint.is_localhost() {
        let _ = writeln!(out, "  {OWN_LOCALHOST}");
    }
    for line in steps(foreseen) {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn describe(address: &Address) -> String {
    match &address.special {
        None => address.address.to_string(),
        Some((what, decision)) => {
            format!("{}, {what}: {}", address.address, because(decision))
        }
    }
}

/// A decision in one line.
pub(crate) fn because(decision: &Decision) -> String {
    let rule = rule_line(&decision.ruling.grounds);
    match &decision.ruling.verdict {
        Verdict::Permit => format!("permitted; {rule}"),
        Verdict::Ask(asked) => format!("asked about, {}; {rule}", needs(asked)),
        Verdict::Deny => format!("denied; {rule}"),
    }
}

/// Grants for what stands in the way; none where no gate stands.
pub(crate) fn missing(foreseen: &Foreseen) -> Vec<String> {
    if foreseen.endpoint.is_localhost() {
        return Vec::new();
    }
    let addresses = match &foreseen.then {
        Then::Addresses(all) => all.as_slice(),
        Then::Nothing | Then::Proxy(_) | Then::Fails(_) => &[],
    };
    let by_address = addresses.iter().filter_map(|it| it.special.as_ref()).map(|(_, it)| it);
    let denied = |it: &&Decision| it.ruling.verdict == Verdict::Deny;
    // What a rule forbids no grant permits.
    let helps = |it: &&Decision| it.ruling.grounds.rules.is_empty();
    let request = match &foreseen.requests {
        // A permit on the name covers what is sent, unless a rule says otherwise.
        Requests::Decided(_) if denied(&&foreseen.name) => None,
        Requests::Decided(decision) => Some(decision.as_ref()),
        Requests::Each | Requests::Pass | Requests::Refused(_) => None,
    };
    let all = std::iter::once(&foreseen.name).chain(by_address).chain(request).filter(denied);
    all.filter(helps).filter_map(grant).collect()
}

/// The smallest grant for an act, as a shell takes it.
pub(crate) fn grant(decision: &Decision) -> Option<String> {
    wording::shell_word(&GrantText::smallest(&decision.request).to_string())
}

/// The whole of it, for programs.
pub(crate) fn as_json(foreseen: &Foreseen, digest: &str) -> Value {
    let decision = |it: &Decision| verdict(&it.request, &it.ruling, digest);
    let (proxy, addresses, failure) = match &foreseen.then {
        Then::Nothing => (None, Vec::new(), None),
        Then::Proxy(proxy) => (Some(proxy.to_string()), Vec::new(), None),
        Then::Fails(why) => (None, Vec::new(), Some(why.clone())),
        Then::Addresses(all) => {
            let address = |it: &Address| {
                let special = it.special.as_ref();
                json!({
                    "address": it.address,
                    "special": special.map(|(what, _)| what),
                    "decision": special.map(|(_, it)| decision(it)),
                })
            };
            (None, all.iter().map(address).collect(), None)
        }
    };
    json!({
        "schema": SCHEMA,
        "endpoint": foreseen.endpoint,
        "verdict": name_of(&foreseen.verdict()),
        "name": decision(&foreseen.name),
        "proxy": proxy,
        "addresses": addresses,
        "failure": failure,
        "refused": match &foreseen.requests {
            Requests::Refused(why) => Some(why),
            Requests::Decided(_) | Requests::Each | Requests::Pass => None,
        },
        "opened": !matches!(foreseen.requests, Requests::Pass),
        "request": match &foreseen.requests {
            Requests::Decided(it) => Some(decision(it)),
            Requests::Each | Requests::Pass | Requests::Refused(_) => None,
        },
    })
}

/// A verdict as one word.
pub(crate) fn name_of(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Permit => "permit",
        Verdict::Ask(_) => "ask",
        Verdict::Deny => "deny",
    }
}
