//! Attacks through the standard streams that a world is started with.

use std::fs::File;
use std::io::Read as _;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::stage::{Side, Stage, everybody, text};

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// Writes the repository's own configuration, not the copy that the world has in its place.
const PLANT: &str = "exec 7<&STREAM STREAM</dev/null; exec python3 -I -c \"import os
os.write(os.open('.git/config', os.O_APPEND | os.O_WRONLY, dir_fd=7), b'[core] fsmonitor = x')\"";

/// Runs it with the project as one of the standard streams.
fn plant(stage: &Stage, side: Side, stream: u8) -> Output {
    let script = PLANT.replace("STREAM", &stream.to_string());
    let words = ["run", "--", "sh", "-c", &script];
    let mut command = match side {
        Side::Outside => stage.command(Path::new("sh"), &words[3..]),
        Side::Inside => stage.ringfence_command(&words),
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let project = || Stdio::from(File::open(stage.project()).unwrap());
    match stream {
        0 => command.stdin(project()),
        1 => command.stdout(project()),
        _ => command.stderr(project()),
    };
    let child = command.spawn().unwrap();
    child.wait_with_output().unwrap()
}

/// The directory is the host's, not the world's: what covers places in it is not mounted there.
#[test]
fn a_directory_as_a_standard_stream_leads_nowhere() {
    for who in everybody() {
        for stream in [0, 1, 2] {
            let stage = Stage::new(who, POLICY);
            for dir in ["objects", "refs"] {
                stage.write(&format!("project/.git/{dir}/keep"), "");
            }
            stage.write("project/.git/HEAD", "ref: refs/heads/main\n");
            stage.write("project/.git/config", "");
            let output = plant(&stage, Side::Inside, stream);
            assert_eq!(stage.read("project/.git/config"), "", "{who:?}: {}", text(&output));
            assert_eq!(output.status.code(), Some(125), "{who:?}: {}", text(&output));
            plant(&stage, Side::Outside, stream);
            assert!(!stage.read("project/.git/config").is_empty(), "{who:?}");
        }
    }
}

/// Its network is the host's: what it sends needs no connection, and no way out of the world.
#[test]
fn a_datagram_socket_as_a_standard_stream_reaches_nobody() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let port = receiver.local_addr().unwrap().port();
        let send =
            format!("import socket; socket.socket(fileno=0).sendto(b'x', ('127.0.0.1', {port}))");
        let words = ["run", "--", "/usr/bin/python3", "-I", "-c", &send];
        let run = |mut command: Command| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            command.stdin(Stdio::from(OwnedFd::from(socket))).output().unwrap()
        };
        let output = run(stage.ringfence_command(&words));
        let received = receiver.recv(&mut [0; 8]);
        assert!(received.is_err(), "{who:?}: {}", text(&output));
        assert_eq!(output.status.code(), Some(125), "{who:?}: {}", text(&output));
        run(stage.command(Path::new("/usr/bin/python3"), &words[3..]));
        receiver.recv(&mut [0; 8]).unwrap();
    }
}

/// What a program that starts others hands down: a connected pair.
#[test]
fn a_connected_socket_as_a_standard_stream_is_one() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut command = stage.ringfence_command(&["run", "--", "echo", "said"]);
        let output = command.stdout(OwnedFd::from(theirs)).stderr(Stdio::piped());
        assert!(output.spawn().unwrap().wait().unwrap().success());
        drop(command);
        let mut said = String::new();
        ours.read_to_string(&mut said).unwrap();
        assert_eq!(said, "said\n", "{who:?}");
    }
}
