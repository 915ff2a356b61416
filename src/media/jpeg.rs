//! JPEG syntax (ITU-T T.81 Annex B), as far as a picture's way over RTP needs it (RFC 2435).

use super::Size;

/// `a JPEG …`: why a picture cannot go over RTP, in words for a person.
pub type Refusal = &'static str;

/// RTP counts in blocks of 8 pixels, in one octet (RFC 2435 §3.1.5).
pub const LARGEST_SIDE: u32 = 255 * 8;

/// A JPEG taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jpeg<'a> {
    pub size: Size,
    pub subsampling: Subsampling,
    /// Quantisation tables of luma and chroma, in zigzag order.
    pub tables: [&'a [u8; 64]; 2],
    /// Blocks between restart markers; 0: there are none.
    pub restart_interval: u16,
    /// The entropy-coded data, with neither end marker nor what follows it.
    pub scan: &'a [u8],
}

/// How chroma is sampled: RFC 2435 knows two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subsampling {
    /// 4:2:2: half of the columns.
    Columns,
    /// 4:2:0: half of the columns and rows.
    Both,
}

mod marker {
    pub const SOF0: u8 = 0xc0;
    pub const DHT: u8 = 0xc4;
    pub const RST0: u8 = 0xd0;
    pub const RST7: u8 = 0xd7;
    pub const SOI: u8 = 0xd8;
    pub const SOS: u8 = 0xda;
    pub const DQT: u8 = 0xdb;
    pub const DRI: u8 = 0xdd;
    pub const TEM: u8 = 0x01;
}

/// A component of a frame header: id, sampling factors, quantisation table.
type Component = [u8; 3];

impl<'a> Jpeg<'a> {
    /// Takes apart a picture as RTP can carry it: baseline, 4:2:2 or 4:2:0, with the usual Huffman tables or, as webcams
    /// send it, with none.
    ///
    /// # Errors
    /// Why it cannot be carried.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        const SHORT: Refusal = "a JPEG that is cut short";
        let mut rest = bytes.strip_prefix(&[0xff, marker::SOI]).ok_or("a picture that is no JPEG")?;
        let mut tables: [Option<&[u8; 64]>; 4] = [None; 4];
        let (mut frame, mut restart_interval, mut codes) = (None, 0, Ok(()));
        loop {
            let (kind, behind) = next_marker(rest).ok_or(SHORT)?;
            rest = behind;
            if matches!(kind, marker::TEM | marker::RST0..=marker::SOI) {
                continue;
            }
            let length = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or(SHORT)?));
            let segment = rest.get(2..length).ok_or(SHORT)?;
            rest = &rest[length..];
            match kind {
                marker::DQT => quantisation(segment, &mut tables)?,
                marker::DHT => codes = codes.and(huffman(segment)),
                marker::DRI => restart_interval = u16::from_be_bytes(*segment.first_chunk().ok_or(SHORT)?),
                marker::SOF0 => frame = Some(frame_header(segment)?),
                0xc1..=0xcf => return Err("a JPEG that is not baseline"),
                marker::SOS => {
                    let (size, components) = frame.ok_or("a JPEG without a frame header")?;
                    let subsampling = subsampling(&components)?;
                    scan_header(segment, &components)?;
                    codes?;
                    let table = |component: Component| {
                        tables.get(usize::from(component[2])).copied().flatten().ok_or(NO_TABLES)
                    };
                    let [luma, blue, red] = [table(components[0])?, table(components[1])?, table(components[2])?];
                    if blue != red {
                        return Err("a JPEG with three quantisation tables");
                    }
                    let scan = &rest[..scan_length(rest)];
                    if scan.is_empty() {
                        return Err(SHORT);
                    }
                    return Ok(Self { size, subsampling, tables: [luma, blue], restart_interval, scan });
                }
                _ => {}
            }
        }
    }
}

const NO_TABLES: Refusal = "a JPEG without quantisation tables";

/// The next marker and what is behind it; fill bytes and strays between segments are passed over.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)? + 1;
        match bytes.get(at)? {
            0x00 | 0xff => {}
            kind => return Some((*kind, &bytes[at + 1..])),
        }
    }
}

