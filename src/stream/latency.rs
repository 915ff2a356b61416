use super::sync::lock;
use crate::time::MonoTime;
use hdrhistogram::Histogram;
use std::{collections::VecDeque, sync::Mutex, time::Duration};

/// What is measured, in microseconds; longer times count as the longest.
const LONGEST: u64 = 60_000_000;
/// Significant digits.
const DIGITS: u8 = 2;
/// Pictures inside an encoder at one time, at most: those of a board hold a few.
const INSIDE: usize = 16;

/// A part of an access unit's way through the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the driver's stamp until the camera's thread had it.
    Capture,
    /// Until the encoder's thread took it.
    Queue,
    /// Until it was a picture as the encoder takes it.
    Convert,
    /// Until the encoder gave it out.
    Encode,
    /// Until it was cut into packets and handed to the worker.
    Packetize,
    /// Until the first viewer's first byte was out.
    First,
    /// From there until the last viewer's last byte was out, of those who are neither paced nor behind.
    Last,
    /// All of it from the camera's thread to the first byte, but converting and encoding.
    Handling,
    /// What spreading a large one over its interval took, for each viewer over UDP.
    Paced,
}

impl Stage {
    pub const ALL: [Self; 9] = [
        Self::Capture,
        Self::Queue,
        Self::Convert,
        Self::Encode,
        Self::Packetize,
        Self::First,
        Self::Last,
        Self::Handling,
        Self::Paced,
    ];
}

/// How long access units took, stage by stage, since the stream's beginning. Noting a time allocates nothing.
pub struct Latency {
    histograms: Mutex<[Histogram<u32>; Stage::ALL.len()]>,
}

/// What a stage took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: Duration,
    pub p99: Duration,
    pub most: Duration,
    pub count: u64,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = |_| Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("these bounds are in order");
        Self { histograms: Mutex::new(Stage::ALL.map(histogram)) }
    }
}

impl Latency {
    pub fn note(&self, stage: Stage, taken: Duration) {
        lock(&self.histograms)[stage as usize].saturating_record(taken.as_micros().min(LONGEST.into()) as u64);
    }

    /// None: nothing went that way.
    pub fn spread(&self, stage: Stage) -> Option<Spread> {
        let histogram = &lock(&self.histograms)[stage as usize];
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        let most = Duration::from_micros(histogram.max());
        (!histogram.is_empty()).then(|| Spread { median: at(0.5), p99: at(0.99), most, count: histogram.len() })
    }
}

/// When a picture passed the places before its encoder.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    pub stamp: MonoTime,
    /// The camera's thread had it.
    pub dequeued: MonoTime,
    /// The encoder's thread took it.
    pub taken: MonoTime,
    /// It was as the encoder takes it.
    pub converted: MonoTime,
}

/// Pictures inside an encoder, by their stamps: a board's encoder gives out what went in some pictures before.
#[derive(Debug, Default)]
pub struct Journeys(VecDeque<Passed>);

impl Journeys {
    pub fn begin(&mut self, passed: Passed) {
        if self.0.len() == INSIDE {
            self.0.pop_front();
        }
        self.0.push_back(passed);
    }

    /// The picture taken at `stamp` has come out at `encoded` and is handed on at `published`: notes what it took; how long
    /// it was handled. None: it is not known.
    pub fn end(
        &mut self,
        latency: &Latency,
        stamp: MonoTime,
        encoded: MonoTime,
        published: MonoTime,
    ) -> Option<Duration> {
        while self.0.front().is_some_and(|passed| passed.stamp < stamp) {
            self.0.pop_front();
        }
        let passed = *self.0.front().filter(|passed| passed.stamp == stamp)?;
        self.0.pop_front();
        let (queue, packetize) = (passed.taken.since(passed.dequeued), published.since(encoded));
        latency.note(Stage::Capture, passed.dequeued.since(stamp));
        latency.note(Stage::Queue, queue);
        latency.note(Stage::Convert, passed.converted.since(passed.taken));
        latency.note(Stage::Encode, encoded.since(passed.converted));
        latency.note(Stage::Packetize, packetize);
        Some(queue + packetize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> MonoTime {
        MonoTime::from_nanos(micros * 1000)
    }

    #[test]
    fn each_stage_has_its_part_of_the_way() {
        let (latency, mut journeys) = (Latency::default(), Journeys::default());
        for stamp in [at(1000), at(34_000), at(67_000)] {
            let later = |micros| stamp + Duration::from_micros(micros);
            journeys.begin(Passed { stamp, dequeued: later(10), taken: later(30), converted: later(70) });
        }
        // The first was left out by the encoder.
        let handling = journeys.end(&latency, at(34_000), at(34_150), at(34_200));
        assert_eq!(handling, Some(Duration::from_micros(20 + 50)));
        let median = |stage| latency.spread(stage).map(|spread| (spread.median.as_micros(), spread.count));
        assert_eq!(
            [Stage::Capture, Stage::Queue, Stage::Convert, Stage::Encode, Stage::Packetize].map(median),
            [10, 20, 40, 80, 50].map(|micros| Some((micros, 1)))
        );
        assert_eq!(median(Stage::First), None);
        assert_eq!(journeys.end(&latency, at(50_000), at(50_001), at(50_002)), None, "a slate has no journey");
        assert!(journeys.end(&latency, at(67_000), at(68_000), at(68_001)).is_some());
    }

    #[test]
    fn what_takes_longer_than_is_measured_counts_as_the_longest() {
        let latency = Latency::default();
        latency.note(Stage::Paced, Duration::from_secs(1000));
        let most = latency.spread(Stage::Paced).unwrap().most;
        assert!((59..62).contains(&most.as_secs()), "{most:?}");
    }
}
