//! What SQL asks of the machine: the time, the time zone, the host's name.

use std::sync::OnceLock;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// The time zone that `SET time_zone` names: `SYSTEM`, `+02:00`, or a name as
/// `Europe/Berlin`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("SYSTEM") {
        return Some(TimeZone::system());
    }
    let sign = match name.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return TimeZone::get(name).ok(),
    };
    let (hours, minutes) = name.get(1..)?.split_once(':')?;
    let digits = |text: &str| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<i32>().ok())?
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes).filter(|m| *m < 60)?);
    // MySQL's bounds are -13:59 and +14:00.
    let seconds = sign * (hours * 3600 + minutes * 60);
    let fits = (-50_340..=50_400).contains(&seconds);
    fits.then(|| Offset::from_seconds(seconds).ok().map(TimeZone::fixed))?
}

/// The time now in a zone, to the microsecond.
pub(super) fn now(zone: &str) -> DateTime {
    let zone = self::zone(zone).unwrap_or(TimeZone::UTC);
    Timestamp::now().to_zoned(zone).datetime()
}

/// A civil time of a zone in seconds since 1970.
pub(super) fn seconds_of(time: DateTime, zone: &str) -> Option<i64> {
    let zone = self::zone(zone).unwrap_or(TimeZone::UTC);
    time.to_zoned(zone).ok().map(|zoned| zoned.timestamp().as_second())
}

/// The civil time in a zone of a count of microseconds since 1970.
pub(super) fn time_of(micros: i64, zone: &str) -> Option<DateTime> {
    let zone = self::zone(zone).unwrap_or(TimeZone::UTC);
    Timestamp::from_microsecond(micros).ok().map(|at| at.to_zoned(zone).datetime())
}

/// Seconds since 1970, with their fraction, as `@@timestamp` shows them.
pub(super) fn unix_seconds() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}

/// The short name of the machine's time zone, `UTC` or `CEST`. MariaDB Connector/J parses it.
pub(super) fn system_zone() -> String {
    let now = Zoned::now();
    now.time_zone().to_offset_info(now.timestamp()).abbreviation().to_owned()
}

/// The machine's name.
pub(super) fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let read = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::fs::read_to_string("/etc/hostname"));
        let name = read.map(|name| name.trim().to_owned()).unwrap_or_default();
        if name.is_empty() { "localhost".to_owned() } else { name }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_offsets_and_names() {
        for known in ["SYSTEM", "+00:00", "-05:30", "+14:00", "+5:00", "UTC", "Europe/Berlin"] {
            assert!(zone(known).is_some(), "{known}");
        }
        for unknown in ["", "+14:01", "-14:00", "+1", "+a:b", "Mars/Crater", "+00:60", "+é:0"] {
            assert!(zone(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn seconds_go_both_ways() {
        let time = jiff::civil::date(2020, 1, 2).at(3, 4, 5, 0);
        assert_eq!(seconds_of(time, "+02:00"), Some(1_577_927_045));
        assert_eq!(time_of(1_577_927_045_000_000, "+02:00"), Some(time));
    }
}
