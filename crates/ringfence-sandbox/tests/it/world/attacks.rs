//! Each attack works outside, which proves that it could; and fails inside.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use super::harness::{Place, Who, everyone};

const SIGSYS: i32 = 128 + libc::SIGSYS;

fn errno(number: i32) -> String {
    format!("errno {number}")
}

/// The attack succeeds outside and ends with this error inside, whoever starts the world.
fn refused(args: &[&str], number: i32) {
    for who in everyone() {
        let place = Place::new(who);
        refused_in(&place, &[], args, number);
    }
}

fn refused_in(place: &Place, options: &[&str], args: &[&str], number: i32) {
    let outside = place.outside(args);
    assert_eq!(outside.out, "ok", "{args:?} must work outside as {:?}: {outside:?}", place.who);
    let inside = place.inside(options, args);
    assert_eq!(inside.out, errno(number), "{args:?} inside as {:?}: {inside:?}", place.who);
}

fn killed(args: &[&str]) {
    for who in everyone() {
        let place = Place::new(who);
        assert_eq!(place.outside(args).out, "ok");
        assert_eq!(place.inside(&[], args).code, SIGSYS);
    }
}

#[test]
fn a_user_namespace_cannot_be_made() {
    refused(&["user-namespace"], libc::EPERM);
    refused(&["clone-namespace"], libc::EPERM);
    refused(&["clone3"], libc::ENOSYS);
}

#[test]
fn nothing_can_be_mounted() {
    refused(&["own-mount"], libc::EPERM);
    for who in everyone() {
        let place = Place::new(who);
        for args in
            [["mount", "/tmp"], ["umount", "/proc"], ["remount", "/usr"], ["chroot", "/tmp"]]
        {
            assert_eq!(place.inside(&[], &args).out, errno(libc::EPERM), "{args:?}");
        }
    }
}

#[test]
fn other_processes_cannot_be_traced_or_read() {
    refused(&["ptrace"], libc::EPERM);
    refused(&["peek"], libc::EPERM);
}

#[test]
fn the_memory_of_the_worlds_first_process_cannot_be_opened() {
    // Outside, the parent is `timeout`, a process of the same user.
    refused(&["parent-memory"], libc::EACCES);
    for who in everyone() {
        let place = Place::new(who);
        let script = "cat /proc/1/environ /proc/1/maps; ls /proc/1/fd /proc/1/root /proc/1/cwd";
        let said = place.script(&[], script);
        assert_eq!(said.out, "", "{said:?}");
        assert_eq!(said.err.matches("Permission denied").count(), 5, "{said:?}");
    }
}

#[test]
fn calls_that_pass_the_filter_by_do_not_exist() {
    refused(&["io-uring"], libc::ENOSYS);
    refused(&["bpf"], libc::EPERM);
    refused(&["userfault"], libc::EPERM);
}

#[test]
fn a_call_of_another_architecture_kills() {
    killed(&["int80"]);
    killed(&["x32"]);
}

#[test]
fn the_hosts_keyring_is_out_of_reach() {
    refused(&["keyring"], libc::EPERM);
}

#[test]
fn a_second_supervisor_is_told_that_the_place_is_taken() {
    refused(&["listener"], libc::EBUSY);
}

#[test]
fn vsock_and_netlink_other_than_route_do_not_exist() {
    for who in everyone() {
        let place = Place::new(who);
        // The kernel of a machine without vsock has nothing to refuse.
        if place.outside(&["socket", "40", "0"]).out == "ok" {
            refused_in(&place, &[], &["socket", "40", "0"], libc::EAFNOSUPPORT);
        }
        refused_in(&place, &[], &["socket", "16", "16"], libc::EPERM);
        assert_eq!(place.inside(&[], &["socket", "16", "0"]).out, "ok");
    }
}

#[test]
fn no_descriptor_of_the_broker_is_inherited() {
    let place = Place::new(everyone().first().copied().unwrap());
    let (probe, attack) = (place.text("tools/probe"), place.text("tools/attack"));
    let (tools, scratch) = (place.text("tools"), place.text("scratch"));
    let world = format!("{probe} --read {tools} {scratch} --");
    for (prefix, expected) in [("", "ok"), (world.as_str(), "errno 9")] {
        let script = format!("exec 9</etc/hostname; {prefix} {attack} inherited");
        let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), expected, "{out:?}");
    }
}

