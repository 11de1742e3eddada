//! What a tool takes, where a call was refused for an argument that it does not have.

use std::path::Path;

use ringfence_core::{FactType, Fields, ToolName};
use ringfence_policy::nearest_word;
use ringfence_runtime::wording::printable;

use super::in_force;

/// Most arguments that are named; `ringfence mcp inspect` has all.
const NAMED_MAX: usize = 20;

/// The arguments that a tool has beside one that it has not, of which `why` speaks; the one most like it first.
pub(super) fn known(tool: &ToolName, why: &str, cwd: &Path) -> Option<String> {
    let (before, _) = why.split_once("` is no argument of this tool")?;
    let (_, unknown) = before.rsplit_once('`')?;
    let found = in_force::quietly_in(cwd, &[]).ok()??;
    let fields = found.servers.get(tool.server())?.schema(tool.tool())?.fields();
    let (around, last) = unknown.rsplit_once('.').unwrap_or(("", unknown));
    let fields = around.split('.').filter(|it| !it.is_empty()).try_fold(fields, within)?;
    let near = nearest_word(last, fields.keys().map(String::as_str));
    let others = fields.keys().map(String::as_str).filter(|it| Some(*it) != near);
    let all: Vec<String> =
        near.into_iter().chain(others).map(|it| format!("`{}`", printable(it))).collect();
    if all.is_empty() {
        return Some(format!("`{tool}` takes no arguments"));
    }
    let more = match all.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more (`ringfence mcp inspect {}`)", tool.server()),
    };
    let named = all.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let place =
        if around.is_empty() { String::new() } else { format!(" in `{}`", printable(around)) };
    Some(format!("`{tool}` takes{place}: {named}{more}"))
}

/// The members of one argument, or of each of several.
fn within<'a>(fields: &'a Fields, name: &str) -> Option<&'a Fields> {
    let mut kind = &fields.get(name)?.kind;
    while let FactType::Set(each) = kind {
        kind = each;
    }
    match kind {
        FactType::Record(fields) => Some(fields),
        FactType::Bool | FactType::Long | FactType::Decimal | FactType::Text | FactType::Set(_) => {
            None
        }
    }
}
