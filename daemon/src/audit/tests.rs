//! The log as a whole: crashes, tampering and failing disks.

use std::fs::File;
use std::io::{BufRead as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

const SMALL: Limits = Limits {
    file_len: 2400,
    files: 4,
};

/// Small files of which none is deleted.
const ENDLESS: Limits = Limits {
    file_len: 4000,
    files: usize::MAX,
};

fn key() -> AuditKey {
    AuditKey::derive(b"the install secret of this test")
}

fn record(n: u64) -> Record {
    Record {
        run: Some("r1".parse().unwrap()),
        provider: Some(
            if n.is_multiple_of(2) {
                "intercom"
            } else {
                "github"
            }
            .parse()
            .unwrap(),
        ),
        request: Some(n),
        host: Some("api.intercom.io".into()),
        path: Some(format!("/contacts/{n}").into()),
        ..Record::new(Event::Inject)
    }
}

fn journal(dir: &TempDir, limits: Limits) -> Journal<Folder> {
    Journal::open(Folder::new(dir.path()), &key(), limits).unwrap()
}

fn fill(dir: &TempDir, records: u64) {
    let mut journal = journal(dir, SMALL);
    for n in 0..records {
        journal.append(&record(n));
        journal.write(|_| ()).unwrap();
        journal.sync().unwrap();
    }
}

fn verified(dir: &TempDir) -> Result<Verified, Broken> {
    verify(dir.path(), &key()).unwrap()
}

fn path(dir: &TempDir, number: u64) -> PathBuf {
    Folder::new(dir.path()).path(number)
}

fn lines_of(dir: &TempDir, number: u64) -> Vec<String> {
    std::fs::read_to_string(path(dir, number))
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn rewrite(dir: &TempDir, number: u64, lines: &[String]) {
    let mut file = File::create(path(dir, number)).unwrap();
    for line in lines {
        writeln!(file, "{line}").unwrap();
    }
}

#[test]
fn empty_folder_verifies_and_files_are_private() {
    let dir = TempDir::new().unwrap();
    assert_eq!(verified(&dir).unwrap().records, 0);
    let audit = Audit::open(&dir.path().join("audit"), &key()).unwrap();
    drop(audit);
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path().join("audit")), 0o700);
    assert_eq!(mode(dir.path().join("audit/audit-00000001.jsonl")), 0o600);
}

#[tokio::test]
async fn records_are_read_back_newest_last_and_filtered() {
    let dir = TempDir::new().unwrap();
    let audit = Audit::open_on(Folder::new(dir.path()), &key(), SMALL).unwrap();
    let mut following = audit.subscribe();
    for n in 0..100 {
        audit.record(record(n)).await.unwrap();
    }
    audit.flush().await.unwrap();
    assert!(!verified(&dir).unwrap().unfinished);
    let last = tail(dir.path(), 2, &Filter::default()).unwrap();
    assert!(
        last[1].contains("/contacts/99") && last[0].contains("/contacts/98"),
        "{last:?}"
    );
    let github = Filter {
        provider: Some("github".parse().unwrap()),
        ..Filter::default()
    };
    let last = tail(dir.path(), 3, &github).unwrap();
    assert!(
        last[0].contains("/contacts/95") && last.len() == 3,
        "{last:?}"
    );
    let none = Filter {
        run: Some("r2".parse().unwrap()),
        ..Filter::default()
    };
    assert!(tail(dir.path(), 3, &none).unwrap().is_empty());
    assert!(following.recv().await.unwrap().contains("/contacts/0\""));
}

#[tokio::test]
async fn chain_goes_on_after_a_restart_and_old_files_are_deleted_on_record() {
    let dir = TempDir::new().unwrap();
    for _ in 0..10 {
        fill(&dir, 20);
    }
    let found = verified(&dir).unwrap();
    assert_eq!(found.files, 4);
    assert!(found.pruned > 2, "{found:?}");
    assert!(!path(&dir, 1).exists());
}

