//! Revisions of the protocol, in their order.

use std::fmt;
use std::str::FromStr;

use super::frame::{Id, UNSUPPORTED_REVISION};

/// A revision of MCP that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05.
    V2024_11_05,
    /// 2025-03-26: streamable HTTP, and the only one with batches.
    V2025_03_26,
    /// 2025-06-18: structured results, elicitation.
    V2025_06_18,
    /// 2025-11-25: tasks, icons, names of tools that are bounded.
    V2025_11_25,
    /// 2026-07-28: no session; every request says which revision it is of, and questions are answered by asking again.
    V2026_07_28,
}

impl Revision {
    /// Every revision, the oldest first.
    pub const ALL: [Revision; 5] = [
        Revision::V2024_11_05,
        Revision::V2025_03_26,
        Revision::V2025_06_18,
        Revision::V2025_11_25,
        Revision::V2026_07_28,
    ];

    /// The newest that begins with `initialize`.
    pub const LATEST_WITH_SESSIONS: Revision = Revision::V2025_11_25;

    /// The newest.
    pub const LATEST: Revision = Revision::V2026_07_28;

    /// As it stands in messages.
    pub fn name(self) -> &'static str {
        match self {
            Revision::V2024_11_05 => "2024-11-05",
            Revision::V2025_03_26 => "2025-03-26",
            Revision::V2025_06_18 => "2025-06-18",
            Revision::V2025_11_25 => "2025-11-25",
            Revision::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether a session of it begins with `initialize`.
    pub fn has_sessions(self) -> bool {
        self < Revision::V2026_07_28
    }

    /// Whether several messages may be sent as one array.
    pub fn has_batches(self) -> bool {
        self == Revision::V2025_03_26
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Revision {
    type Err = String;
    fn from_str(text: &str) -> Result<Revision, String> {
        Revision::ALL.into_iter().find(|it| it.name() == text).ok_or_else(|| text.to_owned())
    }
}

/// That a revision is not spoken, in words.
pub fn unspoken(requested: &str) -> String {
    format!("the revision `{requested}` is not spoken here")
}

/// An answer that says that a revision is not spoken, and which are.
pub fn unsupported_answer(id: Option<&Id>, requested: &str) -> String {
    let supported: Vec<&str> = Revision::ALL.into_iter().rev().map(Revision::name).collect();
    let data = serde_json::json!({"supported": supported, "requested": requested});
    let id = id.map_or("null", Id::json);
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{UNSUPPORTED_REVISION},"message":"Unsupported protocol version","data":{data}}}}}"#
    )
}
