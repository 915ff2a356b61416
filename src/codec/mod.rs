//! Pixels and samples to bitstreams: pixel conversion, openh264, JPEG, audio codecs.
