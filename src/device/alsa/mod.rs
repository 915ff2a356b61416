//! Microphones through ALSA.

mod cards;
mod convert;
mod owner;

pub use cards::{SoundCardInfo, sound_cards};

use super::{DeviceError, Microphone, MicrophoneMode, MicrophoneWish, pace::sleep_until};
use crate::{media::SampleBlock, time::MonoTime};
use alsa::{
    Direction, Output, PollDescriptors, ValueOr,
    pcm::{Access, Frames, HwParams, PCM, State, TstampType},
    poll::{self, pollfd},
};
use convert::Encoding;
use nix::errno::Errno;
use std::{ffi::CString, time::Duration};

/// Blocks per second; the card is asked to interrupt as often.
const BLOCKS: u32 = 100;
/// The card's buffer: what may pass before something is lost while this thread does not run.
const BUFFER: Duration = Duration::from_millis(400);
/// A status older than this was not true when it was read.
const STALE: Duration = Duration::from_secs(1);
/// Blocks that must wait after a loss before its length is told.
const SETTLED: usize = 4;
/// How long to wait before looking again where waiting for the card did not help.
const NAP: Duration = Duration::from_millis(2);

/// A microphone of a sound card.
pub struct AlsaMicrophone {
    pcm: PCM,
    descriptors: Vec<pollfd>,
    /// Its ALSA name.
    device: String,
    setup: Setup,
    /// Frames per block.
    block: usize,
    /// A block as the card gives it.
    raw: Vec<u8>,
    /// Frames were lost since the last block: when the first one after them was taken, by the earliest reading so far.
    lost: Option<MonoTime>,
    overruns: u64,
}

/// What a card agreed to.
#[derive(Clone, Copy, Debug)]
struct Setup {
    encoding: Encoding,
    rate: u32,
    channels: u16,
    /// Frames in its buffer.
    buffer: usize,
    /// Whether its stamps are of CLOCK_MONOTONIC.
    monotonic: bool,
}

/// Opens the microphone of that ALSA name or card, in the format, rate and number of channels nearest to the wish that
/// the card itself has. Blocks have the card's channels at the card's rate.
///
/// # Errors
/// [`DeviceError`] but for `Stalled`.
pub fn open(wish: &MicrophoneWish) -> Result<AlsaMicrophone, DeviceError> {
    // Else libasound writes to stderr.
    let _quiet = Output::local_error_handler();
    let present = cards::present();
    let device = cards::resolve(&wish.device, &present)?.unwrap_or_else(|| wish.device.clone());
    let absent = || DeviceError::Absent {
        wanted: wish.device.clone(),
        present: present.iter().map(|card| card.listed()).collect(),
    };
    let name = CString::new(device.as_str()).map_err(|_| absent())?;
    let pcm = PCM::open(&name, Direction::Capture, true).map_err(|error| match errno(error) {
        Errno::EBUSY | Errno::EAGAIN => DeviceError::Busy { device: device.clone(), by: owner::owner(&device) },
        Errno::EACCES | Errno::EPERM => DeviceError::Unusable {
            device: device.clone(),
            reason: "no permission; add the user to the group `audio`".into(),
        },
        Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => absent(),
        _ if present.is_empty() => absent(),
        other => DeviceError::Unusable { device: device.clone(), reason: other.desc().into() },
    })?;
    let (setup, descriptors) = negotiate(&pcm, wish).map_err(|error| DeviceError::Unusable {
        device: device.clone(),
        reason: format!("it cannot be set up: {error}"),
    })?;
    tracing::info!(device, ?setup, "microphone opened");
    let block = (setup.rate / BLOCKS).max(1) as usize;
    Ok(AlsaMicrophone {
        raw: vec![0; block * usize::from(setup.channels) * setup.encoding.width()],
        pcm,
        descriptors,
        device,
        block,
        setup,
        lost: None,
        overruns: 0,
    })
}

