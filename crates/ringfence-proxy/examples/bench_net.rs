//! Server and client of the benchmarks of the net gate; `cargo xtask bench net` runs both.
//!
//! `bench_net serve CERTIFICATE KEY` prints its port and serves until its input ends; `bench_net relay
//! PORT` passes connections on to that port, with nothing but `read(2)` and `write(2)`.
//! `bench_net MODE NAME:PORT CA-FILE COUNT [PROXY-PORT]` measures and prints one number:
//! `keep-alive`, `connect` and `events` nanoseconds at the median, `download` bytes a second. `hold`
//! prints a line once COUNT connections are open, and then waits for its input to end.
//! The name is looked up once, and no TLS session is resumed. For `-` as the CA-FILE it takes the one
//! that `SSL_CERT_FILE` names.
#![expect(clippy::print_stdout, clippy::exit, reason = "a program of the benchmarks")]

use std::io::{Error, Read as _, Result, Write as _};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// Bytes of a small answer.
const SMALL_BYTES: usize = 1024;
/// Bytes of a download.
const LARGE_BYTES: usize = 1 << 30;
/// Bytes that are written at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes that the relay reads at once.
const RELAY_BYTES: usize = 1024 * 1024;
/// Between two events.
const EVENT_PAUSE: Duration = Duration::from_millis(4);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match words.as_slice() {
        ["relay", port] => relay(port.parse().map_err(Error::other)?),
        ["serve", certificate, key] => runtime.block_on(serve(certificate, key)),
        [mode, to, authority, count, proxy @ ..] => {
            let count = count.parse().map_err(Error::other)?;
            let to = To::new(to, authority, proxy.first().copied())?;
            let number = runtime.block_on(measure(mode, &to, count))?;
            println!("{number}");
            Ok(())
        }
        _ => Err(Error::other("see the beginning of this example")),
    }
}

async fn measure(mode: &str, to: &To, count: usize) -> Result<u64> {
    match mode {
        "keep-alive" => keep_alive(to, count).await,
        "connect" => connect(to, count).await,
        "download" => download(to).await,
        "events" => events(to, count).await,
        "hold" => hold(to, count).await,
        _ => Err(Error::other("no such mode")),
    }
}

/// Monotonic time of this machine, the same for all its processes, in nanoseconds.
fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Ends this program when its input does.
fn end_with_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
}

// A relay that does nothing else: what any gate in user space costs at least.

fn relay(port: u16) -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    end_with_input();
    loop {
        let (client, _) = listener.accept()?;
        let server = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || pass(from, to));
        std::thread::spawn(move || pass(server, client));
    }
}

fn pass(mut from: std::net::TcpStream, mut to: std::net::TcpStream) -> Result<()> {
    let mut room = vec![0; RELAY_BYTES];
    loop {
        let read = from.read(&mut room)?;
        if read == 0 {
            return to.shutdown(std::net::Shutdown::Write);
        }
        to.write_all(room.get(..read).unwrap_or_default())?;
    }
}

// The server.

async fn serve(certificate: &str, key: &str) -> Result<()> {
    let certificates =
        CertificateDer::pem_file_iter(certificate).map_err(Error::other)?.flatten().collect();
    let key = PrivateKeyDer::from_pem_file(key).map_err(Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(Error::other)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised)?;
    end_with_input();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let _ = answer(stream).await;
            }
        });
    }
}

async fn answer(stream: server::TlsStream<TcpStream>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(path) = request(&mut stream).await? else { return Ok(()) };
        let stream = stream.get_mut();
        match path.as_str() {
            "/large" => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE_BYTES}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                let chunk = vec![0; CHUNK_BYTES];
                for _ in 0..LARGE_BYTES / CHUNK_BYTES {
                    stream.write_all(&chunk).await?;
                }
            }
            "/events" => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                            transfer-encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                loop {
                    tokio::time::sleep(EVENT_PAUSE).await;
                    let event = format!("data: {}\n\n", now_ns());
                    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                    stream.write_all(chunk.as_bytes()).await?;
                    stream.flush().await?;
                }
            }
            _ => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {SMALL_BYTES}\r\n\r\n");
                let all = [head.as_bytes(), &[b'x'; SMALL_BYTES]].concat();
                stream.write_all(&all).await?;
            }
        }
        stream.flush().await?;
    }
}

/// The path of the next request; `None` where the client has ended.
async fn request(stream: &mut BufReader<server::TlsStream<TcpStream>>) -> Result<Option<String>> {
    let (mut path, mut line) = (None, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            return Ok(path);
        }
        if path.is_none() {
            path = line.split(' ').nth(1).map(str::to_owned);
        }
    }
}

// The client.

/// Where a client connects to, and how.
struct To {
    name: String,
    port: u16,
    address: SocketAddr,
    proxied: bool,
    connector: TlsConnector,
}

