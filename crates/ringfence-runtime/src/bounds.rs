//! What all processes of a session may use together: time, processors, memory, processes and bytes
//! written.
//!
//! Control groups hold what they can be had for; everything else is looked at from time to time. A
//! session that goes beyond is recorded and ended: what is stopped in the middle of a bomb is not
//! worth going on with.

mod sampled;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence_core::{Durability, Event, Gate, LayerState, LayerStatus, SessionId};
use ringfence_sandbox::cgroup::{Cgroup, Quota, Quotas};
use ringfence_sandbox::world::World;
use rustix::io::Errno;

use crate::broker::RunError;
use crate::notice::Notice;
use crate::settings::LimitSettings;
use sampled::{Sample, members, sample};

/// How often a session is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// At how many looks in a row there are as many processes as there may be before that ends a session: a
/// build that touches the limit once goes on.
const STUCK_LOOKS: u32 = 10;
/// How often processes are looked for that were started while others were taken in.
const TAKE_IN_TRIES: u32 = 8;

/// What the limit of memory is called in the settings.
const MEMORY: &str = "memory_bytes_max";

/// The limits of one session, and what holds them.
#[derive(Debug)]
pub(crate) struct Bounds {
    limits: LimitSettings,
    cgroup: Cgroup,
    lacking: Vec<(Quota, String)>,
}

/// The thread that looks.
#[derive(Debug)]
pub(crate) struct Looking {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    over: AtomicBool,
    reached: Mutex<Option<Reached>>,
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached {
    limit: &'static str,
    most: u64,
}

/// What is looked at, and what was seen before.
struct Look {
    limits: LimitSettings,
    cgroup: Cgroup,
    since: Instant,
    init: i32,
    forks_refused: u64,
    stuck: u32,
}

impl Bounds {
    /// Makes the control groups that `limits` ask for.
    pub(crate) fn make(session: &SessionId, limits: &LimitSettings) -> Bounds {
        let quotas = Quotas {
            memory_bytes: limits.memory_bytes_max,
            processes: limits.processes_max,
            cpu_percent: limits.cpu_percent_max,
        };
        let (cgroup, lacking) = Cgroup::make(&session.to_string(), quotas);
        Bounds { limits: limits.clone(), cgroup, lacking }
    }

    /// Takes a world in of which nothing that an agent chose runs yet, unless starts are not decided.
    pub(crate) fn take_in(&self, world: &World) -> io::Result<()> {
        let quotas = [Quota::Memory, Quota::Processes, Quota::Cpu];
        if !quotas.into_iter().any(|quota| self.cgroup.holds(quota)) {
            return Ok(());
        }
        self.cgroup.take_in(world.init_pid)?;
        let mut taken = vec![world.init_pid];
        for _ in 0..TAKE_IN_TRIES {
            let pids = members(world.init_pid);
            let new: Vec<i32> = pids.into_iter().filter(|pid| !taken.contains(pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                match self.cgroup.take_in(pid) {
                    // One that has ended needs no bounds.
                    Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                        return Err(error);
                    }
                    Ok(()) | Err(_) => taken.push(pid),
                }
            }
        }
        Err(io::Error::other("its processes start others faster than they can be taken in"))
    }

    /// What holds the limits; nothing where none is set.
    pub(crate) fn layer(&self) -> Option<LayerStatus> {
        let limits = &self.limits;
        let named = [
            (Quota::Memory, "memory", limits.memory_bytes_max),
            (Quota::Processes, "processes", limits.processes_max),
            (Quota::Cpu, "share of the processors", limits.cpu_percent_max),
        ];
        let mut said = Vec::new();
        for (quota, name, most) in named {
            let Some(most) = most else { continue };
            let lacking = self.lacking.iter().find(|(lacks, _)| *lacks == quota);
            said.push(match lacking {
                None => format!("{name} at most {most} by a control group"),
                Some((_, why)) if quota == Quota::Cpu => format!("{name} not bounded ({why})"),
                Some((_, why)) => {
                    format!("{name} at most {most}, looked at from time to time ({why})")
                }
            });
        }
        let looked_at = [
            ("seconds", limits.wall_seconds_max),
            ("seconds of processor time", limits.cpu_seconds_max),
            ("bytes written", limits.written_bytes_max),
        ];
        let looked_at = looked_at.into_iter().filter_map(|(name, most)| Some((name, most?)));
        said.extend(looked_at.map(|(name, most)| format!("at most {most} {name}, looked at")));
        let state =
            if self.lacking.is_empty() { LayerState::Enforced } else { LayerState::Degraded };
        let detail = said.join("; ");
        (!said.is_empty()).then(|| LayerStatus { layer: "limits".to_owned(), state, detail })
    }

