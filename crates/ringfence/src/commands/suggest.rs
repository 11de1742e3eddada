//! `suggest`: the smallest change of the policy that would have permitted what a session was denied.

mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ringfence_core::{
    Act, Agent, Answer, EntryRef, Event, Facts, FileRead, PolicyDigest, ReadResult, Request, Role,
    SessionId, SetName, Verdict,
};
use ringfence_log::{LogReader, Logged};
use ringfence_runtime::assemble::Assembled;
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::suggest::{
    Around, Checked, Denied, Left, Refusal, Suggested, Suggestion, Why, World, file_of,
    suggest as find, unified,
};
use ringfence_runtime::trust::Trust;
use ringfence_runtime::wording::{describe, printable, shell_word};
use serde_json::{Value, json};

use super::{context, explain, in_force};
use crate::cli::SuggestArgs;
use crate::exit::{Done, Failure, Message};
use crate::screen::{Screen, Stream, Tone};
pub(super) use start::for_start;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Most different acts that are looked at: a session that was denied more has another policy to be
/// written first.
const ACTS_MAX: usize = 2000;

/// Most acts that are listed as left out; `--json` has all.
const LEFT_LINES_MAX: usize = 20;

/// What of a log is about denials.
#[derive(Default)]
struct Found {
    denied: Vec<Denied>,
    /// Where each act is among them.
    places: BTreeMap<String, usize>,
    /// Questions that nobody has approved so far, by their entry.
    asked: BTreeMap<u64, Denied>,
    /// What a person said no to.
    refused_acts: BTreeMap<String, Refusal>,
    /// Calls that no policy could speak of.
    refused: u64,
    /// Whether reads were traced.
    traced: bool,
    /// Whether the session is one that `ringfence run` began, so that they could be.
    could_trace: bool,
    /// Whether there were more than are looked at.
    more: bool,
}

pub(crate) fn suggest(args: &SuggestArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let session = context::session(&dirs, args.session.as_ref())?;
    let opening = context::opening(&dirs, &session);
    let agent = agent(opening.as_ref());
    let cwd = explain::directory(opening.as_ref());
    if !cwd.is_dir() {
        return Err(gone(&dirs, &session, &cwd));
    }
    let found = found(&dirs, (&session, &agent), opening.as_ref())?;
    let files = policy_files(args, (&dirs, &session), &cwd)?;
    let of = (cwd.as_path(), &in_force::no_session()?, context::server_of(opening.as_ref()));
    let in_force = in_force::try_load(of, &files, screen)?;
    let assembled = in_force.map_err(|errors| {
        in_force::say(&errors, screen);
        Failure::Said(crate::exit::Said::CouldNot)
    })?;
    let is_trusted = assembled.trust == Trust::Trusted || assembled.project.policy.is_none();
    if !is_trusted && files.is_empty() {
        return Err(Message::new(
            "the project's policy does not count, so that no change of it would",
        )
        .hint("to look at it and let it count, run `ringfence trust`")
        .could_not());
    }
    if args.policy.is_empty() {
        say_changed((&dirs, &session), &assembled, screen);
    }
    let environment = context::environment();
    let facts = now(&session)?;
    let around = Around {
        assembled: &assembled,
        dirs: &dirs,
        environment: &environment,
        cwd: &cwd,
        agent: &agent,
        facts: &facts,
        world: opening.as_ref().map_or(World::Own, explain::world_of),
    };
    let Found { denied, .. } = &found;
    let made = find(denied, &around, session.as_str()).map_err(|errors| {
        in_force::say(&errors, screen);
        Failure::Said(crate::exit::Said::CouldNot)
    })?;
    let Some(made) = made else {
        return Err(Message::new("there is no policy of yours or the project's to change")
            .hint("to write one for this project, run `ringfence init`")
            .could_not());
    };
    let shown = Shown::of(&made, &around);
    if args.json {
        screen.json(&as_json(&session, (&found, &made), &shown))?;
    } else {
        screen.data(&shown.diff)?;
        say(&session, (&found, &made), (&shown, screen));
    }
    let nothing = made.rules.is_empty() && !denied.is_empty();
    Ok(if nothing { Done::No } else { Done::Yes })
}

