use crate::{rtp::PacketBatch, time::MonoTime};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// What a worker keeps of each stream, and how far behind live a viewer may be.
pub const KEPT: Duration = Duration::from_secs(2);
/// A stream whose key frames are further apart than the longest `gop` cannot be joined before the next: a camera that
/// encodes by itself may send no second one ever.
const LONGEST_KEPT: Duration = Duration::from_secs(61);

/// The last two seconds of one stream's batches, and at least those since the last key frame, in the order in which they
/// were made. Positions count up from 0 and never repeat.
#[derive(Default)]
pub struct Ring {
    entries: VecDeque<Entry>,
    /// The position of `entries[0]`.
    first: u64,
    last_key: Option<u64>,
    /// When the newest entry came in.
    newest: MonoTime,
}

/// A batch and the track that it is of.
#[derive(Clone)]
pub struct Entry {
    /// Index into the hub's tracks.
    pub track: usize,
    pub video: bool,
    pub batch: Arc<PacketBatch>,
    /// When it came in. How late a viewer is goes by this: capture stamps of two devices may be far apart.
    pub arrived: MonoTime,
}

impl Ring {
    pub fn push(&mut self, entry: Entry) {
        if entry.video && entry.batch.key() {
            self.last_key = Some(self.end());
        }
        self.newest = self.newest.max(entry.arrived);
        self.entries.push_back(entry);
        let oldest_kept = self.newest.saturating_sub(KEPT);
        let oldest_joined = self.newest.saturating_sub(LONGEST_KEPT);
        while let Some(oldest) = self.entries.front()
            && oldest.arrived < oldest_kept
            && (self.last_key.is_none_or(|key| self.first < key) || oldest.arrived < oldest_joined)
        {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// The position after the newest entry: where the next will be.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    pub fn entry(&self, position: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    /// The position of the newest key frame, and when it came in; None if nothing has come for two seconds: what the ring
    /// holds is then of a stream that rested, and no picture of now.
    pub fn last_key(&self, now: MonoTime) -> Option<(u64, MonoTime)> {
        let position = self.last_key.filter(|_| now.since(self.newest) < KEPT)?;
        Some((position, self.entry(position)?.arrived))
    }

    /// The first entry of `track` at or after `position`.
    pub fn next_of(&self, track: usize, position: u64) -> Option<&Entry> {
        let skip = usize::try_from(position.saturating_sub(self.first)).ok()?;
        self.entries.iter().skip(skip).find(|entry| entry.track == track)
    }

    /// The newest entry of `track`.
    pub fn newest_of(&self, track: usize) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.track == track)
    }

    /// When the newest entry came in.
    pub fn newest(&self) -> MonoTime {
        self.newest
    }
}
