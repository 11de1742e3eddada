//! The net gate: a client against a server, directly, through a world, and through mitmproxy.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::place::{DECIDED, Place};
use super::{Row, ringfence};
use crate::process::{call, status, target_dir};
use crate::setup;

/// The name of this host within a world; outside it is called `localhost`.
const HOST: &str = "host.ringfence.internal";
/// Requests over one connection.
const REQUESTS: usize = 2_000;
/// Connections, one after the other.
const CONNECTIONS: usize = 200;
/// Events of one stream.
const EVENTS: usize = 200;
/// Connections that are open at the same time.
const HELD: usize = 2_000;
/// Counted rounds: each number is a median of many already, or takes a second.
const ROUNDS: usize = 7;
/// How long a proxy may take to start.
const START_WAIT: Duration = Duration::from_secs(30);

/// Where the client is, or what is between it and the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Direct,
    /// Through a process that does nothing but read and write.
    Relay,
    Spliced,
    Inspected,
    Mitmproxy,
}

/// Which processors client and server are on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    /// Any.
    Any,
    /// The client on the first, the server on the second: two that wait for each other are otherwise
    /// put on one or on two, by turns, and that alone makes a difference of five times.
    Own,
}

/// What is compared with a direct connection.
const OURS: [Side; 3] = [Side::Direct, Side::Spliced, Side::Inspected];

/// Requests over one connection, one after the other.
pub(crate) fn requests() -> Result<Vec<Row>, String> {
    let all = [Side::Direct, Side::Spliced, Side::Inspected, Side::Mitmproxy];
    let [direct, spliced, inspected, mitmproxy] =
        Stage::new(On::Own)?.rounds(&all, ROUNDS, "keep-alive", REQUESTS)?;
    let what = |which| format!("keep-alive request p50, {which}");
    Ok(vec![
        ratio(&what("spliced against direct"), ("1.5x", "1.2x"), &spliced, &direct),
        ratio(&what("inspected against direct"), ("2.0x", "1.5x"), &inspected, &direct),
        ratio(&what("inspected against mitmproxy"), ("0.25x", "0.1x"), &inspected, &mitmproxy),
    ])
}

/// Connections, one after the other, each with one request.
pub(crate) fn connections() -> Result<Vec<Row>, String> {
    let [direct, spliced, inspected] =
        Stage::new(On::Own)?.rounds(&OURS, ROUNDS, "connect", CONNECTIONS)?;
    let what = |which| format!("new TLS connection p50, {which} against direct");
    Ok(vec![
        ratio(&what("spliced"), ("1.5x", "1.2x"), &spliced, &direct),
        ratio(&what("inspected"), ("2.5x", "1.8x"), &inspected, &direct),
    ])
}

/// One large answer.
pub(crate) fn download() -> Result<Vec<Row>, String> {
    let all = [Side::Direct, Side::Relay, Side::Spliced, Side::Inspected];
    let [direct, relay, spliced, inspected] =
        Stage::new(On::Any)?.rounds(&all, ROUNDS, "download", 1)?;
    let what = |which| format!("1 GiB download, {which} against direct");
    Ok(vec![
        speed(&what("spliced"), ("0.8x", "0.95x"), &spliced, &direct),
        speed(&what("inspected"), ("0.5x", "0.7x"), &inspected, &direct),
        speed("the same spliced against a bare relay", ("-", "-"), &spliced, &relay),
    ])
}

/// Events of one stream, each with the time it was sent at.
pub(crate) fn events() -> Result<Vec<Row>, String> {
    let [direct, spliced, inspected] =
        Stage::new(On::Any)?.rounds(&OURS, ROUNDS, "events", EVENTS)?;
    Ok(vec![
        added("SSE event delay added, spliced", &spliced, &direct),
        added("SSE event delay added, inspected", &inspected, &direct),
    ])
}

/// Memory for many connections that are open at the same time.
pub(crate) fn open() -> Result<Vec<Row>, String> {
    let stage = Stage::new(On::Any)?;
    Ok(vec![stage.held(Side::Spliced, "spliced")?, stage.held(Side::Inspected, "inspected")?])
}

/// A server, and the ways to it.
struct Stage {
    on: On,
    server: Child,
    port: u16,
    relay: Child,
    relay_port: u16,
    certificate: PathBuf,
    mitmproxy: Child,
    mitmproxy_port: u16,
    mitmproxy_authority: PathBuf,
    spliced: Place,
    inspected: Place,
    _files: Place,
}

