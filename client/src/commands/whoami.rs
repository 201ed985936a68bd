//! `whoami`: who asks, as the daemon sees it, and in which run.

use authsome_proto::{Request, Response};
use serde_json::json;

use super::view;
use crate::connect::{Start, connect, unexpected};
use crate::error::Done;
use crate::ui::Ui;

pub(super) fn whoami(ui: Ui) -> Done {
    let answer = connect(Start::IfNeeded, ui)?.call(Request::WhoAmI, ui)?;
    let Response::WhoAmI(who) = answer else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(json!({
            "uid": who.uid,
            "pid": who.pid,
            "home": who.home,
            "store": who.store,
            "run": who.run,
            "granted": view::grants(&who.granted),
        }));
    }
    let name = nix::unistd::User::from_uid(who.uid.into())
        .ok()
        .flatten()
        .map_or_else(String::new, |user| format!(" ({})", user.name));
    ui.line(&format!("user    {}{name}", who.uid))?;
    ui.line(&format!("home    {}", crate::ui::printable(&who.home)))?;
    ui.line(&format!("vault   {}", crate::ui::printable(&who.store)))?;
    match &who.run {
        Some(run) => {
            let granted: Vec<String> = who.granted.iter().map(view::granted).collect();
            let granted = if granted.is_empty() {
                "none".into()
            } else {
                granted.join(", ")
            };
            ui.line(&format!("run     {run}; connections: {granted}"))
        }
        None => ui.line("run     none; this process is outside of every run"),
    }
}