#[test]
fn processes_outside_cannot_be_signalled() {
    for who in everyone() {
        let place = Place::new(who);
        let live = place.live(&["--dir", "/x"], "sleep 20");
        let outside = live.child.id().to_string();
        refused_in(&place, &[], &["kill", &outside], libc::ESRCH);
        live.kill();
    }
}

#[test]
fn typing_into_the_terminal_is_refused() {
    for who in everyone() {
        let place = Place::new(who);
        for attack in ["type", "type-high"] {
            let said = place.inside(&["--pty"], &[attack]);
            assert_eq!(said.out, errno(libc::EPERM), "{said:?}");
            // Not the errno of a kernel that has it switched off, or of something not a terminal.
            assert_ne!(place.outside(&[attack]).out, errno(libc::EPERM));
        }
    }
}

#[test]
fn set_id_programs_change_nobody() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new(Who::Ordinary);
    let program = place.path("tools/attack");
    std::os::unix::fs::chown(&program, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(place.outside(&["who"]).out, "12345 0");
    assert_eq!(place.inside(&[], &["who"]).out, "12345 12345");
}

#[test]
fn the_payload_of_root_is_not_root() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new(Who::Root);
    assert_eq!(place.outside(&["who"]).out, "0 0");
    assert_eq!(place.inside(&[], &["who"]).out, "65534 65534");
    let said = place.run(&["--identity", "0"], &["true"]);
    assert_eq!(said.code, 125);
    assert!(said.err.contains("would run as root"), "{said:?}");
}

#[test]
fn the_kernel_cannot_be_told_anything() {
    let place = Place::new(everyone().first().copied().unwrap());
    for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"] {
        if place.who == Who::Root {
            assert_eq!(place.outside(&["open-rw", path]).out, "ok");
        }
        let said = place.inside(&[], &["open-rw", path]);
        assert!(["errno 13", "errno 30"].contains(&said.out.as_str()), "{path}: {said:?}");
    }
    // Landlock: nothing beneath /proc is written, not even one's own.
    assert_eq!(place.outside(&["open-rw", "/proc/self/comm"]).out, "ok");
    assert_eq!(place.inside(&[], &["open-rw", "/proc/self/comm"]).out, errno(libc::EACCES));
}

#[test]
fn the_hosts_network_is_out_of_reach() {
    let tcp4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp6 = TcpListener::bind("[::1]:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let port4 = tcp4.local_addr().unwrap().port().to_string();
    let port6 = tcp6.local_addr().unwrap().port().to_string();
    let port_udp = udp.local_addr().unwrap().port().to_string();
    for who in everyone() {
        let place = Place::new(who);
        refused_in(&place, &[], &["tcp", "127.0.0.1", &port4], libc::ECONNREFUSED);
        refused_in(&place, &[], &["tcp", "::1", &port6], libc::ECONNREFUSED);
        // Everything that is not DNS and not TCP: those end at the gate, see `network`.
        for address in ["192.0.2.1", "2001:db8::1", "198.18.0.1", "198.18.0.2", "224.0.0.251"] {
            let said = place.inside(&[], &["udp", address, "443"]);
            assert_eq!(said.out, errno(libc::EPERM), "{address}");
        }
        // A datagram to the world's own loopback is sent, and arrives nowhere.
        assert_eq!(place.outside(&["udp", "127.0.0.1", &port_udp]).out, "ok");
        udp.recv(&mut [0; 8]).unwrap();
        place.inside(&[], &["udp", "127.0.0.1", &port_udp]);
        udp.recv(&mut [0; 8]).unwrap_err();
    }
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    for who in everyone() {
        let name = format!("ringfence-test-{}-{who:?}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let place = Place::new(who);
        refused_in(&place, &[], &["abstract", &name], libc::ECONNREFUSED);
    }
}

#[test]
fn unix_sockets_beneath_a_bind_are_for_the_gate_to_decide() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        let path = place.text("data/stream");
        let _listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let options = ["--read", &data, "--notify"];
        refused_in(&place, &options, &["unix", &path], libc::EACCES);
    }
}

