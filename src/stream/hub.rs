use super::{Adaptation, Bounds, Demand, KeyframeAnswer, KeyframeBudget, Latency, Meter, Rates, sync::lock};
use crate::{
    media::TrackFormat,
    rtp::PacketBatch,
    time::{MonoTime, WallTime},
};
use std::sync::{
    Arc, Mutex, RwLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What an inbox holds at most: some ten seconds of a stream. A worker that is further behind loses it all.
const INBOX_LIMIT: usize = 2048;

/// Where one stream's batches come together and go out to the workers. It knows workers, never viewers.
pub struct Hub {
    id: u64,
    session_id: u64,
    name: String,
    tracks: Vec<HubTrack>,
    inboxes: RwLock<Vec<Arc<Inbox>>>,
    budget: Mutex<KeyframeBudget>,
    keyframe_wanted: AtomicBool,
    /// Whoever makes the pictures takes requests for key frames.
    takes_requests: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    keyframes: AtomicU64,
    /// Where the bitrate follows the network.
    adaptation: Mutex<Option<Adaptation>>,
    demand: Arc<Demand>,
    latency: Latency,
}

/// What is wrong with the pictures that come in, in words for a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// They cannot be shown: the slate stands in for them.
    Dark(String),
    /// They are shown all the same.
    Flawed(String),
}

/// One track of a stream: its place in the RTP session, and its format once that is known.
pub struct HubTrack {
    /// The number in `trackID=`.
    pub id: u8,
    pub video: bool,
    pub ssrc: u32,
    pub first_sequence: u16,
    pub timestamp_offset: u32,
    format: watch::Sender<Option<TrackFormat>>,
    /// How often the format changed.
    version: AtomicU64,
    meter: Mutex<Meter>,
}

/// A batch on its way to a worker.
#[derive(Clone)]
pub struct Delivery {
    /// [`Hub::id`].
    pub hub: u64,
    /// Index into [`Hub::tracks`].
    pub track: usize,
    pub batch: Arc<PacketBatch>,
    pub published: MonoTime,
    /// How long a picture has been handled so far, see [`super::Stage::Handling`].
    pub handled: Option<Duration>,
}

/// A worker's door: hubs put batches in and wake it.
#[derive(Default)]
pub struct Inbox {
    deliveries: Mutex<Vec<Delivery>>,
    arrived: Notify,
    lost: AtomicU64,
}

