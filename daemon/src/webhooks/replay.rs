//! Which requests an endpoint has taken already, so that each is delivered once. Pure.
//!
//! A request is known by its signed id, else by the hash of its body: an id that is not signed
//! could be changed by whoever repeats it. While it is being delivered it is [`Admission::UnderWay`];
//! once the program took it, it is [`Admission::Delivered`] for as long as it would verify; when
//! the program did not take it, it is forgotten, so that the sender can try again.
//!
//! Only requests with a good signature come here, so only the sender can fill the memory. When it
//! is full the oldest is forgotten.
//!
//! A restart of the daemon forgets everything: a request can then come through once more.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Requests remembered for an endpoint: about 2 MiB. More than a sender of ten a second makes in
/// the ten minutes for which they are remembered.
const REMEMBERED_MAX: usize = 16_384;

/// How long a request is remembered if nothing in it ever ends its life: longer than the quick
/// retries of senders, which come within minutes.
const WITHOUT_TIMESTAMP: Duration = Duration::from_secs(10 * 60);

/// What tells requests apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity([u8; 32]);

impl Identity {
    /// A request with a signed id.
    pub fn of_id(id: &str) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"id\0")
                .chain_update(id)
                .finalize()
                .into(),
        )
    }

    /// A request without one, by the SHA-256 of its body.
    pub fn of_body(hash: &[u8; 32]) -> Self {
        Self(
            Sha256::new()
                .chain_update(b"body\0")
                .chain_update(hash)
                .finalize()
                .into(),
        )
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It was delivered before.
    Delivered,
    /// It is new: deliver it, and tell how that went.
    New,
    /// The same one is being delivered.
    UnderWay,
}

/// The memory of one endpoint.
#[derive(Debug)]
pub struct Replay {
    window: Duration,
    max: usize,
    states: HashMap<Identity, State>,
    /// Delivered ones, the oldest first.
    order: VecDeque<(Instant, Identity)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Delivered,
    UnderWay,
}

impl Replay {
    /// A memory for requests that can verify for `lifetime` after they came; `None` is for ever.
    pub fn new(lifetime: Option<Duration>) -> Self {
        Self {
            // a second more: clocks are compared in whole seconds
            window: lifetime.map_or(WITHOUT_TIMESTAMP, |it| it + Duration::from_secs(1)),
            max: REMEMBERED_MAX,
            states: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Asks about a request; after [`Admission::New`] it is under way.
    pub fn admit(&mut self, request: Identity, now: Instant) -> Admission {
        self.expire(now);
        match self.states.get(&request) {
            Some(State::Delivered) => Admission::Delivered,
            Some(State::UnderWay) => Admission::UnderWay,
            None => {
                self.states.insert(request, State::UnderWay);
                Admission::New
            }
        }
    }

    /// The program took it.
    pub fn delivered(&mut self, request: Identity, now: Instant) {
        self.expire(now);
        if self.states.insert(request, State::Delivered) != Some(State::Delivered) {
            self.order.push_back((now, request));
        }
        while self.order.len() > self.max {
            self.forget_oldest();
        }
    }

    /// The program did not take it.
    pub fn failed(&mut self, request: Identity) {
        if self.states.get(&request) == Some(&State::UnderWay) {
            self.states.remove(&request);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && now.saturating_duration_since(*at) > self.window
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, request)) = self.order.pop_front() {
            self.states.remove(&request);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(number: u8) -> Identity {
        Identity([number; 32])
    }

    #[test]
    fn a_delivered_request_is_known_until_it_no_longer_verifies() {
        let begin = Instant::now();
        let mut replay = Replay::new(Some(Duration::from_secs(600)));
        assert_eq!(replay.admit(request(1), begin), Admission::New);
        replay.delivered(request(1), begin);
        for (seconds, expected) in [
            (0, Admission::Delivered),
            (601, Admission::Delivered),
            (602, Admission::New),
        ] {
            let now = begin + Duration::from_secs(seconds);
            assert_eq!(replay.admit(request(1), now), expected, "{seconds}");
        }
    }

    #[test]
    fn a_request_without_a_timestamp_is_known_for_ten_minutes() {
        let begin = Instant::now();
        let mut replay = Replay::new(None);
        assert_eq!(replay.admit(request(1), begin), Admission::New);
        replay.delivered(request(1), begin);
        for (seconds, expected) in [(600, Admission::Delivered), (601, Admission::New)] {
            let now = begin + Duration::from_secs(seconds);
            assert_eq!(replay.admit(request(1), now), expected, "{seconds}");
        }
    }

    #[test]
    fn a_failed_delivery_can_be_tried_again_and_two_never_run_at_once() {
        let now = Instant::now();
        let mut replay = Replay::new(None);
        assert_eq!(replay.admit(request(1), now), Admission::New);
        assert_eq!(replay.admit(request(1), now), Admission::UnderWay);
        assert_eq!(replay.admit(request(2), now), Admission::New);
        replay.failed(request(1));
        assert_eq!(replay.admit(request(1), now), Admission::New);
        replay.delivered(request(1), now);
        // a late word on a try that is over changes nothing
        replay.failed(request(1));
        assert_eq!(replay.admit(request(1), now), Admission::Delivered);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let now = Instant::now();
        let mut replay = Replay {
            max: 3,
            ..Replay::new(None)
        };
        for number in 0..10 {
            assert_eq!(replay.admit(request(number), now), Admission::New);
            replay.delivered(request(number), now);
        }
        assert_eq!((replay.states.len(), replay.order.len()), (3, 3));
        assert_eq!(replay.admit(request(9), now), Admission::Delivered);
        assert_eq!(replay.admit(request(0), now), Admission::New);
    }

    #[test]
    fn an_id_is_never_taken_for_a_body() {
        let text = "x".repeat(32);
        let hash: [u8; 32] = text.as_bytes().try_into().unwrap();
        assert_ne!(Identity::of_id(&text), Identity::of_body(&hash));
    }

    proptest! {
        /// W4 against a model that remembers everything.
        #[test]
        fn at_most_one_delivery_at_a_time_and_none_after_a_success(
            steps in proptest::collection::vec((0u8..4, 0u8..3, 0u64..400), 0..60),
        ) {
            let mut replay = Replay::new(Some(Duration::from_secs(600)));
            let mut model: HashMap<u8, Option<Instant>> = HashMap::new();
            let mut now = Instant::now();
            for (number, step, seconds) in steps {
                now += Duration::from_secs(seconds);
                model.retain(|_, at| at.is_none_or(|at| now - at <= Duration::from_secs(601)));
                match step {
                    0 => {
                        let expected = match model.get(&number) {
                            None => Admission::New,
                            Some(None) => Admission::UnderWay,
                            Some(Some(_)) => Admission::Delivered,
                        };
                        model.entry(number).or_insert(None);
                        prop_assert_eq!(replay.admit(request(number), now), expected);
                    }
                    // told only about what is under way, as the server does
                    1 if model.get(&number) == Some(&None) => {
                        model.insert(number, Some(now));
                        replay.delivered(request(number), now);
                    }
                    2 if model.get(&number) == Some(&None) => {
                        model.remove(&number);
                        replay.failed(request(number));
                    }
                    _ => {}
                }
            }
        }
    }
}
