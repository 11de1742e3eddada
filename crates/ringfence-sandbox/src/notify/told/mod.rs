//! Acts that are told of by those who are about to make them, where the kernel does not tell.
//!
//! A library in the program ([`crate::world::Tier::Preload`]) makes a connection for each call, says
//! what it is about to do, and waits. Who does not ask is not heard of: this is advice. But nothing that is
//! said here is believed of *who* says it. The kernel names the process at the other end; it must be one of the
//! world's, of the payload's user, and the thread that is spoken of one of its own. So nobody has another's
//! memory read, or an act decided in another's name.

mod descent;
pub(crate) mod wire;

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::sys::notify::{self as sys, Notification, Reply};
pub(crate) use descent::descends;
use wire::{QUESTION_BYTES, Question, Word};

/// `AUDIT_ARCH_X86_64`: the library is of no other.
const ARCH: u32 = 0xC000_003E;

/// Most connections that wait to be taken.
const BACKLOG: i32 = 1024;

/// Most connections that have been made and have not said anything yet; the oldest is closed for one more,
/// and so denied.
const COMING_MAX: usize = 256;

/// How many processes are known before those that have ended are forgotten; then twice as many as are left.
const KNOWN_MIN: usize = 64;

/// How long nobody is heard when we have as many open files as we may.
const FULL: Duration = Duration::from_millis(10);

/// What all of a world's processes have together with us: whoever counts processes, users or mounts
/// differently could say something that means another thing here.
const NAMESPACES: [&str; 3] = ["user", "pid", "mnt"];

/// Where a world's programs say what they are about to do.
#[derive(Debug)]
pub(crate) struct Told {
    listener: OwnedFd,
    /// The process that all of the world descend from, and that ends last.
    above: i32,
    end: OwnedFd,
    teller: Teller,
    door: Mutex<Door>,
    known: Known,
    /// How many are known when those that have ended are forgotten next.
    swept_at: AtomicUsize,
    waiting: Mutex<HashMap<u64, Caller>>,
}

/// Who tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// The world's programs, of this user, each for its own threads.
    Programs(u32),
    /// The process above the world, which traces all of it.
    Tracer,
}

/// Who has come, and who is known to be of the world.
#[derive(Debug, Default)]
struct Door {
    coming: VecDeque<Caller>,
    last: u64,
}

/// The processes that have asked, by number.
#[derive(Debug, Default, Clone)]
pub(crate) struct Known(Arc<Mutex<HashMap<i32, OwnedFd>>>);

impl Known {
    /// Ends every one of them: nobody answers them any more.
    pub(crate) fn end_all(&self) {
        for process in lock(&self.0).values() {
            // Gone already is as good.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}

/// One connection, and the process that made it.
#[derive(Debug)]
struct Caller {
    socket: OwnedFd,
    pid: i32,
    process: OwnedFd,
    teller: Teller,
    /// The thread that it has spoken of.
    tid: Option<i32>,
}

/// A listener at this path, which whoever may enter its directory can connect to.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags(), None)?;
    // Taken over by the sockets that are accepted: the kernel names the sender of every message.
    net::sockopt::set_socket_passcred(&socket, true)?;
    net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o666))?;
    net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC
}

/// Asks as the library does; the answer comes on the connection.
pub(crate) fn put(path: &Path, question: &Question) -> io::Result<OwnedFd> {
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags(), None)?;
    net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    net::send(&socket, &question.encode(), SendFlags::NOSIGNAL)?;
    Ok(socket)
}

