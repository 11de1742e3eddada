//! Claude Code: its state survives runs, and what it runs code from is read-only.

use std::path::Path;

use ringfence_sandbox::world::PrivateFile;
use serde_json::{Map, Value};

use super::{Home, agent_dir, cover};
use crate::compose::{ComposeError, Layout, Private};
use crate::quarantine::{After, ClaudeCopy};
use crate::whole_file::{self, Links};

/// What in `~/.claude` names programs; where absent, what stands in its place.
const RUNS_CODE: &[(&str, &[u8])] = &[
    ("settings.json", b"{}\n"),
    ("settings.local.json", b"{}\n"),
    ("hooks", b""),
    ("agents", b""),
    ("commands", b""),
    ("skills", b""),
    ("plugins", b""),
    ("output-styles", b""),
    ("CLAUDE.md", b"\n"),
];

/// Keys of `~/.claude.json`, at any depth, whose changes by an agent stay behind: they name
/// programs, or say what may be run without asking.
const STAYS: &[&str] = &[
    "allowedTools",
    "apiKeyHelper",
    "autoUpdates",
    "awsAuthRefresh",
    "awsCredentialExport",
    "bypassPermissionsModeAccepted",
    "command",
    "customApiKeyResponses",
    "disabledMcpServers",
    "disabledMcpjsonServers",
    "enableAllProjectMcpServers",
    "enabledMcpServers",
    "enabledMcpjsonServers",
    "env",
    "hasClaudeMdExternalIncludesApproved",
    "hasTrustDialogAccepted",
    "hasTrustDialogHooksAccepted",
    "hooks",
    "mcpContextUris",
    "mcpServers",
    "permissions",
    "statusLine",
];

/// Deepest object that is merged key by key; what is deeper is taken or left as a whole.
const MERGE_DEPTH_MAX: usize = 8;

/// Managed settings with a hook that shows the model what was denied: its commands have a file as
/// stderr, into which no reason is written. They apply besides the person's, and are not the
/// agent's to change.
pub(super) fn managed() -> Vec<PrivateFile> {
    let file = |name: &str, bytes: &[u8], mode| PrivateFile {
        target: Path::new("/etc/claude-code").join(name),
        bytes: bytes.to_vec(),
        mode,
    };
    vec![
        file("managed-settings.d/50-ringfence.json", include_bytes!("claude/managed.json"), 0o644),
        file("ringfence-denials", include_bytes!("claude/denials.sh"), 0o755),
    ]
}

pub(super) fn furnish(
    home: &Home<'_>,
    layout: &mut Layout,
    private: &Private,
    after: &mut After,
) -> Result<(), ComposeError> {
    let dir = agent_dir(home, "CLAUDE_CONFIG_DIR", ".claude");
    cover(&dir, RUNS_CODE, (&mut *layout, private))?;
    // With the variable set the file lies in that directory, which is bound as it is.
    if home.environment.path("CLAUDE_CONFIG_DIR").is_some() {
        return Ok(());
    }
    // The agent has no state of its own unless the policy gives it its directory.
    if !layout.is_writable(&dir) || layout.root_above(home.dir).is_some() {
        return Ok(());
    }
    let host = home.dir.join(".claude.json");
    let copy = private.home().join(".claude.json");
    let base = whole_file::read_text(&host, Links::Follow)?.map(|file| file.text);
    if let Some(text) = &base {
        private.write(&copy, text.as_bytes(), 0o600)?;
    }
    after.take_back_claude(ClaudeCopy {
        host,
        copy,
        base: base.unwrap_or_else(|| "{}".to_owned()),
    });
    Ok(())
}

/// The host's file with what the agent changed in its copy, without keys that run code. `None` when
/// there is nothing to take, or a text is not an object.
pub(crate) fn merge(base: &str, copy: &str, host: &str) -> Option<String> {
    let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    let (base, copy, mut result) = (parse(base)?, parse(copy)?, parse(host)?);
    let before = result.clone();
    take(&base, &copy, &mut result, MERGE_DEPTH_MAX);
    (result != before).then(|| serde_json::to_string_pretty(&result).ok())?
}

fn take(
    base: &Map<String, Value>,
    copy: &Map<String, Value>,
    result: &mut Map<String, Value>,
    depth: usize,
) {
    for (key, value) in copy {
        let was = base.get(key);
        if was == Some(value) || STAYS.contains(&key.as_str()) {
            continue;
        }
        match (value, depth) {
            (Value::Object(inner), 1..) => {
                let empty = Map::new();
                let was = was.and_then(Value::as_object).unwrap_or(&empty);
                let slot = result.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(into) = slot {
                    take(was, inner, into, depth - 1);
                } else if !runs_code(value) {
                    *slot = value.clone();
                }
            }
            _ if runs_code(value) => {}
            _ => {
                result.insert(key.clone(), value.clone());
            }
        }
    }
    for key in base.keys().filter(|key| !copy.contains_key(*key)) {
        if !STAYS.contains(&key.as_str()) && result.get(key) == base.get(key) {
            result.remove(key);
        }
    }
}

/// Whether a value names a program anywhere in it.
fn runs_code(value: &Value) -> bool {
    match value {
        Value::Object(object) => {
            object.iter().any(|(key, inner)| STAYS.contains(&key.as_str()) || runs_code(inner))
        }
        Value::Array(values) => values.iter().any(runs_code),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
