//! What would become of a connection, without making it: the same steps in the same order.

use std::net::IpAddr;

use ringfence_core::{
    Act, Agent, Decide as _, Endpoint, Facts, HOST_SERVICE_NAME, Host, HttpRequest, Package,
    Request, Ruling, Verdict,
};
use ringfence_policy::Policy;
pub use ringfence_proxy::net::HostResolver;
pub use ringfence_proxy::net::upstream::HostProxies;
use ringfence_proxy::net::{ADDRESSES_TRIED_MAX, Resolve, special};
pub use ringfence_proxy::packages::Registries;
use ringfence_proxy::packages::{Sure, Wanted};
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
    /// The same, and the one that was asked about is refused undecided, for this reason.
    Refused(String),
}

/// A request that is asked about.
#[derive(Debug, Clone)]
pub struct Sent {
    /// It, or why no policy can speak of it.
    pub http: Result<HttpRequest, String>,
    /// How old the release is that it fetches, if it fetches one, in hours.
    pub age_hours: u32,
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
    /// It is not permitted, or nobody is to look it up: nothing is looked up.
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
    /// The host's resolver; none where nothing is to be looked up.
    pub resolve: Option<&'a dyn Resolve>,
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
            Requests::Refused(_) => Verdict::Deny,
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

/// How strict a verdict is, for the strictest of several.
pub fn strictness(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Permit => 0,
        Verdict::Ask(_) => 1,
        Verdict::Deny => 2,
    }
}

/// Goes the way of a connection, and of a request over it; looks the name up only where the gate
/// would.
pub fn foresee(endpoint: Endpoint, sent: Option<Sent>, asker: &Asker<'_>) -> Foreseen {
    let name = asker.decide(Act::Connect(endpoint.clone()));
    let requests = match sent {
        _ if !asker.looks_into(&endpoint) => Requests::Pass,
        None => Requests::Each,
        Some(Sent { http: Err(why), .. }) => Requests::Refused(why),
        Some(Sent { http: Ok(http), age_hours }) => asker.request(http, age_hours),
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
    /// Whether the requests to an endpoint are looked at one by one.
    fn looks_into(&self, endpoint: &Endpoint) -> bool {
        self.bindings.iter().any(|it| it.is_for(endpoint))
            || self.policy.inspects(self.agent, endpoint)
            || self.looks_at_releases(endpoint)
    }

    fn looks_at_releases(&self, endpoint: &Endpoint) -> bool {
        self.registries.are_at(endpoint) && self.policy.looks_at_releases(self.agent, endpoint)
    }

    /// What is decided of one request; no registry is asked about the release that it fetches.
    fn request(&self, http: HttpRequest, age_hours: u32) -> Requests {
        let meant = self.registries.meant(&http.endpoint, &http.path);
        let meant = meant.filter(|_| self.looks_at_releases(&http.endpoint));
        let package = match meant.map(|it| (it.wanted, it.sure)) {
            Some((Wanted::Release(found), Sure::Yes)) => Some(Package { age_hours, ..found }),
            // What is there only a list of the registry says.
            Some((Wanted::Unknown, _) | (Wanted::Release(_), Sure::IfListed)) => {
                return Requests::Each;
            }
            Some((Wanted::List(_) | Wanted::Other, _)) | None => None,
        };
        let act = Act::Request(HttpRequest { package, ..http });
        Requests::Decided(Box::new(self.decide(act)))
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
        let Some(resolve) = self.resolve else { return Then::Nothing };
        let found = match resolve.resolve(name, endpoint.port) {
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
