//! The project's own tasks: `cargo xtask setup|test|tidy|gen|bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's tool talks")]

mod arrows;
mod bench;
mod process;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup [--yes]   say what the tests need and is missing; with --yes install it
  test [--long]   format, lints, licences, all tests, tidy, generated files; --long: full counts
  tidy            crate arrows, file sizes, files nothing includes, leftovers
  gen [--check]   write (or compare) man pages, completions, the command-line reference, schemas
  bench [NAME]    compare with peers in one interleaved run (release build)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["setup"] => setup::report(),
        ["setup", "--yes"] => setup::install(),
        ["test"] => test::run(test::Counts::Short),
        ["test", "--long"] => test::run(test::Counts::Long),
        ["tidy"] => tidy::run(),
        ["gen"] => test::generate(test::Generated::Write),
        ["gen", "--check"] => test::generate(test::Generated::Compare),
        ["bench", names @ ..] => bench::run(names),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
