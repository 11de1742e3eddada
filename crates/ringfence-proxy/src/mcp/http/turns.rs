//! How much of the one thread, on which all clients and servers over HTTP are carried, a peer takes before others have
//! their turn: what is small is done there, what is large is read elsewhere, and no peer is ahead of others for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, Semaphore};
use tokio::task::{spawn_blocking, yield_now};

use super::super::frame::{Frame, Malformed};

/// Longest message that is read on the thread that carries all, in bytes: that is no work to speak of.
pub(super) const LIGHT_BYTES_MAX: usize = 64 * 1024;

/// How much of a peer is carried until others have their turn, in bytes.
const TURN_BYTES: usize = 64 * 1024;

/// What a message counts at least: deciding about it is the same work however short it is.
const MESSAGE_BYTES_MIN: usize = 4 * 1024;

/// How many bytes that are only moved count as one that is read.
const MOVED_PER_READ: usize = 8;

/// Bytes of events that have not ended, and of answers that are no events and were not read yet, of one server together.
const UNENDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The turns of one peer.
#[derive(Debug)]
pub(super) struct Turns {
    /// What it has had of this one. Whoever holds this has the turn; all else of the peer waits for it.
    spent: Mutex<usize>,
    /// One large message is read at a time.
    large: Arc<Semaphore>,
    unended: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Turns {
        let (spent, unended) = (Mutex::default(), AtomicUsize::new(0));
        Turns { spent, large: Arc::new(Semaphore::new(1)), unended }
    }
}

/// What is no message, given back.
pub(super) type Unread = (Vec<u8>, Malformed);

impl Turns {
    /// Does this for the peer, which takes as long as reading so many bytes, and lets others go on where it has had enough.
    pub(super) async fn take<T>(&self, bytes: usize, does: impl FnOnce() -> T) -> T {
        let mut spent = self.spent.lock().await;
        let done = does();
        // What is longer is done elsewhere.
        let bytes = bytes.clamp(MESSAGE_BYTES_MIN, LIGHT_BYTES_MAX);
        spend(&mut spent, bytes).await;
        done
    }

    /// Bytes of the peer have been moved.
    pub(super) async fn moved(&self, bytes: usize) {
        let bytes = bytes / MOVED_PER_READ;
        if bytes > 0 {
            spend(&mut *self.spent.lock().await, bytes).await;
        }
    }

    /// Reads messages, on another thread where that takes its time; nothing where there is no thread any more.
    pub(super) async fn read(&self, bytes: Vec<u8>) -> Option<Result<Frame, Unread>> {
        self.over(bytes.len(), move || read(bytes)).await
    }

    /// Does something with so many bytes of messages, on another thread where that takes its time; nothing where there is
    /// no thread any more.
    pub(super) async fn over<T: Send + 'static>(
        &self,
        bytes: usize,
        does: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if bytes <= LIGHT_BYTES_MAX {
            return Some(does());
        }
        let one = Arc::clone(&self.large).acquire_owned().await.ok()?;
        let doing = spawn_blocking(move || {
            // Also where nobody waits for it any more, it is one at a time.
            let _one = one;
            does()
        });
        doing.await.ok()
    }

    /// What is kept of a stream until its events end.
    pub(super) fn unended(&self) -> Unended<'_> {
        Unended { of: self, bytes: 0 }
    }
}

/// Holding the turn, so that of each peer one goes on at a time.
async fn spend(spent: &mut usize, bytes: usize) {
    *spent = spent.saturating_add(bytes);
    if *spent >= TURN_BYTES {
        *spent = 0;
        yield_now().await;
    }
}

fn read(bytes: Vec<u8>) -> Result<Frame, Unread> {
    Frame::parse(bytes.clone()).map_err(|wrong| (bytes, wrong))
}

/// Bytes of one stream whose events have not ended.
pub(super) struct Unended<'a> {
    of: &'a Turns,
    bytes: usize,
}

/// The answers of a server keep more than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server begins more than it ends: its answers are more than {UNENDED_BYTES_MAX} bytes together"
)]
pub(super) struct TooMuch;

impl Unended<'_> {
    /// So many are kept now.
    pub(super) fn are(&mut self, bytes: usize) -> Result<(), TooMuch> {
        let all = self.of.unended.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.of.unended.fetch_sub(before, Ordering::Relaxed);
        if all.saturating_sub(before) > UNENDED_BYTES_MAX { Err(TooMuch) } else { Ok(()) }
    }
}

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        self.of.unended.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
