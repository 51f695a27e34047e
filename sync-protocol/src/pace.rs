//! How fast the bulk lane goes: the size of bodies, how many at once, and when it yields (P7).
//!
//! Stands in `sync` on the data's way. Pure: time is an argument, and what was measured is told.
