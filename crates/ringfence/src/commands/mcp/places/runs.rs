//! What is run for a server to be started: its program, and who interprets that.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Act, CommandLine, Exec, FileIdentity};

use super::Around;
use super::started::{found, shebang};

/// Most programs that one start is made of: the kernel follows five first lines, each of which may start `env`.
const PROGRAMS_MAX: usize = 12;

/// Each program that is run, as a policy is asked for it: where it really lies.
pub(super) fn programs(command: &[String], around: Around<'_>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    let mut words = command.to_vec();
    while all.len() < PROGRAMS_MAX {
        let Some(file) = words.first().and_then(|it| found(it, around)) else { break };
        let Ok(real) = fs::canonicalize(file) else { break };
        let (before, is_known) = (all.len(), all.contains(&real));
        if !is_known && real.is_file() {
            all.push(real.clone());
        }
        let is_env = words.first().is_some_and(|it| Path::new(it).ends_with("env"));
        words = if is_env {
            let is_program = |word: &&String| !word.contains('=') && !word.starts_with('-');
            words.iter().skip(1).skip_while(|it| !is_program(it)).cloned().collect()
        } else if all.len() > before {
            shebang(&real).unwrap_or_default()
        } else {
            break;
        };
    }
    all
}

/// A start of a program by these words.
pub(super) fn start(program: &Path, command: &[String], around: Around<'_>) -> Option<Act> {
    let found = fs::metadata(program).ok()?;
    let program = AbsolutePath::parse(program.to_str()?).ok()?;
    let words: Vec<Vec<u8>> = command.iter().map(|word| word.clone().into_bytes()).collect();
    Some(Act::Exec(Exec {
        identity: FileIdentity { device: found.dev(), inode: found.ino() },
        command_line: CommandLine::new(program.file_name(), &words),
        cwd: AbsolutePath::parse(around.cwd.to_str()?).ok()?,
        program,
    }))
}
