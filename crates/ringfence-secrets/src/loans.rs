//! What a session has been given by vaults: read once, kept for as long as it holds, renewed before
//! it ends, and given back when the session does.
//!
//! One entry for each path that is asked, so that a user name and its password come of one lease.
//! A thread of its own, started with the first lease, renews them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ringfence_core::{LeaseChange, LeaseStep};
use rustix::time::{ClockId, clock_gettime};

use crate::vault::{Fields, Lease, Loan, Vault};

/// Most paths that one session asks for: an agent can choose among hosts beneath a domain.
const PATHS_MAX: usize = 256;
/// How long a vault that failed is not asked for the same again: requests that waited for it would
/// wait once more, one after the other.
const FAILURE_HOLDS: Duration = Duration::from_secs(2);
/// How long before its end what was lent is not used any more, at most; a tenth of a short life.
const MARGIN_MAX: Duration = Duration::from_secs(10);
/// How often the thread looks at least: a machine that slept has other times than a timer.
const LOOK_PERIOD: Duration = Duration::from_secs(30);
/// How long after a failure renewing or giving back is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// How long giving back may take in all when a session ends.
const END_WAIT: Duration = Duration::from_secs(10);

/// Why nothing more is had.
const ENDED: &str = "the session has ended";

/// Time since this machine started, sleep included: what a vault's clock does meanwhile.
type Moment = Duration;

/// Told of what is lent and given back, to record it.
pub type Tell = Box<dyn Fn(LeaseChange) + Send + Sync>;

/// What was asked for, and how long it is to be used at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// The place with everything filled in, without the field.
    pub(crate) place: String,
    /// After it, the value is asked for anew.
    pub(crate) ttl: Option<Duration>,
}

/// What a place answered.
pub(crate) enum Had {
    /// What is there.
    Kept(Fields),
    /// What was made for us, and by whom.
    Lent(Loan, Arc<Vault>),
}

/// What a session has of vaults.
pub(crate) struct Loans {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// Something that could not be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReturned {
    /// Where it was had from.
    pub place: String,
    /// What the vault calls it.
    pub lease: String,
    /// Why.
    pub why: String,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
    tell: OnceLock<Tell>,
}

#[derive(Default)]
struct Kept {
    slots: BTreeMap<Wanted, Arc<Mutex<Slot>>>,
    /// Leases that nobody uses any more.
    unused: Vec<Held>,
    ended: bool,
}

/// One path: locked while it is asked for.
#[derive(Default)]
struct Slot {
    had: Option<One>,
    failed: Option<(Moment, String)>,
}

struct One {
    fields: Arc<Fields>,
    /// When it is asked for anew.
    until: Option<Moment>,
    /// When it is at the latest, however often it is renewed.
    limit: Option<Moment>,
    held: Option<Held>,
}

/// A lease, and when something is to be done about it.
#[derive(Clone)]
struct Held {
    place: String,
    lease: Lease,
    vault: Arc<Vault>,
    /// When the vault itself takes it back.
    ends: Option<Moment>,
    /// How much longer is asked for; `None` where it cannot be renewed.
    renew_by: Option<Duration>,
    /// When it is renewed, or given back if it is not used any more.
    due: Option<Moment>,
    /// Whether it was said that it could not be renewed.
    complained: bool,
}

impl Loans {
    pub(crate) fn new() -> Loans {
        Loans { shared: Arc::default(), keeper: Mutex::default() }
    }

    /// Whom to tell from now on.
    pub(crate) fn record_with(&self, tell: Tell) {
        // There is one session, and it says so once.
        let _ = self.shared.tell.set(tell);
    }