/// Sets the card up and starts it.
fn negotiate(pcm: &PCM, wish: &MicrophoneWish) -> alsa::Result<(Setup, Vec<pollfd>)> {
    let hardware = HwParams::any(pcm)?;
    // Where the name brings a plug layer along: no rate but the card's own.
    hardware.set_rate_resample(false)?;
    hardware.set_access(Access::RWInterleaved)?;
    let encoding = Encoding::ALL
        .into_iter()
        .find(|encoding| hardware.test_format(encoding.format()).is_ok())
        .ok_or(alsa::Error::unsupported("16, 24 or 32 bits"))?;
    hardware.set_format(encoding.format())?;
    hardware.set_channels_near(u32::from(wish.device_channels()))?;
    hardware.set_rate_near(wish.rate, ValueOr::Nearest)?;
    let rate = hardware.get_rate()?;
    hardware.set_period_size_near((rate / BLOCKS).max(1) as Frames, ValueOr::Nearest)?;
    hardware.set_buffer_size_near((u64::from(rate) * BUFFER.as_millis() as u64 / 1000) as Frames)?;
    let channels = u16::try_from(hardware.get_channels()?).unwrap_or(u16::MAX);
    pcm.hw_params(&hardware)?;
    let buffer = usize::try_from(hardware.get_buffer_size()?).unwrap_or(0);

    let software = pcm.sw_params_current()?;
    software.set_avail_min((rate / BLOCKS).max(1) as Frames)?;
    software.set_tstamp_mode(true)?;
    let monotonic = software.set_tstamp_type(TstampType::Monotonic).is_ok();
    pcm.sw_params(&software)?;
    pcm.start()?;
    Ok((Setup { encoding, rate, channels, buffer, monotonic }, pcm.get()?))
}

/// When the first frame that waits was taken: `delay` frames before the card's status was true.
fn first_waiting(status: MonoTime, delay: Frames, rate: u32) -> MonoTime {
    status.saturating_sub(Duration::from_nanos(delay.max(0) as u64 * 1_000_000_000 / u64::from(rate.max(1))))
}

/// Some calls of the crate give the number negative.
fn errno(error: alsa::Error) -> Errno {
    Errno::from_raw(error.errno().abs())
}

impl Microphone for AlsaMicrophone {
    fn mode(&self) -> MicrophoneMode {
        MicrophoneMode { rate: self.setup.rate, channels: self.setup.channels }
    }

    fn next(&mut self, patience: Duration) -> Result<SampleBlock, DeviceError> {
        let limit = MonoTime::now() + patience;
        let mut wakes = 0;
        loop {
            match self.read() {
                Ok(Some(block)) => return Ok(block),
                Ok(None) => {}
                Err(error) => self.recover(error, limit)?,
            }
            let now = MonoTime::now();
            if now >= limit {
                return Err(DeviceError::Stalled { after: patience });
            }
            // A card that says again and again that there is something, and then there is not, must not spin.
            if wakes > 1 {
                sleep_until((now + NAP).min(limit));
            }
            wakes += u32::from(self.wait(limit - now)?);
        }
    }

    fn overruns(&self) -> u64 {
        self.overruns
    }
}

impl AlsaMicrophone {
    /// A block, if there is one.
    fn read(&mut self) -> alsa::Result<Option<SampleBlock>> {
        let status = self.pcm.status()?;
        // A card that stopped shows it in its state; what it says is available is not to be had then.
        let stopped =
            [(State::XRun, Errno::EPIPE), (State::Suspended, Errno::ESTRPIPE), (State::Disconnected, Errno::ENODEV)];
        let state = self.pcm.state_raw();
        if let Some((_, errno)) = stopped.into_iter().find(|(stopped, _)| *stopped as i32 == state) {
            return Err(alsa::Error::new("snd_pcm_status", errno as i32));
        }
        let available = usize::try_from(status.get_avail()).unwrap_or(0);
        if available < self.block {
            return Ok(None);
        }
        let now = MonoTime::now();
        let stamp = status.get_htstamp();
        let told = MonoTime::from_timespec(stamp.tv_sec.max(0) as u64, stamp.tv_nsec as u32);
        let trusted = self.setup.monotonic && told <= now && now - told < STALE;
        let measured = first_waiting(if trusted { told } else { now }, status.get_delay(), self.setup.rate);
        let mut stamp = measured;
        if let Some(earliest) = self.lost {
            // A card tells its position late if anything, so the earliest of some readings is the true one.
            stamp = earliest.min(measured);
            self.lost = Some(stamp);
            if available < (SETTLED * self.block).min(self.setup.buffer / 2) {
                return Ok(None);
            }
        }
        let frames = match self.pcm.io_bytes().readi(&mut self.raw) {
            Ok(frames) => frames,
            Err(error) if errno(error) == Errno::EAGAIN => return Ok(None),
            Err(error) => return Err(error),
        };
        let Setup { encoding, rate, channels, .. } = self.setup;
        let mut samples = Vec::with_capacity(frames * usize::from(channels));
        let bytes = frames * usize::from(channels) * encoding.width();
        encoding.decode(&self.raw[..bytes.min(self.raw.len())], &mut samples);
        let after_loss = self.lost.take().is_some();
        Ok((frames > 0).then_some(SampleBlock { samples, channels, rate, stamp, after_loss }))
    }

