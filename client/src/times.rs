//! Times as people read and write them: "3 min ago", `1h30m`. Pure; JSON keeps RFC 3339.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// What is said of a time that cannot be read.
const FORMS: &str = "write it as `90s`, `30m`, `2h`, `1h30m` or `2d`";

/// Longest time that a run can be given: a year, as its certificates.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A time to wait, in whole seconds, from a second to a year: `90s`, `30m`, `1h30m`, `2d`. A day has
/// 24 hours.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: Span = text.trim().parse().map_err(|_| FORMS.to_owned())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("months and years differ in length; {FORMS}"))?;
    let duration =
        Duration::try_from(duration).map_err(|_| format!("it cannot be in the past; {FORMS}"))?;
    if duration > DURATION_MAX {
        return Err("365 days are the most".into());
    }
    if duration < Duration::from_secs(1) {
        return Err(format!("one second is the least; {FORMS}"));
    }
    Ok(Duration::from_secs(duration.as_secs()))
}

/// How long ago or ahead `when` is; text that is no time is shown as it is.
pub(crate) fn human(when: &str, now: Timestamp) -> String {
    let Ok(time) = when.parse::<Timestamp>() else {
        return crate::ui::printable(when);
    };
    let seconds = now.as_second() - time.as_second();
    match seconds {
        -2..5 => "just now".into(),
        5.. if seconds < 30 * DAY => format!("{} ago", span(seconds)),
        ..-2 if seconds > -30 * DAY => format!("in {}", span(-seconds)),
        _ => time.strftime("%Y-%m-%d").to_string(),
    }
}

/// How long it is until `when`, in its two largest units: "in 1 h 20 min".
pub(crate) fn left(when: &str, now: Timestamp) -> String {
    let Ok(time) = when.parse::<Timestamp>() else {
        return crate::ui::printable(when);
    };
    let seconds = time.as_second() - now.as_second();
    let (whole, rest) = match seconds {
        ..1 => return "now".into(),
        1..MINUTE => (seconds, 0),
        MINUTE..HOUR => (seconds - seconds % MINUTE, 0),
        HOUR..DAY => (seconds - seconds % HOUR, seconds % HOUR / MINUTE * MINUTE),
        _ => (seconds - seconds % DAY, seconds % DAY / HOUR * HOUR),
    };
    if rest == 0 {
        format!("in {}", span(whole))
    } else {
        format!("in {} {}", span(whole), span(rest))
    }
}

/// The local clock time of a log record.
pub(crate) fn local(when: &str) -> String {
    when.parse::<Timestamp>().map_or_else(
        |_| crate::ui::printable(when),
        |time| {
            time.to_zoned(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}

/// A span in its largest unit.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => format!("{} h", seconds / HOUR),
        DAY.. if seconds < 2 * DAY => "1 day".into(),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_as_people_write_it() {
        for (text, seconds) in [
            ("1s", 1),
            ("90s", 90),
            ("30m", 1800),
            ("2h", 7200),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("1.5h", 5400),
            ("2d", 172_800),
            (" 8h ", 28_800),
            ("2 hours, 5 minutes", 7500),
            ("1500ms", 1),
            ("365d", 31_536_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for (text, why) in [
            ("", "write it as `90s`"),
            ("90", "write it as `90s`"),
            ("soon", "write it as `90s`"),
            ("2x", "write it as `90s`"),
            ("h", "write it as `90s`"),
            ("2h ago", "in the past"),
            ("-2h", "in the past"),
            ("1mo", "differ in length"),
            ("1y", "differ in length"),
            ("0s", "one second is the least"),
            ("999ms", "one second is the least"),
            ("366d", "365 days are the most"),
            ("8761h", "365 days are the most"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        // whatever it is, it is an answer
        assert!(parse_duration("99999999999999999999h").is_err());
        assert!(parse_duration("9999999d").is_err());
    }

    #[test]
    fn what_is_left_is_told_in_two_units() {
        let now: Timestamp = "2030-06-15T12:00:00Z".parse().unwrap();
        for (when, expected) in [
            ("2030-06-15T11:59:58Z", "now"),
            ("2030-06-15T12:00:00Z", "now"),
            ("2030-06-15T12:00:01Z", "in 1 s"),
            ("2030-06-15T12:01:59Z", "in 1 min"),
            ("2030-06-15T13:20:30Z", "in 1 h 20 min"),
            ("2030-06-15T14:00:59Z", "in 2 h"),
            ("2030-06-16T12:30:00Z", "in 1 day"),
            ("2030-06-17T15:30:00Z", "in 2 days 3 h"),
            ("soon", "soon"),
        ] {
            assert_eq!(left(when, now), expected, "{when}");
        }
    }

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let now: Timestamp = "2030-06-15T12:00:00Z".parse().unwrap();
        for (when, expected) in [
            ("2030-06-15T11:59:58Z", "just now"),
            ("2030-06-15T12:00:01Z", "just now"),
            ("2030-06-15T11:59:20Z", "40 s ago"),
            ("2030-06-15T11:57:00Z", "3 min ago"),
            ("2030-06-15T09:00:00Z", "3 h ago"),
            ("2030-06-14T09:00:00Z", "1 day ago"),
            ("2030-06-01T12:00:00Z", "14 days ago"),
            ("2029-06-01T12:00:00Z", "2029-06-01"),
            ("2030-06-15T14:00:00Z", "in 2 h"),
            ("2031-06-15T14:00:00Z", "2031-06-15"),
            ("soon", "soon"),
        ] {
            assert_eq!(human(when, now), expected, "{when}");
        }
    }
}
