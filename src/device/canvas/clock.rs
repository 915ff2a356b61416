use crate::time::WallTime;
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write;

/// The local date and time as drawn into pictures; the text's memory is kept.
#[derive(Default)]
pub struct ClockText(String);

impl ClockText {
    /// Characters in `2026-01-31 23:59:59.999`.
    pub const COLUMNS: usize = 23;

    /// Of these, the ones before the fraction.
    pub const SECONDS: usize = 19;

    pub fn at(&mut self, wall: WallTime) -> &str {
        self.in_zone(wall, TimeZone::system())
    }

    /// To the second.
    pub fn seconds(&mut self, wall: WallTime) -> &str {
        let text = self.at(wall);
        text.get(..Self::SECONDS).unwrap_or(text)
    }

    fn in_zone(&mut self, wall: WallTime, zone: TimeZone) -> &str {
        let instant = Timestamp::from_nanosecond(i128::from(wall.as_nanos())).unwrap_or(Timestamp::UNIX_EPOCH);
        let time = zone.to_datetime(instant);
        self.0.clear();
        // Writing into a String does not fail.
        let _ = write!(
            self.0,
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        );
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_local_time_to_the_millisecond() {
        let mut clock = ClockText::default();
        let wall = WallTime::from_nanos(1_769_903_999_987_654_321);
        assert_eq!(clock.in_zone(wall, TimeZone::UTC), "2026-01-31 23:59:59.987");
        assert_eq!(clock.in_zone(wall, TimeZone::fixed(jiff::tz::offset(2))), "2026-02-01 01:59:59.987");
        for wall in [WallTime::from_nanos(0), WallTime::from_nanos(u64::MAX), WallTime::now()] {
            assert_eq!(clock.at(wall).chars().count(), ClockText::COLUMNS);
            assert_eq!(clock.seconds(wall).chars().count(), ClockText::SECONDS);
            assert!(clock.seconds(wall).bytes().last().is_some_and(|digit| digit.is_ascii_digit()));
        }
    }
}
