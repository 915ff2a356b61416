use std::{fmt, fs, time::Duration};

/// How busy the machine was over the last 1, 5 and 15 minutes.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Measured values of one kind.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    pub fn push(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From the least to the greatest.
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// NaN if there are none.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The least value that so many percent do not exceed; NaN if there are none.
    pub fn percentile(&self, percent: usize) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        self.0[(self.0.len() * percent).div_ceil(100).clamp(1, self.0.len()) - 1]
    }
}

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let [median, p95, least, most] = [self.median(), self.percentile(95), self.percentile(0), self.percentile(100)];
        write!(
            f,
            "median {median:8.digits$}   p95 {p95:8.digits$}   {least:.digits$} to {most:.digits$}   ({})",
            self.0.len()
        )
    }
}

/// Numbers without a pattern, the same in every run.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }
}

impl Random {
    /// Up to `most`.
    pub fn pause(&mut self, most: Duration) -> Duration {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        most.mul_f64((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }
}
