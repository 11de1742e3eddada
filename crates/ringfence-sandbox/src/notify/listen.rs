//! Taking waiting calls from the kernel, and telling apart what they are.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ringfence_core::AbsolutePath;

use super::answer::Pending;
use super::asked::{Asked, AskedPlace};
use super::connect::{self, Workers};
use super::handing::Handing;
use super::in_place::{self, InPlace};
use super::inside::Inside;
use super::lead::Lead;
use super::line::Line;
use super::making::Making;
use super::opener::{Confinement, Opener};
use super::places::Places;
use super::reads::{self, ReadOpen};
use super::roots::{self, Roots};
use super::script::FirstLines;
use super::stillness::Stillness;
use super::straight::Straight;
use super::tracee::{self, Call, Trouble};
use super::turns::{Turn, Turns};
use super::umasks::Umasks;
use super::{
    Attempt, Attempted, FileAttempt, NotifyError, TcpConnect, UnixConnect, Unresolvable, access,
    bind, exec, file, metadata,
};
use crate::sys::notify::{self as sys, Notification, Reply};

/// How many threads' groups are remembered; more and all are forgotten, for they are found again.
const GROUPS_MAX: usize = 4096;

/// How long a thread's group is believed without asking. Numbers are given out in turn, so one
/// comes again only after 32,768 others (`pid_max`), which takes the kernel seconds.
const GROUP_TRUST: Duration = Duration::from_millis(50);

/// `AUDIT_ARCH_X86_64`: the one architecture whose numbers are known here.
const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;

/// Hears of the acts of one world.
///
/// Several threads may be in [`Listener::next`]: one of them receives, and whoever answers for long
/// is replaced.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    turns: Turns,
}

/// What the listener and its unanswered attempts have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) line: Line,
    root: OnceLock<OwnedFd>,
    private: Vec<AbsolutePath>,
    exposed: RwLock<Vec<AbsolutePath>>,
    groups: Mutex<HashMap<i32, (i32, Instant)>>,
    pub(super) straight: Straight,
    pub(super) umasks: Umasks,
    pub(super) first_lines: FirstLines,
    pub(super) inside: Option<Inside>,
    pub(super) outside: Option<Inside>,
    hands_out_tcp: AtomicBool,
    pub(super) lead: OnceLock<Lead>,
    pub(super) reads: OnceLock<reads::Told>,
    pub(super) stillness: OnceLock<Arc<Stillness>>,
    pub(super) workers: Workers,
    pub(super) in_place: InPlace,
    pub(super) opener: Opener,
    pub(super) handing: Handing,
    pub(super) roots: Roots,
    /// Places whose files are opened one by one, once it is known.
    pub(super) asked: OnceLock<Asked>,
    user: Option<(u32, u32)>,
    /// For a world without mounts.
    pub(super) places: Option<Places>,
}

/// What is to be done about a call.
#[derive(Debug)]
pub(super) enum Judged {
    /// It is answered at once: nothing is attempted that anybody has to decide.
    Answer(Reply),
    /// It goes on: an open that only reads, which somebody may want to know of.
    Read(reads::Seen),
    /// Something is made that nobody has to decide.
    Make(Making),
    /// Somebody has to decide about files, and then something is made, unless the kernel goes on.
    File(FileAttempt, Option<Making>),
    /// Somebody has to decide.
    Attempt(Attempted),
    /// Somebody has to decide about a connection, which is made like this.
    Unix(UnixConnect, connect::Job),
    /// Somebody may have a word about a connection before it goes its way.
    Tcp(TcpConnect, connect::Job),
    /// A connection that needs no decision; made on our copy of the socket and the address.
    Connect(connect::Job),
}

