//! Which files each process of a world opens to read, where that is traced.
//!
//! An open costs a look into a table; only the first of a path in a process is looked up, in the world
//! and on the host. What is new is recorded now and then, many paths in one entry, and how often each
//! was opened again when the process ends or runs another program.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringfence_core::{
    AbsolutePath, Durability, Event, FileRead, FilesRead, Gate, Process, ReadResult,
};
use ringfence_sandbox::notify::{InWorld, ReadOpen};
use ringfence_sandbox::pidinfo;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Most paths of one process that are told apart; further ones are only counted. A build opens some
/// hundred in each process, a search over a large tree stays within the limit for its first part.
pub const FILES_OF_PROCESS_MAX: usize = 4096;

/// Most paths of all living processes together: some 10 MiB.
pub const FILES_MAX: usize = 65_536;

/// Most paths in one entry: it stays readable, and far below the largest entry.
const FILES_OF_ENTRY_MAX: usize = 256;

/// Most paths that are remembered as denied until the end.
const DENIED_MAX: usize = 1000;

/// Places whose content is the kernel's, in each world and on each host another.
const OF_THE_KERNEL: &[&str] = &["/proc", "/sys", "/dev"];

/// The opens of one session.
pub struct Reads {
    gate: Gate,
    /// Places that are covered in the world.
    covered: HashSet<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    processes: HashMap<i32, Opened>,
    /// Paths of all of them.
    files: usize,
    /// What the policy kept from being read, and how often that was tried.
    denied: BTreeMap<AbsolutePath, (ReadResult, u64)>,
}

/// What one process opened.
struct Opened {
    parent: Option<i32>,
    files: HashMap<Box<[u8]>, File>,
    /// Paths that are in no entry so far, in order.
    new: Vec<Box<[u8]>>,
    unlisted: u64,
}

struct File {
    result: ReadResult,
    /// How often it was opened since the last entry.
    times: u64,
}

/// Something that was tried to be read and that the policy keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The path, as it was named first.
    pub path: AbsolutePath,
    /// Why it was not there.
    pub result: ReadResult,
    /// How often it was tried.
    pub times: u64,
}

impl Reads {
    /// For a world in which these places are covered.
    pub fn new(gate: Gate, covered: impl IntoIterator<Item = PathBuf>) -> Reads {
        Reads { gate, covered: covered.into_iter().collect(), state: Mutex::default() }
    }

    /// A process opens something to read.
    pub fn opened(&self, open: &ReadOpen<'_>) {
        if self.counted(open.pid, open.path) {
            return;
        }
        // Not while others wait for the table.
        let result = self.result(open.path, open.in_world());
        let known = self.state().processes.contains_key(&open.pid);
        let parent = if known { None } else { parent(open.pid) };
        self.learn((open.pid, parent), open.path, result);
    }

    /// Counts an open of a path that is known, or that there is no room for.
    fn counted(&self, pid: i32, path: &[u8]) -> bool {
        let mut state = self.state();
        let State { processes, files, denied } = &mut *state;
        let Some(opened) = processes.get_mut(&pid) else { return false };
        if let Some(file) = opened.files.get_mut(path) {
            file.times += 1;
            if file.result.is_denied() {
                count_denied(denied, path, file.result);
            }
            return true;
        }
        let full = opened.files.len() >= FILES_OF_PROCESS_MAX || *files >= FILES_MAX;
        opened.unlisted += u64::from(full);
        full
    }

    fn learn(&self, (pid, parent): (i32, Option<i32>), path: &[u8], result: ReadResult) {
        let mut state = self.state();
        let State { processes, files, denied } = &mut *state;
        let opened = processes.entry(pid).or_insert_with(|| Opened {
            parent,
            files: HashMap::new(),
            new: Vec::new(),
            unlisted: 0,
        });
        // A path that is no text has no name in the log.
        if AbsolutePath::from_bytes(path).is_err() {
            opened.unlisted += 1;
            return;
        }
        if result.is_denied() {
            count_denied(denied, path, result);
        }
        let file = opened.files.entry(path.into()).or_insert_with(|| {
            opened.new.push(path.into());
            *files += 1;
            File { result, times: 0 }
        });
        file.times += 1;
    }

