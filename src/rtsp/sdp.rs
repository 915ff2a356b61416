//! Session descriptions (RFC 4566) from track formats.
