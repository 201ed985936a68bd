//! `explain [METHOD] URL`: what would become of a request, and why. Nothing is sent.

use authsome_proto::response::{Explained, ExplainedOutcome, ExplainedRoute, ExplainedRule};
use authsome_proto::{Request, Response, request};
use serde_json::{Value, json};

use crate::cli::Explain;
use crate::connect::{Start, connect, unexpected};
use crate::error::Done;
use crate::project;
use crate::ui::{Field, Mood, Ui, printable};

pub(super) fn explain(arguments: Explain, ui: Ui) -> Done {
    let (method, url) = arguments.request();
    let is_new = arguments.run.is_none();
    let question = Request::Explain(request::Explain {
        method,
        url,
        run: arguments.run,
        connections: arguments.connections,
        // a living run has its own, as it was when the run began
        project: if is_new { project::find(ui)? } else { None },
    });
    let answer = connect(Start::IfNeeded, ui)?.call(question, ui)?;
    let Response::Explained(explained) = answer else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(object(&explained));
    }
    show(&explained, ui)
}

fn show(explained: &Explained, ui: Ui) -> Done {
    let line = |name: &str, text: &str| ui.line(&format!("{name:<12}{}", printable(text)));
    line("request", &explained.request)?;
    line("outcome", &outcome(explained))?;
    if explained.outcome == ExplainedOutcome::Inject {
        if let (Some(provider), Some(connection)) = (&explained.provider, &explained.connection) {
            line(
                "credential",
                &format!("{provider}, connection {connection}"),
            )?;
        }
        line("goes into", explained.slot.as_deref().unwrap_or_default())?;
    }
    line("why", &explained.message)?;
    if let Some(fix) = &explained.fix {
        line("fix", fix)?;
    }
    if let Some(run) = &explained.run {
        line("run", run.as_str())?;
    }
    for note in &explained.notes {
        line("note", note)?;
    }
    if !explained.routes.is_empty() {
        ui.line("")?;
        let header = ["ROUTE", "CONNECTION", "PATHS", "METHODS", "VERDICT"];
        ui.table(&header, explained.routes.iter().map(route).collect())?;
    }
    if !explained.rules.is_empty() {
        ui.line("")?;
        let rows = explained.rules.iter().map(rule).collect();
        ui.table(&["RULE", "FILE", "SAYS"], rows)?;
    }
    Ok(())
}

/// `refuse (bad_path)`, `inject`.
fn outcome(explained: &Explained) -> String {
    let word = word(explained.outcome);
    match &explained.code {
        Some(code) => format!("{word} ({code})"),
        None => word.to_owned(),
    }
}

fn word(outcome: ExplainedOutcome) -> &'static str {
    match outcome {
        ExplainedOutcome::Inject => "inject",
        ExplainedOutcome::Pass => "pass",
        ExplainedOutcome::Refuse => "refuse",
        ExplainedOutcome::Tunnel => "tunnel",
    }
}

fn route(route: &ExplainedRoute) -> Vec<Field> {
    let mood = if route.verdict == "chosen" {
        Mood::Good
    } else {
        Mood::Plain
    };
    vec![
        route.provider.as_str().into(),
        route.connection.as_str().into(),
        route.path.as_str().into(),
        route.methods.as_str().into(),
        Field::new(route.why.as_str(), mood),
    ]
}

fn rule(rule: &ExplainedRule) -> Vec<Field> {
    let says = if rule.refuses {
        Field::new("refuses", Mood::Bad)
    } else {
        Field::new("allows", Mood::Good)
    };
    vec![rule.rule.as_str().into(), rule.source.as_str().into(), says]
}

/// An explanation as an object.
pub(super) fn object(explained: &Explained) -> Value {
    let Explained {
        request,
        outcome,
        code,
        message,
        fix,
        provider,
        connection,
        slot,
        run,
        routes,
        rules,
        notes,
    } = explained;
    json!({
        "request": request,
        "outcome": word(*outcome),
        "code": code,
        "message": message,
        "fix": fix,
        "provider": provider,
        "connection": connection,
        "slot": slot,
        "run": run,
        "routes": routes,
        "rules": rules,
        "notes": notes,
    })
}
