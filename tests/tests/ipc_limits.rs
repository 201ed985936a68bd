//! What the control socket costs when clients are many, slow or mad (threats L9, H12): memory and
//! descriptors stay, and a good client is served.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use authsome_proto::frame::{self, FRAME_MAX};
use authsome_proto::hello::Encoding;
use authsome_proto::request::Explain;
use authsome_proto::{ClientFrame, Request, ServerFrame};
use authsome_tests::control::{greeted, hear, say};
use authsome_tests::{Home, wait_for, wait_until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Memory that a daemon under attack may grow by. The same daemon varies by a few MiB when it serves
/// good clients only.
const GROWTH_MAX: u64 = 32 << 20;

/// How long a client is served after a crowd at the latest (H12).
const SERVED: Duration = Duration::from_secs(5);

/// The places for clients, see `docs/protocol.md`.
const PLACES: usize = 256 + 32;

fn started() -> Home {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    home
}

fn descriptors(home: &Home) -> usize {
    let pid = home.daemon_pid().expect("the daemon runs");
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count()
}

fn ask(stream: &mut UnixStream, id: u32, request: Request) -> Option<ServerFrame> {
    say(stream, Encoding::BINCODE, id, request).ok()?;
    hear(stream, Encoding::BINCODE).ok()
}

fn is_served(socket: &Path) -> bool {
    greeted(socket, Encoding::BINCODE).is_some_and(|mut stream| {
        matches!(
            ask(&mut stream, 1, Request::Status),
            Some(ServerFrame::Answer { result: Ok(_), .. })
        )
    })
}

fn is_closed(stream: &mut UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

fn many_descriptors() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most.min(16_384), most).unwrap();
}

/// L9: the excess is closed at once, those that stay cost little, and who asks is served although
/// nobody leaves.
#[test]
fn ten_thousand_idle_clients_cost_no_memory_and_shut_nobody_out() {
    many_descriptors();
    let home = started();
    let (socket, pid) = (home.control_socket(), home.daemon_pid());
    let (memory, open) = (home.daemon_rss(), descriptors(&home));
    let mut crowd = Vec::new();
    for number in 0..10_000 {
        // some say nothing at all, the others greet and then nothing
        let client = if number % 8 == 0 {
            UnixStream::connect(&socket).ok()
        } else {
            greeted(&socket, Encoding::JSON)
        };
        crowd.extend(client);
    }
    let within = Instant::now();
    wait_until("a good client's answer", SERVED, || is_served(&socket));
    assert!(within.elapsed() < SERVED);
    home.authsome(["status"]).output().succeeded();
    let living = crowd
        .iter_mut()
        .filter_map(|client| (!is_closed(client)).then_some(()));
    let living = living.count();
    assert!(living <= PLACES, "{living} clients are there");
    let now = descriptors(&home);
    assert!(
        now <= open + 2 * (PLACES + 32),
        "{open} descriptors became {now}"
    );
    let growth = home.daemon_rss().saturating_sub(memory);
    assert!(growth < GROWTH_MAX, "grew by {growth} bytes");
    drop(crowd);
    wait_until("the descriptors to be closed", SERVED, || {
        descriptors(&home) <= open + 4
    });
    assert_eq!(home.daemon_pid(), pid, "the daemon was not replaced");
}

/// L9: a client that waits for something keeps its place.
#[test]
fn a_crowd_does_not_displace_who_listens() {
    let home = started();
    let socket = home.control_socket();
    let mut listener = greeted(&socket, Encoding::BINCODE).unwrap();
    let subscribe = ClientFrame::Request {
        id: 1,
        request: Request::Subscribe,
    };
    let payload = frame::encode(&subscribe, Encoding::BINCODE).unwrap();
    frame::write(&mut listener, &payload).unwrap();
    let mut crowd: Vec<UnixStream> = Vec::new();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        crowd.extend(greeted(&socket, Encoding::BINCODE));
    }
    assert!(crowd.len() > PLACES, "nobody had to make room for others");
    drop(crowd);
    home.login("intercom");
    let heard = frame::read(&mut listener, FRAME_MAX).expect("it is still there");
    let heard = frame::decode::<ServerFrame>(&heard, Encoding::BINCODE).unwrap();
    assert!(
        matches!(heard, ServerFrame::Event { id: 1, .. }),
        "{heard:?}"
    );
}

