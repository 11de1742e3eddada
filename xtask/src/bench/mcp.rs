//! The gate of tools: calls over standard streams and over HTTP, directly, through a relay that does nothing else, and
//! through the gate with schema, policy, detectors and log.

mod between;

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::net::{line_of, median, min, ratio};
use super::place::{DECIDED, Place};
use super::{Row, SETTLE, ringfence};
use crate::process::{call, output, status, target_dir};
use crate::setup;
pub(crate) use between::between;

/// Calls of one client, one after the other.
const CALLS: usize = 2_000;
/// The same of a server that takes its time.
const SLOW_CALLS: usize = 500;
/// Clients that call at the same time, and calls of each.
const CLIENTS: usize = 64;
/// The same where each has a server in a world of its own and Linux has its own limit on `INOTIFY`: a world watches the
/// host by that.
const CLIENTS_WITH_WORLDS: usize = 32;
/// How many a user may have, 128 by default.
const INOTIFY: &str = "/proc/sys/fs/inotify/max_user_instances";
/// As many as are enough for all clients to have a world.
const INOTIFY_ENOUGH: usize = 512;
const CALLS_OF_EACH: usize = 400;
/// Sessions that are open and idle.
const SESSIONS: usize = 200;
/// The same where each has a server in a world of its own.
const WORLDS: usize = 50;
/// Counted rounds: each number is a median of many already.
const ROUNDS: usize = 7;
/// Rounds of what takes seconds.
const LONG_ROUNDS: usize = 3;
/// How long what was just opened is left alone before it is looked at.
const REST: Duration = Duration::from_secs(2);

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(20);

/// Everything about the gate of tools.
pub(crate) fn all() -> Result<Vec<Row>, String> {
    let parts = [calls(), posts(), between(), clients(), sessions(), detectors()];
    parts.into_iter().collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().flatten().collect())
}

/// Calls over standard streams, one after the other.
pub(crate) fn calls() -> Result<Vec<Row>, String> {
    let stage = Stage::new("mcp-calls")?;
    let (echo, everything) = (stage.own_server(), stage.everything()?);
    let mut rows = Vec::new();
    for (name, server, count) in [("echo", echo, CALLS), ("everything", everything, SLOW_CALLS)] {
        stage.add(name, &[&["--"], &words(&server)[..]].concat())?;
        let relay = [vec![stage.program(), "relay".to_owned()], server.clone()].concat();
        let gate = ["mcp", "run", "--agent", "bench", name].map(str::to_owned).to_vec();
        let gate = [vec![ringfence().display().to_string()], gate].concat();
        let [direct, relay, gate] = stage.rounds(&[server, relay, gate].map(|command| {
            [vec!["call".to_owned(), count.to_string(), "echo".to_owned()], command].concat()
        }))?;
        let what = |which| format!("stdio `tools/call` of {name} p50, {which}");
        rows.push(added(&what("added by the gate"), ("0.3 ms", "0.1 ms"), &gate, &direct));
        rows.push(ratio(&what("against direct"), ("3x", "1.7x"), &gate, &direct));
        rows.push(ratio(&what("against a bare relay"), ("-", "-"), &gate, &relay));
    }
    Ok(rows)
}

/// Calls over HTTP, to a server behind an address: our own, which answers as soon as can be, and a usual one.
pub(crate) fn posts() -> Result<Vec<Row>, String> {
    let stage = Stage::new("mcp-posts")?;
    // One after the other: each is the server `web`.
    let mut rows = posts_to(&stage, &Web::start(&stage)?, ("our server", CALLS))?;
    let usual = Web::everything(&stage)?;
    rows.extend(posts_to(&stage, &usual, ("`server-everything`", SLOW_CALLS))?);
    Ok(rows)
}

fn posts_to(stage: &Stage, web: &Web, (name, count): (&str, usize)) -> Result<Vec<Row>, String> {
    let gate = Gate::serve(stage, &["web"])?;
    let sides = [(web.url(), "-".to_owned()), gate.at()];
    let [direct, gate] = stage.rounds(&sides.map(|at| post(count, at)))?;
    let what = |which| format!("HTTP `tools/call` of {name} p50, {which}");
    Ok(vec![
        added(&what("added by the gate"), ("-", "-"), &gate, &direct),
        ratio(&what("against direct"), ("1.5x", "1.2x"), &gate, &direct),
    ])
}

