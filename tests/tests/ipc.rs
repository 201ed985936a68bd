//! The control socket seen from outside: one daemon a home, whoever starts it and however often;
//! nobody else's business; nothing that arrives on it breaks it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use authsome_proto::hello::{Encoding, Hello};
use authsome_proto::request::{Login, LoginVia};
use authsome_proto::response::LoginStep;
use authsome_proto::{Request, Response, ServerFrame, frame, hello};
use authsome_tests::control::{greeted, hear, say};
use authsome_tests::user::is_root;
use authsome_tests::{Home, PlainUser, wait_until};

/// L8.
#[test]
fn fifty_first_starts_at_once_end_in_one_daemon_and_fifty_answers() {
    let home = Home::new();
    let clients: Vec<_> = (0..50)
        .map(|number| {
            let client = home.authsome(["status", "--json"]);
            // half of them as under cron, without the runtime variable
            if number % 2 == 0 {
                client
            } else {
                client.env_remove("XDG_RUNTIME_DIR")
            }
            .spawn()
        })
        .collect();
    let pids: Vec<_> = clients
        .into_iter()
        .map(|client| client.wait().succeeded().json()["pid"].clone())
        .collect();
    assert_eq!(pids.len(), 50);
    assert!(
        pids.iter().all(|pid| *pid == pids[0]),
        "several daemons answered: {pids:?}"
    );
    assert_eq!(home.daemon_pid().map(u64::from), pids[0].as_u64());
    assert_eq!(daemons_of(&home).len(), 1);
}

/// L8: what a crash leaves behind is no obstacle.
#[test]
fn a_stale_socket_and_lock_file_are_taken_over() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let (socket, before) = (home.control_socket(), home.daemon_pid());
    home.crash_daemon();
    assert!(socket.exists(), "the crash left the socket");
    home.authsome(["status"]).output().succeeded();
    assert_ne!(home.daemon_pid(), before);
}

#[test]
fn stopping_leaves_no_socket_and_no_process() {
    let home = Home::new();
    home.authsome(["daemon", "start"]).output().succeeded();
    let (socket, pid) = (home.control_socket(), home.daemon_pid().unwrap());
    home.authsome(["daemon", "stop"]).output().succeeded();
    assert!(
        authsome_tests::home::is_gone(pid),
        "stop returned before the daemon was gone"
    );
    assert!(!socket.exists());
    home.authsome(["daemon", "status"]).output().exited(3);
    home.authsome(["daemon", "stop"]).output().succeeded();
}

