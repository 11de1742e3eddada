//! `approve`: the questions of running sessions, answered from another terminal than theirs.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::Duration;

use ringfence_core::{EntryRef, Event, SessionId};
use ringfence_runtime::control::{self, Command, ControlError, Reply};
use ringfence_runtime::desk::{Said, Waiting};
use ringfence_runtime::registration::Description;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::{self, printable};
use serde::{Serialize, Serializer};

use super::context;
use crate::cli::ApproveArgs;
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::render::question::{self, Asked, Laid};
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// How often is looked for new questions.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// One question, as `approve --json` prints it, one per line.
#[derive(Debug, Clone, Serialize)]
struct Listed {
    schema: u32,
    #[serde(serialize_with = "as_text")]
    question: EntryRef,
    agent: String,
    text: String,
    subject: Option<String>,
    reason: String,
    wider: Option<String>,
    seconds_left: u64,
}

fn as_text<S: Serializer>(entry: &EntryRef, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(entry)
}

pub(crate) fn approve(args: &ApproveArgs, screen: &Screen) -> Result<Done, Failure> {
    prompt::outside_only(&context::environment(), "nothing can be approved")?;
    let dirs = context::dirs()?;
    if let Some(question) = &args.question {
        return one(args, question, &dirs, screen);
    }
    if args.watch {
        return watch(&dirs, screen);
    }
    let waiting = waiting(&dirs, screen)?;
    if args.json {
        screen.json_lines(&waiting)?;
    } else if waiting.is_empty() {
        screen.note("no question waits");
        screen.hint("to be asked as they come, run `ringfence approve --watch`");
    } else if prompt::can_ask() {
        for question in &waiting {
            ask(question, &dirs, screen)?;
        }
        return Ok(Done::Yes);
    } else {
        for question in &waiting {
            show(question, screen);
        }
        screen.hint("to allow one, run `ringfence approve SESSION/INDEX --yes`");
    }
    Ok(if waiting.is_empty() { Done::Yes } else { Done::Ask })
}

/// Answers the question that is named.
fn one(
    args: &ApproveArgs,
    named: &EntryRef,
    dirs: &StateDirs,
    screen: &Screen,
) -> Result<Done, Failure> {
    let said = match (args.refuse, args.for_session) {
        (true, _) => Said::Refuse,
        (false, true) => Said::AllowForSession,
        (false, false) => Said::Allow,
    };
    let found = of_session(&named.session, dirs)?.into_iter().find(|it| it.question == *named);
    let Some(question) = found else {
        return Err(Message::new(format!("no question `{named}` waits for an answer"))
            .detail("it was answered, withdrawn, or its time is over".to_owned())
            .hint("to see which wait, run `ringfence approve`")
            .no());
    };
    if said != Said::Refuse && !args.yes {
        let laid = show(&question, screen);
        if !laid.is_whole {
            screen.hint(&format!("to see all of it, run `ringfence explain {named}`"));
        }
        let flag = "to allow it without being asked, add `--yes`";
        let what = match (args.for_session, laid.offers_wider) {
            (true, true) => "grant that for this session?",
            (true, false) if question.wider.is_some() => {
                return Err(Message::new("what would be granted has no room on this screen")
                    .hint(format!("to allow it once, run `ringfence approve {named}`"))
                    .no());
            }
            (true | false, _) => "allow it once?",
        };
        let asked = again(&question, screen) + what;
        if prompt::consent(&asked, flag)? == Consent::Refused {
            return Err(Message::new("nothing was answered: the question still waits")
                .hint(format!("to refuse it, run `ringfence approve {named} --refuse`"))
                .no());
        }
    }
    answer(named, said, dirs, screen)
}

/// Asks each question once, as they come, until the person ends it.
fn watch(dirs: &StateDirs, screen: &Screen) -> Result<Done, Failure> {
    if !prompt::can_ask() {
        return Err(Message::new("there is no terminal to ask on")
            .hint("to see which questions wait, run `ringfence approve --json`")
            .could_not());
    }
    screen.note("questions of all sessions are asked here as they come; to end, press Ctrl-C");
    let mut asked = HashSet::new();
    loop {
        for question in waiting(dirs, screen)? {
            if asked.insert(question.question.clone()) {
                ask(&question, dirs, screen)?;
            }
        }
        sleep(LOOK_PERIOD);
    }
}

/// Shows a question and asks for its answer; nothing at all leaves it as it is.
fn ask(question: &Listed, dirs: &StateDirs, screen: &Screen) -> Result<(), Failure> {
    let laid = show(question, screen);
    let said = loop {
        let wider = laid.offers_wider.then_some("s = grant that for this session");
        let all = (!laid.is_whole).then_some("a = show all of it");
        let choices = ["y = allow once"].into_iter().chain(wider).chain(all);
        let choices = choices.chain(["n = refuse", "nothing = later"]);
        prompt::forget_typed();
        screen.note(&format!("  {}", choices.collect::<Vec<_>>().join(", ")));
        let line = again(question, screen);
        let typed = prompt::typed(&line, "to answer without being asked, add `--yes`")?;
        match typed.to_ascii_lowercase().as_str() {
            "y" | "yes" => break Said::Allow,
            "s" if laid.offers_wider => break Said::AllowForSession,
            "n" | "no" => break Said::Refuse,
            "a" | "all" => show_all(question, dirs, screen)?,
            _ => {
                screen.note("not answered");
                return Ok(());
            }
        }
    };
    match answer(&question.question, said, dirs, screen) {
        // The next one is another question.
        Err(Failure::No(message)) => {
            screen.failure(&Failure::No(message));
            Ok(())
        }
        other => other.map(drop),
    }
}

