//! What a message of a server belongs to, for whoever looks at it before it is passed on.

use super::super::frame::{Answer, Id, Kind, Message};
use super::passing::is_of;
use super::{Called, Era, Middle, Why};

/// What a message of a server belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// It answers a call that was permitted, by its ticket.
    Call(u64),
    /// It says how far the task is that was made of such a call, by the call's ticket.
    Far(u64),
    /// It says which tools there are, word for word as a person has looked at them.
    Definitions,
    /// It says what the server is, and what it wants the agent to know of it.
    Hello,
    /// Anything else.
    Other,
}

impl Middle {
    /// Members of what a message brings that are echoed by whoever has them and read by nobody, so that a changed one
    /// would be another: those that its method has, and no others. To be asked before [`Middle::from_server`] has it.
    pub fn echoed(&self, server: usize, message: &Message) -> &'static [&'static str] {
        let (id, result) = match message.kind() {
            Kind::Request { method, .. } | Kind::Notification { method, .. } => {
                return echoed_in(method);
            }
            Kind::Response { id: Some(id), answer: Answer::Result(at), .. } => {
                (id, message.part(at))
            }
            Kind::Response { .. } => return &[],
        };
        let sent = Id::as_number(id).and_then(|number| self.sent.get(&number));
        match sent.filter(|sent| sent.server == server).map(|sent| &sent.why) {
            Some(Why::Gathering(_) | Why::Own) => &["nextCursor"],
            Some(Why::Task(_) | Why::TaskTold(_)) => &["taskId"],
            Some(Why::Client(passed)) => match &passed.what {
                Called::Method(method) if is_of_tasks(method) => &["taskId"],
                Called::Method(method) if method.ends_with("/list") => &["nextCursor"],
                // Older revisions have no such results, and their clients no use for these names.
                Called::Method(_) | Called::Tool(_) if self.era(server) != Some(Era::Modern) => &[],
                Called::Method(_) | Called::Tool(_) if is_of(result, "input_required") => {
                    &["requestState"]
                }
                Called::Method(_) | Called::Tool(_) if is_of(result, "task") => &["taskId"],
                Called::Method(_) | Called::Tool(_) => &[],
            },
            Some(Why::Discover | Why::Initialize | Why::Again | Why::Watch(_) | Why::Nothing)
            | None => &[],
        }
    }

    /// What a message belongs to; to be asked before [`Middle::from_server`] has it.
    pub fn whose(&self, server: usize, message: &Message) -> Whose {
        let Kind::Response { id: Some(id), .. } = message.kind() else { return Whose::Other };
        let number = Id::as_number(id);
        let sent = number.and_then(|number| self.sent.get(&number));
        match sent.filter(|sent| sent.server == server).map(|sent| &sent.why) {
            Some(Why::Client(passed)) => Whose::Call(passed.ticket),
            Some(Why::Task(wait) | Why::TaskTold(wait)) => {
                self.waits.get(wait).map_or(Whose::Other, |wait| Whose::Far(wait.ticket()))
            }
            Some(Why::Own) => Whose::Definitions,
            Some(Why::Gathering(number)) => match self.gathered.get(number) {
                Some(gathered) if gathered.is_of_tools() => Whose::Definitions,
                Some(_) | None => Whose::Other,
            },
            Some(Why::Discover | Why::Initialize | Why::Again) => Whose::Hello,
            Some(Why::Watch(_) | Why::Nothing) | None => Whose::Other,
        }
    }
}

/// Requests whose answers are a task.
fn is_of_tasks(method: &str) -> bool {
    matches!(method, "tasks/get" | "tasks/update" | "tasks/cancel")
}

/// The same of what a server tells or asks.
fn echoed_in(method: &str) -> &'static [&'static str] {
    match method {
        "notifications/progress" => &["progressToken"],
        "notifications/cancelled" => &["requestId"],
        "notifications/tasks/status" | "tasks/result" => &["taskId"],
        method if is_of_tasks(method) => &["taskId"],
        _ => &[],
    }
}
