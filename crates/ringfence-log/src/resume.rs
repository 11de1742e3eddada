//! Where the host log can be read on from, without reading what was signed before.
//!
//! A note signed by the host key: how many entries stand before that place, where it is in the
//! segment, and the tree over them, as the roots of its perfect subtrees. Without the key nobody
//! can move the place, and whoever reads on from it still arrives at the root of the checkpoint or
//! refuses the log. It is derived: without it the log is read from its beginning.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::host::HOST_LOG;
use crate::key::HostKey;
use crate::note;
use crate::tree::{Hash, Tree};

/// Longest note that is read, in bytes: 64 hashes, and room.
pub(crate) const RESUME_BYTES_MAX: u64 = 8 * 1024;

/// A place in the host log behind a whole entry.
pub(crate) struct Resume {
    /// The tree over the entries before it.
    pub(crate) tree: Tree,
    /// Where it is in the segment, in bytes.
    pub(crate) offset: u64,
}

impl Resume {
    /// The signed note.
    pub(crate) fn signed(&self, key: &HostKey) -> String {
        let origin = origin(key);
        note::signed(&self.text(&origin), &origin, key)
    }

    /// Reads a note that the host key signed; `None` is no reason to distrust the log.
    pub(crate) fn verify(note: &[u8], key: &HostKey) -> Option<Resume> {
        let origin = origin(key);
        let text = note::open(note, &origin, &key.public()).ok()?;
        let mut lines = text.lines().skip(1);
        let size = lines.next()?.parse().ok()?;
        let offset = lines.next()?.parse().ok()?;
        let peaks: Option<Vec<Hash>> =
            lines.map(|line| BASE64.decode(line).ok()?.try_into().ok()).collect();
        let resume = Resume { tree: Tree::from_peaks(size, peaks?)?, offset };
        // One spelling only, and the first line with it: another log's note is none of ours.
        (resume.text(&origin) == text).then_some(resume)
    }

    fn text(&self, origin: &str) -> String {
        let mut text = format!("{origin}\n{}\n{}\n", self.tree.size(), self.offset);
        for peak in self.tree.peaks() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", BASE64.encode(peak));
        }
        text
    }
}

/// No checkpoint has this origin, so that neither note can stand for the other.
fn origin(key: &HostKey) -> String {
    key.public().origin(&format!("{HOST_LOG}/resume"))
}
