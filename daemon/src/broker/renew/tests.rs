//! The engine in a broker of its own: a real vault of files, a real server on the loopback, and a
//! clock that the test sets.

mod server;
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use authsome_proto::Places;
use authsome_proto::request::Unmatched;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::run::Run;
use super::super::{now, spare};
use super::*;
use crate::config::Config;
use crate::connections::Connections;
use crate::providers::Flow;
use crate::proxy::RouteCredential;
use crate::runs::Life as RunLife;
use crate::runs::record::RunRecord;
use crate::runs::spec::RunSpec;
use crate::runs::watch::Watched;
use crate::sys::clock::{Boot, Tell};
use crate::sys::pidfd::{self, Identity};
use crate::vault::{ItemKey, StoreChoice, StoredItem};
use authsome_proto::Secret;
use server::{Reply, Server};
use world::*;

/// Threat O6.
#[tokio::test]
async fn five_hundred_requests_at_once_are_one_renewal() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.sleep(HOUR);
    world.server.hold();
    let version = world.loaded().await.version;
    let asking: Vec<_> = (0..500)
        .map(|_| {
            let engine = world.broker.renewals.engine().clone();
            tokio::spawn(async move {
                engine
                    .ask((&provider(), &connection()), version, Why::Dead)
                    .await
            })
        })
        .collect();
    world.has_asked(1).await;
    // threat O7: the vault knows that it is sent, and nothing else has changed
    let (access, refresh, marked) = world.stored().await;
    assert_eq!((access.as_str(), refresh.as_str()), ("a1", "r1"));
    assert_eq!(marked, Some(BEGUN + 3600));
    world.server.release();
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(world.asks(), 1);
    assert_eq!(world.stored().await, ("a2".into(), "r2".into(), None));
    assert_eq!(
        world.item().await.unwrap().grant.unwrap().rotates,
        Some(true)
    );
    let loaded = world.loaded().await;
    assert!(loaded.is_of(&secret("a2")) && loaded.version != version);
    let grant = world.record().grant.unwrap();
    let ends = Timestamp::from_second(BEGUN + 7200).unwrap().to_string();
    assert_eq!(grant.expires_at, Some(ends));
    // who comes late finds it done
    let late = world.broker.renewals.engine();
    late.ask((&provider(), &connection()), version, Why::Dead)
        .await
        .unwrap();
    assert_eq!(world.asks(), 1);
}

#[tokio::test]
async fn a_renewal_goes_on_when_whoever_asked_has_left() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.sleep(HOUR);
    world.server.hold();
    let broker = Arc::clone(&world.broker);
    let version = world.loaded().await.version;
    let asking = tokio::spawn(async move {
        let engine = broker.renewals.engine().clone();
        engine
            .ask((&provider(), &connection()), version, Why::Dead)
            .await
    });
    world.has_asked(1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    world.server.release();
    world.has("a2").await;
    assert_eq!(world.asks(), 1);
}

#[tokio::test]
async fn what_a_run_is_granted_is_renewed_before_it_is_over_and_only_that() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.loaded().await;
    world.sleep(HOUR * 86 / 100);
    world.broker.renewals.look();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.asks(), 0, "no run has it");
    let run = world.run().await;
    let before = ready(&run);
    world.has("a2").await;
    world
        .broker
        .renewal_landed(&provider(), &connection())
        .await;
    assert!(ready(&run).is_some() && ready(&run) != before);
    world.sleep(HOUR * 70 / 100);
    world.broker.renewals.look();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.asks(), 1, "it is too early");
    world.sleep(HOUR * 16 / 100);
    world.broker.renewals.look();
    world.has("a3").await;
}

