//! A world that stands still: none of its processes runs, and nobody acts in their place.
//!
//! Whoever waits for an answer of ours goes on waiting; everybody else is stopped (`SIGSTOP`), and
//! continued afterwards, children before their parents, so that no parent finds its child stopped.
//! Who was stopped before stays so.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use ringfence_sandbox::notify::{Still, Stillness};
use ringfence_sandbox::world::World;
use rustix::process::{Pid, Signal, kill_process};

use crate::bounds::members;

/// Longest wait until every process has stopped: one that writes to a slow disk stops only then.
const STOP_WAIT: Duration = Duration::from_secs(20);
/// How long between two looks.
const LOOK_WAIT: Duration = Duration::from_millis(2);

/// A world that stands still until this is dropped.
pub(super) struct Standing<'a> {
    world: &'a World,
    stopped_before: HashSet<i32>,
    _still: Still<'a>,
}

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
        let standing = Standing { world, stopped_before, _still: still };
        loop {
            let running = running(world.init_pid, stillness)?;
            if running.is_empty() {
                return Ok(standing);
            }
            if Instant::now() > until {
                let pids: Vec<String> = running.iter().take(5).map(i32::to_string).collect();
                let pids = pids.join(", ");
                return Err(format!("not all of its processes could be stopped: {pids}"));
            }
            std::thread::sleep(LOOK_WAIT);
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
            let Some(stat) = stat_of(pid, tid) else { continue };
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