impl Stage {
    fn new(on: On) -> Result<Stage, String> {
        let example = ["build", "--quiet", "--release", "--locked", "--example", "bench_net"];
        call("cargo", &[&example[..], &["--package", "ringfence-proxy"]].concat())?;
        let files = Place::new("net-files", DECIDED, "")?;
        let dir = files.project();
        let (certificate, key) = (dir.join("server.pem"), dir.join("server.key"));
        certify(&certificate, &key)?;
        let (server, port) =
            listening(on.run("1", &client()).arg("serve").args([&certificate, &key]))?;
        let (relay, relay_port) =
            listening(on.run("0,1", &client()).args(["relay", &port.to_string()]))?;
        let connect = format!(
            "{DECIDED}@id(\"server\") permit (principal, action == Action::\"net.connect\", \
             resource == Endpoint::\"{HOST}:{port}\");\n"
        );
        let request = format!(
            "{connect}@id(\"reads\") permit (principal, action == Action::\"net.request\", \
             resource == Endpoint::\"{HOST}:{port}\") when {{ context.method == \"GET\" }};\n"
        );
        let limits = "[limits]\nopen_files_max = 8192\n";
        let (spliced, inspected) =
            (Place::new("spliced", &connect, limits)?, Place::new("inspected", &request, limits)?);
        for place in [&spliced, &inspected] {
            for file in [&certificate, &client()] {
                let name = file.file_name().unwrap_or_default();
                std::fs::copy(file, place.project().join(name))
                    .map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        let (mitmproxy, mitmproxy_port) = mitmproxy(&dir, &certificate)?;
        let mitmproxy_authority = dir.join("mitmproxy-ca-cert.pem");
        Ok(Stage {
            on,
            server,
            port,
            relay,
            relay_port,
            certificate,
            mitmproxy,
            mitmproxy_port,
            mitmproxy_authority,
            spliced,
            inspected,
            _files: files,
        })
    }

    fn command(&self, side: Side, mode: &str, count: usize) -> Command {
        let (count, port) = (count.to_string(), self.port);
        let inside = |place: &Place, authority| {
            let to = format!("{HOST}:{port}");
            let run = ["./bench_net", mode, &to, authority, &count];
            let mut run = match self.on {
                On::Any => place.command(&run),
                On::Own => place.command(&[&["taskset", "--cpu-list", "0"], &run[..]].concat()),
            };
            run.env("SSL_CERT_FILE", &self.certificate);
            run
        };
        let outside = |port: u16, authority: &Path, proxy: Option<u16>| {
            let mut run = self.on.run("0", &client());
            run.args([mode, &format!("localhost:{port}")]).arg(authority).arg(&count);
            run.args(proxy.map(|port| port.to_string()));
            run
        };
        match side {
            Side::Direct => outside(port, &self.certificate, None),
            Side::Relay => outside(self.relay_port, &self.certificate, None),
            Side::Spliced => inside(&self.spliced, "server.pem"),
            Side::Inspected => inside(&self.inspected, "-"),
            Side::Mitmproxy => outside(port, &self.mitmproxy_authority, Some(self.mitmproxy_port)),
        }
    }

    fn measure(&self, side: Side, mode: &str, count: usize) -> Result<f64, String> {
        let mut command = self.command(side, mode, count);
        let made = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        let printed = String::from_utf8_lossy(&made.stdout);
        printed.trim().parse().map_err(|_| {
            let said = String::from_utf8_lossy(&made.stderr).replace('\n', " ");
            format!("{command:?} ended with {}: {said}", made.status)
        })
    }

    /// Measures all sides in turn, round after round, after one that is not counted.
    fn rounds<const N: usize>(
        &self,
        sides: &[Side; N],
        rounds: usize,
        mode: &str,
        count: usize,
    ) -> Result<[Vec<f64>; N], String> {
        let mut numbers = [const { Vec::new() }; N];
        for round in 0..=rounds {
            for (side, numbers) in sides.iter().zip(&mut numbers) {
                let number = self.measure(*side, mode, count)?;
                if round > 0 {
                    numbers.push(number);
                }
                std::thread::sleep(super::SETTLE);
            }
        }
        Ok(numbers)
    }

    /// The memory of all our processes while many connections are open.
    fn held(&self, side: Side, name: &str) -> Result<Row, String> {
        let mut numbers = Vec::new();
        for _ in 0..3 {
            let mut command = self.command(side, "hold", HELD);
            let mut held = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| format!("{command:?}: {error}"))?;
            let said = line_of(&mut held)?;
            let bytes = memory_bytes();
            drop(held.stdin.take());
            held.wait().map_err(|error| error.to_string())?;
            if said != "open" {
                return Err(format!("{command:?} said `{said}`"));
            }
            numbers.push(bytes? / 1e6);
        }
        Ok(Row {
            what: format!("{HELD} open connections, {name}"),
            must: "100 MB",
            aim: "40 MB",
            min: min(&numbers),
            median: median(&numbers),
            unit: " MB",
            note: "proportional memory of all processes of the session that are ours".to_owned(),
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in [&mut self.server, &mut self.relay, &mut self.mitmproxy] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl On {
    /// A program, on some processors where that is said.
    fn run(self, processors: &str, program: &Path) -> Command {
        if self == On::Any {
            return Command::new(program);
        }
        let mut taskset = Command::new("taskset");
        taskset.args(["--cpu-list", processors]).arg(program);
        taskset
    }
}

/// Starts a program that prints its port.
fn listening(command: &mut Command) -> Result<(Child, u16), String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let port = line_of(&mut child)?.parse().map_err(|_| format!("{command:?} named no port"))?;
    Ok((child, port))
}

fn client() -> PathBuf {
    target_dir().join("release/examples/bench_net")
}

/// A certificate for both names of this host that vouches for itself.
fn certify(certificate: &Path, key: &Path) -> Result<(), String> {
    let names = format!("subjectAltName=DNS:localhost,DNS:{HOST}");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext", &names])
        // An authority's is not taken for a server's.
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null());
    status(&mut openssl)
}

/// Starts mitmproxy, and waits until it takes connections.
fn mitmproxy(dir: &Path, trusted: &Path) -> Result<(Child, u16), String> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .map_err(|error| error.to_string())?
        .port();
    let mut mitmdump = Command::new(setup::mitmdump()?);
    mitmdump
        .args(["--quiet", "--listen-host", "127.0.0.1", "--listen-port", &port.to_string()])
        .args(["--set", &format!("confdir={}", dir.display())])
        .args(["--set", &format!("ssl_verify_upstream_trusted_ca={}", trusted.display())]);
    let mut child = mitmdump.spawn().map_err(|error| format!("mitmdump: {error}"))?;
    let until = Instant::now() + START_WAIT;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > until {
            let _ = child.kill();
            return Err("mitmdump takes no connections".to_owned());
        }
        std::thread::sleep(super::SETTLE);
    }
    Ok((child, port))
}

/// The first line a child prints.
pub(super) fn line_of(child: &mut Child) -> Result<String, String> {
    let out = child.stdout.as_mut().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line.trim().to_owned())
}

