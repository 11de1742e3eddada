//! Who keeps worlds: starts one for each that was taken, and answers how it stands.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ringfence_runtime::state::StateDirs;
use ringfence_runtime::warm::letter::Letter;
use ringfence_runtime::warm::line::{self, Line};
use ringfence_runtime::warm::place::{self, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;

use super::super::context;
use super::{CALLER_WAIT, FAILED, READY, Standing, TAKEN};
use crate::screen::Screen;

/// When another world takes the place of one that was taken: the session that begins in it has the
/// processors for itself until then.
const REFILL_DELAY: Duration = Duration::from_millis(30);

/// When it is tried again to make one, after one that could not be made or that did not last for as
/// long as that; twice as long each time.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// At most.
const RETRY_DELAY_MAX: Duration = Duration::from_mins(1);

/// Variables that say where Ringfence keeps its state, and in which zone it is: all that a world that
/// waits knows of the environment of who keeps it.
const NEEDED: [&str; 6] = [
    "CONTAINERS_STORAGE_CONF",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "TZ",
];

/// Who keeps worlds.
pub(super) struct Keeper {
    letter: Letter,
    standing: Standing,
    socket: Socket,
    listener: OwnedFd,
    until: Option<Instant>,
    /// Those that wait, or will.
    waiting: Vec<World>,
    /// Those that serve somebody.
    serving: Vec<World>,
    /// When the next is started, if one is missing.
    next: Instant,
    /// How long after a failure.
    retry: Duration,
    said: Option<String>,
}

/// A world's process.
struct World {
    child: Child,
    line: Line,
    begun: Instant,
    ready: bool,
}

/// A socket's name, which goes with it.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Whether it goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

impl Keeper {
    pub(super) fn start(
        (dirs, cwd): (&StateDirs, PathBuf),
        standing: Standing,
        duration: Option<Duration>,
    ) -> io::Result<Keeper> {
        let environment = context::environment();
        let needed = environment.iter().filter(|(name, _)| NEEDED.iter().any(|it| name == it));
        let letter = Letter { words: context::words(), environment: needed.collect(), cwd };
        place::create_dir(dirs.runtime()).map_err(io::Error::other)?;
        let socket = place::socket(dirs.runtime(), Kind::Keeper, &standing.project, standing.pid);
        let socket = Socket(socket);
        let listener = line::listen(&socket.0)?;
        let now = Instant::now();
        Ok(Keeper {
            letter,
            standing,
            socket,
            listener,
            until: duration.and_then(|duration| now.checked_add(duration)),
            waiting: Vec::new(),
            serving: Vec::new(),
            next: now,
            retry: RETRY_DELAY,
            said: None,
        })
    }

    /// Until it is told to stop, or its time is over.
    pub(super) fn keep(mut self, screen: &Screen) -> io::Result<()> {
        loop {
            while self.waiting.len() < self.standing.worlds && Instant::now() >= self.next {
                match World::start(&self.letter) {
                    Ok(world) => self.waiting.push(world),
                    Err(error) => self.failed(error.to_string(), screen),
                }
            }
            if self.turn(screen)? == Next::End {
                break;
            }
        }
        // First: nobody is to find it any more. Who waits ends with the line.
        drop(self.socket);
        for World { mut child, line, .. } in self.waiting {
            drop(line);
            let _ = child.wait();
        }
        Ok(())
    }

    /// Waits for whatever comes first.
    fn turn(&mut self, screen: &Screen) -> io::Result<Next> {
        let lines = self.waiting.iter().chain(&self.serving).map(|world| world.line.as_fd());
        let all = std::iter::once(self.listener.as_fd()).chain(lines);
        let mut fds: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match poll(&mut fds, self.wait().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut heard = fds.into_iter().map(|fd| !fd.revents().is_empty());
        let called = heard.next().unwrap_or_default();
        let waiting: Vec<bool> = heard.by_ref().take(self.waiting.len()).collect();
        let serving: Vec<bool> = heard.collect();
        self.hear_of_those_who_serve(&serving);
        self.hear_of_those_who_wait(&waiting, screen);
        if called && self.answer() == Next::End {
            return Ok(Next::End);
        }
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        Ok(if over { Next::End } else { Next::GoOn })
    }

    /// How long nothing is to be done; for ever where nothing is missing and no end is set.
    fn wait(&self) -> Option<Timespec> {
        let missing = self.waiting.len() < self.standing.worlds;
        let moments = missing.then_some(self.next).into_iter().chain(self.until);
        let wait = moments.min()?.saturating_duration_since(Instant::now());
        // Not a moment too early, which would be one turn for nothing.
        Timespec::try_from(wait + Duration::from_millis(1)).ok()
    }

    fn hear_of_those_who_serve(&mut self, heard: &[bool]) {
        let mut serving = Vec::new();
        for (index, mut world) in std::mem::take(&mut self.serving).into_iter().enumerate() {
            // They have nothing to say but that they end.
            if heard.get(index) == Some(&true) {
                let _ = world.child.wait();
            } else {
                serving.push(world);
            }
        }
        self.serving = serving;
    }

    fn hear_of_those_who_wait(&mut self, heard: &[bool], screen: &Screen) {
        for (index, mut world) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if heard.get(index) != Some(&true) {
                self.waiting.push(world);
                continue;
            }
            let bytes = world.line.receive(None).ok().flatten().map(|heard| heard.bytes);
            match bytes.as_deref().and_then(<[u8]>::split_first) {
                Some((&READY, _)) => {
                    world.ready = true;
                    self.said = None;
                    self.waiting.push(world);
                }
                Some((&TAKEN, _)) => {
                    self.standing.taken = self.standing.taken.saturating_add(1);
                    (self.next, self.retry) = (Instant::now() + REFILL_DELAY, RETRY_DELAY);
                    self.serving.push(world);
                }
                failed => {
                    let why = failed.filter(|(word, _)| **word == FAILED).map(|(_, why)| why);
                    self.lost(world, why, screen);
                }
            }
        }
    }

    /// One has ended that nobody took: it was to be replaced, or could not be made.
    fn lost(&mut self, mut world: World, why: Option<&[u8]>, screen: &Screen) {
        drop(world.line);
        let _ = world.child.wait();
        if !world.ready {
            let why = why.map_or("it ended".into(), String::from_utf8_lossy).into_owned();
            self.failed(why, screen);
        } else if world.begun.elapsed() > RETRY_DELAY {
            (self.next, self.retry) = (Instant::now() + REFILL_DELAY, RETRY_DELAY);
        } else {
            // On a host whose mounts change all the time none lasts.
            self.later();
        }
    }

    fn failed(&mut self, why: String, screen: &Screen) {
        if self.said.as_ref() != Some(&why) {
            screen.warn(&format!("no world can be kept ready now: {why}"));
        }
        self.said = Some(why);
        self.later();
    }

    fn later(&mut self) {
        self.next = Instant::now() + self.retry;
        self.retry = self.retry.saturating_mul(2).min(RETRY_DELAY_MAX);
    }

    /// Tells a caller how it stands; whether it goes on is theirs to say.
    fn answer(&mut self) -> Next {
        let Ok(line) = Line::accept(&self.listener) else { return Next::GoOn };
        let peer = socket_peercred(&line).map(|peer| peer.uid);
        let ours = rustix::process::geteuid();
        if !peer.is_ok_and(|uid| uid == ours || uid.is_root()) {
            return Next::GoOn;
        }
        let Ok(Some(heard)) = line.receive(Some(CALLER_WAIT)) else { return Next::GoOn };
        self.standing.ready = self.waiting.iter().filter(|world| world.ready).count();
        let standing = serde_json::to_vec(&self.standing).unwrap_or_default();
        match heard.bytes.as_slice() {
            b"stop" => {
                // Once nobody waits any more, so that who asked finds none.
                for World { mut child, line, .. } in std::mem::take(&mut self.waiting) {
                    drop(line);
                    let _ = child.wait();
                }
                let _ = std::fs::remove_file(&self.socket.0);
                let _ = line.send(&standing, &[]);
                Next::End
            }
            b"status" => {
                let _ = line.send(&standing, &[]);
                Next::GoOn
            }
            _ => Next::GoOn,
        }
    }
}

impl World {
    /// The same program, whatever is installed by now, with nothing but its zone.
    fn start(letter: &Letter) -> io::Result<World> {
        let (line, theirs) = Line::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0("ringfence").arg("parked").env_clear().current_dir("/");
        if let Some(zone) = letter.environment.get("TZ") {
            command.env("TZ", zone);
        }
        let streams = (OwnedFd::from(theirs), Stdio::null(), Stdio::null());
        let child = command.stdin(streams.0).stdout(streams.1).stderr(streams.2).spawn()?;
        let memory = letter.write()?;
        line.send(b"letter", &[memory.as_fd()])?;
        Ok(World { child, line, begun: Instant::now(), ready: false })
    }
}
