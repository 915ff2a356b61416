//! The few functions that are measured, each as safe as its arguments are checked for.

use eyrie::{
    codec::Picture,
    media::{PixelFormat, RawFrame, Size},
};
use libloading::Library;
use std::ffi::c_int;

/// `kFilterBox`: by area, and where that gains nothing bilinear, as our own scaler does it.
const FILTER_BOX: c_int = 3;

type Packed =
    unsafe extern "C" fn(*const u8, c_int, *mut u8, c_int, *mut u8, c_int, *mut u8, c_int, c_int, c_int) -> c_int;
type SemiPlanar = unsafe extern "C" fn(
    *const u8,
    c_int,
    *const u8,
    c_int,
    *mut u8,
    c_int,
    *mut u8,
    c_int,
    *mut u8,
    c_int,
    c_int,
    c_int,
) -> c_int;
/// Of the source its size; the last three are the target's size and the filter, or the rotation alone.
type Scale = unsafe extern "C" fn(
    *const u8,
    c_int,
    *const u8,
    c_int,
    *const u8,
    c_int,
    c_int,
    c_int,
    *mut u8,
    c_int,
    *mut u8,
    c_int,
    *mut u8,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;
type Rotate = unsafe extern "C" fn(
    *const u8,
    c_int,
    *const u8,
    c_int,
    *const u8,
    c_int,
    *mut u8,
    c_int,
    *mut u8,
    c_int,
    *mut u8,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;

pub struct Libyuv {
    library: Library,
    planes: [Vec<u8>; 3],
    size: Size,
}

impl Libyuv {
    /// None where it is not installed.
    pub fn load() -> Option<Self> {
        // SAFETY: libyuv runs no code when it is loaded.
        let library = unsafe { Library::new("libyuv.so.0") }.ok()?;
        Some(Self { library, planes: [const { Vec::new() }; 3], size: Size::new(0, 0) })
    }

    /// Makes I420 of a frame in its own size.
    pub fn convert(&mut self, frame: &RawFrame) {
        let (size, strides) = (frame.size, frame.planes.map(|plane| plane.stride as c_int));
        self.room(size);
        for (number, shape) in frame.format.planes(size).into_iter().enumerate() {
            assert!(frame.plane(number).len() >= frame.planes[number].stride * (shape.rows - 1) + shape.row);
        }
        let ([y, u, v], [ys, us, vs]) = self.targets();
        let (width, height) = (size.width as c_int, size.height as c_int);
        let name: &[u8] = match frame.format {
            PixelFormat::Yuyv => b"YUY2ToI420",
            PixelFormat::Uyvy => b"UYVYToI420",
            PixelFormat::Rgb24 => b"RAWToI420",
            PixelFormat::Bgr24 => b"RGB24ToI420",
            PixelFormat::Bgrx32 => b"ARGBToI420",
            PixelFormat::Rgb565 => b"RGB565ToI420",
            PixelFormat::Nv12 => {
                // SAFETY: the function of libyuv's convert.h. Both planes of the source hold all their rows, as was
                // asserted, and those of the target were made for the size.
                let done = unsafe {
                    let function = self.library.get::<SemiPlanar>(b"NV12ToI420").expect("libyuv has it");
                    let (luma, chroma) = (frame.plane(0).as_ptr(), frame.plane(1).as_ptr());
                    function(luma, strides[0], chroma, strides[1], y, ys, u, us, v, vs, width, height)
                };
                return assert_eq!(done, 0);
            }
            other => panic!("{other} is not measured"),
        };
        // SAFETY: as above, of a format with one plane.
        let done = unsafe {
            let function = self.library.get::<Packed>(name).expect("libyuv has it");
            function(frame.plane(0).as_ptr(), strides[0], y, ys, u, us, v, vs, width, height)
        };
        assert_eq!(done, 0);
    }

    /// Scales an I420 frame to `target`, whatever its shape.
    pub fn scale(&mut self, frame: &RawFrame, target: Size) {
        let picture = Picture::of(frame).expect("planes that hold all rows");
        self.room(target);
        let ([y, u, v], [ys, us, vs]) = self.targets();
        let ([sy, su, sv], [sys, sus, svs]) = (picture.planes, picture.strides.map(|stride| stride as c_int));
        let [width, height, to_width, to_height] =
            [frame.size.width, frame.size.height, target.width, target.height].map(|side| side as c_int);
        // SAFETY: the function of libyuv's scale.h. A `Picture` holds all rows of its size, the target was made for its.
        let done = unsafe {
            let function = self.library.get::<Scale>(b"I420Scale").expect("libyuv has it");
            function(
                sy.as_ptr(),
                sys,
                su.as_ptr(),
                sus,
                sv.as_ptr(),
                svs,
                width,
                height,
                y,
                ys,
                u,
                us,
                v,
                vs,
                to_width,
                to_height,
                FILTER_BOX,
            )
        };
        assert_eq!(done, 0);
    }

    /// Turns an I420 frame by so many degrees, a multiple of 90.
    pub fn rotate(&mut self, frame: &RawFrame, degrees: i32) {
        let picture = Picture::of(frame).expect("planes that hold all rows");
        let Size { width, height } = frame.size;
        self.room(if degrees % 180 == 0 { frame.size } else { Size::new(height, width) });
        let ([y, u, v], [ys, us, vs]) = self.targets();
        let ([sy, su, sv], [sys, sus, svs]) = (picture.planes, picture.strides.map(|stride| stride as c_int));
        // SAFETY: the function of libyuv's rotate.h, and as above.
        let done = unsafe {
            let function = self.library.get::<Rotate>(b"I420Rotate").expect("libyuv has it");
            function(
                sy.as_ptr(),
                sys,
                su.as_ptr(),
                sus,
                sv.as_ptr(),
                svs,
                y,
                ys,
                u,
                us,
                v,
                vs,
                width as c_int,
                height as c_int,
                degrees,
            )
        };
        assert_eq!(done, 0);
    }

    fn room(&mut self, size: Size) {
        if self.size != size {
            self.size = size;
            self.planes = Picture::plane_sizes(size).map(|(width, height)| vec![0; width * height]);
        }
    }

    fn targets(&mut self) -> ([*mut u8; 3], [c_int; 3]) {
        let strides = Picture::plane_sizes(self.size).map(|(width, _)| width as c_int);
        (self.planes.each_mut().map(|plane| plane.as_mut_ptr()), strides)
    }
}
