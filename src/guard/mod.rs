//! Users, roles, digest, access lists, lock-out. Decisions only, no I/O.
