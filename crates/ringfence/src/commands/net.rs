//! `net test`: what would become of a connection and of a request over it, and why; none is made.

use ringfence_core::{Endpoint, HttpError, HttpParts, HttpRequest, Scheme, Verdict};
use ringfence_runtime::foresight::{Sent, Then, foresee};
use ringfence_runtime::wording::{localhost, printable};

use super::foreseen::{Around, Lookup, as_json, as_text, missing};
use crate::cli::{NetCommand, NetTestArgs};
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

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
    let sent = sent(args, &endpoint)?;
    let around = Around::here(&args.policy, &args.agent, screen)?;
    let foreseen = foresee(endpoint, sent, &around.asker(Lookup::Real));
    let answer = foreseen.verdict();
    if args.json {
        screen.json(&as_json(&foreseen, around.digest()))?;
    } else {
        screen.data(&as_text(&foreseen))?;
        if let Some(localhost) = localhost(&foreseen.endpoint) {
            screen.hint(&localhost);
        }
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

/// What would be sent to a URL; nothing where the target is none of HTTP's.
fn sent(args: &NetTestArgs, endpoint: &Endpoint) -> Result<Option<Sent>, Failure> {
    let scheme = |scheme: &str| match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => Some(Scheme::Http),
        "https" | "wss" => Some(Scheme::Https),
        _ => None,
    };
    let url = args.target.split_once("://").and_then(|(name, rest)| Some((scheme(name)?, rest)));
    let Some((scheme, rest)) = url else {
        if args.method.is_some() || args.age.is_some() {
            let flag = if args.method.is_some() { "--method" } else { "--age" };
            let target = printable(&args.target);
            return Err(Message::new(format!(
                "`{flag}` is about a request, and `{target}` is none"
            ))
            .hint(format!("write the whole address: `https://{endpoint}/path`"))
            .could_not());
        }
        return Ok(None);
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let path = rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/");
    let path = if path.starts_with('?') { format!("/{path}") } else { path.to_owned() };
    let method = args.method.as_deref().unwrap_or("GET");
    let parts = HttpParts { method, target: &path, headers: &[], size: None };
    let http = match method {
        "TRACE" => Err("TRACE is not carried: it shows what was sent".to_owned()),
        _ => HttpRequest::new(endpoint.clone(), scheme, parts)
            .map_err(|error: HttpError| error.to_string()),
    };
    let hours = args.age.map_or(0, |age| age.as_secs() / 3600);
    Ok(Some(Sent { http, age_hours: u32::try_from(hours).unwrap_or(u32::MAX) }))
}
