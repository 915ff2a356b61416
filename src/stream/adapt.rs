//! A bitrate that follows what the network carries, as its receivers tell.

/// Loss from here on is too much to watch: less is sent.
const TOO_MUCH: f64 = 0.03;
/// Below this there is room for more.
const LITTLE: f64 = 0.01;
/// By how much more at a time: from half of what was to all of it in about half a minute.
const STEP: f64 = 1.05;

/// Between which bit/s the bitrate may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub least: u32,
    pub most: u32,
}

/// What one stream's viewers say together decides; time is the caller's: it asks at a steady pace.
#[derive(Debug)]
pub struct Adaptation {
    bounds: Bounds,
    /// As configured, in bit/s.
    configured: u32,
    /// Bit/s.
    bitrate: u32,
}

impl Adaptation {
    /// Begins with `bitrate`, or the bound that is nearest.
    pub fn new(bitrate: u32, bounds: Bounds) -> Self {
        let configured = bitrate.clamp(bounds.least, bounds.most.max(bounds.least));
        Self { bounds, configured, bitrate: configured }
    }

    /// Whether it was begun with these.
    pub fn is_of(&self, bitrate: u32, bounds: Bounds) -> bool {
        let other = Self::new(bitrate, bounds);
        (self.bounds, self.configured) == (other.bounds, other.configured)
    }

    /// Nobody watches: what the last ones lost says nothing of the next.
    pub fn begin_anew(&mut self) {
        self.bitrate = self.configured;
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// In bit/s.
    pub fn bitrate(&self) -> u32 {
        self.bitrate
    }

    /// Takes what part of its packets each viewer has lost of late, 0 to 1; the order is changed. What more than half of them
    /// lose at least is what counts: one bad link among several changes nothing.
    pub fn told(&mut self, losses: &mut [f64]) {
        losses.sort_by(f64::total_cmp);
        let Some(loss) = losses.get(losses.len().saturating_sub(1) / 2) else { return };
        let factor = match *loss {
            // By half of the loss (draft-ietf-rmcat-gcc-02 §6), and a little more, so that a small one shows too.
            loss if loss >= TOO_MUCH => 1.0 - loss.min(1.0) / 2.0 - TOO_MUCH,
            loss if loss < LITTLE => STEP,
            _ => 1.0,
        };
        let bitrate = (f64::from(self.bitrate) * factor) as u32;
        self.bitrate = bitrate.clamp(self.bounds.least, self.bounds.most.max(self.bounds.least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { least: 500_000, most: 4_000_000 };

    fn after(losses: &[f64], times: usize) -> u32 {
        let mut adaptation = Adaptation::new(2_000_000, BOUNDS);
        (0..times).for_each(|_| adaptation.told(&mut losses.to_vec()));
        adaptation.bitrate()
    }

    #[test]
    fn it_falls_with_losses_and_rises_without_within_its_bounds() {
        assert!((1_800_000..1_950_000).contains(&after(&[0.05], 1)));
        assert!((1_400_000..1_700_000).contains(&after(&[0.4], 1)));
        assert_eq!(after(&[0.2], 100), 500_000);
        assert_eq!(after(&[0.02], 100), 2_000_000, "neither");
        assert_eq!(after(&[0.0], 1), 2_100_000);
        assert_eq!(after(&[0.0], 100), 4_000_000);
        assert_eq!(after(&[], 100), 2_000_000, "nobody says anything");
        assert_eq!(after(&[f64::NAN, 0.0, 2.0], 3), after(&[2.0], 3), "nonsense does no harm");
    }

    #[test]
    fn it_recovers_in_half_a_minute() {
        let mut adaptation = Adaptation::new(2_000_000, BOUNDS);
        while adaptation.bitrate() > 1_000_000 {
            adaptation.told(&mut [0.3]);
        }
        let mut steps = 0;
        while adaptation.bitrate() < 2_000_000 {
            adaptation.told(&mut [0.0]);
            steps += 1;
        }
        assert!((10..20).contains(&steps), "{steps}");
    }

    #[test]
    fn one_bad_viewer_changes_nothing_for_the_rest() {
        assert_eq!(after(&[0.5, 0.0, 0.0], 100), 4_000_000);
        assert_eq!(after(&[0.5, 0.0], 100), 4_000_000, "of two both must lose");
        assert_eq!(after(&[0.5, 0.5, 0.0], 100), 500_000);
        assert_eq!(after(&[0.5, 0.1], 100), 500_000);
    }

    #[test]
    fn what_is_configured_outside_the_bounds_begins_at_the_nearest() {
        assert_eq!(Adaptation::new(8_000_000, BOUNDS).bitrate(), 4_000_000);
        assert_eq!(Adaptation::new(1, BOUNDS).bitrate(), 500_000);
    }
}
