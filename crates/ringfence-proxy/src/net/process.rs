//! Which process is behind a connection: the one that was seen to connect, or else the one that holds
//! the client's end, as procfs tells it.

mod diagnosis;

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirEntry};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ringfence_core::Process;

use super::Ends;
use diagnosis::{Diagnosis, Socket};

/// Most processes looked at for one connection.
const PROCESSES_MAX: usize = 4096;

/// Most sockets whose processes are remembered; the oldest are forgotten, and looked for.
const TOLD_MAX: usize = 8192;

/// The processes of one world, as far as they hold sockets.
pub struct Holders {
    root: i32,
    diagnosis: Option<Mutex<Diagnosis>>,
    told: Mutex<Told>,
}

/// Who was seen to connect sockets, by the numbers of these.
#[derive(Default)]
struct Told {
    by: HashMap<u64, Process>,
    order: VecDeque<u64>,
}

impl Holders {
    /// Those among `root` and its descendants: the world's first process, as the caller numbers it,
    /// and everything that descends from it. A process that is gone by then, or that procfs hides,
    /// is not found.
    ///
    /// `diagnosis` is a `NETLINK_SOCK_DIAG` socket of its network namespace; without one the
    /// kernel's list of all connections is read, which takes milliseconds.
    pub fn below(root: i32, diagnosis: Option<OwnedFd>) -> Holders {
        let diagnosis = diagnosis.map(|socket| Mutex::new(Diagnosis::new(socket)));
        Holders { root, diagnosis, told: Mutex::default() }
    }

    /// No processes at all.
    pub(super) fn nobody() -> Holders {
        Holders::below(i32::MAX, None)
    }

    /// Notes which process is about to connect the socket of this number (`SO_COOKIE`).
    pub(super) fn told(&self, cookie: u64, process: Process) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.by.insert(cookie, process).is_none() {
            told.order.push_back(cookie);
        }
        if told.order.len() > TOLD_MAX
            && let Some(oldest) = told.order.pop_front()
        {
            told.by.remove(&oldest);
        }
    }

    /// The process that was seen to connect, where one was; does not block.
    pub(super) fn connected(&self, ends: Ends) -> Option<Process> {
        let socket = self.asked(ends)?;
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.by.get(&socket.cookie).copied()
    }

    /// The process that holds the client's end of a connection, if that can be told; blocks.
    pub fn of(&self, ends: Ends) -> Option<Process> {
        // A kernel may be built without an answer.
        let inode = match self.asked(ends) {
            Some(socket) => socket.inode?.to_string(),
            None => socket_inode(self.root, ends.client)?,
        };
        self.holder(Path::new(&format!("socket:[{inode}]")))
    }

    fn asked(&self, ends: Ends) -> Option<Socket> {
        let diagnosis = self.diagnosis.as_ref()?;
        diagnosis.lock().unwrap_or_else(PoisonError::into_inner).socket(ends)
    }

    fn holder(&self, socket: &Path) -> Option<Process> {
        let mut queue = VecDeque::from([Process { pid: self.root, parent: None }]);
        for _ in 0..PROCESSES_MAX {
            // Parents first: a child that inherited the socket did not open it.
            let process = queue.pop_front()?;
            if holds(process.pid, socket) {
                return Some(process);
            }
            queue.extend(children(process.pid));
        }
        None
    }
}

/// The inode of the socket bound to `client` in the network namespace of `pid`.
fn socket_inode(pid: i32, client: SocketAddr) -> Option<String> {
    let tables = match client.ip() {
        IpAddr::V4(address) => [
            ("tcp", hex(&address.octets())),
            // A program may speak IPv4 on an IPv6 socket.
            ("tcp6", hex(&address.to_ipv6_mapped().octets())),
        ],
        IpAddr::V6(address) => [
            ("tcp6", hex(&address.octets())),
            ("tcp", address.to_ipv4_mapped().map_or_else(String::new, |it| hex(&it.octets()))),
        ],
    };
    tables.into_iter().find_map(|(table, address)| {
        let local = format!("{address}:{:04X}", client.port());
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).ok()?;
        text.lines().find_map(|line| {
            // proc_pid_net(5): slot, local address, ..., inode.
            let mut fields = line.split_whitespace();
            (fields.nth(1)? == local).then(|| fields.nth(7).map(str::to_owned))?
        })
    })
}

/// An address as procfs writes it: words of four bytes, each as the machine reads it.
fn hex(octets: &[u8]) -> String {
    let words = octets.chunks_exact(4).filter_map(|word| <[u8; 4]>::try_from(word).ok());
    let words: Vec<String> =
        words.map(|word| format!("{:08X}", u32::from_ne_bytes(word))).collect();
    words.concat()
}

fn holds(pid: i32, socket: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let descriptors: Vec<DirEntry> = descriptors.filter_map(Result::ok).collect();
    // The highest first: a connection that is just made is often the newest descriptor.
    descriptors
        .iter()
        .rev()
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|link| link == socket))
}

fn children(pid: i32) -> Vec<Process> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads
        .filter_map(Result::ok)
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<i32> = lists
        .flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|child| child.parse().ok())
        .collect();
    pids.into_iter().map(|child| Process { pid: child, parent: Some(pid) }).collect()
}

#[cfg(test)]
mod tests;