/// There is nothing to measure denials against.
fn gone(dirs: &StateDirs, session: &SessionId, cwd: &Path) -> Failure {
    let cwd = printable(&cwd.to_string_lossy());
    let message = Message::new(format!(
        "`{cwd}`, where session {session} ran, is gone, and the policy there with it"
    ));
    match context::last_in_place(dirs) {
        Some(other) => message.hint(format!(
            "for the last session whose directory is there, run `ringfence suggest {other}`"
        )),
        None => message.hint(format!("to see what it was denied, run `ringfence show {session}`")),
    }
    .could_not()
}

/// The files that stand in for the person's and the project's policy: those that are named, else those
/// that stood in for them when the session ran.
fn policy_files(
    args: &SuggestArgs,
    (dirs, session): (&StateDirs, &SessionId),
    cwd: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    if !args.policy.is_empty() {
        return Ok(args.policy.clone());
    }
    let files = explain::named_policy(dirs, session);
    let gone = files.iter().find(|file| !cwd.join(file).is_file());
    let Some(gone) = gone else { return Ok(files) };
    let gone = printable(&gone.to_string_lossy());
    Err(Message::new(format!(
        "session {session} ran with `--policy {gone}`, and that file is gone: there is nothing to \
         measure its denials against"
    ))
    .hint("to measure them against another one, name it with `--policy FILE`")
    .could_not())
}

/// A file that says something else now than when the session ran.
fn say_changed((dirs, session): (&StateDirs, &SessionId), assembled: &Assembled, screen: &Screen) {
    let then = explain::policy_at(dirs, session, u64::MAX).unwrap_or_default();
    let named = |digest: &&PolicyDigest| digest.set == SetName::Override;
    for digest in then.iter().filter(named).filter(|it| !assembled.digests.contains(it)) {
        let file = printable(&digest.file);
        screen.warn(&format!(
            "`{file}`, under which the session ran, has been changed since: it is measured as it is now"
        ));
    }
}

/// The difference, and where it belongs.
struct Shown {
    diff: String,
    dir: String,
    file: String,
}

impl Shown {
    fn of(made: &Suggestion, around: &Around<'_>) -> Shown {
        let file = file_of(&made.target, around);
        let project = around.assembled.project.dir.as_path();
        let dir = match made.target.set {
            SetName::Project => project,
            SetName::User
            | SetName::UntrustedProject
            | SetName::OuterProject
            | SetName::Grants
            | SetName::Override
            | SetName::System
            | SetName::BuiltIn => file.parent().unwrap_or(Path::new("/")),
        };
        let below = file.strip_prefix(dir).unwrap_or(&file).to_string_lossy();
        // A name that a diff would have to quote is given where it is applied.
        let plain = |it: char| it.is_ascii_alphanumeric() || "/._-".contains(it);
        let name = if below.chars().all(plain) { &*below } else { "policy.cedar" };
        Shown {
            diff: unified(name, &made.target.text, &made.changed),
            dir: dir.display().to_string(),
            file: file.display().to_string(),
        }
    }
}

/// Whose session it was.
fn agent(opening: Option<&Logged>) -> Agent {
    match opening.map(|first| &first.entry.event) {
        Some(Event::SessionOpened { agent, .. }) => Agent(agent.clone()),
        Some(_) | None => Agent("agent".to_owned()),
    }
}

/// What is so now, with nobody's approval.
fn now(session: &SessionId) -> Result<Facts, Failure> {
    let (clock, _) =
        HostClock::new(None).map_err(|error| Message::new(error.to_string()).could_not())?;
    let clock = clock.fact_at(context::now_ms());
    Ok(Facts { session: session.clone(), clock, approvals: BTreeSet::new(), approver_count: 0 })
}

/// Reads a session's log for what it was denied.
fn found(
    dirs: &StateDirs,
    (session, agent): (&SessionId, &Agent),
    opening: Option<&Logged>,
) -> Result<Found, Failure> {
    let reader = LogReader::open(&dirs.session(session))
        .map_err(|error| context::unreadable(session, &error))?;
    let mut found = Found::default();
    for logged in reader {
        let logged = logged.map_err(|error| context::unreadable(session, &error))?;
        found.take(&logged, (session, agent), opening)?;
    }
    for denied in std::mem::take(&mut found.asked).into_values() {
        found.add(denied);
    }
    for denied in &mut found.denied {
        denied.refused = found.refused_acts.get(&refusable(&denied.request.act)).cloned();
    }
    Ok(found)
}

