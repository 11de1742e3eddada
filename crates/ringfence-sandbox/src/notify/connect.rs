//! Connections, made by us: on a copy of the socket, to a copy of the address.
//!
//! The kernel is never asked to read the address again, so it does not matter who changes it. The
//! peer of a unix socket sees the payload's user and group, but our process id.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use rustix::fs::{FileType, OFlags};
use rustix::net::{SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::answer::Pending;
use super::file::named;
use super::lead::{Led, address};
use super::listen::{Judged, Shared};
use super::locate::{Found, Last};
use super::tracee::{Call, Trouble, status_numbers};
use super::{Attempt, Attempted, BoundInside, Listens, TcpConnect, UnixConnect};
use crate::sys::notify::{self as sys, Reply};

/// Longest socket address, in bytes (`struct sockaddr_storage`).
pub(super) const ADDRESS_BYTES_MAX: usize = 128;

/// Longest unix socket address, in bytes (`struct sockaddr_un`).
pub(super) const UNIX_ADDRESS_BYTES_MAX: usize = 110;

/// Most connections, and pipes, that are being waited for at a time; the next one fails with `EAGAIN`.
///
/// Each is a thread. A world that opens this many that nobody accepts only stops itself.
const WAITING_MAX: usize = 64;

/// Threads that wait for connections of blocking sockets, and for the other ends of pipes.
#[derive(Debug, Default)]
pub(super) struct Workers {
    busy: Arc<AtomicUsize>,
}

/// A connection to be made.
#[derive(Debug)]
pub(super) struct Job {
    socket: OwnedFd,
    target: Target,
    user: Option<(u32, u32)>,
}

#[derive(Debug)]
enum Target {
    /// This address, which names no file.
    Address(Vec<u8>),
    /// The net gate, which is told where else it was meant to go.
    Gate(Led),
    /// The unix socket that is this file, whatever it is called by now.
    File(OwnedFd),
    /// A socket that the world does not have.
    Absent,
}

/// Names of sockets on which engines of containers listen.
const ENGINES: &[&str] =
    &["buildkitd.sock", "containerd.sock", "crio.sock", "docker.sock", "podman.sock"];

/// Whether an engine of containers listens on a socket of this name: whoever may talk to one may run
/// anything on the host, as root or as the engine's user.
pub fn is_engine(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| ENGINES.contains(&name))
}

/// A socket address, as far as it matters who may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Names no file: IPv4, IPv6, an abstract unix socket, netlink, or no address at all. What it
    /// can reach is bounded by the network namespace of the socket.
    Bounded,
    /// A unix socket with this path.
    Path(Vec<u8>),
}

/// Takes an address apart; the error is the kernel's.
pub(super) fn decode(address: &[u8]) -> Result<Address, i32> {
    let family = address.first_chunk::<2>().ok_or(libc::EINVAL)?;
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_UNSPEC | libc::AF_INET | libc::AF_INET6 | libc::AF_NETLINK => Ok(Address::Bounded),
        libc::AF_UNIX => {
            let path = address.get(2..).unwrap_or_default();
            if path.is_empty() || address.len() > UNIX_ADDRESS_BYTES_MAX {
                return Err(libc::EINVAL);
            }
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            match path.get(..end).unwrap_or_default() {
                [] => Ok(Address::Bounded),
                path => Ok(Address::Path(path.to_vec())),
            }
        }
        _ => Err(libc::EAFNOSUPPORT),
    }
}

