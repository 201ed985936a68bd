//! Real servers read nasty paths; none may disagree with the key we would have sent (threat D5).
//!
//! nginx, haproxy and Node get each path as it is and say whether they route it to the Fin API. Where
//! we send the Fin key, all that take the path must route it there; where we send the REST key, none
//! may. The paths come from a table and from a seeded generator, so every run asks the same;
//! `AUTHSOME_SEED` asks others.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use authsome_tests::wait_until;
use authsomed::routing::{Authority, RouteTable};

#[path = "../fuzz/src/routes.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a library")]
mod routes;

const SEED: u64 = 0x5eed_0fa5_1de0;
/// Distinct paths of the generator.
const PATHS: usize = 6_000;

/// Paths that have separated some two servers before.
const TABLE: &[&str] = &[
    "/fin",
    "/fin/",
    "/fin/start",
    "/contacts",
    "/fin_voice/register",
    "/finx",
    "/fin/../contacts",
    "/fin/%2e%2e/contacts",
    "/fin/..;/contacts",
    "//fin/start",
    "/fin%2fstart",
    "/fin/%252e%252e/contacts",
    "/FIN/start",
    "/fin\\start",
    "/contacts/../fin/start",
    "/contacts/..%2ffin/start",
    "/contacts%2f..%2ffin/start",
    "/contacts/..%5cfin",
    "/x;/../fin/start",
    "/x/..;/fin/start",
    "/;/fin/start",
    "/%66%69%6e/start",
    "/%2566in/start",
    "/./fin/start",
    "/.//fin/start",
    "/fin%00/start",
    "/fin%20/start",
    "/fin./start",
    "/fin;a=b/start",
    "/fin%3bx",
    "/fin%3fx",
    "/fin%23x",
    "/fin/a%3f/../../contacts",
    "/fin//../contacts",
    "/fin/%2f../contacts",
    "/%ef%ac%81n/start",
    "/%ef%bd%86in/start",
    "/fin/%ef%bc%8e%ef%bc%8e/contacts",
    "/f+in",
    "/fin+",
    "/+fin",
    "/%c0%affin",
    "/fin/.%00./contacts",
    "/http://x/fin/start",
    "//x/fin/start",
    "/:x/fin",
    "/@fin",
];

/// What generated paths are made of.
const PIECES: &[&str] = &[
    "/",
    "/",
    "/",
    "/",
    "/",
    "fin",
    "fin",
    "fin",
    "fin",
    "contacts",
    "start",
    "x",
    "FIN",
    "Fin",
    "f",
    "in",
    ".",
    "..",
    "%2e",
    "%2E",
    "%252e",
    "%2f",
    "%2F",
    "%252f",
    "%5c",
    "\\",
    ";",
    ";x=1",
    "%3b",
    "%3f",
    "%23",
    "%20",
    "+",
    "%2b",
    "%00",
    "%0a",
    "%09",
    "%66",
    "%46",
    "%69",
    "%6e",
    "%25",
    "%",
    "%u002f",
    "%c0%ae",
    "%c3%bc",
    "%ff",
    "%ef%ac%81n",
    "%ef%bd%86",
    "%ef%bc%8f",
    "%ef%bc%8e",
    "%e2%80%a5",
    "%e2%80%8b",
    "%c2%a0",
    "_voice",
    "~",
    "*",
    "@",
    ":",
    "&",
    "=",
    ",",
    "'",
    "!",
    "$",
    "a%2fb",
    "...",
    "..;",
    "/../",
    "/./",
    "//",
    "/fin/",
    "/fin/",
];

/// A generator of numbers that is the same everywhere (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap() % end
    }
}

fn paths(seed: u64) -> Vec<String> {
    let mut numbers = Numbers(seed);
    let mut paths: BTreeSet<String> = BTreeSet::new();
    while paths.len() < PATHS {
        // half of them begin near the scope, where readings differ
        let start = ["/", "/fin", "/fin/", "/contacts/"][numbers.below(4)];
        let pieces = (0..=numbers.below(6)).map(|_| PIECES[numbers.below(PIECES.len())]);
        paths.insert(format!("{start}{}", pieces.collect::<String>()));
    }
    paths.extend(TABLE.iter().map(|path| (*path).to_owned()));
    paths.into_iter().collect()
}

/// The key that goes with a path: that of `fin`, that of `rest`, or none.
fn keys(paths: &[String]) -> Vec<Option<String>> {
    let host = "api.intercom.io";
    let table = RouteTable::build(vec![
        routes::route("rest", host, "/**", &["/fin/**"]),
        routes::route("fin", host, "/fin/**", &[]),
    ]);
    let dialled = Authority::parse(host, Some(443)).unwrap();
    let judge = |path: &String| routes::judge(&table, &dialled, &[host.as_bytes()], path);
    let keys = paths
        .iter()
        .map(|path| judge(path).ok().flatten().map(str::to_owned));
    keys.collect()
}

