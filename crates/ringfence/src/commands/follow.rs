//! A session while it runs: each entry as it is written, or a picture that is drawn anew.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ringfence_core::{Entry, EntryRef, Event, SessionId};
use ringfence_log::{LogReader, Logged, ReadError};
use ringfence_runtime::registration::Broker;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::view::{self, SessionView, State};

use super::context;
use super::log::{self, Form};
use crate::exit::{Done, Failure};
use crate::screen::Screen;

/// How often a log is looked at for what is new: a person sees no delay in that.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// How often it is asked whether the session still runs.
const ASK_PERIOD: Duration = Duration::from_millis(500);

/// How long a session may be unknown to be running before it counts as dead: between the first entry
/// of its log and the socket by which it is known lie some milliseconds.
const UNKNOWN_MAX: Duration = Duration::from_secs(2);

/// How often a picture is drawn at most, and how much longer than its drawing it stays.
const DRAW_PERIOD: Duration = Duration::from_millis(250);
const DRAW_SHARE: u32 = 4;

/// Writes every entry once, those there are and then those that come, until the session has ended.
pub(super) fn entries(
    dirs: &StateDirs,
    session: &SessionId,
    form: Form,
    screen: &Screen,
) -> Result<Done, Failure> {
    let mut follower = Follower::of(dirs, session)?;
    loop {
        while let Some(logged) = follower.next() {
            log::print(session, logged, form, screen)?;
        }
        match follower.wait(dirs)? {
            Standing::Runs => {}
            Standing::Over => return Ok(Done::Yes),
            Standing::Lost => return Ok(lost(screen)),
        }
    }
}

/// Draws a session anew whenever something was recorded, until it has ended.
pub(super) fn pictures(
    dirs: &StateDirs,
    session: &SessionId,
    screen: &Screen,
    draw: &dyn Fn(&SessionView) -> String,
) -> Result<Done, Failure> {
    let mut follower = Follower::of(dirs, session)?;
    let mut entries: Vec<(u64, Entry)> = Vec::new();
    let mut drawn = None;
    loop {
        while let Some(logged) = follower.next() {
            match logged {
                Ok(logged) => entries.push((logged.index, logged.entry)),
                // It would be drawn over at once.
                Err(ReadError::Unknown { .. }) => {}
                Err(error) => return Err(context::unreadable(session, &error)),
            }
        }
        let standing = follower.wait(dirs)?;
        if drawn == Some(entries.len()) && standing == Standing::Runs {
            continue;
        }
        let began = Instant::now();
        let mut view = view::view(entries.iter().cloned());
        view.state = if standing == Standing::Runs { State::Running } else { view.state };
        let text = draw(&view);
        match standing {
            // The last one stays whole.
            Standing::Over | Standing::Lost => {
                screen.data(&format!("{CLEAR}{text}"))?;
                return Ok(if standing == Standing::Lost { lost(screen) } else { Done::Yes });
            }
            Standing::Runs => screen.data(&format!("{CLEAR}{}", screen.page(&text)))?,
        }
        drawn = Some(entries.len());
        sleep(DRAW_PERIOD.max(began.elapsed() * DRAW_SHARE));
    }
}

/// Clears the terminal and begins at its top.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

fn lost(screen: &Screen) -> Done {
    screen.warn("no end was recorded: the session's broker died");
    Done::Yes
}

/// How a session stands whose entries have all been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// There may be more.
    Runs,
    /// Its end was read.
    Over,
    /// Nobody writes its log, and it has no end.
    Lost,
}

/// A place in a log that grows.
struct Follower<'a> {
    session: &'a SessionId,
    reader: LogReader,
    ended: bool,
    /// When it was last asked whether somebody writes it.
    asked: Option<Instant>,
    /// Since when nobody has been known to write it.
    unknown: Option<Instant>,
}

impl<'a> Follower<'a> {
    fn of(dirs: &StateDirs, session: &'a SessionId) -> Result<Follower<'a>, Failure> {
        let from = EntryRef { session: session.clone(), index: 0 };
        let reader = context::reader(dirs, &from)?;
        Ok(Follower { session, reader, ended: false, asked: None, unknown: None })
    }

    /// The next entry that is there.
    fn next(&mut self) -> Option<Result<Logged, ReadError>> {
        let next = self.reader.next();
        if let Some(Ok(logged)) = &next {
            self.ended |= matches!(logged.entry.event, Event::SessionClosed { .. });
        }
        next
    }

    /// Waits a little for more. Who looks again afterwards misses nothing, also where the session
    /// has been found dead: that was so before the last look.
    fn wait(&mut self, dirs: &StateDirs) -> Result<Standing, Failure> {
        if self.ended {
            return Ok(Standing::Over);
        }
        let dead = self.unknown.is_some_and(|since| since.elapsed() > UNKNOWN_MAX);
        if dead {
            return Ok(Standing::Lost);
        }
        if self.asked.is_none_or(|at| at.elapsed() >= ASK_PERIOD) {
            self.asked = Some(Instant::now());
            match context::broker(dirs, self.session, &context::running(dirs)?) {
                Broker::Lives | Broker::Stopped => self.unknown = None,
                Broker::Gone => {
                    self.unknown.get_or_insert_with(Instant::now);
                }
            }
        }
        sleep(LOOK_PERIOD);
        Ok(Standing::Runs)
    }
}
