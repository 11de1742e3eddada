use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use super::{hex, holder_below};

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

#[test]
fn addresses_are_written_as_procfs_does() {
    #[cfg(target_endian = "little")]
    assert_eq!(hex(&[127, 0, 0, 1]), "0100007F");
    #[cfg(target_endian = "big")]
    assert_eq!(hex(&[127, 0, 0, 1]), "7F000001");
}

#[test]
fn a_socket_of_ones_own_is_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let found = holder_below(own_pid(), client.local_addr().unwrap()).unwrap();
    assert_eq!((found.pid, found.parent), (own_pid(), None));
}

#[test]
fn a_socket_of_a_child_is_the_childs_and_nobody_elses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo ok; read");
    let spawn = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = spawn(&script);
    let mut stranger = spawn("echo ok; read");
    for process in [&mut child, &mut stranger] {
        process.stdout.as_mut().unwrap().read_exact(&mut [0; 3]).unwrap();
    }
    let (_server, from) = listener.accept().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let found = holder_below(own_pid(), from).unwrap();
    assert_eq!((found.pid, found.parent), (pid, Some(own_pid())));
    assert_eq!(holder_below(i32::try_from(stranger.id()).unwrap(), from), None);
    for mut process in [child, stranger] {
        drop(process.stdin.take());
        process.wait().unwrap();
    }
}

#[test]
fn a_socket_that_is_gone_belongs_to_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(holder_below(own_pid(), address), None);
    assert_eq!(holder_below(i32::MAX, address), None);
}
