//! The sessions of clients, by their names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::desk::Desk;
use super::{Hears, Opens};

/// Most sessions at a time.
pub(super) const SESSIONS_MAX: usize = 256;
/// How long a session is kept that nobody uses, in seconds.
const UNUSED_SECONDS_MAX: u64 = 60 * 60;

/// All sessions.
pub(super) struct Sessions {
    opens: Arc<dyn Opens>,
    all: Mutex<HashMap<String, Arc<Session>>>,
}

/// The session of one client.
pub(super) struct Session {
    pub(super) name: String,
    pub(super) desk: Arc<Desk>,
    pub(super) hears: Box<dyn Hears>,
    used: Mutex<Instant>,
}

impl Sessions {
    pub(super) fn of(opens: Arc<dyn Opens>) -> Sessions {
        Sessions { opens, all: Mutex::default() }
    }

    /// What was counted.
    pub(super) fn metrics(&self) -> String {
        self.opens.metrics()
    }

    /// Opens one; the error is for the client.
    pub(super) async fn open(&self) -> Result<Arc<Session>, String> {
        if self.all().len() >= SESSIONS_MAX {
            return Err(format!("more than {SESSIONS_MAX} sessions are open"));
        }
        let opens = Arc::clone(&self.opens);
        let opening = tokio::task::spawn_blocking(move || {
            let name = opens.name().map_err(|error| error.to_string())?;
            let desk = Arc::<Desk>::default();
            let hears = opens.open(Arc::clone(&desk))?;
            Ok::<_, String>(Session { name, desk, hears, used: Mutex::new(Instant::now()) })
        });
        let session = Arc::new(opening.await.map_err(|error| error.to_string())??);
        self.all().insert(session.name.clone(), Arc::clone(&session));
        Ok(session)
    }

    /// The session of this name, if there is one that is not over.
    pub(super) fn find(&self, name: &str) -> Option<Arc<Session>> {
        let mut all = self.all();
        let session = all.get(name).cloned()?;
        if session.desk.is_over() {
            all.remove(name);
            return None;
        }
        *session.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
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
        let now = Instant::now();
        let longest = Duration::from_secs(UNUSED_SECONDS_MAX);
        self.all().retain(|_, session| {
            let used = *session.used.lock().unwrap_or_else(PoisonError::into_inner);
            let is_used = session.desk.is_read() || now.duration_since(used) < longest;
            if !is_used {
                session.desk.close();
            }
            is_used && !session.desk.is_over()
        });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
