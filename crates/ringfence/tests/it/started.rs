//! Programs that a test has started: what they say on stderr is read as it comes, and none of them outlives its test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to say what is waited for, to listen, or to end; it is longer than what the gate itself
/// waits for, on a busy machine as well.
const WITHIN: Duration = Duration::from_mins(2);

/// A program that ends with the test.
pub(crate) struct Started {
    child: Child,
    said: Arc<Mutex<Said>>,
}

#[derive(Default)]
struct Said {
    text: String,
    /// Nobody has its stderr any more.
    is_all: bool,
}

impl Started {
    pub(crate) fn new(mut command: Command) -> Started {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::<Mutex<Said>>::default();
        let told = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                told.lock().unwrap().text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
            told.lock().unwrap().is_all = true;
        });
        Started { child, said }
    }

    /// A server, once it takes connections at this port.
    pub(crate) fn listening(mut command: Command, port: u16) -> Started {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Started::new(command);
        let connected = || TcpStream::connect(("127.0.0.1", port)).ok();
        server.before_its_end(&format!("it listens at {port}"), |_| connected());
        server
    }

    pub(crate) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The first line that it writes, where its output is piped.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        // It stays open: what is written later finds a reader.
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "it ended: {}", self.said());
        line.trim_end().to_owned()
    }

    /// What it has said on stderr so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// The line on stderr that has these words, once it has come.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        self.before_its_end(words, |it| {
            let said = it.said();
            let mut lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.until("it ends", |it| it.child.try_wait().unwrap())
    }

    /// The same, and until all is read that it said on stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = self.wait();
        self.until("nobody has its stderr", |it| it.is_silent().then_some(()));
        (status, self.said())
    }

    /// Waits for something that it does before it ends.
    fn before_its_end<T>(&mut self, what: &str, mut came: impl FnMut(&Started) -> Option<T>) -> T {
        self.until(what, |it| {
            let is_over = it.child.try_wait().unwrap().is_some() && it.is_silent();
            let came = came(it);
            assert!(came.is_some() || !is_over, "it ended before: {what}\n{}", it.said());
            came
        })
    }

    fn until<T>(&mut self, what: &str, mut came: impl FnMut(&mut Started) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(came) = came(self) {
                return came;
            }
            assert!(begun.elapsed() < WITHIN, "waited in vain: {what}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether nobody has its stderr any more, and all of that is read.
    fn is_silent(&self) -> bool {
        self.said.lock().unwrap().is_all
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "a program of the test said:\n{}", self.said());
        }
    }
}

/// A port of this host at which nobody listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
