//! `run`: starts an agent under the policy.

use crate::cli::RunArgs;
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

pub(crate) fn run(_args: RunArgs, _screen: &Screen) -> Result<Done, Failure> {
    Err(Message::new("this build cannot start worlds").could_not())
}
