#[cfg(test)]
mod tests;

use super::{
    Demand, Mailbox, Meter, SourceState,
    backoff::Backoff,
    charge::{Charge, Returned},
    pace::Thinning,
    sync::{Bell, lock},
};
use crate::{
    device::{
        Camera, CameraWish, DeviceError, OPENING, camera_control, camera_controls, hotplug::Hotplug, list::ControlInfo,
        open_camera, set_camera_control,
    },
    media::{ControlValue, FrameRate, RawFrame},
    time::MonoTime,
};
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A camera that delivers nothing for this long, or for three frame times, has stalled.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(2);
/// How much longer than it should a camera may take before its thread counts as stuck in the driver.
const SLACK: Duration = Duration::from_secs(3);
/// How long a camera may take to be closed.
const CLOSING: Duration = Duration::from_secs(5);

/// A camera that never ends: its supervisor thread opens it, hands its frames to the encoders that are wanted, and opens
/// it again when it fails. A thread that its driver does not let go is left, and a fresh one takes over.
pub struct CameraSource {
    shared: Arc<Shared>,
}

type Open = Box<dyn Fn(&CameraWish) -> Result<Box<dyn Camera>, DeviceError> + Send + Sync>;

struct Shared {
    wish: CameraWish,
    open: Open,
    state: Mutex<State>,
    subscribers: Mutex<Vec<Subscriber>>,
    /// Set at run time; set again whenever the camera is opened anew.
    controls: Mutex<Vec<(String, ControlValue)>>,
    /// Wakes the supervisor when demand rises or the end comes.
    bell: Bell,
    stop: AtomicBool,
    /// Somebody who passes the camera's H.264 on needs a key frame.
    keyframe_wanted: AtomicBool,
    /// The camera takes requests for key frames; true until it refused one.
    takes_requests: AtomicBool,
    dropped: AtomicU64,
    opened: AtomicU64,
    meter: Mutex<Meter>,
}

struct State {
    state: SourceState,
    last_frame: MonoTime,
    /// How long the camera may take to its next frame.
    patience: Duration,
    /// Of the last frame.
    stamp: MonoTime,
    charge: Charge,
}

/// Why a thread is done with a camera that is still wanted.
enum Ended {
    /// It failed, which is told.
    Failed,
    /// Another thread has taken over.
    Replaced,
}

struct Subscriber {
    mailbox: Arc<Mailbox<SourceFrame>>,
    demand: Arc<Demand>,
    fps: Option<FrameRate>,
    thinning: Option<Thinning>,
}

/// A frame for an encoder.
pub struct SourceFrame {
    pub frame: RawFrame,
    /// The rate at which this encoder gets them.
    pub fps: FrameRate,
    /// When the camera's thread had it.
    pub dequeued: MonoTime,
}

