//! The program; everything it does is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringfence::main(std::env::args_os().collect())
}
