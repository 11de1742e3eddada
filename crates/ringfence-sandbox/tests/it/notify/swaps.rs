//! Changes to files that are something else by the time they are carried out.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use ringfence_core::FileChange;
use ringfence_sandbox::notify::{Attempt, Attempted};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::harness::{Scratch, Session, is_long, line, unfiltered};

/// Permits all but making names.
fn make_nothing(attempt: Attempt) {
    let Attempted::File(file) = &attempt.kind else { panic!("{attempt:?}") };
    if file.acts.iter().any(|(change, _)| *change == FileChange::Created) {
        attempt.deny(libc::EACCES);
    } else {
        attempt.allow();
    }
}

/// A file that comes and goes while something happens.
fn blinking<T>(path: &str, meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::fs::write(path, "").unwrap();
                // Made by the governed program, it is not ours and may be gone.
                let _ = std::fs::remove_file(path);
            }
        });
        let result = meanwhile();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_file_that_was_there_when_it_was_looked_at_is_not_made_when_it_is_opened() {
    let scratch = Scratch::new();
    let path = scratch.at("blinks");
    let args = |tries| ["open-gone", path.as_str(), tries];
    assert_eq!(blinking(&path, || unfiltered(&args("5000000"))), "made it\n");
    let ours = blinking(&path, || Session::start("w", &args("5000"), &[]).run(make_nothing));
    assert_eq!(ours, "did not make it\n");
}

/// A path in the directory that is as long as this one, and another.
fn twins(scratch: &Scratch) -> (String, String) {
    (scratch.at("good"), scratch.at("evil"))
}

fn deny(path: &str, attempt: Attempt) {
    if line(&attempt).contains(path) {
        attempt.deny(libc::EACCES);
    } else {
        attempt.allow();
    }
}

#[test]
fn a_socket_whose_path_is_swapped_gets_no_name_that_was_not_permitted() {
    for hidden in [false, true] {
        let scratch = Scratch::new();
        let (good, evil) = twins(&scratch);
        let good = if hidden { good.replacen('/', "@", 1) } else { good };
        let args = |tries| ["race-bind", tries, good.as_str(), evil.as_str()];
        unfiltered(&args("2000000"));
        std::fs::remove_file(&evil).unwrap();
        Session::start("w", &args("2000"), &[]).run(|attempt| deny(&evil, attempt));
        assert!(!std::path::Path::new(&evil).exists(), "{good}");
    }
}

#[test]
fn a_swapped_path_removes_nothing_that_was_not_permitted() {
    let scratch = Scratch::new();
    let (good, evil) = twins(&scratch);
    let args = |tries| ["race-unlink", tries, good.as_str(), evil.as_str()];
    std::fs::write(&evil, "").unwrap();
    unfiltered(&args("5000000"));
    assert!(!std::path::Path::new(&evil).exists());
    std::fs::write(&evil, "").unwrap();
    Session::start("w", &args("2000"), &[]).run(|attempt| deny(&evil, attempt));
    assert!(std::path::Path::new(&evil).exists());
}

#[test]
fn leases_do_not_keep_others_from_opening_files() {
    let scratch = Scratch::new();
    let paths = ["a", "b", "c"].map(|name| scratch.at(name));
    for path in &paths {
        std::fs::write(path, "").unwrap();
    }
    let [a, b, c] = &paths;
    let args = ["leases", a, b, c];
    let expected = "other ok\nat once\nleased ok\nleased ok\n";
    assert_eq!(unfiltered(&args), expected);
    let ours = Session::start("w", &args, &[]).run(|attempt| {
        attempt.allow();
    });
    assert_eq!(ours, expected);
}

/// Exchanges two names again and again while something happens.
fn exchanging<T>((one, other): (&str, &str), meanwhile: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let result = meanwhile();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_file_that_is_opened_while_its_directory_becomes_a_link_is_the_one_that_was_permitted() {
    let scratch = Scratch::new();
    let (dir, link) = (scratch.at("root/d"), scratch.at("root/e"));
    let (inside, outside) = (scratch.at("root/d/x"), scratch.at("outside/x"));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::create_dir_all(scratch.at("outside")).unwrap();
    symlink(scratch.at("outside"), &link).unwrap();
    let args = |tries| ["write-through", tries, inside.as_str()];
    exchanging((&dir, &link), || unfiltered(&args("20000")));
    assert!(std::path::Path::new(&outside).exists(), "the attack works where nothing is decided");
    std::fs::write(&outside, "").unwrap();
    let tries = if is_long() { "100000" } else { "3000" };
    let mut permitted = 0;
    let output = exchanging((&dir, &link), || {
        Session::start("w", &args(tries), &[]).run(|attempt| {
            let is_outside = line(&attempt).contains(&outside);
            permitted += usize::from(!is_outside);
            if is_outside {
                attempt.deny(libc::EACCES);
            } else {
                attempt.allow();
            }
        })
    });
    assert_eq!(output, "wrote\n");
    assert!(permitted > 0);
    assert_eq!(std::fs::read(&outside).unwrap(), b"");
}

/// Inside, the link leads to a place that does not exist; outside it does.
#[test]
fn a_directory_that_becomes_a_link_does_not_lead_outside() {
    let scratch = Scratch::new();
    let (dir, link) = (scratch.at("root/d"), scratch.at("root/e"));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::create_dir_all(scratch.at("outside/secret")).unwrap();
    symlink(scratch.at("outside"), &link).unwrap();
    symlink(".", scratch.at("root/here")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, &dir, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let args = [scratch.at("root"), "mkdir".into(), "20000".into(), "/here/d/secret/x".into()];
        let args = args.each_ref().map(String::as_str);
        let mut seen = Vec::new();
        let output = Session::start("wr", &args, &[]).run(|attempt| {
            seen.push(line(&attempt));
            attempt.deny(libc::EACCES);
        });
        over.store(true, Ordering::Relaxed);
        seen.dedup();
        assert_eq!(seen, Vec::<String>::new());
        assert!(output == "mkdir ENOENT\n" || output == "mkdir ELOOP\n", "{output}");
    });
}
