//! A world that stands still: none of its processes runs, and nobody acts in their place.
//!
//! Whoever waits for an answer of ours goes on waiting; everybody else is stopped (`SIGSTOP`), and
//! continued afterwards, children before their parents, so that no parent finds its child stopped.
//! Who was stopped before stays so.
//!
//! A program can have the kernel continue it (a timer whose signal is `SIGCONT`): whoever relies on
//! standing asks afterwards whether it was so ([`Standing::stood`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use ringfence_sandbox::notify::{Still, Stillness};
use ringfence_sandbox::world::World;
use rustix::process::{Pid, Signal, kill_process};

use crate::bounds::members;

/// Longest wait until every process has stopped: one that writes to a slow disk stops only then.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// How long until who has not stopped is told again.
const AGAIN_WAIT: Duration = Duration::from_millis(50);
/// How long between two looks.
const LOOK_WAIT: Duration = Duration::from_millis(2);

/// A world that stands still until this is dropped.
pub(super) struct Standing<'a> {
    world: &'a World,
    stopped_before: HashSet<i32>,
    /// How often each thread had been switched to when the world stood.
    switches: Switches,
    _still: Still<'a>,
}

/// By process, thread and its start: how often it was switched to and from (`proc_pid_status(5)`).
type Switches = BTreeMap<(i32, i32, u64), u64>;

/// A process or thread, as `proc_pid_stat(5)` has it.
#[derive(Debug, Clone, Copy)]
struct Stat {
    state: u8,
    parent: i32,
    started: u64,
    memory: u64,
}

impl<'a> Standing<'a> {
    /// Has everybody stop, and waits until they have; the error says who has not.
    pub(super) fn still(world: &'a World) -> Result<Self, String> {
        let stillness = world.stillness.as_deref().ok_or("it has no overlays")?;
        let until = Instant::now() + STOP_WAIT;
        let busy = || "a file of it is being made, and does not come to an end".to_owned();
        let still = stillness.begin(STOP_WAIT).ok_or_else(busy)?;
        let all = members(world.init_pid).map_err(|error| error.to_string())?;
        let is_stopped = |pid: &i32| stat_of(*pid, *pid).is_some_and(|stat| stat.state == b'T');
        let stopped_before = all.into_iter().filter(is_stopped).collect();
        world.stop().map_err(|error| error.to_string())?;
        let switches = Switches::new();
        let mut asked = Instant::now();
        let mut standing = Standing { world, stopped_before, switches, _still: still };
        loop {
            // Counted before and after: whoever came to stand in between was counted too early.
            let switches = switches_of(world.init_pid)?;
            let running = running(world.init_pid, stillness)?;
            if running.is_empty() && switches_of(world.init_pid)? == switches {
                standing.switches = switches;
                return Ok(standing);
            }
            if Instant::now() > until {
                let pids: Vec<String> = running.iter().take(5).map(i32::to_string).collect();
                let pids = pids.join(", ");
                return Err(format!("not all of its processes could be stopped: {pids}"));
            }
            std::thread::sleep(LOOK_WAIT);
            if asked.elapsed() > AGAIN_WAIT {
                // Something has had it continue.
                world.stop().map_err(|error| error.to_string())?;
                asked = Instant::now();
            }
        }
    }

    /// Whether it has stood still from the beginning until now; the error says who has not.
    pub(super) fn stood(&self) -> Result<(), String> {
        let now = switches_of(self.world.init_pid)?;
        let other = |(thread, then): (&(i32, i32, u64), &u64)| now.get(thread) != Some(then);
        let moved = self.switches.iter().find(|it| other(*it)).map(|(thread, _)| thread.0);
        let new = || now.keys().find(|thread| !self.switches.contains_key(*thread)).map(|it| it.0);
        let stillness = self.world.stillness.as_deref().ok_or("it has no overlays")?;
        let first = || Ok::<_, String>(running(self.world.init_pid, stillness)?.first().copied());
        match moved.or_else(new).map_or_else(first, |pid| Ok(Some(pid)))? {
            None => Ok(()),
            Some(pid) => Err(format!(
                "process {pid} of it ran on while it was to stand still: it has something continue it"
            )),
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let init = self.world.init_pid;
        let mut all: Vec<(u64, i32)> = members(init)
            .unwrap_or_default()
            .into_iter()
            .filter(|pid| *pid != init && !self.stopped_before.contains(pid))
            .filter_map(|pid| Some((stat_of(pid, pid)?.started, pid)))
            .collect();
        all.sort_unstable_by(|one, other| other.cmp(one));
        for (_, pid) in all {
            if let Some(pid) = Pid::from_raw(pid) {
                // Gone already is as good.
                let _ = kill_process(pid, Signal::CONT);
            }
        }
        // A world that is gone needs nobody to know.
        let _ = self.world.going();
    }
}

/// The processes of the world that might do something now.
fn running(init: i32, stillness: &Stillness) -> Result<Vec<i32>, String> {
    let all = members(init).map_err(|error| error.to_string())?;
    let stats: HashMap<i32, Stat> =
        all.iter().filter_map(|pid| Some((*pid, stat_of(*pid, *pid)?))).collect();
    let mut running = Vec::new();
    for pid in all.into_iter().filter(|pid| *pid != init) {
        for tid in threads(pid) {
            let Some(stat) = stat_of(pid, tid) else {
                // One that is there and cannot be looked at is not known to stand.
                if fs::exists(format!("/proc/{pid}/task/{tid}")).unwrap_or(true) {
                    running.push(pid);
                }
                continue;
            };
            let stands = matches!(stat.state, b'T' | b't' | b'Z' | b'X')
                || stillness.waits(tid)
                || waits_for_its_child(pid, stat, &stats);
            if !stands {
                running.push(pid);
                break;
            }
        }
    }
    Ok(running)
}

/// Whether a process has lent its memory to a child until that runs another program (`vfork(2)`):
/// it waits in the kernel, and cannot be stopped there.
fn waits_for_its_child(pid: i32, stat: Stat, all: &HashMap<i32, Stat>) -> bool {
    stat.state == b'D'
        && all.values().any(|other| other.parent == pid && other.memory == stat.memory)
}

fn threads(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Of all threads of the world that could run: those of its first process are ours, and who has ended
/// may be reaped.
fn switches_of(init: i32) -> Result<Switches, String> {
    let mut all = Switches::new();
    for pid in members(init).map_err(|error| error.to_string())? {
        for tid in threads(pid).into_iter().filter(|_| pid != init) {
            let Some(stat) = stat_of(pid, tid) else { continue };
            if matches!(stat.state, b'Z' | b'X') {
                continue;
            }
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")) else {
                continue;
            };
            let count = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|rest| rest.trim().parse::<u64>().ok())
            };
            let counts = (count("voluntary_ctxt_switches:"), count("nonvoluntary_ctxt_switches:"));
            let (Some(voluntary), Some(other)) = counts else {
                return Err(format!(
                    "`/proc/{pid}/task/{tid}/status` does not say how often it ran"
                ));
            };
            all.insert((pid, tid, stat.started), voluntary.saturating_add(other));
        }
    }
    Ok(all)
}

fn stat_of(pid: i32, tid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    // Behind the name, which may hold anything, the third field is the first.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.bytes().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: number(22)?,
        memory: number(23)?,
    })
}