    /// What an open found, by what the world has.
    fn result(&self, path: &[u8], in_world: InWorld) -> ReadResult {
        let path = Path::new(OsStr::from_bytes(path));
        if path.ancestors().any(|place| self.covered.contains(place)) {
            return ReadResult::Covered;
        }
        match in_world {
            InWorld::Is => ReadResult::Found,
            InWorld::Unknown => ReadResult::Unknown,
            InWorld::Absent if OF_THE_KERNEL.iter().any(|place| path.starts_with(place)) => {
                ReadResult::Absent
            }
            InWorld::Absent if fs::symlink_metadata(path).is_ok() => ReadResult::NotGranted,
            InWorld::Absent => ReadResult::Absent,
        }
    }

    /// Records what is new.
    pub fn record(&self) {
        let new: Vec<FilesRead> = {
            let mut state = self.state();
            let processes = state.processes.iter_mut();
            processes.flat_map(|(pid, opened)| opened.take_new(*pid)).collect()
        };
        self.note(new);
    }

    /// A process ends, or is about to run another program: all of it is recorded, and forgotten.
    pub fn ended(&self, pid: i32) {
        let left = {
            let mut state = self.state();
            let Some(mut opened) = state.processes.remove(&pid) else { return };
            state.files = state.files.saturating_sub(opened.files.len());
            let mut left = opened.take_new(pid);
            left.extend(opened.take_rest(pid));
            left
        };
        self.note(left);
    }

    /// The same for all there are.
    pub fn finish(&self) {
        let pids: Vec<i32> = self.state().processes.keys().copied().collect();
        for pid in pids {
            self.ended(pid);
        }
    }

    /// What was tried to be read and is denied by the policy, sorted by path.
    pub fn denied(&self) -> Vec<Denied> {
        let state = self.state();
        let all = state.denied.iter();
        all.map(|(path, (result, times))| Denied {
            path: path.clone(),
            result: *result,
            times: *times,
        })
        .collect()
    }

    fn note(&self, all: Vec<FilesRead>) {
        for read in all {
            // A log that fails here has already made every later check a denial.
            let _ = self.gate.note(Event::FilesRead(read), Durability::Soon);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// What is in no entry so far.
    fn take_new(&mut self, pid: i32) -> Vec<FilesRead> {
        let new = std::mem::take(&mut self.new);
        self.take(pid, &new)
    }

    /// What was opened again since, and what is not listed.
    fn take_rest(&mut self, pid: i32) -> Vec<FilesRead> {
        let again = self.files.iter().filter(|(_, file)| file.times > 0);
        let mut again: Vec<Box<[u8]>> = again.map(|(path, _)| path.clone()).collect();
        again.sort_unstable();
        let mut entries = self.take(pid, &again);
        if self.unlisted > 0 {
            let unlisted = std::mem::take(&mut self.unlisted);
            if let Some(last) = entries.last_mut() {
                last.unlisted = unlisted;
            } else {
                let process = Process { pid, parent: self.parent };
                entries.push(FilesRead { process, files: Vec::new(), unlisted });
            }
        }
        entries
    }

    fn take(&mut self, pid: i32, paths: &[Box<[u8]>]) -> Vec<FilesRead> {
        let process = Process { pid, parent: self.parent };
        let mut read = |path: &[u8]| {
            let file = self.files.get_mut(path)?;
            let times = std::mem::take(&mut file.times);
            let path = AbsolutePath::from_bytes(path).ok()?;
            Some(FileRead { path, result: file.result, times })
        };
        paths
            .chunks(FILES_OF_ENTRY_MAX)
            .map(|some| {
                let files = some.iter().filter_map(|path| read(path)).collect();
                FilesRead { process, files, unlisted: 0 }
            })
            .collect()
    }
}

fn count_denied(
    denied: &mut BTreeMap<AbsolutePath, (ReadResult, u64)>,
    path: &[u8],
    result: ReadResult,
) {
    let Ok(path) = AbsolutePath::from_bytes(path) else { return };
    if denied.len() < DENIED_MAX || denied.contains_key(&path) {
        denied.entry(path).or_insert((result, 0)).1 += 1;
    }
}

/// The parent of a process, if it can still be told.
fn parent(pid: i32) -> Option<i32> {
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    pidinfo::parent(pidfd).ok().filter(|parent| *parent > 0)
}

#[cfg(test)]
#[path = "reads_tests.rs"]
mod tests;
