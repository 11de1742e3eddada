//! How a connection comes about: decided by name, resolved once, its address checked, dialled.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ringfence_core::{
    Act, Checked, Denial, Durability, Endpoint, EntryRef, Event, Gate, HOST_SERVICE_NAME, Handling,
    Host, Outcome, Permit, Process, Question, RecordError, Request, Ruling, Running, Verdict,
};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::{Reach, reach};
use super::aws;
use super::dns::Families;
use super::line::{Counted, Line};
use super::live::{Client, Live, Place};
use super::names::Names;
use super::reply::Refusal;
use super::straight;
use super::upstream::HostProxy;
use super::{ADDRESSES_TRIED_MAX, NetConfig};
use crate::packages::Published;

/// Most lists of registries that are taken apart at a time: the largest take 200 MB meanwhile.
const LISTS_AT_A_TIME: usize = 2;

/// The port of the gate through which connections pass.
pub(super) struct Port {
    gate: Gate,
    pub(super) config: NetConfig,
    pub(super) names: Names,
    pub(super) families: Families,
    /// What lists of registries have told.
    pub(super) published: Published,
    /// Places of lists that are taken apart.
    pub(super) lists: Arc<Semaphore>,
    /// Memory for bodies whose signatures are looked at.
    pub(super) bodies: Arc<Semaphore>,
    live: Arc<Live>,
}

/// A connection that was permitted and made.
pub(super) struct Opened {
    pub(super) stream: Counted,
    pub(super) line: Line,
}

/// Whether an address follows from the name's own permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// The decided endpoint names this address itself.
    Named,
    /// The resolver said so: a special address needs a permit of its own.
    Resolved,
}

impl Port {
    pub(super) fn new(gate: Gate, config: NetConfig, families: Families) -> Port {
        Port {
            gate,
            config,
            names: Names::default(),
            families,
            published: Published::default(),
            lists: Arc::new(Semaphore::new(LISTS_AT_A_TIME)),
            bodies: aws::budget(),
            live: Arc::default(),
        }
    }

    /// Records what is no decision.
    pub(super) fn note(
        &self,
        event: Event,
        durability: Durability,
    ) -> Result<EntryRef, RecordError> {
        self.gate.note(event, durability)
    }

    /// Tells of a permitted connection that did not come about.
    pub(super) fn tell_failed(&self, request: &Request, reason: &str) {
        (self.config.unreachable)(request, reason);
    }

    /// Opens a connection to `endpoint` for a client.
    pub(super) async fn open(
        &self,
        endpoint: Endpoint,
        client: &Client,
    ) -> Result<Opened, Refusal> {
        let act = Act::Connect(endpoint.clone());
        let permit = self.permit(act, client).await.map_err(Refusal::Denied)?;
        // Entered before the permit is spent: a reload in between spoils the permit, one after it
        // finds the connection.
        let request = permit.request().clone();
        let place = self.live.enter(&permit, client);
        let running = permit.spend().map_err(Refusal::Denied)?;
        let mut line = Line::open(running, request.clone(), endpoint.clone(), place);
        let stream = match self.reach(&endpoint, &mut line, client).await {
            Ok(stream) => stream,
            Err(refusal) => {
                let reason = refusal.reason();
                line.fail(&reason);
                if matches!(refusal, Refusal::Unreachable(_)) {
                    self.tell_failed(&request, &reason);
                }
                return Err(refusal);
            }
        };
        Ok(Opened { stream: line.count(stream), line })
    }

    /// Ends the open connections that the policy in force does not permit. One that was approved has
    /// its approval still: it was given for this connection.
    pub(super) fn end_unpermitted(&self) -> Vec<String> {
        // What passes unseen may not, once a rule speaks of the requests in it.
        let unseen = |request: &Request| match &request.act {
            Act::Connect(endpoint) => self.inspects(endpoint),
            Act::Exec(_)
            | Act::Read(_)
            | Act::Write(_)
            | Act::Delete(_)
            | Act::ConnectUnix(_)
            | Act::Request(_)
            | Act::UseSecret(_)
            | Act::CallTool(_) => false,
        };
        self.live.end_unless(|it| {
            self.gate.still_permits(&it.request, &it.approved)
                && !(it.passes && unseen(&it.request))
        })
    }

    /// Whether the policy in force denies a connection as things are; nothing is recorded.
    pub(super) fn would_deny(&self, endpoint: Endpoint) -> bool {
        let (agent, act) = (self.config.agent.clone(), Act::Connect(endpoint));
        self.ruling(&Request { agent, act, process: None }).verdict == Verdict::Deny
    }

    /// What the policy in force says of a request as things are; nothing is recorded.
    pub(super) fn ruling(&self, request: &Request) -> Ruling {
        self.gate.policy_in_force().decide(request, &self.gate.facts_now())
    }

