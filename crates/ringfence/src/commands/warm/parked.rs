//! The process of a world that is kept ready: `ringfence warm` starts it, a caller takes it.
//!
//! It is a fresh process with an empty environment, a session of its own and streams that lead nowhere,
//! and serves one caller. What it does before is [`Parked::park`]; all else is done for the caller, with
//! what the caller sent and with what the files say by then.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use ringfence_runtime::broker::Parked;
use ringfence_runtime::environment::Environment;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::warm::kin::Kin;
use ringfence_runtime::warm::letter::Letter;
use ringfence_runtime::warm::line::{self, Line};
use ringfence_runtime::warm::place::{self, Kind};
use ringfence_runtime::warm::proof::Proof;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::{socket_peercred, socket_type};

use super::super::run::{self, Here};
use super::{CALLER_WAIT, ENDED, FAILED, GO, LETTER, READY, REFUSED, TAKEN};
use crate::cli::{Cli, Command, RunArgs};
use crate::exit::{Codes, Done, Failure, Message};
use crate::screen::Screen;

/// How long a world waits before another takes its place: whatever a start has that nobody thought of
/// is never older.
const WORLD_AGE_MAX: Timespec = Timespec { tv_sec: 10 * 60, tv_nsec: 0 };

/// Waits for one caller, on the word of the keeper at standard input.
pub(crate) fn park() -> Result<Done, Failure> {
    let failed = |error: io::Error| {
        Message::new(format!("only `ringfence warm` starts this: {error}")).could_not()
    };
    let keeper = leave_keeper().map_err(failed)?;
    match World::ready(&keeper) {
        Ok(world) => {
            let _ = keeper.send(&[READY], &[]);
            Ok(world.wait(&keeper))
        }
        Err(why) => {
            let _ = keeper.send(&[&[FAILED], why.as_bytes()].concat(), &[]);
            Ok(Done::No)
        }
    }
}

/// Keeps nothing of the keeper's but the line to it: neither terminal nor stream nor place.
fn leave_keeper() -> io::Result<Line> {
    let stdin = rustix::stdio::stdin();
    socket_type(stdin)?;
    let keeper = Line::from(rustix::io::fcntl_dupfd_cloexec(stdin, 3)?);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    rustix::process::setsid()?;
    Ok(keeper)
}

/// A world that waits.
struct World {
    parked: Parked,
    kin: Kin,
    proof: Proof,
    dirs: StateDirs,
    listener: OwnedFd,
    socket: PathBuf,
}

impl World {
    fn ready(keeper: &Line) -> Result<World, String> {
        let said = |error: io::Error| error.to_string();
        // First: a guarded process cannot be looked at any more.
        let kin = Kin::own().map_err(said)?;
        let heard = keeper.receive(Some(CALLER_WAIT)).map_err(said)?;
        let letter = heard.and_then(|heard| heard.fds.into_iter().next()).ok_or("no letter")?;
        let letter = Letter::read(letter).map_err(said)?;
        let Some((Command::Warm(args), _)) = parsed(&letter) else {
            return Err("the letter is none of a keeper".to_owned());
        };
        let dirs = StateDirs::locate(&letter.environment).map_err(|error| error.to_string())?;
        let parked =
            Parked::park(&dirs, &letter.cwd, &args.policy).map_err(|error| error.to_string())?;
        // Holds no directory of the person's.
        std::env::set_current_dir("/").map_err(said)?;
        place::create_dir(dirs.runtime()).map_err(|error| error.to_string())?;
        let pid = std::process::id();
        let socket = place::socket(dirs.runtime(), Kind::World, parked.project(), pid);
        let listener = line::listen(&socket).map_err(said)?;
        let proof = Proof::new().map_err(said)?;
        Ok(World { parked, kin, proof, dirs, listener, socket })
    }

    /// Until a caller comes, the keeper is gone, or there should be a fresher one.
    fn wait(self, keeper: &Line) -> Done {
        let called = loop {
            let mut fds = [
                PollFd::new(&self.listener, PollFlags::IN),
                PollFd::new(keeper, PollFlags::IN),
                PollFd::new(self.parked.mounts(), PollFlags::PRI),
            ];
            match poll(&mut fds, Some(&WORLD_AGE_MAX)) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) | Err(_) => break false,
                Ok(_) => {}
            }
            let [called, left, mounted] = fds.map(|fd| !fd.revents().is_empty());
            break called && !left && !mounted;
        };
        // From here on nobody else finds it.
        let _ = std::fs::remove_file(&self.socket);
        if !called {
            return Done::Yes;
        }
        let Ok(line) = Line::accept(&self.listener) else { return Done::No };
        let World { parked, kin, proof, dirs, listener, .. } = self;
        drop(listener);
        let _ = keeper.send(&[TAKEN], &[]);
        match taken(&parked, (&kin, proof), &dirs, &line) {
            Ok(caller) => serve(parked, caller, &line),
            Err(why) => {
                let _ = line.send(&[&[REFUSED], why.as_bytes()].concat(), &[]);
                Done::No
            }
        }
    }
}

