//! The same attacks on a world without namespaces: each works outside, and fails inside, or is named
//! among what this tier does not hold.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::harness::{Place, Who, everyone};

const SIGSYS: i32 = 128 + libc::SIGSYS;
/// Processes of a world that has ended are gone by then, on any machine.
const END_WAIT: Duration = Duration::from_secs(20);

/// A world without namespaces, with what else it is to have.
fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ["--tier", "landlock", "--notify"].into_iter().chain(more.iter().copied()).collect()
}

fn errno(number: i32) -> String {
    format!("errno {number}")
}

fn refused_in(place: &Place, options: &[&str], args: &[&str], number: i32) {
    let outside = place.outside(args);
    assert_eq!(outside.out, "ok", "{args:?} must work outside as {:?}: {outside:?}", place.who);
    let inside = place.inside(&with(options), args);
    assert_eq!(inside.out, errno(number), "{args:?} inside as {:?}: {inside:?}", place.who);
}

/// A place whose `data` the payload may write, whoever it is.
fn writable(who: Who) -> Place {
    let place = Place::new(who);
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o777)).unwrap();
    place
}

/// A process of the payload's user outside.
fn neighbour(place: &Place) -> Child {
    let user =
        if rustix::process::geteuid().is_root() { user_of(place.who) } else { String::new() };
    let mut command = match user.as_str() {
        "" => Command::new("sleep"),
        user => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={user}"), &format!("--regid={user}")]);
            command.args(["--clear-groups", "sleep"]);
            command
        }
    };
    let child = command.arg("60").stdout(Stdio::null()).spawn().unwrap();
    let comm = format!("/proc/{}/comm", child.id());
    until(|| fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep"));
    child
}

fn user_of(who: Who) -> String {
    match who {
        Who::Root => "65534".to_owned(),
        Who::Ordinary => "12345".to_owned(),
    }
}

pub(super) fn until(condition: impl Fn() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < END_WAIT, "it never came about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_kernel_refuses_the_same_calls() {
    let table: &[(&[&str], i32)] = &[
        (&["user-namespace"], libc::EPERM),
        (&["clone-namespace"], libc::EPERM),
        (&["clone3"], libc::ENOSYS),
        (&["own-mount"], libc::EPERM),
        (&["ptrace"], libc::EPERM),
        (&["peek"], libc::EPERM),
        (&["io-uring"], libc::ENOSYS),
        (&["bpf"], libc::EPERM),
        (&["userfault"], libc::EPERM),
        (&["keyring"], libc::EPERM),
        (&["listener"], libc::EBUSY),
        (&["shared", "memory"], libc::ENOSYS),
        (&["shared", "semaphore"], libc::ENOSYS),
        (&["shared", "messages"], libc::ENOSYS),
        (&["shared", "queue"], libc::ENOSYS),
        (&["socket", "16", "0"], libc::EACCES),
        (&["socket", "16", "16"], libc::EACCES),
    ];
    for who in everyone() {
        let place = Place::new(who);
        for (args, number) in table {
            refused_in(&place, &[], args, *number);
        }
        for attack in ["int80", "x32"] {
            assert_eq!(place.outside(&[attack]).out, "ok");
            assert_eq!(place.inside(&with(&[]), &[attack]).code, SIGSYS, "{attack}");
        }
        for attack in ["type", "type-high"] {
            let said = place.inside(&with(&["--pty"]), &[attack]);
            assert_eq!(said.out, errno(libc::EPERM), "{said:?}");
        }
    }
}

