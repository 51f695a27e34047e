//! Rates as people write them: what a branch's configuration and central's policy say of the bulk lane.
//!
//! Stands beside the data's way, between whoever sets a rate and the agent that keeps to it; both sides read
//! it by the same rules.

use std::str::FromStr;

/// The slowest rate: a body of the least size then takes about a minute.
const LEAST_BITS: u64 = 8_000;
/// The fastest that is a limit at all.
const MOST_BITS: u64 = 100_000_000_000;

/// How fast bulk may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// As fast as it yields to everything else.
    Unlimited,
    /// Bytes per second.
    Bytes(u64),
}

/// Not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate is a number and kbit/s, Mbit/s or Gbit/s, from 8 kbit/s to 100 Gbit/s \
     (\"256 kbit/s\", \"2 Mbit/s\"), or unlimited"
)]
pub struct NoRate;

impl Rate {
    /// Bytes per second; `None` without limit.
    pub fn limit(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }
}

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(text: &str) -> Result<Self, NoRate> {
        read(text).ok_or(NoRate)
    }
}

fn read(text: &str) -> Option<Rate> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") {
        return Some(Rate::Unlimited);
    }
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit {
        "kbit/s" => 1_000,
        "Mbit/s" => 1_000_000,
        "Gbit/s" => 1_000_000_000,
        _ => return None,
    };
    let bits = scaled(number.trim_end(), unit)?;
    (LEAST_BITS..=MOST_BITS)
        .contains(&bits)
        .then_some(Rate::Bytes(bits / 8))
}

/// A decimal number times a unit, exactly.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| {
        !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !digits(whole) || !digits(part) {
        return None;
    }
    let shift = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let part = part.parse::<u64>().ok()?.checked_mul(unit)? / shift;
    whole.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bits_and_exact() {
        for (text, bytes) in [
            ("256 kbit/s", Some(32_000)),
            ("2 Mbit/s", Some(250_000)),
            ("1.5 Mbit/s", Some(187_500)),
            ("0.064Mbit/s", Some(8_000)),
            ("1 Gbit/s", Some(125_000_000)),
            ("unlimited", None),
        ] {
            assert_eq!(text.parse().map(Rate::limit), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "256",
            "kbit/s",
            "256 kb/s",
            "256 kB/s",
            "2 mbit/s",
            "-1 kbit/s",
            "1,5 Mbit/s",
            "1e3 kbit/s",
            "7 kbit/s",
            "0 kbit/s",
            "101 Gbit/s",
            "99999999999999999999 kbit/s",
            "1..5 Mbit/s",
            ".5 Mbit/s",
            "5. Mbit/s",
            "256 kbit/s now",
            "none",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(NoRate), "{text}");
        }
    }
}
