//! How a talk speaks to its client.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::voice::{Unsaid, Voice};
use super::Serving;

/// How long is waited until a client that reads slowly is looked at again.
const CLIENT_LOOK: Duration = Duration::from_millis(2);

/// A client that speaks in lines.
pub(in super::super) struct Client {
    pub(in super::super) from: OwnedFd,
    /// What was read of it already.
    pub(in super::super) read: Vec<u8>,
    pub(in super::super) to: OwnedFd,
}

/// How something is said to the client.
pub(in super::super) enum ToClient {
    /// In lines.
    Lines(Voice),
    /// By this, on a stream, which is 0 for the client at large; what it gives back has to wait until the client has read what came before.
    Elsewhere(Box<dyn Fn(u64, String) -> Result<(), String> + Send>),
}

/// Whether who carries a talk on may wait for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    Waits,
    /// It has other things to do: what is not said is kept, and nothing more is heard until it is.
    Leaves,
}

impl Serving {
    /// Waits until the client has read enough of what came before, or the talk ends.
    pub(super) fn tell_client(&mut self, stream: u64, text: String) {
        let ends = || self.stopper.ends.load(Ordering::Acquire);
        match &mut self.client {
            ToClient::Lines(voice) => {
                let mut said = voice.say(text);
                // Whoever is gone is heard of.
                while let Err(Unsaid::Full(line)) = said {
                    if ends() {
                        return;
                    }
                    std::thread::sleep(CLIENT_LOOK);
                    said = voice.line(line);
                }
            }
            ToClient::Elsewhere(_) => {
                self.unsaid.push_back((stream, text));
                self.say_unsaid();
            }
        }
    }

    /// Says what the client had no room for, and waits for that where there is time.
    pub(super) fn say_unsaid(&mut self) {
        let ToClient::Elsewhere(give) = &self.client else { return };
        while let Some((stream, text)) = self.unsaid.pop_front() {
            let Err(text) = give(stream, text) else { continue };
            self.unsaid.push_front((stream, text));
            if self.patience == Patience::Leaves || self.stopper.ends.load(Ordering::Acquire) {
                return;
            }
            std::thread::sleep(CLIENT_LOOK);
        }
    }
}
