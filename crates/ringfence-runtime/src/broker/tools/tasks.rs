//! What is remembered of tasks that servers made of calls: what rules said about the results, which holds for what is
//! asked of a task later and for what its server tells of it unasked, and which call it was, for what comes of the task
//! has come of that.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, VecDeque};

use ringfence_core::Handling;
use ringfence_proxy::mcp::frame::{Answer, Kind, Members, Message, string};
use ringfence_proxy::mcp::middle::Called;
use ringfence_proxy::mcp::outcome::Of;
use serde_json::Value;

/// Most tasks of which what rules said is remembered one by one; beyond, it holds for all of a server's.
const TASKS_MAX: usize = 10_000;

/// Longest name that is remembered, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What is remembered of tasks, by their servers and names.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_name: HashMap<(usize, String), Handling>,
    /// Of tasks beyond the limit.
    rest: HashMap<usize, Handling>,
    /// The calls that they were made of, by ticket.
    calls: HashMap<(usize, String), u64>,
    /// The oldest first.
    order: VecDeque<(usize, String)>,
}

impl Tasks {
    /// A server has answered a call: if with a task, what is said about the call holds for that.
    pub(super) fn made(&mut self, server: usize, message: &Message, handling: &Handling) {
        if handling.is_empty() {
            return;
        }
        for name in made(message) {
            let is_new = !self.by_name.contains_key(&(server, name.clone()));
            if name.len() > NAME_BYTES_MAX || (self.by_name.len() >= TASKS_MAX && is_new) {
                self.rest.entry(server).or_default().add(handling);
                continue;
            }
            self.by_name.entry((server, name)).or_default().add(handling);
        }
    }

    /// A server has answered a call of a tool: if with a task, what comes of that has come of the call.
    pub(super) fn made_of(&mut self, server: usize, message: &Message, ticket: u64) {
        for name in made(message).into_iter().filter(|name| name.len() <= NAME_BYTES_MAX) {
            let of = (server, name);
            if self.calls.insert(of.clone(), ticket).is_some() {
                continue;
            }
            if self.order.len() >= TASKS_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.calls.remove(&oldest);
            }
            self.order.push_back(of);
        }
    }

    /// The call whose outcome is asked for, by asking for that of its task; and how the answer says it.
    pub(super) fn of_call(
        &self,
        server: usize,
        what: &Called,
        arguments: &Value,
    ) -> Option<(u64, Of)> {
        let of = match what {
            Called::Method(method) if method == "tasks/result" => Of::Call,
            Called::Method(method) if method == "tasks/get" => Of::Task,
            Called::Method(_) | Called::Tool(_) => return None,
        };
        let name = arguments.get("taskId")?.as_str()?;
        Some((*self.calls.get(&(server, name.to_owned()))?, of))
    }

    /// What holds for the answer to something that a server is asked, besides what is said about the asking.
    pub(super) fn asked(&self, server: usize, what: &Called, arguments: &Value) -> Handling {
        let mut all = Handling::default();
        let Called::Method(method) = what else { return all };
        if !method.starts_with("tasks/") {
            return all;
        }
        let Some(name) = arguments.get("taskId").and_then(Value::as_str) else {
            return self.of(server);
        };
        let of_it = self.by_name.get(&(server, name.to_owned()));
        of_it.into_iter().chain(self.rest.get(&server)).for_each(|handling| all.add(handling));
        all
    }

    /// What holds for all that a server tells of its tasks.
    pub(super) fn of(&self, server: usize) -> Handling {
        let mut all = self.rest.get(&server).cloned().unwrap_or_default();
        let of_server = self.by_name.iter().filter(|((of, _), _)| *of == server);
        of_server.for_each(|(_, handling)| all.add(handling));
        all
    }
}

/// The tasks that an answer says were made: `CreateTaskResult` of 2025-11-25, and of the extension of 2026-07-28. One
/// that reads as both is taken for one by one client, and for the other by another.
fn made(message: &Message) -> BTreeSet<String> {
    let Kind::Response { answer: Answer::Result(at), .. } = message.kind() else {
        return BTreeSet::new();
    };
    let Some(result) = Members::of(message.part(at)) else { return BTreeSet::new() };
    let task = result.get("task").and_then(Members::of);
    let named = [task.as_ref().and_then(|task| task.get("taskId")), result.get("taskId")];
    named.into_iter().flatten().filter_map(string).map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use ringfence_core::Detector;
    use ringfence_proxy::mcp::frame::Frame;

    use super::*;

    fn message(result: &str) -> Message {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let Frame::One(message) = Frame::parse(text.into_bytes()).unwrap() else { panic!() };
        message
    }

    #[test]
    fn what_rules_said_holds_for_every_task_that_an_answer_names() {
        let redact = Detector::list("secrets").unwrap();
        let handling = Handling { redact, ..Handling::default() };
        let get = Called::Method("tasks/get".to_owned());
        for (result, names) in [
            (r#"{"task":{"taskId":"a"}}"#, &["a"][..]),
            (r#"{"taskId":"b"}"#, &["b"]),
            (r#"{"task":{},"taskId":"b"}"#, &["b"]),
            (r#"{"task":{"taskId":1},"taskId":"b"}"#, &["b"]),
            (r#"{"task":{"taskId":"a"},"taskId":"b"}"#, &["a", "b"]),
            (r#"{"task":"a"}"#, &[]),
        ] {
            let mut tasks = Tasks::default();
            tasks.made(0, &message(result), &handling);
            tasks.made_of(0, &message(result), 7);
            for name in ["a", "b"] {
                let arguments = serde_json::json!({ "taskId": name });
                let is_named = names.contains(&name);
                let asked = tasks.asked(0, &get, &arguments);
                assert_eq!(asked == handling, is_named, "{result}: {name}");
                let of_call = tasks.of_call(0, &get, &arguments).map(|(ticket, _)| ticket);
                assert_eq!(of_call, is_named.then_some(7), "{result}: {name}");
            }
        }
    }
}
