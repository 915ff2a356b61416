//! libyuv, what most programs convert pictures with, loaded where it is installed. The bound that the loops are held to.

mod sys;

pub use sys::Libyuv;