    /// What a place has: as it was answered before if that still holds, or by asking. Blocks.
    pub(crate) fn get(
        &self,
        wanted: &Wanted,
        ask: &dyn Fn() -> Result<Had, String>,
    ) -> Result<Arc<Fields>, String> {
        let slot = self.shared.slot(wanted)?;
        let mut slot = lock(&slot);
        if lock(&self.shared.kept).ended {
            return Err(ENDED.to_owned());
        }
        let now = now();
        if let Some(one) = slot.had.take_if(|one| one.until.is_some_and(|until| until <= now)) {
            self.shared.put_away(one.held);
        }
        if let Some(one) = &slot.had {
            return Ok(Arc::clone(&one.fields));
        }
        if let Some((at, why)) = &slot.failed
            && *at + FAILURE_HOLDS > now
        {
            return Err(why.clone());
        }
        match ask() {
            Ok(had) => {
                let one = self.shared.taken(wanted, had)?;
                let fields = Arc::clone(&one.fields);
                if one.held.is_some() {
                    self.keep_renewed();
                }
                *slot = Slot { had: Some(one), failed: None };
                drop(slot);
                self.shared.look_again();
                Ok(fields)
            }
            Err(why) => {
                // Its own time: what was waited for counts.
                slot.failed = Some((self::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// Gives everything back. Whoever asks afterwards is refused, and who is asking just now is
    /// waited for.
    pub(crate) fn end(&self) -> Vec<NotReturned> {
        let (slots, mut all) = {
            let mut kept = lock(&self.shared.kept);
            kept.ended = true;
            (std::mem::take(&mut kept.slots), std::mem::take(&mut kept.unused))
        };
        self.shared.changed.notify_all();
        if let Some(keeper) = lock(&self.keeper).take() {
            // One that panicked has nothing to give back that is not here.
            let _ = keeper.join();
        }
        for slot in slots.into_values() {
            all.extend(lock(&slot).had.take().and_then(|one| one.held));
        }
        // What was put away while slots were waited for.
        all.append(&mut lock(&self.shared.kept).unused);
        let began = now();
        let mut failed = Vec::new();
        for held in all.into_iter().filter(|held| !held.is_over(now())) {
            let why = if now().saturating_sub(began) > END_WAIT {
                "there was no time left for it".to_owned()
            } else {
                match held.vault.revoke(&held.lease) {
                    Ok(()) => {
                        self.shared.tell(&held, LeaseStep::Returned);
                        continue;
                    }
                    Err(error) => error.to_string(),
                }
            };
            self.shared.tell(&held, LeaseStep::NotReturned { why: why.clone() });
            let (place, lease) = (held.place, held.lease.name().to_owned());
            failed.push(NotReturned { place, lease, why });
        }
        failed
    }

    /// Without the thread, leases end by themselves and are asked for anew.
    fn keep_renewed(&self) {
        let mut keeper = lock(&self.keeper);
        if keeper.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("leases".to_owned());
            *keeper = thread.spawn(move || shared.keep()).ok();
        }
    }
}

/// What was lent is given back also where nobody asked for that; nobody hears of a failure.
impl Drop for Loans {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl Shared {
    fn slot(&self, wanted: &Wanted) -> Result<Arc<Mutex<Slot>>, String> {
        let mut kept = lock(&self.kept);
        if kept.ended {
            return Err(ENDED.to_owned());
        }
        if kept.slots.len() >= PATHS_MAX && !kept.slots.contains_key(wanted) {
            return Err(format!("this session has asked for {PATHS_MAX} others already"));
        }
        Ok(Arc::clone(kept.slots.entry(wanted.clone()).or_default()))
    }

    /// Takes what was answered into account.
    fn taken(&self, wanted: &Wanted, had: Had) -> Result<One, String> {
        let now = now();
        let limit = wanted.ttl.map(|ttl| now + ttl);
        let (loan, vault) = match had {
            Had::Kept(fields) => {
                return Ok(One { fields: Arc::new(fields), until: limit, limit, held: None });
            }
            Had::Lent(loan, vault) => (loan, vault),
        };
        let Loan { fields, lease, holds, renewable } = loan;
        let mut held = Held {
            place: wanted.place.clone(),
            lease,
            vault,
            ends: None,
            renew_by: holds.filter(|_| renewable),
            due: None,
            complained: false,
        };
        held.goes_on(holds, (now, limit));
        self.tell(&held, LeaseStep::Lent { seconds: holds.map(|it| it.as_secs()) });
        {
            let mut kept = lock(&self.kept);
            if kept.ended {
                // Whoever ends the session waits for this, and gives it back.
                kept.unused.push(held);
                return Err(ENDED.to_owned());
            }
        }
        let until = earlier(held.ends.map(|ends| ends.saturating_sub(margin(holds))), limit);
        Ok(One { fields: Arc::new(fields), until, limit, held: Some(held) })
    }

    fn put_away(&self, held: Option<Held>) {
        let Some(held) = held else { return };
        lock(&self.kept).unused.push(Held { due: Some(now()), ..held });
        self.changed.notify_all();
    }

    /// Wakes the thread, and not before it waits: what it looks at is changed by now.
    fn look_again(&self) {
        drop(lock(&self.kept));
        self.changed.notify_all();
    }

    fn tell(&self, held: &Held, step: LeaseStep) {
        if let Some(tell) = self.tell.get() {
            tell(LeaseChange {
                place: held.place.clone(),
                lease: held.lease.name().to_owned(),
                step,
            });
        }
    }

    /// Renews and gives back what is due, until the session ends.
    fn keep(&self) {
        loop {
            for (wanted, held) in self.due_for_renewal() {
                self.renew(&wanted, &held);
            }
            self.give_back();
            let kept = lock(&self.kept);
            if kept.ended {
                return;
            }
            let wait = kept.next(now()).min(LOOK_PERIOD).max(Duration::from_millis(10));
            // Woken for whatever reason, it looks again.
            drop(self.changed.wait_timeout(kept, wait));
        }
    }

    /// Nothing is locked while a vault is asked.
    fn due_for_renewal(&self) -> Vec<(Wanted, Held)> {
        let (now, mut due) = (now(), Vec::new());
        let slots: Vec<_> = {
            let kept = lock(&self.kept);
            kept.slots.iter().map(|(wanted, slot)| (wanted.clone(), Arc::clone(slot))).collect()
        };
        for (wanted, slot) in slots {
            // One that is asked for just now is not due.
            let Ok(mut slot) = slot.try_lock() else { continue };
            if let Some(one) = slot.had.take_if(|one| one.until.is_some_and(|until| until <= now)) {
                self.put_away(one.held);
            }
            let held = slot.had.as_ref().and_then(|one| one.held.as_ref());
            due.extend(held.filter(|held| held.is_due(now)).map(|held| (wanted, held.clone())));
        }
        due
    }

    fn renew(&self, wanted: &Wanted, held: &Held) {
        let Some(by) = held.renew_by else { return };
        let renewed = held.vault.renew(&held.lease, by);
        let slot = lock(&self.kept).slots.get(wanted).map(Arc::clone);
        let Some(slot) = slot else { return };
        let mut slot = lock(&slot);
        let Some(one) = &mut slot.had else { return };
        let (Some(mine), now) = (&mut one.held, now()) else { return };
        if mine.lease != held.lease {
            return;
        }
        match renewed {
            Ok((Some(holds), again)) => {
                // A vault gives less and less at the end of the longest time it gives.
                mine.renew_by = mine.renew_by.filter(|_| again && holds >= by / 2);
                mine.goes_on(Some(holds), (now, one.limit));
                let until = mine.ends.map(|ends| ends.saturating_sub(margin(Some(holds))));
                one.until = earlier(until, one.limit);
            }
            // It holds as long as it did.
            Ok((None, _)) => (mine.renew_by, mine.due) = (None, None),
            Err(error) => {
                mine.due = Some(now + RETRY_AFTER);
                if std::mem::replace(&mut mine.complained, true) {
                    return;
                }
                let (mine, why) = (mine.clone(), error.to_string());
                drop(slot);
                self.tell(&mine, LeaseStep::NotRenewed { why });
            }
        }
    }

    /// Gives back what is not used any more.
    fn give_back(&self) {
        let now = now();
        let due: Vec<Held> = {
            let mut kept = lock(&self.kept);
            kept.unused.retain(|held| !held.is_over(now));
            kept.unused.extract_if(.., |held| held.is_due(now)).collect()
        };
        for held in due {
            if held.vault.revoke(&held.lease).is_ok() {
                self.tell(&held, LeaseStep::Returned);
            } else {
                // Whoever ends the session says why, if it still fails then.
                let due = Some(self::now() + RETRY_AFTER);
                lock(&self.kept).unused.push(Held { due, ..held });
            }
        }
    }
}

impl Kept {
    /// How long until something is due.
    fn next(&self, now: Moment) -> Duration {
        let of_slot = |slot: &Arc<Mutex<Slot>>| {
            let slot = slot.try_lock().ok()?;
            let one = slot.had.as_ref()?;
            earlier(one.until, one.held.as_ref().and_then(|held| held.due))
        };
        let used = self.slots.values().filter_map(of_slot);
        let all = used.chain(self.unused.iter().filter_map(|held| held.due));
        all.min().map_or(LOOK_PERIOD, |next| next.saturating_sub(now))
    }
}

impl Held {
    /// From now on it holds for a time; it is renewed when two thirds of that have passed.
    fn goes_on(&mut self, holds: Option<Duration>, (now, limit): (Moment, Option<Moment>)) {
        self.ends = holds.map(|holds| now + holds);
        let outlives = self.ends.is_none() || limit.is_some_and(|limit| self.ends >= Some(limit));
        let renewed = holds.filter(|_| self.renew_by.is_some() && !outlives);
        self.due = renewed.map(|holds| now + holds * 2 / 3);
    }

    fn is_due(&self, now: Moment) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whether the vault has taken it back itself.
    fn is_over(&self, now: Moment) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

/// How long before its end something that holds for a time is not used any more.
fn margin(holds: Option<Duration>) -> Duration {
    holds.map_or(Duration::ZERO, |holds| (holds / 10).min(MARGIN_MAX))
}

fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}

fn now() -> Moment {
    let since = clock_gettime(ClockId::Boottime);
    let nanos = u32::try_from(since.tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(since.tv_sec).unwrap_or_default(), nanos)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
