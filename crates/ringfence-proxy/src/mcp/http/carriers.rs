//! The thread on which sessions with servers behind addresses are carried.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::remote::{Say, Server, carry};
use crate::net::{WAITS_MAX, awake};

/// Messages that may wait until a server is sent them.
const WAITING_MAX: usize = 1_024;

/// Their bytes; a server that leaves as many is given up.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long the end of a session is waited for.
const END_WAIT: Duration = Duration::from_secs(3);

/// A thread that carries sessions; dropping it ends them.
pub struct Carriers {
    handle: Handle,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A session with a server that is carried.
pub struct Carried {
    to: Option<mpsc::Sender<String>>,
    /// Bytes of messages that were not sent yet.
    waiting: Arc<AtomicUsize>,
    task: AbortHandle,
    ended: Receiver<()>,
}

/// The server takes no message any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server takes no message any more")]
pub struct NotTaken;

impl Carriers {
    /// Starts the thread.
    pub fn start() -> io::Result<Carriers> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(WAITS_MAX)
            .thread_name("mcp-http-wait")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, mut stopped) = watch::channel(());
        let thread = std::thread::Builder::new().name("mcp-http".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = awake::stay() => {}
                    () = async { while stopped.changed().await.is_ok() {} } => {}
                }
            });
            // A lookup may still be waiting; nobody waits for its answer any more.
            runtime.shutdown_background();
        })?;
        Ok(Carriers { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// The thread, for what else is done on it.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Carries a session with a server, which says what it says to `say`.
    pub fn carry(&self, server: Server, say: Arc<Say>) -> Carried {
        let (to, messages) = mpsc::channel::<String>(WAITING_MAX);
        let waiting = Arc::<AtomicUsize>::default();
        let (ends, ended) = sync_channel::<()>(0);
        let counted = Arc::clone(&waiting);
        let task = self.handle.spawn(async move {
            carry(server, (messages, counted), say).await;
            drop(ends);
        });
        Carried { to: Some(to), waiting, task: task.abort_handle(), ended }
    }
}

impl Drop for Carriers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the sessions as well.
            let _ = thread.join();
        }
    }
}

impl Carried {
    /// Sends a message.
    pub fn send(&self, message: String) -> Result<(), NotTaken> {
        let bytes = message.len();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before > 0 && before.saturating_add(bytes) > WAITING_BYTES_MAX {
            return Err(NotTaken);
        }
        self.to.as_ref().ok_or(NotTaken)?.try_send(message).map_err(|_| NotTaken)
    }

    /// Nothing more is sent, which ends the session.
    pub fn close(&mut self) {
        self.to = None;
    }

    /// Waits until the session has ended, and sees to it.
    pub fn end(mut self) {
        self.close();
        let _ = self.ended.recv_timeout(END_WAIT);
        self.task.abort();
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.task.abort();
    }
}
