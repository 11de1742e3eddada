//! The package gate at work: which release a request fetches and how old it is, and lists without the
//! releases that may not be fetched. What addresses and lists mean is told by `packages`.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode, Version};
use ringfence_core::{
    Act, Denial, Ecosystem, Endpoint, HttpRequest, Package, Process, Request, Scheme, Verdict,
};

use super::super::forward::remove_hop_headers;
use super::super::open::Port;
use super::super::reply::{Refusal, Reply};
use super::super::secrets;
use super::account::Account;
use super::exchange::Exchange;
use super::looked;
use super::registry::{self, Along, Own, last_modified};
use super::server::Server;
use crate::packages::{
    self, Filtered, Keep, ListError, Listed, Meant, Registry, Sure, Times, Wanted,
};

/// Most releases of one list whose files are asked for their age, where the list does not say it.
const ASKED_FOR_AGE_MAX: usize = 24;

/// How much of an answer is looked at to tell an archive, in bytes: where `tar` has its mark.
const FIRST_BYTES: usize = 262;

/// How much of an answer is looked at that says where a registry's files are, in bytes.
const CONFIG_BYTES_MAX: usize = 64 * 1024;

/// What tells one state of a list from another: of no use for a list that was shortened.
const STATES: [HeaderName; 6] = [
    header::ETAG,
    header::LAST_MODIFIED,
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
];

/// What a request asks of a registry.
#[derive(Clone)]
pub(super) struct Fetch {
    registry: Registry,
    wanted: Wanted,
    sure: Sure,
    /// The request, with the release that it fetches.
    http: HttpRequest,
    accept: Option<&'static str>,
    along: Along,
}

/// What a request is for, read as strict and as lax servers do.
fn read<'a>(port: &'a Port, http: &HttpRequest) -> Option<Meant<'a>> {
    let registries = &port.config.registries;
    let strict = registries.meant(&http.endpoint, &http.path)?;
    let lax = http.other_reading();
    let lax = lax.and_then(|other| registries.meant(&http.endpoint, &other.path));
    let differs = lax.as_ref().is_some_and(|lax| {
        lax.wanted != strict.wanted && (is_file(&lax.wanted) || is_file(&strict.wanted))
    });
    let named = |text: &str| packages::looks_like_a_file(text);
    let in_path = strict.wanted == Wanted::Other
        && strict.registry.ecosystem != Ecosystem::Debian
        && named(http.path.as_str());
    let hidden =
        in_path || !is_file(&strict.wanted) && http.query.fields().iter().any(|field| named(field));
    let unclear = differs || hidden;
    Some(if unclear { Meant { wanted: Wanted::Unknown, ..strict } } else { strict })
}

fn is_file(wanted: &Wanted) -> bool {
    match wanted {
        Wanted::Release(_) | Wanted::Unknown => true,
        Wanted::List(_) | Wanted::Other => false,
    }
}

impl Fetch {
    /// What a request asks of a registry; `None` where no rule looks at releases, or none is there.
    pub(super) fn of(port: &Port, http: &HttpRequest, headers: &HeaderMap) -> Option<Fetch> {
        if !port.looks_at_releases(&http.endpoint) {
            return None;
        }
        let Meant { registry, wanted, sure } = read(port, http)?;
        let wanted = match wanted {
            Wanted::List(_) if !["GET", "HEAD"].contains(&http.method.as_str()) => Wanted::Other,
            wanted @ (Wanted::List(_) | Wanted::Release(_) | Wanted::Unknown | Wanted::Other) => {
                wanted
            }
        };
        let asked = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let accept = packages::accept(registry.ecosystem, asked);
        let along = Along::with(&http.endpoint, headers);
        let (registry, http) = (registry.clone(), http.clone());
        Some(Fetch { registry, wanted, sure, http, accept, along })
    }