/// Waits for the answer to a question that was put; `None` where there is none.
pub(crate) fn answer(socket: &OwnedFd) -> Option<Word> {
    let mut bytes = [0; wire::ANSWER_BYTES];
    let got = loop {
        match net::recv(socket, bytes.as_mut_slice(), RecvFlags::empty()) {
            Ok((got, _)) => break got,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    };
    bytes.get(..got).and_then(Word::decode)
}

impl Told {
    /// Hears of a world all of whose processes descend from `above`.
    pub(crate) fn new(listener: OwnedFd, above: i32, teller: Teller) -> io::Result<Told> {
        let pid = Pid::from_raw(above).ok_or(io::ErrorKind::InvalidInput)?;
        let end = pidfd_open(pid, PidfdFlags::empty())?;
        Ok(Told {
            listener,
            above,
            end,
            teller,
            door: Mutex::default(),
            known: Known::default(),
            swept_at: AtomicUsize::new(KNOWN_MIN),
            waiting: Mutex::default(),
        })
    }

    /// Whether whoever is told of cannot be handed a file.
    pub(super) fn is_traced(&self) -> bool {
        self.teller == Teller::Tracer
    }

    /// Who has asked so far, and will.
    pub(crate) fn known(&self) -> Known {
        self.known.clone()
    }

    /// Waits for a call; `None` when the world is gone.
    pub(super) fn receive(&self) -> io::Result<Option<Notification>> {
        let mut door = lock(&self.door);
        loop {
            let mut polled: Vec<PollFd<'_>> = [&self.end, &self.listener]
                .into_iter()
                .chain(door.coming.iter().map(|caller| &caller.socket))
                .map(|fd| PollFd::new(fd, PollFlags::IN))
                .collect();
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let seen: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
            let [ended, arrived, spoke @ ..] = seen.as_slice() else { return Ok(None) };
            if *ended {
                return Ok(None);
            }
            if *arrived {
                self.accept(&mut door)?;
            }
            if let Some(at) = spoke.iter().position(|spoke| *spoke)
                && let Some(mut caller) = door.coming.remove(at)
                && let Some(question) = caller.hear()
            {
                return Ok(Some(self.take(&mut door, caller, question)));
            }
        }
    }

    /// Takes a connection; what is none of the world's is closed.
    fn accept(&self, door: &mut Door) -> io::Result<()> {
        let socket = match net::accept_with(&self.listener, flags()) {
            Ok(socket) => socket,
            // Gone again, or there is no room for it: who waits for an answer goes on waiting.
            Err(Errno::CONNABORTED | Errno::INTR | Errno::AGAIN) => return Ok(()),
            Err(Errno::MFILE | Errno::NFILE) => {
                lock(&self.known.0).retain(|_, known| is_alive(known.as_fd()));
                door.coming.clear();
                std::thread::sleep(FULL);
                return Ok(());
            }
            Err(errno) => return Err(errno.into()),
        };
        let Some(caller) = self.caller(socket) else { return Ok(()) };
        if door.coming.len() >= COMING_MAX {
            door.coming.pop_front();
        }
        door.coming.push_back(caller);
        Ok(())
    }

    /// The process at the other end, if it is one of the world's.
    fn caller(&self, socket: OwnedFd) -> Option<Caller> {
        let named = net::sockopt::socket_peercred(&socket).ok()?;
        let pid = named.pid.as_raw_nonzero().get();
        let process = sys::peer(socket.as_fd()).ok()?;
        match self.teller {
            Teller::Programs(uid) if named.uid.as_raw() == uid && pid != self.above => {}
            Teller::Tracer if pid == self.above => {
                let caller = Caller { socket, pid, process, teller: self.teller, tid: None };
                return caller.waits().then_some(caller);
            }
            Teller::Programs(_) | Teller::Tracer => return None,
        }
        let mut known = lock(&self.known.0);
        let is_known = known.get(&pid).is_some_and(|known| is_alive(known.as_fd()));
        if !is_known {
            if !descends(pid, self.above) {
                return None;
            }
            if known.len() >= self.swept_at.load(Ordering::Relaxed) {
                known.retain(|_, known| is_alive(known.as_fd()));
                let next = known.len().saturating_mul(2).max(KNOWN_MIN);
                self.swept_at.store(next, Ordering::Relaxed);
            }
            known.insert(pid, process.try_clone().ok()?);
        }
        // What was found out about a number was found out about this process only if it is still there.
        let teller = self.teller;
        let caller = Caller { socket, pid, process, teller, tid: None };
        is_alive(caller.process.as_fd()).then_some(caller)
    }

    fn take(&self, door: &mut Door, caller: Caller, question: Question) -> Notification {
        door.last += 1;
        let Question { tid, number, args } = question;
        lock(&self.waiting).insert(door.last, caller);
        Notification { id: door.last, tid, arch: ARCH, number, args }
    }

    /// Answers a call; an error when it no longer waits.
    pub(super) fn send(&self, id: u64, reply: Reply) -> io::Result<()> {
        let caller = lock(&self.waiting).remove(&id).ok_or(io::ErrorKind::NotFound)?;
        caller.say(Word::Reply(reply), &[])
    }

    /// Answers a call with an open file.
    pub(super) fn hand_in(&self, id: u64, file: BorrowedFd<'_>) -> io::Result<()> {
        let caller = lock(&self.waiting).remove(&id).ok_or(io::ErrorKind::NotFound)?;
        caller.say(Word::File, &[file])
    }

    /// Whether the call still waits.
    pub(super) fn still_waits(&self, id: u64) -> bool {
        lock(&self.waiting).get(&id).is_some_and(Caller::waits)
    }
}

impl Drop for Told {
    /// Ends every process that has ever asked: nobody answers them any more.
    fn drop(&mut self) {
        self.known.end_all();
    }
}

impl Caller {
    /// What it says, if that is a question of its own.
    fn hear(&mut self) -> Option<Question> {
        let mut bytes = [0; QUESTION_BYTES + 1];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = net::recvmsg(&self.socket, &mut parts, &mut ancillary, flags).ok()?;
        // Files that come along are closed.
        let sender = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
            RecvAncillaryMessage::ScmRights(_) | _ => None,
        });
        let sender = sender?.as_raw_nonzero().get();
        let question = Question::decode(bytes.get(..received.bytes)?)?;
        // A connection can be given away, and a thread be named that is another's.
        let is_own = sender == self.pid
            && self.waits()
            && match self.teller {
                Teller::Programs(_) => sys::in_group(self.pid, question.tid),
                Teller::Tracer => question.tid != self.pid && descends(question.tid, self.pid),
            };
        self.tid = Some(question.tid);
        (is_own && shares_namespaces(question.tid) && self.waits()).then_some(question)
    }

    /// Whether it is there, with the thread that it spoke of, and the other end of its connection as well.
    fn waits(&self) -> bool {
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut polled = [PollFd::new(&self.socket, PollFlags::empty())];
        let hung_up = poll(&mut polled, Some(&none)).is_ok_and(|ready| ready > 0);
        // The number of a thread that has ended may be somebody else's by now.
        let speaks = match (self.teller, self.tid) {
            (Teller::Programs(_), Some(tid)) => sys::in_group(self.pid, tid),
            (Teller::Programs(_), None) | (Teller::Tracer, _) => true,
        };
        !hung_up && speaks && is_alive(self.process.as_fd())
    }

    fn say(&self, word: Word, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = word.encode();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        net::sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, flags)?;
        Ok(())
    }
}

/// Whether a thread has the namespaces that we have; one that does not show them has not.
fn shares_namespaces(tid: i32) -> bool {
    NAMESPACES.iter().all(|name| {
        let of = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/{name}")).ok();
        let theirs = of(&tid.to_string());
        theirs.is_some() && theirs == of("self")
    })
}

fn is_alive(process: BorrowedFd<'_>) -> bool {
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut polled = [PollFd::new(&process, PollFlags::IN)];
    poll(&mut polled, Some(&none)).is_ok_and(|ready| ready == 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