impl CameraSource {
    /// Starts the thread `cam-NAME`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(wish: CameraWish) -> io::Result<Arc<Self>> {
        Self::start_with(wish, Box::new(open_camera))
    }

    /// The same with another way to open the camera.
    fn start_with(wish: CameraWish, open: Open) -> io::Result<Arc<Self>> {
        let state = State {
            state: SourceState::Idle,
            last_frame: MonoTime::now(),
            patience: SHORTEST_PATIENCE,
            stamp: MonoTime::ZERO,
            charge: Charge::default(),
        };
        let shared = Arc::new(Shared {
            wish,
            open,
            state: Mutex::new(state),
            subscribers: Mutex::default(),
            controls: Mutex::default(),
            bell: Bell::default(),
            stop: AtomicBool::new(false),
            keyframe_wanted: AtomicBool::new(false),
            takes_requests: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            meter: Mutex::default(),
        });
        shared.clone().start_thread(0)?;
        Ok(Arc::new(Self { shared }))
    }

    pub fn wish(&self) -> &CameraWish {
        &self.shared.wish
    }

    /// An encoder's mailbox: while `demand` lasts it gets frames, at most `fps` a second.
    pub fn subscribe(
        &self,
        mailbox: Mailbox<SourceFrame>,
        demand: Arc<Demand>,
        fps: Option<FrameRate>,
    ) -> Arc<Mailbox<SourceFrame>> {
        let mailbox = Arc::new(mailbox);
        let (shared, poked) = (Arc::downgrade(&self.shared), Arc::downgrade(&mailbox));
        demand.on_raise(move || {
            if let Some(mailbox) = poked.upgrade() {
                mailbox.poke();
            }
            if let Some(shared) = shared.upgrade() {
                shared.bell.ring();
            }
        });
        lock(&self.shared.subscribers).push(Subscriber { mailbox: mailbox.clone(), demand, fps, thinning: None });
        self.shared.bell.ring();
        mailbox
    }

    /// Ends what [`CameraSource::subscribe`] began.
    pub fn unsubscribe(&self, mailbox: &Arc<Mailbox<SourceFrame>>) {
        lock(&self.shared.subscribers).retain(|subscriber| !Arc::ptr_eq(&subscriber.mailbox, mailbox));
        mailbox.close();
    }

    pub fn state(&self) -> SourceState {
        lock(&self.shared.state).state.clone()
    }

    /// The camera's controls. May block in its driver.
    ///
    /// # Errors
    /// It is absent, or has none.
    pub fn controls(&self) -> Result<Vec<ControlInfo>, DeviceError> {
        camera_controls(&self.wish().device)
    }

    /// One control of the camera. May block in its driver.
    ///
    /// # Errors
    /// In words, with the nearest right name.
    pub fn control(&self, name: &str) -> Result<ControlInfo, DeviceError> {
        camera_control(&self.wish().device, name)
    }

    /// Sets a control, now and whenever the camera is opened anew; what it is then. May block in its driver.
    ///
    /// # Errors
    /// In words, with the nearest right name or value.
    pub fn set_control(&self, name: &str, value: ControlValue) -> Result<ControlInfo, DeviceError> {
        let control = set_camera_control(&self.wish().device, name, &value)?;
        let mut controls = lock(&self.shared.controls);
        controls.retain(|(set, _)| *set != control.name);
        controls.push((control.name.clone(), value));
        Ok(control)
    }

    /// Why there is no picture now, or None while frames come or are about to.
    pub fn silence(&self, now: MonoTime) -> Option<String> {
        let state = lock(&self.shared.state);
        let reason = match &state.state {
            SourceState::NoSignal(reason) => reason.clone(),
            SourceState::Idle => return None,
            // The device thread itself says so when a camera stalls; this is for one that is stuck in its driver.
            SourceState::Starting | SourceState::Live => {
                let quiet = now - state.last_frame;
                if quiet <= state.patience + SLACK / 3 {
                    return None;
                }
                format!("the camera has not answered for {} s", quiet.as_secs())
            }
        };
        Some(match state.charge.stuck(now) {
            (_, Some(since)) => format!("{reason}; its driver has been stuck for {} s", since.as_secs()),
            _ => reason,
        })
    }

    /// How many threads are stuck in the camera's driver, and since when the longest.
    pub fn stuck(&self, now: MonoTime) -> (usize, Option<Duration>) {
        lock(&self.shared.state).charge.stuck(now)
    }

    /// Has a fresh thread take over where the one in charge is stuck in the driver. To be called about once a second.
    pub fn watch_over(&self, now: MonoTime) {
        // Held until it is appointed, so that the fresh thread does not begin before.
        let mut state = lock(&self.shared.state);
        let Some(successor) = state.charge.successor(now) else { return };
        let (name, (before, since)) = (&self.shared.wish.name, state.charge.stuck(now));
        let seconds = since.unwrap_or_default().as_secs();
        match self.shared.clone().start_thread(successor) {
            Ok(()) => {
                state.charge.appoint(successor);
                tracing::warn!(
                    camera = name,
                    "a thread is left in its driver, which has been stuck for {seconds} s; a fresh one tries again \
                     ({before} left)"
                );
                if !matches!(state.state, SourceState::NoSignal(_)) {
                    state.state = SourceState::NoSignal("the camera does not answer".to_owned());
                }
            }
            Err(error) => tracing::error!(camera = name, "its driver is stuck, and no thread can be had: {error}"),
        }
    }

    /// Asks a camera that encodes by itself for a key frame. Whether it can be asked shows in
    /// [`CameraSource::takes_requests`] by the next frame.
    pub fn request_keyframe(&self) {
        self.shared.keyframe_wanted.store(true, Ordering::Release);
    }

    /// Whether asking for a key frame is of any use.
    pub fn takes_requests(&self) -> bool {
        self.shared.takes_requests.load(Ordering::Relaxed)
    }

    /// Frames lost by the device, the driver or a busy encoder.
    pub fn dropped(&self) -> u64 {
        let busy: u64 = lock(&self.shared.subscribers).iter().map(|subscriber| subscriber.mailbox.lost()).sum();
        self.shared.dropped.load(Ordering::Relaxed) + busy
    }

    /// Pictures per second that the camera gives, as measured; None while none come.
    pub fn rate(&self, now: MonoTime) -> Option<f64> {
        lock(&self.shared.meter).rates(now).map(|rates| rates.per_second)
    }

    /// How often the device was opened again after the first time.
    pub fn reopened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for CameraSource {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.bell.ring();
    }
}

