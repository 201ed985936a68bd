//! What a stand-in serves.
//!
//! | path | answer |
//! | --- | --- |
//! | `/`, `/me` | 200 and a JSON object with the right `Authorization`, else Intercom's 401 |
//! | `/echo` | method, path, headers and the first 64 KiB of the body, as JSON |
//! | `/sse?count=N&every=MS` | server-sent events, each flushed by itself, stamped with the clock |
//! | `/bytes/N` | N bytes |
//! | `/upload` | reads everything, tells how many bytes came |
//! | `/slow?ms=N` | the answer of `/me` after a while |
//! | `/redirect?to=URL&status=302` | a redirect |
//! | `/limited` | 429 with Intercom's three headers |
//! | `/websocket` | a WebSocket (HTTP/1.1) that echoes; needs the right `Authorization` |
//! | anything else | 404 |

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::body::Answer;
use super::websocket;

/// How much of a body `/echo` gives back.
const ECHO_MAX: usize = 64 * 1024;

pub(super) async fn answer(
    mut request: Request<Incoming>,
    token: Option<String>,
    body_len: Arc<AtomicU64>,
    given: Option<Response<Vec<u8>>>,
) -> io::Result<Response<Answer>> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    if path == "/websocket" {
        return Ok(if authorized(&request, token.as_deref()) {
            websocket::accept(&mut request)
        } else {
            unauthorized()
        });
    }
    let body = read(request.body_mut(), &body_len).await;
    if let Some(given) = given {
        return Ok(given.map(Answer::whole));
    }
    if let Some(count) = path
        .strip_prefix("/bytes/")
        .and_then(|count| count.parse().ok())
    {
        return Ok(with_type("application/octet-stream", Answer::Bytes(count)));
    }
    Ok(match path.as_str() {
        "/" | "/me" => me(&request, token.as_deref()),
        "/echo" => echo(&request, &body),
        "/sse" => {
            let every = Duration::from_millis(number(&query, "every", 20));
            let count = u32::try_from(number(&query, "count", 10)).unwrap_or(u32::MAX);
            with_type("text/event-stream", Answer::events(count, every))
        }
        "/upload" => json_with(
            StatusCode::OK,
            &json!({ "received": body_len.load(Ordering::Relaxed) }),
        ),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(number(&query, "ms", 1_000))).await;
            me(&request, token.as_deref())
        }
        "/redirect" => redirect(&query),
        "/limited" => limited(),
        _ => json_with(
            StatusCode::NOT_FOUND,
            &error_list("not_found", "Resource Not Found"),
        ),
    })
}

/// Reads a body to its end, counting; its first bytes are given back.
async fn read(body: &mut Incoming, count: &AtomicU64) -> Vec<u8> {
    let mut first = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Some(data) = frame.data_ref() else {
            continue;
        };
        count.fetch_add(data.len() as u64, Ordering::Relaxed);
        let room = ECHO_MAX - first.len();
        first.extend_from_slice(&data[..data.len().min(room)]);
    }
    first
}

fn authorized(request: &Request<Incoming>, token: Option<&str>) -> bool {
    let mut values = request.headers().get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Some(given) = value
        .to_str()
        .ok()
        .and_then(|value| value.strip_prefix("Bearer "))
    else {
        return false;
    };
    token.is_none_or(|token| token == given)
}

fn me(request: &Request<Incoming>, token: Option<&str>) -> Response<Answer> {
    if !authorized(request, token) {
        return unauthorized();
    }
    let admin = json!({
        "type": "admin", "id": "991268363", "name": "Ada", "email": "ada@example.com",
        "app": { "type": "app", "id_code": "abc_123", "name": "Stand-in" },
    });
    json_with(StatusCode::OK, &admin)
}

pub(super) fn unauthorized() -> Response<Answer> {
    json_with(
        StatusCode::UNAUTHORIZED,
        &error_list("unauthorized", "Access Token Invalid"),
    )
}

pub(super) fn limited() -> Response<Answer> {
    let mut answer = json_with(
        StatusCode::TOO_MANY_REQUESTS,
        &error_list(
            "rate_limit_exceeded",
            "Exceeded rate limit of 167 in 10_seconds",
        ),
    );
    let headers = answer.headers_mut();
    headers.insert("x-ratelimit-limit", http::HeaderValue::from_static("167"));
    headers.insert("x-ratelimit-remaining", http::HeaderValue::from_static("0"));
    headers.insert(
        "x-ratelimit-reset",
        http::HeaderValue::from_static("1893456000"),
    );
    answer
}

pub(super) fn error_list(code: &str, message: &str) -> Value {
    json!({
        "type": "error.list", "request_id": "000h2cokpd5bs6v6kgm0",
        "errors": [{ "code": code, "message": message }],
    })
}

fn echo(request: &Request<Incoming>, body: &[u8]) -> Response<Answer> {
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let seen = json!({
        "method": request.method().as_str(),
        "path": request.uri().path_and_query().map(ToString::to_string),
        "headers": headers,
        "body": String::from_utf8_lossy(body),
    });
    json_with(StatusCode::OK, &seen)
}

fn redirect(query: &str) -> Response<Answer> {
    let status = u16::try_from(number(query, "status", 302)).ok();
    Response::builder()
        .status(
            status
                .and_then(|status| StatusCode::from_u16(status).ok())
                .unwrap_or(StatusCode::FOUND),
        )
        .header(header::LOCATION, parameter(query, "to").unwrap_or("/"))
        .body(Answer::Whole(None))
        .expect("a location is a header value")
}

pub(super) fn with_type(kind: &'static str, body: Answer) -> Response<Answer> {
    Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-store")
        .body(body)
        .expect("the headers are constants")
}

pub(super) fn json_with(status: StatusCode, value: &Value) -> Response<Answer> {
    let mut answer = with_type("application/json", Answer::whole(format!("{value}\n")));
    *answer.status_mut() = status;
    answer
}

/// One parameter of a query, as it stands (the tests need no escapes).
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn number(query: &str, name: &str, default: u64) -> u64 {
    parameter(query, name)
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}
