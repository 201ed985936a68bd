//! `export`: real values, for programs that cannot run behind the proxy.
//!
//! Asks first, and the daemon audits before it answers. The text is built in one buffer that is
//! wiped, and written past the buffers of standard output.

use authsome_proto::response::Exported;
use authsome_proto::{Request, Response};
use zeroize::Zeroizing;

use crate::cli::{Export, ExportFormat};
use crate::connect::{Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::prompt;
use crate::quote;
use crate::secrets;
use crate::ui::Ui;

pub(super) fn export(arguments: &Export, ui: Ui) -> Done {
    secrets::conceal();
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let whose = arguments.provider.as_ref().map_or_else(
        || "every provider".to_owned(),
        |provider| format!("`{provider}`"),
    );
    if !arguments.yes
        && !prompt::confirm(
            &format!("print the real credentials of {whose}? It will be audited"),
            "add `--yes` to export without being asked",
        )?
    {
        return Err(Failure::failed("nothing was exported"));
    }
    let request = Request::Export {
        provider: arguments.provider.clone(),
        connection: arguments.connection.clone(),
    };
    let answer = daemon.call(request, ui).map_err(Failure::or_login_needed)?;
    let Response::Exported(values) = answer else {
        return Err(unexpected());
    };
    if values.is_empty() {
        ui.note("there is nothing to export");
    }
    for (at, value) in values.iter().enumerate() {
        let earlier = values
            .iter()
            .take(at)
            .find(|other| other.variable == value.variable);
        if let Some(earlier) = earlier {
            ui.warning(&format!(
                "`{}` is a variable of both `{}` and `{}`; the last one wins",
                value.variable, earlier.provider, value.provider
            ));
        }
    }
    let format = if ui.json {
        ExportFormat::Json
    } else {
        arguments.format
    };
    ui.secret(&text(&values, format))
}

fn text(values: &[Exported], format: ExportFormat) -> Zeroizing<String> {
    let room: usize = values
        .iter()
        .map(|value| quote::room(&value.variable, value.value.expose()))
        .sum();
    let mut out = Zeroizing::new(String::with_capacity(room + 64));
    match format {
        ExportFormat::Env => {
            for value in values {
                quote::env(&mut out, &value.variable, value.value.expose());
            }
        }
        ExportFormat::Json => {
            out.push_str("{\"v\":1,\"variables\":{");
            // an object has one value a name: the last one, as in the other formats
            let last = |at: usize, value: &Exported| {
                !values
                    .iter()
                    .skip(at + 1)
                    .any(|later| later.variable == value.variable)
            };
            let kept = values
                .iter()
                .enumerate()
                .filter(|(at, value)| last(*at, value));
            for (nth, (_, value)) in kept.enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                quote::json(&mut out, &value.variable);
                out.push(':');
                quote::json(&mut out, value.value.expose());
            }
            out.push_str("}}\n");
        }
        ExportFormat::Shell => {
            for value in values {
                quote::shell(&mut out, &value.variable, value.value.expose());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use authsome_proto::Secret;

    use super::*;

    fn values() -> Vec<Exported> {
        [("A", "x y"), ("B", "it's"), ("A", "z")]
            .map(|(variable, value)| Exported {
                provider: "p".parse().unwrap(),
                connection: "default".parse().unwrap(),
                variable: variable.into(),
                value: Secret::new(value.into()),
            })
            .into()
    }

    #[test]
    fn the_formats_quote_for_their_readers() {
        assert_eq!(
            *text(&values(), ExportFormat::Env),
            "A='x y'\nB=\"it's\"\nA=z\n"
        );
        assert_eq!(
            *text(&values(), ExportFormat::Shell),
            "export A='x y'\nexport B='it'\\''s'\nexport A='z'\n"
        );
        assert_eq!(
            *text(&values(), ExportFormat::Json),
            "{\"v\":1,\"variables\":{\"B\":\"it's\",\"A\":\"z\"}}\n"
        );
    }

    #[test]
    fn the_buffer_is_large_enough_from_the_start() {
        for format in [ExportFormat::Env, ExportFormat::Json, ExportFormat::Shell] {
            let text = text(&values(), format);
            let room: usize = values()
                .iter()
                .map(|v| quote::room(&v.variable, v.value.expose()))
                .sum();
            assert!(text.len() <= room + 64);
        }
    }
}
