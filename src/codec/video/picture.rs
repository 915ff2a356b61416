use crate::codec::CodecError;
use crate::media::Size;

/// An I420 picture that somebody else holds: what an encoder reads.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub size: Size,
    /// Y, U, V. A plane may end with the last pixel of its last row.
    pub planes: [&'a [u8]; 3],
    /// From one row to the next, in bytes.
    pub strides: [usize; 3],
}

impl Picture<'_> {
    /// Width and height of each plane.
    pub(super) fn plane_sizes(size: Size) -> [(usize, usize); 3] {
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
