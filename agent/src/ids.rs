//! New ids and the clock: the two impure things that the protocol takes as arguments.

use branchline_protocol::id::OperationId;
use branchline_protocol::time::{LocalTime, UnixMillis};
use uuid::Uuid;

/// A new UUIDv7 (RFC 9562).
pub fn new_uuid(now: UnixMillis) -> Uuid {
    let mut random = [0; 10];
    // Linux and Windows answer this from the kernel; there is nothing to fall back to that is not
    // worse than a collision being noticed by central.
    if getrandom::fill(&mut random).is_err() {
        random.copy_from_slice(&std::array::from_fn::<u8, 10, _>(|_| fastrand::u8(..)));
    }
    OperationId::from_parts(u64::try_from(now.0).unwrap_or(0), random).0
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now() -> UnixMillis {
    UnixMillis(jiff::Timestamp::now().as_millisecond())
}

/// The same with this machine's offset from UTC.
pub fn local_now() -> LocalTime {
    let zoned = jiff::Zoned::now();
    let offset_minutes = i16::try_from(zoned.offset().seconds() / 60).unwrap_or(0);
    LocalTime {
        millis: UnixMillis(zoned.timestamp().as_millisecond()),
        offset_minutes,
    }
}
