//! The environment of a run: which variables its program gets, and the files they name.
//!
//! Clients find the proxy and the run's CA by variables, each by its own (the list is in
//! `docs/clients.md`). [`prepare`] writes the files into the run's folder and says what to set and
//! what to remove; the client does it and executes the command.
//!
//! Invariants:
//! - E1, what the parent had is merged, never lost: its own certificates, its `NO_PROXY`, its option
//!   strings (which stand before ours), its `wgetrc`.
//! - E2, a run inside a run replaces what the outer one added: nothing stacks.
//! - E3, no credential of the vault is here (threat L5): variables of granted providers hold
//!   placeholders. The run's token is, and dies with the run; `JAVA_TOOL_OPTIONS`, which Java prints,
//!   lacks even that.
//!
//! On failure: an error names the file that could not be written, and no run is started. What of the
//! parent's cannot be read is a warning for the person. Not here: who removes the run's folder
//! ([`crate::runs`]), and the proxy that stands behind the variables ([`crate::proxy`]).

mod jks;
mod no_proxy;
mod node;
mod options;
mod parent_files;
mod pem;
mod roots;
mod wget;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use authsome_proto::RunId;

use self::options::Rules;
use self::roots::Trusted;
pub use self::roots::{RUN_CA_MARKER, SystemRoots};
use crate::providers::is_vital_variable;
use crate::routing::HostPattern;

pub use authsome_proto::environment::PARENT_VARIABLES;

/// Read by some client as its whole list of roots: they name the bundle.
const BUNDLE_VARIABLES: [&str; 8] = [
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "npm_config_cafile",
];

/// The same, but set only where the parent has them: their programs read another variable as well,
/// or are too rare to put them into every environment.
const BUNDLE_VARIABLES_IF_THERE: [&str; 4] = [
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
];

/// Read as an addition to the client's own roots: they name the CA alone.
const ADDITION_VARIABLES: [&str; 2] = ["DENO_CERT", "NODE_EXTRA_CA_CERTS"];

/// Would lead a client past us: a SOCKS or catch-all proxy, and the settings of single tools, which
/// win over `HTTPS_PROXY`. npm reads its variables in any case.
const REMOVED_VARIABLES: [&str; 12] = [
    "ALL_PROXY",
    "CARGO_HTTP_PROXY",
    "NPM_CONFIG_CAFILE",
    "NPM_CONFIG_HTTPS_PROXY",
    "NPM_CONFIG_NOPROXY",
    "NPM_CONFIG_PROXY",
    "PIP_PROXY",
    "all_proxy",
    "npm_config_https_proxy",
    "npm_config_noproxy",
    "npm_config_proxy",
    "npm_config_no_proxy",
];

/// Set besides those above.
const OTHER_VARIABLES: [&str; 11] = [
    "AUTHSOME_RUN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "JAVA_TOOL_OPTIONS",
    "NODE_OPTIONS",
    "NODE_USE_ENV_PROXY",
    "NO_PROXY",
    "PHP_INI_SCAN_DIR",
    "WGETRC",
    "http_proxy",
    "https_proxy",
];

/// Last component of the folder in `PHP_INI_SCAN_DIR`; an outer run's is recognised by it.
const PHP_FOLDER: &str = "authsome-php";

/// First of our options in `JAVA_TOOL_OPTIONS`: ours are those that follow it and have our names.
const JAVA_MARKER: &str = "-Dauthsome.run=";

/// Names of the system properties that we set for Java.
const JAVA_PROPERTIES: [&str; 9] = [
    JAVA_MARKER,
    "-Dhttps.proxyHost=",
    "-Dhttps.proxyPort=",
    "-Dhttp.proxyHost=",
    "-Dhttp.proxyPort=",
    "-Dhttp.nonProxyHosts=",
    "-Djavax.net.ssl.trustStore=",
    "-Djavax.net.ssl.trustStoreType=",
    "-Djavax.net.ssl.trustStorePassword=",
];

