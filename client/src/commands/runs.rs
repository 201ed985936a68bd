//! `runs` and `runs stop ID`.

use authsome_proto::request::Unmatched;
use authsome_proto::response::Run;
use authsome_proto::{Request, Response, RunId};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::view;
use crate::cli::{RunsStop, RunsVerb};
use crate::connect::{Start, connect, unexpected};
use crate::error::Done;
use crate::times;
use crate::ui::{Field, Mood, Ui};

pub(super) fn runs(verb: Option<RunsVerb>, ui: Ui) -> Done {
    match verb {
        None | Some(RunsVerb::List) => list(ui),
        Some(RunsVerb::Stop(RunsStop { run })) => stop(&run, ui),
    }
}

fn list(ui: Ui) -> Done {
    let answer = connect(Start::IfNeeded, ui)?.call(Request::Runs, ui)?;
    let Response::Runs(runs) = answer else {
        return Err(unexpected());
    };
    if ui.json {
        let runs: Value = runs.iter().map(object).collect();
        return ui.object(json!({ "runs": runs }));
    }
    if runs.is_empty() {
        ui.note("no living runs; `authsome run -- COMMAND` starts one");
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = runs.iter().map(|run| row(run, now)).collect();
    ui.table(
        &[
            "RUN",
            "PID",
            "PROGRAM",
            "STARTED",
            "EXPIRES",
            "CONNECTIONS",
            "UNMATCHED",
            "INJECTED",
            "REFUSED",
            "PROBLEM",
        ],
        rows,
    )
}

fn stop(run: &RunId, ui: Ui) -> Done {
    let answer = connect(Start::IfNeeded, ui)?.call(Request::RunStop { run: run.clone() }, ui)?;
    let Response::Done = answer else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(json!({ "run": run, "stopped": true }));
    }
    ui.done(&format!(
        "stopped: {run}; its token is dead, its processes still run"
    ))
}

fn row(run: &Run, now: Timestamp) -> Vec<Field> {
    let granted: Vec<String> = run.granted.iter().map(view::granted).collect();
    vec![
        run.run.as_str().into(),
        run.pid.to_string().into(),
        run.program.as_str().into(),
        times::human(&run.started_at, now).into(),
        expires(run, now).into(),
        granted.join(", ").into(),
        unmatched(run.unmatched).into(),
        run.injected.to_string().into(),
        run.refused.to_string().into(),
        Field::new(run.problem.clone().unwrap_or_default(), Mood::Bad),
    ]
}

/// When it ends at the latest, and whether it waits for its last process instead of its first.
fn expires(run: &Run, now: Timestamp) -> String {
    let at = run.expires_at.as_deref();
    let at = at.map_or_else(String::new, |at| times::left(at, now));
    if run.keeps {
        format!("{at}, keeps").trim_start_matches(", ").to_owned()
    } else {
        at
    }
}

fn unmatched(unmatched: Unmatched) -> &'static str {
    match unmatched {
        Unmatched::Deny => "deny",
        Unmatched::Tunnel => "tunnel",
    }
}

fn object(run: &Run) -> Value {
    json!({
        "run": run.run,
        "pid": run.pid,
        "program": run.program,
        "started_at": run.started_at,
        "valid_until": run.valid_until,
        "granted": view::grants(&run.granted),
        "unmatched": unmatched(run.unmatched),
        "injected": run.injected,
        "refused": run.refused,
        "problem": run.problem,
        "expires_at": run.expires_at,
        "keeps": run.keeps,
    })
}
