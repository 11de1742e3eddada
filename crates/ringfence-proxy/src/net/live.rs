//! The connections that are open now, so that those which lose their permit can be ended.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ringfence_core::{Approved, Permit, Process, Request};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use super::Ends;

/// A client of the gate: where it is, and the task that serves it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) ends: Ends,
    /// The process behind it, once it has been looked for.
    pub(super) process: Arc<OnceCell<Option<Process>>>,
    task: Arc<OnceLock<AbortHandle>>,
}

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Live {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Open>>,
}

#[derive(Debug)]
struct Open {
    /// What was permitted for it: the name, and the address where that needed a permit too.
    permitted: Vec<Permitted>,
    client: Client,
    ended: Arc<AtomicBool>,
}

/// An act that was permitted, and who had approved it.
#[derive(Debug)]
pub(super) struct Permitted {
    pub(super) request: Request,
    pub(super) approved: Approved,
    /// Bytes pass that nobody looks into.
    pub(super) passes: bool,
}

/// A connection's place among the open ones; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Place {
    live: Arc<Live>,
    key: u64,
    ended: Arc<AtomicBool>,
}

impl Client {
    /// The broker itself, behind which there is no process of a world.
    pub(super) fn ourselves() -> Client {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let process = Arc::new(OnceCell::new_with(Some(None)));
        Client { process, ..Client::at(Ends { client: nowhere, target: nowhere }) }
    }

    pub(super) fn at(ends: Ends) -> Client {
        Client { ends, process: Arc::default(), task: Arc::default() }
    }

    /// Tells the task that serves this client; once.
    pub(super) fn served_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }
}

impl Live {
    /// Enters a connection that is about to be made.
    pub(super) fn enter(self: &Arc<Live>, permit: &Permit, client: &Client) -> Place {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let ended = Arc::new(AtomicBool::new(false));
        let (permitted, client) = (vec![Permitted::by(permit)], client.clone());
        self.lock().insert(key, Open { permitted, client, ended: Arc::clone(&ended) });
        Place { live: Arc::clone(self), key, ended }
    }

    /// Ends the connections of which not everything is `still` permitted; returns what they led to.
    pub(super) fn end_unless(&self, still: impl Fn(&Permitted) -> bool) -> Vec<String> {
        let mut lost = Vec::new();
        for open in self.lock().values().filter(|open| !open.permitted.iter().all(&still)) {
            open.ended.store(true, Ordering::Release);
            let resource = open.permitted.first().map(|it| it.request.act.resource());
            lost.push((resource, open.client.clone()));
        }
        // Only now: what ends gives its place up, and that takes the lock.
        for (_, client) in &lost {
            if let Some(task) = client.task.get() {
                task.abort();
            }
        }
        lost.into_iter().filter_map(|(resource, _)| resource).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permitted {
    fn by(permit: &Permit) -> Permitted {
        let (request, approved) = (permit.request().clone(), permit.approved().clone());
        Permitted { request, approved, passes: false }
    }
}

impl Place {
    /// Something more was permitted for the same connection.
    pub(super) fn also(&self, permit: &Permit) {
        if let Some(open) = self.live.lock().get_mut(&self.key) {
            open.permitted.push(Permitted::by(permit));
        }
    }

    /// From now on bytes pass that nobody looks into.
    pub(super) fn passes(&self) {
        if let Some(open) = self.live.lock().get_mut(&self.key)
            && let Some(first) = open.permitted.first_mut()
        {
            first.passes = true;
        }
    }

    /// Says whether the connection has lost its permit, also when this place is gone.
    pub(super) fn end(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// Whether the connection lost its permit.
    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.live.lock().remove(&self.key);
    }
}
