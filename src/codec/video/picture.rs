use crate::codec::CodecError;
use crate::media::{PixelFormat, RawFrame, Size};

/// An I420 picture that somebody else holds: what an encoder reads.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub size: Size,
    /// Y, U, V. A plane may end with the last pixel of its last row.
    pub planes: [&'a [u8]; 3],
    /// From one row to the next, in bytes.
    pub strides: [usize; 3],
}

impl<'a> Picture<'a> {
    /// A frame that is such a picture already, in its own memory.
    ///
    /// # Errors
    /// One of another format, and planes that do not lie in its buffer.
    pub fn of(frame: &'a RawFrame) -> Result<Self, CodecError> {
        if frame.format != PixelFormat::I420 {
            return Err(CodecError(format!("a picture in {} where {} is needed", frame.format, PixelFormat::I420)));
        }
        let planes = [0, 1, 2].map(|number| frame.plane(number));
        let picture = Self { size: frame.size, planes, strides: frame.planes.map(|plane| plane.stride) };
        picture.check().map(|()| picture)
    }

    /// How many bytes of it do not lie where the camera put `frame`: had to be copied or made.
    pub(super) fn made_of(&self, frame: &RawFrame) -> u64 {
        let theirs = [0, 1, 2].map(|number| frame.plane(number).as_ptr_range());
        let made = |plane: &&[u8]| !theirs.iter().any(|memory| memory.contains(&plane.as_ptr()));
        let planes = self.planes.iter().zip(Self::plane_sizes(self.size));
        planes.filter(|(plane, _)| made(plane)).map(|(_, (width, height))| (width * height) as u64).sum()
    }

    /// Width and height of each plane.
    pub fn plane_sizes(size: Size) -> [(usize, usize); 3] {
        let (width, height) = (size.width as usize, size.height as usize);
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        [(width, height), chroma, chroma]
    }

    /// Whether every row of every plane lies inside what the plane was given.
    pub(super) fn check(&self) -> Result<(), CodecError> {
        for ((plane, stride), (width, height)) in self.planes.iter().zip(self.strides).zip(Self::plane_sizes(self.size))
        {
            check_plane(plane, stride, width, height)?;
        }
        Ok(())
    }
}

/// Whether `height` rows of `width` bytes, `stride` bytes apart, lie in `bytes`.
pub(super) fn check_plane(bytes: &[u8], stride: usize, width: usize, height: usize) -> Result<(), CodecError> {
    let needed = height.checked_sub(1).and_then(|rows| rows.checked_mul(stride)).and_then(|n| n.checked_add(width));
    match needed {
        Some(needed) if width > 0 && stride >= width && needed <= bytes.len() => Ok(()),
        _ => Err(CodecError(format!(
            "a plane of {width}x{height} with stride {stride} does not fit into {} bytes",
            bytes.len()
        ))),
    }
}

/// The rows of a plane that was checked.
pub(super) fn rows(bytes: &[u8], stride: usize, width: usize, height: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(stride).take(height).map(move |row| &row[..width])
}

/// An I420 picture of our own, its memory kept from one picture to the next.
#[derive(Default)]
pub(super) struct Canvas {
    size: Option<Size>,
    pub planes: [Vec<u8>; 3],
    /// For what lies between, such as a row; of any length.
    pub spare: Vec<u8>,
}

impl Canvas {
    /// Makes room for pictures of `size`. A new size begins black.
    pub fn resize(&mut self, size: Size) {
        if self.size != Some(size) {
            self.size = Some(size);
            for (plane, ((width, height), black)) in
                self.planes.iter_mut().zip(Picture::plane_sizes(size).into_iter().zip([16, 128, 128]))
            {
                plane.clear();
                plane.resize(width * height, black);
            }
        }
    }

    /// Luma, the two planes of chroma, in the order V and U if `swapped`, and the spare memory.
    pub fn parts(&mut self, swapped: bool) -> (&mut [u8], &mut [u8], &mut [u8], &mut Vec<u8>) {
        let [luma, u, v] = &mut self.planes;
        let (first, second) = if swapped { (v, u) } else { (u, v) };
        (luma, first, second, &mut self.spare)
    }

    /// What was drawn; the canvas has a size by then.
    pub fn picture(&self) -> Picture<'_> {
        let size = self.size.unwrap_or(Size::new(0, 0));
        Picture {
            size,
            planes: self.planes.each_ref().map(Vec::as_slice),
            strides: Picture::plane_sizes(size).map(|(width, _)| width),
        }
    }
}

/// 0..255 to 16..235 (ITU-T T.871 §7 to ITU-R BT.601 §2.5.3), within 0.2 and in 16 bits, so that it vectorises well.
#[inline(always)]
pub(super) fn video_luma(full: u8) -> u8 {
    (((u16::from(full) * 220 + 128) >> 8) + 16) as u8
}

/// 0..255 to 16..240 around 128.
#[inline(always)]
pub(super) fn video_chroma(full: u8) -> u8 {
    ((u16::from(full) * 225 + 4096) >> 8) as u8
}
