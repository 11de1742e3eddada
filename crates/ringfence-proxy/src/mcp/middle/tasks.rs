//! Calls that a server goes on with after it has answered: tasks, of 2025-11-25 and as the extension of 2026-07-28.
//!
//! Within an era they are the client's: it is answered with a task, and asks its server for that. Between the eras it
//! is shown none. What its server makes a task of is waited for here, and answered as the one call that it is: a
//! server of 2026-07-28 is asked again and again how far its task is, one of a session for its result.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::super::edit::{self, Change};
use super::super::frame::{Answer, Members, Message, quoted, result_answer, string};
use super::super::revision::Revision;
use super::passing::{Passed, failed, is_of};
use super::{Called, Effect, Ended, Era, Middle, OddKind, UnderWay, Why, odd};

/// The extension's name among capabilities, MCP extension "Tasks" (2026-07-28).
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// Most tasks whose server is remembered.
const TASKS_MAX: usize = 10_000;

/// Longest name of a task, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// How long after one answer a server is asked again how far its task is: at least, where it does not say, at most.
const POLL_MS_MIN: u64 = 100;
const POLL_MS: u64 = 1_000;
const POLL_MS_MAX: u64 = 60_000;

/// How long a task is waited for.
const TASK_MS_MAX: u64 = 6 * 60 * 60 * 1_000;

/// Which server has a task, by its name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    by_name: HashMap<String, usize>,
    /// The oldest first.
    order: VecDeque<String>,
}

impl Owners {
    pub(super) fn of(&self, task: &str) -> Option<usize> {
        self.by_name.get(task).copied()
    }

    /// Whether it is this server's, now or since before.
    pub(super) fn take(&mut self, task: &str, server: usize) -> bool {
        if let Some(owner) = self.by_name.get(task) {
            return *owner == server;
        }
        if self.order.len() >= TASKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
        self.order.push_back(task.to_owned());
        self.by_name.insert(task.to_owned(), server);
        true
    }
}

/// The task that a server has made of a call, where its client knows no such tasks.
#[derive(Debug)]
pub(super) struct Task {
    server: usize,
    name: String,
    until_ms: u64,
    /// What it wanted to know and has been told, by its keys.
    told: BTreeSet<String>,
    /// The name of the call's progress at the server.
    progress: Option<u64>,
}

/// A task that is asked for again and again.
#[derive(Debug)]
pub(super) struct Wait {
    passed: Passed,
    /// When it is asked for next; `None` while it is.
    next_ms: Option<u64>,
}

impl Wait {
    /// When something is to be done about it.
    pub(super) fn due_ms(&self) -> u64 {
        let until_ms = self.passed.task.as_ref().map_or(0, |task| task.until_ms);
        self.next_ms.map_or(until_ms, |next| next.min(until_ms))
    }

    pub(super) fn ticket(&self) -> u64 {
        self.passed.ticket
    }
}

