//! How loud the sound is.

/// What is told of digital silence, in dBFS.
const FLOOR: f32 = -120.0;
/// What is louder than this is bent towards full scale, which it never reaches: -2 dBFS.
const KNEE: f32 = 0.794;

/// What a config makes of a microphone's loudness.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loudness {
    /// In dB.
    pub gain: f64,
    pub mute: bool,
}

/// How loud a second of sound was, in dB of full scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    pub peak: f32,
    /// Root mean square: a sine at full scale has -3.
    pub rms: f32,
}

/// Makes sound louder or softer, silences and measures it.
#[derive(Debug)]
pub struct Fader {
    /// Factors in force at the end of the last block; None before the first.
    factors: Option<(f32, f32)>,
    peak: f32,
    squares: f64,
    count: usize,
    /// Samples in a second, all channels together.
    second: usize,
}

impl Fader {
    pub fn new(rate: u32, channels: u16) -> Self {
        Self { factors: None, peak: 0.0, squares: 0.0, count: 0, second: rate as usize * usize::from(channels) }
    }

    /// Applies `loudness` to the next block, a change spread over all of it so that nothing clicks. Whenever a second is
    /// full, how loud it was: with the gain, but as if it were not muted.
    pub fn apply(&mut self, samples: &mut [f32], loudness: Loudness) -> Option<Level> {
        let gain = 10f32.powf(loudness.gain as f32 / 20.0);
        let heard = if loudness.mute { 0.0 } else { 1.0 };
        let (gain_before, heard_before) = self.factors.replace((gain, heard)).unwrap_or((gain, heard));
        let step = 1.0 / samples.len().max(1) as f32;
        for (n, sample) in samples.iter_mut().enumerate() {
            let part = (n + 1) as f32 * step;
            let loud = *sample * (gain_before + (gain - gain_before) * part);
            // At 0 dB the sound is left as it came.
            let limited = if gain.max(gain_before) > 1.0 { limit(loud) } else { loud };
            self.peak = self.peak.max(limited.abs());
            self.squares += f64::from(limited) * f64::from(limited);
            *sample = limited * (heard_before + (heard - heard_before) * part);
        }
        self.count += samples.len();
        (self.count >= self.second).then(|| self.level())
    }

    fn level(&mut self) -> Level {
        let rms = (self.squares / self.count.max(1) as f64).sqrt() as f32;
        let level = Level { peak: decibels(self.peak), rms: decibels(rms) };
        (self.peak, self.squares, self.count) = (0.0, 0.0, 0);
        level
    }
}

/// Soft limiter without memory: nothing below the knee is touched, nothing wraps or reaches full scale.
fn limit(sample: f32) -> f32 {
    let size = sample.abs();
    if size <= KNEE {
        return sample;
    }
    (KNEE + (1.0 - KNEE) * ((size - KNEE) / (1.0 - KNEE)).tanh()).copysign(sample)
}

fn decibels(size: f32) -> f32 {
    (20.0 * size.log10()).max(FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32) -> Vec<f32> {
        (0..8000).map(|n| amplitude * (n as f32 * std::f32::consts::TAU / 8.0).sin()).collect()
    }

    fn applied(amplitude: f32, gain: f64, mute: bool) -> (Vec<f32>, Level) {
        let mut sound = tone(amplitude);
        let level = Fader::new(8000, 1).apply(&mut sound, Loudness { gain, mute }).expect("a second");
        (sound, level)
    }

    #[test]
    fn gain_is_exact_below_the_knee_and_at_0_db_nothing_changes() {
        assert_eq!(applied(1.0, 0.0, false).0, tone(1.0));
        let (sound, level) = applied(0.25, 6.0, false);
        for (loud, sample) in sound.iter().zip(tone(0.25)) {
            assert!((loud - sample * 1.995_262).abs() < 1e-6);
        }
        assert!((level.peak + 6.04).abs() < 0.01 && (level.rms + 9.05).abs() < 0.01, "{level:?}");
        let (_, level) = applied(0.5, -20.0, false);
        assert!((level.peak + 26.02).abs() < 0.01, "{level:?}");
    }

    #[test]
    fn too_much_is_bent_and_never_wraps() {
        let (sound, level) = applied(1.0, 40.0, false);
        assert!(sound.iter().all(|sample| sample.abs() <= 1.0));
        for (loud, sample) in sound.iter().zip(tone(1.0)).filter(|(_, sample)| sample.abs() > 1e-3) {
            assert_eq!(loud.is_sign_positive(), sample.is_sign_positive());
        }
        assert!((-0.01..=0.0).contains(&level.peak), "{level:?}");
        let louder: Vec<f32> = (0..400).map(|n| limit(n as f32 / 100.0)).collect();
        assert!(louder.is_sorted(), "a louder sound is never softer");
    }

    #[test]
    fn a_muted_microphone_is_silent_and_still_measured() {
        let (sound, level) = applied(0.5, 0.0, true);
        assert!(sound.iter().all(|sample| *sample == 0.0));
        assert!((level.peak + 6.02).abs() < 0.01);
        assert_eq!(applied(0.0, 0.0, false).1, Level { peak: -120.0, rms: -120.0 });
    }

    #[test]
    fn a_change_does_not_click() {
        let mut fader = Fader::new(8000, 1);
        let mut last = 1.0;
        let loudness = |gain, mute| Loudness { gain, mute };
        for wanted in [loudness(0.0, false), loudness(-20.0, false), loudness(-20.0, true), loudness(0.0, false)] {
            let mut block = [1.0; 80];
            fader.apply(&mut block, wanted);
            for sample in block {
                assert!(f32::abs(sample - last) < 0.025, "from {last} to {sample}");
                last = sample;
            }
        }
        assert_eq!(last, 1.0);
    }
}