/// What a run's environment is made of.
pub struct Inputs<'a> {
    /// The client's variables: values for [`PARENT_VARIABLES`], of all others at most the names.
    pub parent: &'a BTreeMap<String, String>,
    /// The run.
    pub run: &'a RunId,
    /// Its token; letters and digits only, so that it stands in a URL as it is.
    pub token: &'a str,
    /// The proxy's port on 127.0.0.1.
    pub proxy_port: u16,
    /// The run's own port, which asks for no token, for clients that cannot send one (Java).
    pub direct_port: Option<u16>,
    /// The run's CA certificate, PEM. Its subject contains [`RUN_CA_MARKER`].
    pub ca_pem: &'a str,
    /// The system's roots, prepared once.
    pub system_roots: &'a SystemRoots,
    /// The run's folder, private to the user; made (0700) if it is not there.
    pub run_dir: &'a Path,
    /// A folder for files that outlive runs; it exists and is private to the user.
    pub shared_dir: &'a Path,
    /// Variables of granted providers, and what stands in for the secret.
    pub placeholders: &'a [(String, String)],
    /// Hosts that must not be reached around the proxy.
    pub granted_hosts: &'a [HostPattern],
}

impl fmt::Debug for Inputs<'_> {
    // the parent's values and the token stay out
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("run", self.run)
            .field("run_dir", &self.run_dir)
            .finish_non_exhaustive()
    }
}

/// What the client does to its own environment before it executes the command.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Variables to set, over what the parent has.
    pub set: Vec<(String, String)>,
    /// Variables to remove; none of them is in `set`.
    pub remove: Vec<String>,
    /// What the person should know, one sentence each.
    pub warnings: Vec<String>,
}

