//! `explain`: why an act was decided as it was, and what would have to change.

mod arguments;
mod other;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ringfence_core::{
    Act, Answer, Channel, ClockFact, EntryRef, Event, Facts, Grounds, Outcome, PolicyDigest,
    Request, Role, RuleRef, SessionId, SetName, Verdict,
};
use ringfence_log::{LogReader, Logged};
use ringfence_policy::grant::GrantText;
use ringfence_policy::{Explanation, Remedy};
use ringfence_runtime::advice::{Advice, Session};
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::protected::lifted_by;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::suggest::World;
use ringfence_runtime::wording::printable;
use serde::Serialize;
use serde_json::json;

use super::{context, in_force, reload, trust};
use crate::cli::ExplainArgs;
use crate::exit::{Done, Failure, Message};
use crate::render;
use crate::screen::{Screen, Stream};

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// A decision as it was recorded.
pub(crate) struct Recorded {
    pub(crate) entry: EntryRef,
    pub(crate) at_ms: u64,
    pub(crate) request: Request,
    pub(crate) verdict: Verdict,
    pub(crate) grounds: Grounds,
    pub(crate) facts: Facts,
    /// What came of the question, where it was one.
    pub(crate) answered: Option<Answered>,
    /// How it ended, where it was permitted and that is known.
    pub(crate) finished: Option<Finished>,
    /// Why it was refused before any rule was asked, where it was.
    pub(crate) before_rules: Option<String>,
}

/// How a permitted act ended.
#[derive(Debug, Serialize)]
pub(crate) struct Finished {
    /// The entry that says so.
    pub(crate) entry: String,
    pub(crate) at_ms: u64,
    pub(crate) outcome: Outcome,
}

/// What came of a question.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answered {
    /// The entry of the answer, where there was one.
    pub(crate) entry: Option<String>,
    pub(crate) at_ms: Option<u64>,
    pub(crate) answer: Option<Answer>,
    /// Who; empty where nobody answered.
    pub(crate) by: String,
    /// The same in words.
    pub(crate) said: String,
    /// How the act was decided then, where it was.
    pub(crate) then: Option<Then>,
    /// What happened, in few words.
    #[serde(skip)]
    pub(crate) so: String,
}

/// How an act was decided once its question was answered.
#[derive(Debug, Serialize)]
pub(crate) struct Then {
    /// The entry that says so.
    pub(crate) entry: String,
    pub(crate) verdict: Verdict,
    #[serde(skip)]
    index: u64,
}

impl Recorded {
    /// Whether the act was permitted in the end: at once, or once it had been asked about.
    pub(crate) fn is_permitted(&self) -> bool {
        let then = self.answered.as_ref().and_then(|answered| answered.then.as_ref());
        let verdict = then.map_or(&self.verdict, |then| &then.verdict);
        *verdict == Verdict::Permit
    }

    /// Whether nobody was asked, for something else of the same call is denied.
    pub(crate) fn was_put_off(&self) -> bool {
        let answer = self.answered.as_ref().and_then(|answered| answered.answer);
        answer == Some(Answer::NotAsked)
    }
}

/// What the policy that is in force now says about the same act with the same facts.
pub(crate) struct Now {
    pub(crate) explanation: Explanation,
    /// Whether it is, byte for byte, the policy that decided.
    pub(crate) same_policy: bool,
    /// What a person can do, where something helps.
    pub(crate) advice: Option<Advice>,
    /// What lifts the built-in rule that forbids it, where something does.
    pub(crate) lifted_by: Option<String>,
    /// The project in which the session ran.
    pub(crate) project: PathBuf,
}

