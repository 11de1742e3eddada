//! `net test`: what would become of a connection and of a request over it, and why; none is made.

use std::fmt::Write as _;

use ringfence_core::{
    Agent, Clock as _, Decide as _, Endpoint, Facts, HttpError, HttpParts, HttpRequest, Scheme,
    Verdict,
};
use ringfence_policy::grant::GrantText;
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::foresight::{
    Address, Asker, Decision, Foreseen, HostResolver, Requests, Then, foresee,
};
use ringfence_runtime::registries;
use ringfence_runtime::wording::{self, needs, printable, rule_line};
use ringfence_secrets::store::Store;
use serde_json::{Value, json};

use super::decide::verdict;
use super::{context, in_force};
use crate::cli::{NetCommand, NetTestArgs};
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

/// Version of the answer's JSON.
const SCHEMA: u32 = 1;

/// The ports of schemes that people write without one.
const PORTS: [(&str, u16); 11] = [
    ("http", 80),
    ("https", 443),
    ("ws", 80),
    ("wss", 443),
    ("ssh", 22),
    ("git", 9418),
    ("ftp", 21),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("mysql", 3306),
    ("redis", 6379),
];

pub(crate) fn net(command: &NetCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        NetCommand::Test(args) => test(args, screen),
    }
}

fn test(args: &NetTestArgs, screen: &Screen) -> Result<Done, Failure> {
    let endpoint = target(&args.target)?;
    let request = request(args, &endpoint)?;
    let found = in_force::load(&args.policy, screen)?;
    let (clock, _) = HostClock::new(found.settings.time_zone.as_deref())
        .map_err(|error| Message::new(error.to_string()).could_not())?;
    let facts = Facts {
        session: in_force::no_session()?,
        clock: clock.fact(),
        approvals: std::collections::BTreeSet::new(),
        approver_count: 0,
    };
    let agent = Agent(args.agent.clone());
    let (environment, dirs) = (context::environment(), context::dirs_anywhere()?);
    let bindings = Store::at(dirs.secrets()).list()?;
    let named = &found.settings.registries;
    let registries = registries::of_host(named, dirs.home(), &environment);
    let asker = Asker {
        agent: &agent,
        policy: &found.policy,
        facts: &facts,
        bindings: &bindings,
        proxies: &environment.proxies(),
        resolve: &HostResolver,
        registries: &registries,
    };
    let foreseen = foresee(endpoint, request, &asker);
    let answer = foreseen.verdict();
    if args.json {
        screen.json(&as_json(&foreseen, found.policy.digest()))?;
    } else {
        screen.data(&as_text(&foreseen))?;
        for grant in missing(&foreseen) {
            screen
                .hint(&format!("to permit it from now on, run `ringfence grant {grant} --always`"));
        }
    }
    Ok(match (answer, &foreseen.then) {
        (Verdict::Permit, Then::Fails(_)) | (Verdict::Deny, _) => Done::No,
        (Verdict::Permit, _) => Done::Yes,
        (Verdict::Ask(_), _) => Done::Ask,
    })
}

/// `HOST:PORT`, or a URL, of which only host and port matter here.
fn target(text: &str) -> Result<Endpoint, Failure> {
    let wrong = |why: String| {
        Message::new(format!("`{}` is no target: {why}", printable(text)))
            .hint("a target looks like `api.example.com:443` or `https://api.example.com/v1`")
            .could_not()
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return text
            .parse()
            .map_err(|error: ringfence_core::EndpointError| wrong(error.to_string()));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(wrong("a user name in the address is not taken".to_owned()));
    }
    let after_host = authority.rsplit(']').next().unwrap_or(authority);
    if after_host.contains(':') {
        return authority
            .parse()
            .map_err(|error: ringfence_core::EndpointError| wrong(error.to_string()));
    }
    let known = PORTS.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    let (_, port) = known.ok_or_else(|| wrong(format!("the port of `{scheme}` is not known")))?;
    Endpoint::new(authority, *port).map_err(|error| wrong(error.to_string()))
}

