//! A failed step, as it travels from the process it happened in to the broker.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::WorldError;

/// What the step was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Need {
    UserNamespace = 1,
    Namespaces,
    Mounts,
    /// The step is the path in the world.
    Bind,
    Proc,
    Net,
    Terminal,
    Landlock,
    Seccomp,
    Payload,
    /// The step is the path in the world, or none.
    Watches,
    /// The step is the path on the host.
    Overlay,
    /// The step is the engine, and what it said.
    Engine,
    Container,
}

impl Need {
    const EVERY: [Need; 14] = [
        Need::UserNamespace,
        Need::Namespaces,
        Need::Mounts,
        Need::Bind,
        Need::Proc,
        Need::Net,
        Need::Terminal,
        Need::Landlock,
        Need::Seccomp,
        Need::Payload,
        Need::Watches,
        Need::Overlay,
        Need::Engine,
        Need::Container,
    ];
}

/// A failed step.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) need: Need,
    pub(super) errno: i32,
    pub(super) step: String,
}

/// Names the step that a result belongs to.
pub(super) trait During<T> {
    fn during(self, need: Need, step: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, need: Need, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| {
            let errno = error.into().raw_os_error().unwrap_or(libc::EINVAL);
            Failure { need, errno, step: step.into() }
        })
    }
}

impl Failure {
    /// The bytes of a message.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.need as u8];
        bytes.extend(self.errno.to_le_bytes());
        bytes.extend(self.step.as_bytes());
        bytes
    }

    /// From the bytes of a message.
    pub(super) fn decode(bytes: &[u8]) -> Option<Failure> {
        let (need, rest) = bytes.split_first()?;
        let (errno, step) = rest.split_first_chunk()?;
        Some(Failure {
            need: Need::EVERY.into_iter().find(|known| *known as u8 == *need)?,
            errno: i32::from_le_bytes(*errno),
            step: String::from_utf8_lossy(step).into_owned(),
        })
    }

    /// For a person: what, why, and what to do about it.
    pub(super) fn explain(self) -> WorldError {
        let source = io::Error::from_raw_os_error(self.errno);
        let refused =
            matches!(self.errno, libc::EPERM | libc::EACCES | libc::ENOSPC | libc::ENOSYS);
        match self.need {
            Need::UserNamespace | Need::Namespaces | Need::Mounts if refused => {
                let (why, fix) = why_no_namespaces(&source);
                let what = format!("user namespaces to an ordinary user ({})", self.step);
                let fix = format!("{fix}; {OTHER_TIER}");
                WorldError::KernelRefuses { what, why, fix }
            }
            Need::Proc if refused => WorldError::KernelRefuses {
                what: "a fresh /proc".to_owned(),
                why: format!("{source}; a container that hides parts of /proc forbids it"),
                fix: "start the container with an unmasked /proc \
                      (`podman run --security-opt unmask=ALL`, `docker run --security-opt systempaths=unconfined`)"
                    .to_owned()
                    + "; "
                    + OTHER_TIER,
            },
            Need::Landlock => WorldError::KernelRefuses {
                what: "Landlock".to_owned(),
                why: format!("{}: {source}", self.step),
                fix: "boot with `lsm=landlock,...` on a kernel of at least 6.12, \
                      built with CONFIG_SECURITY_LANDLOCK"
                    .to_owned(),
            },
            Need::Seccomp => WorldError::KernelRefuses {
                what: "system-call filters with notification".to_owned(),
                why: format!("{}: {source}", self.step),
                fix: "run on a kernel of at least 5.19 with CONFIG_SECCOMP_FILTER; in a container, \
                      allow `seccomp` in its profile; another supervisor (a sandbox around this \
                      one) must be taken away"
                    .to_owned(),
            },
            Need::Watches => WorldError::KernelRefuses {
                what: "watches on the places that a world covers".to_owned(),
                why: format!("{}: {source}", self.step.replace('\n', ": ")),
                fix: "raise the limits: sudo sysctl -w fs.inotify.max_user_instances=1024 \
                      fs.inotify.max_user_watches=524288"
                    .to_owned(),
            },
            Need::Overlay => {
                let (path, step) = self.step.split_once('\n').unwrap_or((&self.step, "lay it"));
                WorldError::Overlay { path: PathBuf::from(path), step: step.to_owned(), source }
            }
            Need::Bind => {
                let (path, step) = self.step.split_once('\n').unwrap_or((&self.step, "bind"));
                WorldError::Bind { path: PathBuf::from(path), step: step.to_owned(), source }
            }
            Need::Engine => {
                let (engine, said) = self.step.split_once('\n').unwrap_or(("podman", &self.step));
                WorldError::Engine { engine: engine.to_owned(), said: said.to_owned() }
            }
            Need::Container if refused => WorldError::KernelRefuses {
                what: format!("to {}", self.step),
                why: source.to_string(),
                fix: "take podman, or a docker daemon that runs as you; the containers of a daemon \
                      that runs as root are entered by root alone"
                    .to_owned(),
            },
            Need::UserNamespace
            | Need::Namespaces
            | Need::Mounts
            | Need::Proc
            | Need::Container
            | Need::Net
            | Need::Terminal
            | Need::Payload => WorldError::Step { step: self.step, source },
        }
    }
}

/// What else can be done where no namespaces can be had, and what that is not.
const OTHER_TIER: &str = "or run it with `--tier landlock`, which needs no namespaces and holds less: there \
    names, sizes and times of all files can be seen, UDP and listening do not exist, and nothing is \
    mounted";

/// What the kernel's switches say about refused namespaces, and how to turn them.
fn why_no_namespaces(source: &io::Error) -> (String, String) {
    let setting = |path: &str| {
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    if setting("/proc/sys/user/max_user_namespaces") == "0" {
        return (
            "user.max_user_namespaces = 0".to_owned(),
            "sudo sysctl -w user.max_user_namespaces=10000".to_owned(),
        );
    }
    if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return (
            "kernel.unprivileged_userns_clone = 0".to_owned(),
            "sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned(),
        );
    }
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return (
            "kernel.apparmor_restrict_unprivileged_userns = 1".to_owned(),
            "install the AppArmor profile that `ringfence doctor --fix` prints".to_owned(),
        );
    }
    (
        source.to_string(),
        "in a container, allow `unshare`, `mount` and `pivot_root` \
         (`--security-opt seccomp=unconfined`), or run `ringfence doctor` on the host"
            .to_owned(),
    )
}