impl Found {
    fn take(
        &mut self,
        logged: &Logged,
        (session, agent): (&SessionId, &Agent),
        opening: Option<&Logged>,
    ) -> Result<(), Failure> {
        let entry = EntryRef { session: session.clone(), index: logged.index };
        let facts = |approvals: &[String]| -> Result<Facts, Failure> {
            let clock = explain::clock_at(logged.entry.at_ms, opening)?;
            let approvals: BTreeSet<Role> = approvals.iter().cloned().map(Role).collect();
            let approver_count = u32::from(!approvals.is_empty());
            Ok(Facts { session: session.clone(), clock, approvals, approver_count })
        };
        let event = &logged.entry.event;
        if let Event::SessionOpened { trace, server, .. } = event {
            self.traced = !trace.is_off();
            self.could_trace = !server && explain::world_of(logged) == World::Own;
        } else if let Event::Decided { request, verdict, approvals, .. } = event
            && *verdict != Verdict::Permit
        {
            let (request, facts) = (request.clone(), facts(approvals)?);
            let before_rules = explain::before_rules(event);
            let (times, covered, refused) = (1, false, None);
            let denied = Denied { request, facts, entry, times, covered, refused, before_rules };
            if *verdict == Verdict::Deny {
                self.add(denied);
            } else {
                self.asked.insert(logged.index, denied);
            }
        } else if let Event::Answered { of, answer: Answer::Approved, .. } = event {
            self.asked.remove(of);
        } else if let Event::Answered { of, answer: Answer::Refused, by } = event
            && let Some(asked) = self.asked.get(of)
        {
            let no = Refusal { by: by.clone(), entry: asked.entry.clone() };
            self.refused_acts.insert(refusable(&asked.request.act), no);
        } else if let Event::FilesRead(read) = event {
            let facts = facts(&[])?;
            for file in read.files.iter().filter(|file| file.result.is_denied()) {
                self.add(read_of(file, (agent, &facts), &entry));
            }
        } else if let Event::Refused { .. } = event {
            self.refused += 1;
        }
        Ok(())
    }

    /// Counts an act that was denied before.
    fn add(&mut self, denied: Denied) {
        let key = key(&denied.request.act);
        let before = self.places.get(&key).and_then(|at| self.denied.get_mut(*at));
        if let Some(before) = before {
            before.times = before.times.saturating_add(denied.times);
        } else if self.denied.len() < ACTS_MAX {
            self.places.insert(key, self.denied.len());
            self.denied.push(denied);
        } else {
            self.more = true;
        }
    }

    fn times(&self) -> u64 {
        self.denied.iter().map(|act| act.times).sum()
    }
}

/// What makes two acts the same one.
fn key(act: &Act) -> String {
    match act {
        Act::Exec(exec) => format!("exec {} {}", exec.program, exec.command_line.sha256),
        Act::Request(http) => {
            format!("request {} {} {}", http.method, http.endpoint, http.path.as_str())
        }
        Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::UseSecret(_)
        | Act::CallTool(_) => format!("{} {}", act.action(), act.resource()),
    }
}

/// What a person's no is about: of a program its command line, wherever in `PATH` it is found.
fn refusable(act: &Act) -> String {
    match act {
        Act::Exec(exec) => format!("exec {}", exec.command_line.sha256),
        Act::Request(_)
        | Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::UseSecret(_)
        | Act::CallTool(_) => key(act),
    }
}

fn read_of(file: &FileRead, (agent, facts): (&Agent, &Facts), entry: &EntryRef) -> Denied {
    let act = Act::Read(file.path.clone());
    Denied {
        request: Request { agent: agent.clone(), act, process: None },
        facts: facts.clone(),
        entry: entry.clone(),
        times: file.times,
        covered: file.result == ReadResult::Covered,
        refused: None,
        before_rules: None,
    }
}

/// What the rules do, what is left out, how it came out, and how to apply it.
fn say(
    session: &SessionId,
    (found, made): (&Found, &Suggestion),
    (shown, screen): (&Shown, &Screen),
) {
    let paint = screen.paint(Stream::Err);
    let acts: u64 = made.rules.iter().map(|rule| rule.denials).sum();
    screen.note(&format!(
        "session {session}: {} in all, {} would permit {acts} of them",
        count(found.times(), "denial"),
        count(made.rules.len() as u64, "rule"),
    ));
    for rule in &made.rules {
        let grant = printable(&rule.grant.to_string());
        screen.note(&format!("  {}  {grant}  ({})", rule.id, count(rule.denials, "denial")));
    }
    let left: Vec<&Left> = made.left.iter().filter(|left| left.why != Why::Permitted).collect();
    if !left.is_empty() {
        screen.note(&paint.tone(Tone::Heading, "no rule is suggested for:"));
    }
    for left in left.iter().take(LEFT_LINES_MAX) {
        if let Some(act) = found.denied.get(left.denied) {
            let (what, why) = (describe(&act.request.act), printable(&left.why.text()));
            screen.note(&format!("  {what}: {why} (entry {})", act.entry));
        }
    }
    if let more @ 1.. = left.len().saturating_sub(LEFT_LINES_MAX) {
        screen.note(&format!("  and {more} more: `ringfence suggest {session} --json`"));
    }
    say_rest((found, made), (shown, screen));
}

