//! A double of the documented HTTP API of HashiCorp Vault and OpenBao, as far as Ringfence speaks it:
//! KV version 2, engines that lend credentials, child tokens, leases. It keeps what it was asked.
//!
//! No such server can be had from the registries that the tests install from. What it answers
//! follows <https://openbao.org/api-docs/> and <https://developer.hashicorp.com/vault/api-docs>.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::model::Received;
use crate::model::http::receive;

/// The only token that it knows from the start.
pub const ROOT: &str = "hvs.root-of-the-double";

/// A vault on the host's loopback; dropping it stops it.
pub struct VaultDouble {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// How it is today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It is sealed.
    Sealed,
    /// It takes requests and says nothing.
    Silent,
    /// It answers this, whatever it is asked.
    Says(&'static str),
    /// It answers with a gibibyte.
    Endless,
    /// It answers reads and refuses to take anything back.
    Keeps,
}

/// What became of something that it lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseIs {
    /// It opens something.
    Open,
    /// It was given back.
    Revoked,
    /// Its time was over.
    Expired,
}

struct Shared {
    state: Mutex<State>,
    stopping: AtomicBool,
}

struct State {
    mood: Mood,
    namespace: Option<String>,
    entries: BTreeMap<String, Value>,
    roles: BTreeMap<String, Role>,
    leases: Vec<Lease>,
    received: Vec<Received>,
}

#[derive(Clone, Copy)]
struct Role {
    holds: Duration,
    at_most: Duration,
}

struct Lease {
    id: String,
    /// What it opens with: a password or a token.
    secret: String,
    ends: Instant,
    at_most: Instant,
    revoked: bool,
}

