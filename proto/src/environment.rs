//! The variables that cross the socket when a run begins.
//!
//! The daemon merges these with what a run needs; nothing else of the asking process' environment
//! is sent.

/// The only variables whose values the client sends to the daemon.
pub const PARENT_VARIABLES: &[&str] = &[
    "HOME", // `~/.wgetrc`, which WGETRC takes the place of
    "PWD",  // relative names of trust files
    // lists to merge
    "NO_PROXY",
    "no_proxy",
    // trust files whose certificates are carried over
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "NPM_CONFIG_CAFILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "npm_config_cafile",
    // settings that ours are appended to
    "JAVA_TOOL_OPTIONS",
    "NODE_OPTIONS",
    "PHP_INI_SCAN_DIR",
    "WGETRC",
];