/// RN4.
#[tokio::test]
async fn a_final_refusal_marks_the_connection_and_deletes_nothing() {
    let world = World::new(|_| {}).await;
    world.server.says(|_, _| Reply::error("invalid_grant"));
    let run = world.run().await;
    let before = ready(&run);
    world.sleep(HOUR * 86 / 100);
    world.broker.renewals.look();
    world.has_asked(1).await;
    world
        .broker
        .renewal_landed(&provider(), &connection())
        .await;
    assert_eq!(world.record().state, ConnectionState::NeedsLogin);
    assert_eq!(world.stored().await, ("a1".into(), "r1".into(), None));
    assert_eq!(ready(&run), before, "it is not over yet");
    let problem = world.broker.renewal_problem(&provider(), &connection());
    assert!(problem.unwrap().contains("invalid_grant"));
    world.sleep(HOUR);
    assert_eq!(world.ask(Why::Dead).await, Ok(()));
    assert_eq!(ready(&run), None, "it is over");
    assert_eq!(world.asks(), 1, "the server has said it once");
    let error = world.broker.fresh_token(&provider(), &connection()).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::LoginNeeded);
    assert!(world.item().await.is_some());
    // also another daemon knows
    let world = world.again();
    world.sleep(HOUR);
    let error = world.broker.fresh_token(&provider(), &connection()).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::LoginNeeded);
    assert_eq!(world.asks(), 1);
    // until a person logs in
    world
        .put(item("b1", "s1", |grant| grant.issued_at = BEGUN + 3600))
        .await;
    world
        .broker
        .fresh_token(&provider(), &connection())
        .await
        .unwrap();
    assert!(world.loaded().await.is_of(&secret("b1")));
}

#[tokio::test]
async fn a_token_that_api_and_server_refuse_is_not_sent_again() {
    let world = World::new(|_| {}).await;
    world.server.says(|_, _| Reply::error("invalid_grant"));
    let run = world.run().await;
    world.sleep(120);
    assert_eq!(world.ask(Why::Rejected).await, Ok(()));
    assert_eq!(ready(&run), None);
    assert_eq!(world.record().state, ConnectionState::NeedsLogin);
}