fn say_rest((found, made): (&Found, &Suggestion), (shown, screen): (&Shown, &Screen)) {
    let already = made.left.iter().filter(|left| left.why == Why::Permitted).count();
    if already > 0 {
        screen.note(&format!(
            "{} would not be denied again: the policy that is in force now permits it",
            count(already as u64, "act")
        ));
    }
    if found.refused > 0 {
        screen.note(&format!(
            "{} of system calls that no policy could speak of",
            count(found.refused, "refusal")
        ));
    }
    if found.more {
        screen.warn(&format!(
            "more than {ACTS_MAX} different acts were denied: the rest is left out"
        ));
    }
    let Checked { wanted, permitted, canaries, denied } = made.checked;
    screen.note(&format!(
        "tried: the changed policy permits {permitted} of {wanted} acts that it is for, and denies \
         {denied} of {canaries} that must stay denied"
    ));
    if !found.traced && found.could_trace {
        screen.hint("reads were not traced in this session: to have denied reads in it, run `ringfence run --why -- CMD`");
    }
    if !made.rules.is_empty() {
        screen.hint(&how_to_apply(made, shown));
    }
}

/// The difference has to be looked at by somebody, and the policy that comes of it to be trusted.
fn how_to_apply(made: &Suggestion, shown: &Shown) -> String {
    let (dir, file) = (printable(&shown.dir), shell_word(&shown.file));
    let file = file.unwrap_or_else(|| "FILE".to_owned());
    let trust = match made.target.set {
        SetName::Project => " and `ringfence trust`",
        SetName::User
        | SetName::UntrustedProject
        | SetName::OuterProject
        | SetName::Grants
        | SetName::Override
        | SetName::System
        | SetName::BuiltIn => "",
    };
    format!(
        "nothing was changed; to apply it, write it to a file, look at it, and run `git apply` or \
         `patch -p1` with it in {dir}; then `ringfence policy check {file}`{trust}"
    )
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn as_json(session: &SessionId, (found, made): (&Found, &Suggestion), shown: &Shown) -> Value {
    let act = |at: &usize| found.denied.get(*at).map(one);
    let rule = |rule: &Suggested| {
        json!({
            "id": rule.id,
            "grant": rule.grant.to_string(),
            "cedar": rule.cedar,
            "denials": rule.denials,
            "covers": rule.covers.iter().filter_map(act).collect::<Vec<_>>(),
        })
    };
    let left = |left: &Left| {
        let forbid = match &left.why {
            Why::Forbidden(rule) => Some(rule),
            Why::Permitted | Why::Asks(_) | Why::Refused(_) | Why::Never(_) | Why::NoRule(_) => {
                None
            }
        };
        json!({
            "act": act(&left.denied),
            "kind": left.why.kind(),
            "why": left.why.text(),
            "rule": forbid,
        })
    };
    json!({
        "schema": SCHEMA,
        "session": session,
        "file": shown.file,
        "dir": shown.dir,
        "diff": shown.diff,
        "denials": found.times(),
        "refused": found.refused,
        "reads_traced": found.traced,
        "complete": !found.more,
        "rules": made.rules.iter().map(rule).collect::<Vec<_>>(),
        "left": made.left.iter().map(left).collect::<Vec<_>>(),
        "checked": {
            "wanted": made.checked.wanted,
            "permitted": made.checked.permitted,
            "must_stay_denied": made.checked.canaries,
            "stay_denied": made.checked.denied,
        },
    })
}

fn one(denied: &Denied) -> Value {
    json!({
        "entry": denied.entry.to_string(),
        "action": denied.request.act.action().name(),
        "resource": denied.request.act.resource(),
        "times": denied.times,
    })
}
