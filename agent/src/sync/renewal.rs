//! When a certificate is due for the next one: a pure function, so that ten thousand agents which joined
//! in the same hour do not renew in the same hour.

use branchline_protocol::time::UnixMillis;

use crate::identity::Facts;

/// When the certificate is due: at two thirds of its life, and up to a sixth of its life later, by a
/// share that its serial number decides. The last sixth is for agents that are offline just then.
pub fn due(facts: &Facts) -> UnixMillis {
    let life = facts.not_after.0.saturating_sub(facts.not_before.0).max(0);
    let spread = i128::from(life / 6) * i128::from(share(&facts.serial)) / i128::from(u32::MAX);
    let wait = (life / 3 * 2).saturating_add(i64::try_from(spread).unwrap_or(0));
    UnixMillis(facts.not_before.0.saturating_add(wait))
}

/// The same for the same serial number, and even over all of them, however they were made.
fn share(serial: &[u8]) -> u32 {
    let hash = blake3::derive_key("branchline renewal spread", serial);
    let [a, b, c, d, ..] = hash;
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const ISSUED: i64 = 1_790_000_000_000;

    fn certificate(serial: u64, days: i64) -> Facts {
        Facts {
            serial: serial.to_be_bytes().to_vec(),
            not_before: UnixMillis(ISSUED),
            not_after: UnixMillis(ISSUED + days * DAY),
        }
    }

    #[test]
    fn ten_thousand_certificates_of_one_moment_renew_spread_over_fifteen_days() {
        let agents = 10_000;
        let mut hours = std::collections::BTreeMap::<i64, u32>::new();
        for serial in 0..agents {
            let facts = certificate(serial, 90);
            let after = due(&facts).0 - ISSUED;
            assert!((60 * DAY..=75 * DAY).contains(&after), "{serial}: {after}");
            assert_eq!(due(&facts), due(&facts), "the same at each start");
            *hours.entry(after / (DAY / 24)).or_default() += 1;
        }
        let (busiest, used) = (hours.values().max().copied().unwrap(), hours.len());
        println!("{agents} agents over {used} hours, at most {busiest} in one");
        // Even would be 28 in each of 360 hours.
        assert!(busiest <= 56, "{busiest} in one hour");
        assert!(used >= 355, "only {used} hours are used");
    }

    #[test]
    fn ten_thousand_certificates_of_one_week_are_no_heap_at_its_ends() {
        let mut days = std::collections::BTreeMap::<i64, u32>::new();
        for serial in 0..10_000_u64 {
            let mut facts = certificate(serial, 90);
            let joined = i64::try_from(serial % 7).unwrap() * DAY;
            facts.not_before.0 += joined;
            facts.not_after.0 += joined;
            *days.entry((due(&facts).0 - ISSUED) / DAY).or_default() += 1;
        }
        let busiest = days.values().max().copied().unwrap();
        println!("over {} days, at most {busiest} in one", days.len());
        assert!(busiest <= 10_000 / 15 * 5 / 4, "{busiest} in one day");
    }

    #[test]
    fn odd_certificates_have_a_time_all_the_same() {
        for (days, least) in [(0, 0), (-3, 0), (1, 0), (36_500, 1)] {
            let due = due(&certificate(7, days)).0;
            assert!(due >= ISSUED + least, "{days}: {due}");
        }
        let facts = Facts {
            serial: Vec::new(),
            not_before: UnixMillis(i64::MIN),
            not_after: UnixMillis(i64::MAX),
        };
        let _ = super::due(&facts);
    }
}
