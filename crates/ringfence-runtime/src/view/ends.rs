//! How what is in a view ends and adds up.

use ringfence_core::{AbsolutePath, FileChange, FileRead, Outcome, Usage};

use super::{
    CallView, ConnectionView, FileReads, FsChanges, NetworkActivity, RequestView, ResourceUsage,
};

impl From<Usage> for ResourceUsage {
    fn from(usage: Usage) -> ResourceUsage {
        let Usage { cpu_time_ms, peak_memory_mb, disk_read_bytes, disk_write_bytes, sampled } =
            usage;
        ResourceUsage { cpu_time_ms, peak_memory_mb, disk_read_bytes, disk_write_bytes, sampled }
    }
}

impl ConnectionView {
    /// One that was decided, or let in, by this entry.
    pub(super) fn begun((entry, at_ms): (u64, u64), endpoint: String) -> ConnectionView {
        ConnectionView {
            endpoint,
            at_ms,
            address: None,
            bytes_sent: None,
            bytes_received: None,
            duration_ms: None,
            carried: None,
            error: None,
            entry,
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Connection(usage) => {
                self.address = usage.address;
                self.bytes_sent = Some(usage.bytes_sent);
                self.bytes_received = Some(usage.bytes_received);
                self.duration_ms = Some(usage.duration_ms);
                self.carried = usage.carried;
                self.error = usage.error;
            }
            Outcome::Failed { error } | Outcome::Mismatch { found: error } => {
                self.error = Some(error);
            }
            Outcome::Done
            | Outcome::Request(_)
            | Outcome::Tool(_)
            | Outcome::NotMade { .. }
            | Outcome::Unknown => {}
        }
    }
}

impl NetworkActivity {
    /// Adds up what is known of its connections. Requests are part of them.
    pub(super) fn add_up(&mut self) {
        let sum = |of: fn(&ConnectionView) -> Option<u64>| {
            self.connections.iter().filter_map(of).reduce(u64::saturating_add)
        };
        (self.bytes_sent, self.bytes_received) =
            (sum(|it| it.bytes_sent), sum(|it| it.bytes_received));
    }
}

impl RequestView {
    pub(super) fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Request(usage) => {
                (self.status, self.refused) = (usage.status, usage.refused);
                self.bytes_sent = Some(usage.bytes_sent);
                self.bytes_received = Some(usage.bytes_received);
                self.duration_ms = Some(usage.duration_ms);
                self.error = usage.error;
                self.kept_back = usage.kept_back;
                (self.found, self.unlooked) = (usage.found, usage.unlooked);
            }
            Outcome::Failed { error } | Outcome::Mismatch { found: error } => {
                self.error = Some(error);
            }
            Outcome::Done
            | Outcome::Connection(_)
            | Outcome::Tool(_)
            | Outcome::NotMade { .. }
            | Outcome::Unknown => {}
        }
    }
}

impl CallView {
    pub(super) fn end(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Tool(usage) => {
                self.found = usage.found;
                self.bytes_received = Some(usage.bytes_received);
                self.duration_ms = Some(usage.duration_ms);
                self.error = usage.error;
            }
            Outcome::Failed { error } | Outcome::Mismatch { found: error } => {
                self.error = Some(error);
            }
            Outcome::NotMade { why } => self.not_made = Some(why),
            Outcome::Done | Outcome::Connection(_) | Outcome::Request(_) | Outcome::Unknown => {}
        }
    }
}

impl FileReads {
    /// Whether nothing was opened, or nobody asked.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.unlisted == 0
    }

    pub(super) fn add(&mut self, files: Vec<FileRead>, unlisted: u64) {
        self.unlisted = self.unlisted.saturating_add(unlisted);
        for file in files {
            match self.files.binary_search_by(|known| known.path.cmp(&file.path)) {
                Ok(at) => {
                    if let Some(known) = self.files.get_mut(at) {
                        known.times = known.times.saturating_add(file.times);
                    }
                }
                Err(at) => self.files.insert(at, file),
            }
        }
    }
}

impl FsChanges {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.modified.is_empty() && self.deleted.is_empty()
    }

    pub(super) fn add(&mut self, change: FileChange, path: AbsolutePath) {
        let list = match change {
            FileChange::Created => &mut self.created,
            FileChange::Modified if self.created.binary_search(&path).is_ok() => return,
            FileChange::Modified => &mut self.modified,
            FileChange::Deleted => &mut self.deleted,
        };
        if let Err(place) = list.binary_search(&path) {
            list.insert(place, path);
        }
    }
}
