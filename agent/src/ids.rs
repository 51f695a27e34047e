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

/// The UUID (version 8, RFC 9562) that these parts always have: what is asked for again because of a
/// crash or a restored disk is then the same operation. `what` names the kind of thing.
pub fn derived_uuid(what: &'static str, parts: &[&[u8]]) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key(what);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Milliseconds since 1970 by this machine's clock.
pub fn now() -> UnixMillis {
    UnixMillis(
        jiff::Timestamp::now()
            .as_millisecond()
            .saturating_add(clock_offset_millis()),
    )
}

/// How far a test sets this process's clock wrong: `BRANCHLINE_CLOCK_OFFSET`, in seconds, may be
/// negative. Release builds have none of this.
fn clock_offset_millis() -> i64 {
    #[cfg(debug_assertions)]
    {
        use std::sync::OnceLock;
        static OFFSET: OnceLock<i64> = OnceLock::new();
        *OFFSET.get_or_init(|| {
            let said = std::env::var("BRANCHLINE_CLOCK_OFFSET").ok();
            let seconds: i64 = said.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            seconds.saturating_mul(1_000)
        })
    }
    #[cfg(not(debug_assertions))]
    0
}

/// The same with this machine's offset from UTC.
pub fn local_now() -> LocalTime {
    let offset_minutes = i16::try_from(jiff::Zoned::now().offset().seconds() / 60).unwrap_or(0);
    LocalTime {
        millis: now(),
        offset_minutes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_tell_every_part_apart_and_never_change() {
        let id = |parts: &[&[u8]]| derived_uuid("test", parts);
        assert_eq!(id(&[b"ab", b"c"]), id(&[b"ab", b"c"]));
        assert_ne!(id(&[b"ab", b"c"]), id(&[b"a", b"bc"]));
        assert_ne!(id(&[b"ab"]), derived_uuid("other", &[b"ab"]));
        assert_eq!(id(&[]).get_version_num(), 8);
        // A file that a crash left unfiled must get the same id from the next version.
        let golden = "1fd55868-4c6d-8d1a-80f3-c7ca94eda1c0";
        assert_eq!(id(&[b"ab", b"c"]).to_string(), golden);
    }
}