    /// The same with the release that is fetched, and how old it is; a file of which nobody knows what
    /// it is is refused.
    pub(super) async fn known(mut self, by: &Exchange) -> Result<Fetch, Refusal> {
        let found = match (&self.wanted, self.sure) {
            (Wanted::List(_), _) => None,
            (Wanted::Other, _) => self.listed(&by.port),
            (Wanted::Release(package), Sure::Yes) => Some(package.clone()),
            (Wanted::Release(package), Sure::IfListed) => {
                if self.listed(&by.port).is_none() {
                    self.learn(by, &package.name).await;
                }
                Some(self.listed(&by.port).ok_or_else(|| self.unknown())?)
            }
            (Wanted::Unknown, _) => Some(self.listed(&by.port).ok_or_else(|| self.unknown())?),
        };
        if let Some(found) = found {
            let age_hours = self.age_of(by, &found).await;
            self.http.package = Some(Package { age_hours, ..found });
        }
        Ok(self)
    }

    /// The release that lists have said is at the request's place.
    fn listed(&self, port: &Port) -> Option<Package> {
        let target = registry::target(&self.http);
        let beside = packages::beside(self.registry.ecosystem, &target);
        let known = |target| port.published.at((&self.http.endpoint, target));
        known(&target).or_else(|| known(beside))
    }

    fn unknown(&self) -> Refusal {
        Refusal::Unclear(format!(
            "which {} release is at {} is not known: its address does not say it, and no list has",
            self.registry.ecosystem.name(),
            self.http.url()
        ))
    }

    /// How old a release is by the list, else by its file; 0 where neither says.
    async fn age_of(&self, by: &Exchange, package: &Package) -> u32 {
        let port = &by.port;
        if port.published.time_of(package) == Times::Unknown {
            self.learn(by, &package.name).await;
        }
        if port.published.time_of(package) == Times::Unknown {
            let at = (self.http.endpoint.clone(), self.http.scheme, registry::target(&self.http));
            self.ask_file(by, (package, &at)).await;
        }
        port.published.time_of(package).age_hours(port.now_ms())
    }

    /// Asks a file when it was made.
    async fn ask_file(
        &self,
        by: &Exchange,
        (package, (endpoint, scheme, target)): (&Package, &File),
    ) {
        let other = by.elsewhere((endpoint, *scheme));
        let own = Own::head(target);
        let answered = registry::ask(other.as_deref().unwrap_or(by), own, &self.along).await;
        let at_ms = answered.ok().and_then(|answer| last_modified(&answer.headers));
        by.port.published.learn(package, at_ms, None);
    }

    /// Reads the registry's own list of a package for what it says of times and files.
    async fn learn(&self, by: &Exchange, name: &str) {
        let (endpoint, scheme) = (self.registry.lists.endpoint(), self.registry.lists.scheme());
        let other = by.elsewhere((endpoint, scheme));
        let there = other.as_deref().unwrap_or(by);
        for path in self.registry.list_paths(name) {
            let own = Own::list(&path, packages::accept_of_own(self.registry.ecosystem));
            let Ok(answer) = registry::ask(there, own, &self.along).await else { continue };
            let parts = registry::parts(&path);
            let Ok(http) = HttpRequest::new(endpoint.clone(), scheme, parts) else { continue };
            let list = List {
                port: Arc::clone(&by.port),
                fetch: Fetch { wanted: Wanted::List(name.to_owned()), http, ..self.clone() },
                content_type: registry::content_type(&answer.headers),
                body: answer.body.into(),
                process: None,
            };
            if list.shorten().await.is_ok() {
                return;
            }
        }
    }

    /// The request as it is decided; of a list its headers ask for the form that says times, whole.
    pub(super) fn prepare(&self, headers: &mut HeaderMap) -> HttpRequest {
        self.ask_in_full(headers);
        self.http.clone()
    }

