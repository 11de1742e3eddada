//! The user's terminal while every key is the world's.

use std::io;

use super::jobs::is_in_foreground;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// The user's terminal in raw mode, as it was before again when dropped, if it is still ours then: a
/// shell that took it meanwhile has set it for itself.
pub(super) struct RawMode {
    before: Termios,
}

impl RawMode {
    pub(super) fn set() -> io::Result<RawMode> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Drain, &raw)?;
        Ok(RawMode { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let stdin = rustix::stdio::stdin();
        if is_in_foreground(stdin) {
            let _ = tcsetattr(stdin, OptionalActions::Drain, &self.before);
        }
    }
}
