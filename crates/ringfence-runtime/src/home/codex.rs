//! Codex: its state survives runs, its configuration is a copy in which its own sandbox, which
//! cannot be nested in ours, is off.

use super::{Home, agent_dir, cover};
use crate::compose::{ComposeError, Layout, Private, Use};
use crate::whole_file::{self, Links};

/// What in `~/.codex` names programs.
const RUNS_CODE: &[(&str, &[u8])] = &[
    ("prompts", b""),
    ("rules", b""),
    ("skills", b""),
    ("hooks.json", b"{}\n"),
    ("AGENTS.md", b"\n"),
];

/// The setting that turns Codex's own sandbox off: this world is its sandbox.
const NO_SANDBOX: &str = "sandbox_mode = \"danger-full-access\"\n";

pub(super) fn furnish(
    home: &Home<'_>,
    layout: &mut Layout,
    private: &Private,
) -> Result<(), ComposeError> {
    let dir = agent_dir(home, "CODEX_HOME", ".codex");
    if !layout.is_writable(&dir) {
        return Ok(());
    }
    cover(&dir, RUNS_CODE, (&mut *layout, private))?;
    let host = dir.join("config.toml");
    let text = whole_file::read_text(&host, Links::Follow)?.map_or(String::new(), |file| file.text);
    let copy = private.copy("config.toml", without_sandbox(&text).as_bytes())?;
    layout.bind_private(&copy.dir_in_world, &copy.dir, Use::Write);
    layout.bind_private(&host, &copy.link, Use::Read);
    Ok(())
}

/// The configuration with its own sandbox off. What the text says of it at its top level goes;
/// tables begin below.
pub(super) fn without_sandbox(text: &str) -> String {
    let mut result = String::from(NO_SANDBOX);
    let mut at_top = true;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_start();
        at_top &= !bare.starts_with('[');
        let key = bare.split('=').next().unwrap_or("").trim();
        if !(at_top && matches!(key, "sandbox_mode" | "\"sandbox_mode\"")) {
            result.push_str(line);
        }
    }
    result
}
