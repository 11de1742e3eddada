//! What a server behind an address says, and to whom.

use super::super::super::frame::{Frame, Message};

/// Takes what a server says; the error gives it back.
pub type Say = dyn Fn(Word) -> Result<(), Unheard<Word>> + Send + Sync;

/// What a server says.
#[derive(Debug)]
pub enum Word {
    /// What was read as messages already.
    Frame(Frame),
    /// What is none, or was not read yet.
    Line(Vec<u8>),
    /// It does not know its session any more, and has not done what it was asked just now, if that was a request.
    Forgot(Option<Box<Message>>),
    /// Nothing more.
    End,
}

impl Word {
    /// How long it is, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Word::Frame(frame) => frame.bytes(),
            Word::Line(line) => line.len(),
            Word::Forgot(_) | Word::End => 0,
        }
    }
}

/// Why something was not taken.
#[derive(Debug)]
pub enum Unheard<T> {
    /// There is no room for it yet.
    Full(T),
    /// Nobody listens any more.
    Gone,
}
