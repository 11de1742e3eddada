//! Where acts are intercepted: each port turns an attempt into requests and carries out the answer.

mod claims;
mod exec;
mod file;
mod outside;
mod private;
mod tcp;
mod together;
mod unix;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ringfence_core::{
    AbsolutePath, Act, Agent, Checked, Denial, Durability, Event, Gate, Permit, Process, Request,
};
use ringfence_proxy::net::ahead::Ahead;
use ringfence_sandbox::notify::{Attempt, Attempted, Exits, Listener, NotifyError, Unresolvable};

use crate::approvals::Approvals;
use crate::compose::OwnNames;
use crate::denials::{Denials, Timing};
use crate::in_force::InForce;
use crate::module::ModuleStart;
use crate::processes::Watch;
use crate::signing::Arrivals;
use crate::wording;

pub use claims::Claims;
pub use outside::Closed;
pub use private::PrivatePlaces;

/// Threads that take attempts: one verified exec waits for its process, others go on meanwhile.
const THREADS: usize = 4;

/// Processes whose parent is remembered; more and all are forgotten, for they are found again.
const PARENTS_MAX: usize = 4096;

/// `EACCES`: what a denied act gets.
const EACCES: i32 = 13;

/// What the ports of one session share.
pub struct Ports {
    /// Decides.
    pub gate: Gate,
    /// Who is behind every act.
    pub agent: Agent,
    /// The policy in force, for what the gate does not tell.
    pub in_force: Arc<InForce>,
    /// Where questions go.
    pub approvals: Arc<Approvals>,
    /// Where denials are said.
    pub denials: Arc<Denials>,
    /// Where started processes are told.
    pub watch: Watch,
    /// Who watches processes to their end, where that is wanted.
    pub exits: Option<Exits>,
    /// Parents of processes that were seen.
    pub parents: Parents,
    /// The ways to the world's agents that sign.
    pub agents: Vec<Arrivals>,
    /// What the net gate knows of connections before they are made.
    pub ahead: Ahead,
    /// What exists in the world only.
    pub private: Arc<PrivatePlaces>,
    /// What is called otherwise than where it lies.
    pub names: OwnNames,
    /// What is not to be written, whatever the policy says.
    pub closed: Closed,
    /// The start of the session's WASM module, if that is what runs.
    pub module: Option<ModuleStart>,
}

/// Parents of processes that were seen; looking one up costs a read of `/proc`.
#[derive(Default)]
pub struct Parents {
    known: Mutex<HashMap<i32, Option<i32>>>,
}

/// Answers a world's attempts on threads of their own until the world is gone.
///
/// `broken` is called when a thread ends although the world has not: without the port nothing in
/// the world could be decided any more.
pub fn serve(
    ports: &Arc<Ports>,
    listener: Listener,
    broken: impl Fn(Option<NotifyError>) + Send + Sync + 'static,
) -> std::io::Result<()> {
    listener.hand_out_tcp();
    if let Some(reads) = ports.watch.reads().cloned() {
        listener.watch_reads(move |open| reads.opened(open));
    }
    let listener = Arc::new(listener);
    let broken = Arc::new(broken);
    for number in 0..THREADS {
        let (ports, listener, broken) =
            (Arc::clone(ports), Arc::clone(&listener), Arc::clone(&broken));
        std::thread::Builder::new().name(format!("port-{number}")).spawn(move || {
            let guard = Ending { broken: &*broken, how: How::Died };
            listen(&ports, &listener, guard);
        })?;
    }
    Ok(())
}

/// Tells of the end of a port's thread, in whatever way it comes.
struct Ending<'a, F: Fn(Option<NotifyError>)> {
    broken: &'a F,
    how: How,
}

/// How a port's thread ended.
enum How {
    /// The world is gone: nobody is left to be answered.
    WorldGone,
    /// Nothing more can be heard.
    Failed(NotifyError),
    /// It panicked.
    Died,
}

impl<F: Fn(Option<NotifyError>)> Drop for Ending<'_, F> {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.how, How::Died) {
            How::WorldGone => {}
            How::Failed(error) => (self.broken)(Some(error)),
            How::Died => (self.broken)(None),
        }
    }
}

