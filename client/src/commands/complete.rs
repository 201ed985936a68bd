//! `complete -- WORD…`: what the shells' scripts ask at every TAB.
//!
//! The first line says what can stand at the cursor: `words`, and each in a line of its own with a
//! tab and what it is; `files`; or `command`, a tab and the number of the word with which another
//! command line begins. Nothing is printed where nothing is known.
//!
//! A TAB must not wait, ask or change anything: no daemon is started (also not by the service
//! manager that holds its socket), no passphrase is asked for, no error is said, and what takes
//! longer than [`PATIENCE`] is left out. Exit code 0 in any case.

use std::sync::mpsc;
use std::time::Duration;

use authsome_proto::request::Request;
use authsome_proto::{Response, ServerFrame};
use clap::CommandFactory as _;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::cli::{Cli, Complete, Output};
use crate::complete::bundled::PROVIDERS;
use crate::complete::{Kind, Offer, Wanted, wanted};
use crate::connect::{Start, connect_to, lock_note, places};
use crate::error::Done;
use crate::ui::Ui;

/// How long the daemon may take. It answers within milliseconds; longer would make the shell seem
/// to hang, shorter would offer nothing on a busy machine.
const PATIENCE: Duration = Duration::from_millis(700);

pub(super) fn complete(arguments: &Complete, ui: Ui) -> Done {
    let words: Vec<String> = arguments
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut root = Cli::command();
    root.build();
    let offers = match wanted(&root, &words) {
        Wanted::Command(number) => return ui.exactly(&format!("command\t{number}\n")),
        Wanted::Files => return ui.exactly("files\n"),
        Wanted::Known {
            kind,
            lead,
            typed,
            without,
        } => known(kind)
            .into_iter()
            .filter(|offer| !without.iter().any(|word| offer.is(word)))
            .filter_map(|offer| offer.behind(&lead, &typed))
            .collect(),
        Wanted::Nothing => return Ok(()),
        Wanted::Words(offers) => offers,
    };
    if offers.is_empty() {
        return Ok(());
    }
    let mut text = String::from("words\n");
    for offer in &offers {
        text.push_str(&offer.line());
        text.push('\n');
    }
    ui.exactly(&text)
}

/// What there is of this kind.
fn known(kind: Kind) -> Vec<Offer> {
    let all = kind == Kind::Providers;
    let (say, said) = mpsc::sync_channel(1);
    // in a thread of its own, which ends with us: no step of the asking can hold up the shell
    std::thread::spawn(move || say.send(asked(&kind)));
    let answered = said.recv_timeout(PATIENCE).ok().flatten();
    answered.unwrap_or_else(|| {
        let bundled = PROVIDERS.iter().filter(|_| all);
        bundled.filter_map(|name| Offer::new(*name, "")).collect()
    })
}

/// The daemon's answer, if one runs.
fn asked(kind: &Kind) -> Option<Vec<Offer>> {
    let places = places().ok()?;
    // connecting would start a daemon where a service manager holds the socket
    let note = lock_note(&places.lock())?;
    let pid = Pid::from_raw(i32::try_from(note.pid).ok()?);
    kill(pid, None).ok()?;
    let silent = Ui::new(Output {
        quiet: true,
        ..Output::default()
    });
    let mut daemon = connect_to(&places, Start::Never, silent).ok()?;
    let request = match kind {
        Kind::Choices | Kind::Connections(_) | Kind::Connected | Kind::Paths => {
            Request::Connections
        }
        Kind::Providers => Request::Providers,
        Kind::Runs => Request::Runs,
        Kind::Webhooks => Request::Webhooks,
    };
    let id = daemon.send(request).ok()?;
    loop {
        match daemon.next(PATIENCE).ok()?? {
            ServerFrame::Answer { id: of, result } if of == id => {
                return Some(offers(kind, result.ok()?));
            }
            ServerFrame::Answer { .. } | ServerFrame::Event { .. } => {}
        }
    }
}

fn offers(kind: &Kind, answer: Response) -> Vec<Offer> {
    let offers: Vec<Option<Offer>> = match answer {
        Response::Connections(connections) => {
            let mut offers = Vec::new();
            for it in &connections {
                let (provider, name) = (&it.provider, &it.connection);
                match kind {
                    Kind::Choices => {
                        offers.push(Offer::new(format!("{provider}={name}"), &it.display_name));
                    }
                    Kind::Paths => {
                        offers.push(Offer::new(provider.as_str(), "the default connection"));
                        offers.push(Offer::new(format!("{provider}/{name}"), &it.display_name));
                    }
                    Kind::Connections(Some(of)) if of.as_str() != provider.as_str() => {}
                    Kind::Connections(_) => {
                        let about = if it.is_default {
                            format!("{}, default", it.display_name)
                        } else {
                            it.display_name.clone()
                        };
                        offers.push(Offer::new(name.as_str(), &about));
                    }
                    _ => offers.push(Offer::new(provider.as_str(), &it.display_name)),
                }
            }
            offers
        }
        Response::Providers(all) => all
            .providers
            .iter()
            .map(|it| Offer::new(it.provider.as_str(), &it.display_name))
            .collect(),
        Response::Runs(runs) => runs
            .iter()
            .map(|it| Offer::new(it.run.as_str(), &format!("{}, pid {}", it.program, it.pid)))
            .collect(),
        Response::Webhooks(webhooks) => webhooks
            .iter()
            .map(|it| Offer::new(it.webhook.as_str(), it.scheme.as_str()))
            .collect(),
        _ => Vec::new(),
    };
    let mut offers: Vec<Offer> = offers.into_iter().flatten().collect();
    offers.sort();
    offers.dedup();
    offers
}
