//! The questions to the Secret Service that the keyring library cannot ask: is it there, is it
//! locked, and would you ask the user?
//!
//! The library's calls have no deadline and prompt as soon as they meet a locked item. So before
//! each of them [`Bus::is_locked`] asks, over a connection of our own whose calls do have a
//! deadline; a service that hangs is found here. Where a desktop can show a question,
//! [`ask_to_unlock`] has it asked by a thread of its own, which may wait for the human as long as
//! it takes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use zbus::blocking::{Connection, Proxy, connection};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::error::VaultError;

/// How long the bus and the service may take to answer before there is no keyring for us. It must
/// leave the caller, who waits 5 s, the time for an answer; a service that the bus has to start
/// takes up to a second on a slow machine.
const PROBE: Duration = Duration::from_secs(2);

const SERVICE: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";

/// A connection to the session bus whose calls have a deadline.
pub(super) struct Bus(Connection);

impl Bus {
    /// Connects, and makes sure that a Secret Service answers.
    pub(super) fn connect() -> Result<Self, VaultError> {
        // opening a connection has no deadline of its own: a thread that can be left behind does it
        let (done, connected) = sync_channel(1);
        spawn("vault-bus", move || {
            let bus = connection::Builder::session()
                .and_then(|builder| builder.method_timeout(PROBE).build())
                .map(Self)
                .map_err(|error| VaultError::Absent(Box::new(error)));
            let bus = bus.and_then(|bus| bus.default_collection().map(|_| bus));
            // nobody waits any longer: the connection closes
            drop(done.send(bus));
        })?;
        connected
            .recv_timeout(PROBE)
            .map_err(|_| VaultError::TimedOut)?
    }

    /// Whether the default collection is locked. Prompts nobody.
    pub(super) fn is_locked(&self) -> Result<bool, VaultError> {
        let collection = self.default_collection()?;
        let proxy = Proxy::new(
            &self.0,
            SERVICE,
            collection.ok_or(VaultError::NoCollection)?,
            "org.freedesktop.Secret.Collection",
        );
        proxy
            .and_then(|proxy| proxy.get_property("Locked"))
            .map_err(convert)
    }

    /// The collection that new items go to; `None` if there is none.
    fn default_collection(&self) -> Result<Option<OwnedObjectPath>, VaultError> {
        let service = Proxy::new(&self.0, SERVICE, SERVICE_PATH, SERVICE_INTERFACE);
        let path: OwnedObjectPath = service
            .and_then(|service| service.call("ReadAlias", &"default"))
            .map_err(convert)?;
        Ok((path.as_str() != "/").then_some(path))
    }
}

/// How the user answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Dismissed,
    Unlocked,
}

/// Whether there is a desktop that could show a question.
pub(super) fn can_ask() -> bool {
    ["WAYLAND_DISPLAY", "DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Has the service ask the user to unlock the default collection. Returns at once; the answer
/// comes when the user gives it. An end without an answer means that the service could not ask.
pub(super) fn ask_to_unlock() -> Result<Receiver<Answer>, VaultError> {
    let (done, answered) = sync_channel(1);
    spawn("vault-prompt", move || {
        if let Err(error) = unlock(&done) {
            tracing::info!(error = %error, "the keyring could not ask the user to unlock it");
        }
    })?;
    Ok(answered)
}

fn unlock(done: &SyncSender<Answer>) -> zbus::Result<()> {
    // a connection without a deadline: it waits for a human
    let bus = Connection::session()?;
    let service = Proxy::new(&bus, SERVICE, SERVICE_PATH, SERVICE_INTERFACE)?;
    let collection: OwnedObjectPath = service.call("ReadAlias", &"default")?;
    let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) =
        service.call("Unlock", &(vec![collection],))?;
    let answer = if prompt.as_str() == "/" {
        Answer::Unlocked
    } else {
        let prompt = Proxy::new(&bus, SERVICE, prompt, "org.freedesktop.Secret.Prompt")?;
        // listening begins before the question, or a quick answer is missed
        let mut answers = prompt.receive_signal("Completed")?;
        let () = prompt.call("Prompt", &"")?;
        let Some(answer) = answers.next() else {
            return Ok(());
        };
        let (dismissed, _): (bool, OwnedValue) = answer.body().deserialize()?;
        if dismissed {
            Answer::Dismissed
        } else {
            Answer::Unlocked
        }
    };
    // the worker may have given up on us
    let _gone = done.send(answer);
    Ok(())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), VaultError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| VaultError::Platform(Box::new(error)))
}

/// What an answer of the bus means. Nothing that goes over this connection is secret.
fn convert(error: zbus::Error) -> VaultError {
    match &error {
        zbus::Error::InputOutput(io) if io.kind() == std::io::ErrorKind::TimedOut => {
            VaultError::TimedOut
        }
        zbus::Error::MethodError(name, _, _) => match name.as_str() {
            "org.freedesktop.DBus.Error.AccessDenied" => VaultError::Denied,
            // the service hangs, and the bus gave up waiting for it
            "org.freedesktop.DBus.Error.NoReply" | "org.freedesktop.DBus.Error.TimedOut" => {
                VaultError::TimedOut
            }
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => VaultError::Absent(Box::new(error)),
            // the bus knows a service and cannot start it
            name if name.starts_with("org.freedesktop.DBus.Error.Spawn.") => {
                VaultError::Absent(Box::new(error))
            }
            _ => VaultError::Platform(Box::new(error)),
        },
        _ => VaultError::Platform(Box::new(error)),
    }
}