#[tokio::test]
async fn a_server_that_cannot_answer_is_left_alone_for_as_long_as_it_says() {
    let world = World::new(|_| {}).await;
    world
        .server
        .says(|_, _| Reply::Say(503, "Retry-After: 90\r\n", String::new()));
    let run = world.run().await;
    let before = ready(&run);
    world.sleep(HOUR);
    let not = world.ask(Why::Dead).await.unwrap_err();
    assert_eq!(not.retry_after, Duration::from_secs(90));
    assert!(not.reason.contains("503"), "{}", not.reason);
    assert_eq!(world.ask(Why::Dead).await.unwrap_err().reason, not.reason);
    assert_eq!(world.asks(), 1);
    assert_eq!(world.stored().await, ("a1".into(), "r1".into(), None));
    assert_eq!(world.record().state, ConnectionState::Connected);
    assert_eq!(ready(&run), before);
    let error = world.broker.fresh_token(&provider(), &connection()).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::RenewalFailed);
    world.server.says(rotating(&[]));
    world.sleep(89);
    assert!(world.ask(Why::Dead).await.is_err());
    world.sleep(1);
    world
        .broker
        .fresh_token(&provider(), &connection())
        .await
        .unwrap();
    assert_eq!(world.stored().await.0, "a2");
    assert_eq!(
        world.broker.renewal_problem(&provider(), &connection()),
        None
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_costs_nothing() {
    let world =
        World::new(|grant| "https://auth.acme.test:1/token".clone_into(&mut grant.token_url)).await;
    world.sleep(HOUR);
    let not = world.ask(Why::Dead).await.unwrap_err();
    assert!(not.retry_after <= Duration::from_millis(1250), "{not:?}");
    assert_eq!(world.stored().await, ("a1".into(), "r1".into(), None));
    assert_eq!(world.asks(), 0);
}

/// Threat O7: servers take the old refresh token for some seconds, for this very case.
#[tokio::test]
async fn a_lost_answer_is_asked_for_once_more_at_once() {
    let world = World::new(|_| {}).await;
    world.server.says(|number, request| {
        assert!(request.contains("refresh_token=r1"), "{request}");
        match number {
            1 => Reply::HangUp,
            _ => Reply::tokens("a2", Some("r2"), Some(HOUR)),
        }
    });
    world.sleep(HOUR);
    world.ask(Why::Dead).await.unwrap();
    assert_eq!(world.asks(), 2);
    assert_eq!(world.stored().await, ("a2".into(), "r2".into(), None));
}

/// Threat O7: what comes after a lost answer does not tell what became of the first request.
#[tokio::test]
async fn a_doubt_stays_whatever_is_said_afterwards() {
    let refusals: [fn() -> Reply; 3] = [
        || Reply::Say(503, "", String::new()),
        || Reply::Say(429, "Retry-After: 5\r\n", String::new()),
        || Reply::Say(400, "", r#"{"error":"temporarily_unavailable"}"#.into()),
    ];
    for refusal in refusals {
        let world = World::new(|_| {}).await;
        world.server.says(move |number, _| match number {
            1 => Reply::HangUp,
            _ => refusal(),
        });
        world.sleep(HOUR);
        world.ask(Why::Dead).await.unwrap_err();
        assert_eq!(world.asks(), 2);
        assert!(world.stored().await.2.is_some(), "may have been replaced");
        assert_eq!(world.record().state, ConnectionState::Connected);
    }
}

/// A gateway speaks for a server that may have done its work.
#[tokio::test]
async fn a_gateways_word_leaves_a_doubt_and_a_servers_own_does_not() {
    for (status, in_doubt) in [(502, true), (504, true), (500, false), (503, false)] {
        let world = World::new(|_| {}).await;
        world
            .server
            .says(move |_, _| Reply::Say(status, "", String::new()));
        world.sleep(HOUR);
        world.ask(Why::Dead).await.unwrap_err();
        assert_eq!(world.asks(), 1);
        assert_eq!(world.stored().await.2.is_some(), in_doubt, "{status}");
    }
}

/// An answer that says yes in words that nobody understands: the refresh token may be spent.
#[tokio::test]
async fn an_answer_that_makes_no_sense_is_not_asked_for_again_while_the_token_is_good() {
    let world = World::new(|_| {}).await;
    world
        .server
        .says(|_, _| Reply::Say(200, "", "<html>".into()));
    let _run = world.run().await;
    world.sleep(HOUR * 86 / 100);
    world.broker.renewals.look();
    world.has_asked(1).await;
    world
        .broker
        .renewal_landed(&provider(), &connection())
        .await;
    world.sleep(60);
    world.broker.renewals.look();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.asks(), 1);
    assert!(world.stored().await.2.is_some());
}

#[tokio::test]
async fn after_two_lost_answers_nothing_is_risked_while_the_token_is_good() {
    let world = World::new(|_| {}).await;
    world.server.says(|_, _| Reply::HangUp);
    let run = world.run().await;
    let before = ready(&run);
    world.sleep(HOUR * 86 / 100);
    world.broker.renewals.look();
    world.has_asked(2).await;
    world
        .broker
        .renewal_landed(&provider(), &connection())
        .await;
    let (access, refresh, marked) = world.stored().await;
    assert_eq!((access.as_str(), refresh.as_str()), ("a1", "r1"));
    assert!(marked.is_some(), "nobody knows what the server did");
    world.sleep(60);
    world.broker.renewals.look();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.asks(), 2);
    assert_eq!(ready(&run), before);
    // the server had not taken it after all
    world.server.says(rotating(&[]));
    world.sleep(HOUR);
    world.ask(Why::Dead).await.unwrap();
    assert_eq!(world.stored().await, ("a2".into(), "r2".into(), None));
}