/// What our client is told to call a server over HTTP so often.
fn post(count: usize, (url, token): (String, String)) -> Vec<String> {
    vec!["post".to_owned(), count.to_string(), "echo".to_owned(), url, token]
}

/// Many clients at once.
pub(crate) fn clients() -> Result<Vec<Row>, String> {
    let stage = Stage::new("mcp-load")?;
    let web = Web::start(&stage)?;
    stage.add("echo", &[&["--"], &words(&stage.own_server())[..]].concat())?;
    let mut rows = Vec::new();
    for (name, clients, what) in [
        ("web", CLIENTS, "behind an address"),
        ("echo", clients_with_worlds(), "each in a world of its own"),
    ] {
        let gate = Gate::serve(&stage, &[name])?;
        let (mut ours, mut direct) = (Vec::new(), Vec::new());
        for _ in 0..LONG_ROUNDS {
            ours.push(stage.load(clients, gate.at())?);
            direct.push(stage.load(clients, (web.url(), "-".to_owned()))?);
        }
        let most = |numbers: &[f64]| numbers.iter().copied().fold(f64::NAN, f64::max);
        rows.push(Row {
            what: format!("calls a second, {clients} clients, servers {what}"),
            must: "5000",
            aim: "15000",
            min: most(&ours),
            median: median(&ours),
            unit: "",
            note: format!(
                "clients and servers on the same processors; without the gate {:.0} over HTTP",
                median(&direct)
            ),
        });
    }
    Ok(rows)
}

/// As many clients as may have a server in a world each.
fn clients_with_worlds() -> usize {
    let most = std::fs::read_to_string(INOTIFY).unwrap_or_default();
    let is_enough = most.trim().parse().is_ok_and(|most: usize| most >= INOTIFY_ENOUGH);
    if is_enough { CLIENTS } else { CLIENTS_WITH_WORLDS }
}

/// Memory of sessions in which nothing happens.
pub(crate) fn sessions() -> Result<Vec<Row>, String> {
    let stage = Stage::new("mcp-idle")?;
    let _web = Web::start(&stage)?;
    stage.add("echo", &[&["--"], &words(&stage.own_server())[..]].concat())?;
    let mut rows = Vec::new();
    for (name, count, what) in [
        ("web", SESSIONS, "servers behind addresses"),
        ("echo", WORLDS, "each with a server in a world"),
    ] {
        let gate = Gate::serve(&stage, &[name])?;
        let (url, token) = gate.at();
        // One that has come and gone: what is made once does not count.
        stage.client(&["hold", "1", &url, &token], Stdio::null())?.wait().map_err(text)?;
        std::thread::sleep(REST);
        let before = gate.memory()?;
        let mut held = stage.client(&["hold", &count.to_string(), &url, &token], Stdio::piped())?;
        let said = line_of(&mut held)?;
        std::thread::sleep(REST);
        let (after, worlds) = (gate.memory()?, gate.memory_of_worlds());
        drop(held.stdin.take());
        held.wait().map_err(text)?;
        if said != "open" {
            return Err("the sessions were not opened".to_owned());
        }
        let each = (after - before) / f64::from(u32::try_from(count).unwrap_or(1)) / 1e6;
        let worlds = worlds / f64::from(u32::try_from(count).unwrap_or(1)) / 1e6;
        rows.push(Row {
            what: format!("memory of an idle session, {what}"),
            must: "2 MB",
            aim: "0.5 MB",
            min: each,
            median: each,
            unit: " MB",
            note: format!(
                "resident memory of the gate, {count} sessions; our processes around the servers' worlds have {worlds:.2} MB each besides"
            ),
        });
    }
    Ok(rows)
}

/// Detectors on 4 KiB of text.
pub(crate) fn detectors() -> Result<Vec<Row>, String> {
    let example = ["run", "--quiet", "--release", "--locked", "--package", "ringfence-detect"];
    let printed = output("cargo", &[&example[..], &["--example", "speed"]].concat())?;
    let row = |line: &str| {
        let mut parts = line.split_whitespace();
        let kind = parts.next().filter(|kind| ["code", "json", "logs", "prose"].contains(kind))?;
        let numbers: Vec<f64> = parts.filter_map(|part| part.parse().ok()).collect();
        let [p50, p99, _, set] = numbers.as_slice() else { return None };
        Some(Row {
            what: format!("detectors on 4 KiB of {kind}, p50 (first) and p99"),
            must: "20 / 200 us",
            aim: "10 / 80 us",
            min: *p50,
            median: *p99,
            unit: " us",
            note: format!("one set of the same expressions {set:.0} us"),
        })
    };
    Ok(printed.lines().filter_map(row).collect())
}

