//! One exchange with an authorization server: verified TLS, no redirects, an end to everything.
