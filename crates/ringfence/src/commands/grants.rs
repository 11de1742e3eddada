//! `grants list` and `grants revoke`: what was granted, and taking it back.

use ringfence_runtime::control::Command;
use ringfence_runtime::grants::{self, Grant, GrantError, Scope};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use serde_json::{Value, json};

use super::{context, reload};
use crate::cli::{GrantsCommand, GrantsListArgs, GrantsRevokeArgs};
use crate::exit::{Done, Failure, Message};
use crate::prompt;
use crate::render::text;
use crate::screen::Screen;

/// Version of the JSON.
pub(crate) const SCHEMA: u32 = 1;

/// Columns that a grant's name takes, with what is around it.
const TEXT_AT: usize = 10;

pub(crate) fn grants(command: &GrantsCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        GrantsCommand::List(args) => list(args, screen),
        GrantsCommand::Revoke(args) => revoke(args, screen),
    }
}

fn list(args: &GrantsListArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let now = context::now_ms();
    let kept = grants::list(&dirs)?;
    let running = reload::running(&dirs)?;
    let holds = |grant: &&Grant| {
        let over = matches!(&grant.scope, Scope::Session(id) if !running.contains(id));
        !over && grant.expires.is_none_or(|end| now < end)
    };
    let in_force: Vec<&Grant> = kept.iter().filter(holds).collect();
    if args.json {
        screen.json_lines(in_force.iter().map(|grant| as_json(grant)))?;
    } else if in_force.is_empty() {
        screen.note("nothing is granted");
    } else {
        screen.data(&render(&in_force, now, screen.room()))?;
        screen.hint("to take one back, run `ringfence grants revoke ID`");
    }
    Ok(Done::Yes)
}

/// One grant as `grants list --json` prints it.
pub(crate) fn as_json(grant: &Grant) -> Value {
    json!({
        "schema": SCHEMA,
        "id": grant.id,
        "text": grant.text,
        "scope": scope_name(&grant.scope),
        "author": grant.author,
        "created": text::rfc3339(grant.created),
        "expires": grant.expires.map(text::rfc3339),
    })
}

/// A scope as one word with what it is bound to: `session:ID`, `project:DIR`, `everywhere`.
pub(crate) fn scope_name(scope: &Scope) -> String {
    match scope {
        Scope::Session(id) => format!("session:{id}"),
        Scope::Project(dir) => format!("project:{}", dir.display()),
        Scope::Everywhere => "everywhere".to_owned(),
    }
}

fn render(kept: &[&Grant], now_ms: u64, columns: usize) -> String {
    let mut rows = vec![["id", "granted", "scope", "ends", "by"].map(str::to_owned).to_vec()];
    for grant in kept {
        let ends = match (grant.expires, &grant.scope) {
            (Some(end), _) => {
                let left = text::duration(end.saturating_sub(now_ms));
                format!("{}, in {left}", text::moment(end))
            }
            (None, Scope::Session(_)) => "with the session".to_owned(),
            (None, Scope::Project(_) | Scope::Everywhere) => "when revoked".to_owned(),
        };
        rows.push(vec![
            grant.id.clone(),
            text::fit(&grant.text, columns.saturating_sub(TEXT_AT)),
            text::fit(&grant.scope.to_string(), columns.saturating_sub(TEXT_AT)),
            ends,
            printable(&grant.author),
        ]);
    }
    text::table_within(&rows, columns)
}

fn revoke(args: &GrantsRevokeArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "grants cannot be revoked")?;
    let dirs = context::dirs()?;
    let grant = grants::revoke(&dirs, &args.id)?;
    let what = printable(&grant.text);
    if args.json {
        tell_sessions(&dirs, screen)?;
        screen.json(&json!({ "schema": SCHEMA, "revoked": as_json(&grant) }))?;
        return Ok(Done::Yes);
    }
    screen.note(&format!("revoked: {} ({what}, {})", grant.id, grant.scope));
    tell_sessions(&dirs, screen)?;
    screen.hint("to see what is still granted, run `ringfence grants list`");
    Ok(Done::Yes)
}

/// Tells every running session that grants changed, and says what came of it.
pub(crate) fn tell_sessions(dirs: &StateDirs, screen: &Screen) -> Result<(), Failure> {
    for session in reload::running(dirs)? {
        match reload::tell(dirs, &session, &Command::GrantsChanged, screen) {
            Ok(_) => {}
            // It may have ended meanwhile; the grant is kept all the same.
            Err(failure) => screen.failure(&failure),
        }
    }
    Ok(())
}

impl From<GrantError> for Failure {
    fn from(error: GrantError) -> Failure {
        let message = Message::new(error.to_string());
        match error.hint() {
            Some(hint) => message.hint(hint).could_not(),
            None => message.could_not(),
        }
    }
}
