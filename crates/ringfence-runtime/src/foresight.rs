//! What would become of a connection, without making it: the same steps in the same order.

use std::net::IpAddr;

use ringfence_core::{
    Act, Agent, Decide as _, Endpoint, Facts, HOST_SERVICE_NAME, Host, HttpRequest, Request,
    Ruling, Verdict,
};
use ringfence_policy::Policy;
pub use ringfence_proxy::net::HostResolver;
use ringfence_proxy::net::upstream::HostProxies;
use ringfence_proxy::net::{ADDRESSES_TRIED_MAX, Resolve, special};
use ringfence_proxy::packages::Registries;
use ringfence_secrets::Binding;

/// What would become of a connection.
#[derive(Debug, Clone)]
pub struct Foreseen {
    /// Where to, made canonical.
    pub endpoint: Endpoint,
    /// The decision on the name.
    pub name: Decision,
    /// What happens next; nothing where the name is not permitted.
    pub then: Then,
    /// What is decided besides.
    pub requests: Requests,
}

/// What is decided of the requests over a connection.
#[derive(Debug, Clone)]
pub enum Requests {
    /// Nothing: bytes pass, once it is known whom they are for.
    Pass,
    /// Each one: the connection is opened.
    Each,
    /// The same, and this about the one that was asked about.
    Decided(Box<Decision>),
}

/// A request, and what the policy says.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The request.
    pub request: Request,
    /// The answer.
    pub ruling: Ruling,
}

/// What happens with a permitted name.
#[derive(Debug, Clone)]
pub enum Then {
    /// It is not permitted: nothing is looked up.
    Nothing,
    /// The host's own proxy is asked, and looks it up.
    Proxy(Endpoint),
    /// These addresses are tried, in this order.
    Addresses(Vec<Address>),
    /// It comes to nothing, for this reason.
    Fails(String),
}

/// An address that a name leads to.
#[derive(Debug, Clone)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Why it needs a permit of its own, and the decision on that.
    pub special: Option<(&'static str, Decision)>,
}

/// Who asks, and by what it is decided.
pub struct Asker<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// The policy.
    pub policy: &'a Policy,
    /// The facts.
    pub facts: &'a Facts,
    /// What secrets are bound to: a connection there is opened too.
    pub bindings: &'a [Binding],
    /// The host's proxies.
    pub proxies: &'a HostProxies,
    /// The host's resolver.
    pub resolve: &'a dyn Resolve,
    /// Where registries of packages are.
    pub registries: &'a Registries,
}

impl Foreseen {
    /// The decision that counts: the stricter one of those on the connection and on the request.
    pub fn verdict(&self) -> Verdict {
        let connection = self.connection();
        match &self.requests {
            Requests::Decided(request)
                if strictness(&request.ruling.verdict) > strictness(&connection) =>
            {
                request.ruling.verdict.clone()
            }
            Requests::Decided(_) | Requests::Each | Requests::Pass => connection,
        }
    }

    /// The decision on the name, or, where every address needs one, the mildest of those.
    fn connection(&self) -> Verdict {
        let by_address = match &self.then {
            Then::Addresses(all) => all.iter().map(Address::verdict).min_by_key(strictness),
            Then::Nothing | Then::Proxy(_) | Then::Fails(_) => None,
        };
        by_address.unwrap_or_else(|| self.name.ruling.verdict.clone())
    }
}

impl Address {
    fn verdict(&self) -> Verdict {
        self.special.as_ref().map_or(Verdict::Permit, |(_, it)| it.ruling.verdict.clone())
    }
}

fn strictness(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Permit => 0,
        Verdict::Ask(_) => 1,
        Verdict::Deny => 2,
    }
}

/// Goes the way of a connection, and of a request over it; looks the name up only where the gate
/// would.
pub fn foresee(endpoint: Endpoint, request: Option<HttpRequest>, asker: &Asker<'_>) -> Foreseen {
    let name = asker.decide(Act::Connect(endpoint.clone()));
    let requests = match request {
        _ if !asker.opens(&endpoint) => asker.of_releases(&endpoint),
        Some(http) => Requests::Decided(Box::new(asker.decide(Act::Request(http)))),
        None => Requests::Each,
    };
    let then = match (&name.ruling.verdict, asker.proxies.towards(&endpoint)) {
        (Verdict::Deny, _) => Then::Nothing,
        (Verdict::Permit | Verdict::Ask(_), Err(why)) => Then::Fails(why),
        (Verdict::Permit | Verdict::Ask(_), Ok(Some(proxy))) => Then::Proxy(proxy.endpoint.clone()),
        (Verdict::Permit | Verdict::Ask(_), Ok(None)) => asker.addresses(&endpoint),
    };
    Foreseen { endpoint, name, then, requests }
}

impl Asker<'_> {
    fn opens(&self, endpoint: &Endpoint) -> bool {
        self.bindings.iter().any(|it| it.is_for(endpoint))
            || self.policy.inspects(self.agent, endpoint)
    }

    /// Where only releases are looked at; which one it would be, and how old, no registry is asked.
    fn of_releases(&self, endpoint: &Endpoint) -> Requests {
        let looks = self.policy.looks_at_releases(self.agent, endpoint);
        if looks && self.registries.are_at(endpoint) { Requests::Each } else { Requests::Pass }
    }

    fn decide(&self, act: Act) -> Decision {
        let request = Request { agent: self.agent.clone(), act, process: None };
        let ruling = self.policy.decide(&request, self.facts);
        Decision { request, ruling }
    }

    fn addresses(&self, endpoint: &Endpoint) -> Then {
        let named = |address| Then::Addresses(vec![Address { address, special: None }]);
        let name = match &endpoint.host {
            Host::Address(address) => return named(*address),
            Host::Name(name) if name == HOST_SERVICE_NAME => {
                return named(IpAddr::from(std::net::Ipv4Addr::LOCALHOST));
            }
            Host::Name(name) => name,
        };
        let found = match self.resolve.resolve(name, endpoint.port) {
            Ok(found) if found.is_empty() => return Then::Fails("it has no address".to_owned()),
            Ok(found) => found,
            Err(error) => return Then::Fails(format!("it does not resolve: {error}")),
        };
        let address = |address: IpAddr| {
            let host = Host::Address(address.to_canonical());
            let itself = Endpoint { host, port: endpoint.port };
            let special = special(address).map(|what| (what, self.decide(Act::Connect(itself))));
            Address { address, special }
        };
        let all = found.into_iter().take(ADDRESSES_TRIED_MAX);
        Then::Addresses(all.map(|found| address(found.ip())).collect())
    }
}