pub(crate) fn explain(args: &ExplainArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let entry = context::entry(&dirs, &args.entry)?;
    let opening = context::opening(&dirs, &entry.session);
    let logged = logged(&dirs, &entry)?;
    let Some(mut recorded) = recorded((&entry, &logged), opening.as_ref())? else {
        return other::explain(&dirs, (&entry, &logged), (screen, args.json));
    };
    if let Verdict::Ask(_) = recorded.verdict {
        recorded.answered = answered(&dirs, &recorded);
    }
    let then = recorded.answered.as_ref().and_then(|answered| answered.then.as_ref());
    let index = then.map_or(entry.index, |then| then.index);
    recorded.finished = finished(&dirs, &EntryRef { session: entry.session.clone(), index });
    let cwd = directory(opening.as_ref());
    // No rule can permit what was refused before one was asked: what the policy says of it is no answer.
    let now = match &recorded.before_rules {
        None => now((&dirs, &cwd), &recorded, screen),
        Some(_) => None,
    };
    if args.json {
        screen.json(&json!({
            "schema": SCHEMA,
            "entry": recorded.entry.to_string(),
            "at_ms": recorded.at_ms,
            "request": recorded.request,
            "verdict": recorded.verdict,
            "grounds": recorded.grounds,
            "facts": recorded.facts,
            "answered": recorded.answered,
            "finished": recorded.finished,
            "same_policy": now.as_ref().map(|now| now.same_policy),
            "explanation": now.as_ref().map(|now| &now.explanation),
        }))?;
        return Ok(Done::Yes);
    }
    screen.data(&render::explain::render(
        &recorded,
        now.as_ref(),
        (screen.paint(Stream::Out), screen.room()),
    ))?;
    if recorded.was_put_off() {
        screen.hint(&format!(
            "to see what else of the call is denied, run `ringfence show {}`",
            recorded.entry.session
        ));
    } else if !recorded.is_permitted() {
        hint(&dirs, &recorded, now.as_ref(), screen);
    }
    if let (Act::CallTool(call), Some(why)) = (&recorded.request.act, &recorded.before_rules)
        && let Some(known) = arguments::known(&call.tool, why, &cwd)
    {
        screen.hint(&known);
    }
    if let (Act::CallTool(call), Some(why)) = (&recorded.request.act, &recorded.before_rules)
        && why.contains("looked at")
    {
        let server = call.tool.server();
        screen.hint(&format!(
            "to see what it says of its tools now, run `ringfence mcp inspect {server} --diff`"
        ));
    }
    Ok(Done::Yes)
}

/// The smallest thing that would allow the act, as a command that works now.
fn hint(dirs: &StateDirs, recorded: &Recorded, now: Option<&Now>, screen: &Screen) {
    let Some((now, advice)) = now.and_then(|now| Some((now, now.advice.as_ref()?))) else { return };
    let session = &recorded.entry.session;
    let running = reload::running(dirs).is_ok_and(|running| running.contains(session));
    let here = trust::project(dirs, None).is_ok_and(|here| here.dir == now.project);
    let session = match (running, here) {
        (true, _) => Session::Runs(session),
        (false, true) => Session::Ended,
        (false, false) => Session::EndedIn(&now.project),
    };
    advice.hint(session).iter().for_each(|hint| screen.hint(hint));
}

/// The entry of that name.
fn logged(dirs: &StateDirs, entry: &EntryRef) -> Result<Logged, Failure> {
    let mut reader: LogReader = context::reader(dirs, entry)?;
    match reader.next() {
        Some(Ok(logged)) => Ok(logged),
        Some(Err(error)) => Err(context::unreadable(&entry.session, &error)),
        None => {
            let EntryRef { session, index } = entry;
            Err(Message::new(format!("session `{session}` has no entry {index}"))
                .hint(format!("to see its entries, run `ringfence log show {session}`"))
                .could_not())
        }
    }
}

/// The decision that an entry is; `None` where it is something else.
fn recorded(
    (name, logged): (&EntryRef, &Logged),
    opening: Option<&Logged>,
) -> Result<Option<Recorded>, Failure> {
    let at_ms = logged.entry.at_ms;
    let Event::Decided { request, verdict, grounds, approvals, .. } = logged.entry.event.clone()
    else {
        return Ok(None);
    };
    let before_rules = before_rules(&logged.entry.event);
    let approvals: BTreeSet<Role> = approvals.into_iter().map(Role).collect();
    let facts = Facts {
        session: name.session.clone(),
        clock: clock_at(at_ms, opening)?,
        approver_count: u32::from(!approvals.is_empty()),
        approvals,
    };
    Ok(Some(Recorded {
        entry: name.clone(),
        at_ms,
        request,
        verdict,
        grounds,
        facts,
        answered: None,
        finished: None,
        before_rules,
    }))
}

/// Why a call was refused before any rule was asked, where it was.
pub(crate) fn before_rules(event: &Event) -> Option<String> {
    let Event::Decided { request, verdict, grounds, unobserved, .. } = event else { return None };
    // The ends of calls are told by us, but for those that never were before the policy.
    let is_before = *unobserved && matches!(request.act, Act::CallTool(_));
    grounds.failure.clone().filter(|_| is_before && *verdict == Verdict::Deny)
}

