//! The append-only log that proves itself: an RFC 6962 Merkle tree over a session's entries.
//!
//! [`SessionLog`] appends with group commit, [`HostLog`] records every log's opening and closing,
//! [`LogReader`] reads, [`verify_all`] finds any change to what was signed. The exact bytes are in
//! `docs/log-format.md`. Files only: no network, no clock; entries carry their own time.

mod closed;
mod commit;
mod error;
mod files;
mod host;
mod key;
mod new_log;
mod note;
mod read;
mod record;
mod resume;
mod scan;
mod seal;
mod session;
pub mod tree;
mod verify;

pub use closed::Closed;
pub use error::{LogError, Tampered, VerifyError};
pub use files::remove_unfinished;
pub use host::HostLog;
pub use key::{HostKey, PublicKey};
pub use new_log::NewLog;
pub use note::Checkpoint;
pub use read::{LogReader, Logged, ReadError};
pub use record::{ENTRY_BYTES_MAX, leaf_of};
pub use seal::seal;
pub use session::{SessionLog, Ticket};
pub use tree::Hash;
pub use verify::{
    HostLogKnows, Report, SessionReport, State, Verified, is_held, verify_all, verify_host,
    verify_session,
};

#[cfg(test)]
mod tests;
