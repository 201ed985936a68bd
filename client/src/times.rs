//! Times as people read them: "3 min ago". Pure; JSON keeps RFC 3339.

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

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

/// The same for an optional time; absent is empty.
pub(crate) fn human_or_empty(when: Option<&str>, now: Timestamp) -> String {
    when.map_or_else(String::new, |when| human(when, now))
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
