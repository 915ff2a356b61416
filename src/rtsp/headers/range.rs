//! The Range header (RFC 2326 §12.29) as a live stream needs it: all that can be wrong with one is that it ends
//! before it starts, and whatever else it says, play begins now.

use super::super::message::number;
use crate::time::WallTime;
use jiff::{Timestamp, tz::TimeZone};

/// Whether the range is empty by its own words; one that cannot be read, or names no two times, is not.
pub(crate) fn ends_before_it_starts(value: &str) -> bool {
    let range = value.split(';').next().unwrap_or_default();
    let Some((unit, times)) = range.split_once('=') else { return false };
    let Some((start, end)) = times.split_once('-') else { return false };
    let (start, end) = (start.trim(), end.trim());
    let unit = unit.trim().to_ascii_lowercase();
    if unit == "npt" {
        matches!((npt(start), npt(end)), (Some(start), Some(end)) if end < start)
    } else if unit == "clock" {
        matches!((clock(start), clock(end)), (Some(start), Some(end)) if end < start)
    } else if unit.starts_with("smpte") {
        matches!((smpte(start), smpte(end)), (Some(start), Some(end)) if end < start)
    } else {
        false
    }
}

/// Whether the range is given in absolute time (§3.7).
pub(crate) fn is_by_the_clock(value: &str) -> bool {
    value.split_once('=').is_some_and(|(unit, _)| unit.trim().eq_ignore_ascii_case("clock"))
}

/// From this instant on, without end, in absolute time.
pub(crate) fn from(start: WallTime) -> String {
    let instant = Timestamp::from_nanosecond(i128::from(start.as_nanos())).unwrap_or(Timestamp::UNIX_EPOCH);
    let utc = TimeZone::UTC.to_datetime(instant);
    let (date, time) = (utc.date(), utc.time());
    format!(
        "clock={:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z-",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Seconds and billionths: `12.5` or `1:02:03.5` (§3.6). None for `now`, which no number is compared with.
fn npt(text: &str) -> Option<(u64, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':').map(number::<u64>);
    let seconds = match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        (Some(seconds), None, None, None) => seconds,
        (Some(h), Some(Some(m)), Some(Some(s)), None) => {
            h.checked_mul(3600)?.checked_add(m.checked_mul(60)?)?.checked_add(s)?
        }
        _ => return None,
    };
    Some((seconds, billionths(fraction)?))
}

/// `19961108T143720.25Z` (§3.7).
fn clock(text: &str) -> Option<(u64, u64, u32)> {
    let (date, time) = text.strip_suffix(['Z', 'z'])?.split_once(['T', 't'])?;
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    (date.len() == 8 && whole.len() == 6).then_some(())?;
    Some((number(date)?, number(whole)?, billionths(fraction)?))
}

/// `10:07:33:05.01` (§3.5): hours, minutes, seconds, frames, subframes.
fn smpte(text: &str) -> Option<Vec<u64>> {
    let mut fields = text.split([':', '.']).map(number::<u64>).collect::<Option<Vec<_>>>()?;
    (3..=5).contains(&fields.len()).then_some(())?;
    fields.resize(5, 0);
    Some(fields)
}

fn billionths(fraction: &str) -> Option<u32> {
    let digits = fraction.get(..fraction.len().min(9))?;
    number::<u32>(&format!("{digits:0<9}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_a_range_that_ends_before_it_starts_is_empty() {
        for empty in [
            "npt=10-5",
            "npt=0.2-0.1",
            "npt=0:01:00-59.9",
            "NPT = 7 - 6.999 ;time=19970123T143720Z",
            "clock=20260102T000000Z-20260101T235959Z",
            "clock=20260102T000000.5Z-20260102T000000.25Z",
            "smpte=10:07:33:05-10:07:33:04.99",
            "smpte-30-drop=10:07:33-10:07:00",
        ] {
            assert!(ends_before_it_starts(empty), "{empty}");
        }
        for fine in [
            "npt=0.000-",
            "npt=now-",
            "npt=now-5",
            "npt=-5",
            "npt=5-5",
            "npt=0.000-8.000",
            "clock=20260101T000000Z-",
            "smpte=0:10:20-",
            "smpte=0:10:20-0:10:21",
            "bytes=9-1",
            "npt=9",
            "npt=99999999999999999999-1",
            "npt=1:2-1",
            "npt=x-1",
            "",
        ] {
            assert!(!ends_before_it_starts(fine), "{fine}");
        }
    }

    #[test]
    fn absolute_time_is_told_from_other_units_and_written_in_utc() {
        for clock in ["clock=20261125T000000Z-", "Clock = 20261125T000000.5Z-20261125T000001Z", "clock="] {
            assert!(is_by_the_clock(clock), "{clock}");
        }
        for other in ["npt=now-", "npt=0.000-", "smpte=0:10:20-", "clockwise=1-", "clock", ""] {
            assert!(!is_by_the_clock(other), "{other}");
        }
        assert_eq!(from(WallTime::from_nanos(1_769_903_999_987_654_321)), "clock=20260131T235959.987Z-");
        assert_eq!(from(WallTime::default()), "clock=19700101T000000.000Z-");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(nanos: u64) {
            let written = from(WallTime::from_nanos(nanos));
            prop_assert!(is_by_the_clock(&written));
            let start = written.strip_prefix("clock=").and_then(|times| times.strip_suffix('-')).unwrap();
            prop_assert!(clock(start).is_some(), "{}", written);
            // One that ends a day before it starts.
            let backwards = written.clone() + "19691231T000000Z";
            prop_assert!(ends_before_it_starts(&backwards), "{}", backwards);
        }

        #[test]
        fn never_panics(value in "(npt|clock|smpte)?=?[0-9:.TZ\\-ä]{0,40}") {
            ends_before_it_starts(&value);
            is_by_the_clock(&value);
        }
    }
}
