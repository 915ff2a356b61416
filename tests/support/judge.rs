//! What a player made of a stream, and whether that is what was sent.

use super::marks::{self, Luma, Strip};

/// One decoded picture.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Media time in seconds, as the player tells it.
    pub time: Option<f64>,
    /// The strip, if it reads.
    pub strip: Option<Strip>,
    /// Whether the rest of the picture agrees with the strip.
    pub half_is_right: bool,
}

impl Picture {
    pub fn read(luma: Luma<'_>, time: Option<f64>) -> Self {
        let strip = luma.strip();
        Picture { time, strip, half_is_right: strip.is_some_and(|strip| luma.lower_half_is_right(strip)) }
    }
}

/// Decoded sound: mono samples of full scale 1.
#[derive(Default)]
pub struct Sound {
    /// Samples per second.
    pub rate: u32,
    pub samples: Vec<f32>,
    /// For each piece that the player was given: the index of its first sample, and its media time in seconds.
    pub pieces: Vec<(usize, f64)>,
}

impl Sound {
    /// The media time of a sample.
    fn time(&self, sample: usize) -> Option<f64> {
        let piece = self.pieces.partition_point(|(first, _)| *first <= sample).checked_sub(1)?;
        let (first, time) = self.pieces[piece];
        Some(time + (sample - first) as f64 / f64::from(self.rate))
    }
}

/// All that one player decoded.
#[derive(Default)]
pub struct Recording {
    pub pictures: Vec<Picture>,
    pub sound: Option<Sound>,
    /// Whether the media times are the stream's own; else they are the player's clock, which wobbles until it has settled.
    pub stream_time: bool,
    /// What the player or its decoder said about damage.
    pub complaints: Vec<String>,
}

/// What a stream promises.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Pictures per second.
    pub fps: f64,
    /// Camera pictures per stream picture.
    pub step: u16,
    /// The shortest recording that counts, in seconds.
    pub seconds: f64,
    /// Whether there is sound.
    pub sound: bool,
}

/// How far the beep may be from the flash, in seconds.
const IN_STEP: f64 = 0.020;

impl Recording {
    /// Fails unless every picture and sound arrived whole, in order, in time and in step.
    pub fn check(&self, expected: Expected) {
        let mut faults = self.complaints.clone();
        self.check_pictures(expected, &mut faults);
        match &self.sound {
            Some(sound) => self.check_sound(sound, expected, &mut faults),
            None if expected.sound => faults.push("no sound".into()),
            None => {}
        }
        let count = faults.len();
        faults.truncate(20);
        assert!(count == 0, "{count} faults in {} pictures:\n{}", self.pictures.len(), faults.join("\n"));
    }

    fn check_pictures(&self, expected: Expected, faults: &mut Vec<String>) {
        for (n, picture) in self.pictures.iter().enumerate() {
            match picture.strip {
                None => faults.push(format!("picture {n}: its strip does not read")),
                Some(_) if !picture.half_is_right => faults.push(format!("picture {n}: the lower half is wrong")),
                Some(_) => {}
            }
        }
        let strips: Vec<(usize, Strip)> =
            self.pictures.iter().enumerate().filter_map(|(n, picture)| Some((n, picture.strip?))).collect();
        for pair in strips.windows(2) {
            let ((_, before), (n, after)) = (pair[0], pair[1]);
            let rise = after.counter.wrapping_sub(before.counter);
            if rise != expected.step {
                faults.push(format!("picture {n}: the counter rose by {rise}, not {}", expected.step));
            }
        }
        let (Some((_, first)), Some((_, last))) = (strips.first(), strips.last()) else {
            return faults.push("no picture".into());
        };
        let seconds = (last.millis - first.millis) as f64 / 1000.0;
        if seconds < expected.seconds - 1.5 / expected.fps {
            faults.push(format!("only {seconds:.2} s of pictures"));
        }
        check_count("by the strips' clock", strips.len(), seconds, expected, faults);
        let times: Vec<f64> = self.pictures.iter().filter_map(|picture| picture.time).collect();
        if let (true, Some(first), Some(last)) = (self.stream_time, times.first(), times.last()) {
            check_count("by media time", times.len(), last - first, expected, faults);
            faults
                .extend(times.windows(2).filter(|pair| pair[1] <= pair[0]).map(|pair| format!("time stood: {pair:?}")));
        }
    }

