//! A person's browser in miniature: HTTPS to the sites of a test, a cookie jar, forms. For pages with
//! scripts there is [`super::Browser`].

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::Site;
use crate::raw;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects followed in a row; a login takes three.
const REDIRECTS_MAX: usize = 10;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The address that answered.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON: {error}\n{self:?}"))
    }

    /// Panics with everything that came unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Where it leads to, if it is a redirect.
    pub fn redirect(&self) -> Option<Url> {
        if !(300..400).contains(&self.status) {
            return None;
        }
        self.url.join(self.header("location")?).ok()
    }

    /// Where the first form of the page goes, and its hidden fields.
    fn form(&self) -> Option<(Url, Vec<(String, String)>)> {
        let form = &self.body[self.body.find("<form")?..];
        let form = &form[..form.find("</form>")?];
        let action = self.url.join(&attribute(form, "action")?).ok()?;
        let fields = form
            .split("<input")
            .skip(1)
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
            .collect();
        Some((action, fields))
    }
}

/// Sends requests to the sites it knows, and to nobody else but loopback.
#[derive(Debug)]
pub struct Agent {
    sites: BTreeMap<String, SocketAddr>,
    tls: Arc<ClientConfig>,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Agent {
    /// One that knows `site` and trusts its CA.
    pub fn of(site: &impl Site) -> Self {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(site.ca_path()).expect("the site wrote it");
        roots.add_parsable_certificates(
            CertificateDer::pem_slice_iter(&pem).map(|found| found.expect("it is PEM")),
        );
        let mut tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring supports them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            sites: site
                .names()
                .iter()
                .map(|name| (name.clone(), site.address()))
                .collect(),
            tls: Arc::new(tls),
            cookies: Mutex::new(BTreeMap::new()),
        }
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, url: &str) -> Reply {
        self.send("GET", &parse(url), &[], "")
    }

    /// `GET` with `Authorization: Bearer`.
    #[track_caller]
    pub fn get_with(&self, url: &str, bearer: &str) -> Reply {
        let authorization = format!("Bearer {bearer}");
        self.send("GET", &parse(url), &[("authorization", &authorization)], "")
    }

    /// `POST` of form fields.
    #[track_caller]
    pub fn post(&self, url: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_with(url, &[], fields)
    }

    /// `POST` of form fields, with more headers.
    #[track_caller]
    pub fn post_with(&self, url: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Reply {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        self.send("POST", &parse(url), &headers, &body)
    }

    /// `POST` of JSON, with more headers.
    #[track_caller]
    pub fn post_json(&self, url: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        self.send("POST", &parse(url), &headers, &body.to_string())
    }

    /// Any request; panics where there is no answer.
    #[track_caller]
    pub fn send(&self, method: &str, url: &Url, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_send(method, url, headers, body)
            .unwrap_or_else(|error| panic!("{method} {url}: {error}"))
    }

    /// Any request.
    pub fn try_send(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: &str,
    ) -> std::io::Result<Reply> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let mut text = format!(
            "{method} {}{}{} HTTP/1.1\r\nhost: {host}{}\r\nconnection: close\r\naccept: */*\r\n",
            url.path(),
            if url.query().is_some() { "?" } else { "" },
            url.query().unwrap_or_default(),
            url.port().map_or(String::new(), |port| format!(":{port}")),
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let cookies = self.cookies();
        // a cookie of one site is not shown to another: agents of a test visit one that sets any
        if url.scheme() == "https" && !cookies.is_empty() {
            text.push_str(&format!("cookie: {cookies}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        let answer = if url.scheme() == "https" {
            let address = self.sites.get(host).ok_or_else(|| {
                std::io::Error::other(format!("`{host}` is no site of this test"))
            })?;
            let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
            let session = ClientConnection::new(Arc::clone(&self.tls), name)
                .map_err(std::io::Error::other)?;
            let mut stream = StreamOwned::new(session, connect(*address)?);
            stream.write_all(text.as_bytes())?;
            stream.flush()?;
            raw::read_answer(&mut stream)?
        } else {
            let address = SocketAddr::new([127, 0, 0, 1].into(), port);
            let mut stream = connect(address)?;
            stream.write_all(text.as_bytes())?;
            raw::read_answer(&mut stream)?
        };
        let (head, body) = answer.text.split_once("\r\n\r\n").unwrap_or_default();
        let headers: Vec<_> = head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        self.keep_cookies(&headers);
        Ok(Reply {
            url: url.clone(),
            status: answer.status,
            headers,
            body: body.to_owned(),
        })
    }

    /// Opens `url` and follows redirects as long as they lead to sites it knows. The second value is
    /// the redirect that leads away, if there was one.
    #[track_caller]
    pub fn follow(&self, url: &str) -> (Reply, Option<Url>) {
        let reply = self.send("GET", &parse(url), &[], "");
        self.follow_on(reply)
    }

    /// Posts the page's form with one more field, and follows as [`Agent::follow`] does.
    #[track_caller]
    pub fn submit(&self, page: &Reply, field: Option<(&str, &str)>) -> (Reply, Option<Url>) {
        let (action, fields) = page.form().unwrap_or_else(|| panic!("no form in {page:?}"));
        let mut fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        fields.extend(field);
        let reply = self.post(action.as_str(), &fields);
        self.follow_on(reply)
    }

    #[track_caller]
    fn follow_on(&self, mut reply: Reply) -> (Reply, Option<Url>) {
        for _ in 0..REDIRECTS_MAX {
            let Some(next) = reply.redirect() else {
                return (reply, None);
            };
            if next.scheme() != "https" || !self.sites.contains_key(next.host_str().unwrap_or("")) {
                return (reply, Some(next));
            }
            reply = self.send("GET", &next, &[], "");
        }
        panic!("more than {REDIRECTS_MAX} redirects, the last one {reply:?}");
    }

    fn cookies(&self) -> String {
        let jar = self.cookies.lock().expect("no request panics");
        let pairs: Vec<_> = jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep_cookies(&self, headers: &[(String, String)]) {
        let mut jar = self.cookies.lock().expect("no request panics");
        let set = headers.iter().filter(|(name, _)| name == "set-cookie");
        for (_, cookie) in set {
            let pair = cookie.split(';').next().unwrap_or_default();
            match pair.split_once('=') {
                Some((name, "")) => drop(jar.remove(name)),
                Some((name, value)) => drop(jar.insert(name.to_owned(), value.to_owned())),
                None => {}
            }
        }
    }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[track_caller]
fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The value of `name="…"` in a tag. Those of the pages hold only letters, digits and `/:-_.`, or
/// escapes of them.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
    let value = &tag[start..];
    let value = &value[..value.find('"')?];
    Some(value.replace("&#x2F;", "/").replace("&amp;", "&"))
}