#[test]
fn flipped_byte_is_found_with_file_and_line() {
    let dir = TempDir::new().unwrap();
    fill(&dir, 30);
    let mut lines = lines_of(&dir, 2);
    lines[3] = lines[3].replace("inject", "reject");
    rewrite(&dir, 2, &lines);
    let broken = verified(&dir).unwrap_err();
    let reason = BreakReason::Line(LineFault::Mac);
    assert_eq!(
        broken.first,
        Break {
            file: path(&dir, 2),
            line: Some(4),
            reason
        }
    );
    assert!(
        broken
            .to_string()
            .contains("audit-00000002.jsonl`, line 4: its MAC"),
        "{broken}"
    );
}

#[test]
fn deleted_swapped_and_repeated_lines_are_found() {
    let changes: [fn(&mut Vec<String>); 4] = [
        |lines| drop(lines.remove(4)),
        |lines| lines.swap(4, 5),
        |lines| lines.insert(4, lines[3].clone()),
        |lines| lines[4] = String::new(),
    ];
    for change in changes {
        let dir = TempDir::new().unwrap();
        fill(&dir, 30);
        let mut lines = lines_of(&dir, 2);
        change(&mut lines);
        rewrite(&dir, 2, &lines);
        let broken = verified(&dir).unwrap_err();
        assert_eq!(
            (broken.first.file, broken.first.line),
            (path(&dir, 2), Some(5))
        );
    }
}

#[test]
fn file_cut_in_the_middle_of_the_log_is_found() {
    let dir = TempDir::new().unwrap();
    fill(&dir, 30);
    let mut lines = lines_of(&dir, 1);
    lines.pop();
    rewrite(&dir, 1, &lines);
    let broken = verified(&dir).unwrap_err();
    assert_eq!(
        (broken.first.file, broken.first.reason),
        (path(&dir, 2), BreakReason::Gap)
    );
}

#[test]
fn deleted_files_are_found_first_middle_and_emptied() {
    for number in [1, 2] {
        let dir = TempDir::new().unwrap();
        fill(&dir, 30);
        std::fs::remove_file(path(&dir, number)).unwrap();
        let broken = verified(&dir).unwrap_err();
        assert_eq!(
            (broken.first.file, broken.first.reason),
            (path(&dir, number), BreakReason::Missing)
        );
    }
    let dir = TempDir::new().unwrap();
    fill(&dir, 30);
    rewrite(&dir, 2, &[]);
    assert_eq!(verified(&dir).unwrap_err().first.file, path(&dir, 2));
}

#[test]
fn another_key_verifies_nothing() {
    let dir = TempDir::new().unwrap();
    fill(&dir, 3);
    assert!(
        verify(dir.path(), &AuditKey::derive(b"another"))
            .unwrap()
            .is_err()
    );
}

#[test]
fn torn_last_line_is_cut_off_and_recorded() {
    let dir = TempDir::new().unwrap();
    fill(&dir, 3);
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path(&dir, 1))
        .unwrap();
    file.write_all(b"{\"time\":\"2026-\0\0").unwrap();
    assert!(verified(&dir).unwrap().unfinished);
    fill(&dir, 1);
    assert!(!verified(&dir).unwrap().unfinished);
    let torn = Filter {
        event: Some(Event::TornLine),
        ..Filter::default()
    };
    let torn = tail(dir.path(), 9, &torn).unwrap();
    assert!(
        torn.len() == 1 && torn[0].contains("\"file\":1,\"cut\":16"),
        "{torn:?}"
    );
}

/// A crash between making a file and its first line, at every file.
#[test]
fn file_without_a_whole_line_is_begun_again() {
    for (number, text) in [(1, ""), (1, "{\"ti"), (2, ""), (2, "{\"ti")] {
        let dir = TempDir::new().unwrap();
        if number > 1 {
            fill(&dir, 3);
        }
        File::create(path(&dir, number))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        fill(&dir, 1);
        assert!(verified(&dir).is_ok(), "{number} {text:?}");
    }
}