    fn check_sound(&self, sound: &Sound, expected: Expected, faults: &mut Vec<String>) {
        let rate = sound.rate as usize;
        let seconds = sound.samples.len() as f64 / rate as f64;
        if seconds < expected.seconds - 0.5 {
            faults.push(format!("only {seconds:.2} s of sound"));
        }
        // By a player's clock a piece may come early or late; then only the beeps tell whether any is missing.
        for pair in sound.pieces.windows(2).filter(|_| self.stream_time) {
            let gap = pair[1].1 - pair[0].1 - (pair[1].0 - pair[0].0) as f64 / rate as f64;
            if gap.abs() > 0.005 {
                faults.push(format!("sound: a gap of {:.1} ms at {:.3} s", gap * 1e3, pair[1].1));
            }
        }
        let beeps = marks::beeps(&sound.samples, sound.rate);
        if beeps.len() < ((expected.seconds / 2.0) as usize).saturating_sub(1) {
            faults.push(format!("only {} beeps", beeps.len()));
        }
        for pair in beeps.windows(2) {
            let period = (pair[1] - pair[0]) as f64 / rate as f64;
            if (period - marks::MARK_PERIOD_MS as f64 / 1e3).abs() > 0.005 {
                faults
                    .push(format!("{period:.4} s from one beep to the next at {:.3} s", pair[1] as f64 / rate as f64));
            }
        }
        for beep in &beeps {
            let Some(tone) = sound.samples.get(*beep..beep + rate / 10) else { continue };
            let (pitch, level) = (marks::pitch(tone, sound.rate), marks::level_dbfs(tone));
            if (pitch - marks::TONE_HZ).abs() > 10.0 || (level + 6.0).abs() > 2.0 {
                faults.push(format!("a beep of {pitch} Hz at {level:.1} dBFS"));
            }
            let Some(rest) = sound.samples.get(beep + rate / 5..beep + rate) else { continue };
            if marks::level_dbfs(rest) > -40.0 {
                faults.push(format!("noise of {:.1} dBFS after a beep", marks::level_dbfs(rest)));
            }
        }
        let offsets = self.offsets(sound, &beeps);
        eprintln!("sound against picture, ms: {:.1?}", offsets.iter().map(|s| s * 1e3).collect::<Vec<_>>());
        if offsets.len() + 1 < beeps.len() && !sound.pieces.is_empty() {
            faults.push(format!("{} of {} beeps have a flash", offsets.len(), beeps.len()));
        }
        if self.stream_time {
            let late = offsets.iter().filter(|by| by.abs() > IN_STEP);
            faults.extend(late.map(|by| format!("sound {:.1} ms late", by * 1e3)));
        } else if let Some(settled) = median(offsets[offsets.len() / 2..].to_vec())
            && settled.abs() > IN_STEP
        {
            // A player that keeps a clock of its own takes some seconds to tie the tracks together.
            faults.push(format!("sound {:.1} ms late once it has settled", settled * 1e3));
        }
    }

    /// By how many seconds each beep is later than the flash of its mark.
    fn offsets(&self, sound: &Sound, beeps: &[usize]) -> Vec<f64> {
        let flashes: Vec<f64> = self
            .pictures
            .iter()
            .filter_map(|picture| {
                let strip = picture.strip?;
                strip.in_flash().then_some(picture.time? - strip.since_mark())
            })
            .collect();
        let nearest = |beep: f64| flashes.iter().map(|flash| beep - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        beeps
            .iter()
            .filter_map(|beep| nearest(sound.time(*beep)?))
            .filter(|offset| offset.abs() < marks::MARK_PERIOD_MS as f64 / 2e3)
            .collect()
    }
}

/// In ten seconds one picture may be missing or too many.
fn check_count(clock: &str, pictures: usize, seconds: f64, expected: Expected, faults: &mut Vec<String>) {
    let due = seconds * expected.fps + 1.0;
    if (pictures as f64 - due).abs() > (seconds / 10.0).max(1.0) {
        faults.push(format!("{pictures} pictures in {seconds:.3} s {clock}; {due:.1} are due"));
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
