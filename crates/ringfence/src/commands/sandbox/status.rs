//! `sandbox status`: what is covered, per agent and per shell, and what is not.

use std::path::{Path, PathBuf};

use ringfence_runtime::account::shells::{Change, Shell, Wanted, aliases, holds, overtaken};
use ringfence_runtime::account::{self, AGENTS, StandIn};
use ringfence_runtime::wording::printable;
use serde::Serialize;

use super::Account;
use crate::cli::SandboxStatusArgs;
use crate::exit::{Done, Failure};
use crate::render::text;
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// What starts an agent without a look into `PATH`, or with another one.
const NOT_COVERED: &[&str] = &[
    "an agent that is started by its path, by an alias or a function of a shell",
    "extensions of editors and IDEs, which start agents of their own",
    "`npx`, `uvx`, `pipx run` and the like, which fetch an agent and start it by its path",
    "other shells than bash, zsh and fish, and shells that are told to read no files",
    "scripts of bash and zsh that no such shell has started: cron, services, `ssh HOST COMMAND`",
    "desktop starters, and shells that were open before",
    "other users, and `sudo`",
];

/// What is covered, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Status {
    schema: u32,
    /// Where the stand-ins are.
    directory: PathBuf,
    agents: Vec<AgentStatus>,
    shells: Vec<ShellStatus>,
    not_covered: &'static [&'static str],
}

#[derive(Debug, Serialize)]
struct AgentStatus {
    agent: &'static str,
    /// Its own program, where it is installed.
    program: Option<PathBuf>,
    stand_in: StandIn,
    /// Whether its name starts the stand-in where this command was started.
    here: bool,
}

#[derive(Debug, Serialize)]
struct ShellStatus {
    shell: Shell,
    installed: bool,
    covered: bool,
    files: Vec<FileStatus>,
}

#[derive(Debug, Serialize)]
struct FileStatus {
    file: PathBuf,
    /// Whether it puts the stand-ins first.
    covered: bool,
    /// Why it cannot be changed.
    refused: Option<String>,
    /// Agents that an alias in it starts otherwise.
    aliases: Vec<String>,
    /// A line behind ours that may put something before it in `PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    overtaken_at: Option<usize>,
}

pub(super) fn status(
    args: &SandboxStatusArgs,
    account: &Account,
    screen: &Screen,
) -> Result<Done, Failure> {
    let status = Status {
        schema: SCHEMA,
        directory: account::dir(&account.dirs),
        agents: AGENTS.iter().map(|agent| of_agent(account, agent)).collect(),
        shells: Shell::ALL.into_iter().map(|shell| of_shell(account, shell)).collect(),
        not_covered: NOT_COVERED,
    };
    if args.json {
        screen.json(&status)?;
        return Ok(Done::Yes);
    }
    screen.data(&render(&status, screen.room()))?;
    if status.shells.iter().any(|shell| shell.installed && !shell.covered) {
        screen.hint("to cover every shell that is installed, run `ringfence sandbox enable`");
    } else {
        screen.hint("to see what was refused, run `ringfence sandbox logs`");
    }
    Ok(Done::Yes)
}

fn of_agent(account: &Account, agent: &'static str) -> AgentStatus {
    let stand_in = account::look(&account.dirs, account.owner(), agent);
    let here = account.environment.text("PATH").and_then(|path| account::find(agent, path));
    let own = account::dir(&account.dirs).join(agent);
    let here = stand_in == StandIn::Ready && here.is_some_and(|found| found == own);
    AgentStatus { agent, program: account::find(agent, &account.path()), stand_in, here }
}

fn of_shell(account: &Account, shell: Shell) -> ShellStatus {
    let lines = account.lines(shell);
    let files: Vec<FileStatus> =
        account.files(shell).iter().map(|file| of_file(account, file, &lines)).collect();
    let ready =
        |agent: &&str| account::look(&account.dirs, account.owner(), agent) == StandIn::Ready;
    let covered = files.iter().all(|file| file.covered) && AGENTS.iter().all(ready);
    ShellStatus { shell, installed: account.is_installed(shell), covered, files }
}

fn of_file(account: &Account, file: &Path, lines: &str) -> FileStatus {
    let home = account.dirs.home();
    let refused = Change::plan(file, home, Wanted::Lines(lines)).err();
    let overtaken_at = overtaken(file, home);
    FileStatus {
        file: file.to_owned(),
        covered: holds(file, home, lines) && overtaken_at.is_none(),
        overtaken_at,
        refused: refused.map(|error| error.to_string()),
        aliases: aliases(file, home, AGENTS),
    }
}

fn render(status: &Status, columns: usize) -> String {
    let mut rows =
        vec![["agent", "program", "stand-in", "in this shell"].map(str::to_owned).to_vec()];
    for it in &status.agents {
        let program = it.program.as_ref().map(|path| printable(&path.display().to_string()));
        let stand_in = match it.stand_in {
            StandIn::Ready => "ready",
            StandIn::Absent => "none",
            StandIn::Changed => "CHANGED",
        };
        rows.push(vec![
            it.agent.to_owned(),
            program.unwrap_or_else(|| "not installed".to_owned()),
            stand_in.to_owned(),
            if it.here { "covered" } else { "not covered" }.to_owned(),
        ]);
    }
    let mut out = text::table_within(&rows, columns);
    let mut rows = vec![["shell", "file", "state"].map(str::to_owned).to_vec()];
    for shell in &status.shells {
        for file in &shell.files {
            rows.push(vec![
                shell.shell.name().to_owned(),
                printable(&file.file.display().to_string()),
                state(shell, file),
            ]);
        }
    }
    out.push('\n');
    out.push_str(&text::table_within(&rows, columns));
    out.push_str("\nnot covered:\n");
    for what in status.not_covered {
        for (at, line) in text::fold(what, columns.saturating_sub(4)).iter().enumerate() {
            out.push_str(if at == 0 { "  " } else { "    " });
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn state(shell: &ShellStatus, file: &FileStatus) -> String {
    let state = match (&file.refused, file.covered, shell.installed) {
        (Some(why), _, _) => format!("left alone: {}", printable(why)),
        (None, true, _) => "covered".to_owned(),
        (None, false, true) => match file.overtaken_at {
            Some(line) => {
                format!("not covered: line {line} may put something before the stand-ins in PATH")
            }
            None => "not covered".to_owned(),
        },
        (None, false, false) => "not installed".to_owned(),
    };
    if file.aliases.is_empty() {
        state
    } else {
        format!("{state}; an alias starts {} otherwise", file.aliases.join(", "))
    }
}