/// Threat O7: what another daemon left behind.
#[tokio::test]
async fn after_a_crash_a_refresh_token_that_may_be_spent_is_not_sent() {
    for rotates in [None, Some(true)] {
        let world = World::new(|grant| {
            grant.renewing_since = Some(BEGUN - 5);
            grant.rotates = rotates;
        })
        .await;
        world.server.says(rotating(&[]));
        let run = world.run().await;
        let before = ready(&run);
        assert!(before.is_some(), "what is there is used");
        // said at once, so that a person can log in in time
        for _ in 0..2000 {
            if !world.record().grant.unwrap().renews {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!world.record().grant.unwrap().renews);
        assert_eq!(world.record().state, ConnectionState::Connected);
        assert_eq!(ready(&run), before);
        world.sleep(HOUR);
        assert_eq!(world.ask(Why::Dead).await, Ok(()));
        assert_eq!(world.record().state, ConnectionState::NeedsLogin);
        assert_eq!(ready(&run), None);
        let error = world.broker.fresh_token(&provider(), &connection()).await;
        let error = error.unwrap_err();
        assert_eq!(error.code, ErrorCode::LoginNeeded);
        assert!(
            error.causes.concat().contains("the daemon was ended"),
            "{error:?}"
        );
        assert_eq!(world.asks(), 0);
    }
}

#[tokio::test]
async fn after_a_crash_a_refresh_token_that_is_kept_is_sent_again() {
    let world = World::new(|grant| {
        grant.renewing_since = Some(BEGUN - 5);
        grant.rotates = Some(false);
    })
    .await;
    world
        .server
        .says(|_, _| Reply::tokens("a2", None, Some(HOUR)));
    world.sleep(HOUR);
    world.ask(Why::Dead).await.unwrap();
    assert_eq!(world.stored().await, ("a2".into(), "r1".into(), None));
    assert_eq!(
        world.item().await.unwrap().grant.unwrap().rotates,
        Some(false)
    );
}

/// Threat O7: a daemon that is killed while it waits.
#[tokio::test]
async fn a_crash_in_the_middle_leaves_a_mark_and_no_second_sending() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.server.hold();
    world.sleep(HOUR);
    let version = world.loaded().await.version;
    let engine = world.broker.renewals.engine().clone();
    tokio::spawn(async move {
        engine
            .ask((&provider(), &connection()), version, Why::Dead)
            .await
    });
    world.has_asked(1).await;
    // the old one stays where it is, waiting: all that another one sees is the disk
    let world = world.again();
    world.sleep(HOUR);
    let error = world.broker.fresh_token(&provider(), &connection()).await;
    assert_eq!(error.unwrap_err().code, ErrorCode::LoginNeeded);
    assert_eq!(world.asks(), 1);
    assert_eq!(world.stored().await.1, "r1");
}

#[tokio::test]
async fn a_new_token_is_used_only_when_it_is_stored() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.server.hold();
    let run = world.run().await;
    let before = ready(&run);
    world.sleep(HOUR * 86 / 100);
    world.broker.renewals.look();
    world.has_asked(1).await;
    let vault = world.home.path().join("vault");
    let aside = world.home.path().join("aside");
    std::fs::rename(&vault, &aside).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
    std::fs::write(&vault, "in the way").unwrap();
    world.server.release();
    let not = world.ask(Why::Dead).await.unwrap_err();
    assert!(not.reason.contains("cannot be stored"), "{}", not.reason);
    assert_eq!(ready(&run), before);
    assert!(world.loaded().await.is_of(&secret("a1")));
    std::fs::remove_file(&vault).unwrap();
    std::fs::rename(&aside, &vault).unwrap();
    world.has("a2").await;
    // the routes follow under the same lock; to land is too little to wait for: a flight that is
    // stuck is not waited for
    drop(world.broker.changing.lock().await);
    assert!(ready(&run).is_some() && ready(&run) != before);
    assert_eq!(world.stored().await, ("a2".into(), "r2".into(), None));
    assert_eq!(world.asks(), 1);
}

/// RN3.
#[tokio::test]
async fn a_login_during_a_renewal_wins() {
    for answer in [
        Reply::tokens("a2", Some("r2"), Some(HOUR)),
        Reply::error("invalid_grant"),
    ] {
        let world = World::new(|_| {}).await;
        world.server.says(move |_, _| answer.clone());
        world.server.hold();
        world.sleep(HOUR);
        let version = world.loaded().await.version;
        let engine = world.broker.renewals.engine().clone();
        let asking = tokio::spawn(async move {
            engine
                .ask((&provider(), &connection()), version, Why::Dead)
                .await
        });
        world.has_asked(1).await;
        world
            .put(item("b1", "s1", |grant| grant.issued_at = BEGUN + 3600))
            .await;
        world.server.release();
        assert_eq!(asking.await.unwrap(), Ok(()));
        assert_eq!(world.stored().await, ("b1".into(), "s1".into(), None));
        assert_eq!(world.record().state, ConnectionState::Connected);
        assert!(world.loaded().await.is_of(&secret("b1")));
    }
}