/// A server process; ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn start(folder: &Path, program: &str, arguments: &[&str], sockets: &[&str]) -> Server {
    let child = Command::new(program).args(arguments).spawn();
    let child = child.unwrap_or_else(|error| {
        panic!("cannot start {program}: {error}; tests/run.sh installs what is missing")
    });
    let mut server = Server(child);
    for socket in sockets {
        wait_until(
            &format!("{program} at {socket}"),
            Duration::from_secs(20),
            || {
                assert!(
                    server.0.try_wait().unwrap().is_none(),
                    "{program} has ended"
                );
                UnixStream::connect(folder.join(socket)).is_ok()
            },
        );
    }
    server
}

const NGINX: [&str; 5] = [
    "nginx",
    "nginx-keeps-slashes",
    "nginx-any-case",
    "nginx-before-node",
    "nginx-before-haproxy",
];
const HAPROXY: [&str; 4] = [
    "haproxy",
    "haproxy-normalises",
    "haproxy-decodes",
    "haproxy-directories",
];
const NODE: [&str; 1] = ["node"];

/// A connection that sends paths as they are.
struct Raw {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

impl Raw {
    /// What the server says of the path, one reading a line; nothing if it refuses it.
    fn ask(&mut self, path: &str) -> Vec<String> {
        let stream = self.stream.get_or_insert_with(|| {
            let stream = UnixStream::connect(&self.socket).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            BufReader::new(stream)
        });
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: api.intercom.io\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        let answer = answer(stream);
        if answer.closes {
            self.stream = None;
        }
        if answer.status == 200 {
            answer.body.lines().map(str::to_owned).collect()
        } else {
            Vec::new()
        }
    }
}

struct Answer {
    status: u16,
    closes: bool,
    body: String,
}

fn answer(from: &mut BufReader<UnixStream>) -> Answer {
    let mut line = || {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    };
    let first = line();
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no answer: {first:?}"));
    let (mut length, mut chunked, mut closes) = (0, false, false);
    loop {
        let field = line().to_ascii_lowercase();
        match field.split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("transfer-encoding", _)) => chunked = true,
            Some(("connection", value)) => closes = value == "close",
            Some(_) => {}
        }
    }
    let mut body = Vec::new();
    let mut take = |from: &mut BufReader<UnixStream>, length: usize| {
        let before = body.len();
        body.resize(before + length, 0);
        from.read_exact(&mut body[before..]).unwrap();
    };
    if chunked {
        loop {
            let mut size = String::new();
            from.read_line(&mut size).unwrap();
            let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
            take(from, size);
            from.read_line(&mut String::new()).unwrap();
            if size == 0 {
                break;
            }
        }
    } else {
        take(from, length);
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Answer {
        status,
        closes,
        body,
    }
}

/// D5
#[test]
fn no_real_server_reads_a_path_into_or_out_of_a_scope() {
    let seed = std::env::var("AUTHSOME_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let configuration = |name: &str| {
        let text = std::fs::read_to_string(here.join(name)).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text.replace("FOLDER", folder.to_str().unwrap())).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let router = here.join("router.cjs");
    let socket = folder.join("node");
    let node = [router.to_str().unwrap(), socket.to_str().unwrap()];
    let _node = start(folder, "node", &node, &NODE);
    let haproxy = ["-db", "-q", "-f", &configuration("haproxy.cfg")];
    let _haproxy = start(folder, "haproxy", &haproxy, &HAPROXY);
    let nginx = [
        "-e",
        "stderr",
        "-p",
        folder.to_str().unwrap(),
        "-c",
        &configuration("nginx.conf"),
    ];
    let _nginx = start(folder, "nginx", &nginx, &NGINX);

    let paths = paths(seed);
    let keys = keys(&paths);
    let mut wrong = String::new();
    // how many paths were asked with a key, and how many without one that a server reads elsewhere
    let (mut asked, mut avoided) = (0, BTreeSet::new());
    for name in NGINX.iter().chain(&HAPROXY).chain(&NODE) {
        let mut server = Raw {
            socket: folder.join(name),
            stream: None,
        };
        for (path, key) in paths.iter().zip(&keys) {
            let readings = server.ask(path);
            asked += usize::from(key.is_some() && *name == NODE[0]);
            let written = if path == "/fin" || path.starts_with("/fin/") {
                "fin"
            } else {
                "rest"
            };
            for reading in &readings {
                // a path with a line end in it goes on in lines of its own
                let Some((there @ ("fin" | "rest"), how)) = reading.split_once(' ') else {
                    continue;
                };
                match key {
                    Some(key) if there != key => {
                        writeln!(
                            wrong,
                            "{path} gets the key of {key}; {name} reads {there}: {how}"
                        )
                        .unwrap();
                    }
                    None if there != written => {
                        avoided.insert((*name, path));
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "seed {seed}:\n{wrong}");
    // else the generator or the servers had nothing to disagree about
    assert!(asked >= 2_000, "only {asked} paths get a key");
    for name in NGINX.iter().chain(&HAPROXY).chain(&NODE) {
        let count = avoided.iter().filter(|(server, _)| server == name).count();
        assert!(
            count >= 20 || *name == "haproxy",
            "{name} read only {count} refused paths otherwise than written"
        );
    }
}
