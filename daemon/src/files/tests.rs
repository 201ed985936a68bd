//! Tests of the file rules: every failure of an atomic write, every crash, prepared folders.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use super::*;

const STEPS: [Step; 6] = [
    Step::OpenFolder,
    Step::Create,
    Step::Write,
    Step::SyncFile,
    Step::Rename,
    Step::SyncFolder,
];

fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_written_file_is_private_whatever_it_replaced() {
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("state");
    File::create(&target).unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o644)).unwrap();
    write_atomic(&target, b"new").unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"new");
    assert_eq!(mode_of(&target), 0o600);
    assert_eq!(names_in(home.path()), ["state"]);
}

/// A link in the target's place is replaced; what it points to is not written.
#[test]
fn a_link_is_replaced_and_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let (target, victim) = (home.path().join("state"), home.path().join("victim"));
    File::create(&victim).unwrap();
    symlink(&victim, &target).unwrap();
    write_atomic(&target, b"new").unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"");
    assert_eq!(std::fs::read(&target).unwrap(), b"new");
}

/// S2: a disk that fails at any step leaves the old content, and no temporary file.
#[test]
fn a_failure_at_any_step_changes_nothing() {
    for failing in STEPS {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("state");
        write_atomic(&target, b"old").unwrap();
        let error = write_with(&target, b"new", |step| match step {
            step if step == failing => Err(Errno::ENOSPC.into()),
            _ => Ok(()),
        })
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let expected: &[u8] = if error.is_in_place() { b"new" } else { b"old" };
        assert_eq!(std::fs::read(&target).unwrap(), expected, "{failing:?}");
        assert_eq!(error.is_in_place(), failing == Step::SyncFolder);
        assert_eq!(names_in(home.path()), ["state"], "{failing:?}");
    }
}

#[test]
fn leftovers_of_dead_writers_go_and_those_of_living_ones_stay() {
    let home = tempfile::tempdir().unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    let gone = dead.id();
    dead.wait().unwrap();
    let living = format!("{PREFIX}{}-7{SUFFIX}", std::os::unix::process::parent_id());
    for name in [&format!("{PREFIX}{gone}-0{SUFFIX}"), &living, ".other.tmp"] {
        File::create(home.path().join(name)).unwrap();
    }
    write_atomic(&home.path().join("state"), b"x").unwrap();
    let mut expected = vec![living, ".other.tmp".to_owned(), "state".to_owned()];
    expected.sort();
    assert_eq!(names_in(home.path()), expected);
}

/// L7: prepared folders. Each row prepares something at `home/it` and says what must come of it.
#[test]
fn prepared_folders_are_refused_with_the_reason() {
    type Prepare = fn(&Path);
    let rows: &[(&str, Prepare, &str)] = &[
        ("file", |it| drop(File::create(it).unwrap()), "it is a file"),
        (
            "link to a folder of ours",
            |it| {
                std::fs::create_dir(it.with_extension("real")).unwrap();
                symlink(it.with_extension("real"), it).unwrap();
            },
            "it is a symbolic link",
        ),
        (
            "dangling link",
            |it| symlink("/nowhere/at/all", it).unwrap(),
            "it is a symbolic link",
        ),
        (
            "link to itself",
            |it| symlink(it, it).unwrap(),
            "it is a symbolic link",
        ),
        (
            "FIFO",
            |it| nix::unistd::mkfifo(it, Mode::S_IRWXU).unwrap(),
            "it is a FIFO",
        ),
        (
            "socket",
            |it| drop(std::os::unix::net::UnixListener::bind(it).unwrap()),
            "it is a socket",
        ),
        (
            "world-writable",
            |it| folder(it, 0o777),
            "other users can write there (mode 0777)",
        ),
        (
            "group-writable",
            |it| folder(it, 0o770),
            "other users can write there (mode 0770)",
        ),
        (
            "sticky and open",
            |it| folder(it, 0o1777),
            "other users can write there (mode 1777)",
        ),
        (
            "below a world-writable folder",
            |it| {
                folder(it.parent().unwrap(), 0o777);
            },
            "other users can write there (mode 0777)",
        ),
    ];
    for (name, prepare, reason) in rows {
        let home = tempfile::tempdir().unwrap();
        let parent = home.path().join("parent");
        std::fs::create_dir(&parent).unwrap();
        let it = parent.join("it");
        prepare(&it);
        let error = create_private_dir(&it).unwrap_err();
        assert!(error.to_string().contains(reason), "{name}: {error}");
        assert!(error.hint().is_some(), "{name}");
    }
    for path in ["relative/it", "/tmp/../etc/it", "/"] {
        assert!(
            matches!(
                create_private_dir(Path::new(path)),
                Err(DirError::NotAbsolute(_))
            ),
            "{path}"
        );
    }
}

