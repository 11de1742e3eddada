//! What a message of a server belongs to, for whoever looks at it before it is passed on.

use super::super::frame::{Id, Kind, Message};
use super::{Middle, Why};

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