impl Shared {
    fn start_thread(self: Arc<Self>, number: u64) -> io::Result<()> {
        let name = format!("cam-{}", self.wish.name);
        thread::Builder::new().name(name).spawn(move || self.supervise(number)).map(drop)
    }

    /// The life of a thread that is in charge of the camera, until the end or until another one has taken over.
    fn supervise(&self, number: u64) {
        let (mut hotplug, mut backoff) = (Hotplug::new(), Backoff::default());
        while !self.stop.load(Ordering::Acquire) {
            if !self.wanted() {
                self.set_state(SourceState::Idle);
                self.bell.wait();
                continue;
            }
            if self.state() == SourceState::Idle {
                self.set_state(SourceState::Starting);
            }
            let begun = MonoTime::now();
            match self.run_camera(number) {
                Ok(()) => continue,
                Err(Ended::Replaced) => return,
                Err(Ended::Failed) => {}
            }
            let worked = lock(&self.state).last_frame - begun;
            if hotplug.wait(backoff.failed(worked, MonoTime::now())) {
                backoff.event(MonoTime::now());
                // A driver that makes events whenever it is tried would have it tried without a pause.
                thread::sleep(begun + Backoff::LEAST - MonoTime::now());
            }
        }
        self.set_state(SourceState::Idle);
    }

    /// What is wished now: what was set at run time comes after what it takes the place of.
    fn wish(&self) -> CameraWish {
        let mut wish = self.wish.clone();
        wish.controls.extend(lock(&self.controls).iter().cloned());
        wish
    }

    /// Opens the camera, hands its frames on until nobody wants them (Ok) or it fails, and closes it.
    fn run_camera(&self, number: u64) -> Result<(), Ended> {
        let opened = self.in_device(number, OPENING + SLACK, || (self.open)(&self.wish()))?;
        let mut camera = opened.map_err(|error| self.failed(&error))?;
        let outcome = self.capture(number, &mut *camera);
        if matches!(outcome, Err(Ended::Replaced)) {
            return outcome;
        }
        self.in_device(number, CLOSING, || drop(camera))?;
        outcome
    }

