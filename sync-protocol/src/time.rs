//! Times: a branch's wall clock with its offset, and central's milliseconds.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970 in UTC, by the clock of whoever wrote it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// RFC 3339 in UTC, for people and logs.
    pub fn to_rfc3339(self) -> String {
        LocalTime {
            millis: self,
            offset_minutes: 0,
        }
        .to_string()
    }
}

/// A moment as the branch's wall clock showed it: the instant and the offset from UTC.
/// On the wire RFC 3339 with offset: `2026-11-21T09:12:00.250+01:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime {
    /// The instant.
    pub millis: UnixMillis,
    /// Minutes east of UTC, within ±1,439.
    pub offset_minutes: i16,
}

/// The text is not a time with an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time looks like 2026-11-21T09:12:00.250+01:00 (RFC 3339, with its offset)")]
pub struct TimeError;

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = Offset::from_seconds(i32::from(self.offset_minutes) * 60);
        let timestamp = Timestamp::from_millisecond(self.millis.0);
        match (timestamp, offset) {
            (Ok(timestamp), _) if self.offset_minutes == 0 => write!(f, "{timestamp:.3}"),
            (Ok(timestamp), Ok(offset)) => {
                write!(f, "{:.3}", timestamp.display_with_offset(offset))
            }
            // A clock gone mad, or somebody's lie: no calendar has it.
            _ => write!(f, "{} ms since 1970", self.millis.0),
        }
    }
}

impl FromStr for LocalTime {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        static PARSER: DateTimeParser = DateTimeParser::new();
        if text.len() > 40 || text.contains('[') {
            return Err(TimeError);
        }
        let pieces = PARSER.parse_pieces(text).map_err(|_| TimeError)?;
        let offset = pieces.to_numeric_offset().ok_or(TimeError)?;
        let time = pieces.time().ok_or(TimeError)?;
        let timestamp = offset
            .to_timestamp(pieces.date().to_datetime(time))
            .map_err(|_| TimeError)?;
        let minutes = i16::try_from(offset.seconds() / 60).map_err(|_| TimeError)?;
        let whole = offset.seconds() % 60 == 0 && minutes.abs() < 24 * 60;
        if !whole {
            return Err(TimeError);
        }
        Ok(Self {
            millis: UnixMillis(timestamp.as_millisecond()),
            offset_minutes: minutes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_outside_the_calendar_can_still_be_shown() {
        assert_eq!(
            UnixMillis(i64::MAX).to_rfc3339(),
            format!("{} ms since 1970", i64::MAX)
        );
    }

    #[test]
    fn times_keep_their_offset() {
        for text in [
            "2026-11-21T09:12:00.250+01:00",
            "2026-11-21T09:12:00.000-03:30",
            "2026-11-21T08:12:00.250Z",
        ] {
            assert_eq!(text.parse::<LocalTime>().unwrap().to_string(), text);
        }
        for bad in [
            "2026-11-21T09:12:00",
            "yesterday",
            "2026-11-21T09:12:00+25:00",
            "2026-11-21T09:12:00+01:00[u-ca=gregory]",
            "2026-13-01T00:00:00Z",
            "2026-11-21",
            "",
        ] {
            assert!(bad.parse::<LocalTime>().is_err(), "{bad} was taken");
        }
    }
}
