//! Reading rates and times of day.

use branchline_protocol::rate::{NoRate, Rate};

/// Entries of a timetable: more than anybody writes by hand.
const ENTRIES: usize = 100;
/// Minutes of a day.
const DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const ENTRY_FORM: &str = "the form is \"08:00-18:00 256 kbit/s\", with days before it where it does not \
                          hold on all (\"Mon-Fri 08:00-18:00 256 kbit/s\", \"Sat,Sun 10:00-14:00 \
                          unlimited\")";
/// Which rate holds when, by the clock of the branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timetable {
    usual: Option<u64>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// By weekday, Monday first.
    days: [bool; 7],
    /// Minutes of the day, the first included and the last not; `to` is not after `from` where the entry
    /// goes over midnight, and then its days are those on which it begins.
    from: u16,
    to: u16,
    rate: Option<u64>,
}

impl Timetable {
    pub(super) fn read(usual: Option<&str>, entries: &[String]) -> Result<Self, String> {
        let usual = match usual {
            None => None,
            Some(text) => text
                .parse()
                .map(Rate::limit)
                .map_err(|form: NoRate| format!("bulk.rate = {text:?} is not a rate: {form}"))?,
        };
        if entries.len() > ENTRIES {
            return Err(format!(
                "bulk.timetable has {} entries; at most {ENTRIES} are read",
                entries.len()
            ));
        }
        let entries = entries
            .iter()
            .map(|text| entry(text).map_err(|fault| format!("bulk.timetable: {text:?} {fault}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { usual, entries })
    }

    /// Bytes per second at a moment of the week, `None` without limit. `weekday` counts from Monday as
    /// 0, `minute` from midnight.
    pub fn at(&self, weekday: usize, minute: u16) -> Option<u64> {
        self.entries
            .iter()
            .find(|entry| entry.holds(weekday, minute))
            .map_or(self.usual, |entry| entry.rate)
    }
}

impl Entry {
    fn holds(&self, weekday: usize, minute: u16) -> bool {
        let on = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        if self.from < self.to {
            on(weekday) && (self.from..self.to).contains(&minute)
        } else {
            (on(weekday) && minute >= self.from) || (on(weekday + 6) && minute < self.to)
        }
    }
}

fn entry(text: &str) -> Result<Entry, String> {
    let form = || format!("cannot be understood: {ENTRY_FORM}");
    let mut words = text.split_whitespace().peekable();
    let first = words.peek().copied().ok_or_else(form)?;
    let days = if first.starts_with(|c: char| c.is_ascii_digit()) {
        [true; 7]
    } else {
        words.next();
        days(first).ok_or_else(|| format!("names days that are none ({first:?}): {ENTRY_FORM}"))?
    };
    let times = words.next().ok_or_else(form)?;
    let (from, to) = times
        .split_once('-')
        .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
        .filter(|(from, _)| *from < DAY)
        .ok_or_else(|| format!("has times that are none ({times:?}): {ENTRY_FORM}"))?;
    if from == to {
        return Err(format!(
            "begins and ends at the same time; a whole day is 00:00-24:00, and {ENTRY_FORM}"
        ));
    }
    let rest: Vec<&str> = words.collect();
    let rate = rest
        .join(" ")
        .parse()
        .map(Rate::limit)
        .map_err(|form: NoRate| format!("has no rate that can be read: {form}"))?;
    Ok(Entry {
        days,
        from,
        to,
        rate,
    })
}

/// `Mon`, `Mon-Fri`, `Sat,Sun`, `Fri-Mon`.
fn days(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        loop {
            *days.get_mut(day)? = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

fn weekday(text: &str) -> Option<usize> {
    DAYS.iter().position(|day| day.eq_ignore_ascii_case(text))
}

/// `HH:MM`, to 24:00.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |part: &str, least: usize| {
        (least..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(hours, 1) || !digits(minutes, 2) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY).then_some(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(usual: Option<&str>, entries: &[&str]) -> Result<Timetable, String> {
        let entries: Vec<String> = entries.iter().map(|text| (*text).to_owned()).collect();
        Timetable::read(usual, &entries)
    }

    fn at(table: &Timetable, day: usize, time: &str) -> Option<u64> {
        table.at(day, minute(time).unwrap())
    }

    #[test]
    fn the_first_entry_that_fits_counts() {
        let table = table(
            Some("2 Mbit/s"),
            &[
                "Mon-Fri 12:00-13:00 1 Mbit/s",
                "Mon-Fri 08:00-18:00 256 kbit/s",
                "22:00-06:00 unlimited",
            ],
        )
        .unwrap();
        assert_eq!(at(&table, 0, "12:00"), Some(125_000));
        assert_eq!(at(&table, 0, "13:00"), Some(32_000));
        assert_eq!(at(&table, 4, "17:59"), Some(32_000));
        assert_eq!(at(&table, 4, "18:00"), Some(250_000));
        assert_eq!(at(&table, 5, "09:00"), Some(250_000));
        assert_eq!(at(&table, 5, "23:00"), None);
        assert_eq!(at(&table, 6, "05:59"), None);
        assert_eq!(at(&table, 6, "06:00"), Some(250_000));
    }

    #[test]
    fn over_midnight_the_day_is_the_one_on_which_it_begins() {
        let table = table(None, &["Fri 22:00-06:00 256 kbit/s"]).unwrap();
        assert_eq!(at(&table, 4, "21:59"), None);
        assert_eq!(at(&table, 4, "22:00"), Some(32_000));
        assert_eq!(at(&table, 5, "05:59"), Some(32_000));
        assert_eq!(at(&table, 5, "22:00"), None);
        assert_eq!(at(&table, 4, "03:00"), None);
        // Sunday night reaches into Monday.
        let table = self::table(None, &["Sun 23:00-01:00 256 kbit/s"]).unwrap();
        assert_eq!(at(&table, 0, "00:30"), Some(32_000));
        assert_eq!(at(&table, 6, "00:30"), None);
    }

    #[test]
    fn days_come_as_lists_and_ranges() {
        for (text, expected) in [
            ("Mon-Fri", [true, true, true, true, true, false, false]),
            ("sat,SUN", [false, false, false, false, false, true, true]),
            ("Sat-Mon", [true, false, false, false, false, true, true]),
            (
                "Mon,Wed-Thu",
                [true, false, true, true, false, false, false],
            ),
        ] {
            assert_eq!(days(text), Some(expected), "{text}");
        }
        for text in ["", "Mo", "Mon-", "Mon,", "Monday", "Mon--Fri", "daily"] {
            assert_eq!(days(text), None, "{text}");
        }
    }

    #[test]
    fn faults_name_the_entry_and_show_the_form() {
        for entry in [
            "",
            "08:00-18:00",
            "08:00 256 kbit/s",
            "8-18 256 kbit/s",
            "08:00-25:00 256 kbit/s",
            "24:00-06:00 256 kbit/s",
            "08:60-18:00 256 kbit/s",
            "08:00-08:00 256 kbit/s",
            "Mon-Fri 256 kbit/s",
            "Workdays 08:00-18:00 256 kbit/s",
            "08:00-18:00 fast",
            "08:00-18:00 256 kbit/s 3",
            "08:00--18:00 256 kbit/s",
            "0x:00-18:00 256 kbit/s",
        ] {
            let fault = table(None, &["00:00-24:00 unlimited", entry]).unwrap_err();
            assert!(fault.contains(&format!("{entry:?}")), "{entry}: {fault}");
            assert!(fault.contains("256 kbit/s\""), "{entry}: {fault}");
        }
        let fault = table(Some("fast"), &[]).unwrap_err();
        assert!(fault.contains("bulk.rate = \"fast\"") && fault.contains("2 Mbit/s"));
        let many = vec!["00:00-24:00 unlimited"; ENTRIES + 1];
        assert!(table(None, &many).unwrap_err().contains("101 entries"));
    }
}