    fn ask_in_full(&self, headers: &mut HeaderMap) {
        let plain = match self.wanted {
            Wanted::List(_) => {
                &[header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE]
                    [..]
            }
            Wanted::Other if self.http.package.is_none() => &[header::RANGE, header::IF_RANGE][..],
            Wanted::Other | Wanted::Release(_) | Wanted::Unknown => return,
        };
        for name in plain {
            headers.remove(name);
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let (Wanted::List(_), Some(accept)) = (&self.wanted, self.accept) {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
    }

    /// What of a registry's answer is for the client.
    pub(super) async fn answer(
        &self,
        exchange: &Exchange,
        response: Response<Incoming>,
        (mut account, server): (Account, Arc<Server>),
    ) -> Result<Response<Reply>, Refusal> {
        if let Some(refusal) = self.led_elsewhere(exchange, &response) {
            account.refuse(&refusal);
            return Err(refusal);
        }
        let list = matches!(self.wanted, Wanted::List(_)) && self.http.method == "GET";
        if list && response.status() == StatusCode::OK {
            return self.shortened(exchange, response, account).await;
        }
        if self.wanted == Wanted::Other && self.http.package.is_none() {
            return self.unless_a_file(exchange, response, (account, server)).await;
        }
        exchange.pass_back((self.method(), response), (account, server, None)).await
    }

    fn method(&self) -> Method {
        if self.http.method == "HEAD" { Method::HEAD } else { Method::GET }
    }

    /// A redirect to where no registry is known to be would get past the rules on releases.
    fn led_elsewhere(&self, exchange: &Exchange, response: &Response<Incoming>) -> Option<Refusal> {
        if !response.status().is_redirection() {
            return None;
        }
        let location = response.headers().get(header::LOCATION)?;
        let from = (&self.http.endpoint, self.http.scheme, self.http.path.as_str());
        let to = location.to_str().ok().and_then(|text| packages::resolve(text, from));
        let Some((endpoint, _, target)) = to else {
            let reason = format!("{} leads to a place that is not understood", self.http.url());
            return Some(Refusal::Unclear(reason));
        };
        let port = &exchange.port;
        if let Some(package) = &self.http.package {
            port.published.learn(package, None, Some((&endpoint, &target)));
        }
        let known = port.config.registries.are_at(&endpoint) || endpoint == self.http.endpoint;
        (!known).then(|| Refusal::Unclear(no_place_of(&self.registry, &endpoint)))
    }

    /// Passes back what is no list and no release: unless it is an archive after all.
    async fn unless_a_file(
        &self,
        exchange: &Exchange,
        response: Response<Incoming>,
        (mut account, server): (Account, Arc<Server>),
    ) -> Result<Response<Reply>, Refusal> {
        let (parts, mut body) = response.into_parts();
        let says_where = packages::says_where_files_are(self.registry.ecosystem, &self.http.path);
        let least = if says_where { CONFIG_BYTES_MAX } else { FIRST_BYTES };
        let first = match registry::first(&mut body, least).await {
            Ok(first) => first,
            Err(error) => {
                server.failed(&error);
                let refusal = Refusal::Unreachable(error);
                account.refuse(&refusal);
                return Err(refusal);
            }
        };
        if packages::begins_like_a_file(self.registry.ecosystem, &first) {
            let refusal = self.unknown();
            account.refuse(&refusal);
            return Err(refusal);
        }
        if says_where && let Some(refusal) = self.has_files_elsewhere(&exchange.port, &first) {
            account.refuse(&refusal);
            return Err(refusal);
        }
        account.begins_with(first);
        let response = Response::from_parts(parts, body);
        exchange.pass_back((self.method(), response), (account, server, None)).await
    }

    /// A registry whose files are where no registry is known to be, by what it says itself.
    fn has_files_elsewhere(&self, port: &Port, config: &[u8]) -> Option<Refusal> {
        let from = (&self.http.endpoint, self.http.scheme, self.http.path.as_str());
        let place = packages::where_files_are(config);
        let to = place.and_then(|place| packages::resolve(&place, from));
        let (endpoint, ..) = to?;
        let known = port.config.registries.are_at(&endpoint);
        (!known).then(|| Refusal::Unclear(no_place_of(&self.registry, &endpoint)))
    }

    /// A list without the releases that the policy in force denies.
    async fn shortened(
        &self,
        exchange: &Exchange,
        response: Response<Incoming>,
        mut account: Account,
    ) -> Result<Response<Reply>, Refusal> {
        let (mut parts, body) = response.into_parts();
        account.answered(parts.status.as_u16());
        let about = (&exchange.endpoint, account.carried());
        let scrubbing = secrets::scrub(&exchange.port, about, &mut parts.headers)
            .inspect_err(|refusal| account.refuse(refusal))?;
        let read = registry::read(body).await;
        let short = match read {
            Ok(body) => {
                account.passed((0, body.len() as u64));
                let process = exchange.port.process_of(&exchange.who).await;
                let content_type = registry::content_type(&parts.headers);
                let (port, fetch) = (Arc::clone(&exchange.port), self.clone());
                let list = List { port, fetch, content_type, body: body.into(), process };
                self.shorten(exchange, list).await
            }
            Err(error) => Err(error),
        };
        let short = short.map_err(|error| {
            let refusal = Refusal::Unclear(error);
            account.refuse(&refusal);
            refusal
        })?;
        account.kept_back(&short.filtered.removed);
        self.tell(exchange, &short).await?;
        for name in &STATES {
            parts.headers.remove(name);
        }
        remove_hop_headers(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let body = match scrubbing {
            Some(mut scrubbing) => {
                let begin = scrubbing.push(&short.filtered.body);
                [begin, scrubbing.finish()].concat()
            }
            None => short.filtered.body,
        };
        let looked = looked::list(&exchange.port, &mut account, (&mut parts.headers, body));
        let body = looked.inspect_err(|refusal| account.refuse(refusal))?;
        Ok(Response::from_parts(parts, Reply::Text(Some(Bytes::from(body)))))
    }

    /// Takes out of a list what is denied; where it does not say ages, some files are asked for them.
    async fn shorten(&self, exchange: &Exchange, list: List) -> Result<Short, String> {
        let short = list.clone().shorten().await?;
        if short.ageless.is_empty() {
            return Ok(short);
        }
        let published = &exchange.port.published;
        if let (Ecosystem::Pypi, Wanted::List(name)) = (self.registry.ecosystem, &self.wanted) {
            // Its other form may say it.
            self.learn(exchange, name).await;
        }
        for (package, file) in short.ageless.iter().rev().take(ASKED_FOR_AGE_MAX) {
            if published.time_of(package) == Times::Unknown {
                self.ask_file(exchange, (package, file)).await;
            }
        }
        let known = |(package, _): &(Package, File)| published.time_of(package) != Times::Unknown;
        if short.ageless.iter().any(known) { list.shorten().await } else { Ok(short) }
    }

    /// Says what was taken out; where nothing is left, the newest release is denied in full.
    async fn tell(&self, exchange: &Exchange, short: &Short) -> Result<(), Refusal> {
        let port = &exchange.port;
        if short.filtered.kept == 0
            && let Some(endpoint) = &short.elsewhere
        {
            return Err(Refusal::Unclear(no_place_of(&self.registry, endpoint)));
        }
        let Some(newest) = &short.newest else { return Ok(()) };
        if short.filtered.kept > 0 {
            (port.config.kept_back)(newest, short.filtered.removed.len());
            return Ok(());
        }
        let decided = port.permit(newest.request.act.clone(), &exchange.who).await;
        decided.map(drop).map_err(Refusal::Denied)
    }
}

/// Why files at an endpoint are out of reach.
fn no_place_of(registry: &Registry, endpoint: &Endpoint) -> String {
    format!(
        "the {} registry at `{}` leads to `{endpoint}` for its files, and the settings do not say that \
         they are there: `files` of its `[[registry]]`",
        registry.ecosystem.name(),
        registry.lists.endpoint()
    )
}

/// A list as it came.
#[derive(Clone)]
struct List {
    port: Arc<Port>,
    fetch: Fetch,
    content_type: String,
    body: Bytes,
    process: Option<Process>,
}

/// A list without what is denied.
struct Short {
    filtered: Filtered,
    /// The denial of the newest release that was taken out.
    newest: Option<Denial>,
    /// Where files are that no registry is known to have.
    elsewhere: Option<Endpoint>,
    /// Releases whose age nobody says, and where their files are.
    ageless: Vec<(Package, File)>,
}

/// Where a file is.
type File = (Endpoint, Scheme, String);

impl List {
    /// Lists are large, and are taken apart in another thread: a few at a time.
    async fn shorten(self) -> Result<Short, String> {
        let places = Arc::clone(&self.port.lists);
        let Ok(_place) = places.acquire_owned().await else { return Err("it ends".to_owned()) };
        let shortened = tokio::task::spawn_blocking(move || self.shortened()).await;
        shortened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    fn shortened(&self) -> Result<Short, ListError> {
        let Wanted::List(name) = &self.fetch.wanted else {
            return Err(ListError::Shape("it is none"));
        };
        let ecosystem = self.fetch.registry.ecosystem;
        let (mut newest, mut elsewhere) = (None, None);
        let (mut ageless, mut seen) = (Vec::new(), BTreeSet::new());
        let mut keep = |listed: &Listed| {
            let (package, file) = self.learn(listed);
            if let Some((endpoint, ..)) = &file
                && !self.port.config.registries.are_at(endpoint)
            {
                elsewhere = Some(endpoint.clone());
                return Keep::No;
            }
            let unsaid = self.port.published.time_of(&package) == Times::Unknown;
            if let Some(file) = file.clone().filter(|_| unsaid && seen.insert(package.clone())) {
                ageless.push((package.clone(), file));
            }
            match self.denial(package, file) {
                None => Keep::Yes,
                Some(denial) => {
                    newest = Some(denial);
                    Keep::No
                }
            }
        };
        let asked = (ecosystem, name.as_str());
        let filtered = packages::filter(asked, (&self.content_type, &self.body), &mut keep)?;
        Ok(Short { filtered, newest, elsewhere, ageless })
    }

    /// Remembers what a list says of a release.
    fn learn(&self, listed: &Listed) -> (Package, Option<File>) {
        let published = &self.port.published;
        let ecosystem = self.fetch.registry.ecosystem;
        let mut package = packages::release(ecosystem, &listed.name, &listed.version);
        let http = &self.fetch.http;
        let place = (&http.endpoint, http.scheme, http.path.as_str());
        let file = listed.file.as_deref().and_then(|file| packages::resolve(file, place));
        let at = file.as_ref().map(|(endpoint, _, target)| (endpoint, target.as_str()));
        published.learn(&package, listed.at_ms, at);
        package.age_hours = published.time_of(&package).age_hours(self.port.now_ms());
        (package, file)
    }

    /// What would be said if the release's file were fetched now.
    fn denial(&self, package: Package, file: Option<File>) -> Option<Denial> {
        let list = &self.fetch.http;
        let at_file = file.and_then(|(endpoint, scheme, target)| {
            HttpRequest::new(endpoint, scheme, registry::parts(&target)).ok()
        });
        let http = HttpRequest { package: Some(package), ..at_file.unwrap_or(list.clone()) };
        let agent = self.port.config.agent.clone();
        let request = Request { agent, act: Act::Request(http), process: self.process };
        let ruling = self.port.ruling(&request);
        (ruling.verdict == Verdict::Deny).then_some(Denial {
            request,
            grounds: ruling.grounds,
            entry: None,
        })
    }
}
