//! Acts that wait in the kernel for an answer: programs started, files changed, sockets connected.
//!
//! The payload's seccomp filter makes some system calls wait; a [`Listener`] takes them one by one,
//! reads their arguments out of the waiting process, resolves its paths as that process would, and
//! hands out an [`Attempt`]. Whoever holds it answers it; an attempt that is dropped is denied.
//!
//! # What an answer can promise
//!
//! The kernel reads memory arguments again after `CONTINUE`, so another thread can change them
//! meanwhile. Nothing here rests on their staying the same: what can make or remove a name is
//! carried out here on a copy of the path, other changes to files are bounded by the world's mounts
//! whatever path is used in the end, a program whose arguments matter is checked at the end of its
//! exec before its first instruction ([`Attempt::allow_verified`]), and connections are made by us
//! on a copy of the address. An error never becomes `CONTINUE`.
//!
//! # What the filter must guarantee
//!
//! It kills foreign architectures, refuses `openat2`, `io_uring`, `chroot`, `mount` and new
//! namespaces (all processes share one root), refuses unix datagram sockets (`sendto` and `sendmsg`,
//! which name their receivers, are not notified), and is installed with
//! `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, so that a signal handler does not restart a call that is
//! being answered. What IP sockets send, also to open a connection (`MSG_FASTOPEN`), stays within the
//! world's own network: a world is not given a socket of another that has no peer.
//!
//! # Without mounts
//!
//! Where a world has none ([`Places`]), its payload can write nothing at all by itself: every change to
//! a file is carried out here, as far as the map of places allows.
//!
//! # Without a filter
//!
//! Where the kernel tells of nothing, programs tell of themselves ([`told`]), and all else is the same code:
//! what is told is looked at, decided and carried out alike. But who does not tell is not held, and what
//! goes on is not proven to be what was decided about.

mod access;
mod answer;
mod asked;
mod bind;
mod connect;
mod elf;
mod exec;
mod exits;
mod file;
mod handing;
mod in_place;
mod inside;
mod lead;
mod line;
mod listen;
mod locate;
mod making;
mod members;
mod memory;
mod metadata;
mod opener;
mod places;
mod reads;
mod roots;
mod script;
mod stderr;
mod stillness;
mod straight;
pub(crate) mod told;
mod tracee;
mod turns;
mod umasks;
mod verify;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use ringfence_core::{AbsolutePath, FileChange, FileIdentity};

pub use answer::Delivery;
pub use asked::{AskedPlace, AskedReads, begins};
pub use connect::is_engine;
pub use exits::{Care, Exits, Moment, STOPPED};
pub use in_place::own_umask;
pub use lead::{Lead, Loopback, Word};
pub use line::Line;
pub use listen::Listener;
pub use members::{Member, Members};
pub use opener::Confinement;
pub use places::{Held, Places, Reads};
pub use reads::{InWorld, ReadOpen};
pub use stderr::{WorldStderr, Written};
pub use stillness::{Still, Stillness};
pub use verify::{Ran, Verification};

use answer::Pending;

/// One act that waits for an answer; dropping it denies it with `EACCES`.
#[derive(Debug)]
pub struct Attempt {
    /// The process (thread group), numbered in our pid namespace.
    pub pid: i32,
    /// The thread of it that waits.
    pub tid: i32,
    /// What is attempted.
    pub kind: Attempted,
    /// For a program: the process that starts it.
    pidfd: Option<OwnedFd>,
    /// For a connection: how to make it.
    job: Option<connect::Job>,
    /// For a change to files that makes a name: how to make it.
    making: Option<making::Making>,
    pending: Pending,
}

/// What is attempted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempted {
    /// Start a program.
    Exec(ExecAttempt),
    /// Create, change or remove files.
    File(FileAttempt),
    /// Connect to an address; only where [`Listener::hand_out_tcp`] asks for it.
    Tcp(TcpConnect),
    /// Connect to a unix socket that was not bound inside the world.
    Unix(UnixConnect),
    /// Something that cannot be named, and so cannot be permitted; to be denied.
    Unresolvable(Unresolvable),
}