impl Hub {
    /// A stream with video, sound or both; video is track 0, sound the next.
    pub fn new(name: &str, video: bool, audio: bool, now: MonoTime) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let kinds = [(video, true), (audio, false)];
        let tracks = kinds
            .iter()
            .filter(|(there, _)| *there)
            .enumerate()
            .map(|(id, (_, video))| HubTrack::new(id as u8, *video));
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            // As RFC 4566 §5.2 suggests, the time of its making.
            session_id: WallTime::now().ntp().0 >> 16,
            name: name.to_owned(),
            tracks: tracks.collect(),
            inboxes: RwLock::default(),
            budget: Mutex::new(KeyframeBudget::new(now)),
            keyframe_wanted: AtomicBool::new(false),
            takes_requests: AtomicBool::new(true),
            trouble: Mutex::default(),
            keyframes: AtomicU64::new(0),
            adaptation: Mutex::default(),
            demand: Demand::new(),
            latency: Latency::default(),
        })
    }

    /// Unique within the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tracks(&self) -> &[HubTrack] {
        &self.tracks
    }

    /// For `o=` of the session description: the same as long as the stream lives.
    pub fn session_id(&self) -> u64 {
        self.session_id
    }

    /// For `o=`: raised whenever a track's format changes.
    pub fn version(&self) -> u64 {
        self.tracks.iter().map(|track| track.version.load(Ordering::Relaxed)).sum()
    }

    /// The index of the video track.
    pub fn video(&self) -> Option<usize> {
        self.tracks.iter().position(|track| track.video)
    }

    /// The index of the sound track.
    pub fn audio(&self) -> Option<usize> {
        self.tracks.iter().position(|track| !track.video)
    }

    pub fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    /// From now on this worker gets every batch.
    pub fn connect(&self, inbox: Arc<Inbox>) {
        self.inboxes.write().unwrap_or_else(|poisoned| poisoned.into_inner()).push(inbox);
    }

    /// How long its pictures take.
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Hands a batch of track number `track` to all workers and wakes each once. `bytes` is the coded size, `handled` how
    /// long a picture has been handled so far.
    pub fn publish(
        &self,
        track: usize,
        batch: Arc<PacketBatch>,
        bytes: usize,
        handled: Option<Duration>,
        now: MonoTime,
    ) {
        if self.tracks[track].video && batch.key() {
            self.keyframes.fetch_add(1, Ordering::Relaxed);
            lock(&self.budget).arrived();
        }
        lock(&self.tracks[track].meter).count(now, bytes);
        for inbox in self.inboxes.read().unwrap_or_else(|poisoned| poisoned.into_inner()).iter() {
            inbox.put(Delivery { hub: self.id, track, batch: batch.clone(), published: now, handled });
        }
    }

    /// Asks the encoder for a key frame, within the budget.
    pub fn ask_keyframe(&self, now: MonoTime) -> KeyframeAnswer {
        if !self.takes_requests.load(Ordering::Relaxed) {
            return KeyframeAnswer::Unable;
        }
        let answer = lock(&self.budget).ask(now);
        if answer == KeyframeAnswer::Asked {
            self.keyframe_wanted.store(true, Ordering::Release);
        }
        answer
    }

    /// The encoder's side of [`Hub::ask_keyframe`]: whether the next picture is to be a key frame.
    pub fn take_keyframe_wish(&self) -> bool {
        self.keyframe_wanted.swap(false, Ordering::Acquire)
    }

    /// Whether asking for a key frame is of any use; true until told otherwise.
    pub fn set_takes_requests(&self, takes: bool) {
        self.takes_requests.store(takes, Ordering::Relaxed);
    }

    pub fn trouble(&self) -> Option<Trouble> {
        lock(&self.trouble).clone()
    }

    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        *lock(&self.trouble) = trouble;
    }

    /// Lets the bitrate follow the network within bounds, beginning with `bitrate` (bit/s), or not. What it has come to stays
    /// where only the beginning changes.
    pub fn set_adaptive(&self, bitrate: u32, bounds: Option<Bounds>) {
        let mut adaptation = lock(&self.adaptation);
        let same = adaptation.as_ref().zip(bounds).is_some_and(|(here, bounds)| here.is_of(bitrate, bounds));
        if !same {
            *adaptation = bounds.map(|bounds| Adaptation::new(bitrate, bounds));
        }
    }

    /// What part of its packets each viewer has lost since this was told last.
    pub fn tell_losses(&self, losses: &mut [f64]) {
        if let Some(adaptation) = &mut *lock(&self.adaptation) {
            adaptation.told(losses);
        }
    }

    /// Nobody watches any more.
    pub fn forget_losses(&self) {
        if let Some(adaptation) = &mut *lock(&self.adaptation) {
            adaptation.begin_anew();
        }
    }

    /// Between which the bitrate follows the network, if it does.
    pub fn bitrate_bounds(&self) -> Option<Bounds> {
        lock(&self.adaptation).as_ref().map(Adaptation::bounds)
    }

    /// The bitrate (bit/s) that the network carries; None: it is not asked.
    pub fn carried_bitrate(&self) -> Option<u32> {
        lock(&self.adaptation).as_ref().map(Adaptation::bitrate)
    }

    /// Key frames since the start.
    pub fn keyframes(&self) -> u64 {
        self.keyframes.load(Ordering::Relaxed)
    }
}

impl HubTrack {
    fn new(id: u8, video: bool) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = random();
        Self {
            id,
            video,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            // RFC 3550 §5.1: random, so that known plain text is harder to guess. The low half leaves the first wrap far off.
            first_sequence: u16::from_be_bytes([e & 0x7f, f]),
            timestamp_offset: u32::from_be_bytes([g, h, i, j]),
            format: watch::Sender::new(None),
            version: AtomicU64::new(0),
            meter: Mutex::default(),
        }
    }

    /// None until the encoder knows it.
    pub fn format(&self) -> Option<TrackFormat> {
        self.format.borrow().clone()
    }

    /// To wait on, until the format is known or changes.
    pub fn format_changes(&self) -> watch::Receiver<Option<TrackFormat>> {
        self.format.subscribe()
    }

    pub fn set_format(&self, format: TrackFormat) {
        self.format.send_if_modified(|current| {
            let changed = current.as_ref() != Some(&format);
            self.version.fetch_add(u64::from(changed), Ordering::Relaxed);
            *current = Some(format);
            changed
        });
    }

    /// Units and bits per second as measured; None when nothing flows.
    pub fn rates(&self, now: MonoTime) -> Option<Rates> {
        lock(&self.meter).rates(now)
    }
}

impl Inbox {
    fn put(&self, delivery: Delivery) {
        {
            let mut deliveries = lock(&self.deliveries);
            if deliveries.len() >= INBOX_LIMIT {
                self.lost.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
                deliveries.clear();
            }
            deliveries.push(delivery);
        }
        self.arrived.notify_one();
    }

    /// Waits until something is there.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Moves all that came into `into`, which must be empty and lends its memory.
    pub fn drain(&self, into: &mut Vec<Delivery>) {
        std::mem::swap(&mut *lock(&self.deliveries), into);
    }

    /// Batches lost because the worker did not fetch them.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    // Without the kernel's random numbers a running clock still keeps two streams apart.
    if getrandom::fill(&mut bytes).is_err() {
        bytes[..8].copy_from_slice(&MonoTime::now().as_nanos().to_le_bytes());
    }
    bytes
}
