//! The command `ringfence`: parses the command line, calls the crates, renders what they answer.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

pub mod cli;
mod commands;
pub mod exit;
pub mod prompt;
pub mod render;
pub mod screen;
mod usage;

use cli::{Cli, Command};
use exit::{Codes, Done, Failure};
use screen::Screen;

/// Runs one command line, `arguments` with the program's own name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let is_run = arguments.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let codes = if is_run.is_some_and(|word| word == "run") { Codes::Run } else { Codes::Answer };
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(mut error) => {
            usage::correct(&mut error);
            // A closed stdout is the only way this fails, and then nobody reads it.
            let _ = error.print();
            let screen = Screen::new(cli::ColorChoice::Auto, |name| std::env::var_os(name));
            if let Some(hint) = usage::hint(&error) {
                screen.hint(&hint);
            }
            return if error.use_stderr() { codes.usage() } else { ExitCode::SUCCESS };
        }
    };
    let screen = Screen::new(cli.color, |name| std::env::var_os(name));
    let result = dispatch(cli.command, &screen);
    if let Err(failure) = &result {
        screen.failure(failure);
    }
    codes.of(&result)
}

fn dispatch(command: Command, screen: &Screen) -> Result<Done, Failure> {
    match command {
        Command::Run(args) => commands::run::run(args, screen),
        Command::Warm(args) => commands::warm::warm(&args, screen),
        Command::Parked => commands::warm::parked::park(),
        Command::Policy(command) => commands::policy::policy(&command, screen),
        Command::Decide(args) => commands::decide::decide(&args, screen),
        Command::Net(command) => commands::net::net(&command, screen),
        Command::Secret(command) => commands::secret::secret(command, screen),
        Command::Mcp(command) => commands::mcp::mcp(command, screen),
        Command::Trust(args) => commands::trust::trust(&args, screen),
        Command::Untrust(args) => commands::trust::untrust(&args, screen),
        Command::Grants(command) => commands::grants::grants(&command, screen),
        Command::Sessions(args) => commands::sessions::list(&args, screen),
        Command::Show(args) => commands::show::show(&args, screen),
        Command::Review(command) => commands::review::review(&command, screen),
        Command::Log(command) => commands::log::log(&command, screen),
        Command::Export(command) => commands::export::export(&command, screen),
        Command::Explain(args) => commands::explain::explain(&args, screen),
        Command::Suggest(args) => commands::suggest::suggest(&args, screen),
        Command::Approve(args) => commands::approve::approve(&args, screen),
        Command::Grant(args) => commands::grant::grant(&args, screen),
        Command::Doctor(args) => commands::doctor::doctor(&args, screen),
        Command::Init(args) => commands::init::init(&args, screen),
        Command::World(command) => commands::world::world(command, screen),
        Command::Sandbox(command) => commands::sandbox::sandbox(command, screen),
        Command::Demo(args) => commands::demo::demo(&args, screen),
    }
}