/// H12.
#[test]
fn five_hundred_clients_at_sixty_four_descriptors_then_normal_service() {
    many_descriptors();
    let home = Home::new();
    let script = "ulimit -n 64 && exec authsome status";
    home.command("sh").args(["-c", script]).output().succeeded();
    let (socket, pid) = (home.control_socket(), home.daemon_pid());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pid.unwrap())).unwrap();
    let limit = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    assert_eq!(limit.unwrap().split_whitespace().nth(3), Some("64"));
    // the log, the vault's key and the proxy's port are open from now on
    home.login("intercom");
    home.run(["true"]).output().succeeded();
    let open = descriptors(&home);
    let mut crowd: Vec<Option<UnixStream>> = (0..500)
        .map(|number| match number % 2 {
            0 => UnixStream::connect(&socket).ok(),
            _ => greeted(&socket, Encoding::BINCODE),
        })
        .collect();
    assert!(descriptors(&home) <= 60, "storage keeps some");
    // while they stay, files can be written
    wait_until("a good client's answer", SERVED, || is_served(&socket));
    let again = wait_for("a login beside the crowd", SERVED, || {
        let output = home
            .authsome(["login", "intercom", "--stdin", "--force"])
            .stdin(home.canary().secret())
            .output();
        (output.code() == Some(0)).then_some(output)
    });
    drop(again);
    crowd.clear();
    let begin = Instant::now();
    wait_until("normal service", SERVED, || {
        home.run(["true"]).output().code() == Some(0)
    });
    assert!(begin.elapsed() < SERVED);
    wait_until("the descriptors to be closed", SERVED, || {
        descriptors(&home) <= open + 4
    });
    assert_eq!(home.daemon_pid(), pid, "the daemon was not replaced");
}