fn quantisation<'a>(mut segment: &'a [u8], tables: &mut [Option<&'a [u8; 64]>; 4]) -> Result<(), Refusal> {
    while let Some((kind, rest)) = segment.split_first() {
        if kind >> 4 != 0 {
            return Err("a JPEG with quantisation tables of 16 bits");
        }
        let (table, behind) = rest.split_first_chunk::<64>().ok_or("a JPEG with a quantisation table cut short")?;
        *tables.get_mut(usize::from(*kind)).ok_or("a JPEG with a fifth quantisation table")? = Some(table);
        segment = behind;
    }
    Ok(())
}

/// A receiver decodes by the tables of T.81 Annex K, whatever the sender used.
fn huffman(mut segment: &[u8]) -> Result<(), Refusal> {
    const OTHER: Refusal = "a JPEG with Huffman tables of its own";
    while let Some((kind, rest)) = segment.split_first() {
        let counts = rest.first_chunk::<16>().ok_or(OTHER)?;
        let length = 16 + counts.iter().map(|count| usize::from(*count)).sum::<usize>();
        let table = rest.get(..length).ok_or(OTHER)?;
        let usual: &[&[u8]] = match kind {
            0x00 => &[&LUMA_DC],
            0x01 => &[&CHROMA_DC],
            0x10 => &[&LUMA_AC_COUNTS, &LUMA_AC_VALUES],
            0x11 => &[&CHROMA_AC_COUNTS, &CHROMA_AC_VALUES],
            _ => return Err(OTHER),
        };
        if usual.concat() != table {
            return Err(OTHER);
        }
        segment = &rest[length..];
    }
    Ok(())
}

fn frame_header(segment: &[u8]) -> Result<(Size, [Component; 3]), Refusal> {
    let (head, components) = segment.split_first_chunk::<6>().ok_or("a JPEG with a frame header cut short")?;
    let [precision, a, b, c, d, count] = *head;
    if precision != 8 {
        return Err("a JPEG of more than 8 bits");
    }
    let (height, width) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    if width == 0 || height == 0 {
        return Err("a JPEG that does not tell its size");
    }
    let (components, _) = components.as_chunks::<3>();
    let components = match (count, components) {
        (1, _) => return Err("a grey JPEG"),
        (3, [one, two, three, ..]) => [*one, *two, *three],
        _ => return Err("a JPEG that is not of three components"),
    };
    Ok((Size::new(width.into(), height.into()), components))
}

fn subsampling(components: &[Component; 3]) -> Result<Subsampling, Refusal> {
    match components.map(|component| component[1]) {
        [0x21, 0x11, 0x11] => Ok(Subsampling::Columns),
        // The same number of blocks, but in another order.
        [0x22, 0x12, 0x12] => Err("a JPEG of 4:2:2 in blocks of two rows"),
        [0x22, 0x11, 0x11] => Ok(Subsampling::Both),
        [luma, blue, red] if luma == blue && blue == red => Err("a JPEG of 4:4:4"),
        _ => Err("a JPEG whose chroma is neither 4:2:2 nor 4:2:0"),
    }
}

/// All components in one scan, luma by the first Huffman tables and chroma by the second.
fn scan_header(segment: &[u8], components: &[Component; 3]) -> Result<(), Refusal> {
    let [one, two, three] = components.map(|component| component[0]);
    match segment {
        [3, a, 0x00, b, 0x11, c, 0x11, ..] if [*a, *b, *c] == [one, two, three] => Ok(()),
        [3, ..] => Err("a JPEG whose Huffman tables are not those of luma and chroma"),
        _ => Err("a JPEG in several scans"),
    }
}

/// Up to the first marker that is no restart marker.
fn scan_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == 0xff) {
        at += found;
        match bytes.get(at + 1) {
            None => return at,
            Some(0x00 | marker::RST0..=marker::RST7) => at += 2,
            // A fill byte.
            Some(0xff) => at += 1,
            Some(_) => return at,
        }
    }
    bytes.len()
}

/// T.81 tables K.3 to K.6: how many codes there are of each length, then their values.
const LUMA_DC: [u8; 28] = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const CHROMA_DC: [u8; 28] = [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const LUMA_AC_COUNTS: [u8; 16] = [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d];
const CHROMA_AC_COUNTS: [u8; 16] = [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77];
#[rustfmt::skip]
const LUMA_AC_VALUES: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
    0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72,
    0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
    0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
    0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3,
    0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2,
    0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];
