//! OAuth with real authorization servers: logging in by every flow, tokens that renew themselves,
//! giving them back.

#[path = "oauth/world.rs"]
mod world;

#[path = "oauth/typist.rs"]
mod typist;

#[path = "oauth/flows.rs"]
mod flows;

#[path = "oauth/typed.rs"]
mod typed;

#[path = "oauth/refusals.rs"]
mod refusals;

#[path = "oauth/redirect.rs"]
mod redirect;

#[path = "oauth/revoke.rs"]
mod revoke;

#[path = "oauth/browser.rs"]
mod browser;

#[path = "oauth/mcp.rs"]
mod mcp;

#[path = "oauth/attack.rs"]
mod attack;

#[path = "oauth/guard.rs"]
mod guard;

#[path = "oauth/clock.rs"]
mod clock;

#[path = "oauth/kill.rs"]
mod kill;

#[path = "oauth/refresh.rs"]
mod refresh;

#[path = "oauth/inside.rs"]
mod inside;
