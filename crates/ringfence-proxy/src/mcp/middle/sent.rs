//! What servers have been sent and have not answered.

use super::passing::Passed;

/// A request that a server has been sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) server: usize,
    pub(super) why: Why,
}

/// What an answer is for.
#[derive(Debug)]
pub(super) enum Why {
    /// The client asked.
    Client(Box<Passed>),
    /// It is part of something that is gathered.
    Gathering(u64),
    /// It is part of our own list of its tools.
    Own,
    /// We asked it who it is.
    Discover,
    /// We asked it to begin.
    Initialize,
    /// We asked it to begin anew.
    Again,
    /// We asked it to tell of changes: the number of a watch.
    Watch(u64),
    /// We asked how far its task is: the number of a wait.
    Task(u64),
    /// We told its task what it wanted to know.
    TaskTold(u64),
    /// Nothing: it has been told something that is answered.
    Nothing,
}

impl Why {
    /// The request of the client, where the answer is for that.
    pub(super) fn of_client(&self) -> Option<&Passed> {
        if let Why::Client(passed) = self { Some(passed) } else { None }
    }

    pub(super) fn of_client_mut(&mut self) -> Option<&mut Passed> {
        if let Why::Client(passed) = self { Some(passed) } else { None }
    }

    pub(super) fn into_client(self) -> Option<Box<Passed>> {
        if let Why::Client(passed) = self { Some(passed) } else { None }
    }
}
