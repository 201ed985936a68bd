//! placeholder
use std::time::Duration;

use authsome_proto::{ProviderName, Secret, WireError};

use super::{Browser, Definition};

pub fn asked_cookies(_: &Definition) -> (Vec<String>, usize) {
    (Vec::new(), 0)
}
pub struct E;
impl E {
    pub fn explain(&self, _: &ProviderName) -> WireError {
        WireError::new(authsome_proto::ErrorCode::InvalidSecret, "")
    }
}
pub fn cookie_secret(_: &Browser, _: &[(String, Secret)]) -> Result<Secret, E> {
    Err(E)
}
pub fn lifetime(_: &Browser) -> Option<Duration> {
    None
}
