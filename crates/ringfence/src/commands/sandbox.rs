//! `sandbox`: every start of a known agent on this account is governed, and what that does not cover.

mod logs;
mod status;

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence_runtime::account::shells::{Change, Refused, Shell, Wanted};
use ringfence_runtime::account::{self, AGENTS, Owner};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::suggest::unified;
use ringfence_runtime::whole_file::FileError;
use ringfence_runtime::wording::printable;

use super::context;
use crate::cli::{
    SandboxCommand, SandboxDisableArgs, SandboxEnableArgs, SandboxStartArgs, ShellName,
};
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

/// What a shell exits with where there is no such program.
const NOT_FOUND: u8 = 127;

/// What the commands look at: the account as it is now.
struct Account {
    dirs: StateDirs,
    environment: Environment,
    /// The program that stand-ins start.
    ringfence: PathBuf,
}

pub(crate) fn sandbox(command: SandboxCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        SandboxCommand::Start(args) => start(&args, screen),
        SandboxCommand::Logs(args) => logs::logs(&args, screen),
        SandboxCommand::Status(args) => status::status(&args, &Account::find()?, screen),
        SandboxCommand::Enable(args) => enable(&args, &Account::find()?, screen),
        SandboxCommand::Disable(args) => disable(&args, &Account::find()?, screen),
    }
}

impl Account {
    fn find() -> Result<Account, Failure> {
        let dirs = context::dirs()?;
        Ok(Account { dirs, environment: context::environment(), ringfence: own_program()? })
    }

    fn owner(&self) -> Owner<'_> {
        Owner { ringfence: &self.ringfence, environment: &self.environment }
    }

    fn path(&self) -> String {
        let path = self.environment.text("PATH").unwrap_or_default();
        account::path_without(path, &account::dir(&self.dirs))
    }

    fn files(&self, shell: Shell) -> Vec<PathBuf> {
        shell.files(self.dirs.home(), &self.environment)
    }

    fn is_installed(&self, shell: Shell) -> bool {
        account::find(shell.name(), &self.path()).is_some()
    }

    fn lines(&self, shell: Shell) -> String {
        shell.lines(&account::dir(&self.dirs))
    }
}

fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Message::new(format!("cannot find this program: {error}")).could_not())
}

fn enable(args: &SandboxEnableArgs, account: &Account, screen: &Screen) -> Result<Done, Failure> {
    let own = account::dir(&account.dirs);
    // `PATH` is a list with colons.
    if own.to_str().is_none_or(|text| text.contains([':', '\n'])) {
        let message = format!("`{}` cannot stand in `PATH`", printable(&own.to_string_lossy()));
        return Err(Message::new(message).could_not());
    }
    let named: Vec<Shell> = args.shell.iter().map(|name| shell(*name)).collect();
    let is_meant = |shell: &Shell| {
        if named.is_empty() { account.is_installed(*shell) } else { named.contains(shell) }
    };
    let mut changes = Vec::new();
    for shell in Shell::ALL.into_iter().filter(is_meant) {
        let lines = account.lines(shell);
        for file in account.files(shell) {
            changes.push(plan(&file, account, Wanted::Lines(&lines))?);
        }
    }
    if changes.is_empty() {
        return Err(Message::new("none of bash, zsh and fish is installed").could_not());
    }
    if args.dry_run {
        screen.data(&differences(&changes))?;
        return Ok(Done::Yes);
    }
    account.dirs.create()?;
    // What stands in is there before a shell looks for it.
    account::write(&account.dirs, account.owner()).map_err(|error| cannot(&error))?;
    carry_out(&changes, screen)?;
    screen.note("known agents start under Ringfence in every shell that is opened from now on");
    screen.hint("to see what is covered and what is not, run `ringfence sandbox status`");
    Ok(Done::Yes)
}

fn disable(args: &SandboxDisableArgs, account: &Account, screen: &Screen) -> Result<Done, Failure> {
    let mut changes = Vec::new();
    for shell in Shell::ALL {
        for file in candidates(shell, account) {
            let change = plan(&file, account, Wanted::Nothing)?;
            if change.is_needed() {
                changes.push(change);
            }
        }
    }
    if args.dry_run {
        screen.data(&differences(&changes))?;
        return Ok(Done::Yes);
    }
    // The shells first: one that is opened meanwhile finds the agents themselves.
    carry_out(&changes, screen)?;
    account::remove(&account.dirs).map_err(|error| cannot(&error))?;
    screen.note("agents start by themselves in every shell that is opened from now on");
    screen.hint("to start one under Ringfence, run `ringfence run -- CMD`");
    Ok(Done::Yes)
}

/// Where a block may be: also in a file that the shell has come to read since.
fn candidates(shell: Shell, account: &Account) -> Vec<PathBuf> {
    let mut files = account.files(shell);
    if shell == Shell::Bash {
        let names = [".bash_profile", ".bash_login", ".profile"];
        files.extend(names.map(|name| account.dirs.home().join(name)));
    }
    files.sort();
    files.dedup();
    files
}

fn shell(name: ShellName) -> Shell {
    match name {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    }
}

fn plan(file: &Path, account: &Account, wanted: Wanted<'_>) -> Result<Change, Failure> {
    Change::plan(file, account.dirs.home(), wanted).map_err(|error| {
        let message = Message::new(printable(&error.to_string()));
        match error {
            Refused::NotOurs { .. } => message.detail("nothing was changed").hint(
                "to leave a shell out, name the others: `ringfence sandbox enable --shell bash`",
            ),
            Refused::Broken { .. } => {
                message.detail("nothing was changed; take the rest of it out by hand")
            }
            Refused::File(_) => message,
        }
        .could_not()
    })
}

fn carry_out(changes: &[Change], screen: &Screen) -> Result<(), Failure> {
    for change in changes.iter().filter(|change| change.is_needed()) {
        change.carry_out().map_err(|error| cannot(&error))?;
        screen.note(&format!("changed: {}", printable(&change.path.display().to_string())));
    }
    Ok(())
}

fn cannot(error: &FileError) -> Failure {
    Message::new(printable(&error.to_string())).could_not()
}

fn differences(changes: &[Change]) -> String {
    let text = |bytes: &Option<Vec<u8>>| {
        String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned()
    };
    let one = |change: &Change| {
        let name = change.path.display().to_string();
        unified(name.trim_start_matches('/'), &text(&change.then), &text(&change.now))
    };
    changes.iter().map(one).collect()
}

/// What a stand-in does: the agent itself, under Ringfence.
fn start(args: &SandboxStartArgs, screen: &Screen) -> Result<Done, Failure> {
    let Some((agent, arguments)) = args.command.split_first() else {
        return Err(Message::new("no agent is named").could_not());
    };
    let name = agent.to_str().filter(|name| AGENTS.contains(name));
    let Some(name) = name else {
        let message =
            format!("`{}` is no agent that is known", printable(&agent.to_string_lossy()));
        return Err(Message::new(message).could_not());
    };
    let dirs = context::dirs_anywhere()?;
    let environment = context::environment();
    let path = environment.text("PATH").unwrap_or_default();
    let path = account::path_without(path, &account::dir(&dirs));
    if account::find(name, &path).is_none() {
        screen.note(&format!("{name}: not found"));
        return Ok(Done::Child(NOT_FOUND));
    }
    // A world has none of the stand-ins, and no variable says that this is one: it could be set anywhere.
    let mut command = Command::new(own_program()?);
    command.args(["run", "--", name]);
    let error: io::Error = command.args(arguments).env("PATH", path).exec();
    Err(Message::new(format!("cannot start `{name}`: {error}")).could_not())
}
