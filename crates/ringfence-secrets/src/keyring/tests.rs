//! Against a real keyring on a bus of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::*;

/// Begins a keyring that is unlocked, keeps items, and says the bus's address.
const SCRIPT: &str = r#"
printf '\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
put() { printf "$1" | secret-tool store --label "$2 $3" service "$2" username "$3"; }
put sk-ant-api03-in-the-keyring model me
put one twice me && printf two | secret-tool store --label other service twice username me kind other
printf '\377\376' | secret-tool store --label bytes service bytes username me
put nested git:https://forge.example me
echo "$DBUS_SESSION_BUS_ADDRESS"
while read -r line; do
    secret-tool lock --collection login >/dev/null 2>&1
    echo done
done
"#;

struct Keyring {
    bus: Child,
    commands: Option<ChildStdin>,
    lines: BufReader<std::process::ChildStdout>,
    address: String,
    _home: tempfile::TempDir,
}

impl Keyring {
    fn new() -> Keyring {
        let home = tempfile::tempdir().unwrap();
        let mut bus = Command::new("dbus-run-session")
            .args(["--", "sh", "-c", SCRIPT])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-run-session: `cargo xtask setup --yes` installs it");
        let commands = bus.stdin.take();
        let mut lines = BufReader::new(bus.stdout.take().unwrap());
        let mut address = String::new();
        lines.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        assert!(address.starts_with("unix:"), "{address}");
        Keyring { bus, commands, lines, address, _home: home }
    }

    fn lock(&mut self) {
        self.commands.as_mut().unwrap().write_all(b"lock\n").unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    fn read(&self, item: &str) -> Result<String, KeyringError> {
        let item: Item = item.parse().unwrap();
        super::read(Some(&self.address), &item).map(|it| it.as_str().to_owned())
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // Its script ends with what it reads, and the bus and the keyring with it.
        self.commands = None;
        let _ = self.bus.wait();
    }
}

#[test]
fn an_item_is_read_and_a_locked_one_is_said_to_be() {
    let mut keyring = Keyring::new();
    assert_eq!(keyring.read("model/me").as_deref(), Ok("sk-ant-api03-in-the-keyring"));
    assert_eq!(keyring.read("git:https://forge.example/me").as_deref(), Ok("nested"));
    let absent = keyring.read("model/you").unwrap_err();
    assert_eq!(absent, KeyringError::Absent("model/you".parse().unwrap()));
    assert!(
        absent.to_string().contains("secret-tool store --label NAME service model username you")
    );
    let several = keyring.read("twice/me").unwrap_err();
    assert!(matches!(several, KeyringError::Several { count: 2, .. }), "{several}");
    assert_eq!(keyring.read("bytes/me"), Err(KeyringError::NotText));
    keyring.lock();
    assert_eq!(keyring.read("model/me"), Err(KeyringError::Locked));
}

#[test]
fn without_a_bus_or_a_keyring_there_is_an_answer_at_once() {
    let item: Item = "model/me".parse().unwrap();
    assert_eq!(super::read(None, &item).err(), Some(KeyringError::NoBus));
    for address in ["unixexec:path=/bin/sh", "tcp:host=127.0.0.1,port=1", "unix:path=/a;tcp:host=b"]
    {
        assert_eq!(super::read(Some(address), &item).err(), Some(KeyringError::Address));
    }
    let nobody = super::read(Some("unix:path=/nonexistent/bus"), &item);
    assert!(matches!(nobody, Err(KeyringError::Failed(_))));
}

#[test]
fn a_bus_that_says_nothing_is_not_waited_for_forever() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let _listens = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let address = format!("unix:path={}", path.display());
    let answer = super::read(Some(&address), &"model/me".parse().unwrap());
    assert!(matches!(answer, Err(KeyringError::Slow | KeyringError::Failed(_))), "{answer:?}");
}

#[test]
fn an_item_is_a_service_and_an_account() {
    for good in ["model/me", "git:https://forge.example/me", "a b/c d"] {
        assert_eq!(good.parse::<Item>().unwrap().to_string(), good);
    }
    for bad in ["", "model", "/me", "model/", "a\n/b", "a/b\0"] {
        assert!(bad.parse::<Item>().is_err(), "{bad}");
    }
}

#[test]
fn the_bus_is_the_one_that_the_environment_names() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = dir.path().to_str().unwrap().to_owned();
    let of = |named: Option<&str>| {
        let named = named.map(str::to_owned);
        bus(&|name| match name {
            "DBUS_SESSION_BUS_ADDRESS" => named.clone(),
            _ => Some(runtime.clone()),
        })
    };
    assert_eq!(of(Some("unix:path=/x")).as_deref(), Some("unix:path=/x"));
    assert_eq!(of(None), None);
    std::fs::write(dir.path().join("bus"), "").unwrap();
    assert_eq!(of(Some("")), Some(format!("unix:path={runtime}/bus")));
}
