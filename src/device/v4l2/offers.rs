//! Asks a camera what it offers: formats, sizes, rates. Drivers that know only some of these questions are no error.

use super::{
    modes::{self, Offer, Rates},
    node,
};
use crate::{
    media::{FrameRate, Size, fourcc},
    v4l2::{self as sys, BufferType, Descriptor, EnumeratedSize, PictureFormat},
};

/// No driver lists as many; one whose list has no end is cut here.
const MOST_ENTRIES: u32 = 512;

/// The sizes of one format.
enum Sizes {
    Each(Vec<Size>),
    Stepwise(sys::v4l2_frmsize_stepwise),
    Unknown,
}

/// What the camera has in formats that Eyrie reads; of a range of sizes the one nearest to `wish`.
pub fn near(device: &Descriptor, queue: BufferType, wish: Size) -> Vec<Offer> {
    let mut offers = Vec::new();
    for fourcc in node::formats(device, queue) {
        let Some(format) = fourcc::format_of(fourcc) else { continue };
        let sizes = match sizes(device, fourcc) {
            Sizes::Each(sizes) => sizes,
            Sizes::Stepwise(range) => vec![Size::new(
                modes::nearest_step(wish.width, range.min_width, range.max_width, range.step_width),
                modes::nearest_step(wish.height, range.min_height, range.max_height, range.step_height),
            )],
            // The driver says what it would make of the wish; one that cannot say that either is given the wish.
            Sizes::Unknown => vec![
                device
                    .try_format(queue, &PictureFormat::new(fourcc, (wish.width, wish.height)))
                    .map_or(wish, |tried| Size::new(tried.width, tried.height)),
            ],
        };
        offers.extend(sizes.into_iter().filter(|size| size.pixels() > 0).map(|size| Offer {
            format,
            fourcc,
            size,
            rates: rates(device, fourcc, size),
        }));
    }
    offers
}

/// Everything in formats that a config can name, for a person: each format, size and rate; of ranges both ends. A rate
/// is None where the driver does not tell. What it has in several layouts of one format is there once.
pub fn all(device: &Descriptor, queue: BufferType) -> Vec<(&'static str, Size, Option<FrameRate>)> {
    let mut found = Vec::new();
    for fourcc in node::formats(device, queue) {
        let Some(format) = fourcc::format_of(fourcc) else { continue };
        let sizes = match sizes(device, fourcc) {
            Sizes::Each(sizes) => sizes,
            Sizes::Stepwise(range) => {
                vec![Size::new(range.min_width, range.min_height), Size::new(range.max_width, range.max_height)]
            }
            Sizes::Unknown => vec![],
        };
        for size in sizes {
            let rates = match rates(device, fourcc, size) {
                Rates::Each(rates) => rates.into_iter().map(Some).collect(),
                Rates::Between(low, high) => vec![Some(low), Some(high)],
                Rates::Unknown => vec![None],
            };
            for mode in rates.into_iter().map(|fps| (format.name(), size, fps)) {
                if !found.contains(&mode) {
                    found.push(mode);
                }
            }
        }
    }
    found
}

fn sizes(device: &Descriptor, fourcc: u32) -> Sizes {
    let mut each = Vec::new();
    for entry in (0..MOST_ENTRIES).map_while(|index| device.enumerated_size(fourcc, index).ok()) {
        match sys::size_of_entry(&entry) {
            EnumeratedSize::Discrete(size) => each.push(Size::new(size.width, size.height)),
            EnumeratedSize::Stepwise(range) => return Sizes::Stepwise(range),
        }
    }
    if each.is_empty() { Sizes::Unknown } else { Sizes::Each(each) }
}

fn rates(device: &Descriptor, fourcc: u32, size: Size) -> Rates {
    let size = (size.width, size.height);
    let mut each = Vec::new();
    for entry in (0..MOST_ENTRIES).map_while(|index| device.enumerated_interval(fourcc, size, index).ok()) {
        let (shortest, longest) = sys::intervals_of_entry(&entry);
        if entry.type_ != sys::v4l2_frmivaltypes_V4L2_FRMIVAL_TYPE_DISCRETE {
            return Rates::Between(rate(longest), rate(shortest));
        }
        each.push(rate(shortest));
    }
    if each.is_empty() { Rates::Unknown } else { Rates::Each(each) }
}

/// A rate from the time per picture.
fn rate(interval: sys::v4l2_fract) -> FrameRate {
    FrameRate::new(interval.denominator, interval.numerator)
}