/// L7: folders of another user, at the end and on the way (a plain user can prepare
/// only the first).
#[test]
fn folders_of_another_user_are_refused() {
    if !geteuid().is_root() {
        let error = create_private_dir(Path::new("/usr")).unwrap_err();
        assert!(
            matches!(error, DirError::ForeignOwner { owner: 0, .. }),
            "{error}"
        );
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let foreign = home.path().join("foreign");
    folder(&foreign, 0o700);
    std::os::unix::fs::chown(&foreign, Some(65_534), None).unwrap();
    for path in [foreign.clone(), foreign.join("below")] {
        let error = create_private_dir(&path).unwrap_err();
        assert!(
            matches!(error, DirError::ForeignOwner { owner: 65_534, .. }),
            "{error}"
        );
    }
}

#[test]
fn missing_folders_are_made_private_and_readable_ones_are_closed() {
    let home = tempfile::tempdir().unwrap();
    let deep = home.path().join("a/b/c");
    create_private_dir(&deep).unwrap();
    create_private_dir(&deep).unwrap();
    for path in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode_of(&home.path().join(path)), 0o700, "{path}");
    }
    let open = home.path().join("open");
    folder(&open, 0o755);
    create_private_dir(&open).unwrap();
    assert_eq!(mode_of(&open), 0o700);
    // a link *above* is the user's own business, where only the user can place it
    symlink(home.path().join("a"), home.path().join("link")).unwrap();
    create_private_dir(&home.path().join("link/d")).unwrap();
    assert_eq!(mode_of(&home.path().join("a/d")), 0o700);
}

/// A parent that may only be passed through, as a `/home` of mode 0711 (root may list it anyway).
#[test]
fn a_parent_that_cannot_be_listed_is_passed_through() {
    let home = tempfile::tempdir().unwrap();
    folder(&home.path().join("parent"), 0o311);
    create_private_dir(&home.path().join("parent/it")).unwrap();
    assert_eq!(mode_of(&home.path().join("parent/it")), 0o700);
    folder(&home.path().join("parent"), 0o700);
}

/// L7: what stands in a file's place is refused, and a FIFO does not hang the reader.
#[test]
fn only_private_plain_files_are_read() {
    let home = tempfile::tempdir().unwrap();
    let it = |name: &str| home.path().join(name);
    write_atomic(&it("good"), b"12345").unwrap();
    assert_eq!(read_private(&it("good"), 5).unwrap().unwrap(), b"12345");
    assert!(matches!(
        read_private(&it("good"), 4),
        Err(ReadError::TooLarge { max: 4, .. })
    ));
    assert!(read_private(&it("none"), 5).unwrap().is_none());
    symlink(it("good"), it("link")).unwrap();
    nix::unistd::mkfifo(&it("fifo"), Mode::S_IRWXU).unwrap();
    drop(std::os::unix::net::UnixListener::bind(it("socket")).unwrap());
    folder(&it("folder"), 0o700);
    for name in ["link", "fifo", "socket", "folder"] {
        let error = read_private(&it(name), 5).unwrap_err();
        assert!(
            matches!(error, ReadError::NotFile { .. }),
            "{name}: {error}"
        );
    }
    write_atomic(&it("open"), b"1").unwrap();
    std::fs::set_permissions(it("open"), std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(
        read_private(&it("open"), 5),
        Err(ReadError::NotPrivate { .. })
    ));
}

fn folder(path: &Path, mode: u32) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