/// A place with a policy for tools, and the program that is client and server.
struct Stage {
    place: Place,
}

impl Stage {
    fn new(name: &str) -> Result<Stage, String> {
        let example = ["build", "--quiet", "--release", "--locked", "--example", "bench_mcp"];
        call("cargo", &[&example[..], &["--package", "ringfence-proxy"]].concat())?;
        let policy = format!(
            "{DECIDED}@id(\"tools\") permit (principal == Agent::\"bench\", action in Action::\"tool.call\", resource);\n\
             @id(\"web\") permit (principal == Agent::\"web\", action == Action::\"net.connect\", resource);\n"
        );
        let place = Place::new(name, &policy, "")?;
        let program = target_dir().join("release/examples/bench_mcp");
        std::fs::copy(&program, place.project().join("bench_mcp"))
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Stage { place })
    }

    fn program(&self) -> String {
        self.place.project().join("bench_mcp").display().to_string()
    }

    /// Our server, on the second processor: client and server have each their own, as those have that work.
    fn own_server(&self) -> Vec<String> {
        let server =
            ["taskset".to_owned(), "--cpu-list".to_owned(), "1".to_owned(), self.program()];
        [&server[..], &["echo".to_owned()]].concat()
    }

    /// The server of the protocol's own authors, copied to where its world can read it.
    fn everything(&self) -> Result<Vec<String>, String> {
        let copy =
            "cd $1 && tar -c --exclude=@anthropic-ai --exclude=@openai node_modules | tar -x -C $2";
        let mut copying = Command::new("sh");
        copying.args(["-ec", copy, "sh"]).arg(setup::agents()).arg(self.place.project());
        status(&mut copying)?;
        Ok(everything_in(&self.place.project(), "stdio"))
    }

    fn add(&self, name: &str, what: &[&str]) -> Result<(), String> {
        let words = [&["mcp", "add", name, "--yes"], what].concat();
        self.place.finish(&mut self.place.ours(&words))
    }

    /// Our client on the first processor.
    fn client(&self, words: &[&str], input: Stdio) -> Result<Child, String> {
        let program = self.program();
        let client = ["taskset", "--cpu-list", "0", &program];
        let mut client = self.place.bare(&[&client[..], words].concat());
        client.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().map_err(|error| format!("{client:?}: {error}"))
    }

    /// The median that a client measures.
    fn measure(&self, words: &[String]) -> Result<f64, String> {
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let made = self.client(&arguments, Stdio::null())?.wait_with_output().map_err(text)?;
        let printed = String::from_utf8_lossy(&made.stdout);
        let first = printed.split_whitespace().next().and_then(|it| it.parse().ok());
        first.ok_or_else(|| {
            let said = String::from_utf8_lossy(&made.stderr).replace('\n', " ");
            format!("{words:?} ended with {}: {said}", made.status)
        })
    }

    /// All sides in turn, round after round, after one that is not counted.
    fn rounds<const N: usize>(&self, sides: &[Vec<String>; N]) -> Result<[Vec<f64>; N], String> {
        let mut numbers = [const { Vec::new() }; N];
        for round in 0..=ROUNDS {
            for (side, numbers) in sides.iter().zip(&mut numbers) {
                let number = self.measure(side)?;
                if round > 0 {
                    numbers.push(number);
                }
                std::thread::sleep(SETTLE);
            }
        }
        Ok(numbers)
    }

    /// Calls a second of many clients.
    fn load(&self, clients: usize, (url, token): (String, String)) -> Result<f64, String> {
        let (clients, calls) = (clients.to_string(), CALLS_OF_EACH.to_string());
        let words = ["load", &clients, &calls, &url, &token];
        self.measure(&words.map(str::to_owned))
    }
}

/// The server of the protocol's own authors, on the second processor.
fn everything_in(dir: &Path, how: &str) -> Vec<String> {
    let server = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    let server = dir.join(server).display().to_string();
    ["taskset", "--cpu-list", "1", "node", &server, how].map(str::to_owned).to_vec()
}