#[test]
fn folders_and_socket_are_for_the_owner_alone() {
    let home = Home::new();
    home.login("intercom");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = home.control_socket();
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    let mut pending = vec![home.path()];
    while let Some(path) = pending.pop() {
        // the test wrote this one itself
        if path.ends_with("config.toml") {
            continue;
        }
        assert_eq!(
            mode(&path) & 0o077,
            0,
            "{} is open to others",
            path.display()
        );
        if path.is_dir() {
            pending.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
}

/// L2: the file system would let this peer in; the kernel's word on who it is does not.
#[test]
fn a_peer_of_another_user_is_refused() {
    let Some(other) = PlainUser::other() else {
        return not_root();
    };
    let home = Home::builder().user(&PlainUser::any()).build();
    home.authsome(["status"]).output().succeeded();
    let socket = home.control_socket();
    open_the_way(&socket);
    let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(10); \
        s.connect(sys.argv[1]); \
        s.sendall(bytes.fromhex('00000010') + b'AUTHSOME' + bytes.fromhex('0001000101023030')); \
        print(len(s.recv(100)) > 0)";
    let greet = |user: &PlainUser| {
        authsome_tests::Invocation::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(&socket)
            .prefixed(&user.prefix())
            .env("PATH", "/usr/bin:/bin")
            .output()
    };
    let own = greet(&PlainUser::any()).succeeded();
    assert_eq!(own.line(), "True", "the owner is greeted\n{own}");
    let foreign = greet(&other);
    let cut = ["ConnectionReset", "BrokenPipe"]
        .iter()
        .any(|error| foreign.stderr.contains(error));
    assert!(
        foreign.line() == "False" || cut,
        "another user is greeted\n{foreign}"
    );
}

/// L2, the other way round: a server of another user is not believed.
#[test]
fn a_client_refuses_a_daemon_of_another_user() {
    if !is_root() {
        return not_root();
    }
    let user = PlainUser::any();
    let home = Home::builder().user(&user).build();
    home.authsome(["status"]).output().succeeded();
    let socket = home.control_socket();
    home.crash_daemon();
    std::fs::remove_file(&socket).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    // somebody must hold the lock for the client to believe the note: we do
    let _held = authsome_tests::wait_for("the dead daemon's lock", Duration::from_secs(5), || {
        let path = home.path().join("daemon.lock");
        let lock = std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock).ok()
    });
    let canary = home.canary();
    let client = home
        .authsome(["login", "intercom", "--stdin"])
        .stdin(canary.secret())
        .timeout(Duration::from_secs(30))
        .spawn();
    listener.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut accepted = Vec::new();
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        if let Ok((stream, _)) = listener.accept() {
            stream
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
            accepted.push(stream);
        }
        for stream in &mut accepted {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap_or(0);
            heard.extend_from_slice(&buffer[..count]);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop((accepted, listener));
    let output = client.wait();
    assert_ne!(output.code(), Some(0), "{output}");
    assert_eq!(canary.search("what the false daemon heard", &heard), []);
}

/// L9.
#[test]
fn garbage_frames_hurt_nobody() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let (socket, pid) = (home.control_socket(), home.daemon_pid());
    let before = home.daemon_rss();
    let greeting = hello_frame();
    let mut random = std::fs::File::open("/dev/urandom").unwrap();
    for round in 0..200_u32 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut noise = vec![0; (round as usize * 37) % 2000];
        random.read_exact(&mut noise).unwrap();
        // some garbage at once, some behind a proper greeting, some as a frame that lies
        let mut bytes = if round % 2 == 0 {
            greeting.clone()
        } else {
            Vec::new()
        };
        match round % 5 {
            0 => bytes.extend_from_slice(&[0xff; 4]),
            1 => bytes.extend_from_slice(&(1_048_576_u32).to_be_bytes()),
            2 => {
                let len = u32::try_from(noise.len()).unwrap();
                bytes.extend_from_slice(&len.to_be_bytes());
                bytes.extend_from_slice(&noise);
            }
            3 => bytes.extend_from_slice(&0_u32.to_be_bytes()),
            _ => bytes.extend_from_slice(&noise),
        }
        // refused in the middle is what we want
        let _refused = stream.write_all(&bytes);
    }
    home.authsome(["status"]).output().succeeded();
    assert_eq!(home.daemon_pid(), pid, "the daemon was not replaced");
    let growth = home.daemon_rss().saturating_sub(before);
    assert!(growth < 16 << 20, "grew by {growth} bytes");
}

/// L9: a peer that stalls in the middle of a frame holds up nobody and is let go.
#[test]
fn a_peer_that_stalls_holds_up_nobody() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let mut stalled: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(home.control_socket()).unwrap())
        .collect();
    for stream in &mut stalled {
        stream.write_all(&[0, 0]).unwrap();
    }
    let status = home
        .authsome(["status"])
        .timeout(Duration::from_secs(10))
        .output()
        .succeeded();
    assert!(status.took < Duration::from_secs(3), "{status}");
    let first = &mut stalled[0];
    first
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(
        first.read(&mut [0; 1]).unwrap_or(0),
        0,
        "it is closed in the end"
    );
}

