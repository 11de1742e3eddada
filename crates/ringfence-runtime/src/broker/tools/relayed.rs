//! Clients within a world: what `mcp run` says there arrives here over a socket, and is served by the session that
//! the world belongs to, with its gate, its questions and its log.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ringfence_core::{Process, ServerName};
use serde::{Deserialize, Serialize};

use super::super::RunError;
use super::ToolsRequest;
use super::decider::Decider;
use super::history::History;
use super::metrics::Metrics;
use super::remote::Remotes;
use super::results::Results;
use super::serving::{Client, Serving, Stopper};
use crate::in_force::InForce;
use crate::servers::Server;
use crate::settings::ResultSettings;
use crate::signing::{Speaks, Talk, Verdicts};

/// Where, in the world, `mcp run` finds its session.
pub const TOOLS_SOCKET: &str = "/run/ringfence/tools";

/// The variable that says so.
pub const TOOLS_VARIABLE: &str = "RINGFENCE_TOOLS";

/// Where, in the world, Ringfence itself is, for that.
pub const OWN_PROGRAM: &str = "/run/ringfence/bin/ringfence";

/// Longest first line of a client, in bytes.
const WANTED_BYTES_MAX: u64 = 64 * 1024;

/// How long the end of all talks is waited for at the end of a session: their servers are told to end.
const END_WAIT: Duration = Duration::from_secs(3);

/// Most servers that the clients of one world have running at a time: each runs in a world of its own, which the
/// limits of the client's do not count.
pub(super) const SERVERS_MAX: usize = 16;

/// What a client says first, in a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Which servers; all that there are where empty.
    pub servers: Vec<ServerName>,
}

/// What it is answered, in a line of JSON; then both speak MCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// It is served.
    Served,
    /// It is not, for this reason.
    Refused(String),
}

/// Serves the clients of one world.
pub(in super::super) struct Clients {
    verdicts: Verdicts,
    in_force: Arc<InForce>,
    results: ResultSettings,
    history: Arc<History>,
    request: ToolsRequest,
    project: PathBuf,
    open: Arc<Open>,
}

/// The talks that go on.
#[derive(Default)]
pub(in super::super) struct Open {
    stoppers: Mutex<Talking>,
    fewer: Condvar,
}

#[derive(Default)]
struct Talking {
    /// No more are begun.
    is_over: bool,
    next: u64,
    /// How many servers run for all of them, or are about to.
    servers: usize,
    all: Vec<(u64, Stopper)>,
}

impl Clients {
    pub(in super::super) fn new(
        (verdicts, in_force): (Verdicts, Arc<InForce>),
        results: ResultSettings,
        (request, project): (ToolsRequest, PathBuf),
    ) -> Clients {
        let (history, open) = (History::new(&results), Arc::default());
        Clients { verdicts, in_force, results, history, request, project, open }
    }

    /// What ends all talks.
    pub(in super::super) fn open(&self) -> Arc<Open> {
        Arc::clone(&self.open)
    }

    /// The servers that are wanted, of those that there are now, or why not.
    fn chosen(&self, from: &mut impl BufRead) -> Result<Vec<Server>, String> {
        let mut line = String::new();
        let read = from.take(WANTED_BYTES_MAX).read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        let wanted: Wanted = serde_json::from_str(&line)
            .map_err(|_| "use the same version of ringfence inside as outside".to_owned())?;
        let there = self.in_force.served();
        if wanted.servers.is_empty() {
            return Ok(there.to_vec());
        }
        let mut named = BTreeSet::new();
        if let Some(twice) = wanted.servers.iter().find(|name| !named.insert(*name)) {
            return Err(format!("the server `{twice}` is named twice"));
        }
        let one = |name: &ServerName| {
            let found = there.iter().find(|server| server.name == *name).cloned();
            found.ok_or_else(|| format!("no server `{name}`"))
        };
        wanted.servers.iter().map(one).collect()
    }

