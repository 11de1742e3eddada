//! What is attacked: listeners and a process outside, which notice when they are reached.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::stage::Stage;

/// How long a byte may take from a socket to its listener on the same machine.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// Services of the host.
pub(crate) struct Listeners {
    pub(crate) tcp4: TcpListener,
    /// `None` where the machine has no IPv6.
    pub(crate) tcp6: Option<TcpListener>,
    pub(crate) udp: UdpSocket,
    pub(crate) unix: UnixListener,
    pub(crate) datagram: UnixDatagram,
    pub(crate) abstract_: UnixListener,
    pub(crate) abstract_name: String,
}

impl Listeners {
    /// The unix sockets are in `readonly`, which the world sees.
    pub(crate) fn open(stage: &Stage) -> Listeners {
        let abstract_name = format!("ringfence-attacked-{}", stage.home().display());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let readonly = stage.home().join("readonly");
        let listeners = Listeners {
            tcp4: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            tcp6: TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok(),
            udp: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            unix: UnixListener::bind(readonly.join("stream.sock")).unwrap(),
            datagram: UnixDatagram::bind(readonly.join("datagram.sock")).unwrap(),
            abstract_: UnixListener::bind_addr(&address).unwrap(),
            abstract_name,
        };
        for name in ["stream.sock", "datagram.sock"] {
            let everyone = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(readonly.join(name), everyone).unwrap();
        }
        listeners.tcp4.set_nonblocking(true).unwrap();
        if let Some(tcp6) = &listeners.tcp6 {
            tcp6.set_nonblocking(true).unwrap();
        }
        listeners.udp.set_nonblocking(true).unwrap();
        listeners.unix.set_nonblocking(true).unwrap();
        listeners.datagram.set_nonblocking(true).unwrap();
        listeners.abstract_.set_nonblocking(true).unwrap();
        listeners
    }

    /// Who has been reached since the last look.
    pub(crate) fn reached(&self) -> Vec<&'static str> {
        let mut room = [0; 64];
        let tcp6 = self.tcp6.as_ref().map(|it| any(|| it.accept().map(drop)));
        let all = [
            ("tcp4", any(|| self.tcp4.accept().map(drop))),
            ("tcp6", tcp6.unwrap_or(false)),
            ("udp4", any(|| self.udp.recv(&mut room).map(drop))),
            ("unix", any(|| self.unix.accept().map(drop))),
            ("unix-datagram", any(|| self.datagram.recv(&mut room).map(drop))),
            ("abstract", any(|| self.abstract_.accept().map(drop))),
        ];
        all.into_iter().filter(|(_, hit)| *hit).map(|(name, _)| name).collect()
    }
}

/// Whether anything came; takes all that did.
fn any(mut take: impl FnMut() -> io::Result<()>) -> bool {
    let mut came = false;
    while take().is_ok() {
        came = true;
    }
    came
}

/// A process outside, of whoever attacks, that writes down that it was signalled.
pub(crate) struct Victim {
    child: Child,
}

impl Victim {
    pub(crate) fn start(stage: &Stage) -> Victim {
        let script = "trap 'echo signalled > ../outside/signalled' USR1; echo > ../outside/ready; \
                      while :; do sleep 0.05; done";
        let _ = std::fs::remove_file(stage.home().join("outside/ready"));
        let child = stage.command(Path::new("/bin/sh"), &["-c", script]).spawn().unwrap();
        wait_until("the victim listens", || stage.has("outside/ready"));
        Victim { child }
    }

    /// setpriv(1) becomes the program it starts, so that this is the victim itself.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that must happen; fails the test when it does not.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < ARRIVES_WITHIN, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
