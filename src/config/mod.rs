//! The TOML schema, its defaults, its errors.
