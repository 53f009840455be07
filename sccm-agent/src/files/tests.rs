use super::*;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, chown, mkfifo};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

const MOST: u64 = 100;

fn refusal(path: &Path, readers: Readers) -> String {
    match read(path, MOST, readers) {
        Err(Unread::Because(why)) => why,
        other => panic!("{}: {other:?}", path.display()),
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    symlink(&pipe, &link).unwrap();
    let begun = Instant::now();
    for (path, why) in [
        (pipe.as_path(), "is not a regular file"),
        (&link, "is not a regular file"),
        (folder.path(), "is a directory"),
        (Path::new("/dev/zero"), "is not a regular file"),
        (Path::new("/dev/tty"), "is not a regular file"),
        // A regular file to all who ask; whoever reads it waits for the kernel's next message.
        (Path::new("/proc/kmsg"), "made up by the kernel"),
        (
            Path::new("/sys/kernel/uevent_seqnum"),
            "made up by the kernel",
        ),
        (Path::new("/no/such"), "there is no such file"),
        (
            Path::new("/dev/null/x"),
            "a part of this path is not a directory",
        ),
    ] {
        let said = refusal(path, Readers::Anybody);
        assert!(said.contains(why), "{}: {said}", path.display());
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_pipe_that_takes_a_files_place_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let stop = Arc::<AtomicBool>::default();
    let swap = {
        let (stop, names) = (Arc::clone(&stop), ["file", "pipe", "named"].map(at));
        thread::spawn(move || {
            let [file, pipe, named] = names;
            while !stop.load(Ordering::Relaxed) {
                fs::write(&file, "text").unwrap();
                fs::rename(&file, &named).unwrap();
                mkfifo(&pipe, Mode::S_IRWXU).unwrap();
                fs::rename(&pipe, &named).unwrap();
            }
        })
    };
    let (mut whole, mut refused) = (0, 0);
    let begun = Instant::now();
    // On a busy machine the two take turns: only who has seen both has seen them swapped.
    while (whole == 0 || refused == 0 || begun.elapsed() < Duration::from_millis(500))
        && begun.elapsed() < Duration::from_secs(30)
    {
        match read(&at("named"), MOST, Readers::Anybody) {
            Ok(text) => {
                assert_eq!(text, b"text");
                whole += 1;
            }
            Err(_) => refused += 1,
        }
    }
    stop.store(true, Ordering::Relaxed);
    swap.join().unwrap();
    assert!(whole > 0 && refused > 0, "{whole} {refused}");
}

#[test]
fn what_others_can_change_is_refused_with_what_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "text").unwrap();
    for mode in [0o664, 0o646, 0o620, 0o777] {
        set_mode(&path, mode);
        let said = refusal(&path, Readers::Anybody);
        assert!(said.contains(&format!("{mode:04o}")), "{said}");
        assert!(
            said.ends_with(&format!("chmod go-w {}", path.display())),
            "{said}"
        );
    }
    set_mode(&path, 0o644);
    assert_eq!(read(&path, MOST, Readers::Anybody).unwrap(), b"text");
    assert!(refusal(&path, Readers::Owner).ends_with(&format!("chmod 600 {}", path.display())));
    set_mode(&path, 0o600);
    assert_eq!(read(&path, MOST, Readers::Owner).unwrap(), b"text");

    set_mode(folder.path(), 0o775);
    let listed = list(folder.path());
    assert!(
        matches!(&listed, Err(Unread::Because(why)) if why.contains("chmod go-w")),
        "{listed:?}"
    );
    set_mode(folder.path(), 0o700);
    assert_eq!(list(folder.path()).unwrap(), std::slice::from_ref(&path));

    if geteuid().is_root() {
        chown(&path, Some(Uid::from_raw(1000)), None).unwrap();
        let said = refusal(&path, Readers::Owner);
        assert!(
            said.ends_with(&format!("chown root {}", path.display())),
            "{said}"
        );
    }
}

#[test]
fn a_file_that_others_replace_is_one_or_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (path, new) = (folder.path().join("file"), folder.path().join("new"));
    fs::write(&path, [b'a'; 50]).unwrap();
    let stop = Arc::<AtomicBool>::default();
    let writer = {
        let (stop, path) = (Arc::clone(&stop), path.clone());
        thread::spawn(move || {
            for content in [[b'b'; 50], [b'a'; 50]].iter().cycle() {
                fs::write(&new, content).unwrap();
                fs::rename(&new, &path).unwrap();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        })
    };
    for _ in 0..2_000 {
        let bytes = read(&path, MOST, Readers::Anybody).unwrap();
        assert!(bytes == [b'a'; 50] || bytes == [b'b'; 50]);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

#[test]
fn what_is_too_large_or_not_there_whole_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, [b'x'; MOST as usize]).unwrap();
    assert_eq!(read(&path, MOST, Readers::Anybody).unwrap().len(), 100);
    // Takes no room, and would fill the memory.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(read(&path, MOST, Readers::Anybody), Err(Unread::TooLarge));

    // Somebody writes it again and again, as fast as they can.
    let stop = Arc::<AtomicBool>::default();
    let writer = {
        let (stop, path) = (Arc::clone(&stop), path.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&path, [b'a'; 50]).unwrap();
                fs::write(&path, [b'b'; 90]).unwrap();
            }
        })
    };
    let mut changed = 0;
    let end = Instant::now() + Duration::from_secs(10);
    while changed < 20 && Instant::now() < end {
        match read(&path, MOST, Readers::Anybody) {
            Err(Unread::Because(why)) => {
                assert!(why.contains("changed while it was read"), "{why}");
                changed += 1;
            }
            _ => thread::yield_now(),
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(changed, 20);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_left_to_itself_and_reported() {
    let (_never, hang) = std::sync::mpsc::channel::<()>();
    let hang = in_time(move || Ok(hang.recv()?)).await.unwrap_err();
    assert!(hang.to_string().contains("not read within 8s"), "{hang}");
}

#[tokio::test]
async fn what_was_read_is_handed_over() {
    let panicked = in_time::<()>(|| panic!("on purpose")).await.unwrap_err();
    assert!(panicked.to_string().contains("panic"), "{panicked}");
    assert_eq!(in_time(|| Ok(7)).await.unwrap(), 7);
}