/// L9: large frames of all clients share a budget; who does not finish one gives its room back.
#[test]
fn half_sent_megabytes_of_many_clients_cost_little_memory() {
    many_descriptors();
    let home = started();
    let (socket, memory) = (home.control_socket(), home.daemon_rss());
    let piece = vec![b' '; FRAME_MAX - 1];
    let mut crowd: Vec<UnixStream> = (0..250)
        .map(|_| {
            let mut stream = greeted(&socket, Encoding::JSON).expect("there is a place");
            let len = u32::try_from(FRAME_MAX).unwrap();
            stream.write_all(&len.to_be_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    let mut sent = vec![0; crowd.len()];
    let mut most = 0;
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        for (stream, sent) in crowd.iter_mut().zip(&mut sent) {
            if let Ok(count) = stream.write(&piece[*sent..]) {
                *sent += count;
            }
        }
        most = most.max(home.daemon_rss());
    }
    let growth = most.saturating_sub(memory);
    assert!(growth < GROWTH_MAX, "grew by {growth} bytes");
    let whole = sent.iter().filter(|sent| **sent == piece.len()).count();
    assert!(whole > 0, "nobody had any room");
    assert!(is_served(&socket), "small frames need no room");
    wait_until("all to be closed", Duration::from_secs(60), || {
        crowd.retain_mut(|stream| !is_closed(stream));
        crowd.is_empty()
    });
    let mut good = greeted(&socket, Encoding::BINCODE).unwrap();
    let answer = ask(&mut good, 1, large());
    assert!(
        matches!(answer, Some(ServerFrame::Answer { .. })),
        "there is room again"
    );
}

/// L9: the buffer of a large frame goes with it, and the room too.
#[test]
fn clients_that_sent_large_frames_hold_no_memory_afterwards() {
    many_descriptors();
    let home = started();
    let (socket, memory) = (home.control_socket(), home.daemon_rss());
    let clients: Vec<UnixStream> = (0..80)
        .map(|_| {
            let mut client = greeted(&socket, Encoding::BINCODE).expect("there is a place");
            let answer = ask(&mut client, 1, large());
            assert!(matches!(answer, Some(ServerFrame::Answer { .. })));
            client
        })
        .collect();
    let growth = home.daemon_rss().saturating_sub(memory);
    assert!(growth < GROWTH_MAX, "grew by {growth} bytes");
    drop(clients);
}

/// A request of nearly a whole frame.
fn large() -> Request {
    Request::Explain(Explain {
        method: "GET".into(),
        url: format!("https://example.org/{}", "a".repeat(FRAME_MAX - 64)),
        run: None,
        connections: Vec::new(),
        project: None,
    })
}

/// L9.
#[test]
fn a_hundred_thousand_random_frames_hurt_nobody() {
    random_frames(100_000);
}

/// L9, as the threat has it; some minutes.
#[test]
#[ignore = "takes minutes; run by hand"]
fn a_million_random_frames_hurt_nobody() {
    random_frames(1_000_000);
}

fn random_frames(count: u64) {
    let home = started();
    let (socket, pid) = (home.control_socket(), home.daemon_pid());
    let seeds = golden_requests();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    // the first ones warm the allocator up
    hurl(&socket, &seeds, &mut random, count / 20);
    let (memory, open) = (home.daemon_rss(), descriptors(&home));
    hurl(&socket, &seeds, &mut random, count);
    let growth = home.daemon_rss().saturating_sub(memory);
    assert!(growth < GROWTH_MAX / 2, "grew by {growth} bytes");
    wait_until("the descriptors to be closed", SERVED, || {
        descriptors(&home) <= open + 4
    });
    home.authsome(["status"]).output().succeeded();
    assert_eq!(home.daemon_pid(), pid, "the daemon was not replaced");
}

/// Sends so many frames, and connects anew whenever that was too much.
fn hurl(socket: &Path, seeds: &[(Encoding, Vec<u8>)], random: &mut Random, count: u64) {
    let mut connections: [Option<UnixStream>; 2] = [None, None];
    let mut sent = 0;
    while sent < count {
        let (encoding, seed) = &seeds[random.below(seeds.len())];
        let payload = random.change(seed);
        if !harmless(&payload, *encoding) {
            continue;
        }
        let connection = &mut connections[usize::from(*encoding == Encoding::JSON)];
        if connection.is_none() {
            *connection = greeted(socket, *encoding);
        }
        let written = connection
            .as_mut()
            .is_some_and(|stream| frame::write(stream, &payload).is_ok());
        // one that is understood is answered, and its id is used now; everything else is hung up on
        *connection = None;
        sent += u64::from(written);
    }
}

/// Whether the daemon survives that it is understood: it may become a request to stop.
fn harmless(payload: &[u8], encoding: Encoding) -> bool {
    match frame::decode::<ClientFrame>(payload, encoding) {
        Ok(ClientFrame::Request { request, .. }) => matches!(
            request,
            Request::Status | Request::Connections | Request::Runs | Request::WhoAmI
        ),
        Ok(ClientFrame::Cancel { .. }) | Err(_) => true,
    }
}

fn golden_requests() -> Vec<(Encoding, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/golden/v1");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("request_")
        })
        .collect();
    files.sort();
    assert!(files.len() > 60, "golden requests are missing");
    files
        .into_iter()
        .map(|path| {
            let json = path.extension().is_some_and(|ending| ending == "json");
            let encoding = if json {
                Encoding::JSON
            } else {
                Encoding::BINCODE
            };
            (encoding, std::fs::read(path).unwrap())
        })
        .collect()
}

/// xorshift64*: the same frames at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap()
    }

    /// A message with something wrong in it, or bytes that never were one.
    fn change(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len().max(1));
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), self.byte()),
                2 => bytes.extend_from_slice(seed),
                3 => {
                    let len = self.below(2000);
                    bytes = std::iter::repeat_with(|| self.byte()).take(len).collect();
                }
                _ => {
                    let byte = self.byte();
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
        bytes
    }
}
