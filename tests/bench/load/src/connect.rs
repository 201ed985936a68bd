//! A connection to the target: TCP, CONNECT where there is a proxy, TLS that is verified.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where requests go, and how.
pub struct Target {
    pub host: String,
    pub path: String,
    pub token: Option<String>,
    authority: String,
    dial: SocketAddr,
    /// What is said to the proxy, if there is one.
    connect: Option<String>,
    tls: TlsConnector,
}

impl Target {
    pub fn parse(options: &HashMap<String, String>) -> Result<Self, String> {
        let url = options.get("url").ok_or("`--url` is missing")?;
        let rest = url.strip_prefix("https://").ok_or("only https")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority.split(':').next().unwrap_or(authority).to_owned();
        let authority = if authority.contains(':') {
            authority.to_owned()
        } else {
            format!("{authority}:443")
        };
        let from = |name: &str, variable: &str| match options.get(name).map(String::as_str) {
            Some("env") => std::env::var(variable)
                .map(Some)
                .map_err(|_| format!("`{variable}` is not set")),
            other => Ok(other.map(str::to_owned)),
        };
        let proxy = from("proxy", "HTTPS_PROXY")?;
        let (dial, connect) = match &proxy {
            Some(proxy) => {
                let rest = proxy
                    .strip_prefix("http://")
                    .unwrap_or(proxy)
                    .trim_end_matches('/');
                let (credentials, address) = rest.rsplit_once('@').unwrap_or(("", rest));
                let authorization = if credentials.is_empty() {
                    String::new()
                } else {
                    format!(
                        "Proxy-Authorization: Basic {}\r\n",
                        base64(credentials.as_bytes())
                    )
                };
                let connect = format!(
                    "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{authorization}\r\n"
                );
                (address.to_owned(), Some(connect))
            }
            None => (options.get("dial").unwrap_or(&authority).clone(), None),
        };
        let dial = dial
            .to_socket_addrs()
            .map_err(|error| format!("`{dial}`: {error}"))?
            .next()
            .ok_or("no address")?;
        if !dial.ip().is_loopback() {
            return Err("only loopback addresses are loaded".into());
        }
        let ca = from("ca", "SSL_CERT_FILE")?.ok_or("`--ca` is missing")?;
        Ok(Self {
            host,
            path: format!("/{path}"),
            token: options.get("token").cloned(),
            authority,
            dial,
            connect,
            tls: TlsConnector::from(Arc::new(tls(&ca)?)),
        })
    }

    /// A fresh connection, ready for HTTP.
    pub async fn open(&self) -> Result<TlsStream<TcpStream>, String> {
        let mut stream = TcpStream::connect(self.dial)
            .await
            .map_err(|error| format!("tcp: {error}"))?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        if let Some(connect) = &self.connect {
            stream
                .write_all(connect.as_bytes())
                .await
                .map_err(|error| format!("connect: {error}"))?;
            let mut answer = Vec::with_capacity(512);
            while !answer.ends_with(b"\r\n\r\n") {
                if stream
                    .read_buf(&mut answer)
                    .await
                    .map_err(|error| format!("connect: {error}"))?
                    == 0
                {
                    return Err("connect: closed".into());
                }
            }
            if !answer.starts_with(b"HTTP/1.1 200") {
                let line = String::from_utf8_lossy(&answer)
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                return Err(format!("no tunnel to {}: {line}", self.authority));
            }
        }
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        self.tls
            .connect(name, stream)
            .await
            .map_err(|error| format!("tls: {error}"))
    }
}

/// Verified as usual; without resumption, so that every handshake is a full one.
fn tls(ca: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(ca).map_err(|error| format!("`{ca}`: {error}"))?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > group.len() {
                '='
            } else {
                char::from(letter)
            });
        }
    }
    text
}
