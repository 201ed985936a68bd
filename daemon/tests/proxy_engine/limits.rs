//! Requests that wait for their turn at a rate limit.

use std::sync::Arc;
use std::time::Duration;

use authsomed::policy::{Limiter, Rate, wait_for_turns};
use authsomed::proxy::RouteCredential;
use authsomed::routing::{Route, RouteTable};
use tokio::io::AsyncWriteExt;

use crate::harness::*;

/// The proxy's routes with a change.
fn change(proxy: &Proxy, change: impl Fn(&mut Route<RouteCredential>)) {
    let table = proxy.run.table.load_full();
    let routes = table.routes().cloned().map(|mut route| {
        change(&mut route);
        route
    });
    proxy
        .run
        .table
        .store(Arc::new(RouteTable::build(routes.collect())));
}

/// Puts a limit of one request each `period` on the route. Its first turn is gone.
async fn limit(proxy: &Proxy, period: Duration) -> Arc<Limiter> {
    let limiter = Arc::new(Limiter::new(Rate {
        count: 1,
        period,
        wait: period,
    }));
    let limits: Arc<[_]> = Arc::new([Arc::clone(&limiter)]);
    wait_for_turns(&limits).await.unwrap().used();
    change(proxy, |route| {
        if let RouteCredential::Ready(_, limited) = &mut route.credential {
            *limited = Arc::clone(&limits);
        }
    });
    limiter
}

async fn until(what: &str, state: impl Fn() -> bool) {
    let reached = async {
        while !state() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), reached).await;
    assert!(waited.is_ok(), "gave up waiting until {what}");
}

fn request() -> String {
    format!("GET /me HTTP/1.1\r\nHost: {GOOD}\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waited_is_judged_again_before_it_is_sent() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let proxy = Arc::new(Proxy::start(Setup::to(&ca, origin.address)).await);
    let limiter = limit(&proxy, Duration::from_secs(5)).await;
    let asking = {
        let proxy = Arc::clone(&proxy);
        tokio::spawn(async move { proxy.ask(&request()).await })
    };
    until("the request waits", || limiter.waiting() == 1).await;
    // a logout while it waits
    change(&proxy, |route| {
        route.credential = RouteCredential::LoginNeeded;
    });
    let answer = asking.await.unwrap();
    assert!(answer.contains("login_needed"), "{answer}");
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_goes_away_gives_its_turn_back() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let limiter = limit(&proxy, Duration::from_secs(3600)).await;
    let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    tls.write_all(request().as_bytes()).await.unwrap();
    until("the request waits", || limiter.waiting() == 1).await;
    drop(tls);
    until("nobody waits", || limiter.waiting() == 0).await;
    assert!(origin.seen().is_empty());
}
