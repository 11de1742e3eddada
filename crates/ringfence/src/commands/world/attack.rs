//! `world attack`: one attack, or all of them, each in a process of its own.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringfence_sandbox::attacks::{self, Target};
use serde::{Deserialize, Serialize};

use crate::cli::WorldAttackArgs;
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

/// The longest that one attack may take.
const ATTACK_TIME_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// What became of one attack, as far as it knows itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tried {
    /// Its name.
    pub(super) attack: String,
    /// Whether it succeeded.
    pub(super) reached: bool,
    /// How it failed.
    pub(super) said: String,
    /// Whether the policy permits it.
    #[serde(skip)]
    pub(super) is_permitted: bool,
}

/// Reads what [`attack`] printed.
pub(super) fn read_all(lines: &[u8]) -> Vec<Tried> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

pub(super) fn attack(args: &WorldAttackArgs, screen: &Screen) -> Result<Done, Failure> {
    let target = Target::parse(&args.target)
        .ok_or_else(|| Message::new("this is for `ringfence world verify`").could_not())?;
    let Some(name) = &args.only else {
        for attack in attacks::all() {
            screen.json(&in_process(attack.name, args))?;
        }
        return Ok(Done::Yes);
    };
    let found = attacks::all().into_iter().find(|attack| attack.name == name);
    let done = found.map(|attack| attack.attempt(&target)).or_else(|| attacks::part(name, &target));
    match done {
        Some(Ok(())) => Ok(Done::Yes),
        Some(Err(error)) => {
            screen.data(&error.to_string())?;
            Ok(Done::No)
        }
        None => Err(Message::new(format!("there is no attack `{name}`")).could_not()),
    }
}

/// Tries one in a process of its own: some end the process that tries them.
fn in_process(name: &str, args: &WorldAttackArgs) -> Tried {
    let attack = name.to_owned();
    let failed = |said: String| Tried { attack: attack.clone(), said, ..Tried::default() };
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => return failed(error.to_string()),
    };
    let mut command = Command::new(own);
    command.args(["world", "attack", "--only", name]).args(&args.target);
    let streams = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match streams.spawn() {
        Ok(child) => child,
        Err(error) => return failed(error.to_string()),
    };
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < ATTACK_TIME_MAX => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return failed("it did not come to an end".to_owned());
            }
        }
    };
    let mut said = String::new();
    if let Some(out) = &mut child.stdout {
        let _ = out.read_to_string(&mut said);
    }
    if let Some(signal) = status.signal() {
        said = format!("it was ended by signal {signal}");
    }
    Tried { attack, reached: status.success(), said: said.trim().to_owned(), is_permitted: false }
}