/// The proportional set size of all processes of the program under test, in bytes.
fn memory_bytes() -> Result<f64, String> {
    let program = ringfence();
    let processes = std::fs::read_dir("/proc").map_err(|error| error.to_string())?;
    let ours = processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|process| std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program));
    let mut kilobytes = 0;
    for process in ours {
        // One that has just ended has none.
        let text = std::fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes += number.and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
    }
    if kilobytes == 0 {
        Err("no process to measure".to_owned())
    } else {
        Ok(f64::from(kilobytes) * 1024.0)
    }
}

pub(super) fn min(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NAN, f64::min)
}

pub(super) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A row of two times in nanoseconds.
pub(super) fn ratio(
    what: &str,
    marks: (&'static str, &'static str),
    ours: &[f64],
    peer: &[f64],
) -> Row {
    let us = |ns: f64| ns / 1_000.0;
    Row {
        what: what.to_owned(),
        must: marks.0,
        aim: marks.1,
        min: min(ours) / min(peer),
        median: median(ours) / median(peer),
        unit: "x",
        note: format!(
            "median {:.0} µs against {:.0} µs, {} rounds",
            us(median(ours)),
            us(median(peer)),
            ours.len()
        ),
    }
}

/// A row of two speeds in bytes a second; the best of each are compared, and the medians.
fn speed(what: &str, marks: (&'static str, &'static str), ours: &[f64], peer: &[f64]) -> Row {
    let best = |numbers: &[f64]| numbers.iter().copied().fold(f64::NAN, f64::max);
    Row {
        what: what.to_owned(),
        must: marks.0,
        aim: marks.1,
        min: best(ours) / best(peer),
        median: median(ours) / median(peer),
        unit: "x",
        note: format!(
            "median {:.0} MB/s against {:.0} MB/s, {} rounds",
            median(ours) / 1e6,
            median(peer) / 1e6,
            ours.len()
        ),
    }
}

/// A row of two delays in nanoseconds: how much more ours is.
fn added(what: &str, ours: &[f64], peer: &[f64]) -> Row {
    let ms = |ns: f64| ns / 1e6;
    Row {
        what: what.to_owned(),
        must: "1 ms",
        aim: "0.2 ms",
        min: ms(min(ours) - min(peer)),
        median: ms(median(ours) - median(peer)),
        unit: " ms",
        note: format!(
            "median {:.0} µs against {:.0} µs, {} rounds",
            median(ours) / 1e3,
            median(peer) / 1e3,
            ours.len()
        ),
    }
}
