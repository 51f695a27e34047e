//! Business hours: by the wall clock of one time zone, on some days of the week, and not on holidays.
//!
//! A business day has the length that it had: where the clocks change within business hours, that day is an
//! hour shorter or longer, as it is for whoever works it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

/// The most hours that a goal may have.
pub const HOURS_MOST: i64 = 10_000;
/// Days that are looked through: what is not due within ten years never is.
const DAYS: usize = 3_660;
/// Days that may be named as holidays.
const HOLIDAYS: usize = 1_000;
/// Stretches of hours that may be named.
const STRETCHES: usize = 50;
const DAY_MINUTES: u16 = 24 * 60;

const WEEK: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// When work is done.
#[derive(Debug, Clone, Default)]
pub struct Calendar {
    zone: Option<TimeZone>,
    /// Minutes of the day, from and to, in order and apart; Monday first.
    week: [Vec<(u16, u16)>; 7],
    holidays: BTreeSet<Date>,
    /// Month and day, every year.
    yearly: BTreeSet<(i8, i8)>,
}

/// What became of some milliseconds of business hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// They were over by then; milliseconds since 1970.
    At(i64),
    /// So many were left.
    Left(i64),
}

impl Spent {
    /// When they were over, if they were.
    pub fn at(self) -> Option<i64> {
        match self {
            Self::At(at) => Some(at),
            Self::Left(_) => None,
        }
    }
}

/// What is wrong with a calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarFault {
    /// No such time zone.
    #[error("zone {0:?} is none; it is a name such as \"Europe/Paris\"")]
    Zone(String),
    /// Hours that cannot be read.
    #[error("hours {0:?} is not like \"Mon-Fri 08:00-17:00\" or \"Sat 09:00-12:00\"")]
    Hours(String),
    /// There are none.
    #[error("hours has no hour in it")]
    NoHours,
    /// A day that cannot be read.
    #[error("holidays {0:?} is not like \"2026-12-25\", or \"12-25\" for every year")]
    Holiday(String),
    /// Too many of something.
    #[error("{0} has too many values; at most {1} are allowed")]
    TooMany(&'static str, usize),
}

impl Calendar {
    /// Reads a calendar: a zone's name, stretches of hours, holidays.
    pub fn read(zone: &str, hours: &[String], holidays: &[String]) -> Result<Self, CalendarFault> {
        if hours.len() > STRETCHES {
            return Err(CalendarFault::TooMany("hours", STRETCHES));
        }
        if holidays.len() > HOLIDAYS {
            return Err(CalendarFault::TooMany("holidays", HOLIDAYS));
        }
        let found = TimeZone::get(zone).map_err(|_| CalendarFault::Zone(zone.to_owned()))?;
        let mut calendar = Self {
            zone: Some(found),
            ..Self::default()
        };
        for text in hours {
            let stretch = stretch(text).ok_or_else(|| CalendarFault::Hours(text.clone()))?;
            calendar.add_hours(&stretch);
        }
        if calendar.week.iter().all(Vec::is_empty) {
            return Err(CalendarFault::NoHours);
        }
        for text in holidays {
            calendar
                .add_holiday(text)
                .ok_or_else(|| CalendarFault::Holiday(text.clone()))?;
        }
        Ok(calendar)
    }

    /// Spends business hours from a time on, until they are over or another time has come.
    pub fn spend(&self, from: i64, until: Option<i64>, most: i64) -> Spent {
        let mut left = most;
        let mut at = from;
        let until = until.unwrap_or(i64::MAX);
        let Some(mut day) = self.day_before(from) else {
            return Spent::Left(left);
        };
        for _ in 0..DAYS {
            for (opens, closes) in self.open_on(day) {
                let (begins, ends) = (opens.max(at), closes.min(until));
                let Some(open) = ends.checked_sub(begins).filter(|open| *open > 0) else {
                    continue;
                };
                if left <= open {
                    return Spent::At(begins + left);
                }
                left -= open;
                at = ends;
            }
            let is_over = self.starts(day).is_none_or(|start| start > until);
            let (false, Ok(next)) = (is_over, day.tomorrow()) else {
                return Spent::Left(left);
            };
            day = next;
        }
        Spent::Left(left)
    }

    fn day_before(&self, at: i64) -> Option<Date> {
        let date = self.date(at)?;
        Some(date.yesterday().unwrap_or(date))
    }

    fn starts(&self, day: Date) -> Option<i64> {
        self.moment(day, 0)
    }

    /// When work is done on a day, in order.
    fn open_on(&self, day: Date) -> impl Iterator<Item = (i64, i64)> {
        let place = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or_default();
        let is_free =
            self.holidays.contains(&day) || self.yearly.contains(&(day.month(), day.day()));
        let hours = self.week.get(place).filter(|_| !is_free);
        let hours = hours.into_iter().flatten();
        hours.filter_map(move |(from, to)| {
            let (opens, closes) = (self.moment(day, *from)?, self.moment(day, *to)?);
            // A day that the zone left out has no hours.
            (self.date(opens)? == day).then_some((opens, closes))
        })
    }

    fn date(&self, at: i64) -> Option<Date> {
        let at = Timestamp::from_millisecond(at).ok()?;
        Some(self.zone.as_ref()?.to_datetime(at).date())
    }

    fn moment(&self, day: Date, minute: u16) -> Option<i64> {
        let zone = self.zone.as_ref()?;
        let (day, minute) = if minute == DAY_MINUTES {
            (day.tomorrow().ok()?, 0)
        } else {
            (day, minute)
        };
        let hour = i8::try_from(minute / 60).ok()?;
        let minute = i8::try_from(minute % 60).ok()?;
        // Of an hour that is there twice, the first; of one that is not there, as long after it.
        let moment = zone.to_timestamp(day.at(hour, minute, 0, 0)).ok()?;
        Some(moment.as_millisecond())
    }

    fn add_hours(&mut self, stretch: &Stretch) {
        for (hours, (_, day)) in self.week.iter_mut().zip(WEEK) {
            if !stretch.days.contains(&day) {
                continue;
            }
            hours.push((stretch.from, stretch.to));
            hours.sort_unstable();
            let mut apart: Vec<(u16, u16)> = Vec::new();
            for (from, to) in hours.drain(..) {
                match apart.last_mut() {
                    Some(last) if from <= last.1 => last.1 = last.1.max(to),
                    _ => apart.push((from, to)),
                }
            }
            *hours = apart;
        }
    }

    fn add_holiday(&mut self, text: &str) -> Option<()> {
        if text.len() == 5 {
            // A leap year has every day there is.
            let day: Date = format!("2000-{text}").parse().ok()?;
            self.yearly.insert((day.month(), day.day()));
        } else if text.len() == 10 {
            self.holidays.insert(text.parse().ok()?);
        } else {
            return None;
        }
        Some(())
    }
}

struct Stretch {
    days: Vec<Weekday>,
    from: u16,
    to: u16,
}

/// `Mon-Fri 08:00-17:00`
fn stretch(text: &str) -> Option<Stretch> {
    let (days, hours) = text.split_once(' ')?;
    let (from, to) = hours.trim().split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (weekday(first)?, weekday(last)?);
    let days = WEEK.get(first..=last)?.iter().map(|(_, day)| *day);
    (from < to).then(|| Stretch {
        days: days.collect(),
        from,
        to,
    })
}

fn weekday(name: &str) -> Option<usize> {
    WEEK.iter()
        .position(|(known, _)| name.eq_ignore_ascii_case(known))
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
}
