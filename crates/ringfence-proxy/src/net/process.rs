//! Which process holds the client's end of a connection, as procfs tells it.

mod diagnosis;

use std::collections::VecDeque;
use std::fs::{self, DirEntry};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ringfence_core::Process;

use super::Ends;
use diagnosis::Diagnosis;

/// Most processes looked at for one connection.
const PROCESSES_MAX: usize = 4096;

/// The processes of one world, as far as they hold sockets.
pub(super) struct Holders {
    root: i32,
    diagnosis: Option<Mutex<Diagnosis>>,
}

impl Holders {
    /// Those among `root` and its descendants.
    pub(super) fn below(root: i32, diagnosis: Option<OwnedFd>) -> Holders {
        Holders { root, diagnosis: diagnosis.map(|socket| Mutex::new(Diagnosis::new(socket))) }
    }

    /// Finds the process that holds the client's end of a connection.
    pub(super) fn of(&self, ends: Ends) -> Option<Process> {
        let asked = self.diagnosis.as_ref().and_then(|diagnosis| {
            diagnosis.lock().unwrap_or_else(PoisonError::into_inner).inode(ends)
        });
        // A kernel may be built without an answer.
        let inode = match asked {
            Some(inode) => inode.to_string(),
            None => socket_inode(self.root, ends.client)?,
        };
        self.holder(Path::new(&format!("socket:[{inode}]")))
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