/// What a notified `connect` would reach.
pub(super) fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let length = usize::try_from(call.int(2)).map_err(|_| Trouble::Errno(libc::EINVAL))?;
    if length > ADDRESS_BYTES_MAX {
        return Err(Trouble::Errno(libc::EINVAL));
    }
    let address = call.bytes(call.arg(1), length)?;
    let decoded = decode(&address).map_err(Trouble::Errno)?;
    let socket = socket(call)?;
    let Address::Path(path) = decoded else {
        return by_address(call.shared, socket, address);
    };
    let place = call.locate(libc::AT_FDCWD, &path, Last::Follow)?;
    match place.found {
        // A client says of it that no engine runs: that it may not be used is said by a denial.
        Found::Absent => match named(&place.path) {
            Ok(path) if is_engine(path.as_str()) => {
                let job = Job { socket, target: Target::Absent, user: None };
                let (bound_inside, listens) = (BoundInside::No, Listens::Maybe);
                return Ok(Judged::Unix(UnixConnect { path, bound_inside, listens }, job));
            }
            Ok(_) | Err(_) => return Err(Trouble::Errno(libc::ENOENT)),
        },
        Found::Directory | Found::Symlink => return Err(Trouble::Errno(libc::ECONNREFUSED)),
        Found::Nameless => {
            return Err(Trouble::unresolvable("a socket without a path", libc::EACCES));
        }
        Found::File => {}
    }
    let file = call.reference(&place.path)?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(Trouble::Errno(libc::ECONNREFUSED));
    }
    let user = user(call)?;
    let bound_inside =
        call.shared.inside.as_ref().map_or(BoundInside::Unknown, |inside| inside.holds(&stat));
    let job = Job { socket, target: Target::File(file), user };
    if bound_inside == BoundInside::Yes {
        return Ok(Judged::Connect(job));
    }
    let outside = call.shared.outside.as_ref().map(|outside| outside.holds(&stat));
    let listens = match (bound_inside, outside) {
        (BoundInside::No, Some(BoundInside::No)) => Listens::Nobody,
        (BoundInside::Yes | BoundInside::No | BoundInside::Unknown, _) => Listens::Maybe,
    };
    Ok(Judged::Unix(UnixConnect { path: named(&place.path)?, bound_inside, listens }, job))
}

/// A connection to an address that names no file.
fn by_address(shared: &Shared, socket: OwnedFd, address: Vec<u8>) -> Result<Judged, Trouble> {
    let tcp = is_tcp(&socket);
    let target = internet(&address).filter(|_| tcp && shared.hands_out_tcp());
    let led = shared.lead.get().filter(|_| tcp).and_then(|lead| lead.led(&socket, &address));
    if shared.places.is_some() && led.is_none() && !undoes(&address) {
        // Nothing but the gate bounds what it would reach: the network is the host's.
        return Err(Trouble::Errno(libc::EACCES));
    }
    let to = led.map_or(Target::Address(address), Target::Gate);
    let cookie = sockopt::socket_cookie(&socket).ok();
    let job = Job { socket, target: to, user: None };
    Ok(match target {
        Some(target) => Judged::Tcp(TcpConnect { target, cookie }, job),
        None => Judged::Connect(job),
    })
}

/// Whether an address stands for no connection.
fn undoes(address: &[u8]) -> bool {
    let family = address.first_chunk().map(|bytes| i32::from(u16::from_ne_bytes(*bytes)));
    family == Some(libc::AF_UNSPEC)
}

/// The address in it, if it is one of the internet protocols' and not of the loopback's.
pub(super) fn internet(given: &[u8]) -> Option<SocketAddr> {
    address(given).filter(|it| !it.ip().is_loopback() && !it.ip().is_unspecified())
}

/// Whether it carries connections of TCP, of several paths or one.
fn is_tcp(socket: &OwnedFd) -> bool {
    sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::STREAM)
}

/// A copy of the waiting thread's socket.
pub(super) fn socket(call: &Call<'_>) -> Result<OwnedFd, Trouble> {
    if call.int(0) < 0 {
        return Err(Trouble::Errno(libc::EBADF));
    }
    let pidfd = pidfd(call)?;
    call.check_waiting()?;
    let socket = pidfd_getfd(pidfd, call.int(0), PidfdGetfdFlags::empty())?;
    // A socket that somebody outside passed in would reach outside: its network is not the world's.
    if let Some(world) = call.shared.inside.as_ref().and_then(|inside| inside.cookie) {
        let own = sys::netns_cookie(&socket)
            .map_err(|error| Trouble::Errno(error.raw_os_error().unwrap_or(libc::ENOTSOCK)))?;
        if own != world {
            return Err(Trouble::unresolvable("a socket of another network", libc::EACCES));
        }
    }
    Ok(socket)
}

/// The waiting thread itself where the kernel can name it, because a thread may have descriptors of
/// its own; else its group. The address is ours either way.
pub(super) fn pidfd(call: &Call<'_>) -> Result<OwnedFd, Trouble> {
    if let Ok(pidfd) = sys::pidfd_of_thread(call.tid()) {
        return Ok(pidfd);
    }
    let group = Pid::from_raw(call.group()?).ok_or(Trouble::Gone)?;
    Ok(pidfd_open(group, PidfdFlags::empty())?)
}

