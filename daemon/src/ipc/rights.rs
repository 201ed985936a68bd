//! What a caller inside a run may ask (threat L3). Pure.
//!
//! A program under `run` is there because it must not hold keys. It has the user's id, so it
//! reaches the control socket; asking the daemon for a key, for a definition that sends keys
//! elsewhere, or for the end of the audit trail is refused.

use authsome_proto::Request;

/// Whether a caller inside a run may ask this. No wildcard: a new request does not compile until
/// somebody has decided.
pub fn allowed_inside_run(request: &Request) -> bool {
    match request {
        // looking, without secrets
        Request::Status
        | Request::Connections
        | Request::Providers
        | Request::Connection { .. }
        | Request::Inspect { .. }
        | Request::Runs
        | Request::Log(_)
        | Request::LogFollow(_)
        | Request::LogVerify
        | Request::Subscribe
        | Request::Doctor
        | Request::WhoAmI
        // of another run than its own: the handler narrows
        | Request::Explain(_)
        // says yes or no about bytes that the caller has already
        | Request::Webhooks
        | Request::WebhookVerify(_)
        // a person logs in: the secret comes from the person, not from us
        | Request::LoginSubmit { .. }
        | Request::LoginAnswer { .. }
        | Request::LoginWait { .. }
        | Request::LoginCancel { .. }
        | Request::Unlock { .. }
        // narrowed to the outer run
        | Request::RunStart(_) => true,
        // a program must not put a key or an account of its own in the place of the user's: it can
        // fill our form in, and see a login's state, as well as a person. What else of a login it may
        // not choose, the broker knows
        Request::Login(login) => !login.force && login.base_url.is_none(),
        Request::Reveal { .. }
        | Request::Export { .. }
        | Request::Register { .. }
        | Request::LoginServer(_)
        | Request::Logout { .. }
        | Request::Revoke { .. }
        | Request::Remove { .. }
        | Request::SetDefault { .. }
        | Request::RunStop { .. }
        | Request::WebhookAdd(_)
        | Request::WebhookRotate { .. }
        | Request::WebhookRemove { .. }
        | Request::WebhookSign(_)
        | Request::Shutdown => false,
    }
}

/// Whether a request changes what is stored or which runs live, in several steps that belong
/// together.
pub fn is_change(request: &Request) -> bool {
    matches!(
        request,
        Request::LoginSubmit { .. }
            | Request::LoginAnswer { .. }
            | Request::Logout { .. }
            | Request::Register { .. }
            | Request::Remove { .. }
            | Request::Revoke { .. }
            | Request::RunStart(_)
            | Request::SetDefault { .. }
            | Request::Unlock { .. }
            | Request::WebhookRemove { .. }
    )
}

#[cfg(test)]
mod tests {
    use authsome_proto::request::{Login, LoginVia};

    use super::*;

    #[test]
    fn nothing_that_yields_a_secret_is_allowed_inside_a_run() {
        let provider: authsome_proto::ProviderName = "p".parse().unwrap();
        assert!(!allowed_inside_run(&Request::Reveal {
            provider,
            connection: None
        }));
        assert!(!allowed_inside_run(&Request::Export {
            provider: None,
            connection: None
        }));
        assert!(allowed_inside_run(&Request::Status));
        let sign = authsome_proto::request::WebhookSign {
            webhook: "fin".parse().unwrap(),
            timestamp: None,
            id: None,
            body: Vec::new(),
        };
        assert!(!allowed_inside_run(&Request::WebhookSign(sign)));
        let login = |force, via| {
            let provider = "p".parse().unwrap();
            Request::Login(Login {
                provider,
                connection: None,
                force,
                via,
                region: None,
                flow: None,
                scopes: Vec::new(),
                base_url: None,
                client_id: None,
            })
        };
        assert!(!allowed_inside_run(&login(true, LoginVia::Submit)));
        assert!(!allowed_inside_run(&login(true, LoginVia::Form)));
        assert!(allowed_inside_run(&login(false, LoginVia::Submit)));
    }
}
