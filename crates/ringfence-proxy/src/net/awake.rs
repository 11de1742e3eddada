//! Keeps the gate's thread awake for a moment after bytes have passed.
//!
//! The kernel takes tens of microseconds to wake a thread, and a request through the gate waits for
//! that four times instead of twice. Who answers soon is therefore waited for awake, but only while
//! that has mostly been worth it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long the thread stays awake after bytes have passed, in microseconds.
const AWAKE_US: u64 = 100;
/// How often it may wait in vain before it does no longer.
const LUCK_MAX: u32 = 8;
/// Then only every so many times that bytes pass, to see whether that has changed.
const RETRY_EVERY: u32 = 32;

thread_local! {
    static PULSE: Arc<Pulse> = Arc::default();
}

/// What one thread has passed.
#[derive(Default)]
struct Pulse {
    beats: AtomicU64,
    asleep: AtomicBool,
    wake: Notify,
}

/// Bytes have passed, and more may soon.
pub(crate) fn beat() {
    PULSE.with(|pulse| {
        pulse.beats.fetch_add(1, Ordering::Relaxed);
        if pulse.asleep.load(Ordering::Relaxed) {
            pulse.asleep.store(false, Ordering::Relaxed);
            pulse.wake.notify_one();
        }
    });
}

/// The same where bytes have passed, or will not any more.
pub(super) fn beat_when<T>(polled: Poll<T>) -> Poll<T> {
    if polled.is_ready() {
        beat();
    }
    polled
}

/// Keeps the thread that calls it awake as long as it is polled; never ends.
pub(crate) fn stay() -> impl Future<Output = ()> {
    let pulse = PULSE.with(Arc::clone);
    async move {
        let processors = std::thread::available_parallelism();
        if processors.is_ok_and(|processors| processors.get() == 1) {
            // Who is waited for could not run meanwhile.
            return std::future::pending().await;
        }
        let (mut luck, mut skipped) = (LUCK_MAX, 0);
        loop {
            pulse.asleep.store(true, Ordering::Relaxed);
            pulse.wake.notified().await;
            if luck == 0 && skipped < RETRY_EVERY {
                skipped = skipped.saturating_add(1);
                continue;
            }
            skipped = 0;
            let successes = pulse.wait().await;
            luck = luck.saturating_add(successes).min(LUCK_MAX).saturating_sub(1);
        }
    }
}

impl Pulse {
    /// Waits awake until nothing has passed for a moment; returns how often something did in time.
    async fn wait(&self) -> u32 {
        let mut successes: u32 = 0;
        let (mut seen, mut since) = (self.beats.load(Ordering::Relaxed), Instant::now());
        loop {
            tokio::task::yield_now().await;
            let beats = self.beats.load(Ordering::Relaxed);
            if beats != seen {
                (seen, since) = (beats, Instant::now());
                successes = successes.saturating_add(1);
            } else if since.elapsed() > Duration::from_micros(AWAKE_US) {
                return successes;
            }
        }
    }
}
