//! The functions of libc that come here first.

mod exec;
mod files;
mod open;
mod shell;
mod sockets;
mod spawn;
mod streams;
mod syscall;
mod temporary;

use libc::{c_int, c_long};

use crate::ask::{Answer, ask};
use crate::raw;

/// Asks about a call that returns 0, and makes it if it is to go on.
fn decided(number: c_long, args: [u64; 6]) -> c_int {
    match ask(number, args) {
        Answer::GoOn => result(raw::number(number, args)),
        Answer::Done => 0,
        Answer::Fail(errno) => raw::fail(errno),
        // Nothing that was asked for here opens.
        Answer::File(file) => {
            raw::close(file);
            raw::fail(libc::EACCES)
        }
    }
}

fn result(made: Result<c_int, c_int>) -> c_int {
    made.unwrap_or_else(raw::fail)
}
