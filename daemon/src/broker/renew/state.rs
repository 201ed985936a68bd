//! What a connection is called at a moment. Pure.
//!
//! | state | when |
//! | --- | --- |
//! | `connected` | it can be used, or renews itself when somebody uses it |
//! | `expiring` | a person will have to log in soon: it does not renew itself, and less than a tenth of its time is left, or less than a day, whichever is shorter |
//! | `expired` | its token is over, and renewing it fails for now; it is tried again |
//! | `needs_login` | only a new login helps |

use std::time::Duration;

use jiff::Timestamp;

use crate::connections::{ConnectionRecord, ConnectionState};

/// Longest time before its end that a connection is called expiring.
const SOON_MAX: Duration = Duration::from_secs(24 * 3600);

/// The part of a lifetime that is its end.
const SOON_SHARE: u32 = 10;

/// The state of `record` at `now`; `is_failing` if its last renewal did not work.
pub(super) fn of(record: &ConnectionRecord, now: Timestamp, is_failing: bool) -> ConnectionState {
    let Some(grant) = &record.grant else {
        return record.state;
    };
    if matches!(
        record.state,
        ConnectionState::NeedsLogin | ConnectionState::Revoked
    ) {
        return record.state;
    }
    let ends = grant.expires_at.as_deref().and_then(parse);
    let Some(left) = ends.map(|ends| until(ends, now)) else {
        return ConnectionState::Connected;
    };
    match (grant.renews, left.is_zero()) {
        (true, true) if is_failing => ConnectionState::Expired,
        (true, _) => ConnectionState::Connected,
        (false, true) => ConnectionState::NeedsLogin,
        (false, false) => {
            let begun = record.rotated_at.as_deref().or(Some(&record.created_at));
            let lifetime = ends
                .zip(begun.and_then(parse))
                .map_or(Duration::MAX, |(ends, begun)| until(ends, begun));
            if left < SOON_MAX.min(lifetime / SOON_SHARE) {
                ConnectionState::Expiring
            } else {
                ConnectionState::Connected
            }
        }
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// How long from `now` until `later`; nothing, if that is over.
fn until(later: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::GrantRecord;

    fn record(state: ConnectionState, ends: Option<&str>, renews: bool) -> ConnectionRecord {
        ConnectionRecord {
            provider: "notion".parse().unwrap(),
            connection: "default".parse().unwrap(),
            state,
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            rotated_at: None,
            last_used: None,
            hosts: Vec::new(),
            account: None,
            region: None,
            base_url: None,
            grant: Some(GrantRecord {
                expires_at: ends.map(str::to_owned),
                renews,
                ..GrantRecord::default()
            }),
        }
    }

    #[test]
    fn a_connection_is_called_what_a_person_has_to_do_about_it() {
        use ConnectionState::{Connected, Expired, Expiring, NeedsLogin, Revoked};

        let hour = Some("2026-01-01T01:00:00Z");
        let month = Some("2026-01-31T00:00:00Z");
        let over = Some("2026-01-01T00:10:00Z");
        for (stored, ends, renews, failing, at, expected) in [
            // renews itself
            (
                Connected,
                hour,
                true,
                false,
                "2026-01-01T00:30:00Z",
                Connected,
            ),
            (
                Connected,
                hour,
                true,
                true,
                "2026-01-01T00:59:00Z",
                Connected,
            ),
            (
                Connected,
                over,
                true,
                false,
                "2026-01-01T00:30:00Z",
                Connected,
            ),
            (Connected, over, true, true, "2026-01-01T00:30:00Z", Expired),
            (
                Connected,
                None,
                true,
                true,
                "2026-01-01T00:30:00Z",
                Connected,
            ),
            // does not: the last tenth of an hour, the last day of a month
            (
                Connected,
                hour,
                false,
                false,
                "2026-01-01T00:53:59Z",
                Connected,
            ),
            (
                Connected,
                hour,
                false,
                false,
                "2026-01-01T00:54:01Z",
                Expiring,
            ),
            (
                Connected,
                hour,
                false,
                false,
                "2026-01-01T01:00:00Z",
                NeedsLogin,
            ),
            (
                Connected,
                month,
                false,
                false,
                "2026-01-29T23:59:59Z",
                Connected,
            ),
            (
                Connected,
                month,
                false,
                false,
                "2026-01-30T00:00:01Z",
                Expiring,
            ),
            (
                Connected,
                None,
                false,
                false,
                "2026-01-01T00:30:00Z",
                Connected,
            ),
            // what is known to need a person stays so
            (
                NeedsLogin,
                hour,
                true,
                false,
                "2026-01-01T00:30:00Z",
                NeedsLogin,
            ),
            (Revoked, hour, true, false, "2026-01-01T00:30:00Z", Revoked),
            // a time that cannot be read says nothing
            (
                Connected,
                Some("soon"),
                false,
                false,
                "2026-01-01T00:30:00Z",
                Connected,
            ),
        ] {
            let record = record(stored, ends, renews);
            let state = of(&record, at.parse().unwrap(), failing);
            assert_eq!(
                state, expected,
                "{stored:?} {ends:?} {renews} {failing} {at}"
            );
        }
    }

    #[test]
    fn what_has_no_grant_is_what_is_stored() {
        let mut record = record(ConnectionState::Connected, None, false);
        record.grant = None;
        let now = "2030-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(of(&record, now, true), ConnectionState::Connected);
    }
}
