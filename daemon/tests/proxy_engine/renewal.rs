//! Tokens that end, as the request path sees them (threat O8): the test plays the engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authsome_proto::Secret;
use authsomed::oauth::life::Life;
use authsomed::proxy::{Ask, Credential, Engine, NotRenewed, Renewal, RouteCredential, Why};
use authsomed::routing::{Route, RouteTable, Slot};
use authsomed::sys::clock::Clock;
use http::Response;
use tokio::sync::mpsc;

use crate::harness::*;

/// What the engine in a test does about a question.
type Does = fn(&Proxy, &Ask) -> Result<(), NotRenewed>;

/// A token whose life is over, or has just begun.
#[derive(Clone, Copy, PartialEq)]
enum Age {
    Dead,
    Young,
}

/// Puts a version of the token into the run's route.
fn publish(proxy: &Proxy, engine: &Engine, version: u64, age: Age) {
    let clock = engine.clock();
    let lifetime = match age {
        Age::Dead => Duration::ZERO,
        Age::Young => Duration::from_secs(3600),
    };
    let slot = Slot::Header {
        name: http::header::AUTHORIZATION,
        prefix: "Bearer".into(),
    };
    let token = Secret::new(format!("token-{version}"));
    let old = proxy.run.table.load();
    let mut route = old.routes().next().unwrap().clone();
    let (ready, limits) = route.credential.ready().unwrap();
    let credential = Credential {
        filled: slot.fill(&token).unwrap(),
        upstream: ready.upstream.clone(),
        provider: ready.provider.clone(),
        connection: ready.connection.clone(),
        used: 0.into(),
        renewal: Some(Renewal {
            version,
            life: Some(Life::begun(lifetime, clock.boot())),
            engine: engine.clone(),
        }),
    };
    route.credential = RouteCredential::Ready(Arc::new(credential), Arc::clone(limits));
    let table = RouteTable::build(vec![route]);
    proxy.run.table.store(Arc::new(table));
}

fn take_away(proxy: &Proxy) {
    let old = proxy.run.table.load();
    let mut route = old.routes().next().unwrap().clone();
    route.credential = RouteCredential::LoginNeeded;
    let table = RouteTable::build(vec![route]);
    proxy.run.table.store(Arc::new(table));
}

struct Scene {
    proxy: Arc<Proxy>,
    origin: Origin,
    /// Questions to the engine so far.
    asked: Arc<AtomicUsize>,
}

