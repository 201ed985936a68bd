//! What the tests of the engine run in: its broker, its clock, its server.

use super::*;

const PROVIDER: &str = "acme";
pub(super) const HOUR: u64 = 3600;
pub(super) const BEGUN: i64 = 1_800_000_000;

/// A clock that stands still until it is set.
#[derive(Debug)]
pub(super) struct Set(Mutex<(u64, i64)>);

impl Tell for Set {
    fn boot(&self) -> Boot {
        Boot::at(Duration::from_secs(self.0.lock().unwrap().0))
    }

    fn wall(&self) -> i64 {
        self.0.lock().unwrap().1
    }
}

pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    pub(super) server: Server,
    pub(super) time: Arc<Set>,
    pub(super) home: TempDir,
}

impl World {
    /// A home with `acme`, whose access token `a1` came just now and is good for an hour, and whose
    /// refresh token is `r1`; `change` changes its grant before it is stored.
    pub(super) async fn new(change: impl FnOnce(&mut StoredGrant)) -> Self {
        let home = TempDir::new().unwrap();
        let pem = home.path().join("ca.pem");
        let server = Server::start(&["auth.acme.test"], &pem).await;
        let providers = home.path().join("providers");
        std::fs::create_dir_all(&providers).unwrap();
        let definition = r#"{"v":1,"name":"acme","display_name":"Acme","auth":"api_key","routes":[{"hosts":["api.acme.test"],"header":{"name":"Authorization","prefix":"Bearer"}}]}"#;
        #[expect(clippy::disallowed_methods, reason = "a file of the test's own folder")]
        std::fs::write(providers.join("acme.json"), definition).unwrap();
        let world = Self::open(home, pem, server);
        let item = item("a1", "r1", change);
        world.put(item).await;
        world
    }

    /// The same home with another daemon, as after a crash.
    pub(super) fn again(self) -> Self {
        let pem = self.home.path().join("ca.pem");
        self.broker.shutdown.cancel();
        Self::open(self.home, pem, self.server)
    }

    pub(super) fn open(home: TempDir, pem: PathBuf, server: Server) -> Self {
        let places = Places {
            home: home.path().to_owned(),
            runtime: home.path().join("runtime"),
            ordinary: false,
        };
        let config = Config {
            store: StoreChoice::File,
            extra_ca: vec![pem],
            resolve: HashMap::from([("auth.acme.test:443".to_owned(), server.address)]),
            ..Config::default()
        };
        let (connections, _) = Connections::open(home.path()).unwrap();
        let time = Arc::new(Set(Mutex::new((1_000_000, BEGUN))));
        let broker = Arc::new(Broker::by_clock(
            places,
            config,
            connections,
            Vec::new(),
            CancellationToken::new(),
            Clock::of(Arc::<Set>::clone(&time)),
        ));
        assert!(broker.definition(&provider()).is_ok());
        let engine = Arc::clone(&broker);
        tokio::spawn(async move { engine.keep_renewing().await });
        Self {
            broker,
            server,
            time,
            home,
        }
    }

    /// Stores an item as a login does.
    pub(super) async fn put(&self, item: StoredItem) {
        let _changing = self.broker.changing.lock().await;
        let grant = item.grant.as_ref().map(remembered);
        let hosts = item.hosts.clone();
        self.broker.credentials.forget(&provider(), &connection());
        self.broker.vault.put(&item_key(), item).await.unwrap();
        self.broker
            .connections
            .insert(ConnectionRecord {
                provider: provider(),
                connection: connection(),
                state: ConnectionState::Connected,
                created_at: Timestamp::from_second(BEGUN).unwrap().to_string(),
                rotated_at: None,
                last_used: None,
                hosts,
                account: None,
                region: None,
                base_url: None,
                grant,
            })
            .unwrap();
        self.broker.refresh_runs().await;
    }

    /// A living run, granted all there is.
    pub(super) async fn run(&self) -> Arc<Run> {
        let broker = &self.broker;
        let secret = broker.vault.install_secret().await.unwrap();
        let spec = RunSpec {
            replaced: BTreeMap::new(),
            only: None,
            unmatched: Unmatched::Tunnel,
            projects: Vec::new(),
            variables: BTreeMap::new(),
            added: BTreeSet::new(),
        };
        let names = broker.names_for(&spec);
        let (id, ca) = spare::make(&secret, &names).unwrap();
        let pid = std::process::id();
        let record = RunRecord {
            v: RunRecord::VERSION,
            id,
            outer: None,
            bound: None,
            process: Identity::of(pid).unwrap(),
            program: String::new(),
            started_at: now(),
            spec,
            names: Vec::new(),
            had_servers: BTreeSet::new(),
            had: BTreeSet::new(),
            proxy_port: 0,
            direct_port: None,
            life: RunLife::default(),
        };
        let upstream = broker.upstream().await.unwrap();
        let run = broker.new_run(record, names, ca, &secret, Vec::new(), upstream);
        broker.refresh_run(&run).await;
        let watched = Watched::new(pidfd::open(pid).unwrap()).unwrap();
        broker.enter_run(&run, Some(watched), None);
        run
    }