impl To {
    fn new(to: &str, authority: &str, proxy: Option<&str>) -> Result<To> {
        let (name, port) = to.split_once(':').ok_or(Error::other("not NAME:PORT"))?;
        let mut roots = RootCertStore::empty();
        let named = std::env::var_os("SSL_CERT_FILE").filter(|_| authority == "-");
        let file = named.unwrap_or_else(|| authority.into());
        let found = CertificateDer::pem_file_iter(file).map_err(Error::other)?;
        roots.add_parsable_certificates(found.flatten());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let port = port.parse().map_err(Error::other)?;
        let address = match proxy {
            Some(proxy) => (Ipv4Addr::LOCALHOST, proxy.parse().map_err(Error::other)?).into(),
            None => (name, port)
                .to_socket_addrs()?
                .find(SocketAddr::is_ipv4)
                .ok_or(Error::other("no address"))?,
        };
        Ok(To {
            name: name.to_owned(),
            port,
            address,
            proxied: proxy.is_some(),
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn connect(&self) -> Result<BufReader<client::TlsStream<TcpStream>>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        if self.proxied {
            let To { name, port, .. } = self;
            let ask = format!("CONNECT {name}:{port} HTTP/1.1\r\nhost: {name}:{port}\r\n\r\n");
            stream.write_all(ask.as_bytes()).await?;
            let mut said = Vec::new();
            while !said.ends_with(b"\r\n\r\n") {
                said.push(stream.read_u8().await?);
            }
            if !said.starts_with(b"HTTP/1.1 200") {
                return Err(Error::other(String::from_utf8_lossy(&said).into_owned()));
            }
        }
        let name = ServerName::try_from(self.name.clone()).map_err(Error::other)?;
        Ok(BufReader::new(self.connector.connect(name, stream).await?))
    }

    /// Asks for a path; the head of the answer is read.
    async fn ask(
        &self,
        stream: &mut BufReader<client::TlsStream<TcpStream>>,
        path: &str,
    ) -> Result<()> {
        let ask = format!("GET {path} HTTP/1.1\r\nhost: {}:{}\r\n\r\n", self.name, self.port);
        stream.get_mut().write_all(ask.as_bytes()).await?;
        stream.get_mut().flush().await?;
        let mut line = String::new();
        let mut first = true;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err(Error::other("the server ended"));
            }
            if first && !line.contains(" 200") {
                return Err(Error::other(line));
            }
            first = false;
            if line == "\r\n" {
                return Ok(());
            }
        }
    }

    async fn small(&self, stream: &mut BufReader<client::TlsStream<TcpStream>>) -> Result<()> {
        self.ask(stream, "/small").await?;
        stream.read_exact(&mut [0; SMALL_BYTES]).await.map(|_| ())
    }
}

/// The median, in nanoseconds.
fn median(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

async fn keep_alive(to: &To, count: usize) -> Result<u64> {
    let mut stream = to.connect().await?;
    for _ in 0..count / 10 {
        to.small(&mut stream).await?;
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        to.small(&mut stream).await?;
        times.push(nanoseconds(start));
    }
    Ok(median(times))
}

async fn connect(to: &To, count: usize) -> Result<u64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        let mut stream = to.connect().await?;
        to.small(&mut stream).await?;
        times.push(nanoseconds(start));
    }
    Ok(median(times))
}

async fn download(to: &To) -> Result<u64> {
    let mut stream = to.connect().await?;
    let start = Instant::now();
    to.ask(&mut stream, "/large").await?;
    let mut left = LARGE_BYTES;
    let mut room = vec![0; CHUNK_BYTES];
    while left > 0 {
        match stream.read(&mut room).await? {
            0 => return Err(Error::other("the download was cut")),
            read => left = left.saturating_sub(read),
        }
    }
    let took = nanoseconds(start).max(1);
    Ok(u64::try_from(LARGE_BYTES as u128 * 1_000_000_000 / u128::from(took)).unwrap_or(0))
}

async fn events(to: &To, count: usize) -> Result<u64> {
    let mut stream = to.connect().await?;
    to.ask(&mut stream, "/events").await?;
    let mut times = Vec::with_capacity(count);
    let mut line = String::new();
    while times.len() < count {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(Error::other("the events ended"));
        }
        if let Some(sent) = line.trim_end().strip_prefix("data: ") {
            times.push(now_ns().saturating_sub(sent.parse().map_err(Error::other)?));
        }
    }
    Ok(median(times))
}

async fn hold(to: &To, count: usize) -> Result<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(Resource::Nofile, raised)?;
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = to.connect().await?;
        to.small(&mut stream).await?;
        held.push(stream);
    }
    println!("open");
    let _ = std::io::stdin().read(&mut [0]);
    u64::try_from(held.len()).map_err(Error::other)
}
