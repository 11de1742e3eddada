//! Of which revision a request of the client is, and what its client can do.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::frame::{INVALID_PARAMS, Members, Message, UNSUPPORTED_REVISION, quoted, string};
use super::super::revision::Revision;

/// Keys of `_meta` in requests of 2026-07-28.
pub(super) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(super) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(super) const INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(super) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// In results.
pub(super) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// In notifications.
pub(super) const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a server may ask of a client.
pub(super) const SAMPLING: &str = "sampling/createMessage";
pub(super) const ELICITATION: &str = "elicitation/create";
pub(super) const ROOTS: &str = "roots/list";

/// Severities of what servers log, the least first.
const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// How severe something is that a server logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(usize);

impl Level {
    pub(super) fn read(raw: &str) -> Option<Level> {
        let text = string(raw)?;
        LEVELS.iter().position(|level| *level == text).map(Level)
    }

    pub(super) fn name(self) -> &'static str {
        LEVELS.get(self.0).copied().unwrap_or("debug")
    }
}

/// Who asks: somebody in a session that `initialize` began, or a request that stands for itself.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    Session,
    Modern(Arc<Facts>),
}

/// What a request of 2026-07-28 says of its client.
#[derive(Debug)]
pub(super) struct Facts {
    /// What it can do, as it stands.
    pub(super) capabilities: String,
    /// Who it is, as it stands.
    pub(super) info: Option<String>,
    pub(super) log_level: Option<Level>,
    can: Value,
}

impl Facts {
    pub(super) fn can(&self, method: &str, params: &Value) -> bool {
        can(&self.can, method, params)
    }
}

/// Whether a client with these capabilities can be asked this.
pub(super) fn can(capabilities: &Value, method: &str, params: &Value) -> bool {
    match method {
        SAMPLING => capabilities.get("sampling").is_some(),
        ROOTS => capabilities.get("roots").is_some(),
        ELICITATION => capabilities.get("elicitation").is_some_and(|modes| {
            let has_any = modes.as_object().is_some_and(|modes| !modes.is_empty());
            match params.get("mode").and_then(Value::as_str) {
                // Without a mode it is a form, and who names no mode can do these.
                None | Some("form") => !has_any || modes.get("form").is_some(),
                Some(mode) => modes.get(mode).is_some(),
            }
        }),
        _ => false,
    }
}

/// Why a request is of no revision, as the answer to it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: i64,
    pub(super) message: String,
    /// JSON.
    pub(super) data: Option<String>,
}

/// What a request says of itself; `None` where it says nothing, as those in sessions.
pub(super) fn of(params: Option<&str>) -> Result<Option<Arc<Facts>>, Refused> {
    let meta = params.and_then(Members::of).and_then(|all| all.get("_meta"));
    let Some(meta) = meta.and_then(Members::of) else { return Ok(None) };
    let wrong = |message: &str| {
        Err(Refused { code: INVALID_PARAMS, message: message.to_owned(), data: None })
    };
    let Some(version) = meta.get(VERSION) else {
        if meta.get(CAPABILITIES).is_some() {
            return wrong("`_meta` does not say which revision the request is of");
        }
        return Ok(None);
    };
    let Some(version) = string(version) else { return wrong("the revision is no text") };
    if version.parse() != Ok(Revision::V2026_07_28) {
        let data = json!({"supported": supported(), "requested": version});
        let message = "Unsupported protocol version".to_owned();
        let data = Some(data.to_string());
        return Err(Refused { code: UNSUPPORTED_REVISION, message, data });
    }
    let capabilities = meta.get(CAPABILITIES).filter(|raw| raw.starts_with('{'));
    let Some(capabilities) = capabilities else {
        return wrong("`_meta` does not say what the client can do");
    };
    let info = meta.get(INFO);
    if info.is_some_and(|raw| !raw.starts_with('{')) {
        return wrong("`_meta` does not say who the client is");
    }
    let log_level = match meta.get(LOG_LEVEL).map(Level::read) {
        Some(None) => return wrong("there is no such level of logging"),
        Some(level) => level,
        None => None,
    };
    Ok(Some(Arc::new(Facts {
        capabilities: capabilities.to_owned(),
        info: info.map(str::to_owned),
        log_level,
        can: serde_json::from_str(capabilities).unwrap_or_default(),
    })))
}

/// The revisions that a client may choose from, the newest first.
pub(super) fn supported() -> Vec<&'static str> {
    Revision::ALL.into_iter().rev().map(Revision::name).collect()
}

/// What asks in our name where a client has not said who it is.
pub(super) fn own_info() -> String {
    format!(r#"{{"name":"ringfence","version":{}}}"#, quoted(env!("CARGO_PKG_VERSION")))
}

/// The `progressToken` of a request, as it stands.
pub(super) fn progress_token(
    message: &Message,
    params: Option<&std::ops::Range<usize>>,
) -> Option<String> {
    let meta = Members::of(Members::of(message.part(params?))?.get("_meta")?)?;
    let token = super::Id::read(meta.get("progressToken")?)?;
    Some(token.json().to_owned())
}
