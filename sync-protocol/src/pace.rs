//! How fast the bulk lane goes: the size of bodies, how many at once, in which order, and when it
//! yields (P7).
//!
//! Stands in `sync` on the data's way. Pure: time is an argument (since any fixed moment), and what was
//! measured is told. Rates are whole bytes per second.
//!
//! | part | what it decides |
//! |---|---|
//! | [`BodySize`] | bytes of the next body: about a second's worth |
//! | [`InFlight`] | bodies on their way at once: as many as throughput gains by |
//! | [`Yielding`] | the rate at which the link's queue stays short for everybody else |
//! | [`Bucket`] | when the next piece may go at a given rate |
//! | [`Pause`] | how long bulk stands back while tickets are being sent |
//! | [`Turns`] | whether the next body serves the smallest files or the oldest |

mod body_size;
mod bucket;
mod in_flight;
mod meter;
mod pause;
mod turns;
mod yielding;

use std::time::Duration;

pub use body_size::BodySize;
pub use bucket::Bucket;
pub use in_flight::InFlight;
pub use meter::Meter;
pub use pause::Pause;
pub use turns::{Share, Turns};
pub use yielding::Yielding;

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Bytes per second; a time of nothing counts as a microsecond.
fn rate(bytes: u64, time: Duration) -> u64 {
    let wide = u128::from(bytes) * 1_000_000 / u128::from(micros(time).max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

/// Bytes that go within a time at a rate.
fn bytes_within(rate: u64, time: Duration) -> u64 {
    let wide = u128::from(rate) * time.as_micros() / 1_000_000;
    u64::try_from(wide).unwrap_or(u64::MAX)
}

/// How long so many bytes take at a rate; a day where the rate is nothing.
fn time_for(bytes: u64, rate: u64) -> Duration {
    const DAY: Duration = Duration::from_secs(86_400);
    if rate == 0 {
        return DAY;
    }
    let wide = (u128::from(bytes) * 1_000_000).div_ceil(u128::from(rate));
    Duration::from_micros(u64::try_from(wide).unwrap_or(u64::MAX)).min(DAY)
}
