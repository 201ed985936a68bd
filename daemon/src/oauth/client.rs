//! Who we are to an authorization server, and how it is told (RFC 6749 section 2.3).

use authsome_proto::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::{Outgoing, form};
use crate::providers::ClientAuth;

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its public name.
    pub id: String,
    /// Its secret; a public client has none.
    pub secret: Option<Secret>,
    /// How the secret reaches the token endpoint.
    pub auth: ClientAuth,
}

/// A form for one of a server's endpoints, from `client`; without one, nothing says who we are. What is
/// ours comes last, and no name of it may be in `fields`.
pub(super) fn post(fields: &[(&str, &str)], client: Option<&Client>) -> Outgoing {
    let mut fields = fields.to_vec();
    let mut headers = HeaderMap::new();
    // GitHub answers with a form, if it is not told
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(client) = client {
        match (&client.secret, client.auth) {
            (Some(secret), ClientAuth::Basic) => {
                headers.extend(basic(&client.id, secret).map(|value| (AUTHORIZATION, value)));
            }
            (Some(secret), ClientAuth::Body) => {
                fields.push(("client_id", &client.id));
                fields.push(("client_secret", secret.expose()));
            }
            (None, _) => fields.push(("client_id", &client.id)),
        }
    }
    Outgoing {
        headers,
        body: Some((form::TYPE, form::encode(&fields))),
    }
}

/// `Basic`, both parts encoded as in a form first (RFC 6749 section 2.3.1), or a colon in the first
/// would move the border. `None` never comes: base64 is a header's value.
fn basic(id: &str, secret: &Secret) -> Option<HeaderValue> {
    const SCHEME: &str = "Basic ";
    let len = form::encoded_len(id) + 1 + form::encoded_len(secret.expose());
    let mut plain = Zeroizing::new(Vec::with_capacity(len));
    form::append(&mut plain, id);
    plain.push(b':');
    form::append(&mut plain, secret.expose());
    let mut value = Zeroizing::new(String::with_capacity(
        SCHEME.len() + base64::encoded_len(len, true)?,
    ));
    value.push_str(SCHEME);
    STANDARD.encode_string(&*plain, &mut value);
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(id: &str, secret: Option<&str>, auth: ClientAuth) -> Client {
        Client {
            id: id.to_owned(),
            secret: secret.map(|secret| Secret::new(secret.to_owned())),
            auth,
        }
    }

    fn sent(outgoing: &Outgoing) -> (Option<&str>, &str) {
        let (kind, body) = outgoing.body.as_ref().unwrap();
        assert_eq!(*kind, "application/x-www-form-urlencoded");
        assert_eq!(outgoing.headers[ACCEPT], "application/json");
        let header = outgoing.headers.get(AUTHORIZATION);
        (
            header.map(|value| value.to_str().unwrap()),
            str::from_utf8(body).unwrap(),
        )
    }

    #[test]
    fn a_client_is_named_as_it_was_registered() {
        use ClientAuth::{Basic, Body};
        for (who, header, body) in [
            (None, None, "a=b+c"),
            (
                Some(client("i&d", None, Body)),
                None,
                "a=b+c&client_id=i%26d",
            ),
            // a public client has nothing to put in a header
            (Some(client("id", None, Basic)), None, "a=b+c&client_id=id"),
            (
                Some(client("id", Some("s=e c"), Body)),
                None,
                "a=b+c&client_id=id&client_secret=s%3De+c",
            ),
            // RFC 6749 section 2.3.1
            (
                Some(client("s6BhdRkqt3", Some("7Fjfp0ZBr1KtDRbnfVdmIw"), Basic)),
                Some("Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"),
                "a=b+c",
            ),
            // i:d and s c, each encoded: i%3Ad:s+c
            (
                Some(client("i:d", Some("s c"), Basic)),
                Some("Basic aSUzQWQ6cytj"),
                "a=b+c",
            ),
        ] {
            let outgoing = post(&[("a", "b c")], who.as_ref());
            assert_eq!(sent(&outgoing), (header, body), "{who:?}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        for auth in [ClientAuth::Basic, ClientAuth::Body] {
            let client = client("id", Some("hunter2"), auth);
            let outgoing = post(&[("token", "hunter3")], Some(&client));
            let encoded = STANDARD.encode("id:hunter2");
            let shown = format!("{client:?} {outgoing:?} {:?}", outgoing.headers);
            assert!(
                !shown.contains("hunter") && !shown.contains(&encoded),
                "{shown}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_a_secret_holds_it_arrives(id in any::<String>(), secret in any::<String>()) {
            let basic = client(&id, Some(&secret), ClientAuth::Basic);
            let outgoing = post(&[], Some(&basic));
            let (header, _) = sent(&outgoing);
            let plain = STANDARD.decode(header.unwrap().strip_prefix("Basic ").unwrap()).unwrap();
            let plain = String::from_utf8(plain).unwrap();
            let (left, right) = plain.split_once(':').unwrap();
            // as the server undoes it
            let undo = |text: &str| url::form_urlencoded::parse(format!("x={text}").as_bytes()).next().unwrap().1.into_owned();
            prop_assert_eq!((undo(left), undo(right)), (id.clone(), secret.clone()));
            let body = client(&id, Some(&secret), ClientAuth::Body);
            let outgoing = post(&[], Some(&body));
            let (_, form) = sent(&outgoing);
            let pairs: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
            prop_assert_eq!(pairs, [("client_id".to_owned(), id), ("client_secret".to_owned(), secret)]);
        }
    }
}
