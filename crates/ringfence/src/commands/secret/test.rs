//! `secret test`: whether a value can be read, and what would become of each use: the connection, the
//! request over it, and the use itself.

use std::fmt::Write as _;

use ringfence_core::{Act, Endpoint, Host, HttpParts, HttpRequest, Scheme, SecretUse, Verdict};
use ringfence_runtime::foresight::{Decision, Foreseen, Sent, Then, foresee, strictness};
use ringfence_runtime::wording::printable;
use ringfence_secrets::binding::{Binding, HostRule, Slot};
use ringfence_secrets::held::Occasion;
use ringfence_secrets::place::Backend;
use ringfence_secrets::store::{Store, StoreError};
use serde_json::json;

use super::super::decide;
use super::super::foreseen::{
    Around, Lookup, as_json, because, grant, missing, name_of, steps, word,
};
use super::{fetched, keys};
use crate::cli::SecretTestArgs;
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// One use, all the way.
struct Whole {
    foreseen: Foreseen,
    used: Decision,
    /// Whether the host is one of those that the secret is for, or an example of them.
    lookup: Lookup,
}

pub(super) fn test(args: &SecretTestArgs, store: &Store, screen: &Screen) -> Result<Done, Failure> {
    let binding = match store.binding(&args.name) {
        Err(error @ StoreError::Unknown(_)) => {
            return Err(keys::no_secret(&args.name, screen)?.unwrap_or_else(|| error.into()));
        }
        found => found?,
    };
    let uses = binding.hosts.iter().map(|host| used(&binding, host, args));
    let uses = uses.collect::<Result<Vec<_>, _>>()?;
    // What cannot be read has no use to be decided.
    try_each((store, screen), (&binding, &uses), &args.agent)?;
    let around = Around::here(&args.policy, &args.agent, screen)?;
    let each = uses.into_iter().zip(&binding.hosts).filter_map(|(used, host)| {
        let endpoint = used.endpoint.clone()?;
        let lookup = match host {
            HostRule::Exactly(_) => Lookup::Real,
            HostRule::Beneath(_) => Lookup::Never,
        };
        let sent = Sent { http: request(&binding, &used, &endpoint), age_hours: 0 };
        let foreseen = foresee(endpoint, Some(sent), &around.asker(lookup));
        Some(Whole { foreseen, used: around.decide(Act::UseSecret(used)), lookup })
    });
    let each: Vec<Whole> = each.collect();
    let digest = around.digest();
    let strictest = each.iter().map(Whole::verdict).max_by_key(strictness);
    if args.json {
        let uses = each.iter().map(|it| decide::verdict(&it.used.request, &it.used.ruling, digest));
        let connections = each.iter().map(|it| as_json(&it.foreseen, digest));
        screen.json(&json!({
            "schema": SCHEMA,
            "secret": super::as_json(&binding),
            "readable": true,
            "verdict": strictest.as_ref().map(name_of),
            "uses": uses.collect::<Vec<_>>(),
            "connections": connections.collect::<Vec<_>>(),
        }))?;
    } else {
        screen.data(&told(&binding, &each))?;
        for grant in grants(&each) {
            screen.hint(&format!(
                "to permit it in this project from now on, run `ringfence grant {grant} --always`"
            ));
        }
        for domain in domains(&binding, &each) {
            screen.hint(&format!(
                "to permit connections to its hosts, add a rule: permit (principal, action == \
                 Action::\"net.connect\", resource in Domain::\"{domain}\");"
            ));
        }
    }
    let fails = each.iter().any(|it| matches!(it.foreseen.then, Then::Fails(_)));
    Ok(match strictest {
        Some(Verdict::Deny) | None => Done::No,
        Some(Verdict::Ask(_)) => Done::Ask,
        Some(Verdict::Permit) if fails => Done::No,
        Some(Verdict::Permit) => Done::Yes,
    })
}

impl Whole {
    fn verdict(&self) -> Verdict {
        let (way, used) = (self.foreseen.verdict(), self.used.ruling.verdict.clone());
        if strictness(&used) > strictness(&way) { used } else { way }
    }
}

