//! The bundled definitions, compiled in.
//!
//! The table is sorted by name. A test holds it against the folder in both directions, so a file
//! without a line here, or a line without a file, does not pass.

/// Name and text of every bundled definition.
pub(super) const DEFINITIONS: &[(&str, &str)] = &[
    ("ahrefs", include_str!("../../providers/ahrefs.json")),
    ("anthropic", include_str!("../../providers/anthropic.json")),
    ("apollo", include_str!("../../providers/apollo.json")),
    ("ashby", include_str!("../../providers/ashby.json")),
    ("atlassian", include_str!("../../providers/atlassian.json")),
    ("bedrock", include_str!("../../providers/bedrock.json")),
    ("beehiiv", include_str!("../../providers/beehiiv.json")),
    (
        "brave-search-mcp",
        include_str!("../../providers/brave-search-mcp.json"),
    ),
    ("brevo", include_str!("../../providers/brevo.json")),
    ("buffer", include_str!("../../providers/buffer.json")),
    ("calendly", include_str!("../../providers/calendly.json")),
    ("clearbit", include_str!("../../providers/clearbit.json")),
    (
        "cloudflare",
        include_str!("../../providers/cloudflare.json"),
    ),
    (
        "cloudflare-mcp",
        include_str!("../../providers/cloudflare-mcp.json"),
    ),
    (
        "confluence",
        include_str!("../../providers/confluence.json"),
    ),
    ("discord", include_str!("../../providers/discord.json")),
    ("dub", include_str!("../../providers/dub.json")),
    ("fireworks", include_str!("../../providers/fireworks.json")),
    ("g2", include_str!("../../providers/g2.json")),
    ("github", include_str!("../../providers/github.json")),
    (
        "github-mcp",
        include_str!("../../providers/github-mcp.json"),
    ),
    ("gitlab", include_str!("../../providers/gitlab.json")),
    ("google", include_str!("../../providers/google.json")),
    (
        "google-admin",
        include_str!("../../providers/google-admin.json"),
    ),
    (
        "google-analytics",
        include_str!("../../providers/google-analytics.json"),
    ),
    (
        "google-calendar",
        include_str!("../../providers/google-calendar.json"),
    ),
    (
        "google-chat",
        include_str!("../../providers/google-chat.json"),
    ),
    (
        "google-classroom",
        include_str!("../../providers/google-classroom.json"),
    ),
    (
        "google-docs",
        include_str!("../../providers/google-docs.json"),
    ),
    (
        "google-drive",
        include_str!("../../providers/google-drive.json"),
    ),
    (
        "google-forms",
        include_str!("../../providers/google-forms.json"),
    ),
    (
        "google-gmail",
        include_str!("../../providers/google-gmail.json"),
    ),
    (
        "google-meet",
        include_str!("../../providers/google-meet.json"),
    ),
    (
        "google-photos",
        include_str!("../../providers/google-photos.json"),
    ),
    (
        "google-search-console",
        include_str!("../../providers/google-search-console.json"),
    ),
    (
        "google-sheets",
        include_str!("../../providers/google-sheets.json"),
    ),
    (
        "google-slides",
        include_str!("../../providers/google-slides.json"),
    ),
    (
        "google-tasks",
        include_str!("../../providers/google-tasks.json"),
    ),
    (
        "google-vertex-ai",
        include_str!("../../providers/google-vertex-ai.json"),
    ),
    (
        "google-youtube",
        include_str!("../../providers/google-youtube.json"),
    ),
    ("groq", include_str!("../../providers/groq.json")),
    ("hubspot", include_str!("../../providers/hubspot.json")),
    ("hunter", include_str!("../../providers/hunter.json")),
    ("instantly", include_str!("../../providers/instantly.json")),
    ("intercom", include_str!("../../providers/intercom.json")),
    (
        "intercom-fin",
        include_str!("../../providers/intercom-fin.json"),
    ),
    ("jira", include_str!("../../providers/jira.json")),
    (
        "keywords-everywhere",
        include_str!("../../providers/keywords-everywhere.json"),
    ),
    ("klaviyo", include_str!("../../providers/klaviyo.json")),
    (
        "klaviyo-oauth",
        include_str!("../../providers/klaviyo-oauth.json"),
    ),
    ("lemlist", include_str!("../../providers/lemlist.json")),
    ("linear", include_str!("../../providers/linear.json")),
    (
        "linear-mcp",
        include_str!("../../providers/linear-mcp.json"),
    ),
    (
        "linkedin-browser",
        include_str!("../../providers/linkedin-browser.json"),
    ),
    ("livestorm", include_str!("../../providers/livestorm.json")),
    ("mailchimp", include_str!("../../providers/mailchimp.json")),
    (
        "mention-me",
        include_str!("../../providers/mention-me.json"),
    ),
    ("microsoft", include_str!("../../providers/microsoft.json")),
    (
        "microsoft-calendar",
        include_str!("../../providers/microsoft-calendar.json"),
    ),
    (
        "microsoft-outlook",
        include_str!("../../providers/microsoft-outlook.json"),
    ),
    (
        "microsoft-word",
        include_str!("../../providers/microsoft-word.json"),
    ),
    ("mistral", include_str!("../../providers/mistral.json")),
    ("notion", include_str!("../../providers/notion.json")),
    (
        "notion-mcp",
        include_str!("../../providers/notion-mcp.json"),
    ),
    ("openai", include_str!("../../providers/openai.json")),
    (
        "openrouter",
        include_str!("../../providers/openrouter.json"),
    ),
    (
        "optimizely",
        include_str!("../../providers/optimizely.json"),
    ),
    (
        "perplexity",
        include_str!("../../providers/perplexity.json"),
    ),
    ("postiz", include_str!("../../providers/postiz.json")),
    ("postmark", include_str!("../../providers/postmark.json")),
    ("reddit", include_str!("../../providers/reddit.json")),
    ("resend", include_str!("../../providers/resend.json")),
    ("rewardful", include_str!("../../providers/rewardful.json")),
    ("savvycal", include_str!("../../providers/savvycal.json")),
    ("semrush", include_str!("../../providers/semrush.json")),
    ("sendgrid", include_str!("../../providers/sendgrid.json")),
    (
        "sentry-mcp",
        include_str!("../../providers/sentry-mcp.json"),
    ),
    ("slack", include_str!("../../providers/slack.json")),
    ("slack-mcp", include_str!("../../providers/slack-mcp.json")),
    (
        "stripe-mcp",
        include_str!("../../providers/stripe-mcp.json"),
    ),
    ("todoist", include_str!("../../providers/todoist.json")),
    ("together", include_str!("../../providers/together.json")),
    ("tolt", include_str!("../../providers/tolt.json")),
    ("typeform", include_str!("../../providers/typeform.json")),
    ("wistia", include_str!("../../providers/wistia.json")),
    ("x", include_str!("../../providers/x.json")),
    ("x-browser", include_str!("../../providers/x-browser.json")),
    ("zapier", include_str!("../../providers/zapier.json")),
    ("zoom", include_str!("../../providers/zoom.json")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use http::Method;

    use super::DEFINITIONS;
    use crate::providers::check::overlap;
    use crate::providers::{Auth, ClientAuth, Definition, Flow, Kind, OAuth2, parse_definition};
    use crate::routing::{
        Authority, BasicPair, Choice, Decision, HostPattern, Presented, RequestView, Route,
        RouteTable, Slot, decide,
    };

    fn all() -> Vec<Definition> {
        let read = DEFINITIONS.iter().map(|(name, text)| {
            let (definition, problems) = parse_definition(text, Path::new(name), None);
            assert_eq!(problems, [], "{name}");
            definition.unwrap()
        });
        read.collect()
    }

    fn find(name: &str) -> Definition {
        all()
            .into_iter()
            .find(|definition| definition.name.as_str() == name)
            .unwrap()
    }

    #[test]
    fn the_index_and_the_folder_agree() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("providers");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let index: BTreeSet<String> = DEFINITIONS
            .iter()
            .map(|(name, _)| format!("{name}.json"))
            .collect();
        assert_eq!(files, index);
        assert!(DEFINITIONS.is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn every_definition_loads_without_a_problem_under_its_own_name() {
        let all = all();
        let count = |wanted: fn(&Auth) -> bool| all.iter().filter(|d| wanted(&d.auth)).count();
        assert_eq!(count(|auth| *auth == Auth::ApiKey), 48);
        assert_eq!(count(|auth| matches!(auth, Auth::OAuth2(_))), 39);
        assert_eq!(count(|auth| matches!(auth, Auth::Browser(_))), 2);
        for (definition, (name, _)) in all.iter().zip(DEFINITIONS) {
            assert_eq!(definition.name.as_str(), *name);
        }
    }

    #[test]
    fn every_definition_survives_being_written_and_read() {
        for definition in all() {
            let json = definition.to_json();
            let (again, problems) = parse_definition(&json, Path::new("x.json"), None);
            assert_eq!(problems, [], "{json}");
            assert_eq!(again.unwrap(), definition);
        }
    }

    #[test]
    fn every_definition_works_but_bedrock_which_says_why_not() {
        for definition in all() {
            let ready = definition.name.as_str() != "bedrock";
            assert_eq!(definition.is_ready(), ready, "{}", definition.name);
        }
        let bedrock = format!("{:?}", find("bedrock").availability);
        assert!(bedrock.contains("SigV4"), "{bedrock}");
    }

    fn oauth_definitions() -> Vec<(Definition, OAuth2)> {
        let definitions = all().into_iter();
        let found = definitions.filter_map(|definition| match &definition.auth {
            Auth::OAuth2(oauth) => Some((definition.clone(), oauth.clone())),
            _ => None,
        });
        found.collect()
    }

    /// O5: whatever a login or a renewal talks to is reached over TLS
    #[test]
    fn every_address_of_an_authorization_server_is_https_and_every_flow_has_its_own() {
        let definitions = oauth_definitions();
        assert_eq!(definitions.len(), 39);
        for (definition, oauth) in &definitions {
            let name = &definition.name;
            let urls = oauth
                .endpoint_urls()
                .chain(oauth.authorization_url.as_deref());
            for url in urls {
                let url = url::Url::parse(&oauth.resolve(url, None)).unwrap();
                assert_eq!(url.scheme(), "https", "{name}");
                assert!(
                    url.query().is_none() && url.fragment().is_none(),
                    "{name} {url}"
                );
                assert!(!url.as_str().contains(['{', '}', '%']), "{name} {url}");
                assert_ne!(url.path(), "/", "{name} {url}");
            }
            assert!(!oauth.flows.is_empty(), "{name}");
            for (at, flow) in oauth.flows.iter().enumerate() {
                assert_eq!(oauth.lacks(*flow), None, "{name} {flow:?}");
                assert!(
                    !oauth.flows.iter().skip(at + 1).any(|it| it == flow),
                    "{name}"
                );
            }
            let has = |flow| oauth.flows.contains(&flow);
            assert_eq!(
                has(Flow::DeviceCode),
                oauth.device_token_request.is_some(),
                "{name}"
            );
            // an address that no flow uses is a flow that was forgotten
            assert_eq!(
                has(Flow::DeviceCode),
                oauth.device_authorization_url.is_some(),
                "{name}"
            );
            assert_eq!(
                has(Flow::DcrPkce),
                oauth.registration_endpoint.is_some(),
                "{name}"
            );
            let shown = definition.to_json();
            assert!(!shown.contains("not_yet"), "{name}");
            for rule in &definition.routes {
                let authorization = http::header::AUTHORIZATION;
                assert_eq!(
                    rule.slot,
                    Slot::Header {
                        name: authorization,
                        prefix: "Bearer".into()
                    },
                    "{name}"
                );
            }
        }
    }

    /// What the services want to be asked, before they give a refresh token at all.
    #[test]
    fn providers_are_asked_for_refresh_tokens_in_their_own_way() {
        for (definition, oauth) in oauth_definitions() {
            let name = definition.name.as_str();
            let params: Vec<(&str, &str)> = oauth
                .authorization_params
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let scope = |wanted: &str| oauth.scopes.iter().any(|scope| scope == wanted);
            if name.starts_with("google") {
                assert_eq!(
                    params,
                    [("access_type", "offline"), ("prompt", "consent")],
                    "{name}"
                );
                assert_eq!(
                    oauth.flows,
                    [Flow::Pkce, Flow::DeviceCode, Flow::JwtBearer],
                    "{name}"
                );
                assert_eq!(oauth.issuer.as_deref(), Some("https://accounts.google.com"));
            } else if name.starts_with("microsoft") {
                assert!(scope("offline_access"), "{name}");
            } else if ["atlassian", "confluence", "jira"].contains(&name) {
                assert!(scope("offline_access"), "{name}");
                assert_eq!(
                    params,
                    [("audience", "api.atlassian.com"), ("prompt", "consent")],
                    "{name}"
                );
            } else {
                match name {
                    "x" => assert!(scope("offline.access")),
                    "reddit" => {
                        assert_eq!(params, [("duration", "permanent")]);
                        // without one it refuses
                        assert!(!oauth.scopes.is_empty());
                    }
                    "notion" => assert_eq!(params, [("owner", "user")]),
                    _ => assert_eq!(params, [], "{name}"),
                }
            }
            let basic = ["klaviyo-oauth", "notion", "reddit", "x", "zoom"].contains(&name);
            assert_eq!(oauth.client_auth == ClientAuth::Basic, basic, "{name}");
        }
    }

    #[test]
    fn a_browser_session_fills_all_its_places_on_all_its_hosts() {
        for (name, shown) in [
            (
                "x-browser",
                "cookies `auth_token`, `ct0`; headers `x-csrf-token`, `x-twitter-active-user`, `x-twitter-client-language`",
            ),
            (
                "linkedin-browser",
                "cookies `li_at`, `JSESSIONID`; header `csrf-token`",
            ),
        ] {
            for rule in find(name).routes {
                assert!(matches!(rule.slot, Slot::Session(_)));
                assert_eq!(rule.slot.to_string(), shown, "{name}");
            }
        }
    }

    /// D14: no route of any definition, alone or beside all others, carries a credential to where
    /// tokens are given out, renewed or taken back, or where clients are registered.
    #[test]
    fn no_endpoint_of_any_definition_gets_a_credential_from_any_route() {
        let all = all();
        let mut reached = Vec::new();
        for (definition, oauth) in oauth_definitions() {
            for url in oauth.endpoint_urls() {
                let url = oauth.resolve(url, None);
                let (authority, path) = split(&url);
                // every definition with a route there, whether or not it is this endpoint's own
                for other in all.iter().filter(|it| covers(it, &authority)) {
                    let table =
                        table_of([other]).guarding(all.iter().flat_map(Definition::endpoints));
                    for method in [Method::GET, Method::POST, Method::DELETE] {
                        for path in [path.clone(), format!("{path}/x"), path.to_uppercase()] {
                            let said = ask(&table, &authority, &method, &path);
                            assert_eq!(said, "oauth_endpoint", "{} {method} {url}", other.name);
                        }
                    }
                    reached.push(format!("{} {} {url}", other.name, definition.name));
                }
                let table = table_of(&all).guarding(all.iter().flat_map(Definition::endpoints));
                let said = ask(&table, &authority, &Method::POST, &path);
                let expected = if table.covers(&authority) {
                    "oauth_endpoint"
                } else {
                    "pass"
                };
                assert_eq!(said, expected, "{} {url}", definition.name);
            }
            // the page where a person consents is an ordinary page
            if let Some(url) = &oauth.authorization_url {
                let (authority, path) = split(&oauth.resolve(url, None));
                let table = table_of([&definition]).guarding(definition.endpoints());
                assert_ne!(
                    ask(&table, &authority, &Method::GET, &path),
                    "oauth_endpoint"
                );
            }
        }
        // those that would be open without it
        for known in [
            "slack slack https://slack.com/api/oauth.v2.access",
            "slack slack https://slack.com/api/auth.revoke",
            "discord discord https://discord.com/api/oauth2/token",
            "discord discord https://discord.com/api/oauth2/token/revoke",
            "linear linear https://api.linear.app/oauth/token",
            "hubspot hubspot https://api.hubapi.com/oauth/v1/token",
            "notion notion https://api.notion.com/v1/oauth/token",
            "notion-mcp notion-mcp https://mcp.notion.com/token",
            "notion-mcp notion-mcp https://mcp.notion.com/register",
            "x x https://api.twitter.com/2/oauth2/token",
            "x-browser x https://api.twitter.com/2/oauth2/token",
            "klaviyo-oauth klaviyo-oauth https://a.klaviyo.com/oauth/token",
            "klaviyo klaviyo-oauth https://a.klaviyo.com/oauth/token",
            "gitlab gitlab https://gitlab.com/oauth/token",
            "google google https://oauth2.googleapis.com/token",
            "google google-gmail https://oauth2.googleapis.com/token",
            "todoist todoist https://api.todoist.com/oauth/access_token",
        ] {
            assert!(
                reached.iter().any(|it| it == known),
                "{known}: {reached:#?}"
            );
        }
        // another name of the same server
        let x = find("x");
        let table = table_of([&x]).guarding(x.endpoints());
        let alias = Authority::parse("api.x.com", Some(443)).unwrap();
        assert_eq!(
            ask(&table, &alias, &Method::POST, "/2/oauth2/token"),
            "oauth_endpoint"
        );
        assert_eq!(ask(&table, &alias, &Method::POST, "/2/tweets"), "x");
    }

    fn split(url: &str) -> (Authority, String) {
        let url = url::Url::parse(url).unwrap();
        let authority = Authority::parse(url.host_str().unwrap(), Some(443)).unwrap();
        (authority, url.path().to_owned())
    }

    fn covers(definition: &Definition, authority: &Authority) -> bool {
        let mut hosts = definition.routes.iter().flat_map(|rule| &rule.hosts);
        hosts.any(|host| host.matches(&authority.host))
    }

    fn table_of<'d>(definitions: impl IntoIterator<Item = &'d Definition>) -> RouteTable<()> {
        let rules = definitions
            .into_iter()
            .flat_map(|definition| definition.routes.iter().map(move |rule| (definition, rule)));
        let routes = rules.map(|(definition, rule)| Route {
            provider: definition.name.clone(),
            connection: authsome_proto::ConnectionName::default_name(),
            hosts: rule.hosts.clone(),
            port: rule.port,
            path: rule.path.clone(),
            except: rule.except.clone(),
            methods: rule.methods.clone(),
            slot: rule.slot.clone(),
            credential: (),
            choice: Choice {
                by_default: true,
                placeholder: None,
            },
            rules: Arc::default(),
        });
        RouteTable::build(routes.collect())
    }

    fn ask(table: &RouteTable<()>, dialled: &Authority, method: &Method, path: &str) -> String {
        let name = dialled.to_string();
        let request = RequestView {
            dialled,
            sni: None,
            host_headers: &[name.as_bytes()],
            scheme_https: true,
            method,
            path,
            method_override: false,
            presented: &Presented::Nothing,
        };
        match decide(table, &request) {
            Decision::Inject(route) => route.provider.to_string(),
            Decision::Pass => "pass".to_owned(),
            Decision::Refuse(code) => code.code().to_owned(),
        }
    }

    #[test]
    fn a_person_learns_where_a_key_comes_from_and_which_variable_it_fills() {
        for definition in all() {
            let name = &definition.name;
            assert!(
                definition
                    .env
                    .iter()
                    .any(|variable| variable.value.is_secret()),
                "{name}"
            );
            if definition.auth == Auth::ApiKey {
                assert!(!definition.key_urls.is_empty(), "{name}");
                assert!(definition.key_hint.is_some(), "{name}");
            }
            let urls = definition.key_urls.iter().chain(&definition.docs_url);
            assert!(
                urls.clone().all(|url| url.starts_with("https://")),
                "{name}"
            );
            if let Auth::OAuth2(oauth) = &definition.auth {
                let token_url = oauth.resolve(&oauth.token_url, None);
                assert!(token_url.starts_with("https://"), "{name}");
            }
        }
    }

    /// The lookalikes that the Python product's expressions let through.
    #[test]
    fn no_lookalike_host_gets_a_token() {
        let lookalikes = [
            "evilgithubusercontent.com",
            "googleapis.example.net",
            "evil-googleapis.com",
            "x.com.evil.example",
            "www.linkedin.com.evil.example",
            "intercom.io",
            "api.intercom.io.evil.example",
        ];
        for definition in all() {
            for pattern in definition.routes.iter().flat_map(|rule| &rule.hosts) {
                for host in lookalikes {
                    let host = crate::routing::Host::parse(host).unwrap();
                    assert!(!pattern.matches(&host), "{} {pattern}", definition.name);
                }
            }
        }
    }

    /// Equal claims cannot be resolved by a rule, so the reader of either definition is told.
    #[test]
    fn definitions_with_equal_claims_name_each_other_in_their_notes() {
        let all = all();
        for one in &all {
            for other in all.iter().filter(|other| other.name != one.name) {
                let named = format!("`{}`", other.name);
                let told = one.notes.iter().any(|note| note.contains(&named));
                assert!(
                    told || overlap(one, other).is_none(),
                    "{} {}",
                    one.name,
                    other.name
                );
            }
        }
    }

    #[test]
    fn definitions_that_read_the_same_variable_say_so() {
        let all = all();
        for one in &all {
            for other in all.iter().filter(|other| other.name != one.name) {
                let shared = one
                    .env
                    .iter()
                    .any(|a| other.env.iter().any(|b| a.name == b.name));
                let named = format!("`{}`", other.name);
                let told = one.notes.iter().any(|note| note.contains(&named));
                assert!(told || !shared, "{} {}", one.name, other.name);
            }
        }
    }

    #[test]
    fn known_weak_points_are_mended() {
        let hosts = [
            "api.intercom.io",
            "api.eu.intercom.io",
            "api.au.intercom.io",
        ];
        assert_eq!(find("intercom").hosts(), hosts);
        assert_eq!(
            find("mailchimp").hosts(),
            ["api.mailchimp.com", "*.api.mailchimp.com"]
        );
        assert_eq!(
            find("together").hosts(),
            ["api.together.xyz/v1/**", "api.together.ai/v1/**"]
        );
        assert_eq!(find("google").hosts(), ["*.googleapis.com"]);
        let slot = |name: &str| find(name).routes.first().unwrap().slot.clone();
        assert_eq!(slot("ashby"), Slot::Basic(BasicPair::Username));
        assert_eq!(
            slot("lemlist"),
            Slot::Basic(BasicPair::Password { user: "".into() })
        );
        let user = "anystring".into();
        assert_eq!(slot("mailchimp"), Slot::Basic(BasicPair::Password { user }));
        assert_eq!(slot("rewardful"), Slot::Basic(BasicPair::Username));
        assert_eq!(
            slot("hunter"),
            Slot::Query {
                name: "api_key".into()
            }
        );
        assert_eq!(slot("semrush"), Slot::Query { name: "key".into() });
        let header = |name: &'static str, prefix: &str| Slot::Header {
            name: http::HeaderName::from_static(name),
            prefix: prefix.into(),
        };
        assert_eq!(slot("apollo"), header("x-api-key", ""));
        assert_eq!(slot("anthropic"), header("x-api-key", ""));
        assert_eq!(slot("livestorm"), header("authorization", ""));
        assert_eq!(slot("klaviyo"), header("authorization", "Klaviyo-API-Key"));
        assert_eq!(slot("intercom"), header("authorization", "Bearer"));
    }

    #[test]
    fn key_patterns_accept_what_the_services_hand_out() {
        let x40 = "x".repeat(40);
        for (name, good, bad) in [
            ("stripe-mcp", "rk_live_abc1".to_owned(), "pk_live_abc1"),
            ("stripe-mcp", "sk_test_abc1".to_owned(), "sk_abc"),
            ("cloudflare", x40.clone(), "short"),
            ("cloudflare", format!("cfut_{x40}12345678"), "with space"),
            ("cloudflare-mcp", format!("cfat_{x40}12345678"), ""),
            (
                "openai",
                "sk-proj-abcdefghij_klmnopqrst".to_owned(),
                "sk-short",
            ),
            ("anthropic", "sk-ant-api03-a_b-c".to_owned(), "sk-ant-"),
            ("github-mcp", "github_pat_11A_b".to_owned(), "gho_abc"),
        ] {
            let pattern = find(name).key_pattern.unwrap();
            assert!(pattern.matches(&good), "{name}");
            assert!(!pattern.matches(bad), "{name}");
        }
    }

    #[test]
    fn kinds_and_wildcards_are_as_described() {
        assert_eq!(find("openai").kind, Kind::Llm);
        for definition in all() {
            for pattern in definition.routes.iter().flat_map(|rule| &rule.hosts) {
                if let HostPattern::Subdomains(below) = pattern {
                    assert!(below.as_str().contains('.'), "{pattern}");
                }
            }
        }
    }
}
