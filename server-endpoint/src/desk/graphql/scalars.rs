//! Times and numbers as GraphQL has them.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use branchline_protocol::time::UnixMillis;

/// A time in UTC, RFC 3339.
#[derive(Clone, Copy)]
pub(crate) struct Time(pub(crate) UnixMillis);

#[Scalar]
impl ScalarType for Time {
    fn parse(_value: Value) -> InputValueResult<Self> {
        Err(InputValueError::custom("a time is only ever answered"))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339())
    }
}

/// Positions, sizes and counts: GraphQL's whole numbers have 32 bits.
#[allow(
    clippy::cast_precision_loss,
    reason = "2^53 bytes are 8 PiB, and 2^53 events are more than there will be"
)]
pub(crate) fn number(value: u64) -> f64 {
    value as f64
}

/// A difference in milliseconds.
#[allow(
    clippy::cast_precision_loss,
    reason = "2^53 milliseconds are 285,000 years"
)]
pub(crate) fn millis(value: i64) -> f64 {
    value as f64
}