/// The domains of which the example may not be connected to: no grant is for all hosts of one.
fn domains(binding: &Binding, each: &[Whole]) -> Vec<String> {
    let pairs = binding.hosts.iter().zip(each);
    let denied =
        pairs.filter(|(_, it)| it.lookup == Lookup::Never && !missing(&it.foreseen).is_empty());
    denied
        .filter_map(|(rule, _)| match &rule.endpoint().host {
            Host::Name(name) => Some(name.clone()),
            Host::Address(_) => None,
        })
        .collect()
}

/// What stands in the way, each grant once.
fn grants(each: &[Whole]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for it in each {
        let denied = it.used.ruling.verdict == Verdict::Deny;
        let used = denied.then(|| grant(&it.used)).flatten();
        // Of a host that is an example there is nothing to grant.
        let way = if it.lookup == Lookup::Real { missing(&it.foreseen) } else { Vec::new() };
        for grant in way.into_iter().chain(used) {
            if !all.contains(&grant) {
                all.push(grant);
            }
        }
    }
    all
}

/// Reads the value: for each host where it depends on the use, else once.
fn try_each(
    at: (&Store, &Screen),
    (binding, uses): (&Binding, &[SecretUse]),
    agent: &str,
) -> Result<(), Failure> {
    let count = if binding.backend.parse::<Backend>()?.is_open() { uses.len() } else { 1 };
    for used in uses.iter().take(count) {
        let host = match used.endpoint.as_ref().map(|endpoint| &endpoint.host) {
            Some(Host::Name(name)) => name.clone(),
            Some(Host::Address(address)) => address.to_string(),
            None => String::new(),
        };
        fetched(at, binding, &Occasion { agent, host: &host, method: &used.method })?;
    }
    Ok(())
}

/// The use that is asked about: of a request to one of the hosts.
fn used(binding: &Binding, host: &HostRule, args: &SecretTestArgs) -> Result<SecretUse, Failure> {
    let named = host.endpoint();
    let endpoint = match (host, &named.host) {
        (HostRule::Exactly(_), _) | (HostRule::Beneath(_), Host::Address(_)) => named.clone(),
        (HostRule::Beneath(_), Host::Name(name)) => {
            Endpoint::new(&format!("any.{name}"), named.port)
                .map_err(|error| Message::new(error.to_string()).could_not())?
        }
    };
    let method = args.method.as_ref().or(binding.methods.first()).map(ToString::to_string);
    let method = method.unwrap_or_else(|| "GET".to_owned());
    let bound = || binding.paths.first().map(|path| path.to_string().replace('*', "x"));
    let path = args.path.clone().or_else(bound).unwrap_or_else(|| "/".to_owned());
    if let Some(why) = binding.refuses(&endpoint, &method, &path) {
        return Err(Message::new(format!(
            "no policy can permit {method} {} with `{}`: {why}",
            printable(&path),
            binding.name
        ))
        .no());
    }
    Ok(SecretUse { secret: binding.name.clone(), endpoint: Some(endpoint), method, path })
}

/// The request that carries it in the first of its places.
fn request(
    binding: &Binding,
    used: &SecretUse,
    endpoint: &Endpoint,
) -> Result<HttpRequest, String> {
    let slot = binding.slots.first();
    let header = match slot {
        Some(Slot::Header(header)) => Some(header.name.as_str()),
        Some(Slot::Basic | Slot::Aws) => Some("authorization"),
        Some(Slot::Query(_)) | None => None,
    };
    let target = match slot {
        Some(Slot::Query(name)) => format!("{}?{name}=x", used.path),
        Some(Slot::Header(_) | Slot::Basic | Slot::Aws) | None => used.path.clone(),
    };
    let headers: Vec<&str> = header.into_iter().collect();
    let parts = HttpParts { method: &used.method, target: &target, headers: &headers, size: None };
    HttpRequest::new(endpoint.clone(), Scheme::Https, parts).map_err(|error| error.to_string())
}

fn told(binding: &Binding, each: &[Whole]) -> String {
    let mut out = format!("{}: its value can be read from {}\n", binding.name, binding.backend);
    for it in each {
        if let Act::UseSecret(SecretUse { endpoint: Some(endpoint), method, path, .. }) =
            &it.used.request.act
        {
            let word = word(&it.verdict(), &it.foreseen.then);
            let _ = writeln!(out, "{word}: {method} {endpoint}{}", printable(path));
            for line in steps(&it.foreseen) {
                let _ = writeln!(out, "  {line}");
            }
            let _ = writeln!(out, "  secret   {}", because(&it.used));
        }
    }
    out
}