    fn capture(&self, number: u64, camera: &mut dyn Camera) -> Result<(), Ended> {
        let mode = camera.mode().clone();
        let opened = self.opened.fetch_add(1, Ordering::Relaxed);
        let patience = (mode.fps.interval() * 3).max(SHORTEST_PATIENCE);
        lock(&self.state).patience = patience;
        for subscriber in lock(&self.subscribers).iter_mut() {
            subscriber.thinning = None;
        }
        let (mut live, dropped_before) = (false, self.dropped.load(Ordering::Relaxed));
        while self.wanted() && !self.stop.load(Ordering::Acquire) {
            if self.keyframe_wanted.swap(false, Ordering::Acquire) {
                let taken = self.in_device(number, SLACK, || camera.request_keyframe())?;
                self.takes_requests.store(taken, Ordering::Relaxed);
            }
            let taken = self.in_device(number, patience + SLACK, || camera.next(patience))?;
            let mut frame = taken.map_err(|error| self.failed(&error))?;
            let now = MonoTime::now();
            {
                let mut state = lock(&self.state);
                // Cameras see to it that time rises; a camera that is opened anew knows nothing of its last one.
                frame.stamp = frame.stamp.min(now).max(state.stamp);
                (state.stamp, state.last_frame) = (frame.stamp, now);
            }
            if !live {
                live = true;
                if opened > 0 {
                    tracing::info!(camera = self.wish.name, "the picture is back");
                }
                self.set_state(SourceState::Live);
            }
            self.dropped.store(dropped_before + camera.dropped(), Ordering::Relaxed);
            lock(&self.meter).count(now, 0);
            self.hand_out(&frame, mode.fps, now);
        }
        Ok(())
    }

    /// Does what may hang in a driver, and should be done within `bound`. Afterwards this thread may have been replaced: then
    /// what it got there is dropped.
    fn in_device<T>(&self, number: u64, bound: Duration, work: impl FnOnce() -> T) -> Result<T, Ended> {
        lock(&self.state).charge.enter(MonoTime::now(), bound);
        let done = work();
        let returned = lock(&self.state).charge.leave(number, MonoTime::now());
        match returned {
            Returned::InCharge => Ok(done),
            Returned::Replaced(after) => {
                let seconds = after.as_secs();
                tracing::warn!(
                    camera = self.wish.name,
                    "a thread that was left in its driver is back after {seconds} s"
                );
                Err(Ended::Replaced)
            }
        }
    }

    /// Tells why there is no picture: to the log, and at once to who shows the slate.
    fn failed(&self, error: &DeviceError) -> Ended {
        let reason = error.to_string();
        if self.state() != SourceState::NoSignal(reason.clone()) {
            tracing::warn!(camera = self.wish.name, "no picture: {reason}");
        }
        self.set_state(SourceState::NoSignal(reason));
        self.wake_encoders();
        Ended::Failed
    }

    fn hand_out(&self, frame: &RawFrame, given: FrameRate, now: MonoTime) {
        for subscriber in lock(&self.subscribers).iter_mut() {
            let wanted = subscriber.fps.unwrap_or(given);
            let thinning = subscriber.thinning.get_or_insert_with(|| Thinning::new(wanted, given));
            if thinning.keeps(frame.sequence) && subscriber.demand.wanted(now) {
                subscriber.mailbox.put(SourceFrame { frame: frame.clone(), fps: thinning.rate(), dequeued: now });
            }
        }
    }

    fn wanted(&self) -> bool {
        let now = MonoTime::now();
        lock(&self.subscribers).iter().any(|subscriber| subscriber.demand.wanted(now))
    }

    fn wake_encoders(&self) {
        lock(&self.subscribers).iter().for_each(|subscriber| subscriber.mailbox.poke());
    }

    fn state(&self) -> SourceState {
        lock(&self.state).state.clone()
    }

    fn set_state(&self, state: SourceState) {
        let mut current = lock(&self.state);
        if matches!(state, SourceState::Starting) {
            (current.last_frame, current.patience) = (MonoTime::now(), SHORTEST_PATIENCE);
        }
        current.state = state;
    }
}