fn listen<F: Fn(Option<NotifyError>)>(
    ports: &Arc<Ports>,
    listener: &Listener,
    mut ending: Ending<'_, F>,
) {
    loop {
        match listener.next() {
            Ok(Some(attempt)) => answer(ports, attempt),
            Ok(None) => {
                ending.how = How::WorldGone;
                return;
            }
            Err(error) => {
                ending.how = How::Failed(error);
                return;
            }
        }
    }
}

fn answer(ports: &Arc<Ports>, attempt: Attempt) {
    match &attempt.kind {
        Attempted::Exec(exec) => {
            let module = ports.module.as_ref().and_then(|module| module.take(exec));
            let acts = module.map_or_else(|| exec::acts(exec, &ports.names), |act| vec![act]);
            exec::answer(ports, attempt, acts);
        }
        Attempted::File(file) => {
            let file = file.clone();
            file::answer(ports, attempt, file);
        }
        Attempted::Tcp(connect) => {
            let connect = *connect;
            tcp::answer(ports, attempt, connect);
        }
        Attempted::Unix(connect) => {
            let (path, listens) = (connect.path.clone(), connect.listens);
            unix::answer(ports, attempt, (path, listens));
        }
        Attempted::Unresolvable(what) => {
            let (text, errno) = (unresolvable(what), what.errno);
            // Denied whether or not it could be recorded; a log that fails ends the session.
            let _ = ports.gate.note(ports.refused(&attempt, what), Durability::Soon);
            attempt.write_stderr(&text);
            attempt.deny(errno);
        }
    }
}

fn unresolvable(what: &Unresolvable) -> String {
    format!("denied: {}: {}\n", what.syscall, wording::printable(&what.why))
}

/// A permit, or the denial that a question without an answer is.
pub(crate) fn settled(checked: Checked) -> Result<Permit, Denial> {
    match checked {
        Checked::Permit(permit) => Ok(permit),
        Checked::Deny(denial) => Err(denial),
        Checked::Ask(question) => Err(Denial {
            request: question.request,
            grounds: question.grounds,
            entry: Some(question.entry),
        }),
    }
}

impl Ports {
    /// An act of the attempting process as a request.
    pub(crate) fn request(&self, attempt: &Attempt, act: Act) -> Request {
        Request { agent: self.agent.clone(), act, process: Some(self.process(attempt)) }
    }

    pub(crate) fn process(&self, attempt: &Attempt) -> Process {
        Process { pid: attempt.pid, parent: self.parents.of(attempt) }
    }

    fn refused(&self, attempt: &Attempt, what: &Unresolvable) -> Event {
        let (syscall, why) = (what.syscall.to_owned(), what.why.clone());
        Event::Refused { process: self.process(attempt), syscall, why }
    }

    /// The covered place that a path is at or in.
    pub(crate) fn cover_of(&self, path: &AbsolutePath) -> Option<&Path> {
        let mut covered = self.closed.covered.iter().map(PathBuf::as_path);
        covered.find(|cover| private::lies_in(path.as_path(), cover))
    }

    /// Says a denial to the process and makes its call fail.
    pub(crate) fn refuse(&self, attempt: Attempt, denial: &Denial) {
        self.refuse_with(attempt, denial, EACCES);
    }

    fn refuse_with(&self, attempt: Attempt, denial: &Denial, errno: i32) {
        let said = self.denials.say(denial);
        if said.now == Timing::Fresh {
            attempt.write_stderr(&said.text);
        }
        attempt.deny(errno);
    }
}

impl Parents {
    fn of(&self, attempt: &Attempt) -> Option<i32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parent) = known.get(&attempt.pid) {
            return *parent;
        }
        if known.len() >= PARENTS_MAX {
            known.clear();
        }
        let parent = attempt.parent();
        known.insert(attempt.pid, parent);
        parent
    }

    /// A process starts a program: its number may have been another's before.
    pub(crate) fn forget(&self, pid: i32) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }
}