impl fmt::Debug for Environment {
    // names only: two values hold the run's token
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.set.iter().map(|(name, _)| name).collect();
        f.debug_struct("Environment")
            .field("set", &names)
            .field("remove", &self.remove)
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// Why a run's environment could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The run's CA is not one certificate in PEM; a bug of ours.
    #[error("the certificate of the run's CA is not one PEM certificate")]
    Ca,
    /// A folder could not be made.
    #[error("cannot create `{}`", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name of a folder cannot stand in an environment variable or a configuration file.
    #[error("the folder name {} contains characters that programs cannot be given", path.display())]
    FolderName {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write `{}`", path.display())]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether a run sets or removes the variable `name` itself, or programs live by it, so that no
/// placeholder can stand there. In any case: some clients read theirs so.
pub fn is_own(name: &str) -> bool {
    let known = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    known(&BUNDLE_VARIABLES)
        || known(&BUNDLE_VARIABLES_IF_THERE)
        || known(&ADDITION_VARIABLES)
        || known(&REMOVED_VARIABLES)
        || known(&OTHER_VARIABLES)
        || is_vital_variable(name)
}

/// Writes the files of a run and says what its program's environment is.
///
/// Blocks for file access (well under a millisecond on a memory file system), so an async caller
/// hands it to a blocking thread.
pub fn prepare(inputs: &Inputs<'_>) -> Result<Environment, PrepareError> {
    let run_dir = text_of(inputs.run_dir)?;
    let shared_dir = text_of(inputs.shared_dir)?;
    create_folder(inputs.run_dir)?;
    let mut environment = Environment::default();

    let parent_wgetrc = parent_wgetrc(inputs, &mut environment.warnings);
    let ca = match pem::certificates(inputs.ca_pem.as_bytes()).as_slice() {
        [ca] => ca.clone(),
        _ => return Err(PrepareError::Ca),
    };
    let trust = collect_trust(inputs, &parent_wgetrc, &mut environment.warnings);

    let bundle = format!("{run_dir}/bundle.pem");
    write(
        &bundle,
        &trust.everything.bundle(Some(inputs.system_roots), &ca),
    )?;
    let addition = format!("{run_dir}/ca.pem");
    write(&addition, &trust.additions.bundle(None, &ca))?;
    let java_store = format!("{run_dir}/truststore.jks");
    write(
        &java_store,
        &trust.everything.java_store(inputs.system_roots, &ca),
    )?;
    let wgetrc = format!("{run_dir}/wgetrc");
    write(&wgetrc, &wget::compose(&parent_wgetrc, &bundle))?;
    let preload = node::install(inputs.shared_dir).map_err(|source| PrepareError::WriteFile {
        path: shared_dir.into(),
        source,
    })?;

    for name in BUNDLE_VARIABLES {
        environment.put(name, &bundle);
    }
    for name in BUNDLE_VARIABLES_IF_THERE {
        if inputs.parent.contains_key(name) {
            environment.put(name, &bundle);
        }
    }
    for name in ADDITION_VARIABLES {
        environment.put(name, &addition);
    }
    environment.put("WGETRC", &wgetrc);
    let no_proxy = set_proxies(inputs, &mut environment);
    environment.put("NODE_USE_ENV_PROXY", "1");
    let preload = node::option(text_of(&preload)?);
    let parent = value(inputs, "NODE_OPTIONS");
    let joined = options::append(Rules::Node, parent, node::is_ours, &[preload]);
    environment.put("NODE_OPTIONS", &joined);
    set_php(inputs, run_dir, &bundle, &mut environment)?;
    set_java(inputs, &java_store, &no_proxy, &mut environment);
    for (name, placeholder) in inputs.placeholders {
        environment.put(name, placeholder);
    }
    environment.put("AUTHSOME_RUN", inputs.run.as_str());
    environment.remove = REMOVED_VARIABLES.map(str::to_owned).to_vec();
    let set = &environment.set;
    environment
        .remove
        .retain(|name| !set.iter().any(|(known, _)| known == name));
    Ok(environment)
}

impl Environment {
    /// Sets a variable, over an earlier value.
    fn put(&mut self, name: &str, value: &str) {
        self.set.retain(|(known, _)| known != name);
        self.set.push((name.to_owned(), value.to_owned()));
    }
}

/// Roots of the parent's own.
#[derive(Default)]
struct Trust {
    /// From all its files: for clients that read one list of roots.
    everything: Trusted,
    /// From the files that add to a client's own roots.
    additions: Trusted,
}

fn collect_trust(inputs: &Inputs<'_>, parent_wgetrc: &[u8], warnings: &mut Vec<String>) -> Trust {
    let mut trust = Trust::default();
    // several variables mostly name the same file: read once
    let mut files: BTreeMap<PathBuf, Vec<Vec<u8>>> = BTreeMap::new();
    let variables = PARENT_VARIABLES
        .iter()
        .filter(|name| is_trust_file(name))
        .filter_map(|name| {
            Some((
                *name,
                value(inputs, name).filter(|value| !value.is_empty())?,
            ))
        });
    let wgetrc = wget::ca_certificate(parent_wgetrc);
    let files_named = variables.chain(wgetrc.as_deref().map(|path| ("ca_certificate", path)));
    for (name, file) in files_named {
        let path = absolute(inputs, file);
        if !files.contains_key(&path) {
            let content = parent_files::read_certificates(&path).unwrap_or_else(|error| {
                warnings.push(format!(
                    "`{name}` names `{file}`, which cannot be read ({error}); what it would \
                     make programs trust is not trusted in this run"
                ));
                Vec::new()
            });
            files.insert(path.clone(), pem::certificates(&content));
        }
        let certificates = files.get(&path).map(Vec::as_slice).unwrap_or_default();
        if ADDITION_VARIABLES.contains(&name) {
            trust
                .additions
                .extend_with_system(certificates, inputs.system_roots);
        }
        trust.everything.extend(certificates, inputs.system_roots);
    }
    if let Some(store) = java_trust_store(value(inputs, "JAVA_TOOL_OPTIONS")) {
        let read = parent_files::read(&absolute(inputs, &store)).map_err(|error| error.to_string());
        match read
            .and_then(|store| jks::trusted_certificates(&store).map_err(|error| error.to_string()))
        {
            Ok(certificates) => {
                trust.everything.extend(&certificates, inputs.system_roots);
            }
            Err(reason) => warnings.push(format!(
                "`JAVA_TOOL_OPTIONS` names the trust store `{store}`, which cannot be read \
                 ({reason}); what it would make Java trust is not trusted in this run"
            )),
        }
    }
    trust
}

fn is_trust_file(name: &str) -> bool {
    BUNDLE_VARIABLES.contains(&name)
        || BUNDLE_VARIABLES_IF_THERE.contains(&name)
        || ADDITION_VARIABLES.contains(&name)
        || name == "NPM_CONFIG_CAFILE"
}

/// The trust store in the parent's own Java options; an outer run's is none of its own.
fn java_trust_store(parent: Option<&str>) -> Option<String> {
    let options = options::meant(Rules::Java, parent?);
    let own = options
        .iter()
        .take_while(|option| !option.starts_with(JAVA_MARKER));
    let stores = own.filter_map(|option| option.strip_prefix("-Djavax.net.ssl.trustStore="));
    stores
        .last()
        .filter(|store| !store.is_empty() && *store != "NONE")
        .map(str::to_owned)
}

fn parent_wgetrc(inputs: &Inputs<'_>, warnings: &mut Vec<String>) -> Vec<u8> {
    let (path, named) = match (value(inputs, "WGETRC"), value(inputs, "HOME")) {
        (Some(path), _) if !path.is_empty() => (absolute(inputs, path), true),
        (_, Some(home)) if !home.is_empty() => (Path::new(home).join(".wgetrc"), false),
        _ => return Vec::new(),
    };
    match parent_files::read(&path) {
        Ok(content) => content,
        Err(error) if !named && error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            warnings.push(format!(
                "wget's settings in `{}` cannot be read ({error}) and are not used in this run",
                path.display()
            ));
            Vec::new()
        }
    }
}

/// Sets the proxy and its exceptions; returns the exceptions.
fn set_proxies(inputs: &Inputs<'_>, environment: &mut Environment) -> Vec<String> {
    let proxy = format!(
        "http://{}:{}@127.0.0.1:{}",
        inputs.run, inputs.token, inputs.proxy_port
    );
    // both cases: wget reads only the lower one, and some libraries only the upper one
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"] {
        environment.put(name, &proxy);
    }
    let lists = ["NO_PROXY", "no_proxy"]
        .into_iter()
        .filter_map(|name| value(inputs, name));
    let merged = no_proxy::merge(lists, inputs.granted_hosts);
    for entry in &merged.dropped {
        environment.warnings.push(format!(
            "`{entry}` in `NO_PROXY` is left out for this run: it would lead past the proxy to a \
             host whose credential the run uses"
        ));
    }
    let list = merged.entries.join(",");
    environment.put("NO_PROXY", &list);
    environment.put("no_proxy", &list);
    merged.entries
}