/// RN3: the connection stays gone, and the server is told that nobody has its tokens.
#[tokio::test]
async fn a_logout_during_a_renewal_wins_and_the_new_token_is_given_back() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.server.hold();
    world.sleep(HOUR);
    let version = world.loaded().await.version;
    let engine = world.broker.renewals.engine().clone();
    let asking = tokio::spawn(async move {
        engine
            .ask((&provider(), &connection()), version, Why::Dead)
            .await
    });
    world.has_asked(1).await;
    let pid = std::process::id();
    world.broker.log_out(&provider(), None, pid).await.unwrap();
    world.server.release();
    assert_eq!(asking.await.unwrap(), Ok(()));
    assert!(world.item().await.is_none());
    assert!(world.broker.connections.list().is_empty());
    let seen = world.server.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(
        seen[1].starts_with("/revoke ") && seen[1].contains("token=r2"),
        "{seen:?}"
    );
}

/// Threat O8: an API that refuses every token makes no storm.
#[tokio::test]
async fn an_api_that_refuses_every_token_makes_no_storm_of_renewals() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    for _ in 0..360 {
        world.sleep(10);
        drop(world.ask(Why::Rejected).await);
    }
    // after 1, 2, 4, 8, 16 minutes
    assert_eq!(world.asks(), 5);
    assert_eq!(world.record().state, ConnectionState::Connected);
}

#[tokio::test]
async fn a_young_token_is_not_renewed_because_an_api_refuses_it() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.sleep(59);
    assert!(world.ask(Why::Rejected).await.is_err());
    assert_eq!(world.asks(), 0);
    world.sleep(1);
    assert_eq!(world.ask(Why::Rejected).await, Ok(()));
    assert_eq!(world.asks(), 1);
}

/// Threat O8.
#[tokio::test]
async fn a_token_of_unknown_lifetime_is_renewed_after_a_refusal_only() {
    let world = World::new(|grant| grant.lifetime = None).await;
    world.server.says(|_, _| Reply::tokens("a2", None, None));
    let run = world.run().await;
    world.sleep(1000 * HOUR);
    world.broker.renewals.look();
    world
        .broker
        .fresh_token(&provider(), &connection())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.asks(), 0);
    assert_eq!(world.ask(Why::Rejected).await, Ok(()));
    assert_eq!(world.stored().await.0, "a2");
    assert!(ready(&run).is_some());
}

#[tokio::test]
async fn a_token_that_nothing_renews_ends_with_a_login() {
    let world = World::new(|grant| grant.renewal = Renewal::None).await;
    let run = world.run().await;
    world.sleep(HOUR * 90 / 100);
    world.broker.renewals.look();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(ready(&run).is_some());
    world.sleep(HOUR);
    world.broker.renewals.look();
    for _ in 0..2000 {
        if ready(&run).is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ready(&run), None);
    assert_eq!(world.record().state, ConnectionState::NeedsLogin);
    assert_eq!(world.asks(), 0);
}

#[tokio::test]
async fn a_client_renews_itself_without_marks() {
    let world = World::new(|grant| {
        grant.renewal = Renewal::ClientCredentials;
        grant.scopes = vec!["read".to_owned()];
        grant.renewing_since = Some(1);
    })
    .await;
    world.server.says(|_, request| {
        assert!(
            request.contains("grant_type=client_credentials"),
            "{request}"
        );
        Reply::tokens("a2", None, Some(HOUR))
    });
    world.sleep(HOUR);
    world
        .broker
        .fresh_token(&provider(), &connection())
        .await
        .unwrap();
    assert!(world.loaded().await.is_of(&secret("a2")));
}

/// Threat O7: an answer that is on its way is waited for.
#[tokio::test]
async fn a_daemon_that_stops_waits_for_the_answer() {
    let world = World::new(|_| {}).await;
    world.server.says(rotating(&[]));
    world.server.hold();
    world.sleep(HOUR);
    let version = world.loaded().await.version;
    let engine = world.broker.renewals.engine().clone();
    tokio::spawn(async move {
        engine
            .ask((&provider(), &connection()), version, Why::Dead)
            .await
    });
    world.has_asked(1).await;
    world.broker.shutdown.cancel();
    let wait = Duration::from_millis(100);
    let early = tokio::time::timeout(wait, world.broker.drain_proxy()).await;
    assert!(early.is_err());
    world.server.release();
    world.broker.drain_proxy().await;
    assert_eq!(world.stored().await, ("a2".into(), "r2".into(), None));
    let world = world.again();
    assert!(world.loaded().await.is_of(&secret("a2")));
}