impl Scene {
    /// A run with `token-1` of that age. The API takes tokens that end in `good`.
    async fn new(age: Age, good: &'static str, does: Does) -> Self {
        let ca = Ca::new();
        let origin = Origin::answering(ca.issue(GOOD, |_| {}), &["http/1.1"], move |seen| {
            let sent = seen.headers["authorization"].to_str().unwrap();
            let status = if sent.ends_with(good) { 200 } else { 401 };
            Response::builder()
                .status(status)
                .body(text("from the api"))
                .unwrap()
        })
        .await;
        let proxy = Arc::new(Proxy::start(Setup::to(&ca, origin.address)).await);
        let (send, mut asks) = mpsc::channel::<Ask>(64);
        let engine = Engine::new(send, Clock::system());
        publish(&proxy, &engine, 1, age);
        let asked = Arc::new(AtomicUsize::new(0));
        let (counted, run) = (Arc::clone(&asked), Arc::clone(&proxy));
        tokio::spawn(async move {
            while let Some(ask) = asks.recv().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let said = does(&run, &ask);
                // unless the test has put something else there
                if said.is_ok() && run.run.table.load().routes().any(is_first) {
                    publish(&run, &engine, 2, Age::Young);
                }
                drop(ask.answer.send(said));
            }
        });
        Self {
            proxy,
            origin,
            asked,
        }
    }

    async fn send(&self, method: &str, body: &str) -> String {
        let len = body.len();
        let request =
            format!("{method} /v1 HTTP/1.1\r\nHost: {GOOD}\r\nContent-Length: {len}\r\n\r\n{body}");
        self.proxy.ask(&request).await
    }

    /// Which tokens the API saw.
    fn tokens(&self) -> Vec<String> {
        let seen = self.origin.seen();
        let of = |it: &Seen| it.headers["authorization"].to_str().unwrap().to_owned();
        seen.iter().map(of).collect()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn is_first(route: &Route<RouteCredential>) -> bool {
    let version = |(it, _): (&Arc<Credential>, _)| it.renewal.as_ref().unwrap().version;
    route.credential.ready().map(version) == Ok(1)
}

fn not() -> NotRenewed {
    NotRenewed {
        reason: "the server cannot answer now".into(),
        retry_after: Duration::from_millis(6500),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_token_is_over_goes_out_with_the_next_one() {
    let scene = Scene::new(Age::Dead, "-2", |_, ask| {
        assert_eq!((ask.version, ask.why), (1, Why::Dead));
        Ok(())
    })
    .await;
    for _ in 0..2 {
        let answer = scene.send("POST", "kept").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(scene.tokens(), ["Bearer token-2", "Bearer token-2"]);
    assert_eq!(scene.asked(), 1);
    assert_eq!(scene.origin.seen()[0].body_len, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_is_sent_without_a_question() {
    let scene = Scene::new(Age::Young, "-1", |_, _| Err(not())).await;
    let answer = scene.send("GET", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!((scene.asked(), scene.tokens().len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_is_never_sent() {
    let scene = Scene::new(Age::Dead, "-1", |_, _| Err(not())).await;
    let answer = scene.send("GET", "").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503"), "{answer}");
    assert!(
        answer.contains("authsome-error: renewal_failed"),
        "{answer}"
    );
    assert!(answer.contains("retry-after: 7\r\n"), "{answer}");
    assert!(answer.contains("the server cannot answer now"), "{answer}");
    assert!(scene.tokens().is_empty());
}

/// An engine that says that it has done its work, and has not.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_is_asked_for_once() {
    let scene = Scene::new(Age::Dead, "-1", |proxy, ask| {
        let engine = {
            let table = proxy.run.table.load();
            let (credential, _) = table.routes().next().unwrap().credential.ready().unwrap();
            credential.renewal.as_ref().unwrap().engine.clone()
        };
        publish(proxy, &engine, ask.version + 10, Age::Dead);
        Ok(())
    })
    .await;
    let answer = scene.send("GET", "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!((scene.asked(), scene.tokens().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waited_for_a_token_is_judged_again() {
    let scene = Scene::new(Age::Dead, "-2", |proxy, _| {
        take_away(proxy);
        Ok(())
    })
    .await;
    let answer = scene.send("GET", "").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("login_needed"), "{answer}");
    assert!(scene.tokens().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_token_ends_with_its_run() {
    let scene = Scene::new(Age::Dead, "-2", |proxy, _| {
        proxy.run.ended.cancel();
        Ok(())
    })
    .await;
    let mut tls = scene
        .proxy
        .tls(&format!("{GOOD}:443"), GOOD, "http/1.1")
        .await;
    let request = format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut tls, request.as_bytes())
        .await
        .unwrap();
    // whether the refusal still comes out or the connection is cut first
    let head = read_head(&mut tls).await;
    assert!(
        head.is_empty() || head.starts_with("HTTP/1.1 407"),
        "{head}"
    );
    assert!(scene.tokens().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_and_the_request_repeated() {
    for method in ["GET", "OPTIONS", "PUT", "DELETE"] {
        let scene = Scene::new(Age::Young, "-2", |_, ask| {
            assert_eq!((ask.version, ask.why), (1, Why::Rejected));
            Ok(())
        })
        .await;
        let answer = scene.send(method, "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{method}: {answer}");
        assert_eq!(
            scene.tokens(),
            ["Bearer token-1", "Bearer token-2"],
            "{method}"
        );
        let injected = scene.proxy.run.injected.load(Ordering::SeqCst);
        assert_eq!(injected, 2, "each sending has its own record");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_repeated_once() {
    let scene = Scene::new(Age::Young, "-none", |_, _| Ok(())).await;
    let answer = scene.send("GET", "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.ends_with("from the api"), "{answer}");
    assert_eq!(scene.tokens().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_repeated_gets_its_401_and_the_next_request_the_next_token() {
    for (method, body) in [
        ("POST", ""),
        ("PATCH", ""),
        ("PUT", "body"),
        ("GET", "body"),
    ] {
        let scene = Scene::new(Age::Young, "-2", |_, _| Ok(())).await;
        let answer = scene.send(method, body).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{method}: {answer}");
        assert!(answer.ends_with("from the api"), "{answer}");
        for _ in 0..1000 {
            if scene.asked() == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(scene.tokens(), ["Bearer token-1"], "{method}");
        assert_eq!(scene.asked(), 1, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_token_the_401_goes_back() {
    let scene = Scene::new(Age::Young, "-2", |_, _| Err(not())).await;
    let answer = scene.send("GET", "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.ends_with("from the api"), "{answer}");
    assert_eq!(scene.tokens(), ["Bearer token-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_judged_again() {
    let scene = Scene::new(Age::Young, "-2", |proxy, _| {
        take_away(proxy);
        Ok(())
    })
    .await;
    let answer = scene.send("GET", "").await;
    assert!(answer.contains("login_needed"), "{answer}");
    assert_eq!(scene.tokens(), ["Bearer token-1"]);
}
