//! The next run's identity, made while nobody waits.
//!
//! Deriving a key and signing a certificate authority is a third of what starting a run costs.
//! It needs nothing of the run but its id, which is ours to choose, and the names, which are
//! nearly always those of the run before. So each run that starts has the next one's made behind
//! it. A spare for other names, or one that has lain about for long, is not used.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use authsome_proto::RunId;

use super::{Broker, random_id};
use crate::proxy::{CaError, RunCa};
use crate::routing::HostPattern;
use crate::sys::locked::LockedBytes;

/// How long a spare is good: its validity counts from when it was made.
const SPARE_MAX: Duration = Duration::from_secs(60 * 60);

/// An id with its certificate authority.
#[derive(Debug)]
pub(super) struct Spare {
    id: RunId,
    ca: RunCa,
    names: Vec<HostPattern>,
    made: Instant,
}

impl Broker {
    /// A run's id and certificate authority: the spare one if it fits, else made now.
    pub(super) fn next_identity(
        &self,
        secret: &LockedBytes,
        names: &[HostPattern],
    ) -> Result<(RunId, RunCa), CaError> {
        let spare = self
            .spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match spare {
            Some(spare) if spare.names == names && spare.made.elapsed() < SPARE_MAX => {
                Ok((spare.id, spare.ca))
            }
            _ => make(secret, names),
        }
    }

    /// Makes the next run's, off the runtime.
    pub(super) fn make_spare(self: &Arc<Self>, secret: Arc<LockedBytes>, names: Vec<HostPattern>) {
        let broker = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // if it fails, the next run makes its own and says why
            if let Ok((id, ca)) = make(&secret, &names) {
                let spare = Spare {
                    id,
                    ca,
                    names,
                    made: Instant::now(),
                };
                *broker.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(spare);
            }
        });
    }
}

/// A new identity for a run whose CA may sign for `names`.
pub(super) fn make(secret: &LockedBytes, names: &[HostPattern]) -> Result<(RunId, RunCa), CaError> {
    let id = random_id();
    let ca = RunCa::derive(secret.as_ref(), &id, names, SystemTime::now())?;
    Ok((id, ca))
}
