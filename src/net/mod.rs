//! The shell of sockets: workers, viewers, TCP and UDP.
