//! `policy reload`: running sessions load policy, settings and grants anew.

use ringfence_core::SessionId;
use ringfence_runtime::control::{self, Command, ControlError, Reply};
use ringfence_runtime::registration;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;

use super::context;
use crate::cli::PolicyReloadArgs;
use crate::exit::{Done, Failure, Message};
use crate::prompt;
use crate::screen::Screen;

pub(crate) fn reload(args: &PolicyReloadArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "the policy cannot be reloaded")?;
    let dirs = context::dirs()?;
    if let Some(session) = &args.session {
        return tell(&dirs, session, &Command::Reload, screen);
    }
    let running = running(&dirs)?;
    if running.is_empty() {
        screen.note("no session is running: the next one loads the policy when it starts");
    }
    let mut done = Done::Yes;
    for session in running {
        if tell(&dirs, &session, &Command::Reload, screen)? == Done::No {
            done = Done::No;
        }
    }
    Ok(done)
}

/// The sessions that run now.
pub(crate) fn running(dirs: &StateDirs) -> Result<Vec<SessionId>, Failure> {
    let found = registration::running(dirs.runtime())
        .map_err(|error| context::cannot_read(dirs.runtime(), &error))?;
    Ok(found.into_iter().map(|description| description.session).collect())
}

/// Asks one session to do something, and says what came of it; *no* when it refused.
pub(crate) fn tell(
    dirs: &StateDirs,
    session: &SessionId,
    command: &Command,
    screen: &Screen,
) -> Result<Done, Failure> {
    match control::ask(dirs.runtime(), session, command) {
        Ok(Reply::Done(lines)) => {
            let nothing = if lines.is_empty() { " nothing changes for it" } else { "" };
            screen.note(&format!("session {session}:{nothing}"));
            for line in &lines {
                screen.note(&format!("  {}", printable(line)));
            }
            Ok(Done::Yes)
        }
        Ok(Reply::Refused { why, hint }) => {
            screen.warn(&format!("session {session} refused, and goes on as before: {why}"));
            if let Some(hint) = hint {
                screen.hint(&hint);
            }
            Ok(Done::No)
        }
        Ok(Reply::Status(_) | Reply::Questions(_)) => {
            Err(Message::new(format!("session {session} gave another answer")).could_not())
        }
        Err(error @ ControlError::NotRunning { .. }) => Err(Message::new(error.to_string())
            .hint("to see which sessions run, run `ringfence sessions`")
            .could_not()),
        Err(error) => Err(Message::new(error.to_string()).could_not()),
    }
}
