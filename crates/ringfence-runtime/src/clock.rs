//! The real clock, in the policy's time zone.

use std::path::{Component, Path};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringfence_core::{Clock, ClockFact};

use crate::notice::Notice;

/// Where the time zone database is, tzfile(5).
const DATABASE: &str = "/usr/share/zoneinfo";

/// What names the host's zone, localtime(5).
const LOCALTIME: &str = "/etc/localtime";

/// The host's time, told in one time zone.
#[derive(Debug, Clone)]
pub struct HostClock {
    zone: TimeZone,
    name: String,
}

/// Why there is no clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown time zone `{zone}`: {reason}")]
pub struct ClockError {
    /// The zone that the settings name.
    pub zone: String,
    /// What the time zone database said.
    pub reason: String,
}

/// The zone of this name, where the database is in its usual place.
///
/// Without a search through all of the database, which every start would pay for.
fn zone_called(name: &str) -> Option<TimeZone> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(plain) {
        return None;
    }
    let bytes = std::fs::read(Path::new(DATABASE).join(name)).ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

/// The zone that localtime(5) links to, unless the environment names another.
fn linked_zone() -> Option<(String, TimeZone)> {
    if std::env::var_os("TZ").is_some() {
        return None;
    }
    let link = std::fs::read_link(LOCALTIME).ok()?;
    let (_, name) = link.to_str()?.split_once("zoneinfo/")?;
    Some((name.to_owned(), zone_called(name)?))
}

impl HostClock {
    /// A clock in the zone that the settings name, else in the host's.
    ///
    /// A host that does not tell its zone by name is told in UTC, and a notice says so: the log
    /// records the zone's name, and a zone without one could not be checked later.
    pub fn new(zone: Option<&str>) -> Result<(HostClock, Option<Notice>), ClockError> {
        if zone == Some("UTC") {
            return Ok((HostClock::utc(), None));
        }
        if let Some(name) = zone {
            let zone = zone_called(name)
                .map_or_else(|| TimeZone::get(name), Ok)
                .map_err(|error| ClockError { zone: name.to_owned(), reason: error.to_string() })?;
            return Ok((HostClock { zone, name: name.to_owned() }, None));
        }
        if let Some((name, zone)) = linked_zone() {
            return Ok((HostClock { zone, name }, None));
        }
        let host = TimeZone::try_system().ok();
        let named = host.and_then(|zone| zone.iana_name().map(str::to_owned).zip(Some(zone)));
        if let Some((name, zone)) = named {
            return Ok((HostClock { zone, name }, None));
        }
        let notice = Notice::new("this host does not tell its time zone: policies see UTC")
            .hint("set `time_zone` in `~/.config/ringfence/settings.toml`");
        Ok((HostClock::utc(), Some(notice)))
    }

    /// A clock for those who only ask for the moment.
    pub fn utc() -> HostClock {
        HostClock { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// IANA name of the zone.
    pub fn zone_name(&self) -> &str {
        &self.name
    }

    /// A moment as facts, for explaining what was decided then.
    pub fn fact_at(&self, now_ms: u64) -> ClockFact {
        // Beyond the year 9999 the clock stands still; nothing that is decided now lives then.
        let milliseconds = i64::try_from(now_ms).unwrap_or(i64::MAX);
        let moment = Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX);
        let local = moment.to_zoned(self.zone.clone());
        let part = |value: i8| u8::try_from(value).unwrap_or(0);
        let year = u32::try_from(local.year()).unwrap_or(0);
        let (month, day) = (u32::from(part(local.month())), u32::from(part(local.day())));
        ClockFact {
            weekday: part(local.weekday().to_monday_one_offset()),
            hour: part(local.hour()),
            minute: part(local.minute()),
            date: year * 10_000 + month * 100 + day,
            zone: self.name.clone(),
        }
    }
}

impl Clock for HostClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks for the time")]
    fn now_ms(&self) -> u64 {
        // A host whose clock stands before 1970 is told as 1970: permits then expire, none lives on.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fact(&self) -> ClockFact {
        self.fact_at(self.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_the_zone_of_the_settings() {
        let (clock, notice) = HostClock::new(Some("Asia/Tokyo")).unwrap();
        // 2026-11-20T20:30:00Z is Saturday morning in Tokyo.
        let fact = clock.fact_at(1_795_206_600_000);
        assert_eq!(
            (fact.weekday, fact.hour, fact.minute, fact.date, fact.zone.as_str()),
            (6, 5, 30, 20_261_121, "Asia/Tokyo")
        );
        assert_eq!(notice, None);
    }

    #[test]
    fn an_unknown_zone_is_no_clock() {
        assert!(HostClock::new(Some("Nowhere/Town")).is_err());
        assert!(HostClock::new(Some("")).is_err());
        assert!(HostClock::new(Some("../../../etc/localtime")).is_err());
    }

    #[test]
    fn a_zone_is_what_the_whole_database_says_it_is() {
        for name in ["Asia/Tokyo", "America/New_York", "Etc/UTC"] {
            assert_eq!(zone_called(name), TimeZone::get(name).ok(), "{name}");
        }
        assert_eq!(zone_called("Nowhere/Town"), None);
        assert_eq!(zone_called("/etc/localtime"), None);
    }

    #[test]
    fn a_host_without_a_named_zone_is_told_in_utc_and_says_so() {
        let (clock, notice) = HostClock::new(None).unwrap();
        assert_eq!(clock.zone_name() == "UTC" && notice.is_none(), {
            TimeZone::try_system().ok().is_some_and(|zone| zone.iana_name() == Some("UTC"))
        });
    }

    #[test]
    fn the_far_future_and_the_epoch_are_told_without_a_panic() {
        let (clock, _) = HostClock::new(Some("America/New_York")).unwrap();
        assert_eq!(clock.fact_at(0).date, 19_691_231);
        assert_eq!(clock.fact_at(u64::MAX).date / 10_000, 9999);
    }
}
