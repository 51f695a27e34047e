//! The link against real sockets.