impl Listener {
    /// A listener on a seccomp notification descriptor, or on another line.
    ///
    /// `unix_diag` is a `NETLINK_SOCK_DIAG` socket made in the world's network namespace; without
    /// it every unix socket with a path counts as bound outside. Changes beneath `private` - the
    /// world's own places, gone at its end - never become an attempt. `confinement` is what the
    /// payload is held by, for those who make files in its place.
    pub fn new(
        line: impl Into<Line>,
        unix_diag: Option<OwnedFd>,
        private: Vec<AbsolutePath>,
        mut confinement: Confinement,
    ) -> Result<Listener, NotifyError> {
        let line = line.into();
        line.check().map_err(NotifyError::Unusable)?;
        let umasks = Umasks::default();
        let roots = Roots::new(confinement.seccomp);
        if line.is_told() {
            // Nobody hears of what changes them.
            umasks.forget_for_good();
            roots.may_be_several();
        }
        let shared = Shared {
            line,
            root: OnceLock::new(),
            private,
            exposed: RwLock::default(),
            groups: Mutex::new(HashMap::new()),
            straight: Straight::default(),
            umasks,
            first_lines: FirstLines::default(),
            inside: unix_diag.map(Inside::new),
            outside: Inside::of_ours(),
            hands_out_tcp: AtomicBool::new(false),
            lead: OnceLock::new(),
            reads: OnceLock::new(),
            stillness: OnceLock::new(),
            workers: Workers::default(),
            roots,
            asked: OnceLock::new(),
            user: confinement.user,
            places: confinement.places.take(),
            in_place: InPlace::new(&confinement),
            opener: Opener::start(confinement)?,
            handing: Handing::default(),
        };
        Ok(Listener { shared: Arc::new(shared), turns: Turns::default() })
    }

    /// Says that something of the host's is mounted at this path - a bind or a grant - so that
    /// changes beneath it become attempts also where the path lies in a private place.
    ///
    /// To be said before it is mounted. It cannot be taken back: a revoked place is decided about
    /// once too often rather than once too seldom.
    pub fn expose(&self, path: AbsolutePath) {
        let mut exposed = self.shared.exposed.write().unwrap_or_else(PoisonError::into_inner);
        if !exposed.contains(&path) {
            exposed.push(path);
        }
    }

    /// Has connections of TCP that leave the loopback handed out from here on, each to be told what
    /// is known of it before it goes its way. It is no wall: what else sends is not handed out.
    pub fn hand_out_tcp(&self) {
        self.shared.hands_out_tcp.store(true, Ordering::Release);
    }

    /// Has connections of TCP led to the net gate from here on, where no packet filter sends them
    /// there; the first word counts.
    pub fn lead_tcp(&self, lead: Lead) {
        let _ = self.shared.lead.set(lead);
    }

