//! What a renewal changes in an item, and whether an item is still the one that it began with.

use authsome_proto::Secret;

use crate::broker::credentials::same;
use crate::broker::now;
use crate::oauth::Tokens;
use crate::vault::{Renewal, StoredClient, StoredGrant, StoredItem};

/// Whether two items are one grant in one state. What a renewal writes down about itself, and what a
/// person confirms about hosts, changes neither.
pub(super) fn is_same(a: &StoredItem, b: &StoredItem) -> bool {
    let StoredItem {
        secret,
        hosts: _,
        stored_at: _,
        grant,
    } = a;
    let grants = match (grant, &b.grant) {
        (None, None) => true,
        (Some(a), Some(b)) => is_same_grant(a, b),
        _ => false,
    };
    same(secret, &b.secret) && grants
}

fn is_same_grant(a: &StoredGrant, b: &StoredGrant) -> bool {
    let StoredGrant {
        flow,
        renewal,
        issued_at,
        lifetime,
        scopes,
        client,
        token_url,
        revocation_url,
        resource,
        rotates: _,
        renewing_since: _,
    } = a;
    let renewals = match (renewal, &b.renewal) {
        (Renewal::None, Renewal::None)
        | (Renewal::ClientCredentials, Renewal::ClientCredentials) => true,
        (Renewal::RefreshToken(a), Renewal::RefreshToken(b))
        | (Renewal::ServiceAccount(a), Renewal::ServiceAccount(b)) => same(a, b),
        _ => false,
    };
    let clients = match (client, &b.client) {
        (None, None) => true,
        (Some(a), Some(b)) => is_same_client(a, b),
        _ => false,
    };
    *flow == b.flow
        && renewals
        && *issued_at == b.issued_at
        && *lifetime == b.lifetime
        && *scopes == b.scopes
        && clients
        && *token_url == b.token_url
        && *revocation_url == b.revocation_url
        && *resource == b.resource
}

fn is_same_client(a: &StoredClient, b: &StoredClient) -> bool {
    let StoredClient { id, secret, auth } = a;
    let secrets = match (secret, &b.secret) {
        (None, None) => true,
        (Some(a), Some(b)) => same(a, b),
        _ => false,
    };
    *id == b.id && secrets && *auth == b.auth
}

/// `item` with the tokens that came for it, asked for at `wall` (seconds since 1970).
pub(super) fn renewed(mut item: StoredItem, tokens: &Tokens, wall: i64) -> StoredItem {
    item.secret = tokens.access.clone();
    item.stored_at = now();
    let Some(grant) = &mut item.grant else {
        return item;
    };
    grant.issued_at = wall;
    grant.lifetime = tokens.expires_in.map(|lifetime| lifetime.as_secs());
    grant.renewing_since = None;
    if let Some(scopes) = &tokens.scopes {
        grant.scopes.clone_from(scopes);
    }
    if let Renewal::RefreshToken(old) = &mut grant.renewal {
        // an answer without one keeps the old (RFC 6749, section 6)
        let other = tokens.refresh.as_ref().filter(|new| !same(old, new));
        grant.rotates = Some(other.is_some() || grant.rotates == Some(true));
        if let Some(new) = other {
            *old = Secret::clone(new);
        }
    }
    item
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::providers::Flow;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn item(renewal: Renewal, rotates: Option<bool>) -> StoredItem {
        StoredItem {
            secret: secret("old-access"),
            hosts: vec!["api.example.test".to_owned()],
            stored_at: "then".to_owned(),
            grant: Some(StoredGrant {
                flow: Flow::Pkce,
                renewal,
                issued_at: 1,
                lifetime: Some(3600),
                scopes: vec!["a".to_owned()],
                client: None,
                token_url: "https://auth.example.test/token".to_owned(),
                revocation_url: None,
                resource: None,
                rotates,
                renewing_since: Some(5),
            }),
        }
    }

    fn tokens(refresh: Option<&str>) -> Tokens {
        Tokens {
            access: secret("new-access"),
            refresh: refresh.map(secret),
            expires_in: Some(Duration::from_secs(60)),
            scopes: None,
        }
    }

    #[test]
    fn an_answer_without_a_refresh_token_keeps_the_old_one() {
        for (came, before, kept, rotates) in [
            (None, None, "old", false),
            (Some("old"), None, "old", false),
            (Some("new"), None, "new", true),
            (Some("new"), Some(false), "new", true),
            // a server that replaced it once may do so again
            (None, Some(true), "old", true),
        ] {
            let old = item(Renewal::RefreshToken(secret("old")), before);
            let new = renewed(old, &tokens(came), 100);
            assert_eq!(new.secret.expose(), "new-access");
            assert_eq!(new.hosts, ["api.example.test"]);
            let grant = new.grant.unwrap();
            let Renewal::RefreshToken(refresh) = &grant.renewal else {
                panic!("{:?}", grant.renewal);
            };
            assert_eq!(refresh.expose(), kept, "{came:?}");
            assert_eq!(grant.rotates, Some(rotates), "{came:?} {before:?}");
            assert_eq!(grant.issued_at, 100);
            assert_eq!(grant.lifetime, Some(60));
            assert_eq!(grant.renewing_since, None);
            assert_eq!(grant.scopes, ["a"]);
        }
    }

    #[test]
    fn an_answer_without_a_lifetime_forgets_the_old_one() {
        let answer = Tokens {
            expires_in: None,
            scopes: Some(vec!["b".to_owned()]),
            ..tokens(None)
        };
        let new = renewed(item(Renewal::ClientCredentials, None), &answer, 100);
        let grant = new.grant.unwrap();
        assert_eq!((grant.lifetime, grant.rotates), (None, None));
        assert_eq!(grant.scopes, ["b"]);
    }

    /// RN3: marks and confirmed hosts are not another grant; everything else is.
    #[test]
    fn only_marks_and_hosts_leave_a_grant_what_it_is() {
        let basis = || item(Renewal::RefreshToken(secret("old")), None);
        let changed = |change: &dyn Fn(&mut StoredGrant)| {
            let mut other = basis();
            change(other.grant.as_mut().unwrap());
            is_same(&basis(), &other)
        };
        let mut confirmed = basis();
        confirmed.hosts.clear();
        assert!(is_same(&basis(), &confirmed));
        assert!(changed(&|grant| grant.renewing_since = None));
        assert!(changed(&|grant| grant.rotates = Some(true)));
        assert!(!changed(
            &|grant| grant.renewal = Renewal::RefreshToken(secret("new"))
        ));
        assert!(!changed(&|grant| grant.renewal = Renewal::None));
        assert!(!changed(&|grant| grant.issued_at = 2));
        assert!(!changed(&|grant| grant.token_url.push('x')));
        assert!(!changed(&|grant| grant.resource = Some("x".to_owned())));
        let mut other = basis();
        other.secret = secret("other");
        assert!(!is_same(&basis(), &other));
        other = basis();
        other.grant = None;
        assert!(!is_same(&basis(), &other));
    }
}
