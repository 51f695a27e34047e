//! Goals against a clock that is read minute by minute, and against the rules.

use branchline_protocol::desk::TicketState;
use branchline_protocol::operation::Priority;
use branchline_protocol::time::UnixMillis;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{Calendar, CountsFrom, Facts, Goal, Goals, Spent};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn texts(given: &[&str]) -> Vec<String> {
    given.iter().map(|&text| text.to_owned()).collect()
}

fn calendar(zone: &str, hours: &[&str], holidays: &[&str]) -> Calendar {
    Calendar::read(zone, &texts(hours), &texts(holidays)).unwrap()
}

fn due(calendar: &Calendar, from: &str, most: i64) -> String {
    let due = calendar.spend(at(from), None, most).at().unwrap();
    Timestamp::from_millisecond(due).unwrap().to_string()
}

#[test]
fn hours_that_are_known() {
    let office = calendar(
        "Europe/Paris",
        &["Mon-Fri 08:00-12:00", "Mon-Fri 13:00-17:00"],
        &["12-25", "2026-05-14"],
    );
    for (from, hours, expected) in [
        // Friday at four in the afternoon: an hour today, one on Monday.
        ("2026-11-20T15:00:00Z", 2, "2026-11-23T08:00:00Z"),
        // Through lunch.
        ("2026-11-23T10:30:00Z", 1, "2026-11-23T12:30:00Z"),
        // Outside hours it begins when work does.
        ("2026-11-21T22:00:00Z", 1, "2026-11-23T08:00:00Z"),
        // To the minute in which work ends.
        ("2026-11-20T15:00:00Z", 1, "2026-11-20T16:00:00Z"),
        // A holiday of every year, and one of this year alone.
        ("2026-12-24T15:30:00Z", 1, "2026-12-28T07:30:00Z"),
        ("2026-05-13T14:30:00Z", 1, "2026-05-15T06:30:00Z"),
        ("2027-05-14T14:30:00Z", 0, "2027-05-14T14:30:00Z"),
    ] {
        assert_eq!(due(&office, from, hours * HOUR), expected, "{from} {hours}");
    }
}

#[test]
fn a_day_on_which_clocks_change_is_as_long_as_it_was() {
    let day = calendar("Europe/Paris", &["Mon-Sun 00:00-24:00"], &[]);
    // 29 March 2026 has 23 hours there, 25 October 25: noon to noon.
    assert_eq!(
        due(&day, "2026-03-28T11:00:00Z", 23 * HOUR),
        "2026-03-29T10:00:00Z"
    );
    let night = calendar("Europe/Paris", &["Sun 00:00-06:00"], &[]);
    for (saturday, hours) in [
        ("2026-03-28T12:00:00Z", 5),
        ("2026-10-24T12:00:00Z", 7),
        ("2026-10-31T12:00:00Z", 6),
    ] {
        let from = at(saturday);
        let until = Some(from + 24 * HOUR);
        let left = night.spend(from, until, 100 * HOUR);
        assert_eq!(left, Spent::Left((100 - hours) * HOUR), "{saturday}");
    }
}

#[test]
fn hours_that_never_come_end_in_nothing_due() {
    let never = calendar("UTC", &["Mon 08:00-08:01"], &[]);
    assert_eq!(never.spend(0, None, 10_000 * HOUR).at(), None);
    assert_eq!(Calendar::default().spend(0, None, 1).at(), None);
    assert_eq!(never.spend(i64::MIN, None, 1).at(), None);
    assert_eq!(never.spend(i64::MAX, Some(i64::MIN), 1), Spent::Left(1));
}

/// Whether work is done in this minute, said by the wall clock alone.
fn is_open(zone: &TimeZone, case: &Case, minute: i64) -> bool {
    let at = Timestamp::from_millisecond(minute).unwrap();
    let there = zone.to_datetime(at);
    let day = usize::try_from(there.weekday().to_monday_zero_offset()).unwrap();
    let of_day = i64::from(there.hour()) * 60 + i64::from(there.minute());
    let (from, to) = case.hours;
    case.days[day] && (from..to).contains(&of_day) && there.date() != case.holiday
}

#[derive(Debug, Clone)]
struct Case {
    zone: &'static str,
    days: [bool; 7],
    hours: (i64, i64),
    holiday: Date,
    from: i64,
    minutes: i64,
}

impl Case {
    fn calendar(&self) -> Calendar {
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let (from, to) = self.hours;
        let days = names.iter().zip(self.days).filter(|(_, works)| *works);
        let hours = days.map(|(day, _)| {
            let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
            format!("{day} {}-{}", clock(from), clock(to))
        });
        let hours: Vec<String> = hours.collect();
        Calendar::read(self.zone, &hours, &[self.holiday.to_string()]).unwrap()
    }
}

