//! The groups of commands of the Python product, which stand for flat ones.

use clap::{Args, Subcommand};

use super::{Export, Later, List, Login, Logout, OfProvider, Register, Remove, Run, Verb};

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
            ProviderVerb::Inspect(of) => Verb::Inspect(Later(of)),
            ProviderVerb::List => Verb::List(Later(List { all: true })),
            ProviderVerb::Register(register) => Verb::Register(Later(register)),
            ProviderVerb::Remove(remove) => Verb::Remove(Later(remove)),
            ProviderVerb::Revoke(of) => Verb::Revoke(Later(Logout {
                provider: of.provider,
                connection: None,
                all: true,
            })),
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
            AuthVerb::Export(export) => Verb::Export(Later(export)),
            AuthVerb::List(list) => Verb::List(Later(list)),
            AuthVerb::Login(login) => Verb::Login(Later(login)),
            AuthVerb::Logout(logout) => Verb::Logout(Later(logout)),
            AuthVerb::Revoke(logout) => Verb::Revoke(Later(logout)),
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
        Verb::Run(Later(run))
    }
}

#[derive(Debug, Subcommand)]
enum ProxyVerb {
    Run(Run),
}