    /// Tells of opens that only read from here on, where the filter notifies them; the first who asks is
    /// told. They go on in any case, and the world waits for the teller with the next ones.
    pub fn watch_reads(&self, told: impl Fn(&ReadOpen<'_>) + Send + Sync + 'static) {
        let _ = self.shared.reads.set(reads::Told(Box::new(told)));
    }

    /// Has the files of these places opened by us from here on, each when that has been decided; the first
    /// word counts. Places in `except` are shown by the world's mounts although they lie in one; to read what
    /// comes to be in one of `shut` is decided, where opens that only read are notified.
    pub fn open_asked(
        &self,
        places: Vec<AskedPlace>,
        (except, shut): (&[AbsolutePath], &[AbsolutePath]),
    ) -> Result<(), NotifyError> {
        if self.shared.places.is_some() {
            return Err(NotifyError::Unusable(std::io::ErrorKind::Unsupported.into()));
        }
        for place in &places {
            self.expose(place.path.clone());
        }
        let _ = self.shared.asked.set(Asked::new(places, (except, shut), self.shared.user)?);
        Ok(())
    }

    /// Has every answer held back from here on while `stillness` says so; the first word counts.
    pub fn stand_still_with(&self, stillness: Arc<Stillness>) {
        let _ = self.shared.stillness.set(stillness);
    }

    /// The next act that somebody has to decide; `None` when the world is gone.
    ///
    /// What needs no decision - programs and directories that do not exist, private places,
    /// connections within the world - is answered in here.
    pub fn next(&self) -> Result<Option<Attempt>, NotifyError> {
        loop {
            if in_place::is_lost() {
                return Err(NotifyError::Lost);
            }
            match self.turns.wait() {
                Turn::Receive => {}
                Turn::Over => return Ok(None),
            }
            match self.receive()? {
                Received::Attempt(attempt) => return Ok(Some(*attempt)),
                Received::Make(making, pending) => pending.make(making),
                Received::Nothing => return Ok(None),
            };
        }
    }

    /// Receives until there is something that takes time.
    fn receive(&self) -> Result<Received, NotifyError> {
        loop {
            let notification = match self.shared.line.receive() {
                Ok(Some(notification)) => notification,
                Ok(None) => {
                    self.turns.end();
                    return Ok(Received::Nothing);
                }
                Err(error) => {
                    self.turns.fail();
                    return Err(error);
                }
            };
            let pending =
                Pending::new(Arc::clone(&self.shared), (notification.id, notification.tid));
            if let Some(received) = judge(notification, pending) {
                self.turns.answer();
                return Ok(received);
            }
        }
    }
}

/// What a receiver leaves with.
enum Received {
    Attempt(Box<Attempt>),
    /// Nobody has to decide, but a disk may have to be waited for.
    Make(Making, Pending),
    /// The world is gone.
    Nothing,
}

/// Finds out what a call attempts; answers it if nobody has to decide.
fn judge(notification: Notification, pending: Pending) -> Option<Received> {
    let shared = Arc::clone(&pending.shared);
    let call = Call { shared: &shared, notification };
    let (mut job, mut making) = (None, None);
    let kind = match look(&call) {
        Ok(Judged::Attempt(kind)) => kind,
        Ok(Judged::Unix(connect, its_job)) => {
            job = Some(its_job);
            Attempted::Unix(connect)
        }
        Ok(Judged::Tcp(connect, its_job)) => {
            job = Some(its_job);
            Attempted::Tcp(connect)
        }
        Ok(Judged::File(file, its_making)) => {
            making = its_making;
            Attempted::File(file)
        }
        Ok(Judged::Make(making)) => {
            return call.check_waiting().is_ok().then_some(Received::Make(making, pending));
        }
        Ok(Judged::Answer(reply)) => {
            pending.answer(reply);
            return None;
        }
        Ok(Judged::Read(seen)) => {
            // Before it goes on: afterwards it may have ended, and be told of as another.
            if call.check_waiting().is_ok() {
                shared.tell_read(&seen);
            }
            pending.answer(Reply::Continue);
            return None;
        }
        Ok(Judged::Connect(job)) => {
            if call.check_waiting().is_ok() {
                connect::carry_out(job, pending);
            }
            return None;
        }
        Err(Trouble::Errno(errno)) => {
            pending.answer(Reply::Fail(errno));
            return None;
        }
        Err(Trouble::Gone) => return None,
        Err(Trouble::Unresolvable { why, errno }) => {
            let syscall = name(notification.number);
            Attempted::Unresolvable(Unresolvable { syscall, why, errno })
        }
    };
    let tid = notification.tid;
    // Only the first thread of a process can be opened as one.
    let pidfd = if matches!(kind, Attempted::Exec(_)) { tracee::pidfd(tid) } else { None };
    let pid = match &pidfd {
        Some(_) => tid,
        None => match call.group() {
            Ok(group) => group,
            Err(Trouble::Gone) => return None,
            Err(Trouble::Errno(_) | Trouble::Unresolvable { .. }) => tid,
        },
    };
    call.check_waiting().ok()?;
    let attempt = Attempt { pid, tid, kind, pidfd, job, making, pending };
    Some(Received::Attempt(Box::new(attempt)))
}

fn look(call: &Call<'_>) -> Result<Judged, Trouble> {
    let Notification { tid, arch, number, .. } = call.notification;
    if arch != AUDIT_ARCH_X86_64 {
        return Err(Trouble::unresolvable("a foreign architecture", libc::EACCES));
    }
    if tid <= 0 {
        return Err(Trouble::unresolvable("a process without a number here", libc::EACCES));
    }
    roots::check(call)?;
    match number {
        libc::SYS_execve | libc::SYS_execveat => exec::look(call),
        libc::SYS_connect => connect::look(call),
        libc::SYS_bind => bind::look(call),
        libc::SYS_listen => bind::listens(call),
        libc::SYS_umask => call.sets_umask(),
        libc::SYS_clone | libc::SYS_unshare => Ok(call.shares_umask()),
        libc::SYS_chroot => roots::look(call),
        libc::SYS_open | libc::SYS_openat if reads::is_one(call) => reads::look_or_open(call),
        number if access::name(number).is_some() => access::look(call),
        number if metadata::name(number).is_some() => metadata::look(call),
        _ => file::look(call),
    }
}

impl Shared {
    pub(super) fn hands_out_tcp(&self) -> bool {
        self.hands_out_tcp.load(Ordering::Acquire)
    }

