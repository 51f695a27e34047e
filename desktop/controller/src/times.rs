//! Times and sizes in words, as a person of this language writes them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use branchline_protocol::time::UnixMillis;

use crate::words::Language;

/// Now, and where we are.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The moment.
    pub now: Timestamp,
    /// Whose hours and days.
    pub zone: TimeZone,
}

impl Clock {
    /// This computer's.
    pub fn system() -> Self {
        Self {
            now: Timestamp::now(),
            zone: TimeZone::system(),
        }
    }

    fn zoned(&self, at: UnixMillis) -> Zoned {
        let at = Timestamp::from_millisecond(at.0).unwrap_or(self.now);
        at.to_zoned(self.zone.clone())
    }

    fn today(&self) -> Date {
        self.now.to_zoned(self.zone.clone()).date()
    }

    /// The hour if it is today's, or else day and hour: what stands behind "since".
    pub fn since(&self, at: UnixMillis, language: Language) -> String {
        let at = self.zoned(at);
        let hour = hour(&at, language);
        if at.date() == self.today() {
            hour
        } else {
            format!("{}, {hour}", self.day(&at, language))
        }
    }

    /// Day and hour.
    pub fn moment(&self, at: UnixMillis, language: Language) -> String {
        let at = self.zoned(at);
        let hour = hour(&at, language);
        let days = self
            .today()
            .since(at.date())
            .map_or(i32::MAX, |span| span.get_days());
        match (days, language) {
            (0, Language::En) => format!("today, {hour}"),
            (0, Language::De) => format!("heute, {hour}"),
            (0, Language::Fr) => format!("aujourd’hui, {hour}"),
            (1, Language::En) => format!("yesterday, {hour}"),
            (1, Language::De) => format!("gestern, {hour}"),
            (1, Language::Fr) => format!("hier, {hour}"),
            _ => format!("{}, {hour}", self.day(&at, language)),
        }
    }

    fn day(&self, at: &Zoned, language: Language) -> String {
        let (day, year) = (at.day(), at.year());
        let months = match language {
            Language::En => EN,
            Language::De => DE,
            Language::Fr => FR,
        };
        let place = usize::try_from(at.month()).unwrap_or(1).saturating_sub(1);
        let month = months.get(place).copied().unwrap_or_default();
        let dot = if language == Language::De { "." } else { "" };
        if year == self.today().year() {
            format!("{day}{dot} {month}")
        } else {
            format!("{day}{dot} {month} {year}")
        }
    }
}

fn hour(at: &Zoned, language: Language) -> String {
    let (hour, minute) = (at.hour(), at.minute());
    match language {
        Language::En | Language::De => format!("{hour:02}:{minute:02}"),
        Language::Fr => format!("{hour:02} h {minute:02}"),
    }
}

const EN: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DE: [&str; 12] = [
    "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.", "Nov.", "Dez.",
];
const FR: [&str; 12] = [
    "janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.",
    "déc.",
];

/// A size of which a person has an idea: three figures at most, in thousands.
pub(crate) fn size(bytes: u64, language: Language) -> String {
    let (byte, units) = match language {
        Language::Fr => ("octets", ["ko", "Mo", "Go", "To"]),
        Language::En => ("bytes", ["KB", "MB", "GB", "TB"]),
        Language::De => ("Byte", ["KB", "MB", "GB", "TB"]),
    };
    if bytes < 1_000 {
        return format!("{bytes} {byte}");
    }
    let (bytes, mut scale, mut unit) = (u128::from(bytes), 1_000_u128, 0);
    // Rounded, so that nothing is "1000 KB".
    while bytes >= scale * 1_000 - scale / 2 && unit < 3 {
        scale *= 1_000;
        unit += 1;
    }
    let tenths = (bytes * 10 + scale / 2) / scale;
    let name = units.get(unit).copied().unwrap_or_default();
    if tenths < 100 && tenths % 10 != 0 {
        let mark = if language == Language::En { '.' } else { ',' };
        format!("{}{mark}{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", tenths / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock {
            now: "2026-11-21T10:00:00Z".parse().unwrap(),
            zone: TimeZone::fixed(jiff::tz::offset(1)),
        }
    }

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn times_are_told_as_people_do() {
        let clock = clock();
        let morning = at("2026-11-21T08:12:00Z");
        assert_eq!(clock.since(morning, Language::En), "09:12");
        assert_eq!(clock.since(morning, Language::Fr), "09 h 12");
        let before = at("2026-11-20T23:30:00Z");
        assert_eq!(clock.moment(before, Language::De), "heute, 00:30");
        let yesterday = at("2026-11-20T08:12:00Z");
        assert_eq!(clock.since(yesterday, Language::De), "20. Nov., 09:12");
        assert_eq!(clock.moment(yesterday, Language::Fr), "hier, 09 h 12");
        assert_eq!(
            clock.moment(at("2025-03-01T08:00:00Z"), Language::De),
            "1. März 2025, 09:00"
        );
        // A clock that was set back shows the day and no nonsense.
        assert_eq!(
            clock.moment(at("2026-12-24T08:00:00Z"), Language::En),
            "24 Dec, 09:00"
        );
    }

    #[test]
    fn sizes_have_few_figures() {
        assert_eq!(size(0, Language::En), "0 bytes");
        assert_eq!(size(1_500, Language::De), "1,5 KB");
        assert_eq!(size(2_000_000, Language::Fr), "2 Mo");
        assert_eq!(size(999_999, Language::En), "1 MB");
        assert_eq!(size(12_345_678, Language::En), "12 MB");
    }
}