/// L10.
#[test]
fn a_client_of_a_later_protocol_is_told_so() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let mut stream = UnixStream::connect(home.control_socket()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let later = Hello {
        lowest: 900,
        highest: 901,
        encoding: Encoding::BINCODE,
        build: "later".into(),
    };
    frame::write(&mut stream, &later.to_bytes()).unwrap();
    let answer = frame::read(&mut stream, hello::HELLO_MAX).unwrap();
    let answer = Hello::from_bytes(&answer).unwrap();
    assert_eq!(
        (answer.lowest, answer.encoding),
        (hello::LOWEST, Encoding::NONE)
    );
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "and closed");
}

#[test]
fn several_requests_in_flight_are_each_answered_once() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let mut stream = greeted(&home.control_socket(), Encoding::BINCODE).unwrap();
    for id in 1..=20 {
        say(&mut stream, Encoding::BINCODE, id, Request::Status).unwrap();
    }
    let mut answered = Vec::new();
    while answered.len() < 20 {
        match hear(&mut stream, Encoding::BINCODE).unwrap() {
            ServerFrame::Answer { id, result } => {
                result.unwrap();
                answered.push(id);
            }
            ServerFrame::Event { .. } => panic!("nothing was subscribed to"),
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=20).collect::<Vec<_>>());
}

/// Somebody who presses Ctrl-C at once: the client asks to wait, and is gone before it is served.
#[test]
fn a_login_is_given_up_although_its_client_left_at_once() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let mut pages = Vec::new();
    for number in 0..20 {
        let mut stream = greeted(&home.control_socket(), Encoding::BINCODE).unwrap();
        let request = Request::Login(Login {
            provider: "intercom".parse().unwrap(),
            connection: Some(format!("c{number}").parse().unwrap()),
            force: false,
            via: LoginVia::Form,
            region: None,
            flow: None,
            scopes: Vec::new(),
            base_url: None,
            client_id: None,
        });
        say(&mut stream, Encoding::BINCODE, 1, request).unwrap();
        let answer = hear(&mut stream, Encoding::BINCODE).unwrap();
        let ServerFrame::Answer { result, .. } = answer else {
            panic!("{answer:?}");
        };
        let Ok(Response::LoginStarted(begun)) = result else {
            panic!("{result:?}");
        };
        let LoginStep::Form { url, .. } = &begun.step else {
            panic!("{begun:?}");
        };
        pages.push(url.split('/').nth(2).unwrap().to_owned());
        let login = begun.login.clone();
        let request = Request::LoginWait { login };
        say(&mut stream, Encoding::BINCODE, 2, request).unwrap();
    }
    pages.dedup();
    wait_until("the pages to be gone", Duration::from_secs(20), || {
        pages.iter().all(|page| TcpStream::connect(page).is_err())
    });
}