    /// The world's root directory, opened by the first who needs it.
    pub(super) fn root(
        &self,
        open: impl FnOnce() -> Result<OwnedFd, Trouble>,
    ) -> Result<BorrowedFd<'_>, Trouble> {
        if let Some(root) = self.root.get() {
            return Ok(root.as_fd());
        }
        let opened = open()?;
        Ok(self.root.get_or_init(|| opened).as_fd())
    }

    /// The world's root directory, once somebody has needed it.
    pub(super) fn known_root(&self) -> Option<BorrowedFd<'_>> {
        self.root.get().map(OwnedFd::as_fd)
    }

    /// Whether a resolved path lies in one of the world's own places.
    pub(super) fn is_private(&self, path: &[u8]) -> bool {
        if !self.private.iter().any(|place| lies_in(path, place)) {
            return false;
        }
        let exposed = self.exposed.read().unwrap_or_else(PoisonError::into_inner);
        !exposed.iter().any(|place| lies_in(path, place))
    }

    /// The thread group of a thread, if it is the leader or has been seen before.
    pub(super) fn known_group(&self, tid: i32) -> Option<i32> {
        let seen = {
            let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            groups.get(&tid).copied()
        };
        let group = match seen {
            Some((group, at)) if at.elapsed() < GROUP_TRUST => return Some(group),
            Some((group, _)) if sys::in_group(group, tid) => group,
            // Most processes have one thread, whose number is the group's.
            _ if sys::in_group(tid, tid) => tid,
            _ => return None,
        };
        self.learn_group(tid, group);
        Some(group)
    }

    pub(super) fn learn_group(&self, tid: i32, group: i32) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= GROUPS_MAX {
            groups.clear();
        }
        groups.insert(tid, (group, Instant::now()));
    }
}

/// Whether a path is this place or lies beneath it.
fn lies_in(path: &[u8], place: &AbsolutePath) -> bool {
    let place = place.as_str().as_bytes();
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || place.ends_with(b"/"))
}

/// The name of a system call that can be notified.
fn name(number: i64) -> &'static str {
    match number {
        libc::SYS_execve => "execve",
        libc::SYS_execveat => "execveat",
        libc::SYS_connect => "connect",
        libc::SYS_bind => "bind",
        libc::SYS_umask => "umask",
        libc::SYS_clone => "clone",
        libc::SYS_unshare => "unshare",
        libc::SYS_listen => "listen",
        libc::SYS_chroot => "chroot",
        _ => access::name(number)
            .or_else(|| metadata::name(number))
            .unwrap_or_else(|| file::name(number)),
    }
}
