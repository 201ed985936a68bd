//! The live secrets of an endpoint: one, and for a time the ones before it. Pure.
//!
//! The vault holds them as one item, whose secret is a small JSON text, so that adding one and
//! ending another is one change.

use authsome_proto::Secret;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most secrets of an endpoint that are live at once. Somebody who rotates every hour and keeps the
/// old ones for a day has other problems; each one costs a hash of every body.
pub const LIVE_MAX: usize = 8;

/// One secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveSecret {
    /// The secret.
    pub secret: Secret,
    /// Since when.
    pub created_at: Timestamp,
    /// Until when; the newest one has no end.
    pub until: Option<Timestamp>,
}

/// The stored form of `secrets`.
pub fn encode(secrets: &[LiveSecret]) -> Option<Secret> {
    let mut text = Zeroizing::new(Vec::with_capacity(room(secrets)));
    serde_json::to_writer(&mut *text, secrets).ok()?;
    let text = String::from_utf8(std::mem::take(&mut *text)).ok()?;
    Some(Secret::new(text))
}

/// Bytes that the stored form never exceeds, so that its text does not grow and leave a copy behind:
/// JSON makes at most six of one.
fn room(secrets: &[LiveSecret]) -> usize {
    let len: usize = secrets.iter().map(|it| it.secret.len() * 6 + 256).sum();
    len + 16
}

/// The secrets in their stored form; `None` if it is not one. No error, which might quote it.
pub fn decode(stored: &Secret) -> Option<Vec<LiveSecret>> {
    serde_json::from_str(stored.expose()).ok()
}

/// Those that are live at `now`, the newest first.
pub fn live(mut secrets: Vec<LiveSecret>, now: Timestamp) -> Vec<LiveSecret> {
    secrets.retain(|it| it.until.is_none_or(|until| until > now));
    secrets.sort_by_key(|it| std::cmp::Reverse((it.until.is_none(), it.created_at)));
    secrets
}

/// `secrets` after a new one came in: the others end at `old_until`, or at the end they had if that
/// is sooner; without `old_until` they end now. More than [`LIVE_MAX`] push out the oldest.
pub fn rotate(
    secrets: Vec<LiveSecret>,
    new: Secret,
    now: Timestamp,
    old_until: Option<Timestamp>,
) -> Vec<LiveSecret> {
    let mut rotated = vec![LiveSecret {
        secret: new,
        created_at: now,
        until: None,
    }];
    if let Some(old_until) = old_until {
        for mut old in live(secrets, now) {
            old.until = Some(old.until.map_or(old_until, |until| until.min(old_until)));
            rotated.push(old);
        }
    }
    rotated.truncate(LIVE_MAX);
    rotated
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn texts(secrets: &[LiveSecret]) -> Vec<&str> {
        secrets.iter().map(|it| it.secret.expose()).collect()
    }

    #[test]
    fn golden_stored_form() {
        let rotated = rotate(
            rotate(Vec::new(), secret("one"), at(0), None),
            secret("t\"wo"),
            at(10),
            Some(at(100)),
        );
        let stored = encode(&rotated).unwrap();
        assert_eq!(
            stored.expose(),
            r#"[{"secret":"t\"wo","created_at":"1970-01-01T00:00:10Z","until":null},{"secret":"one","created_at":"1970-01-01T00:00:00Z","until":"1970-01-01T00:01:40Z"}]"#
        );
        assert_eq!(texts(&decode(&stored).unwrap()), ["t\"wo", "one"]);
        assert!(decode(&secret("[{")).is_none());
    }

    #[test]
    fn the_text_is_never_longer_than_the_room_for_it() {
        for len in [0, 1, 1_000] {
            for count in [0, 1, LIVE_MAX] {
                let one = LiveSecret {
                    // six bytes of JSON each
                    secret: secret(&"\u{1}".repeat(len)),
                    created_at: Timestamp::MAX,
                    until: Some(Timestamp::MIN),
                };
                let secrets = vec![one; count];
                let text = encode(&secrets).unwrap().len();
                let room = room(&secrets);
                assert!(
                    text <= room && room <= text + 256 * (count + 1),
                    "{len} {count}"
                );
            }
        }
    }

    #[test]
    fn an_old_secret_lives_until_its_time_and_no_rotation_makes_it_longer() {
        let first = rotate(Vec::new(), secret("1"), at(0), None);
        let second = rotate(first, secret("2"), at(10), Some(at(50)));
        assert_eq!(texts(&live(second.clone(), at(49))), ["2", "1"]);
        assert_eq!(texts(&live(second.clone(), at(50))), ["2"]);
        let third = rotate(second.clone(), secret("3"), at(20), Some(at(99)));
        assert_eq!(texts(&live(third.clone(), at(49))), ["3", "2", "1"]);
        assert_eq!(texts(&live(third, at(50))), ["3", "2"]);
        // without a time to keep them, all others are dead at once
        assert_eq!(texts(&rotate(second, secret("4"), at(20), None)), ["4"]);
    }

    #[test]
    fn the_number_of_live_secrets_is_bounded() {
        let mut secrets = Vec::new();
        for number in 0..20 {
            let new = secret(&number.to_string());
            secrets = rotate(secrets, new, at(number), Some(at(1000)));
        }
        assert_eq!(secrets.len(), LIVE_MAX);
        assert_eq!(texts(&secrets)[0], "19");
    }
}