/// Starts lie around the days on which clocks change; Samoa left 30 December 2011 out.
fn cases() -> impl Strategy<Value = Case> {
    let zones = prop::sample::select(vec![
        ("UTC", "2026-02-27T00:00:00Z"),
        ("Europe/Paris", "2026-03-27T00:00:00Z"),
        ("Europe/Paris", "2026-10-23T00:00:00Z"),
        ("America/New_York", "2026-11-01T00:00:00Z"),
        ("America/Sao_Paulo", "2018-11-02T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
        ("Asia/Kathmandu", "2026-01-01T00:00:00Z"),
        ("Pacific/Apia", "2011-12-28T00:00:00Z"),
    ]);
    // Not within the hours that may be there twice: those are the tests' above.
    let hours = prop_oneof![
        Just((0, 24 * 60)),
        (5_i64 * 60..23 * 60, 60_i64..600)
            .prop_map(|(from, long)| (from, (from + long).min(24 * 60))),
    ];
    let days = any::<[bool; 7]>().prop_filter("work is done on some day", |days| {
        days.iter().any(|works| *works)
    });
    (zones, days, hours, 0_i64..4, 0_i64..4 * 1_440, 1_i64..3_000).prop_map(
        |((zone, near), days, hours, holiday, after, minutes)| {
            let from = at(near) + after * MINUTE;
            let found = TimeZone::get(zone).unwrap();
            let day = Timestamp::from_millisecond(at(near) + holiday * 24 * HOUR).unwrap();
            Case {
                zone,
                days,
                hours,
                holiday: found.to_datetime(day).date(),
                from,
                minutes,
            }
        },
    )
}

proptest! {
    #[test]
    fn as_a_clock_that_is_read_minute_by_minute(case in cases()) {
        let zone = TimeZone::get(case.zone).unwrap();
        let mut minute = case.from;
        let mut left = case.minutes;
        while left > 0 {
            left -= i64::from(is_open(&zone, &case, minute));
            minute += MINUTE;
            prop_assume!(minute < case.from + 400 * 24 * HOUR);
        }
        let due = case.calendar().spend(case.from, None, case.minutes * MINUTE);
        prop_assert_eq!(due, Spent::At(minute));
    }

    #[test]
    fn a_stop_on_the_way_changes_nothing_and_later_is_never_earlier(
        case in cases(), stop in 0_i64..5_000, later in 0_i64..5_000,
    ) {
        let calendar = case.calendar();
        let most = case.minutes * MINUTE;
        let whole = calendar.spend(case.from, None, most);
        let stopped = case.from + stop * MINUTE;
        let in_two = match calendar.spend(case.from, Some(stopped), most) {
            Spent::Left(left) => calendar.spend(stopped, None, left),
            over @ Spent::At(_) => {
                prop_assert!(over.at() <= Some(stopped));
                over
            }
        };
        prop_assert_eq!(in_two, whole);
        let after = calendar.spend(case.from + later * MINUTE, None, most);
        prop_assert!(after.at() >= whole.at());
    }

    #[test]
    fn clocks_of_a_ticket_keep_the_rules(
        case in cases(), early in 0_i64..5_000, steps in prop::collection::vec((0_i64..3_000, 0_usize..5), 0..12),
    ) {
        let goals = goals(case.calendar(), case.minutes * MINUTE);
        let mut facts = facts(case.from - early * MINUTE, case.from);
        let untouched = goals.of(&facts);
        prop_assert!(untouched.filed.first_answer <= untouched.received.first_answer);
        prop_assert!(untouched.filed.resolution <= untouched.received.resolution);
        let mut now = case.from;
        let mut before = untouched.received.resolution;
        let mut missed = None;
        for (wait, to) in steps {
            now += wait * MINUTE;
            missed = missed.or(before.filter(|due| due.0 <= now && runs(facts.state)));
            go(&mut facts, now, [
                TicketState::Open, TicketState::Waiting, TicketState::Resolved, TicketState::Closed, TicketState::Open,
            ][to]);
            let service = goals.of(&facts);
            prop_assert_eq!(service.received.first_answer, untouched.received.first_answer);
            // Standing still makes nothing due earlier, and what was missed stays missed.
            if let Some(due) = service.received.resolution {
                prop_assert!(Some(due) >= untouched.received.resolution);
            } else {
                prop_assert_eq!(facts.state, TicketState::Waiting);
            }
            if missed.is_some() {
                prop_assert_eq!(service.received.resolution, missed);
            }
            if service.received.resolution.is_some() {
                before = service.received.resolution;
            }
            if matches!(facts.state, TicketState::Resolved | TicketState::Closed) {
                prop_assert_eq!(service.next, None);
            } else {
                let answer = service.received.first_answer.filter(|_| facts.answered.is_none());
                let open = [answer, service.received.resolution];
                prop_assert_eq!(service.next, open.into_iter().flatten().min());
            }
        }
    }
}

fn runs(state: TicketState) -> bool {
    matches!(state, TicketState::New | TicketState::Open)
}

/// As the read model notes it.
fn go(facts: &mut Facts, now: i64, to: TicketState) {
    let now = UnixMillis(now);
    facts.moves.push((now, to));
    facts.state = to;
    if matches!(to, TicketState::Resolved | TicketState::Closed) {
        facts.answered.get_or_insert(now);
        facts.resolved.get_or_insert(now);
    } else {
        facts.resolved = None;
    }
}

fn goals(calendar: Calendar, most: i64) -> Goals {
    Goals {
        calendar,
        goals: vec![Goal {
            priority: None,
            category: None,
            first_answer: Some(most),
            resolution: Some(most),
            around_the_clock: false,
        }],
        ..Goals::default()
    }
}

fn facts(filed: i64, received: i64) -> Facts {
    Facts {
        priority: "high".into(),
        category: "till".into(),
        state: TicketState::New,
        filed: UnixMillis(filed),
        received: UnixMillis(received),
        answered: None,
        resolved: None,
        moves: Vec::new(),
    }
}

fn office() -> Calendar {
    calendar("Europe/Paris", &["Mon-Fri 08:00-17:00"], &[])
}

#[test]
fn the_first_goal_that_fits_counts() {
    let goal = |priority, category: Option<&str>, hours| Goal {
        priority,
        category: category.map(str::to_owned),
        first_answer: Some(hours * HOUR),
        resolution: None,
        around_the_clock: hours == 3,
    };
    let goals = Goals {
        goals: vec![
            goal(Some(Priority::Urgent), None, 1),
            goal(None, Some("till"), 2),
            goal(Some(Priority::High), Some("network"), 3),
        ],
        ..goals(office(), HOUR)
    };
    let monday = at("2026-11-23T07:00:00Z");
    for (priority, category, hours) in [
        ("urgent", "till", Some(1)),
        ("high", "till", Some(2)),
        ("low", "till", Some(2)),
        ("high", "network", Some(3)),
        ("low", "network", None),
    ] {
        let mut facts = facts(monday, monday);
        facts.priority = priority.into();
        facts.category = category.into();
        let due = goals.of(&facts).received.first_answer;
        let expected = hours.map(|hours| UnixMillis(monday + hours * HOUR));
        assert_eq!(due, expected, "{priority} {category}");
    }
    // Day and night, from a Saturday on.
    let saturday = at("2026-11-21T22:00:00Z");
    let mut facts = facts(saturday, saturday);
    facts.category = "network".into();
    let due = goals.of(&facts).next;
    assert_eq!(due, Some(UnixMillis(saturday + 3 * HOUR)));
}

#[test]
fn a_ticket_from_a_branch_that_was_cut_off_is_overdue_by_one_clock_and_not_by_the_other() {
    let (filed, received) = (at("2026-11-18T08:00:00Z"), at("2026-11-23T08:00:00Z"));
    let mut goals = goals(office(), 4 * HOUR);
    let service = goals.of(&facts(filed, received));
    let [by_filing, by_receipt] = [filed, received].map(|from| Some(UnixMillis(from + 4 * HOUR)));
    assert_eq!(service.filed.resolution, by_filing);
    assert_eq!(service.received.resolution, by_receipt);
    assert_eq!(service.next, by_receipt);
    goals.counts_from = CountsFrom::Filed;
    assert_eq!(goals.of(&facts(filed, received)).next, by_filing);
    // A branch's clock that is days ahead wins it no time.
    let ahead = goals.of(&facts(received + 100 * HOUR, received));
    assert_eq!(ahead.next, by_receipt);
}

#[test]
fn the_clock_stands_still_while_central_waits_and_a_withdrawn_ticket_owes_nothing() {
    let monday = at("2026-11-23T07:00:00Z");
    let goals = goals(office(), 4 * HOUR);
    let mut facts = facts(monday, monday);
    facts.answered = Some(UnixMillis(monday + HOUR));
    go(&mut facts, monday + HOUR, TicketState::Waiting);
    let waiting = goals.of(&facts);
    assert!(waiting.paused && waiting.next.is_none() && waiting.received.resolution.is_none());
    // A day later the branch answers: three hours are left.
    go(&mut facts, monday + 25 * HOUR, TicketState::Open);
    let open = goals.of(&facts);
    assert_eq!(open.next, Some(UnixMillis(monday + 28 * HOUR)));
    go(&mut facts, monday + 26 * HOUR, TicketState::Resolved);
    let done = goals.of(&facts);
    assert_eq!(done.received.resolution, open.next);
    assert_eq!(done.next, None);
    // Opened again much later, it goes on where it stopped.
    go(&mut facts, monday + 48 * HOUR, TicketState::Open);
    assert_eq!(goals.of(&facts).next, Some(UnixMillis(monday + 50 * HOUR)));
    facts.state = TicketState::Withdrawn;
    assert_eq!(goals.of(&facts), super::Service::default());
}
