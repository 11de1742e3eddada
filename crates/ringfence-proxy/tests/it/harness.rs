//! A net gate on loopback, with everything a test needs to see.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use ringfence_core::{Action, Agent, Checked, Clock, Denial, NetUsage, Question};
use ringfence_proxy::net::authority::Authority;
use ringfence_proxy::net::upstream::HostProxies;
use ringfence_proxy::net::{AskPort, Entrances, Holders, NetConfig, NetGate, NetLimits, Resolve};
use ringfence_testkit::gate::{MemoryLog, ScriptedPolicy, TestGate};

/// A test that waits longer than this has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Answers from a list, one lookup after the other, the last one for ever; counts.
pub struct Lookups {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    count: AtomicUsize,
}

impl Lookups {
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }
}

impl Resolve for Lookups {
    fn resolve(&self, name: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        self.count.fetch_add(1, Ordering::AcqRel);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        if answer.is_empty() {
            return Err(io::Error::other(format!("no such name: {name}")));
        }
        // A port that nobody decided.
        Ok(answer.into_iter().map(|address| SocketAddr::new(address, 1)).collect())
    }
}

/// Refuses every question.
pub struct Nobody;

impl AskPort for Nobody {
    fn ask(&self, question: Question) -> Checked {
        Checked::Deny(Denial {
            request: question.request,
            grounds: question.grounds,
            entry: Some(question.entry),
        })
    }
}

pub struct Setup {
    pub policy: ScriptedPolicy,
    pub proxies: HostProxies,
    pub answers: Vec<Vec<IpAddr>>,
    pub limits: NetLimits,
}

pub struct Proxy {
    pub address: SocketAddr,
    pub test: TestGate,
    pub lookups: Arc<Lookups>,
    gate: Option<NetGate>,
}

/// A gate that permits these endpoints; every name leads to 127.0.0.1.
pub fn permitting(endpoints: &[&str]) -> Proxy {
    Setup::permitting(endpoints).start()
}

impl Setup {
    pub fn permitting(endpoints: &[&str]) -> Setup {
        let policy = endpoints.iter().fold(ScriptedPolicy::new(), |policy, endpoint| {
            policy.permit(Action::NetConnect, endpoint)
        });
        let answers = vec![vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]];
        let proxies = HostProxies::default();
        Setup { policy, proxies, answers, limits: NetLimits::default() }
    }

    pub fn start(self) -> Proxy {
        self.start_asking(|_| Arc::new(Nobody))
    }

    pub fn start_asking(self, asks: impl FnOnce(&TestGate) -> Arc<dyn AskPort>) -> Proxy {
        let test = TestGate::new(self.policy);
        let lookups =
            Arc::new(Lookups { answers: Mutex::new(self.answers), count: AtomicUsize::new(0) });
        let denied = |denial: &Denial| format!("denied: {}", denial.request.act.resource());
        let agent = Agent("builder".to_owned());
        let clock = Arc::clone(&test.clock) as Arc<dyn Clock>;
        let authority = Arc::new(Authority::new("tests", clock).unwrap());
        let mut config = NetConfig::new(agent, asks(&test), Box::new(denied), authority);
        config.inspect = Some(&crate::content::LOOKS);
        config.resolve = Arc::clone(&lookups) as Arc<dyn Resolve>;
        config.limits = self.limits;
        config.proxies = self.proxies;
        config.process = Arc::new(Holders::below(i32::try_from(std::process::id()).unwrap(), None));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gate =
            NetGate::serve(Entrances::proxy_only(listener), test.gate.clone(), config).unwrap();
        Proxy { address, test, lookups, gate: Some(gate) }
    }
}

impl Proxy {
    pub fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, read: Vec::new() }
    }

    /// A tunnel that was permitted.
    pub fn tunnel(&self, endpoint: &str) -> Client {
        let mut client = self.client();
        client.send(format!("CONNECT {endpoint} HTTP/1.1\r\nHost: {endpoint}\r\n\r\n"));
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        client
    }

    /// Sends bytes on a new connection and returns the answer's head and body.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> (String, String) {
        let mut client = self.client();
        client.send(request);
        client.response()
    }

    /// Whether there is an answer that is not `503`.
    pub fn ask_quietly(&self, request: &str) -> Option<()> {
        let mut client = self.client();
        // A client that is turned away may find its connection reset.
        client.stream.write_all(request.as_bytes()).ok()?;
        let mut answer = [0; 12];
        client.stream.read_exact(&mut answer).ok()?;
        (answer != *b"HTTP/1.1 503").then_some(())
    }

    pub fn end_unpermitted(&self) -> Vec<String> {
        self.gate.as_ref().unwrap().ender().end_unpermitted()
    }

    pub fn stop(&mut self) {
        self.gate.take().unwrap().stop();
    }

    /// The accounts of all connections, once everything has ended.
    pub fn connections(mut self) -> Vec<NetUsage> {
        self.stop();
        self.test.log.connections()
    }

    /// Waits for the account of one connection; the gate goes on.
    pub fn connection(&self) -> NetUsage {
        wait(|| self.test.log.connections().pop())
    }

    pub fn decisions(&self) -> Vec<String> {
        decisions(&self.test.log)
    }
}

/// Looks until there is something to see.
pub fn wait<T>(look: impl Fn() -> Option<T>) -> T {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(std::time::Instant::now() < until, "it never happened");
        thread::sleep(Duration::from_millis(2));
    }
}

/// `permit example.com:80` and the like, in order.
pub fn decisions(log: &MemoryLog) -> Vec<String> {
    let text = |(resource, verdict)| {
        let verdict = match verdict {
            ringfence_core::Verdict::Permit => "permit",
            ringfence_core::Verdict::Ask(_) => "ask",
            ringfence_core::Verdict::Deny => "deny",
        };
        format!("{verdict} {resource}")
    };
    log.decisions().into_iter().map(text).collect()
}

pub struct Client {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub fn end(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to and with `mark`.
    pub fn until(&mut self, mark: &str) -> String {
        let mark = mark.as_bytes();
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|window| window == mark) {
                let rest = self.read.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            assert!(self.more(), "the end came first: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    pub fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.more(), "the end came after {} of {count} bytes", self.read.len());
        }
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    /// Everything until the peer ends; an error is one.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.read)?;
        Ok(std::mem::take(&mut self.read))
    }

    pub fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    /// A head and the body that its `content-length` tells.
    pub fn response(&mut self) -> (String, String) {
        let head = self.head();
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.exactly(length)).unwrap();
        (head, body)
    }

    fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let count = self.stream.read(&mut buffer).unwrap();
        self.read.extend_from_slice(&buffer[..count]);
        count > 0
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A server on 127.0.0.1 that serves `connections` connections, each in a thread of its own.
pub fn server<T: Send + 'static>(
    connections: usize,
    serve: impl Fn(Client) -> T + Send + Sync + 'static,
) -> (u16, JoinHandle<Vec<T>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    let serving = thread::spawn(move || {
        let one = |_| {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let serve = serve.clone();
            thread::spawn(move || serve(Client { stream, read: Vec::new() }))
        };
        let each: Vec<JoinHandle<T>> = (0..connections).map(one).collect();
        each.into_iter().map(|one| one.join().unwrap()).collect()
    });
    (port, serving)
}

/// A server that answers each connection's one request with `body` and returns the request's head.
pub fn answering(connections: usize, body: &'static str) -> (u16, JoinHandle<Vec<String>>) {
    server(connections, move |mut client| {
        let head = client.head();
        let length = body.len();
        client.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"));
        head
    })
}

/// A port on which nothing listens.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
