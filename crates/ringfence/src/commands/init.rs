//! `init`: a first policy for this project, and what to run next.

use std::io::IsTerminal as _;
use std::path::Path;

use ringfence_runtime::init::{Answer, Existing, InitError, InitRequest, init as write};
use ringfence_runtime::settings::ProfileName;
use ringfence_runtime::wording::printable;

use super::{context, in_force};
use crate::cli::{AgentKind, InitArgs};
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::screen::Screen;

pub(crate) fn init(args: &InitArgs, screen: &Screen) -> Result<Done, Failure> {
    let environment = context::environment();
    prompt::outside_only(&environment, "no policy can be written")?;
    let dirs = context::dirs()?;
    dirs.create()?;
    let existing = match (args.force, std::io::stdin().is_terminal()) {
        (true, _) => Existing::Replace,
        (false, true) => Existing::Ask(&ask),
        (false, false) => Existing::Keep,
    };
    let request = InitRequest {
        dir: &context::current_dir()?,
        profile: args.agent.map(profile),
        environment: &environment,
        existing,
        now_ms: context::now_ms(),
    };
    let written = write(&request, &dirs)?;
    for file in &written.files {
        screen.note(&format!("written and trusted: {}", printable(&file.display().to_string())));
    }
    written.notices.iter().for_each(|notice| in_force::notify(notice, screen));
    let command = match written.profile {
        ProfileName::ClaudeCode => "claude",
        ProfileName::Codex => "codex",
        ProfileName::Generic => "CMD",
    };
    screen.hint("to see what it allows, run `ringfence policy plan`");
    screen.hint(&format!("to start the agent under it, run `ringfence run -- {command}`"));
    Ok(Done::Yes)
}

fn profile(kind: AgentKind) -> ProfileName {
    match kind {
        AgentKind::ClaudeCode => ProfileName::ClaudeCode,
        AgentKind::Codex => ProfileName::Codex,
        AgentKind::Generic => ProfileName::Generic,
    }
}

fn ask(path: &Path) -> Answer {
    let question = format!("replace {}?", printable(&path.display().to_string()));
    match prompt::consent(&question, "to replace it, run `ringfence init --force`") {
        Ok(Consent::Given) => Answer::Replace,
        // Nothing defaults to yes, least of all an answer that could not be read.
        Ok(Consent::Refused) | Err(_) => Answer::Keep,
    }
}

impl From<InitError> for Failure {
    fn from(error: InitError) -> Failure {
        let message = Message::new(error.to_string());
        error.hint().into_iter().fold(message, Message::hint).could_not()
    }
}