    pub(super) fn sleep(&self, seconds: u64) {
        let mut time = self.time.0.lock().unwrap();
        time.0 += seconds;
        time.1 += i64::try_from(seconds).unwrap();
    }

    pub(super) async fn item(&self) -> Option<StoredItem> {
        self.broker.vault.get(&item_key()).await.unwrap()
    }

    /// Access token, refresh token and mark as they are stored.
    pub(super) async fn stored(&self) -> (String, String, Option<i64>) {
        let item = self.item().await.unwrap();
        let grant = item.grant.unwrap();
        let Renewal::RefreshToken(refresh) = &grant.renewal else {
            panic!("{:?}", grant.renewal);
        };
        let texts = [&item.secret, refresh].map(|it| it.expose().to_owned());
        let [access, refresh] = texts;
        (access, refresh, grant.renewing_since)
    }

    pub(super) fn record(&self) -> ConnectionRecord {
        self.broker
            .connections
            .find(&provider(), &connection())
            .unwrap()
    }

    pub(super) async fn loaded(&self) -> Arc<Loaded> {
        let (vault, provider, connection) = (Some(&self.broker.vault), provider(), connection());
        let loaded = self.broker.credentials.load(vault, &provider, &connection);
        loaded.await.unwrap().unwrap()
    }

    /// Asks as a request does whose token will not do.
    pub(super) async fn ask(&self, why: Why) -> Result<(), NotRenewed> {
        let version = self.loaded().await.version;
        let names = (provider(), connection());
        let engine = self.broker.renewals.engine();
        engine.ask((&names.0, &names.1), version, why).await
    }

    pub(super) fn asks(&self) -> usize {
        self.server.seen().len()
    }

    /// Returns once the server has seen `count` requests.
    pub(super) async fn has_asked(&self, count: usize) {
        for _ in 0..2000 {
            if self.asks() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only {} requests", self.asks());
    }

    pub(super) async fn has(&self, access: &str) {
        for _ in 0..2000 {
            if self.item().await.unwrap().secret.expose() == access {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{access} was not stored");
    }
}

pub(super) fn provider() -> ProviderName {
    PROVIDER.parse().unwrap()
}

pub(super) fn connection() -> ConnectionName {
    ConnectionName::default_name()
}

pub(super) fn item_key() -> ItemKey {
    ItemKey::Connection {
        provider: provider(),
        connection: connection(),
    }
}

pub(super) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub(super) fn item(
    access: &str,
    refresh: &str,
    change: impl FnOnce(&mut StoredGrant),
) -> StoredItem {
    let mut grant = StoredGrant {
        flow: Flow::Pkce,
        renewal: Renewal::RefreshToken(secret(refresh)),
        issued_at: BEGUN,
        lifetime: Some(HOUR),
        scopes: Vec::new(),
        client: None,
        token_url: "https://auth.acme.test/token".to_owned(),
        revocation_url: Some("https://auth.acme.test/revoke".to_owned()),
        resource: None,
        rotates: None,
        renewing_since: None,
    };
    change(&mut grant);
    StoredItem {
        secret: secret(access),
        hosts: vec!["api.acme.test".to_owned()],
        stored_at: now(),
        grant: Some(grant),
    }
}

/// A server that replaces refresh tokens and takes each once: `r1` gives `a2` and `r2`. Whatever is
/// sent twice ends the family. Those in `lost` get no answer, though they were taken.
pub(super) fn rotating(lost: &'static [usize]) -> impl FnMut(usize, &str) -> Reply + Send {
    let mut good = 1;
    let mut revoked = false;
    move |number, request| {
        let sent = request.split("refresh_token=").nth(1).unwrap_or_default();
        let sent = sent.split('&').next().unwrap_or_default();
        if revoked || sent != format!("r{good}") {
            revoked = true;
            return Reply::error("invalid_grant");
        }
        good += 1;
        if lost.contains(&number) {
            return Reply::HangUp;
        }
        Reply::tokens(&format!("a{good}"), Some(&format!("r{good}")), Some(HOUR))
    }
}

/// What a run's requests to the API would be sent with: a version, or nothing.
pub(super) fn ready(run: &Run) -> Option<u64> {
    let table = run.view.table.load();
    let route = table.routes().find(|it| it.provider == provider()).unwrap();
    match &route.credential {
        RouteCredential::Ready(credential, _) => Some(credential.renewal.as_ref()?.version),
        _ => None,
    }
}