/// PHP reads no variable for its roots, only its configuration: ours is one more folder of it.
fn set_php(
    inputs: &Inputs<'_>,
    run_dir: &str,
    bundle: &str,
    environment: &mut Environment,
) -> Result<(), PrepareError> {
    // the list separates by `:` and the file quotes by `'`, both without an escape
    if run_dir.contains([':', '\'']) {
        environment.warnings.push(format!(
            "PHP is not prepared for this run: its settings cannot name `{run_dir}`"
        ));
        return Ok(());
    }
    let folder = format!("{run_dir}/{PHP_FOLDER}");
    create_folder(Path::new(&folder))?;
    let settings = format!("curl.cainfo = '{bundle}'\nopenssl.cafile = '{bundle}'\n");
    write(&format!("{folder}/authsome.ini"), settings.as_bytes())?;
    // absent means the folder PHP was built with, which is an empty entry in the list
    let own = match value(inputs, "PHP_INI_SCAN_DIR") {
        None => vec![""],
        Some("") => vec![],
        Some(list) => list
            .split(':')
            .filter(|entry| !entry.ends_with(&format!("/{PHP_FOLDER}")))
            .collect(),
    };
    let list = own
        .into_iter()
        .chain([folder.as_str()])
        .collect::<Vec<_>>()
        .join(":");
    environment.put("PHP_INI_SCAN_DIR", &list);
    Ok(())
}