#[test]
fn broken_file_is_kept_and_a_new_one_says_so() {
    let dir = TempDir::new().unwrap();
    fill(&dir, 5);
    let mut lines = lines_of(&dir, 1);
    lines[2] = lines[2].replace("inject", "reject");
    rewrite(&dir, 1, &lines);
    fill(&dir, 5);
    assert_eq!(lines_of(&dir, 1), lines);
    let first = lines_of(&dir, 2)[0].clone();
    assert!(
        first.contains("\"event\":\"chain_broken\"") && first.contains("\"line\":3"),
        "{first}"
    );
    let broken = verified(&dir).unwrap_err();
    assert_eq!(
        (broken.first.line, broken.others.len()),
        (Some(3), 0),
        "{broken:?}"
    );
}

#[test]
fn what_others_do_to_the_open_file_is_recorded() {
    let changes: [fn(&Path); 3] = [
        |path| {
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(300)
                .unwrap();
        },
        |path| {
            File::options()
                .append(true)
                .open(path)
                .unwrap()
                .write_all(b"x\n")
                .unwrap();
        },
        |path| std::fs::remove_file(path).unwrap(),
    ];
    for change in changes {
        let dir = TempDir::new().unwrap();
        let mut journal = journal(&dir, SMALL);
        for n in 0..4 {
            if n == 2 {
                change(&path(&dir, 1));
            }
            journal.append(&record(n));
            journal.write(|_| ()).unwrap();
            journal.sync().unwrap();
        }
        let broken = verified(&dir).unwrap_err();
        assert_eq!(broken.first.file, path(&dir, 1), "{broken:?}");
        let lines = lines_of(&dir, 2);
        assert!(
            lines[0].contains("chain_broken") && lines.len() == 3,
            "{lines:?}"
        );
    }
}

/// A folder whose disk fails on demand (threat S2).
struct Faulty {
    folder: Folder,
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Error number of appends; half of the bytes are written before it.
    append: AtomicI32,
    sync: AtomicI32,
    truncate: AtomicBool,
    /// Syncs that began.
    begun: AtomicUsize,
    /// Syncs that succeeded.
    synced: AtomicUsize,
    /// A sync takes as long as this is set.
    slow: AtomicBool,
}

impl Faults {
    fn of(number: &AtomicI32) -> io::Result<()> {
        match number.load(Ordering::SeqCst) {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }
}

impl Disk for Faulty {
    fn list(&self) -> io::Result<Vec<u64>> {
        self.folder.list()
    }

    fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.folder.read(number)
    }

    fn create(&self, number: u64) -> io::Result<File> {
        self.folder.create(number)
    }

