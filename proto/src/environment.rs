//! The variables that cross the socket when a run begins.
//!
//! The daemon merges these with what a run needs; nothing else of the asking process' environment
//! is sent.

/// The asking process' variables that `run` sends to the daemon, where they are set and UTF-8.
pub const PARENT_VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "AUTHSOME_RUN",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_TOOL_OPTIONS",
    "NODE_EXTRA_CA_CERTS",
    "NODE_OPTIONS",
    "NO_PROXY",
    "PHP_INI_SCAN_DIR",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "WGETRC",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "npm_config_cafile",
];