    fn serve(&self, process: Process, talk: &Talk) -> io::Result<()> {
        // Who does not say what it wants makes room for those that do.
        talk.rest(&[])?;
        let mut from = BufReader::new(talk);
        let chosen = self.chosen(&mut from);
        let (read, stream) = (from.buffer().to_vec(), talk.keep()?);
        let servers = match chosen {
            Ok(servers) => servers,
            Err(why) => return answer(&stream, &Answered::Refused(why)),
        };
        let reserved = match self.open.reserve(servers.len()) {
            Ok(reserved) => reserved,
            Err(why) => return answer(&stream, &Answered::Refused(why)),
        };
        let Verdicts { gate, agent, approvals, stderr, .. } = &self.verdicts;
        let who = (agent.clone(), Arc::clone(approvals), Arc::clone(&self.in_force));
        let mut decider = Decider::new(gate, who, (servers.clone(), &self.request));
        decider.process = Some(process);
        answer(&stream, &Answered::Served)?;
        let client = Client { from: stream.try_clone()?.into(), read, to: stream.into() };
        let failed = |error: RunError| io::Error::other(error.to_string());
        let around = (gate, self.project.as_path(), approvals);
        let remotes = Remotes::of(&servers, &self.request, around).map_err(failed)?;
        let deciding =
            (decider, Results::new(&self.results, Arc::new(Metrics::of(&servers)), &self.history));
        let all = (servers, &self.request, remotes.as_deref());
        let serving = Serving::start(deciding, all, client);
        let serving = serving.map_err(failed)?;
        let Some(number) = self.open.begin(serving.stopper()) else { return Ok(()) };
        serving.until_the_end(&mut |notice| {
            let _ = stderr.write(process.pid, &format!("{notice}\n"));
        });
        for notice in remotes.iter().flat_map(|it| it.end()) {
            let _ = stderr.write(process.pid, &format!("{notice}\n"));
        }
        self.open.end(number);
        drop(reserved);
        Ok(())
    }
}

fn answer(mut stream: &UnixStream, answered: &Answered) -> io::Result<()> {
    let line = serde_json::to_string(answered).map_err(io::Error::other)?;
    writeln!(stream, "{line}")
}

impl Speaks for Clients {
    fn speak(&self, process: Process, talk: &Talk) -> io::Result<()> {
        self.serve(process, talk)
    }
}

/// Room for servers, until this is dropped.
struct Reserved<'a> {
    open: &'a Open,
    servers: usize,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let mut talking = self.open.talking();
        talking.servers = talking.servers.saturating_sub(self.servers);
    }
}

impl Open {
    /// One more, unless the session is over.
    fn begin(&self, stopper: Stopper) -> Option<u64> {
        let mut talking = self.talking();
        if talking.is_over {
            return None;
        }
        talking.next = talking.next.saturating_add(1);
        let number = talking.next;
        talking.all.push((number, stopper));
        Some(number)
    }

    /// Room for so many servers more.
    fn reserve(&self, servers: usize) -> Result<Reserved<'_>, String> {
        let mut talking = self.talking();
        let running = talking.servers;
        let wanted = running.saturating_add(servers);
        // One client has all that its person has added, however many these are.
        if running > 0 && wanted > SERVERS_MAX {
            return Err(format!(
                "{running} servers run for this session already, and at most {SERVERS_MAX} at a time do: \
                 name the servers that you need, or end another `mcp run`"
            ));
        }
        talking.servers = wanted;
        Ok(Reserved { open: self, servers })
    }

    fn end(&self, number: u64) {
        self.talking().all.retain(|(other, _)| *other != number);
        self.fewer.notify_all();
    }

    /// Tells all that another policy is in force.
    pub(in super::super) fn reloaded(&self) {
        self.talking().all.iter().for_each(|(_, stopper)| stopper.reloaded());
    }

    /// Ends all, and waits for that, though not for ever.
    pub(in super::super) fn end_all(&self) {
        let mut talking = self.talking();
        talking.is_over = true;
        talking.all.iter().for_each(|(_, stopper)| stopper.stop());
        let none_left = |talking: &mut Talking| !talking.all.is_empty();
        drop(self.fewer.wait_timeout_while(talking, END_WAIT, none_left));
    }

    fn talking(&self) -> MutexGuard<'_, Talking> {
        self.stoppers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Open, SERVERS_MAX};

    #[test]
    fn no_more_servers_run_than_the_limit_says_however_many_clients_there_are() {
        let open = Open::default();
        let first = open.reserve(SERVERS_MAX - 1).unwrap();
        assert!(open.reserve(2).is_err());
        let second = open.reserve(1).unwrap();
        let why = open.reserve(1).err().unwrap();
        assert!(why.contains(&format!("{SERVERS_MAX} servers run")), "{why}");
        drop(second);
        assert!(open.reserve(1).is_ok());
        drop(first);
        assert_eq!(open.talking().servers, 0);
    }

    #[test]
    fn one_client_has_all_servers_that_its_person_has_added() {
        let open = Open::default();
        let all = open.reserve(SERVERS_MAX * 2).unwrap();
        assert!(open.reserve(1).is_err());
        drop(all);
        assert!(open.reserve(1).is_ok());
    }
}