#[rustfmt::skip]
const CHROMA_AC_VALUES: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
    0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1,
    0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36,
    0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
    0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a,
    0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba,
    0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
    0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = include_bytes!("../../fuzz/seeds/mjpeg/usual-422.jpg");

    /// With the bytes behind the first `marker`, from `at` on, replaced.
    fn changed(marker: u8, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut jpeg = WHOLE.to_vec();
        let found = jpeg.windows(2).position(|window| window == [0xff, marker]).unwrap();
        jpeg[found + 2 + at..][..bytes.len()].copy_from_slice(bytes);
        jpeg
    }

    #[test]
    fn the_parts_of_a_picture() {
        let jpeg = Jpeg::parse(WHOLE).unwrap();
        assert_eq!((jpeg.size, jpeg.subsampling), (Size::new(64, 48), Subsampling::Columns));
        assert_eq!(jpeg.restart_interval, 0);
        assert_ne!(jpeg.tables[0], jpeg.tables[1]);
        let scan = WHOLE.windows(jpeg.scan.len()).position(|window| window == jpeg.scan).unwrap();
        assert_eq!(WHOLE[scan + jpeg.scan.len()..], [0xff, 0xd9]);
        // Webcams fill their buffers up behind the picture, or stop before its end marker.
        let padded = [WHOLE, &[0; 100]].concat();
        assert_eq!(Jpeg::parse(&padded), Ok(jpeg));
        assert_eq!(Jpeg::parse(&WHOLE[..WHOLE.len() - 2]), Ok(jpeg));
        let restarts = Jpeg::parse(include_bytes!("../../fuzz/seeds/mjpeg/restart.jpg")).unwrap();
        assert_eq!(restarts.subsampling, Subsampling::Both);
        assert!(restarts.restart_interval > 0 && restarts.scan.windows(2).any(|window| window == [0xff, 0xd0]));
        let bare = Jpeg::parse(include_bytes!("../../fuzz/seeds/mjpeg/webcam-422.jpg")).unwrap();
        assert_eq!(bare.size, Size::new(64, 48));
    }

    #[test]
    fn what_cannot_be_carried_is_refused_in_words() {
        let huffman = {
            // The first code of luma DC stands for another value.
            let mut jpeg = WHOLE.to_vec();
            let table = jpeg.windows(2).position(|window| window == [0xff, 0xc4]).unwrap();
            jpeg[table + 4 + 1 + 16] ^= 1;
            jpeg
        };
        for (jpeg, expected) in [
            (include_bytes!("../../fuzz/seeds/mjpeg/444.jpg").to_vec(), "a JPEG of 4:4:4"),
            (changed(0xc0, 2 + 5, &[1]), "a grey JPEG"),
            (huffman, "a JPEG with Huffman tables of its own"),
            (changed(0xdb, 2, &[0x10]), "a JPEG with quantisation tables of 16 bits"),
            // No table 1 and 2 any more, but 3.
            (changed(0xc0, 2 + 6 + 5, &[3]), NO_TABLES),
            (changed(0xc0, 2 + 6 + 1, &[0x41]), "a JPEG whose chroma is neither 4:2:2 nor 4:2:0"),
            (include_bytes!("../../fuzz/seeds/mjpeg/422.jpg").to_vec(), "a JPEG of 4:2:2 in blocks of two rows"),
            (changed(0xc0, 2, &[12]), "a JPEG of more than 8 bits"),
            (changed(0xc0, 3, &[0, 0]), "a JPEG that does not tell its size"),
            (changed(0xda, 2 + 2, &[0x11]), "a JPEG whose Huffman tables are not those of luma and chroma"),
            (changed(0xda, 2, &[1]), "a JPEG in several scans"),
            (WHOLE[..200].to_vec(), "a JPEG that is cut short"),
            (b"RIFF".to_vec(), "a picture that is no JPEG"),
        ] {
            assert_eq!(Jpeg::parse(&jpeg).unwrap_err(), expected);
        }
        let mut progressive = WHOLE.to_vec();
        let frame = progressive.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
        progressive[frame + 1] = 0xc2;
        assert_eq!(Jpeg::parse(&progressive), Err("a JPEG that is not baseline"));
    }
}
