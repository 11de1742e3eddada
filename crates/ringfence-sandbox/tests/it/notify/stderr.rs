//! A word on the standard error of the process that waits.

use std::io::Read as _;

use ringfence_sandbox::notify::Written;
use rustix::fs::{FileType, Mode, OFlags};

use super::harness::{Scratch, Session};

#[test]
fn a_word_reaches_a_pipe_and_never_a_file() {
    let scratch = Scratch::new();
    let run = |command: &str| {
        let mut written = Vec::new();
        let command = format!("{command}; exit 0");
        let output =
            Session::start("w", &["run", "/bin/bash", "-c", &command], &["/dev"]).run(|attempt| {
                written.push(attempt.write_stderr("denied: \x1b[31mno\n"));
                attempt.deny(libc::EACCES);
            });
        (output, written)
    };
    let rm = format!("rm -f {}", scratch.at("f"));
    std::fs::write(scratch.at("f"), "").unwrap();
    let (output, written) = run(&format!("{rm} 2>&1"));
    assert!(output.starts_with("denied: [31mno\n"), "{output}");
    assert_eq!(written, [Written::Yes]);
    std::fs::write(scratch.at("log"), "").unwrap();
    // The shell's own opening of the file is an attempt too, which is denied before the swap.
    let text = scratch.at("log");
    let mut file = std::fs::File::open(&text).unwrap();
    let code = format!(
        "import os; os.dup2(os.open('{text}', os.O_RDONLY), 2)\n\
         try: os.unlink('{}')\nexcept OSError: pass",
        scratch.at("f")
    );
    let (_, written) = run(&format!("/usr/bin/python3 -I -c \"{code}\""));
    assert_eq!(written, [Written::No]);
    let mut found = String::new();
    file.read_to_string(&mut found).unwrap();
    assert_eq!(found, "");
    let (_, written) = run(&format!("{rm} 2>&-"));
    assert_eq!(written, [Written::No]);
}

#[test]
fn a_word_does_not_wait_for_a_full_pipe() {
    let scratch = Scratch::new();
    std::fs::write(scratch.at("f"), "").unwrap();
    let code = format!(
        "import os, fcntl; r, w = os.pipe(); os.dup2(w, 2); os.set_blocking(2, False)\n\
         try:\n while True: os.write(2, b'x' * 4096)\nexcept BlockingIOError: pass\n\
         os.set_blocking(2, True)\ntry: os.unlink('{}')\nexcept OSError: print('denied')",
        scratch.at("f")
    );
    let command = format!("exec /usr/bin/python3 -I -c \"{code}\"");
    let output = Session::start("w", &["run", "/bin/bash", "-c", &command], &[]).run(|attempt| {
        attempt.write_stderr("no\n");
        attempt.deny(libc::EACCES);
    });
    assert_eq!(output, "denied\n");
}

#[test]
fn a_word_is_not_written_where_the_process_itself_may_not_write() {
    let scratch = Scratch::new();
    let fifo = scratch.at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .unwrap();
    let nonblocking = OFlags::RDWR | OFlags::NONBLOCK;
    let mut ends =
        vec![(fifo.clone(), rustix::fs::open(&fifo, nonblocking, Mode::empty()).unwrap())];
    let ptmx = nonblocking | OFlags::NOCTTY;
    let master = rustix::fs::open("/dev/ptmx", ptmx, Mode::empty()).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ptsname(&master, Vec::new()).unwrap();
    ends.push((slave.into_string().unwrap(), master));
    for (path, end) in ends {
        std::fs::write(scratch.at("f"), "").unwrap();
        // What is denied is done with what can only be read as standard error, or only be named.
        for flags in ["os.O_RDONLY | os.O_NONBLOCK", "os.O_PATH"] {
            let code = format!(
                "import os; os.dup2(os.open('{path}', {flags} | os.O_NOCTTY), 2)\n\
                 try: os.unlink('{}')\nexcept OSError: print('denied')",
                scratch.at("f")
            );
            let command = format!("exec /usr/bin/python3 -I -c \"{code}\"");
            let mut written = Vec::new();
            let args = ["run", "/bin/bash", "-c", &command];
            let output = Session::start("w", &args, &["/dev"]).run(|attempt| {
                written.push(attempt.write_stderr("no\n"));
                attempt.deny(libc::EACCES);
            });
            assert_eq!((output.as_str(), written), ("denied\n", vec![Written::No]), "{path}");
            // Nothing there, or nobody on the other side any more.
            let read = rustix::io::read(&end, &mut [0; 16]);
            assert!(read.is_err(), "{path} {flags}: {read:?}");
        }
    }
}

#[test]
fn a_word_reaches_a_terminal_of_the_process() {
    let scratch = Scratch::new();
    std::fs::write(scratch.at("f"), "").unwrap();
    let code = format!(
        "import os; m, s = os.openpty(); os.dup2(s, 2)\n\
         try: os.unlink('{}')\nexcept OSError: print(os.read(m, 99), os.get_blocking(2))",
        scratch.at("f")
    );
    let command = format!("exec /usr/bin/python3 -I -c \"{code}\"");
    let args = ["run", "/bin/bash", "-c", &command];
    let output = Session::start("w", &args, &["/dev"]).run(|attempt| {
        attempt.write_stderr("no\n");
        attempt.deny(libc::EACCES);
    });
    assert_eq!(output, "b'no\\r\\n' True\n");
}
