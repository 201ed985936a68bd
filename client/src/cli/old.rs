//! The groups of commands of the Python product, which stand for flat ones.

use clap::{Args, Subcommand};

use super::{Export, List, Login, Logout, OfProvider, Register, Remove, Run, Verb};

/// `provider ...` of the Python product.
#[derive(Debug, Args)]
pub(crate) struct ProviderGroup {
    #[command(subcommand)]
    verb: ProviderVerb,
}

impl ProviderGroup {
    /// The flat command.
    pub(super) fn flat(self) -> Verb {
        match self.verb {
            ProviderVerb::Inspect(of) => Verb::Inspect(of),
            ProviderVerb::List => Verb::List(List { all: true }),
            ProviderVerb::Register(register) => Verb::Register(register),
            ProviderVerb::Remove(remove) => Verb::Remove(remove),
            ProviderVerb::Revoke(of) => Verb::Revoke(Logout {
                provider: of.provider,
                connection: None,
                all: true,
            }),
        }
    }
}

#[derive(Debug, Subcommand)]
enum ProviderVerb {
    #[command(alias = "get", alias = "show")]
    Inspect(OfProvider),
    List,
    Register(Register),
    Remove(Remove),
    Revoke(OfProvider),
}

/// `auth ...` of the Python product.
#[derive(Debug, Args)]
pub(crate) struct AuthGroup {
    #[command(subcommand)]
    verb: AuthVerb,
}

impl AuthGroup {
    /// The flat command.
    pub(super) fn flat(self) -> Verb {
        match self.verb {
            AuthVerb::Export(export) => Verb::Export(export),
            AuthVerb::List(list) => Verb::List(list),
            AuthVerb::Login(login) => Verb::Login(login),
            AuthVerb::Logout(logout) => Verb::Logout(logout),
            AuthVerb::Revoke(logout) => Verb::Revoke(logout),
            AuthVerb::Status => Verb::Status,
        }
    }
}

#[derive(Debug, Subcommand)]
enum AuthVerb {
    Export(Export),
    List(List),
    Login(Login),
    Logout(Logout),
    Revoke(Logout),
    Status,
}

/// `proxy ...` of the Python product.
#[derive(Debug, Args)]
pub(crate) struct ProxyGroup {
    #[command(subcommand)]
    verb: ProxyVerb,
}

impl ProxyGroup {
    /// The flat command.
    pub(super) fn flat(self) -> Verb {
        let ProxyVerb::Run(run) = self.verb;
        Verb::Run(run)
    }
}

#[derive(Debug, Subcommand)]
enum ProxyVerb {
    Run(Run),
}