/// A caller whom this world may serve.
struct Caller {
    args: RunArgs,
    here: Here,
    screen: Screen,
    umask: Mode,
    streams: [OwnedFd; 3],
}

/// What a letter asks for, and its screen.
fn parsed(letter: &Letter) -> Option<(Command, Screen)> {
    let cli = Cli::try_parse_from(&letter.words).ok()?;
    let variable = |name: &str| letter.environment.get(name).map(ToOwned::to_owned);
    Some((cli.command, Screen::new(cli.color, variable)))
}

/// Looks at who calls and takes what they send; the error says why they are not served.
fn taken(
    parked: &Parked,
    (own, proof): (&Kin, Proof),
    dirs: &StateDirs,
    line: &Line,
) -> Result<Caller, String> {
    let peer = socket_peercred(line).map_err(|error| error.to_string())?;
    if peer.uid != rustix::process::geteuid() {
        return Err("the world is another user's".to_owned());
    }
    // First, whoever it is: a line that is closed with something unread loses the answer.
    let unread = |_| "what was sent cannot be read".to_owned();
    let heard = line.receive(Some(CALLER_WAIT)).map_err(unread)?;
    let kin = Kin::of_process(peer.pid.as_raw_nonzero().get())
        .map_err(|_| "who calls cannot be looked at".to_owned())?;
    let differs = |what: &str| Err(format!("{what} differs from that of `ringfence warm`"));
    if let Some(what) = own.differs(&kin) {
        return differs(&what);
    }
    let (told, fds) = heard.map(|heard| (heard.bytes, heard.fds)).unwrap_or_default();
    let is_proved = told.strip_prefix(LETTER).is_some_and(|told| proof.is(told));
    if kin.is_held_unseen() && !is_proved {
        return Err("who calls may be confined in a way that `ringfence warm` is not".to_owned());
    }
    // The session's own processes have no such file.
    drop(proof);
    let Ok([letter, stdin, stdout, stderr]) = <[OwnedFd; 4]>::try_from(fds) else {
        return Err("what was sent is no letter with three streams".to_owned());
    };
    let letter = Letter::read(letter).map_err(unread)?;
    let Some((Command::Run(args), screen)) = parsed(&letter) else {
        return Err("the letter asks for no session".to_owned());
    };
    let Letter { environment, cwd, .. } = letter;
    if StateDirs::locate(&environment).ok().as_ref() != Some(dirs) {
        return differs("where Ringfence keeps its state");
    }
    if environment.get("TZ") != zone().get("TZ") {
        return differs("TZ");
    }
    if !kin.is_at(&cwd) {
        return Err("the working directory is another than its name says".to_owned());
    }
    if !parked.is_fresh() {
        return Err("mounts of this host have changed".to_owned());
    }
    let here = Here { dirs: dirs.clone(), environment, cwd };
    Ok(Caller { args, here, screen, umask: kin.umask(), streams: [stdin, stdout, stderr] })
}

/// The one variable that this process has, because the clock looks at it.
fn zone() -> Environment {
    std::env::vars_os().filter(|(name, _)| name == "TZ").collect()
}

/// Runs the caller's session, once they have given their word that they wait for it.
fn serve(parked: Parked, caller: Caller, line: &Line) -> Done {
    let agreed = line.send(&[TAKEN], &[]).and_then(|()| line.receive(Some(CALLER_WAIT)));
    if !matches!(agreed, Ok(Some(heard)) if heard.bytes == [GO]) {
        return Done::No;
    }
    let Caller { args, here, screen, umask, streams } = caller;
    let result = become_as(&here.cwd, umask, &streams)
        .and_then(|()| {
            drop(streams);
            line.try_clone()
        })
        .map_err(|error| {
            Message::new(format!("cannot take the caller's place: {error}")).could_not()
        })
        .and_then(|line| {
            let (request, ending) = run::request(args, here)?;
            let ended = parked.run(&request, line, &mut |notice| run::tell(notice, &screen));
            run::end(ended, ending, &screen)
        });
    if let Err(failure) = &result {
        screen.failure(failure);
    }
    let _ = line.send(&[ENDED, Codes::Run.number(&result)], &[]);
    Done::Yes
}

/// Takes the caller's place.
fn become_as(cwd: &Path, umask: Mode, streams: &[OwnedFd; 3]) -> io::Result<()> {
    let [stdin, stdout, stderr] = streams;
    rustix::stdio::dup2_stdin(stdin)?;
    rustix::stdio::dup2_stdout(stdout)?;
    rustix::stdio::dup2_stderr(stderr)?;
    rustix::process::umask(umask);
    std::env::set_current_dir(cwd)
}