    /// Looks at the world from now on.
    pub(crate) fn look(self, world: &Arc<World>, gate: &Gate) -> Result<Looking, RunError> {
        let shared = Arc::new(Shared { over: AtomicBool::new(false), reached: Mutex::new(None) });
        let is_any = self.layer().is_some();
        let mut look = Look {
            limits: self.limits,
            cgroup: self.cgroup,
            since: Instant::now(),
            init: world.init_pid,
            forks_refused: 0,
            stuck: 0,
        };
        if !is_any {
            return Ok(Looking { shared, thread: None });
        }
        let (world, gate, same) = (Arc::downgrade(world), gate.clone(), Arc::clone(&shared));
        let run = move || {
            let ends = Ends(world);
            look.run(&ends.0, &gate, &same);
        };
        let thread = std::thread::Builder::new().name("limits".to_owned()).spawn(run);
        let thread = thread.map_err(RunError::step("look at the limits"))?;
        Ok(Looking { shared, thread: Some(thread) })
    }
}

/// Ends a world that nobody looks at any more, however that came about.
struct Ends(Weak<World>);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(world) = self.0.upgrade() {
            world.kill();
        }
    }
}

impl Shared {
    fn record(&self, reached: Reached, gate: &Gate) {
        let Reached { limit, most } = reached;
        // A log that fails ends the session by itself.
        let _ = gate.note(Event::LimitReached { limit: limit.to_owned(), most }, Durability::Soon);
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(reached);
    }
}

impl Looking {
    /// To be said when the world has ended; what ended it, if a limit did.
    pub(crate) fn finish(self) -> Option<Notice> {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            let _ = thread.join();
        }
        let reached = self.shared.reached.lock().unwrap_or_else(PoisonError::into_inner).take();
        reached.map(|Reached { limit, most }| {
            let text = format!("the session was ended: it reached `{limit} = {most}`");
            Notice::new(text).hint("to raise it, change `[limits]` in the settings")
        })
    }
}

impl Look {
    fn run(&mut self, world: &Weak<World>, gate: &Gate, shared: &Shared) {
        while !shared.over.load(Ordering::Acquire) {
            if let Some(reached) = self.reached() {
                // First in the log, then ended.
                shared.record(reached, gate);
                if let Some(world) = world.upgrade() {
                    world.kill();
                }
                return;
            }
            std::thread::park_timeout(LOOK_PERIOD);
        }
        // What was killed for want of memory may have been the agent itself.
        if self.is_killed()
            && let Some(most) = self.limits.memory_bytes_max
        {
            shared.record(Reached { limit: MEMORY, most }, gate);
        }
    }

    /// Whether the kernel has killed a process for want of memory.
    fn is_killed(&self) -> bool {
        self.cgroup.counted().out_of_memory.is_some_and(|kills| kills > 0)
    }

    /// The first limit that is reached.
    fn reached(&mut self) -> Option<Reached> {
        let sample = self.sample();
        let stuck = self.is_stuck(sample.as_ref());
        let limits = &self.limits;
        let memory = if self.cgroup.holds(Quota::Memory) {
            self.is_killed()
        } else {
            is_used(limits.memory_bytes_max, sample.as_ref().map(|it| it.memory_bytes))
        };
        let seconds = Some(self.since.elapsed().as_secs());
        let cpu = sample.as_ref().map(|it| it.cpu.as_secs());
        let written = sample.as_ref().map(|it| it.written_bytes);
        let all = [
            (MEMORY, limits.memory_bytes_max, memory),
            ("processes_max", limits.processes_max, stuck),
            (
                "written_bytes_max",
                limits.written_bytes_max,
                is_used(limits.written_bytes_max, written),
            ),
            ("cpu_seconds_max", limits.cpu_seconds_max, is_used(limits.cpu_seconds_max, cpu)),
            (
                "wall_seconds_max",
                limits.wall_seconds_max,
                is_used(limits.wall_seconds_max, seconds),
            ),
        ];
        let mut reached = all.into_iter().filter(|(.., is)| *is);
        reached.find_map(|(limit, most, _)| Some(Reached { limit, most: most? }))
    }

    /// Whether there were as many processes as there may be for some time, and more were wanted.
    fn is_stuck(&mut self, sample: Option<&Sample>) -> bool {
        let counted = self.cgroup.counted();
        let (now, refused) = if self.cgroup.holds(Quota::Processes) {
            (counted.processes, counted.forks_refused.unwrap_or_default())
        } else {
            // Nobody counts what is refused: as many as there may be is all that is seen.
            (sample.map(|it| it.threads), u64::MAX)
        };
        if !is_used(self.limits.processes_max, now) {
            (self.stuck, self.forks_refused) = (0, refused);
            return false;
        }
        self.stuck = self.stuck.saturating_add(1);
        self.stuck >= STUCK_LOOKS && (refused > self.forks_refused || refused == u64::MAX)
    }

    /// What the processes have used, where somebody has to look.
    fn sample(&self) -> Option<Sample> {
        let limits = &self.limits;
        let looks = limits.cpu_seconds_max.is_some()
            || limits.written_bytes_max.is_some()
            || (limits.memory_bytes_max.is_some() && !self.cgroup.holds(Quota::Memory))
            || (limits.processes_max.is_some() && !self.cgroup.holds(Quota::Processes));
        looks.then(|| sample(self.init))
    }
}

/// Whether all of a limit is used; what is not set or not known is not.
fn is_used(most: Option<u64>, used: Option<u64>) -> bool {
    matches!((most, used), (Some(most), Some(used)) if used >= most)
}
