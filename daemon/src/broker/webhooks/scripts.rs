//! Verifying and signing for scripts, with an endpoint's secrets and without its port.

use authsome_proto::request::{WebhookSign, WebhookVerify};
use authsome_proto::response::WebhookVerified;
use authsome_proto::{ErrorCode, WireError};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::audit::{self, Record};
use crate::broker::{Broker, random_id};
use crate::errors::printable;
use crate::webhooks::scheme::Scheme;
use crate::webhooks::sign;
use crate::webhooks::verify::Verifier;

impl Broker {
    /// Judges a body as the endpoint would; remembers nothing.
    pub async fn verify_webhook(
        &self,
        request: &WebhookVerify,
    ) -> Result<WebhookVerified, WireError> {
        let endpoint = self.endpoint(&request.webhook)?;
        let headers = headers(&endpoint.scheme, request)?;
        let now = Timestamp::now();
        let keys = self.live_keys(&endpoint, now).await?;
        let verdict = Verifier::begin(&endpoint.scheme, &keys, &headers, now.as_second()).and_then(
            |mut verifier| {
                verifier.update(&request.body);
                verifier.finish()
            },
        );
        Ok(match verdict {
            Ok(_) => WebhookVerified {
                good: true,
                code: None,
                reason: None,
            },
            Err(reason) => WebhookVerified {
                good: false,
                code: Some(reason.code().to_owned()),
                reason: Some(reason.to_string()),
            },
        })
    }

    /// Signs a body as the endpoint's sender would.
    pub async fn sign_webhook(
        &self,
        request: &WebhookSign,
        by: u32,
    ) -> Result<Vec<(String, String)>, WireError> {
        let name = &request.webhook;
        let endpoint = self.endpoint(name)?;
        let now = Timestamp::now();
        let keys = self.live_keys(&endpoint, now).await?;
        let cannot = || {
            WireError::new(
                ErrorCode::BadRequest,
                format!("cannot sign for webhook `{name}`"),
            )
        };
        let key = keys.first().ok_or_else(|| {
            cannot().hint(format!("`authsome webhook rotate {name}` sets a secret"))
        })?;
        let id = match &request.id {
            Some(id) => id.clone(),
            None => format!("msg_{}", random_id::<authsome_proto::LoginId>()),
        };
        let timestamp = request.timestamp.unwrap_or_else(|| now.as_second());
        let signed = sign::sign(&endpoint.scheme, key, timestamp, &id, &request.body)
            .map_err(|error| cannot().because(&error))?;
        let mut line = Record::new(audit::Event::WebhookSign);
        line.webhook = Some(name.clone());
        self.audit_first(line, by).await?;
        Ok(signed)
    }
}

/// The headers of a request to `verify`: those that were given, and those by their meaning.
fn headers(scheme: &Scheme, request: &WebhookVerify) -> Result<HeaderMap, WireError> {
    let bad = |what: String| WireError::new(ErrorCode::BadRequest, what);
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        let name = HeaderName::try_from(name)
            .map_err(|_| bad(format!("`{}` is no name of a header", printable(name))))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| bad(format!("the value of `{name}` cannot stand in a header")))?;
        headers.append(name, value);
        Ok::<_, WireError>(())
    };
    for (name, value) in &request.headers {
        put(name, value)?;
    }
    let family = scheme.families.first();
    for (option, field, value) in [
        (
            "--signature",
            family.map(|it| &it.signature),
            &request.signature,
        ),
        (
            "--timestamp",
            family.and_then(|it| it.timestamp.as_ref()),
            &request.timestamp,
        ),
        ("--id", family.and_then(|it| it.id.as_ref()), &request.id),
    ] {
        match (field, value) {
            (_, None) => {}
            (Some(field), Some(value)) => put(&field.shown, value)?,
            (None, Some(_)) => {
                return Err(bad(format!(
                    "`{option}` means nothing for the scheme `{}`",
                    scheme.name
                )));
            }
        }
    }
    Ok(headers)
}