/// A program about to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecAttempt {
    /// The file that was named, symbolic links resolved, as the world sees it.
    pub program: AbsolutePath,
    /// Which file that is.
    pub identity: FileIdentity,
    /// Its arguments as given, the program's own name included.
    pub argv: Vec<Vec<u8>>,
    /// The working directory.
    pub cwd: AbsolutePath,
    /// For a script: what its first line names, and so on; the last one is what really runs.
    pub interpreters: Vec<Interpreter>,
    /// What the process will look like if that is what runs.
    expected: verify::Expected,
}

/// What the first line of a script names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The file, symbolic links resolved.
    pub program: AbsolutePath,
    /// Which file that is.
    pub identity: FileIdentity,
    /// The rest of the line.
    pub argument: Option<Vec<u8>>,
}

/// A change to files, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAttempt {
    /// What changes: one path, or two for a rename.
    pub acts: Vec<(FileChange, AbsolutePath)>,
    /// What is read, where that is decided too.
    pub reads: Option<AbsolutePath>,
    /// What there will be.
    pub appears: Appears,
    /// How it changes.
    pub deed: Deed,
}

/// What a change to files is, as far as its paths do not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A file is opened.
    Open,
    /// A file is made.
    Create,
    /// A directory is made.
    Directory,
    /// A pipe, a socket or an empty file is made.
    Node,
    /// A symbolic link is made, which says this.
    Symlink(Vec<u8>),
    /// A file gets another name; it has this one, if any.
    Link(Option<Vec<u8>>),
    /// A name is taken away.
    Remove,
    /// A directory is taken away.
    RemoveDirectory,
    /// One path takes the place of another.
    Rename {
        /// What it was called.
        from: Vec<u8>,
        /// What it will be called.
        to: Vec<u8>,
    },
    /// A file is cut or lengthened, to so many bytes.
    Truncate(u64),
    /// Its permissions become these.
    Mode(u32),
    /// Its times change.
    Times,
}

/// What there will be at a path that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appears {
    /// Nothing, what was there before, or something new and empty.
    Nothing,
    /// What lies elsewhere by now, with all beneath it: by a rename or a link.
    Elsewhere,
}

/// A connection of TCP to an address that is not the loopback's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpConnect {
    /// Where to, as the process says; an IPv4 address in an IPv6 one is the former.
    pub target: SocketAddr,
    /// The number that the kernel never gives to another socket (`SO_COOKIE`), where it gives any.
    pub cookie: Option<u64>,
}

/// A connection to a unix socket with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixConnect {
    /// The socket's path in the world, symbolic links resolved.
    pub path: AbsolutePath,
    /// Whether a process of the world listens there.
    pub bound_inside: BoundInside,
    /// Whether anybody does, as far as our own network namespace knows.
    pub listens: Listens,
}

/// Whether somebody would hear a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// Somebody may.
    Maybe,
    /// Whoever had bound the socket is gone: its file is all that is left.
    Nobody,
}

/// Whether a unix socket was bound inside the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundInside {
    /// One of its processes bound it: connections to it never become an attempt.
    Yes,
    /// No socket of the world's network namespace is bound to it.
    No,
    /// The kernel could not be asked.
    Unknown,
}

/// An act whose target has no name that a policy could speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolvable {
    /// The system call.
    pub syscall: &'static str,
    /// What is wrong.
    pub why: String,
    /// The error number to deny it with.
    pub errno: i32,
}

/// Why no more acts can be heard of.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The kernel's structures are not the ones this program knows.
    #[error("this kernel's seccomp notification cannot be used: {0}")]
    Unusable(io::Error),
    /// A thread that made something for the payload could not become again what it was.
    #[error("a thread cannot become again what it was before it made a file")]
    Lost,
    /// Receiving failed.
    #[error("cannot hear of the world's acts: {0}")]
    Receive(io::Error),
}
