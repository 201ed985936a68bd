//! Which credential, if any, a request may carry: the rules and the function that applies them.
//!
//! 1. [`Host`] and [`Authority`] give every spelling of a destination one canonical form (D4).
//! 2. [`RawPath`] proves a request path free of tricks, [`PathScope`] matches it on whole
//!    segments (D5).
//! 3. [`RouteTable`] holds the routes of a run, built once and never changed.
//!    [`enter`] says what becomes of a destination before a request to it is read.
//! 4. [`decide`] judges one request against the table (D1, D3, D6, D13).
//!    No request to an authorization server's own [`Endpoint`] carries a credential (D14).
//!    A request's own [`Placeholder`] chooses among connections (D7), [`RuleSet`]s can only forbid.
//! 5. [`Slot`] turns a secret into the bytes that go on the wire (D10).
//!
//! Invariants: everything here is pure: no sockets, no clock, no logging, no `async`. The order
//! of the routes never changes a decision. When in doubt about a destination that has a route,
//! the answer is a refusal, never "forward unchanged".
//! Not here: putting the bytes into a request (`proxy::inject`), asking for credentials (`vault`).

pub mod decide;
pub mod endpoint;
pub mod entry;
pub mod host;
pub mod path;
pub mod placeholder;
pub mod refuse;
pub mod rules;
pub mod slot;
pub mod table;

pub use decide::{
    Decision, Explanation, Finding, RequestView, Verdict, decide, explain, overrides_method,
};
pub use endpoint::{Endpoint, EndpointPath};
pub use entry::{Entry, Way, enter};
pub use host::{Authority, Host, HostPattern, ParseHostError};
pub use path::{ParsePathScopeError, PathScope, PathTrick, RawPath};
pub use placeholder::{ParseTemplateError, Placeholder, Presented, Scanner, Template};
pub use refuse::RefuseCode;
pub use rules::{ParseRuleError, RuleLine, RuleSet, Ruling};
pub use slot::{BasicPair, FillError, Filled, Piece, Session, Slot};
pub use table::{Choice, Methods, Route, RouteTable};