#[test]
fn unix_datagrams_to_the_host_cannot_be_sent_by_any_kind_of_socket() {
    for who in everyone() {
        let place = Place::new(who);
        let data = place.text("data");
        let path = place.text("data/datagram");
        let _socket = UnixDatagram::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        for attack in ["unix-datagram", "unix-raw", "unix-pair"] {
            refused_in(&place, &["--write", &data], &[attack, &path], libc::EACCES);
        }
    }
}

#[test]
fn what_is_not_granted_does_not_exist() {
    for who in everyone() {
        let place = Place::new(who);
        let secret = place.make_file("secret", "s");
        refused_in(&place, &[], &["read", &secret], libc::ENOENT);
        let absent = place.text("absent");
        assert_eq!(place.outside(&["write", &absent]).out, "ok");
        std::fs::remove_file(&absent).unwrap();
        // Whether or not the private /tmp takes the file, the host does not see it.
        place.inside(&[], &["write", &absent]);
        let said = place.inside(&["--grantable", "/srv/x"], &["write", "/srv/x/y"]);
        assert!(["errno 13", "errno 30"].contains(&said.out.as_str()), "{said:?}");
        assert!(!place.path("absent").exists());
    }
}

#[test]
fn the_hosts_passwords_do_not_exist() {
    let place = Place::new(everyone().first().copied().unwrap());
    if place.who == Who::Root {
        assert_eq!(place.outside(&["read", "/etc/shadow"]).out, "ok");
    }
    for path in ["/etc/shadow", "/root", "/var/log", "/run/dbus", "/sys/kernel", "/boot"] {
        assert_eq!(place.inside(&[], &["read", path]).out, errno(libc::ENOENT), "{path}");
    }
}

#[test]
fn links_do_not_lead_out_of_a_bind() {
    for who in everyone() {
        let place = Place::new(who);
        let (secret, data) = (place.make_file("secret", "s"), place.text("data"));
        let link = place.text("data/link");
        symlink(&secret, &link).unwrap();
        refused_in(&place, &["--write", &data], &["read", &link], libc::ENOENT);
        let readable = place.make_dir("readable");
        let original = place.make_file("readable/file", "x");
        let hard = place.text("data/hard");
        let options = ["--write", &data, "--read", &readable];
        assert_eq!(place.inside(&options, &["link", &original, &hard]).out, errno(libc::EXDEV));
        assert_eq!(place.outside(&["link", &original, &hard]).out, "ok");
    }
}

/// Files are made in the payload's place by threads outside, beneath the same ceiling.
#[test]
fn those_who_make_files_for_the_payload_can_do_no_more_than_it() {
    for who in everyone() {
        let place = Place::new(who);
        let (data, other) = (place.text("data"), place.make_dir("other"));
        let attack = |path: &str| format!("sh -c 'echo x > {path}' 2>/dev/null && echo made");
        let options = ["--write", &data, "--notify"];
        for path in ["/proc/self/comm", &format!("{other}/x")] {
            let script = attack(path);
            let outside = place.outside_script(&script);
            assert_eq!(outside.out, "made", "{who:?} {path}: {outside:?}");
            assert_eq!(place.script(&options, &script).out, "", "{who:?} {path}");
        }
        let made = place.script(&options, &attack(&format!("{data}/x")));
        assert_eq!(made.out, "made", "{who:?}");
    }
}

#[test]
fn the_worlds_first_process_does_not_tell_how_the_broker_was_called() {
    for who in everyone() {
        let place = Place::new(who);
        let script = "tr '\\0' ' ' < /proc/$PPID/cmdline; cat /proc/$PPID/comm";
        let outside = place.outside_script(script).out;
        assert!(outside.contains("timeout") && outside.contains("KILL"), "{outside}");
        let said = place.script(&[], script);
        let words: Vec<&str> = said.out.split_whitespace().collect();
        assert_eq!(words, ["ringfence-init", "ringfence-init"], "{who:?}: {said:?}");
    }
}
