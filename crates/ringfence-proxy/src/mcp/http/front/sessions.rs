//! The sessions of clients, by their names.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::turns::Turns;
use super::desk::Desk;
use super::{Hears, Opens};

/// Most sessions at a time.
pub(super) const SESSIONS_MAX: usize = 256;
/// How long a session is kept that nobody uses, in seconds.
const UNUSED_SECONDS_MAX: u64 = 60 * 60;
/// Most rooms for clients without a session at a time; one more takes the place of one that nobody uses just now.
const ROOMS_MAX: usize = 64;
/// How long a room is kept that nobody uses, in seconds: longer than a client may think about a question.
const ROOM_UNUSED_SECONDS_MAX: u64 = 15 * 60;

/// Who asks without a session: what it says of itself, as a digest.
pub(super) type Client = [u8; 32];

/// All sessions, and rooms for clients that have none.
pub(super) struct Sessions {
    pub(super) opens: Arc<dyn Opens>,
    /// In which what is large is read.
    pub(super) turns: Turns,
    all: Mutex<HashMap<String, Arc<Session>>>,
    rooms: Mutex<HashMap<Client, Arc<Session>>>,
    /// Held while a room is opened, so that a client that asks twice at once gets one.
    opening: tokio::sync::Mutex<()>,
    /// How many sessions there are, those that are being opened among them.
    taken: Arc<AtomicUsize>,
}

/// The session of one client.
pub(super) struct Session {
    pub(super) name: String,
    pub(super) desk: Arc<Desk>,
    pub(super) hears: Box<dyn Hears>,
    used: Mutex<Instant>,
    /// Its client has said another revision than was agreed on.
    has_differed: AtomicBool,
    /// None of a room.
    _place: Option<Place>,
}

/// One of the places that there are for sessions, until this is dropped.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A session whose client has not been told its name. Dropping it ends it: whoever goes before it began would leave
/// behind what nobody can name.
pub(super) struct Newborn<'a> {
    sessions: &'a Sessions,
    session: Arc<Session>,
    is_kept: bool,
}

impl Newborn<'_> {
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Its client is told its name.
    pub(super) fn stays(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Newborn<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.sessions.end(&self.session.name);
        }
    }
}

impl Sessions {
    pub(super) fn of(opens: Arc<dyn Opens>) -> Sessions {
        let (all, rooms, turns) = (Mutex::default(), Mutex::default(), Turns::default());
        let (opening, taken) = (tokio::sync::Mutex::default(), Arc::default());
        Sessions { opens, turns, all, rooms, opening, taken }
    }

    /// The room of a client that has no session; the error is for it.
    pub(super) async fn room(&self, of: Client) -> Result<Arc<Session>, String> {
        if let Some(room) = self.find_room(&of) {
            return Ok(room);
        }
        let _one = self.opening.lock().await;
        if let Some(room) = self.find_room(&of) {
            return Ok(room);
        }
        self.make_room()?;
        let room = self.opened((String::new(), None), Desk::without_session()).await?;
        self.rooms().insert(of, Arc::clone(&room));
        Ok(room)
    }

    fn find_room(&self, of: &Client) -> Option<Arc<Session>> {
        let mut rooms = self.rooms();
        let room = rooms.get(of).cloned()?;
        if room.desk.is_over() {
            rooms.remove(of);
            return None;
        }
        room.is_used_now();
        Some(room)
    }

    /// Sees to it that there is a place for one more room.
    fn make_room(&self) -> Result<(), String> {
        let mut rooms = self.rooms();
        if rooms.len() < ROOMS_MAX {
            return Ok(());
        }
        let idle = rooms.iter().filter(|(_, room)| !room.desk.is_read());
        let longest = idle.max_by_key(|(_, room)| room.unused_for()).map(|(of, _)| *of);
        let room = longest.and_then(|of| rooms.remove(&of));
        let room = room.ok_or_else(|| format!("{ROOMS_MAX} clients ask at once"))?;
        room.desk.close();
        Ok(())
    }

    /// What was counted.
    pub(super) fn metrics(&self) -> String {
        self.opens.metrics()
    }

    /// Opens one; the error is for the client.
    pub(super) async fn open(&self, place: Place) -> Result<Newborn<'_>, String> {
        let name = self.opens.name().map_err(|error| error.to_string())?;
        let session = self.opened((name, Some(place)), Desk::default()).await?;
        self.all().insert(session.name.clone(), Arc::clone(&session));
        Ok(Newborn { sessions: self, session, is_kept: false })
    }

    /// A place for one more, which is taken before it is opened: many that begin at once are no more than that.
    pub(super) fn place(&self) -> Result<Place, String> {
        let place = Place(Arc::clone(&self.taken));
        if self.taken.fetch_add(1, Ordering::Relaxed) >= SESSIONS_MAX {
            return Err(format!("more than {SESSIONS_MAX} sessions are open"));
        }
        Ok(place)
    }

    async fn opened(
        &self,
        (name, place): (String, Option<Place>),
        desk: Desk,
    ) -> Result<Arc<Session>, String> {
        let opens = Arc::clone(&self.opens);
        // Where whoever asked for it goes meanwhile, what was opened is dropped, which ends it.
        let opening = tokio::task::spawn_blocking(move || {
            let desk = Arc::new(desk);
            let hears = opens.open(Arc::clone(&desk))?;
            let used = Mutex::new(Instant::now());
            let has_differed = AtomicBool::new(false);
            Ok::<_, String>(Session { name, desk, hears, used, has_differed, _place: place })
        });
        opening.await.map_err(|error| error.to_string())?.map(Arc::new)
    }

    /// The session of this name, if there is one that is not over.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Session>> {
        let mut all = self.all();
        let session = all.get(name).cloned()?;
        if session.desk.is_over() {
            all.remove(name);
            return None;
        }
        session.is_used_now();
        Some(session)
    }

    /// Ends one.
    pub(super) fn end(&self, name: &str) {
        if let Some(session) = self.all().remove(name) {
            session.desk.close();
        }
    }

    /// Ends those that nobody has used for long, and forgets those that have ended by themselves.
    pub(super) fn end_unused(&self) {
        self.all().retain(|_, session| session.is_kept(UNUSED_SECONDS_MAX));
        self.rooms().retain(|_, room| room.is_kept(ROOM_UNUSED_SECONDS_MAX));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<Client, Arc<Session>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_used_now(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether this is the first time that its client says another revision than was agreed on.
    pub(super) fn differs_first(&self) -> bool {
        !self.has_differed.swap(true, Ordering::Relaxed)
    }

    fn unused_for(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether it is neither over nor unused for longer than this; one that is not kept is ended.
    fn is_kept(&self, seconds_max: u64) -> bool {
        let is_used = self.desk.is_read() || self.unused_for() < Duration::from_secs(seconds_max);
        if !is_used {
            self.desk.close();
        }
        is_used && !self.desk.is_over()
    }
}