/// What came of a question: the answer, or that nobody could be asked.
fn answered(dirs: &StateDirs, question: &Recorded) -> Option<Answered> {
    let EntryRef { session, index } = &question.entry;
    let reader = LogReader::open_at(&dirs.session(session), index + 1).ok()?;
    let mut unanswered = Answered {
        said: "nobody was asked again: the same had been refused a moment before".to_owned(),
        so: "refused a moment before".to_owned(),
        ..Answered::default()
    };
    let mut entries = reader.map_while(Result::ok);
    while let Some(logged) = entries.next() {
        if let Event::Answered { of, answer, by } = &logged.entry.event
            && of == index
        {
            let entry = EntryRef { session: session.clone(), index: logged.index };
            let then = allows(*answer).then(|| then(&mut entries, question)).flatten();
            return Some(Answered {
                entry: Some(entry.to_string()),
                at_ms: Some(logged.entry.at_ms),
                answer: Some(*answer),
                by: by.clone(),
                said: answer_in_words(*answer, by),
                so: what_came_of(*answer, by, then.as_ref()),
                then,
            });
        } else if let Event::Asked { of, channel, .. } = &logged.entry.event
            && of == index
        {
            let (said, so) = match channel {
                Channel::None => {
                    ("nobody: there was no terminal to ask on", "with no terminal to ask on")
                }
                Channel::Terminal | Channel::Elsewhere => ("nobody so far", "not answered so far"),
            };
            (unanswered.said, unanswered.so) = (said.to_owned(), so.to_owned());
        }
    }
    Some(unanswered)
}

/// Whether an act is decided again after this answer, as one that a person agreed to.
fn allows(answer: Answer) -> bool {
    match answer {
        Answer::Approved | Answer::Granted => true,
        Answer::Refused | Answer::Expired | Answer::Invalid | Answer::NotAsked => false,
    }
}

/// How the act was decided once it had been agreed to: the same gate is asked the same again.
fn then(mut later: impl Iterator<Item = Logged>, question: &Recorded) -> Option<Then> {
    later.find_map(|logged| {
        let Event::Decided { request, verdict, .. } = logged.entry.event else { return None };
        let entry = EntryRef { session: question.entry.session.clone(), index: logged.index };
        let is_it = request == question.request;
        is_it.then(|| Then { entry: entry.to_string(), verdict, index: logged.index })
    })
}

/// What happened to a question, in few words.
fn what_came_of(answer: Answer, by: &str, then: Option<&Then>) -> String {
    let by = printable(by);
    let agreed = match answer {
        Answer::Refused => return format!("refused by `{by}`"),
        Answer::Expired => return "not answered in time".to_owned(),
        Answer::Invalid => return "answered with none of the codes".to_owned(),
        Answer::NotAsked => return "nobody was asked".to_owned(),
        Answer::Approved => format!("approved by `{by}`"),
        Answer::Granted => "granted while it waited".to_owned(),
    };
    match then.map(|then| &then.verdict) {
        Some(Verdict::Permit) => format!("{agreed}, permitted"),
        Some(Verdict::Ask(_) | Verdict::Deny) => format!("{agreed}, not permitted all the same"),
        None => format!("{agreed}, not carried on"),
    }
}

/// How a permitted act ended: a permit is no promise that the system lets it come about.
fn finished(dirs: &StateDirs, EntryRef { session, index }: &EntryRef) -> Option<Finished> {
    let reader = LogReader::open_at(&dirs.session(session), index + 1).ok()?;
    reader.map_while(Result::ok).find_map(|logged| {
        let Event::Finished { of, outcome } = logged.entry.event else { return None };
        let entry = EntryRef { session: session.clone(), index: logged.index };
        let at_ms = logged.entry.at_ms;
        (of == *index).then(|| Finished { entry: entry.to_string(), at_ms, outcome })
    })
}

fn answer_in_words(answer: Answer, by: &str) -> String {
    match answer {
        Answer::Refused => format!("refused by `{}`", printable(by)),
        Answer::Approved => format!("approved by `{}`", printable(by)),
        Answer::Expired => "nobody answered in time".to_owned(),
        Answer::Invalid => "what was typed was none of the codes".to_owned(),
        Answer::Granted => "it was granted while the question waited".to_owned(),
        Answer::NotAsked => {
            "nobody was asked: something else that the same call needs is denied".to_owned()
        }
    }
}

/// The clock as the policy saw it, in the time zone that the session recorded.
pub(crate) fn clock_at(at_ms: u64, opening: Option<&Logged>) -> Result<ClockFact, Failure> {
    let zone = opening.and_then(|first| {
        let Event::SessionOpened { time_zone, .. } = &first.entry.event else { return None };
        Some(time_zone.as_str())
    });
    let (clock, _) =
        HostClock::new(zone).map_err(|error| Message::new(error.to_string()).could_not())?;
    Ok(clock.fact_at(at_ms))
}

/// Where the session ran, whose policy is the one to ask; here, if it did not say.
pub(crate) fn directory(opening: Option<&Logged>) -> PathBuf {
    if let Some(Event::SessionOpened { cwd, .. }) = opening.map(|first| &first.entry.event) {
        return cwd.as_path().to_owned();
    }
    context::current_dir().unwrap_or_default()
}

