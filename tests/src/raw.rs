//! A client that says exactly what a test wants said: any bytes, any disagreement of names.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A proxy, with what a run was told about it.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// `RUN:TOKEN`; sent as `Proxy-Authorization: Basic`.
    pub credentials: Option<String>,
    /// Certificates to trust, PEM.
    pub bundle: Vec<u8>,
}

/// An answer, read to the end of its connection or body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Head and body as they came.
    pub text: String,
}

impl Answer {
    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text
            .split("\r\n")
            .skip(1)
            .take_while(|line| !line.is_empty())
            .find_map(|line| {
                let (known, value) = line.split_once(':')?;
                known.eq_ignore_ascii_case(name).then_some(value.trim())
            })
    }

    /// The code of a refusal of ours.
    pub fn code(&self) -> Option<&str> {
        self.header("authsome-error")
    }
}

/// A TLS stream through the proxy.
pub type Tunnel = StreamOwned<ClientConnection, TcpStream>;

impl Proxy {
    /// The same proxy, with other credentials.
    pub fn with(&self, credentials: Option<&str>) -> Self {
        Self {
            credentials: credentials.map(str::to_owned),
            ..self.clone()
        }
    }

    /// A plain connection to the proxy.
    pub fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The header that carries the credentials, with its line end; nothing without credentials.
    pub fn authorization(&self) -> String {
        self.credentials
            .as_ref()
            .map_or_else(String::new, |credentials| {
                format!(
                    "Proxy-Authorization: Basic {}\r\n",
                    STANDARD.encode(credentials)
                )
            })
    }

    /// Says `request` to the proxy itself and reads what comes.
    pub fn say(&self, request: &str) -> std::io::Result<Answer> {
        let mut stream = self.connect()?;
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream)
    }

    /// Asks for a tunnel; an answer other than 200 is given back as the error.
    pub fn connect_to(&self, authority: &str) -> std::io::Result<Result<TcpStream, Answer>> {
        let mut stream = self.connect()?;
        write!(
            stream,
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            self.authorization()
        )?;
        let head = read_head(&mut stream)?;
        if head.starts_with("HTTP/1.1 200") {
            return Ok(Ok(stream));
        }
        let answer = finish_answer(&mut stream, head)?;
        Ok(Err(answer))
    }

    /// A tunnel to `authority` with TLS for `server_name` in it, HTTP/1.1.
    pub fn tls(&self, authority: &str, server_name: &str) -> std::io::Result<Tunnel> {
        let stream = self
            .connect_to(authority)?
            .map_err(|answer| std::io::Error::other(format!("no tunnel: {}", answer.text)))?;
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(&self.bundle).filter_map(Result::ok);
        roots.add_parsable_certificates(certificates);
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring supports them")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(server_name.to_owned()).map_err(std::io::Error::other)?;
        let session =
            ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let mut tunnel = StreamOwned::new(session, stream);
        tunnel.flush()?; // the handshake, so that its failure is told here
        Ok(tunnel)
    }

    /// One request, as written, to `host` on port 443 with every name in agreement.
    pub fn ask(&self, host: &str, request: &str) -> std::io::Result<Answer> {
        let mut tunnel = self.tls(&format!("{host}:443"), host)?;
        tunnel.write_all(request.as_bytes())?;
        tunnel.flush()?;
        read_answer(&mut tunnel)
    }

    /// `GET path` at `host`.
    pub fn get(&self, host: &str, path: &str) -> std::io::Result<Answer> {
        self.ask(
            host,
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
    }
}

/// Reads one answer: its head, and the body as its headers frame it, or to the end.
pub fn read_answer(stream: &mut impl Read) -> std::io::Result<Answer> {
    let head = read_head(stream)?;
    finish_answer(stream, head)
}

fn read_head(stream: &mut impl Read) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            let seen = String::from_utf8_lossy(&head).into_owned();
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, seen));
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn finish_answer(stream: &mut impl Read, head: String) -> std::io::Result<Answer> {
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    let mut answer = Answer { status, text: head };
    let mut body = Vec::new();
    if status == 101 || status == 204 || status == 304 {
        return Ok(answer);
    }
    if let Some(len) = answer
        .header("content-length")
        .and_then(|len| len.parse().ok())
    {
        body.resize(len, 0);
        stream.read_exact(&mut body)?;
    } else {
        let chunked = answer.header("transfer-encoding").is_some();
        let mut buffer = [0; 4096];
        while !(chunked && body.ends_with(b"0\r\n\r\n")) {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => body.extend_from_slice(&buffer[..count]),
                // TLS that ends without saying so: the body ends there too
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error),
            }
        }
    }
    answer.text.push_str(&String::from_utf8_lossy(&body));
    Ok(answer)
}