    /// Sets a card going again that lost frames or was suspended.
    fn recover(&mut self, error: alsa::Error, limit: MonoTime) -> Result<(), DeviceError> {
        let resumed = match errno(error) {
            Errno::EPIPE => false,
            Errno::ESTRPIPE => self.resume(limit),
            other => return Err(self.failed(other)),
        };
        self.overruns += 1;
        self.lost = Some(MonoTime::from_nanos(u64::MAX));
        if resumed {
            return Ok(());
        }
        self.pcm.prepare().and_then(|()| self.pcm.start()).map_err(|error| self.failed(errno(error)))
    }

    /// Whether the card goes on after a suspend of the machine as if nothing had been; few do.
    fn resume(&self, limit: MonoTime) -> bool {
        loop {
            match self.pcm.resume() {
                Ok(()) => return true,
                Err(error) if errno(error) == Errno::EAGAIN && MonoTime::now() < limit => {
                    sleep_until(MonoTime::now() + NAP);
                }
                Err(_) => return false,
            }
        }
    }

    /// Waits until the card has something to say, at most for `patience`; whether it has.
    fn wait(&mut self, patience: Duration) -> Result<bool, DeviceError> {
        let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX).max(1);
        let polled = match poll::poll(&mut self.descriptors, millis) {
            Ok(0) => return Ok(false),
            Ok(_) => self.pcm.revents(&self.descriptors),
            Err(error) if errno(error) == Errno::EINTR => return Ok(false),
            Err(error) => Err(error),
        };
        polled.map(|events| !events.is_empty()).map_err(|error| self.failed(errno(error)))
    }

    fn failed(&self, errno: Errno) -> DeviceError {
        let what = match errno {
            Errno::ENODEV => "unplugged",
            other => other.desc(),
        };
        DeviceError::Failed { device: self.device.clone(), what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Tone;

    #[test]
    fn a_name_that_nothing_has_is_absent() {
        for device in ["no such card, surely", "hw:CARD=NoSuchCard", "nul\0name"] {
            let wish =
                MicrophoneWish { device: device.into(), rate: 48_000, channels: 1, map: vec![], tone: Tone::Beep };
            let error = open(&wish).err().expect("it does not exist");
            assert!(matches!(error, DeviceError::Absent { .. }), "{device:?}: {error}");
        }
    }

    /// libasound's own `null` device stands in for a card: it captures silence, in any format, at once.
    #[test]
    fn negotiates_and_captures() {
        let wish = MicrophoneWish { device: "null".into(), rate: 44_100, channels: 2, map: vec![], tone: Tone::Beep };
        let mut microphone = open(&wish).unwrap();
        assert_eq!(microphone.mode(), MicrophoneMode { rate: 44_100, channels: 2 });
        let block = microphone.next(Duration::from_secs(1)).unwrap();
        assert_eq!((block.rate, block.channels, block.frames()), (44_100, 2, 441));
        assert!(block.samples.iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn the_first_waiting_frame_is_as_old_as_the_delay() {
        let status = MonoTime::from_nanos(1_010_000_000);
        assert_eq!(first_waiting(status, 480, 48_000), MonoTime::from_nanos(1_000_000_000));
        assert_eq!(first_waiting(status, -5, 48_000), status);
        assert_eq!(first_waiting(MonoTime::ZERO, 1_000_000, 8000), MonoTime::ZERO);
    }
}
