//! What a running server says of itself.