    /// Whether each request to an endpoint has to be decided.
    pub(super) fn inspects(&self, endpoint: &Endpoint) -> bool {
        self.config.held.is_bound(endpoint)
            || self.gate.policy_in_force().inspects(&self.config.agent, endpoint)
            || self.looks_at_releases(endpoint)
    }

    /// Whether a registry is at an endpoint, and a rule looks at what is fetched from it.
    pub(super) fn looks_at_releases(&self, endpoint: &Endpoint) -> bool {
        self.config.registries.are_at(endpoint)
            && self.gate.policy_in_force().looks_at_releases(&self.config.agent, endpoint)
    }

    /// The policy in force, by its digest.
    pub(super) fn digest(&self) -> String {
        self.gate.policy_in_force().digest().to_owned()
    }

    /// The time that entries are given, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> u64 {
        self.gate.now_ms()
    }

    /// Gives a permit about to be spent its place among what can be ended.
    pub(super) fn enter(&self, permit: &Permit, client: &Client) -> Place {
        self.live.enter(permit, client)
    }

    /// Decides a connection or a request; a question is put to whoever may approve.
    pub(super) async fn permit(&self, act: Act, client: &Client) -> Result<Permit, Denial> {
        let request = Request {
            agent: self.config.agent.clone(),
            act,
            process: self.process_of(client).await,
        };
        match self.gate.check(request) {
            Checked::Permit(permit) => Ok(permit),
            Checked::Deny(denial) => Err(denial),
            Checked::Ask(question) => self.ask(question).await,
        }
    }

    /// The process behind a client, looked for once.
    pub(super) async fn process_of(&self, client: &Client) -> Option<Process> {
        let ends = client.ends;
        let find = || async move {
            let holders = Arc::clone(&self.config.process);
            if let Some(process) = holders.connected(ends) {
                return Some(process);
            }
            tokio::task::spawn_blocking(move || holders.of(ends)).await.ok().flatten()
        };
        *client.process.get_or_init(find).await
    }

    /// Records what no policy could speak of, and tells of it.
    pub(super) async fn note_refused(&self, client: &Client, (what, why): (&str, &str)) {
        let process = self.process_of(client).await.unwrap_or(Process { pid: 0, parent: None });
        let event = Event::Refused { process, syscall: what.to_owned(), why: why.to_owned() };
        // Refused whether or not it could be recorded; a log that fails ends the session.
        let entry = self.note(event, Durability::Soon).ok();
        (self.config.refused)(process, why, entry.as_ref());
    }

    async fn ask(&self, question: Question) -> Result<Permit, Denial> {
        let unanswered = Denial {
            request: question.request.clone(),
            grounds: question.grounds.clone(),
            entry: Some(question.entry.clone()),
        };
        let asks = Arc::clone(&self.config.asks);
        match tokio::task::spawn_blocking(move || asks.ask(question)).await {
            Ok(Checked::Permit(permit)) => Ok(permit),
            Ok(Checked::Deny(denial)) => Err(denial),
            // Whoever was to answer failed, or answered with another question.
            Ok(Checked::Ask(_)) | Err(_) => Err(unanswered),
        }
    }

    /// Dials the addresses of a decided endpoint, each checked, until one answers.
    async fn reach(
        &self,
        endpoint: &Endpoint,
        line: &mut Line,
        client: &Client,
    ) -> Result<TcpStream, Refusal> {
        if let Some(proxy) = self.config.proxies.towards(endpoint).map_err(Refusal::Unreachable)? {
            return self.through(proxy, endpoint, line).await;
        }
        let (addresses, trust) = self.locate(endpoint).await?;
        let mut last = Refusal::Unreachable(format!("`{}` has no address", endpoint.host));
        for address in addresses.into_iter().take(ADDRESSES_TRIED_MAX) {
            let second = match self.check_address((endpoint, address, trust), line, client).await {
                Ok(second) => second,
                Err(refusal) => {
                    last = refusal;
                    continue;
                }
            };
            line.dial(address);
            let dialled = self.dial(endpoint, address).await;
            settle(second, dialled.as_ref().err());
            match dialled {
                Ok(stream) => return Ok(stream),
                Err(reason) => {
                    last = Refusal::Unreachable(format!("`{endpoint}` at {address}: {reason}"));
                }
            }
        }
        Err(last)
    }

    /// Has the host's own proxy make the connection: it is the proxy that looks the name up.
    async fn through(
        &self,
        proxy: &HostProxy,
        endpoint: &Endpoint,
        line: &mut Line,
    ) -> Result<TcpStream, Refusal> {
        // Where the proxy is, is the person's configuration.
        let (addresses, _) = self.locate(&proxy.endpoint).await?;
        let at = &proxy.endpoint;
        let mut last = Refusal::Unreachable(format!("the host's proxy `{at}` has no address"));
        for address in addresses.into_iter().take(ADDRESSES_TRIED_MAX) {
            line.dial(address);
            let asked = async {
                let mut stream = self.dial(endpoint, address).await?;
                let asking = proxy.connect(&mut stream, endpoint);
                match timeout(self.config.limits.dial_wait, asking).await {
                    Ok(Ok(())) => Ok(stream),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(_) => Err("the host's proxy gives no answer".to_owned()),
                }
            };
            match asked.await {
                Ok(stream) => return Ok(stream),
                Err(reason) => {
                    let text = format!("`{endpoint}` by the host's proxy `{at}`: {reason}");
                    last = Refusal::Unreachable(text);
                }
            }
        }
        Err(last)
    }

    /// Finds the addresses of an endpoint; a name is looked up here and nowhere else.
    async fn locate(&self, endpoint: &Endpoint) -> Result<(Vec<SocketAddr>, Trust), Refusal> {
        let port = endpoint.port;
        let name = match &endpoint.host {
            Host::Address(address) => {
                return Ok((vec![SocketAddr::new(*address, port)], Trust::Named));
            }
            Host::Name(name) if name == HOST_SERVICE_NAME => {
                let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                return Ok((vec![loopback], Trust::Named));
            }
            Host::Name(name) => name.clone(),
        };
        let resolve = Arc::clone(&self.config.resolve);
        let asked = name.clone();
        let lookup = tokio::task::spawn_blocking(move || resolve.resolve(&asked, port));
        let found = match timeout(self.config.limits.resolve_wait, lookup).await {
            Ok(Ok(Ok(found))) => found,
            Ok(Ok(Err(error))) => {
                return Err(Refusal::Unreachable(format!("`{name}` does not resolve: {error}")));
            }
            Ok(Err(_)) | Err(_) => {
                let reason = format!("`{name}` does not resolve: the resolver gave no answer");
                return Err(Refusal::Unreachable(reason));
            }
        };
        // The port that was decided, whatever the resolver says.
        let addresses = found.into_iter().map(|found| SocketAddr::new(found.ip(), port)).collect();
        Ok((addresses, Trust::Resolved))
    }

    /// A special address behind a name needs a permit on the address itself.
    async fn check_address(
        &self,
        (endpoint, address, trust): (&Endpoint, SocketAddr, Trust),
        line: &Line,
        client: &Client,
    ) -> Result<Option<Running>, Refusal> {
        let what = match (trust, reach(address.ip())) {
            (Trust::Named, _) | (Trust::Resolved, Reach::Public) => return Ok(None),
            (Trust::Resolved, Reach::Special(what)) => what,
        };
        let refused = |denial: Denial| Refusal::AddressDenied {
            denial,
            leads_to: format!("`{}` leads to {}, {what}", endpoint.host, address.ip()),
        };
        let itself =
            Endpoint { host: Host::Address(canonical(address.ip())), port: address.port() };
        let permit = self.permit(Act::Connect(itself), client).await.map_err(refused)?;
        if !permit.handling().is_empty() {
            self.is_looked_through(endpoint, permit.handling())?;
        }
        line.also_permitted(&permit);
        permit.spend().map(Some).map_err(refused)
    }

    /// What a rule on an address says of what passes must be said of the name as well: it is by the name that requests
    /// are looked through.
    fn is_looked_through(&self, endpoint: &Endpoint, wanted: &Handling) -> Result<(), Refusal> {
        let (agent, act) = (self.config.agent.clone(), Act::Connect(endpoint.clone()));
        let named = self.ruling(&Request { agent, act, process: None }).grounds.handling;
        if wanted.redact.is_subset(&named.redact) && wanted.block.is_subset(&named.block) {
            return Ok(());
        }
        let reason = format!(
            "a rule on the address that `{endpoint}` leads to has what passes looked through: write its \
             `@redact` or `@block` on the rule for the name"
        );
        Err(Refusal::Unclear(reason))
    }

    async fn dial(&self, towards: &Endpoint, address: SocketAddr) -> Result<TcpStream, String> {
        let wait = self.config.limits.dial_wait;
        let connecting = async {
            if self.inspects(towards) {
                // What two handshakes cost is better begun when what came before is done.
                TcpStream::connect(address).await
            } else {
                straight::connect(address).await
            }
        };
        let stream = match timeout(wait, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {} ms", wait.as_millis())),
        };
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(stream)
    }
}

/// The permit on the address ends with the dial: the line's own account has the bytes.
fn settle(second: Option<Running>, failed: Option<&String>) {
    let Some(running) = second else { return };
    let outcome = failed.map_or(Outcome::Done, |error| Outcome::Failed { error: error.clone() });
    // A log that fails here makes every later check a denial.
    let _ = running.finish(outcome);
}

/// An IPv4-mapped address is decided as the IPv4 address it is.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