/// The user and group to connect as, if they are not our own: a peer asks who connects, and the
/// kernel asks whether they may write to the socket's file.
fn user(call: &Call<'_>) -> Result<Option<(u32, u32)>, Trouble> {
    let id = |label| {
        let numbers = status_numbers(call.tid(), label)?;
        u32::try_from(*numbers.get(3)?).ok()
    };
    let (Some(uid), Some(gid)) = (id("Uid:"), id("Gid:")) else {
        return Err(Trouble::unresolvable("the process does not show its user", libc::EACCES));
    };
    call.check_waiting()?;
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Ok(if own == (uid, gid) { None } else { Some((uid, gid)) })
}

/// Makes a connection that nobody has to decide, and answers the call.
pub(super) fn carry_out(job: Job, pending: Pending) {
    if job.user.is_none() && !blocks(&job.socket) {
        let result = connect(&job, &pending.shared);
        pending.answer(reply(&result));
        return;
    }
    hand_over(job, pending, |_| {});
}

fn blocks(socket: &OwnedFd) -> bool {
    !rustix::fs::fcntl_getfl(socket).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Has a thread make the connection: it may wait, and it may have to become another user.
fn hand_over(job: Job, pending: Pending, done: impl FnOnce(io::Result<()>) + Send + 'static) {
    let Some(place) = pending.shared.workers.place() else {
        pending.answer(Reply::Fail(libc::EAGAIN));
        done(Err(io::Error::from_raw_os_error(libc::EAGAIN)));
        return;
    };
    let work = move || {
        let _place = place;
        let shared = &pending.shared;
        let result = match job.user {
            Some((uid, gid)) => sys::become_user(uid, gid).and_then(|()| connect(&job, shared)),
            None => connect(&job, shared),
        };
        pending.answer(reply(&result));
        done(result);
    };
    // A thread that cannot be started drops the work, and with it the call, which is denied.
    let _ = std::thread::Builder::new().name("connect".to_owned()).spawn(work);
}

impl Workers {
    /// A place for one more thread that waits, if there is one.
    pub(super) fn place(&self) -> Option<Place> {
        let place = Place(Arc::clone(&self.busy));
        (self.busy.fetch_add(1, Ordering::AcqRel) < WAITING_MAX).then_some(place)
    }
}

/// One of the [`WAITING_MAX`]; given back when dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn connect(job: &Job, shared: &Shared) -> io::Result<()> {
    match &job.target {
        Target::Gate(led) => match shared.lead.get() {
            Some(lead) => lead.connect(&job.socket, led),
            None => Err(io::Error::from_raw_os_error(libc::EACCES)),
        },
        Target::Absent => Err(io::Error::from_raw_os_error(libc::ENOENT)),
        Target::Address(address) => sys::connect_raw(job.socket.as_fd(), address),
        Target::File(file) => {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let mut address = Vec::with_capacity(UNIX_ADDRESS_BYTES_MAX);
            let family = u16::try_from(libc::AF_UNIX).unwrap_or_default();
            address.extend_from_slice(&family.to_ne_bytes());
            address.extend_from_slice(path.as_bytes());
            address.push(0);
            sys::connect_raw(job.socket.as_fd(), &address)
        }
    }
}

fn reply(result: &io::Result<()>) -> Reply {
    match result {
        Ok(()) => Reply::Success,
        Err(error) => Reply::Fail(error.raw_os_error().unwrap_or(libc::EACCES)),
    }
}

impl Attempt {
    /// Lets a connection of TCP go its way, which is the world's only one; for attempts of another
    /// kind a denial.
    pub fn carry_on(self) {
        // Dropped is denied.
        if let (Attempted::Tcp(_), Some(job)) = (self.kind, self.job) {
            carry_out(job, self.pending);
        }
    }

    /// Makes the connection, on our copies of socket and address, and answers the call with how
    /// that ended; waits for it. Attempts of another kind are denied.
    pub fn connect(self) -> io::Result<()> {
        let refused = || io::Error::from_raw_os_error(libc::EACCES);
        let Some(job) = self.job else {
            self.pending.answer(Reply::Fail(libc::EACCES));
            return Err(refused());
        };
        let (tell, told) = sync_channel(1);
        hand_over(job, self.pending, move |result| {
            // The receiver below waits for exactly this.
            let _ = tell.send(result);
        });
        told.recv().unwrap_or_else(|_| Err(refused()))
    }
}