/// L7.
#[test]
fn prepared_runtime_folders_are_refused_with_a_reason() {
    type Prepare = fn(&std::path::Path, &std::path::Path);
    let cases: [(&str, Prepare); 4] = [
        ("open to all", |folder, _| {
            std::fs::create_dir(folder).unwrap();
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("a symbolic link", |folder, elsewhere| {
            std::os::unix::fs::symlink(elsewhere, folder).unwrap();
        }),
        ("a file", |folder, _| std::fs::write(folder, "").unwrap()),
        ("a named pipe", |folder, _| {
            nix::unistd::mkfifo(folder, nix::sys::stat::Mode::S_IRWXU).unwrap();
        }),
    ];
    for (what, prepare) in cases {
        let home = Home::new();
        home.authsome(["status"]).output().succeeded();
        let folder = home.control_socket().parent().unwrap().to_owned();
        home.authsome(["daemon", "stop"]).output().succeeded();
        std::fs::remove_dir_all(&folder).unwrap();
        prepare(&folder, &home.work());
        let output = home
            .authsome(["status"])
            .timeout(Duration::from_secs(30))
            .output();
        assert!(
            matches!(output.code(), Some(1 | 3)),
            "{what} was accepted\n{output}"
        );
        assert!(
            output.stderr.contains(folder.to_str().unwrap()),
            "{what} is not named\n{output}"
        );
        assert_eq!(home.daemon_pid(), None, "{what}: a daemon is left");
    }
}

#[test]
fn a_daemon_that_cannot_start_says_why_on_the_terminal() {
    let home = Home::builder()
        .config("\n[proxi]\nunmatched = \"deny\"\n")
        .build();
    let output = home.authsome(["status"]).output();
    assert!(matches!(output.code(), Some(1 | 3)), "{output}");
    output.said(&["config.toml", "line", "proxi", "did you mean `proxy`"]);
}

#[test]
fn a_home_whose_socket_path_is_too_long_says_so() {
    let home = Home::new();
    let long = home.work().join("x".repeat(100));
    let output = home
        .authsome(["status"])
        .env("AUTHSOME_HOME", &long)
        .env_remove("XDG_RUNTIME_DIR")
        .output();
    assert!(matches!(output.code(), Some(1 | 3)), "{output}");
    output.said(&["103"]);
}

/// What the daemon inherits it would hold for as long as it lives: a lock of a cron job, the pipe of
/// `$(authsome …)`.
#[test]
fn the_daemon_holds_no_descriptor_of_its_starter() {
    let home = Home::new();
    let script = "exec 9>held; authsome status >/dev/null";
    home.command("sh").args(["-c", script]).output().succeeded();
    let held = home.work().join("held");
    let folder = format!("/proc/{}/fd", home.daemon_pid().unwrap());
    for entry in std::fs::read_dir(folder).unwrap() {
        assert_ne!(std::fs::read_link(entry.unwrap().path()).unwrap(), held);
    }
}

/// L4: what belongs to the daemon cannot be read by another program of the same user.
#[test]
fn the_daemons_memory_is_closed_to_its_own_user() {
    let user = PlainUser::any();
    let home = Home::builder().user(&user).build();
    home.login("intercom");
    let pid = home.daemon_pid().unwrap();
    for file in ["environ", "maps", "mem"] {
        let output = home
            .command("cat")
            .arg(format!("/proc/{pid}/{file}"))
            .output();
        assert_ne!(output.code(), Some(0), "{file} can be read");
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let output = home
        .command("strace")
        .args(["-f", "-e", "trace=none", "-p"])
        .arg(pid.to_string())
        .timeout(Duration::from_secs(10))
        .output();
    assert_ne!(output.code(), Some(0), "it can be traced");
}

fn hello_frame() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, &Hello::ours(Encoding::BINCODE).to_bytes()).unwrap();
    bytes
}

/// Everybody may pass to `socket` and write to it.
fn open_the_way(socket: &std::path::Path) {
    for part in socket.ancestors() {
        let meta = std::fs::metadata(part).unwrap();
        if part.starts_with("/tmp/") && meta.uid() != 0 {
            let mode = meta.permissions().mode() | 0o077;
            std::fs::set_permissions(part, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

fn daemons_of(home: &Home) -> Vec<u32> {
    let mark = home.path();
    authsome_tests::canary::pids()
        .into_iter()
        .filter(|pid| {
            let read = |file| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            read("comm") == b"authsomed\n"
                && authsome_tests::canary::find(
                    &read("environ"),
                    mark.as_os_str().as_encoded_bytes(),
                )
                .is_some()
        })
        .collect()
}

fn not_root() {
    panic!("needs root, to become another user: run the tests as root");
}

#[test]
fn daemon_restart_replaces_the_process() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let before = home.daemon_pid();
    home.authsome(["daemon", "restart"]).output().succeeded();
    wait_until("a new daemon", Duration::from_secs(10), || {
        home.daemon_pid().is_some_and(|pid| Some(pid) != before)
    });
}