/// A server over HTTP, added as `web`.
struct Web {
    child: Child,
    port: String,
}

impl Web {
    fn start(stage: &Stage) -> Result<Web, String> {
        let program = stage.program();
        let mut server = Command::new("taskset");
        server.args(["--cpu-list", "1", &program, "serve"]);
        server.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = server.spawn().map_err(|error| format!("{server:?}: {error}"))?;
        let port = line_of(&mut child)?;
        let web = Web { child, port };
        stage.add("web", &[&web.url()])?;
        Ok(web)
    }

    /// The server of the protocol's own authors, as it is when nobody asks for anything else.
    fn everything(stage: &Stage) -> Result<Web, String> {
        let web = Web::listening(&everything_in(&setup::agents(), "streamableHttp"))?;
        stage.add("web", &[&web.url()])?;
        Ok(web)
    }

    /// What listens at the port that the variable `PORT` names, or a word that is `PORT`.
    fn listening(command: &[String]) -> Result<Web, String> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
        let port = port.map_err(text)?.port().to_string();
        let command: Vec<String> = command.iter().map(|it| it.replace("PORT", &port)).collect();
        let (program, arguments) = command.split_first().ok_or("no command")?;
        let mut server = Command::new(program);
        server.args(arguments).env("PORT", &port);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = server.spawn().map_err(|error| format!("{server:?}: {error}"))?;
        let web = Web { child, port };
        let until = Instant::now() + START_MAX;
        while TcpStream::connect(format!("127.0.0.1:{}", web.port)).is_err() {
            if Instant::now() > until {
                return Err(format!("{server:?} does not listen"));
            }
            std::thread::sleep(SETTLE);
        }
        Ok(web)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gate that serves clients over HTTP.
struct Gate {
    child: Child,
    /// Held open: what it says to nobody would end it.
    _stderr: BufReader<ChildStderr>,
    url: String,
    token: String,
}

impl Gate {
    fn serve(stage: &Stage, servers: &[&str]) -> Result<Gate, String> {
        let words = ["mcp", "serve", "--listen", "127.0.0.1:0", "--agent", "bench"];
        let mut gate = stage.place.ours(&[&words[..], servers].concat());
        gate.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = gate.spawn().map_err(|error| format!("{gate:?}: {error}"))?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no stderr")?);
        let mut said = String::new();
        loop {
            let mut line = String::new();
            if stderr.read_line(&mut line).map_err(text)? == 0 {
                return Err(format!("the gate ended: {said}"));
            }
            if let Some(rest) = line.strip_prefix("serving at ") {
                let (url, rest) = rest.split_once(',').ok_or("no address")?;
                let token = rest.rsplit(' ').next().unwrap_or_default().trim();
                let (url, token) = (url.to_owned(), token.to_owned());
                return Ok(Gate { child, _stderr: stderr, url, token });
            }
            said.push_str(&line);
        }
    }

    fn at(&self) -> (String, String) {
        (self.url.clone(), self.token.clone())
    }

    /// Its resident memory, in bytes: what its worlds share with it counts once, for it.
    fn memory(&self) -> Result<f64, String> {
        memory_of(&PathBuf::from(format!("/proc/{}", self.child.id())), "Rss:")
            .ok_or_else(|| "the gate's memory cannot be read".to_owned())
    }

    /// That of our own processes around servers in worlds.
    fn memory_of_worlds(&self) -> f64 {
        let own = self.child.id().to_string();
        let program = ringfence();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ours = processes.filter(|it| {
            let is_ours = std::fs::read_link(it.path().join("exe")).is_ok_and(|exe| exe == program);
            is_ours && it.file_name().to_string_lossy() != own
        });
        ours.filter_map(|it| memory_of(&it.path(), "Pss:")).sum()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // In order, so that worlds and logs end as they should.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn memory_of(process: &Path, which: &str) -> Option<f64> {
    let rollup = std::fs::read_to_string(process.join("smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix(which))?;
    let kilobytes: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kilobytes) * 1024.0)
}

fn words(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// A row of two times in nanoseconds: how much more ours is.
fn added(what: &str, marks: (&'static str, &'static str), ours: &[f64], peer: &[f64]) -> Row {
    let ms = |ns: f64| ns / 1e6;
    Row {
        what: what.to_owned(),
        must: marks.0,
        aim: marks.1,
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
