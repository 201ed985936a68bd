//! The loads that speak HTTP.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use nix::time::{ClockId, clock_gettime};

use crate::connect::Target;
use crate::times::Times;

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests on each connection before the clock starts: handshakes and first uses are not the load.
const WARM_UP: usize = 10;

/// After so many failures the answer is clear.
const ERRORS_MAX: u64 = 200;

type Client = SendRequest<Empty<Bytes>>;

/// Each client sends request after request on its one connection.
pub async fn keep(target: &Target, clients: usize, length: Duration) -> Result<Times, String> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        let mut client = client(target).await?;
        for _ in 0..WARM_UP {
            timed(exchange(&mut client, target)).await?;
        }
        connections.push(client);
    }
    let times = Rc::new(RefCell::new(Times::default()));
    let begun = Instant::now();
    let loads = connections.into_iter().map(|mut client| {
        let times = Rc::clone(&times);
        async move {
            while begun.elapsed() < length {
                let sent = Instant::now();
                match timed(exchange(&mut client, target)).await {
                    Ok(()) => times.borrow_mut().add(sent.elapsed()),
                    Err(error) => {
                        times.borrow_mut().fail(error);
                        return;
                    }
                }
            }
        }
    });
    all(loads).await;
    Ok(finish(times, begun))
}

/// Each client opens a connection for every request.
pub async fn new(target: &Target, clients: usize, length: Duration) -> Result<Times, String> {
    let times = Rc::new(RefCell::new(Times::default()));
    let begun = Instant::now();
    let loads = (0..clients).map(|_| {
        let times = Rc::clone(&times);
        async move {
            while begun.elapsed() < length && times.borrow().errors() < ERRORS_MAX {
                let sent = Instant::now();
                let one = async { exchange(&mut client(target).await?, target).await };
                match timed(one).await {
                    Ok(()) => times.borrow_mut().add(sent.elapsed()),
                    Err(error) => times.borrow_mut().fail(error),
                }
            }
        }
    });
    all(loads).await;
    Ok(finish(times, begun))
}

/// How late each server-sent event arrives; it says itself when it was sent.
pub async fn events(target: &Target, length: Duration) -> Result<Times, String> {
    let mut times = Times::default();
    let begun = Instant::now();
    let mut client = client(target).await?;
    let answer = client
        .send_request(request(target))
        .await
        .map_err(|error| error.to_string())?;
    if answer.status() != 200 {
        return Err(format!("status {}", answer.status()));
    }
    let (mut body, mut text) = (answer.into_body(), String::new());
    while let Ok(Some(frame)) =
        tokio::time::timeout(length.saturating_sub(begun.elapsed()), body.frame()).await
    {
        let frame = frame.map_err(|error| error.to_string())?;
        let now = monotonic();
        let Some(data) = frame.data_ref() else {
            continue;
        };
        text.push_str(&String::from_utf8_lossy(data));
        while let Some(end) = text.find("\n\n") {
            if let Some(sent) = text[..end]
                .strip_prefix("data: ")
                .and_then(|sent| sent.parse().ok())
            {
                times.add(now.saturating_sub(Duration::from_nanos(sent)));
            }
            text.drain(..end + 2);
        }
    }
    times.elapsed = begun.elapsed();
    Ok(times)
}

async fn client(target: &Target) -> Result<Client, String> {
    let stream = target.open().await?;
    let (client, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::task::spawn_local(connection);
    Ok(client)
}

async fn exchange(client: &mut Client, target: &Target) -> Result<(), String> {
    let answer = client
        .send_request(request(target))
        .await
        .map_err(|error| error.to_string())?;
    let status = answer.status();
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|error| error.to_string())?;
    }
    if status == 200 {
        Ok(())
    } else {
        Err(format!("status {status}"))
    }
}

fn request(target: &Target) -> Request<Empty<Bytes>> {
    let mut request = Request::get(&target.path)
        .header("host", &target.host)
        .header("user-agent", "authsome-bench")
        .header("accept", "*/*");
    if let Some(token) = &target.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request
        .body(Empty::new())
        .expect("the parts are well formed")
}

async fn timed(one: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::timeout(TIMEOUT, one)
        .await
        .unwrap_or_else(|_| Err("no answer in time".into()))
}

/// Runs all at the same time on this thread.
async fn all(loads: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut loads: Vec<_> = loads.map(Box::pin).collect();
    let mut done = vec![false; loads.len()];
    std::future::poll_fn(|context| {
        // a wake-up does not say which: with 32 clients a look at each costs far less than a request
        for (load, done) in loads.iter_mut().zip(&mut done) {
            *done = *done || load.as_mut().poll(context).is_ready();
        }
        if done.iter().all(|done| *done) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn finish(times: Rc<RefCell<Times>>, begun: Instant) -> Times {
    let mut times = times.take();
    times.elapsed = begun.elapsed();
    times
}

fn monotonic() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("Linux has it")
        .into()
}
