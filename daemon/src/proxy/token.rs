//! Whose request is this: the run's token in `Proxy-Authorization`.
//!
//! `Basic` with the run's id as user and its token as password (RFC 7617), which is what clients
//! make of `http://RUN-ID:TOKEN@127.0.0.1:PORT`. Checked before anything else (threat L1).

use std::collections::HashMap;
use std::sync::Arc;

use authsome_proto::RunId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::PROXY_AUTHORIZATION;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::RunView;

/// Longest encoded pair that is decoded: a run's id and its 256-bit token are far below.
const ENCODED_MAX: usize = 512;

/// The living run that `headers` prove to belong to.
pub(super) fn check(
    runs: &HashMap<RunId, Arc<RunView>>,
    headers: &HeaderMap,
) -> Option<Arc<RunView>> {
    let mut given = headers.get_all(PROXY_AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return None;
    };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    let encoded = encoded.trim();
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > ENCODED_MAX {
        return None;
    }
    let pair = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    let (user, token) = pair.split_at_checked(colon)?;
    let token = token.get(1..)?;
    let id: RunId = std::str::from_utf8(user).ok()?.parse().ok()?;
    let run = runs.get(&id)?;
    let equal: bool = run.token.as_ref().ct_eq(token).into();
    (equal && !run.is_over()).then(|| Arc::clone(run))
}
