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

#[cfg(test)]
mod tests {
    use crate::{
        device::{
            canvas::Sheet,
            pattern::{marked, painter::Painter, strip::tests::read},
        },
        media::{Scene, Size},
        time::WallTime,
    };
    use openh264::{
        OpenH264API,
        decoder::Decoder,
        encoder::{BitRate, Encoder, EncoderConfig, FrameRate, RateControlMode},
        formats::{YUVSlices, YUVSource},
    };

    /// Through an encoder and a decoder: the rate is used, the strip reads, the flash is white and all else dark.
    #[test]
    fn an_encoder_uses_its_bitrate_and_the_marks_survive() {
        const FRAMES: u64 = 60;
        const BITRATE: u32 = 500_000;
        let (width, height) = (640, 360);
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(BITRATE))
            .max_frame_rate(FrameRate::from_hz(30.0))
            .rate_control_mode(RateControlMode::Bitrate)
            .skip_frames(false);
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut painter = Painter::new(Size::new(640, 360), "front", Scene::Busy);
        let mut sheet = painter.sheet();
        let (mut bytes, mut pictures) = (0, 0);
        for n in 0..FRAMES {
            let wall = WallTime::from_nanos(1_700_000_001_500_000_000 + n * 1_000_000_000 / 30);
            painter.paint(&mut sheet, n, wall);
            let [_, u, v] = sheet.canvas().planes().map(|plane| plane.offset);
            let drawn = sheet.canvas().bytes();
            let planes = (&drawn[..u], &drawn[u..v], &drawn[v..]);
            let strides = (width, width / 2, width / 2);
            let coded = encoder.encode(&YUVSlices::new(planes, (width, height), strides)).unwrap().to_vec();
            bytes += coded.len();
            let Some(picture) = decoder.decode(&coded).unwrap() else { continue };
            let stride = picture.strides().0;
            let reading = read(picture.y(), stride, width, height).expect("the strip reads");
            assert_eq!((u64::from(reading.counter), reading.millis), (n, wall.as_millis()));
            let lower = picture.y().chunks(stride).skip(height / 2 + 8).flat_map(|row| &row[..width]);
            let wrong = lower.filter(|luma| if marked(wall) { **luma < 180 } else { **luma > 125 }).count();
            assert!(wrong < width * height / 2 / 100, "#{n}: {wrong} pixels");
            pictures += 1;
        }
        assert_eq!(pictures, FRAMES);
        let used = bytes as f64 * 8.0 * 30.0 / FRAMES as f64 / f64::from(BITRATE);
        assert!((0.9..1.1).contains(&used), "{used} of the bitrate");
    }
}