fn as_text(foreseen: &Foreseen) -> String {
    let mut out = String::new();
    let word = match (foreseen.verdict(), &foreseen.then) {
        (Verdict::Permit, Then::Fails(_)) => "would fail",
        (Verdict::Permit, _) => "would be permitted",
        (Verdict::Ask(_), _) => "would be asked about",
        (Verdict::Deny, _) => "would be denied",
    };
    let act = match &foreseen.requests {
        Requests::Decided(decision) => wording::describe(&decision.request.act),
        Requests::Each | Requests::Pass => format!("connect to {}", foreseen.endpoint),
    };
    let _ = writeln!(out, "{word}: {act}");
    let _ = writeln!(out, "  name     {}", because(&foreseen.name));
    match &foreseen.then {
        Then::Nothing => {}
        Then::Proxy(proxy) => {
            let _ = writeln!(out, "  proxy    {proxy}, which looks the name up itself");
        }
        Then::Fails(why) => {
            let _ = writeln!(out, "  address  {}", printable(why));
        }
        Then::Addresses(all) => all.iter().for_each(|address| {
            let _ = writeln!(out, "  address  {}", describe(address));
        }),
    }
    let _ = match &foreseen.requests {
        Requests::Pass => writeln!(out, "  passes   no rule speaks of the requests"),
        Requests::Each => writeln!(out, "  opened   each request is decided"),
        Requests::Decided(decision) => {
            writeln!(out, "  opened   each request is decided, this one: {}", because(decision))
        }
    };
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

/// What would be sent to a URL; nothing where the target is none of HTTP's.
fn request(args: &NetTestArgs, endpoint: &Endpoint) -> Result<Option<HttpRequest>, Failure> {
    let Some((scheme, rest)) = args.target.split_once("://") else { return Ok(None) };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Scheme::Http,
        "https" | "wss" => Scheme::Https,
        _ => return Ok(None),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let path = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/");
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    let parts = HttpParts { method: &args.method, target: &path, headers: &[], size: None };
    let made = HttpRequest::new(endpoint.clone(), scheme, parts);
    let refused = |error: HttpError| Message::new(format!("would be refused: {error}")).no();
    made.map(Some).map_err(refused)
}

/// Grants for what stands in the way.
fn missing(foreseen: &Foreseen) -> Vec<String> {
    let addresses = match &foreseen.then {
        Then::Addresses(all) => all.as_slice(),
        Then::Nothing | Then::Proxy(_) | Then::Fails(_) => &[],
    };
    let by_address = addresses.iter().filter_map(|it| it.special.as_ref()).map(|(_, it)| it);
    let denied = |it: &&Decision| it.ruling.verdict == Verdict::Deny;
    let request = match &foreseen.requests {
        Requests::Decided(decision) => Some(decision.as_ref()),
        Requests::Each | Requests::Pass => None,
    };
    let all = std::iter::once(&foreseen.name).chain(by_address).chain(request).filter(denied);
    let grant = |it: &Decision| wording::shell_word(&GrantText::smallest(&it.request).to_string());
    all.filter_map(grant).collect()
}

fn as_json(foreseen: &Foreseen, digest: &str) -> Value {
    let decision = |it: &Decision| verdict(&it.request, &it.ruling, digest);
    let word = |verdict: &Verdict| match verdict {
        Verdict::Permit => "permit",
        Verdict::Ask(_) => "ask",
        Verdict::Deny => "deny",
    };
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
        "verdict": word(&foreseen.verdict()),
        "name": decision(&foreseen.name),
        "proxy": proxy,
        "addresses": addresses,
        "failure": failure,
        "opened": !matches!(foreseen.requests, Requests::Pass),
        "request": match &foreseen.requests {
            Requests::Decided(it) => Some(decision(it)),
            Requests::Each | Requests::Pass => None,
        },
    })
}
