use crate::media::FrameRate;

/// Leaves pictures out evenly, by the device's own count, so that losses do not shift the pattern.
#[derive(Clone, Copy, Debug)]
pub struct Thinning {
    wanted: FrameRate,
    given: FrameRate,
    last: Option<u64>,
}

impl Thinning {
    /// From `given` to at most `wanted` pictures per second.
    pub fn new(wanted: FrameRate, given: FrameRate) -> Self {
        Self { wanted: wanted.min(given), given, last: None }
    }

    /// The rate that is left.
    pub fn rate(&self) -> FrameRate {
        self.wanted
    }

    /// Whether the picture with the device's number `sequence` stays.
    pub fn keeps(&mut self, sequence: u64) -> bool {
        let numerator = u128::from(self.wanted.num) * u128::from(self.given.den);
        let denominator = u128::from(self.wanted.den) * u128::from(self.given.num);
        let place = (u128::from(sequence) * numerator / denominator) as u64;
        self.last.replace(place) != Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_evenly_and_keeps_the_pattern_over_losses() {
        let mut thinning = Thinning::new(FrameRate::new(10, 1), FrameRate::new(30, 1));
        let kept: Vec<u64> = (0..20).filter(|n| *n != 10).filter(|n| thinning.keeps(*n)).collect();
        assert_eq!(kept, [0, 3, 6, 9, 12, 15, 18]);
        let mut uneven = Thinning::new(FrameRate::new(25, 1), FrameRate::new(30, 1));
        assert_eq!((0..300).filter(|n| uneven.keeps(*n)).count(), 250);
        let mut all = Thinning::new(FrameRate::new(60, 1), FrameRate::new(30, 1));
        assert_eq!(all.rate(), FrameRate::new(30, 1));
        assert!((0..30).all(|n| all.keeps(n)));
    }
}