impl VaultDouble {
    /// Starts one on a free port of 127.0.0.1.
    pub fn start() -> VaultDouble {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State {
            mood: Mood::Well,
            namespace: None,
            entries: BTreeMap::new(),
            roles: BTreeMap::new(),
            leases: Vec::new(),
            received: Vec::new(),
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), stopping: AtomicBool::new(false) });
        let same = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || accept(&listener, &same));
        VaultDouble { address, shared, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an entry into the KV engine: `kv/app`.
    pub fn keep(&self, path: &str, data: Value) {
        self.state().entries.insert(path.to_owned(), data);
    }

    /// Lends at a path: `database/creds/app`.
    pub fn lend_at(&self, path: &str, holds: Duration, at_most: Duration) {
        self.state().roles.insert(path.to_owned(), Role { holds, at_most });
    }

    /// Is there for a namespace only.
    pub fn only_for(&self, namespace: &str) {
        self.state().namespace = Some(namespace.to_owned());
    }

    /// Changes how it is.
    pub fn becomes(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// What it was asked since the last time this was called, as `METHOD PATH BODY`.
    pub fn asked(&self) -> Vec<String> {
        let line =
            |it: Received| format!("{} {} {}", it.method, it.path, it.body).trim_end().to_owned();
        self.state().received.drain(..).map(line).collect()
    }

    /// What became of all that it lent, by what each opens with.
    pub fn leases(&self) -> Vec<(String, LeaseIs)> {
        let is = |lease: &Lease| match (lease.revoked, lease.ends <= Instant::now()) {
            (true, _) => LeaseIs::Revoked,
            (false, true) => LeaseIs::Expired,
            (false, false) => LeaseIs::Open,
        };
        self.state().leases.iter().map(|lease| (lease.secret.clone(), is(lease))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for VaultDouble {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the accept loop.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        let (Ok(stream), shared) = (stream, Arc::clone(shared)) else { continue };
        std::thread::spawn(move || {
            // A client that breaks off ends its own connection only.
            let _ = shared.serve(&stream);
        });
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(received) = receive(&mut reader, stream)? {
            let (mood, answer) = {
                let mut state = self.state.lock().unwrap();
                state.received.push(received.clone());
                (state.mood.clone(), state.answer(&received))
            };
            let refuses = mood == Mood::Keeps && received.path.contains("revoke");
            let (status, body) = match mood {
                Mood::Silent => {
                    while !self.stopping.load(Ordering::Acquire) {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    return Ok(());
                }
                Mood::Says(text) => return stream.write_all(text.as_bytes()),
                Mood::Endless => return endless(stream),
                Mood::Sealed => (503, json!({ "errors": ["Vault is sealed"] })),
                Mood::Keeps if refuses => denied(),
                Mood::Well | Mood::Keeps => answer,
            };
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let head = format!("HTTP/1.1 {status} It\r\ncontent-type: application/json\r\n");
            let whole = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(whole.as_bytes())?;
        }
        Ok(())
    }
}

fn endless(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{\"data\":\"")?;
    let piece = vec![b'a'; 64 * 1024];
    loop {
        stream.write_all(&piece)?;
    }
}

fn denied() -> (u16, Value) {
    (403, json!({ "errors": ["permission denied"] }))
}

impl State {
    fn answer(&mut self, received: &Received) -> (u16, Value) {
        let token = received.header("x-vault-token").unwrap_or_default();
        let known = token == ROOT || self.opens(token);
        let right_place = received.header("x-vault-namespace") == self.namespace.as_deref();
        if !known || !right_place || received.header("x-vault-request") != Some("true") {
            return denied();
        }
        let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
        let Some(path) = path.strip_prefix("/v1/") else { return (404, json!({ "errors": [] })) };
        let body = received.json().unwrap_or(Value::Null);
        match (received.method.as_str(), path) {
            ("GET", _) => self.read(path, query),
            ("POST" | "PUT", "auth/token/create") => self.token(&body),
            ("POST" | "PUT", "sys/leases/renew" | "auth/token/renew-accessor") => self.renew(&body),
            ("POST" | "PUT", "sys/leases/revoke" | "auth/token/revoke-accessor") => {
                self.revoke(&body)
            }
            _ => (405, json!({ "errors": [] })),
        }
    }

    /// Whether a token or a password opens anything.
    fn opens(&self, secret: &str) -> bool {
        let now = Instant::now();
        self.leases.iter().any(|it| it.secret == secret && !it.revoked && it.ends > now)
    }

    fn read(&mut self, path: &str, query: &str) -> (u16, Value) {
        let entry = path.split_once("/data/").map(|(mount, rest)| format!("{mount}/{rest}"));
        if let Some(data) = entry.and_then(|entry| self.entries.get(&entry)) {
            let metadata = json!({ "version": 1, "destroyed": false });
            let status = if data.is_null() { 404 } else { 200 };
            return (
                status,
                json!({ "lease_id": "", "renewable": false, "lease_duration": 0,
                        "data": { "data": data, "metadata": metadata }, "auth": null }),
            );
        }
        let Some(role) = self.roles.get(path).copied() else {
            return (404, json!({ "errors": [] }));
        };
        // The database engine knows no such parameter.
        let query = if path.starts_with("database/") { "" } else { query };
        let asked = query.strip_prefix("ttl=").and_then(|it| it.strip_suffix('s'));
        let asked = asked.and_then(|it| it.parse().ok()).map(Duration::from_secs);
        let holds = asked.unwrap_or(role.holds).min(role.at_most);
        let number = self.leases.len() + 1;
        let (id, user) = (format!("{path}/lease{number}"), format!("v-token-user-{number}"));
        let password = format!("A1a-password-{number}-0123456789");
        self.leased(id.clone(), password.clone(), (holds, role.at_most));
        (
            200,
            json!({ "request_id": "1", "lease_id": id, "renewable": true,
                    "lease_duration": holds.as_secs(), "auth": null, "warnings": null,
                    "data": { "username": user, "password": password, "count": 3 } }),
        )
    }

    fn leased(&mut self, id: String, secret: String, (holds, at_most): (Duration, Duration)) {
        let now = Instant::now();
        let (ends, at_most) = (now + holds, now + at_most);
        self.leases.push(Lease { id, secret, ends, at_most, revoked: false });
    }

    fn token(&mut self, body: &Value) -> (u16, Value) {
        let ttl = body["ttl"].as_str().and_then(|it| it.strip_suffix('s'));
        let seconds = ttl.and_then(|it| it.parse().ok()).unwrap_or(2_764_800);
        let number = self.leases.len() + 1;
        let (accessor, token) = (format!("accessor{number}"), format!("hvs.CHILD-{number}-of-it"));
        let holds = Duration::from_secs(seconds);
        self.leased(accessor.clone(), token.clone(), (holds, holds));
        (
            200,
            json!({ "lease_id": "", "renewable": false, "lease_duration": 0, "data": null,
                    "auth": { "client_token": token, "accessor": accessor, "renewable": true,
                              "lease_duration": seconds, "policies": body["policies"] } }),
        )
    }

    /// The lease that a body names, unless it is over.
    fn named(&mut self, body: &Value) -> Option<&mut Lease> {
        let id = body["lease_id"].as_str().or(body["accessor"].as_str())?;
        let now = Instant::now();
        self.leases.iter_mut().find(|it| it.id == id && !it.revoked && it.ends > now)
    }

    fn renew(&mut self, body: &Value) -> (u16, Value) {
        let by = Duration::from_secs(body["increment"].as_u64().unwrap_or(0));
        let is_token = body["accessor"].is_string();
        let Some(lease) = self.named(body) else {
            return (400, json!({ "errors": ["lease not found"] }));
        };
        lease.ends = (Instant::now() + by).min(lease.at_most);
        let holds = lease.ends.saturating_duration_since(Instant::now());
        let holds = holds.as_secs();
        let terms = json!({ "lease_id": lease.id, "renewable": true, "lease_duration": holds });
        let token = json!({ "lease_id": "", "renewable": false, "lease_duration": 0, "auth":
                            { "client_token": "", "accessor": lease.id, "renewable": true,
                              "lease_duration": holds } });
        (200, if is_token { token } else { terms })
    }

    fn revoke(&mut self, body: &Value) -> (u16, Value) {
        let Some(lease) = self.named(body) else {
            return (400, json!({ "errors": ["lease not found"] }));
        };
        lease.revoked = true;
        (204, Value::Null)
    }
}
