//! Dates, times of day and spans.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime};

/// A point or a length of time without a time zone, to the microsecond or finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Time {
    /// A calendar day.
    Date(Date),
    /// A calendar day with a time of day.
    DateTime(DateTime),
    /// A length of time, which may be negative. MySQL's `TIME`, Python's `timedelta`.
    Span(SignedDuration),
}

impl Time {
    /// Reads `YYYY-MM-DD`, `YYYY-MM-DD HH:MM:SS[.ffffff]` (blank or `T` between), or
    /// `[-]HH:MM:SS[.ffffff]`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(span) = parse_span(text) {
            return Some(Self::Span(span));
        }
        if text.len() == 10 {
            return text.parse().ok().map(Self::Date);
        }
        text.parse().ok().map(Self::DateTime)
    }
}

fn parse_span(text: &str) -> Option<SignedDuration> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut parts = rest.split(':');
    let hours: i64 = digits(parts.next()?, 6)?;
    let minutes: i64 = digits(parts.next()?, 2).filter(|m| *m < 60)?;
    let (seconds, nanos) = match parts.next() {
        None => (0, 0),
        Some(last) => {
            let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
            let nanos =
                if fraction.is_empty() { 0 } else { digits(&format!("{fraction:0<9.9}"), 9)? };
            (digits(whole, 2).filter(|s| *s < 60)?, i32::try_from(nanos).ok()?)
        }
    };
    if parts.next().is_some() {
        return None;
    }
    let span = SignedDuration::new(hours * 3600 + minutes * 60 + seconds, nanos);
    Some(if negative { -span } else { span })
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// Writes MySQL's forms: `2020-01-02`, `2020-01-02 03:04:05[.ffffff]`, `[-]HH:MM:SS[.ffffff]`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn fraction(f: &mut fmt::Formatter<'_>, nanos: u32) -> fmt::Result {
            match nanos / 1000 {
                0 => Ok(()),
                micros => write!(f, ".{micros:06}"),
            }
        }
        match self {
            Self::Date(day) => write!(f, "{day}"),
            Self::DateTime(at) => {
                let time = at.time();
                write!(f, "{} ", at.date())?;
                write!(f, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
                fraction(f, time.subsec_nanosecond().unsigned_abs())
            }
            Self::Span(span) => {
                let seconds = span.as_secs().unsigned_abs();
                let sign = if span.is_negative() { "-" } else { "" };
                let (hours, rest) = (seconds / 3600, seconds % 3600);
                write!(f, "{sign}{hours:02}:{:02}:{:02}", rest / 60, rest % 60)?;
                fraction(f, span.subsec_nanos().unsigned_abs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_written() {
        for text in [
            "2020-01-02",
            "2020-01-02 03:04:05",
            "2020-01-02 03:04:05.000006",
            "03:04:05",
            "-838:59:59",
            "00:00:00.500000",
        ] {
            assert_eq!(Time::parse(text).map(|time| time.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in ["", "2020-13-01", "1:2:3:4", "12:60:00", "x", "2020-01-02 25:00:00"] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }
}
