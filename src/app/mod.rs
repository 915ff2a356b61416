//! The composition: makes a plan from a config, builds every part from it, applies a changed one, shuts down.