    fn open(&self, number: u64) -> io::Result<File> {
        self.folder.open(number)
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = Faults::of(&self.faults.append) {
            self.folder.append(file, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.folder.append(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        Faults::of(&self.faults.sync)?;
        self.faults.begun.fetch_add(1, Ordering::SeqCst);
        while self.faults.slow.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.folder.sync(file)?;
        self.faults.synced.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        if self.faults.truncate.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(nix::libc::EIO));
        }
        self.folder.truncate(file, len)
    }

    fn len(&self, file: &File) -> io::Result<Option<u64>> {
        self.folder.len(file)
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.folder.remove(number)
    }
}

fn faulty(dir: &TempDir) -> (Audit, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let disk = Faulty {
        folder: Folder::new(dir.path()),
        faults: Arc::clone(&faults),
    };
    (Audit::open_on(disk, &key(), SMALL).unwrap(), faults)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Threat S2: a full disk refuses records, keeps what it took, and recovers by itself.
#[tokio::test]
async fn full_disk_refuses_records_until_there_is_room_and_loses_none() {
    for cannot_cut in [false, true] {
        let dir = TempDir::new().unwrap();
        let (audit, faults) = faulty(&dir);
        audit.record_durable(record(0)).await.unwrap();
        faults.append.store(nix::libc::ENOSPC, Ordering::SeqCst);
        faults.truncate.store(cannot_cut, Ordering::SeqCst);
        let error = audit.record_durable(record(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "the audit log cannot be written");
        let error = audit.record(record(2)).await.unwrap_err();
        assert!(matches!(&error, AuditError::Write(e) if e.kind() == io::ErrorKind::StorageFull));
        faults.append.store(0, Ordering::SeqCst);
        faults.truncate.store(false, Ordering::SeqCst);
        until("the disk is tried again", || audit.failure().is_none()).await;
        audit.record_durable(record(3)).await.unwrap();
        verified(&dir).unwrap();
        let all = tail(
            dir.path(),
            99,
            &Filter {
                event: Some(Event::Inject),
                ..Filter::default()
            },
        );
        let all = all.unwrap();
        for (line, n) in all.iter().zip([0, 1, 3]) {
            assert!(
                line.contains(&format!("\"request\":{n},")),
                "{cannot_cut} {all:#?}"
            );
        }
        assert_eq!(all.len(), 3);
    }
}

/// Threat S2, J2: after a failed sync the file is never trusted again.
#[tokio::test]
async fn failed_sync_is_final_for_its_file() {
    let dir = TempDir::new().unwrap();
    let (audit, faults) = faulty(&dir);
    audit.record_durable(record(0)).await.unwrap();
    faults.sync.store(nix::libc::EIO, Ordering::SeqCst);
    audit.record_durable(record(1)).await.unwrap_err();
    audit.record(record(2)).await.unwrap_err();
    faults.sync.store(0, Ordering::SeqCst);
    until("the disk is tried again", || audit.failure().is_none()).await;
    audit.record_durable(record(3)).await.unwrap();
    drop(audit);
    let newest = Folder::new(dir.path()).list().unwrap().pop().unwrap();
    assert!(newest >= 2);
    let text = lines_of(&dir, newest).join("\n");
    assert!(
        text.contains("\"request\":1,") && text.contains("\"after\":2"),
        "{text}"
    );
    verified(&dir).unwrap();
    // what the first file holds after its last good sync may be anything
    let mut lines = lines_of(&dir, 1);
    lines.truncate(2);
    lines.push("rubbish".into());
    rewrite(&dir, 1, &lines);
    verified(&dir).unwrap();
    lines.truncate(1);
    rewrite(&dir, 1, &lines);
    verified(&dir).unwrap_err();
}

/// A3: a record that nobody waits for is written and synced soon all the same.
#[tokio::test]
async fn record_is_made_safe_without_being_waited_for() {
    let dir = TempDir::new().unwrap();
    let (audit, faults) = faulty(&dir);
    let before = faults.synced.load(Ordering::SeqCst);
    audit.try_record(record(7)).unwrap();
    until("it is synced", || {
        faults.synced.load(Ordering::SeqCst) > before
    })
    .await;
    assert!(lines_of(&dir, 1)[1].contains("\"request\":7,"));
}

/// A1: when the disk is slow and the queue full, a record waits, and none is lost.
#[tokio::test]
async fn full_queue_makes_records_wait() {
    let dir = TempDir::new().unwrap();
    let faults = Arc::new(Faults::default());
    let disk = Faulty {
        folder: Folder::new(dir.path()),
        faults: Arc::clone(&faults),
    };
    let limits = Limits {
        files: usize::MAX,
        ..Limits::default()
    };
    let audit = Audit::open_on(disk, &key(), limits).unwrap();
    let before = faults.begun.load(Ordering::SeqCst);
    faults.slow.store(true, Ordering::SeqCst);
    let mut taken = 1;
    audit.try_record(record(0)).unwrap();
    while faults.begun.load(Ordering::SeqCst) == before {
        std::thread::yield_now();
    }
    let refused = loop {
        match audit.try_record(record(taken)) {
            Ok(()) => taken += 1,
            Err(TryRecordError::Full(record)) => break record,
            Err(TryRecordError::Failed(error)) => panic!("{error}"),
        }
    };
    assert_eq!(taken, 1 + u64::try_from(QUEUE_LEN).unwrap());
    let waiting = tokio::spawn({
        let audit = audit.clone();
        async move { audit.record(*refused).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    faults.slow.store(false, Ordering::SeqCst);
    waiting.await.unwrap().unwrap();
    audit.flush().await.unwrap();
    let found = verified(&dir).unwrap();
    assert_eq!(found.records, taken + 2);
}

/// A3: killed at any moment, the log verifies, and what was called durable is there.
#[test]
fn killed_writer_leaves_a_log_that_verifies_with_every_durable_record() {
    let dir = TempDir::new().unwrap();
    let rounds = 12;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "audit::tests::writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("AUDIT_TEST_DIR", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut acknowledged = Vec::new();
        let output = io::BufReader::new(child.stdout.take().unwrap());
        // a different number of acknowledged records each round, so a different instant
        for line in output.lines() {
            if let Some(n) = line.unwrap().strip_prefix("durable ") {
                acknowledged.push(n.to_owned());
                if acknowledged.len() > 3 + 7 * round {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        drop(journal(&dir, ENDLESS));
        verified(&dir).unwrap();
        let all = tail(dir.path(), usize::MAX, &Filter::default())
            .unwrap()
            .join("\n");
        assert!(acknowledged.len() > 3);
        for n in acknowledged.iter().rev().take(20) {
            assert!(all.contains(&format!("\"request\":{n},")), "{n} is lost");
        }
    }
}

#[test]
#[ignore = "run by killed_writer_leaves_a_log_that_verifies_with_every_durable_record"]
fn writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os("AUDIT_TEST_DIR") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let audit = Audit::open_on(Folder::new(Path::new(&dir)), &key(), ENDLESS).unwrap();
        for n in 0_u64.. {
            for m in 0..20 {
                audit.record(record(1_000_000 + n * 20 + m)).await.unwrap();
            }
            audit.record_durable(record(n)).await.unwrap();
            println!("durable {n}");
        }
    });
}

/// Prints what one record costs; run by hand with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_a_record() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let cpu = || {
        let used =
            nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
        let micros = |t: nix::sys::time::TimeVal| t.tv_sec() * 1_000_000 + t.tv_usec();
        micros(used.user_time()) + micros(used.system_time())
    };
    runtime.block_on(async {
        let audit = Audit::open(&dir.path().join("audit"), &key()).unwrap();
        // paced below what the thread can write, as requests are
        let (rounds, batch) = (200_u32, 100_u32);
        let prepared: Vec<_> = (0..rounds * batch).map(|n| record(n.into())).collect();
        let (mut spent, cpu_before) = (Duration::ZERO, cpu());
        let mut prepared = prepared.into_iter();
        for _ in 0..rounds {
            let start = Instant::now();
            for record in prepared.by_ref().take(usize::try_from(batch).unwrap()) {
                audit.record(record).await.unwrap();
            }
            spent += start.elapsed();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        audit.flush().await.unwrap();
        println!(
            "paced: {:?} per record for the caller",
            spent / (rounds * batch)
        );
        println!(
            "paced: {} ns of CPU per record in all",
            (cpu() - cpu_before) * 1000 / 20_000
        );
        let prepared: Vec<_> = (0..200_000).map(record).collect();
        let start = Instant::now();
        for record in prepared {
            audit.record(record).await.unwrap();
        }
        audit.flush().await.unwrap();
        println!(
            "flood: {:?} per record through the disk",
            start.elapsed() / 200_000
        );
    });
}
