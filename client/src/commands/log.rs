//! `log`: the audit log for people, or its records as they are for programs.
//!
//! Records are shown by the names of their fields and nothing is assumed about which are there, so
//! a record of a later release is shown as far as it is understood.

use std::time::Duration;

use authsome_proto::request::LogQuery;
use authsome_proto::{Event, Request, Response, ServerFrame};
use serde_json::{Value, json};

use crate::cli::Log;
use crate::connect::{Daemon, Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::interrupt::Interrupt;
use crate::times;
use crate::ui::{Ui, printable};

/// Most lines asked for at once; more would not fit a frame.
const LINES_MAX: u32 = 2000;

pub(super) fn log(arguments: &Log, ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    if arguments.verify {
        return verify(&mut daemon, ui);
    }
    if arguments.lines > LINES_MAX {
        return Err(Failure::usage(format!("`-n` is at most {LINES_MAX}"))
            .hint("the files are in the home's `audit` folder, one record a line"));
    }
    let query = LogQuery {
        lines: arguments.lines,
        provider: arguments.provider.clone(),
        run: arguments.run.clone(),
    };
    if arguments.follow {
        return follow(&mut daemon, query, ui);
    }
    let Response::Log { lines } = daemon.call(Request::Log(query), ui)? else {
        return Err(unexpected());
    };
    if ui.json {
        let records: Value = lines.iter().map(|line| record(line)).collect();
        return ui.object(json!({ "records": records }));
    }
    if lines.is_empty() {
        ui.note("no records");
    }
    for line in &lines {
        ui.line(&text(line))?;
    }
    Ok(())
}

fn follow(daemon: &mut Daemon, query: LogQuery, ui: Ui) -> Done {
    let interrupt = Interrupt::watch()?;
    let request = daemon.send(Request::LogFollow(query))?;
    let put = |line: &str| {
        if ui.json {
            ui.object(json!({ "record": record(line) }))
        } else {
            ui.line(&text(line))
        }
    };
    while !interrupt.came() {
        match daemon.next(Duration::from_secs(1))? {
            Some(ServerFrame::Event {
                event: Event::Audit { line },
                ..
            }) => put(&line)?,
            Some(ServerFrame::Event {
                event: Event::Missed { count },
                ..
            }) => {
                ui.warning(&format!("{count} records came too fast and are not shown"));
            }
            Some(ServerFrame::Answer { id, result }) if id == request => {
                match result.map_err(Failure::from)? {
                    Response::Done => return Ok(()),
                    Response::Log { lines } => {
                        for line in &lines {
                            put(line)?;
                        }
                    }
                    _ => return Err(unexpected()),
                }
            }
            Some(_) | None => {}
        }
    }
    // a person who presses Ctrl-C has seen enough; nothing has failed
    daemon.cancel(request)
}

fn verify(daemon: &mut Daemon, ui: Ui) -> Done {
    let Response::LogVerified(found) = daemon.call(Request::LogVerify, ui)? else {
        return Err(unexpected());
    };
    if ui.json {
        ui.object(json!({
            "files": found.files,
            "records": found.records,
            "broken": found.broken,
            "notes": found.notes,
        }))?;
    } else {
        for note in &found.notes {
            ui.note(note);
        }
    }
    if let Some(broken) = found.broken {
        return Err(Failure::failed("the audit log was changed").cause(broken));
    }
    if ui.json {
        return Ok(());
    }
    let files = usize::try_from(found.files).unwrap_or(usize::MAX);
    let files = super::view::count(files, "file", "files");
    ui.done(&format!(
        "{} records in {files}; none was changed or removed",
        found.records
    ))
}

/// A record as an object; what is no JSON, as the text it is.
fn record(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
}

/// A record in one line for people.
fn text(line: &str) -> String {
    let Value::Object(record) = record(line) else {
        return printable(line);
    };
    let word = |name: &str| match record.get(name) {
        Some(Value::String(text)) => Some(printable(text)),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let time = word("time").map_or_else(String::new, |time| times::local(&time));
    let mut out = format!("{time:<19}  {:<10}", word("event").unwrap_or_default());
    let mut put = |text: String| {
        if !text.is_empty() {
            out.push_str("  ");
            out.push_str(&text);
        }
    };
    put(match (word("provider"), word("connection")) {
        (Some(provider), Some(connection)) => format!("{provider} ({connection})"),
        (provider, _) => provider.unwrap_or_default(),
    });
    put(word("webhook").map_or_else(String::new, |webhook| format!("webhook {webhook}")));
    if let Some(host) = word("host") {
        let method = word("method").map_or_else(String::new, |method| format!("{method} "));
        put(format!(
            "{method}{host}{}",
            word("path").unwrap_or_default()
        ));
    }
    put(word("code").unwrap_or_default());
    put(word("status").unwrap_or_default());
    put(
        word("program").map_or_else(String::new, |program| match word("run") {
            Some(run) => format!("by {program} in {run}"),
            None => format!("by {program}"),
        }),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_whatever_it_holds() {
        let line = r#"{"time":"soon","event":"inject","run":"r1","program":"curl","provider":"intercom","connection":"default","method":"GET","host":"api.intercom.io","path":"/me","status":200}"#;
        assert_eq!(
            text(line),
            "soon                 inject      intercom (default)  GET api.intercom.io/me  200  by curl in r1"
        );
        assert_eq!(text(r#"{"event":"a\u001b[2J"}"#).trim(), "a\u{fffd}[2J");
        assert_eq!(
            text(
                r#"{"time":"soon","event":"webhook_refuse","webhook":"fin","code":"signature_wrong"}"#
            ),
            "soon                 webhook_refuse  webhook fin  signature_wrong"
        );
        assert_eq!(text("torn {"), "torn {");
    }
}