/// Java reads no variable but this one, and cannot send a token to a proxy: it gets the run's own
/// port. Without such a port its options stay the parent's: behind the other one it would only fail.
fn set_java(inputs: &Inputs<'_>, store: &str, no_proxy: &[String], environment: &mut Environment) {
    let parent = value(inputs, "JAVA_TOOL_OPTIONS");
    let mut outer = false;
    let ours = |option: &str| {
        outer |= option.starts_with(JAVA_MARKER);
        outer && JAVA_PROPERTIES.iter().any(|name| option.starts_with(name))
    };
    let mut added = Vec::new();
    if let Some(port) = inputs.direct_port {
        added = vec![
            format!("{JAVA_MARKER}{}", inputs.run),
            "-Dhttps.proxyHost=127.0.0.1".to_owned(),
            format!("-Dhttps.proxyPort={port}"),
            "-Dhttp.proxyHost=127.0.0.1".to_owned(),
            format!("-Dhttp.proxyPort={port}"),
            format!("-Dhttp.nonProxyHosts={}", no_proxy::for_java(no_proxy)),
            format!("-Djavax.net.ssl.trustStore={store}"),
            "-Djavax.net.ssl.trustStoreType=jks".to_owned(),
        ];
        // one of the parent's own would be tried on our store
        if parent.is_some_and(|options| options.contains("javax.net.ssl.trustStorePassword")) {
            added.push(format!(
                "-Djavax.net.ssl.trustStorePassword={}",
                jks::PASSWORD
            ));
        }
    }
    if added.is_empty() && parent.is_none() {
        return;
    }
    let joined = options::append(Rules::Java, parent, ours, &added);
    environment.put("JAVA_TOOL_OPTIONS", &joined);
}

fn value<'a>(inputs: &Inputs<'a>, name: &str) -> Option<&'a str> {
    inputs.parent.get(name).map(String::as_str)
}

fn absolute(inputs: &Inputs<'_>, file: &str) -> PathBuf {
    Path::new(value(inputs, "PWD").unwrap_or("/")).join(file)
}

/// A path that can stand in variables and in line-based files.
fn text_of(path: &Path) -> Result<&str, PrepareError> {
    path.to_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or_else(|| PrepareError::FolderName {
            path: path.to_owned(),
        })
}

fn create_folder(path: &Path) -> Result<(), PrepareError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done.map_err(|source| PrepareError::CreateFolder {
            path: path.to_owned(),
            source,
        }),
    }
}

fn write(path: &str, content: &[u8]) -> Result<(), PrepareError> {
    let path = Path::new(path);
    let written = match write_private(path, content) {
        // prepared again for a run that lives: its programs may be reading
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace(path, content),
        written => written,
    };
    written.map_err(|source| PrepareError::WriteFile {
        path: path.into(),
        source,
    })
}

/// Puts `content` in the place of a file, unless it is there already: whoever watches the file is not
/// to be woken for nothing.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if std::fs::read(path)? == content {
        return Ok(());
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    match std::fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_private(&aside, content)?;
    std::fs::rename(&aside, path)
}

/// Writes a new file, 0600. Not the atomic writer: the folder is new and private, nobody reads
/// before we answer, and syncing four files would cost more than the rest of starting a run.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)?.write_all(content)
}

#[cfg(test)]
mod tests;