#[test]
fn processes_outside_can_be_neither_signalled_nor_read_nor_changed() {
    for who in everyone() {
        let place = Place::new(who);
        let mut child = neighbour(&place);
        let pid = child.id().to_string();
        refused_in(&place, &[], &["kill", &pid], libc::EPERM);
        for which in ["limit", "priority", "processors", "disk"] {
            let args = ["other", which, &pid];
            // A root without the capability for it is nobody special to another's limits.
            if place.who == Who::Ordinary {
                assert_eq!(place.outside(&args).out, "ok", "{which}");
            }
            assert_eq!(place.inside(&with(&[]), &args).out, errno(libc::EPERM), "{which}");
        }
        let script = format!(
            "for f in environ maps mem cmdline status comm; do cat /proc/{pid}/$f && echo open; done; \
             ls /proc/{pid}/fd /proc/{pid}/root/ /proc/{pid}/cwd/"
        );
        let outside = place.outside_script(&script);
        assert!(outside.out.contains("open"), "{outside:?}");
        let said = place.script(&with(&[]), &script);
        assert_eq!(said.out, "", "{said:?}");
        // Everybody that it may signal: itself, for signal 0 of nobody else is heard.
        let said = place.inside(&with(&[]), &["kill-all", "x", "9"]);
        assert!(child.try_wait().unwrap().is_none(), "{who:?}: the neighbour lives: {said:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn the_broker_and_those_who_hold_the_world_cannot_be_signalled_or_read() {
    for who in everyone() {
        let place = Place::new(who);
        let script = "kill -0 $PPID 2>/dev/null && echo open; \
                      for f in environ mem maps; do cat /proc/$PPID/$f && echo open; done; \
                      kill -9 $PPID; echo alive";
        let outside = place.outside_script("kill -0 $PPID && echo open");
        assert_eq!(outside.out, "open");
        assert_eq!(place.script(&with(&[]), script).out, "alive", "{who:?}");
    }
}

#[test]
fn whatever_is_started_ends_with_the_world() {
    for who in everyone() {
        let place = writable(who);
        let data = place.text("data");
        nothing_goes_on(&place, &with(&["--write", &data]));
    }
}

/// Starts what is out of its session, without a parent, and again and again, in a world that ends then.
pub(super) fn nothing_goes_on(place: &Place, options: &[&str]) {
    let mark = place.text("data/mark");
    let script = format!(
        "setsid sh -c '(while :; do date +%s%N > {mark}; sleep 0.02; done) & \
         (while :; do (sleep 0.01 & ) ; sleep 0.01; done) &' ; \
         while ! test -s {mark}; do sleep 0.02; done"
    );
    let said = place.script(options, &script);
    assert_eq!(said.code, 0, "{said:?}");
    let last = fs::read_to_string(&mark).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(fs::read_to_string(&mark).unwrap(), last, "{:?}: it goes on", place.who);
}

#[test]
fn a_world_ends_with_its_supervisor_and_with_its_broker() {
    for who in everyone() {
        for victim in ["supervisor", "broker"] {
            let place = writable(who);
            let data = place.text("data");
            let script = format!("echo $$; echo $PPID; exec sleep 60 > {data}/out");
            let live = place.live(&with(&["--write", &data]), &script);
            let payload: i32 = live.line().parse().unwrap();
            let supervisor: i32 = live.line().parse().unwrap();
            let pid = match victim {
                "supervisor" => supervisor,
                _ => parent(supervisor),
            };
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            until(|| is_gone(payload));
            let _ = live.end();
        }
    }
}

pub(super) fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

/// Whether a process has ended, reaped or not.
fn is_gone(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn what_is_not_granted_can_be_neither_read_nor_changed() {
    for who in everyone() {
        let place = writable(who);
        let secret = place.make_file("secret", "secret");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
        let data = place.text("data");
        let options = ["--write", data.as_str()];
        refused_in(&place, &options, &["read", &secret], libc::EACCES);
        refused_in(&place, &options, &["open-rw", &secret], libc::EACCES);
        refused_in(&place, &options, &["write", &place.text("absent")], libc::EACCES);
        let link = place.text("data/link");
        symlink(&secret, &link).unwrap();
        refused_in(&place, &options, &["read", &link], libc::EACCES);
        refused_in(&place, &options, &["open-rw", &link], libc::EACCES);
        let hard = place.text("data/hard");
        assert_eq!(
            place.inside(&with(&options), &["link", &secret, &hard]).out,
            errno(libc::EACCES)
        );
        let moved = place.text("data/moved");
        let said = place.inside(&with(&options), &["rename", &secret, &moved]);
        assert_eq!(said.out, errno(libc::EACCES));
        for path in ["/proc/self/comm", "/proc/sys/kernel/core_pattern", "/dev/shm/x", "/tmp/x"] {
            let said = place.inside(&with(&options), &["write", path]);
            assert_eq!(said.out, errno(libc::EACCES), "{path}");
        }
    }
}

#[test]
fn permissions_times_owners_and_attributes_change_only_where_files_may() {
    for who in everyone() {
        let place = writable(who);
        let user: u32 = user_of(who).parse().unwrap();
        let own = |name: &str| {
            let path = place.make_file(name, "text");
            if rustix::process::geteuid().is_root() {
                std::os::unix::fs::chown(&path, Some(user), Some(user)).unwrap();
            }
            path
        };
        let (data, readable) = (place.text("data"), place.make_dir("readable"));
        let (mine, theirs) = (own("data/mine"), own("readable/theirs"));
        let far = own("far");
        let options = ["--write", data.as_str(), "--read", &readable];
        for which in ["mode", "times", "length", "open-mode", "open-times"] {
            let read_only = place.inside(&with(&options), &["attribute", which, &theirs]);
            assert_eq!(read_only.out, errno(libc::EROFS), "{who:?} {which}");
            let nowhere = place.inside(&with(&options), &["attribute", which, &far]);
            assert_eq!(nowhere.out, errno(libc::EACCES), "{who:?} {which}");
            assert_eq!(place.outside(&["attribute", which, &far]).out, "ok", "{which}");
            let allowed = place.inside(&with(&options), &["attribute", which, &mine]);
            assert_eq!(allowed.out, "ok", "{who:?} {which}: {allowed:?}");
        }
        let meta = fs::metadata(&mine).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.mtime()), (0o600, 1));
        assert_eq!(fs::metadata(&theirs).unwrap().mode() & 0o777, 0o644);
        refused_in(&place, &options, &["attribute", "owner", &mine], libc::EPERM);
        let extended = place.inside(&with(&options), &["attribute", "extended", &theirs]);
        assert_eq!(extended.out, errno(libc::EOPNOTSUPP));
    }
}

#[test]
fn what_is_covered_in_a_writable_tree_stays_covered_by_every_way_around() {
    for who in everyone() {
        let place = writable(who);
        let data = place.text("data");
        place.make_dir("data/tree/hooks");
        let hook = place.make_file("data/tree/hooks/pre-commit", "x");
        let env = place.make_file("data/.env", "secret");
        for path in ["data/tree", "data/tree/hooks", "data/tree/hooks/pre-commit", "data/.env"] {
            fs::set_permissions(place.path(path), fs::Permissions::from_mode(0o777)).unwrap();
        }
        let hooks = place.text("data/tree/hooks");
        let options = ["--write", data.as_str(), "--read", &hooks, "--hide", &env];
        let new = format!("{hooks}/post-commit");
        let (tree, other) = (place.text("data/tree"), place.text("data/other"));
        for (args, number) in [
            (vec!["open-rw", hook.as_str()], libc::EROFS),
            (vec!["write", new.as_str()], libc::EROFS),
            (vec!["read", env.as_str()], libc::EACCES),
            (vec!["open-rw", env.as_str()], libc::EACCES),
            (vec!["rename", hooks.as_str(), other.as_str()], libc::EBUSY),
            (vec!["rename", tree.as_str(), other.as_str()], libc::EBUSY),
            (vec!["rename", env.as_str(), other.as_str()], libc::EBUSY),
            (vec!["link", env.as_str(), other.as_str()], libc::EBUSY),
            (vec!["link", hook.as_str(), other.as_str()], libc::EROFS),
        ] {
            let said = place.inside(&with(&options), &args);
            assert_eq!(said.out, errno(number), "{who:?} {args:?}: {said:?}");
        }
        let said = place.script(
            &with(&options),
            &format!("cd {data}; ls; echo x > new; cat tree/hooks/pre-commit"),
        );
        assert!(said.out.contains(".env") || said.out.contains("tree"), "{said:?}");
        assert!(said.out.ends_with('x'), "{said:?}");
        // Each of them would have worked.
        assert_eq!(place.outside(&["open-rw", &env]).out, "ok");
        assert_eq!(place.outside(&["link", &env, &other]).out, "ok");
        assert_eq!(place.outside(&["write", &new]).out, "ok");
        assert_eq!(place.outside(&["rename", &tree, &place.text("data/tree2")]).out, "ok");
    }
}

#[test]
fn nobody_wins_by_changing_a_path_while_it_is_opened() {
    for who in everyone() {
        let place = writable(who);
        let data = place.text("data");
        let open = place.make_file("data/open", "open");
        let hidden = place.make_file("data/.env", "secret");
        place.make_dir("data/hooks");
        let held = place.make_file("data/hooks/pre-commit", "x");
        let far = place.make_file("far", "secret");
        for path in ["data/open", "data/.env", "data/hooks/pre-commit", "far"] {
            fs::set_permissions(place.path(path), fs::Permissions::from_mode(0o666)).unwrap();
        }
        let hooks = place.text("data/hooks");
        let options = ["--write", data.as_str(), "--read", &hooks, "--hide", &hidden];
        for (how, wanted) in [("read", &hidden), ("write", &held), ("read", &far)] {
            refused_in(&place, &options, &["swap", how, &open, wanted], libc::EACCES);
        }
    }
}

#[test]
fn the_hosts_network_is_out_of_reach() {
    let tcp4 = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp6 = TcpListener::bind("[::1]:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = |address: std::net::SocketAddr| address.port().to_string();
    let (port4, port6) = (port(tcp4.local_addr().unwrap()), port(tcp6.local_addr().unwrap()));
    let port_udp = port(udp.local_addr().unwrap());
    for who in everyone() {
        let place = Place::new(who);
        for (args, number) in [
            (vec!["tcp", "127.0.0.1", port4.as_str()], libc::EACCES),
            (vec!["tcp", "::1", port6.as_str()], libc::EACCES),
            (vec!["udp", "127.0.0.1", port_udp.as_str()], libc::EACCES),
            (vec!["fast-open", port4.as_str()], libc::EOPNOTSUPP),
            (vec!["fast-open-option", port4.as_str()], libc::ENOPROTOOPT),
            (vec!["listen"], libc::EACCES),
            (vec!["bind"], libc::EACCES),
        ] {
            refused_in(&place, &[], &args, number);
        }
    }
}

#[test]
fn unix_sockets_of_the_host_are_out_of_reach_by_name_and_by_path() {
    for who in everyone() {
        let name = format!("ringfence-landlock-{}-{who:?}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _abstract = UnixListener::bind_addr(&address).unwrap();
        let place = writable(who);
        refused_in(&place, &[], &["abstract", &name], libc::EACCES);
        let data = place.text("data");
        let (path, datagram) = (place.text("data/stream"), place.text("data/datagram"));
        let _listener = UnixListener::bind(&path).unwrap();
        let _socket = UnixDatagram::bind(&datagram).unwrap();
        for socket in [&path, &datagram] {
            fs::set_permissions(socket, fs::Permissions::from_mode(0o777)).unwrap();
        }
        refused_in(&place, &["--write", &data], &["unix", &path], libc::EACCES);
        for attack in ["unix-datagram", "unix-raw", "unix-pair"] {
            refused_in(&place, &["--write", &data], &[attack, &datagram], libc::EACCES);
        }
    }
}

#[test]
fn the_payload_is_nobody_more_by_any_exec() {
    for who in everyone() {
        let place = Place::new(who);
        let user = user_of(who);
        let outside = place.outside(&["who"]).out;
        let said = place.inside(&with(&[]), &["who"]);
        if rustix::process::geteuid().is_root() {
            assert_eq!(said.out, format!("{user} {user}"), "outside {outside}");
        }
        let said =
            place.script(&with(&[]), "grep -E 'Cap(Prm|Eff|Amb)|NoNewPrivs' /proc/self/status");
        // Nobody's status is readable, not even one's own.
        assert_eq!(said.out, "", "{said:?}");
    }
}

#[test]
fn a_world_of_this_tier_writes_where_it_may_and_says_what_it_lacks() {
    for who in everyone() {
        let place = writable(who);
        let data = place.text("data");
        let script = format!(
            "cd {data} && mkdir -p a/b && echo one > a/b/f && echo two >> a/b/f && mv a/b/f g && \
             ln -s g l && cat l && rm -r a && chmod 700 g && touch g && \
             sh -c 'echo $0' three > /dev/null && ls"
        );
        let options = ["--write", data.as_str(), "--layers"];
        let said = place.script(&with(&options), &script);
        assert_eq!(said.code, 0, "{who:?}: {said:?}");
        assert!(said.out.ends_with("one\ntwo\ng\nl"), "{said:?}");
        for line in ["tier Degraded", "namespaces Off", "mounts Off", "landlock Enforced"] {
            assert!(said.out.contains(line), "{line}: {said:?}");
        }
    }
}

#[test]
fn what_this_tier_cannot_hold_is_not_started() {
    let place = Place::new(everyone().first().copied().unwrap());
    let said = place.run(&["--tier", "landlock"], &["true"]);
    assert_eq!(said.code, 125);
    assert!(said.err.contains("decides every class of acts"), "{said:?}");
    let said = place.run(&with(&["--dir", "/x"]), &["true"]);
    assert!(said.err.contains("no files that exist in one world only"), "{said:?}");
    let said = place.run(&["--tier", "chroot"], &["true"]);
    assert_ne!(said.code, 0);
}

/// Told, so that nobody takes it for held: see docs/security-model.md.
#[test]
fn what_this_tier_does_not_hold_is_as_it_is_said() {
    for who in everyone() {
        let place = Place::new(who);
        let secret = place.make_file("secret", "12345");
        let pid = std::process::id();
        let script = format!("stat -c %s {secret}; test -d /proc/{pid} && echo there");
        let said = place.script(&with(&[]), &script);
        assert_eq!(said.out, "5\nthere", "{who:?}: {said:?}");
        assert_eq!(place.script(&[], &script).out, "", "a world in namespaces holds it");
    }
}