/// The line on which a question is answered.
fn again(question: &Listed, screen: &Screen) -> String {
    let columns = screen.asked_on().map_or(usize::MAX, |(columns, _)| columns);
    question::again(&question.question.to_string(), &question.text, columns)
}

fn answer(
    EntryRef { session, index }: &EntryRef,
    said: Said,
    dirs: &StateDirs,
    screen: &Screen,
) -> Result<Done, Failure> {
    let command = Command::Answer { question: *index, said };
    match control::ask(dirs.runtime(), session, &command) {
        Ok(Reply::Done(_)) => {
            screen.note(match said {
                Said::Allow => "allowed once",
                Said::AllowForSession => "granted for this session",
                Said::Refuse => "refused",
            });
            Ok(Done::Yes)
        }
        Ok(Reply::Refused { why, hint }) => {
            let message = Message::new(format!("nothing was answered: {}", printable(&why)));
            Err(match hint {
                Some(hint) => message.hint(printable(&hint)),
                None => message,
            }
            .no())
        }
        Ok(Reply::Status(_) | Reply::Questions(_)) => {
            Err(Message::new(format!("session {session} gave another answer")).could_not())
        }
        Err(error) => Err(Message::new(error.to_string()).could_not()),
    }
}

/// The questions of all running sessions, those that wait longest first. One that cannot be asked hides none of the
/// others'.
fn waiting(dirs: &StateDirs, screen: &Screen) -> Result<Vec<Listed>, Failure> {
    let mut all = Vec::new();
    for Description { session, .. } in context::running(dirs)? {
        match of_session(&session, dirs) {
            Ok(questions) => all.extend(questions),
            Err(failure) => screen.failure(&failure),
        }
    }
    all.sort_by_key(|it| it.seconds_left);
    Ok(all)
}

/// Those of one session; none where it has ended, or is of a version that has no such question.
fn of_session(session: &SessionId, dirs: &StateDirs) -> Result<Vec<Listed>, Failure> {
    let running = context::running(dirs)?;
    let Some(description) = running.iter().find(|it| it.session == *session) else {
        return Ok(Vec::new());
    };
    match control::ask(dirs.runtime(), session, &Command::Questions) {
        Ok(Reply::Questions(questions)) => {
            let listed = |it| listed(session, &description.agent, it);
            Ok(questions.into_iter().map(listed).collect())
        }
        Ok(Reply::Done(_) | Reply::Status(_) | Reply::Refused { .. })
        | Err(ControlError::NotRunning { .. }) => Ok(Vec::new()),
        Err(error) => Err(Message::new(error.to_string()).could_not()),
    }
}

fn listed(session: &SessionId, agent: &str, waiting: Waiting) -> Listed {
    let Waiting { index, text, subject, reason, wider, seconds_left } = waiting;
    Listed {
        schema: SCHEMA,
        question: EntryRef { session: session.clone(), index },
        agent: agent.to_owned(),
        text,
        subject,
        reason,
        wider,
        seconds_left,
    }
}

/// Shows a question, as much of it as there is room for.
fn show(question: &Listed, screen: &Screen) -> Laid {
    let Listed { question: named, text, subject, reason, wider, seconds_left, .. } = question;
    let head = format!("{named}, for {seconds_left} s more");
    let (subject, wider) = (subject.as_deref(), wider.as_deref());
    let laid =
        question::lay(Asked { head: &head, text, subject, reason, wider }, screen.asked_on());
    laid.lines.iter().for_each(|line| screen.as_it_is(line));
    laid
}

/// Shows all of a question, as it was recorded.
fn show_all(question: &Listed, dirs: &StateDirs, screen: &Screen) -> Result<(), Failure> {
    let mut reader = context::reader(dirs, &question.question)?;
    let Some(Ok(logged)) = reader.next() else {
        screen.warn("the log does not have it any more");
        return Ok(());
    };
    let Event::Decided { request, grounds, .. } = logged.entry.event else { return Ok(()) };
    let wording::Asked { text, subject, reason } =
        wording::question(&request, &grounds, (None, None));
    let all = Asked {
        head: &question.question.to_string(),
        text: &text,
        subject: subject.as_deref(),
        reason: &reason,
        wider: question.wider.as_deref(),
    };
    let room = screen.asked_on().map(|(columns, _)| (columns, usize::MAX));
    question::lay(all, room).lines.iter().for_each(|line| screen.as_it_is(line));
    Ok(())
}
