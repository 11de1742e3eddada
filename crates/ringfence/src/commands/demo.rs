//! `demo`: a small scripted agent does allowed and forbidden things, and one sees what came of it.

use std::ffi::OsStr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use ringfence_core::SessionId;
use ringfence_runtime::trust;

use super::context;
use crate::cli::DemoArgs;
use crate::exit::{Done, Failure, Message};
use crate::screen::{Screen, Stream, Tone};

/// What the demo's agent does, as a shell script.
const AGENT: &str = include_str!("demo/agent.sh");

pub(crate) fn demo(args: &DemoArgs, screen: &Screen) -> Result<Done, Failure> {
    let stage = Stage::set_up()?;
    let ended = play(&stage, screen);
    if args.keep {
        screen.note(&format!("the demo's directory is kept: {}", stage.dir.display()));
    } else {
        stage.clear();
    }
    ended
}

/// The four commands of a first session, each printed before it is run.
fn play(stage: &Stage, screen: &Screen) -> Result<Done, Failure> {
    stage.run(&["init", "--agent", "generic"], screen)?.succeeded("init")?;
    let ran = stage.run(&["run", "--agent", "demo", "--", "sh", "agent.sh"], screen)?;
    let session = stage.session()?;
    stage.run(&["show", session.as_str()], screen)?.succeeded("show")?;
    let verified = stage.run(&["log", "verify", session.as_str()], screen)?;
    verified.succeeded("log verify")?;
    ran.succeeded("run")?;
    screen.note("\nthe grants that are named above were for the demo's session, which has ended");
    screen.hint("to use it in a project of yours, run `ringfence init` there");
    Ok(Done::Yes)
}

/// A project of its own, in the cache directory: a world's `/tmp` is private.
struct Stage {
    dir: PathBuf,
    program: PathBuf,
}

/// How a command of the demo ended.
struct Ended(ExitStatus);

impl Ended {
    fn succeeded(&self, what: &str) -> Result<(), Failure> {
        if self.0.success() {
            return Ok(());
        }
        let status = self.0;
        Err(Message::new(format!("the demo stopped: its `{what}` ended with {status}"))
            .hint("to see what this machine can enforce, run `ringfence doctor`")
            .could_not())
    }
}

impl Stage {
    fn set_up() -> Result<Stage, Failure> {
        let home = context::dirs()?.home().to_owned();
        let cache =
            context::environment().path("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let dir = cache.join(format!("ringfence-demo-{}", std::process::id()));
        let failed = |error: std::io::Error| {
            Message::new(format!("cannot set up `{}`: {error}", dir.display())).could_not()
        };
        let program = std::env::current_exe().map_err(failed)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(failed)?;
        std::fs::create_dir_all(dir.join(".git/hooks")).map_err(failed)?;
        std::fs::write(dir.join(".git/HEAD"), "ref: refs/heads/main\n").map_err(failed)?;
        std::fs::write(dir.join("agent.sh"), AGENT).map_err(failed)?;
        std::fs::write(dir.join("README"), "a project for an agent to work on\n")
            .map_err(failed)?;
        Ok(Stage { dir, program })
    }

    fn run(&self, words: &[&str], screen: &Screen) -> Result<Ended, Failure> {
        let line = format!("\n$ ringfence {}", words.join(" "));
        screen.note(&screen.paint(Stream::Err).tone(Tone::Heading, &line));
        let words = words.iter().map(OsStr::new);
        let status = Command::new(&self.program).args(words).current_dir(&self.dir).status();
        status.map(Ended).map_err(|error| {
            Message::new(format!("cannot start `{}`: {error}", self.program.display())).could_not()
        })
    }

    /// The session that was run here: the last one whose directory is the demo's.
    fn session(&self) -> Result<SessionId, Failure> {
        let dirs = context::dirs()?;
        let here = |id: &SessionId| {
            let first = context::opening(&dirs, id)?;
            let ringfence_core::Event::SessionOpened { cwd, .. } = first.entry.event else {
                return None;
            };
            (cwd.as_path() == real(&self.dir)).then_some(first.entry.at_ms)
        };
        let found = context::session_ids(&dirs)?
            .into_iter()
            .filter_map(|id| here(&id).map(|at| (at, id)))
            .max_by_key(|(at, _)| *at);
        found.map(|(_, id)| id).ok_or_else(|| {
            Message::new("the demo's session did not start")
                .hint("to see what this machine can enforce, run `ringfence doctor`")
                .could_not()
        })
    }

    /// Leaves nothing but the session's log.
    fn clear(&self) {
        if let Ok(dirs) = context::dirs() {
            let _ = trust::untrust(&dirs, &self.dir);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn real(dir: &Path) -> PathBuf {
    std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned())
}
