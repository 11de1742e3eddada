//! Files that were handed in and that this process still has open itself.
//!
//! Whoever gets a file runs on at once, and may have written and closed it before the thread that
//! handed it in has closed it too. A program in that file could not be started then (`ETXTBSY`), so
//! that no start goes on before.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for others to close what they handed in: they have nothing else left to do.
const CLOSE_WAIT: Duration = Duration::from_millis(200);

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct Handing(AtomicUsize);

/// A file that is about to be handed in; closed when this is dropped.
#[derive(Debug)]
pub(super) struct Handed<'a> {
    file: Option<OwnedFd>,
    handing: &'a Handing,
}

impl Handing {
    /// To be held until it was handed in.
    pub(super) fn begin(&self, file: OwnedFd) -> Handed<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Handed { file: Some(file), handing: self }
    }

    /// Waits until all are closed; after a time in which others handed in more and more, no longer.
    pub(super) fn wait(&self) {
        if self.0.load(Ordering::SeqCst) == 0 {
            return;
        }
        let until = Instant::now() + CLOSE_WAIT;
        while self.0.load(Ordering::SeqCst) > 0 && Instant::now() < until {
            thread::yield_now();
        }
    }
}

impl Handed<'_> {
    pub(super) fn file(&self) -> Option<&OwnedFd> {
        self.file.as_ref()
    }
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        drop(self.file.take());
        self.handing.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::Handing;

    #[test]
    fn who_starts_a_program_waits_for_those_who_still_hold_a_file() {
        let handing = Arc::new(Handing::default());
        handing.wait();
        let at_its_end = Arc::new(AtomicBool::new(false));
        let (begun, is_held) = sync_channel(0);
        let (of_thread, told) = (Arc::clone(&handing), Arc::clone(&at_its_end));
        let thread = std::thread::spawn(move || {
            let _handed = of_thread.begin(File::open("/dev/null").unwrap().into());
            begun.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            told.store(true, Ordering::SeqCst);
        });
        is_held.recv().unwrap();
        handing.wait();
        assert!(at_its_end.load(Ordering::SeqCst));
        thread.join().unwrap();
    }
}
