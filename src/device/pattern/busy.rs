//! The scene that fills a bitrate: a texture that drifts, under noise that is new in every frame.

/// The texture repeats after this many pixels in both directions.
const TILE: usize = 256;
/// Noise to take rows from, at a new place for every pair of rows and every frame.
const NOISE: usize = 1 << 18;

pub struct Busy {
    /// `TILE` rows, each long enough to be read from any of its first `TILE` pixels; values 0..=127.
    texture: Vec<u8>,
    stride: usize,
    /// Pairs of equal values 0..=63: grain of two pixels survives an encoder and a scaler better than of one.
    noise: Vec<u8>,
}

impl Busy {
    pub fn new(width: usize) -> Self {
        let stride = TILE + width;
        let turn = |pixels: usize| pixels as f32 / TILE as f32 * std::f32::consts::TAU;
        // Waves with whole numbers of periods, so that the tile's edges meet.
        let wave = |x: usize, y: usize| {
            let (x, y) = (turn(x), turn(y));
            (3.0 * x + 2.0 * y.sin()).sin() + (5.0 * y + 2.0 * (2.0 * x).cos()).sin() + (7.0 * x - 4.0 * y).sin()
        };
        let mut texture = vec![0; TILE * stride];
        for (y, row) in texture.chunks_mut(stride).enumerate() {
            for (x, value) in row[..TILE].iter_mut().enumerate() {
                *value = ((wave(x, y) + 3.0) / 6.0 * 127.0) as u8;
            }
            for x in TILE..stride {
                row[x] = row[x - TILE];
            }
        }
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut noise = vec![0; NOISE];
        noise.chunks_mut(2).for_each(|pair| pair.fill((random.next() >> 58) as u8));
        Self { texture, stride, noise }
    }

    /// Fills rows of `width` pixels with luma `BASE` + texture / 2^`SOFT` + noise / 2^`FINE`, drifted by frame `n`.
    pub fn fill<const BASE: u8, const SOFT: u8, const FINE: u8>(&self, rows: &mut [u8], width: usize, n: u64) {
        let mut random = Random((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(BASE));
        let drift = (n % (1 << 32)) as usize;
        let mut grain = 0;
        for (y, row) in rows.chunks_exact_mut(width).enumerate() {
            if y.is_multiple_of(2) {
                grain = (random.next() >> 32) as usize % (NOISE - width);
            }
            let start = (y + drift * 2) % TILE * self.stride + drift * 3 % TILE;
            let texture = &self.texture[start..start + width];
            for ((luma, texture), noise) in row.iter_mut().zip(texture).zip(&self.noise[grain..grain + width]) {
                *luma = BASE + (texture >> SOFT) + (noise >> FINE);
            }
        }
    }
}

/// xorshift64*: fast, and the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
