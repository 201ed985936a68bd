//! OAuth with real authorization servers: logging in by every flow, tokens that renew themselves,
//! giving them back.

#[path = "oauth/world.rs"]
mod world;

#[path = "oauth/flows.rs"]
mod flows;