fn now((dirs, cwd): (&StateDirs, &Path), recorded: &Recorded, screen: &Screen) -> Option<Now> {
    let files = named_policy(dirs, &recorded.entry.session);
    let session = &recorded.entry.session;
    if !cwd.is_dir() {
        let gone = printable(&cwd.to_string_lossy());
        screen.warn(&format!(
            "only the record is shown: `{gone}`, where session {session} ran, is gone, and its policy with it"
        ));
        return None;
    }
    let opening = context::opening(dirs, session);
    let server = context::server_of(opening.as_ref());
    let found = match in_force::try_load((cwd, session, server.clone()), &files, screen) {
        Ok(Ok(found)) => found,
        // The record stands by itself; only the reasoning beyond it is missing.
        Ok(Err(_)) => {
            screen.warn("the policy in force now does not load, so that only the record is shown");
            return None;
        }
        Err(Failure::CouldNot(why) | Failure::No(why) | Failure::Waiting(why)) => {
            let text = why.text;
            screen.warn(&format!("only the record is shown, there is no policy to ask: {text}"));
            return None;
        }
        Err(Failure::Pipe | Failure::Said(_)) => return None,
    };
    let then = policy_at(dirs, &recorded.entry.session, recorded.entry.index);
    let same_policy = then.is_some_and(|then| same(&then, &found));
    let mut explanation = found.policy.explain(&recorded.request, &recorded.facts);
    let grant = GrantText::smallest(&recorded.request);
    let helps = recorded.verdict != Verdict::Permit && explanation.remedy.is_some();
    let tier = context::tier(dirs, &recorded.entry.session);
    if tier.is_none() {
        screen.warn("the session's tier is unknown here, and so what a grant would do in it");
    }
    let to = |advice: Advice| advice.to_server(server.as_ref(), (&grant, &files));
    let advice = tier.filter(|_| helps).map(|tier| match opening.as_ref().map(world_of) {
        Some(World::None) => Advice::without_a_world(&grant, dirs.home()),
        Some(World::Own) | None => {
            to(Advice::in_tier(tier, &grant, (dirs.home(), &found.project.dir)))
        }
    });
    let offers_none =
        matches!(advice, Some(Advice::Base(_) | Advice::Engine(_) | Advice::Kept { .. }));
    if offers_none && !matches!(explanation.remedy, Some(Remedy::Approvals(_))) {
        explanation.remedy = None;
    }
    let project = found.project.dir;
    let built_in =
        |rules: &[RuleRef]| rules.first().is_some_and(|rule| rule.set == SetName::BuiltIn);
    let lifted_by = match &recorded.request.act {
        Act::Write(path) | Act::Delete(path) if built_in(&explanation.ruling.grounds.rules) => {
            lifted_by(&project, path.as_path())
        }
        Act::Write(_)
        | Act::Delete(_)
        | Act::Read(_)
        | Act::Exec(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::Request(_)
        | Act::UseSecret(_)
        | Act::CallTool(_) => None,
    };
    Some(Now { explanation, same_policy, advice, lifted_by, project })
}

/// Whether a session had a world.
pub(crate) fn world_of(opening: &Logged) -> World {
    let tools_alone = matches!(&opening.entry.event,
        Event::SessionOpened { plan_sha256, layers, .. } if plan_sha256.is_empty() && layers.is_empty());
    if tools_alone { World::None } else { World::Own }
}

/// The files that stood in for the person's and the project's policy when a session ran (`--policy`).
pub(crate) fn named_policy(dirs: &StateDirs, session: &SessionId) -> Vec<PathBuf> {
    let then = policy_at(dirs, session, u64::MAX).unwrap_or_default();
    let named = then.into_iter().filter(|digest| digest.set == SetName::Override);
    named.map(|digest| PathBuf::from(digest.file)).collect()
}

/// The digests that were in force when an entry was written.
pub(crate) fn policy_at(
    dirs: &StateDirs,
    session: &SessionId,
    index: u64,
) -> Option<Vec<PolicyDigest>> {
    let entries = LogReader::open(&dirs.session(session)).ok()?.map_while(Result::ok);
    entries
        .take_while(|logged| logged.index <= index)
        .filter_map(|logged| {
            if let Event::SessionOpened { policy, .. } | Event::PolicyReloaded { policy } =
                logged.entry.event
            {
                return Some(policy);
            }
            None
        })
        .last()
}

fn same(then: &[PolicyDigest], found: &Assembled) -> bool {
    let texts = |digests: &[PolicyDigest]| -> BTreeSet<String> {
        digests.iter().map(|digest| digest.sha256.clone()).collect()
    };
    texts(then) == texts(&found.digests)
}
