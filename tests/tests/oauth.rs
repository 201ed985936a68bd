//! OAuth with real authorization servers: logging in by every flow, tokens that renew themselves,
//! giving them back.

#[path = "oauth/world.rs"]
mod world;

#[path = "oauth/flows.rs"]
mod flows;

#[path = "oauth/clock.rs"]
mod clock;

#[path = "oauth/kill.rs"]
mod kill;

#[path = "oauth/refresh.rs"]
mod refresh;