impl Middle {
    /// A server that answers with a task is the one that is asked for it later; another's task it cannot have. The
    /// error is for the client.
    pub(super) fn owns_task(&mut self, server: usize, result: &str) -> Result<(), &'static str> {
        let Some(members) = Members::of(result) else { return Ok(()) };
        let name = match members.get("task").and_then(Members::of) {
            Some(task) => task.get("taskId").and_then(string),
            None if is_of(result, "task") => members.get("taskId").and_then(string),
            None => None,
        };
        match name {
            Some(name) if name.len() > NAME_BYTES_MAX => {
                Err("its server made a task of it, by a name of more than 256 bytes")
            }
            Some(name) if self.is_merged() && !self.tasks.take(&name, server) => {
                Err("its server made a task of it, by a name that another server's task has")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The client of a session has answered what a server asked: if with a task, what it tells of that later is for it.
    pub(super) fn asked_for_task(&mut self, server: usize, result: &str) {
        let members = Members::of(result);
        let task = members.as_ref().and_then(|all| Members::of(all.get("task")?));
        let name = task.as_ref().and_then(|task| string(task.get("taskId")?));
        if let Some(name) = name.filter(|name| name.len() <= NAME_BYTES_MAX) {
            self.asked_tasks.take(&name, server);
        }
    }

    /// Whether a call of this tool has to be a task at its server, which its client does not know.
    pub(super) fn must_be_task(&self, server: usize, passed: &Passed) -> bool {
        let Called::Tool(tool) = &passed.what else { return false };
        self.knows_no_tasks(passed)
            && self.era(server) == Some(Era::Session)
            && self.servers.get(server).is_some_and(|seat| seat.tools.only_as_task(tool))
            && self.capability(server, "tasks/requests/tools/call").is_some()
    }

    /// Whether who asked for this is of a revision that has no tasks, or others than servers of sessions have.
    fn knows_no_tasks(&self, passed: &Passed) -> bool {
        passed.is_modern() || self.speaks().is_some_and(|it| it < Revision::V2025_11_25)
    }

    /// The capabilities that a request says for the client of a session, to a server that may make tasks.
    pub(super) fn with_tasks(&self, server: usize, capabilities: Option<String>) -> Option<String> {
        let escaped = EXTENSION.replace('/', "~1");
        if self.capability(server, &format!("extensions/{escaped}")).is_none() {
            return capabilities;
        }
        let can = [(EXTENSION, Some("{}".to_owned()))];
        Some(edit::within(capabilities.as_deref(), "extensions", &can))
    }

    /// What a server has made of a call, where it is a task that its client cannot be given: the call, to be waited
    /// for. Else it is handed back.
    pub(super) fn made_a_task(
        &mut self,
        (server, number): (usize, u64),
        passed: Box<Passed>,
        result: &str,
    ) -> Result<Vec<Effect>, Box<Passed>> {
        let members = Members::of(result);
        let name = match self.era(server) {
            _ if passed.task.is_some() => return Err(passed),
            Some(Era::Modern) if !passed.is_modern() && is_of(result, "task") => {
                members.as_ref().and_then(|all| string(all.get("taskId")?))
            }
            Some(Era::Session) if self.must_be_task(server, &passed) => {
                let task = members.as_ref().and_then(|all| Members::of(all.get("task")?));
                match task {
                    Some(task) => task.get("taskId").and_then(string),
                    None => return Err(passed),
                }
            }
            _ => return Err(passed),
        };
        let Some(name) = name.map(std::borrow::Cow::into_owned) else {
            let why = "its server made a task of it, and does not say which";
            let mut effects = vec![odd(Some(server), OddKind::OutOfPlace, why)];
            effects.extend(self.fail(&passed, why));
            return Ok(effects);
        };
        let until_ms = self.now_ms.saturating_add(TASK_MS_MAX);
        let progress = passed.token.as_ref().map(|_| number);
        let mut passed = *passed;
        passed.task =
            Some(Box::new(Task { server, name, until_ms, told: BTreeSet::new(), progress }));
        if self.era(server) == Some(Era::Session) {
            return Ok(vec![self.ask_result(number, passed)]);
        }
        self.wait(passed, Some(interval(members.as_ref())));
        Ok(Vec::new())
    }

    /// Asks a server of a session for the result of its task, which it gives when there is one.
    fn ask_result(&mut self, before: u64, passed: Passed) -> Effect {
        let Some((server, params)) = self.task_params(&passed, &[]) else {
            return odd(None, OddKind::OutOfPlace, "a task that is none");
        };
        let number = self.number();
        match &passed.name {
            Some(name) => {
                self.under_way.insert(name.clone(), UnderWay::Sent(number));
            }
            None => self.goes_on_as(before, number),
        }
        self.ask_as(number, (server, Why::Client(Box::new(passed))), "tasks/result", &params)
    }

    /// Waits for a task; it is asked for after a time, or has just been.
    fn wait(&mut self, passed: Passed, after_ms: Option<u64>) -> u64 {
        let number = self.number();
        if let Some(name) = &passed.name {
            self.under_way.insert(name.clone(), UnderWay::Task(number));
        }
        let next_ms = after_ms.map(|after| self.now_ms.saturating_add(after));
        self.waits.insert(number, Wait { passed, next_ms });
        number
    }

    fn task_params(&self, passed: &Passed, more: &[Change<'static>]) -> Option<(usize, String)> {
        let task = passed.task.as_ref()?;
        let mut params = vec![("taskId", Some(quoted(&task.name)))];
        params.extend(more.iter().cloned());
        if self.era(task.server) == Some(Era::Modern) {
            let meta = self.session_meta(task.server);
            params.push(("_meta", Some(edit::object(None, &meta))));
        }
        Some((task.server, edit::object(None, &params)))
    }

    /// Tasks that are to be asked for by now, and those that have been waited for too long.
    pub(super) fn tasks_due(&mut self) -> Vec<Effect> {
        let now_ms = self.now_ms;
        let due = self.waits.iter().filter(|(_, wait)| wait.due_ms() <= now_ms);
        let due: Vec<u64> = due.map(|(number, _)| *number).collect();
        let mut effects = Vec::new();
        for number in due {
            let Some(wait) = self.waits.get_mut(&number) else { continue };
            wait.next_ms = None;
            let is_over = wait.passed.task.as_ref().is_none_or(|task| task.until_ms <= now_ms);
            if is_over {
                let Some(Wait { passed, .. }) = self.waits.remove(&number) else { continue };
                effects.extend(self.cancel_task(&passed));
                effects.extend(self.fail(&passed, "its server's task took too long"));
                continue;
            }
            let Some(wait) = self.waits.get(&number) else { continue };
            let Some((server, params)) = self.task_params(&wait.passed, &[]) else { continue };
            effects.push(self.ask(server, Why::Task(number), "tasks/get", &params));
        }
        effects
    }

    /// A server has said how far its task is.
    pub(super) fn task_answered(
        &mut self,
        number: u64,
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        let Some(Wait { passed, .. }) = self.waits.remove(&number) else { return Vec::new() };
        let Answer::Result(at) = answer else { return self.task_ends(&passed, message, answer) };
        let result = message.part(at);
        let members = Members::of(result);
        let get = |name: &str| members.as_ref().and_then(|all| all.get(name));
        match get("status").and_then(string).as_deref() {
            Some("working") => {
                self.wait(passed, Some(interval(members.as_ref())));
                Vec::new()
            }
            Some("input_required") => self.task_wants_to_know(passed, result),
            Some("completed") => match get("result").filter(|raw| raw.starts_with('{')) {
                Some(result) => self.task_completed(&passed, message, result),
                None => self.fail(&passed, "its server's task has ended without a result"),
            },
            Some("failed") => {
                let error = get("error").filter(|raw| raw.starts_with('{'));
                let Some((error, name)) = error.zip(passed.name.as_ref()) else {
                    return self.fail(&passed, "its server's task has failed");
                };
                let text = failed(&name.id, error);
                let bytes = message.text().len();
                let told = self.answer(name, text);
                vec![told, Effect::Ended(passed.ticket, Ended::Failed { bytes })]
            }
            Some("cancelled") => self.fail(&passed, "its server has cancelled its task"),
            // What a rule has put in the place of a result.
            None if get("isError") == Some("true") => self.task_completed(&passed, message, result),
            Some(_) | None => self.fail(&passed, "its server does not say how far its task is"),
        }
    }

    /// What a task wants to know and has not been told, as of a call that is made again.
    fn task_wants_to_know(&mut self, passed: Passed, result: &str) -> Vec<Effect> {
        let Some(task) = passed.task.as_ref() else { return Vec::new() };
        let members = Members::of(result);
        let inputs = members.as_ref().and_then(|all| Members::of(all.get("inputRequests")?));
        let all = inputs.as_ref().map(Members::iter).into_iter().flatten();
        let new = all.filter(|(key, _)| !task.told.contains(*key));
        let new: Vec<String> = new.map(|(key, raw)| format!("{}:{raw}", quoted(key))).collect();
        if new.is_empty() {
            self.wait(passed, Some(interval(members.as_ref())));
            return Vec::new();
        }
        let server = task.server;
        let inputs = [("inputRequests", Some(format!("{{{}}}", new.join(","))))];
        self.wants_to_know(server, passed, &edit::object(None, &inputs))
    }

    /// Tells a task what it wanted to know.
    pub(super) fn tell_task(
        &mut self,
        mut passed: Passed,
        inputs: &[(String, String)],
    ) -> Vec<Effect> {
        if let Some(task) = &mut passed.task {
            task.told.extend(inputs.iter().map(|(key, _)| key.clone()));
        }
        let responses: Vec<String> =
            inputs.iter().map(|(key, raw)| format!("{}:{raw}", quoted(key))).collect();
        let responses = ("inputResponses", Some(format!("{{{}}}", responses.join(","))));
        let Some((server, params)) = self.task_params(&passed, &[responses]) else {
            return Vec::new();
        };
        let number = self.wait(passed, None);
        vec![self.ask(server, Why::TaskTold(number), "tasks/update", &params)]
    }

    /// A task has what it wanted to know, or does not take it.
    pub(super) fn task_told(
        &mut self,
        number: u64,
        message: &Message,
        answer: &Answer,
    ) -> Vec<Effect> {
        if let Answer::Result(at) = answer {
            let members = Members::of(message.part(at));
            if members.is_some_and(|all| all.get("isError") == Some("true")) {
                // What a rule has put in the place of an error.
                let Some(Wait { passed, .. }) = self.waits.remove(&number) else {
                    return Vec::new();
                };
                return self.task_completed(&passed, message, message.part(at));
            }
            let next_ms = Some(self.now_ms.saturating_add(POLL_MS_MIN));
            if let Some(wait) = self.waits.get_mut(&number) {
                wait.next_ms = next_ms;
            }
            return Vec::new();
        }
        let Some(Wait { passed, .. }) = self.waits.remove(&number) else { return Vec::new() };
        self.task_ends(&passed, message, answer)
    }

    /// There is no result: an error in its place.
    fn task_ends(&mut self, passed: &Passed, message: &Message, answer: &Answer) -> Vec<Effect> {
        let (Answer::Error(at), Some(name)) = (answer, &passed.name) else {
            return self.fail(passed, "its server says nothing more of its task");
        };
        let bytes = message.text().len();
        let text = failed(&name.id, message.part(at));
        let told = self.answer(name, text);
        vec![told, Effect::Ended(passed.ticket, Ended::Failed { bytes })]
    }

    fn task_completed(&mut self, passed: &Passed, message: &Message, result: &str) -> Vec<Effect> {
        let bytes = message.text().len();
        let is_error = Members::of(result).is_some_and(|all| all.get("isError") == Some("true"));
        let how = if is_error { Ended::Failed { bytes } } else { Ended::Answered { bytes } };
        let Some(name) = &passed.name else { return Vec::new() };
        let plain = edit::object(Some(result), &[("resultType", None)]);
        let result = self.in_words_of_session(&passed.what, &plain).unwrap_or(plain);
        let told = self.answer(name, result_answer(&name.id, &result));
        vec![told, Effect::Ended(passed.ticket, how)]
    }

    /// Nobody waits for a task any more.
    pub(super) fn cancel_wait(&mut self, number: u64) -> Vec<Effect> {
        let Some(Wait { passed, .. }) = self.waits.remove(&number) else { return Vec::new() };
        let mut effects = self.cancel_task(&passed);
        effects.push(Effect::Ended(passed.ticket, Ended::Unanswered));
        effects
    }

    /// A server that made a task of a call is told that it is not wanted any more.
    pub(super) fn cancel_task(&mut self, passed: &Passed) -> Vec<Effect> {
        let Some((server, params)) = self.task_params(passed, &[]) else { return Vec::new() };
        if self.servers.get(server).is_none_or(|seat| seat.is_gone) {
            return Vec::new();
        }
        vec![self.ask(server, Why::Nothing, "tasks/cancel", &params)]
    }

    /// A server is gone, with its tasks.
    pub(super) fn waits_no_more(&mut self, server: usize) -> Vec<Effect> {
        let is_its = |wait: &Wait| wait.passed.task.as_ref().is_some_and(|it| it.server == server);
        let of_it = self.waits.iter().filter(|(_, wait)| is_its(wait));
        let of_it: Vec<u64> = of_it.map(|(number, _)| *number).collect();
        let gone = of_it.into_iter().filter_map(|number| self.waits.remove(&number));
        let gone: Vec<Wait> = gone.collect();
        gone.iter().flat_map(|wait| self.fail(&wait.passed, "the server has ended")).collect()
    }

    /// Under which name of ours a call is that has this name for its progress.
    pub(super) fn with_progress(&self, server: usize, progress: u64) -> Option<u64> {
        let has = |why: &Why| {
            let task = why.of_client().and_then(|passed| passed.task.as_ref());
            task.is_some_and(|task| task.progress == Some(progress))
        };
        let all = self.sent.iter().filter(|(_, sent)| sent.server == server && has(&sent.why));
        all.map(|(number, _)| *number).next()
    }
}

/// When a server wants to be asked again.
fn interval(task: Option<&Members<'_>>) -> u64 {
    let said = task.and_then(|all| all.get("pollIntervalMs")?.parse().ok());
    said.unwrap_or(POLL_MS).clamp(POLL_MS_MIN, POLL_MS_MAX)
}
