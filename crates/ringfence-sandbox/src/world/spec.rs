//! What a world is to be, as data.

use std::ffi::OsString;
use std::path::PathBuf;

use super::container::Container;
use crate::base::Base;
use crate::seccomp::Profile;

/// Everything needed to start a world.
#[derive(Debug, Clone)]
pub struct WorldSpec {
    /// The runtime base: system programs and libraries, private `/etc` files, `/tmp` and the like.
    pub base: Base,
    /// What the plan grants, in any order; the deepest target decides.
    pub binds: Vec<Bind>,
    /// Directories of the host over which an overlay is laid: what a bind with
    /// [`Access::Overlay`] shows comes from the deepest of them.
    pub overlays: Vec<Overlay>,
    /// Well-known secret places, shown whether or not they exist: *permission denied*.
    pub masks: Vec<PathBuf>,
    /// Places inside a bind that are covered by something empty and unreadable; those that do not
    /// exist on the host are left alone.
    pub hidden: Vec<PathBuf>,
    /// Directories beneath which grants may be mounted later; Landlock cannot be loosened, so they
    /// are in its rules, and exist, from the start.
    pub grantable: Vec<PathBuf>,
    /// World-private files, read-only for the payload.
    pub files: Vec<PrivateFile>,
    /// World-private writable directories, empty at the start and gone at the end.
    pub dirs: Vec<PathBuf>,
    /// The whole environment of the payload.
    pub env: Vec<(OsString, OsString)>,
    /// Where the payload starts.
    pub cwd: PathBuf,
    /// What is run; the first word is looked up in the `PATH` of `env` unless it has a slash.
    pub argv: Vec<OsString>,
    /// Who the payload is.
    pub identity: Identity,
    /// Whose files appear as the payload's.
    pub idmap: IdMap,
    /// Where its standard streams lead.
    pub stdio: Stdio,
    /// Which classes of system calls are notified.
    pub notify: NotifyClasses,
    /// Which system calls its processes may make.
    pub seccomp: Profile,
    /// What the payload may use up.
    pub limits: ResourceLimits,
    /// Whether programs start from where the payload may write.
    pub programs: Programs,
    /// How much of Landlock the kernel must have.
    pub landlock: Require,
    /// Whether the broker connects to ports of the world.
    pub inward: Switch,
    /// The port of the net gate on the world's 127.0.0.1.
    pub proxy_port: u16,
    /// The container that the world is made in, of the tier `oci`; its image's files stand in for
    /// the host's in the runtime base, which has no binds then.
    pub container: Option<Container>,
    /// How its programs ask, of the tiers that advise.
    pub hooks: Option<Hooks>,
    /// An empty directory of the broker's; the world's root is mounted on it where only the mount
    /// helper sees it.
    pub scratch: PathBuf,
}

/// How the programs of a world ask before they act, where the kernel does not tell of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// The library that is loaded into each of them: absolute. Without one they are traced.
    pub library: Option<PathBuf>,
    /// Where the broker listens for them: a path that does not exist yet, in a directory that the
    /// payload may enter.
    pub line: PathBuf,
}

/// What the payload may do with a bound file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read and run.
    Read,
    /// Read, run, create, change and remove.
    Write,
    /// The same on an overlay: nothing of it reaches the host.
    Overlay,
}

impl Access {
    pub(super) fn to_byte(self) -> u8 {
        match self {
            Access::Read => 0,
            Access::Write => 1,
            Access::Overlay => 2,
        }
    }

    pub(super) fn from_byte(byte: u8) -> Option<Access> {
        let every = [Access::Read, Access::Write, Access::Overlay];
        every.into_iter().find(|access| access.to_byte() == byte)
    }

    /// Whether the payload may change what it sees, wherever that is kept.
    pub(super) fn changes(self) -> bool {
        match self {
            Access::Read => false,
            Access::Write | Access::Overlay => true,
        }
    }
}

/// An overlay over a directory of the host: the world sees the directory as it is, and what is
/// changed in it is kept aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// On the host: absolute, and free of symbolic links.
    pub lower: PathBuf,
    /// Where changes are kept: a directory of the caller's, on a file system with extended
    /// attributes, with the mode and the owner that the directory has in the world.
    pub upper: PathBuf,
    /// An empty directory on the same file system.
    pub work: PathBuf,
}

/// Limits of resources that the kernel counts (`setrlimit(2)`); a world has never more of one than
/// the caller itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceLimits {
    /// Most open files of one process.
    pub open_files: Option<u64>,
    /// Most processes and threads of the world.
    pub processes: Option<u64>,
    /// Largest file a process may write, in bytes.
    pub file_bytes: Option<u64>,
}

/// From where programs start, and from where their code may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Programs {
    /// From wherever they can be read.
    #[default]
    Anywhere,
    /// Not from where the payload may write.
    NotWhereWritten,
}

/// How much of a layer the kernel must have for a world to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Require {
    /// All that we ask of it.
    #[default]
    Full,
    /// Less will do: settings name the gap under `[dangerous]`.
    Partial,
}

/// A file or directory of the host that appears in the world, never with device nodes or set-id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host: absolute, and free of symbolic links.
    pub source: PathBuf,
    /// In the world: absolute, and free of symbolic links.
    pub target: PathBuf,
    /// What may be done.
    pub access: Access,
}

/// A file that exists in this world only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateFile {
    /// In the world.
    pub target: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// The payload's user and group, outside and inside alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Never 0.
    pub uid: u32,
    /// Never 0 unless the caller's own group is.
    pub gid: u32,
}

impl Identity {
    /// Whether the payload is who the caller is, who then needs nobody to map the ids.
    pub(super) fn is_caller(self) -> bool {
        rustix::process::geteuid().as_raw() == self.uid
    }
}

/// Whose files appear as the payload's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMap {
    /// Owners are what they are.
    None,
    /// Files of this user and group appear as the payload's, in plan binds and grants; needs root.
    Owner {
        /// The user on the host.
        uid: u32,
        /// The group on the host.
        gid: u32,
    },
}

/// Where the payload's standard streams lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// To the caller's.
    Inherit,
    /// To a terminal of its own, whose master the caller gets.
    Pty(TerminalSize),
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// The classes of system calls that wait for the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotifyClasses {
    /// `execve` and `execveat`.
    pub exec: Switch,
    /// Opening for writing, and creating, renaming, linking, truncating and removing by path.
    pub write: Switch,
    /// `connect`.
    pub connect: Switch,
    /// Opening to read, which is not decided: for who wants to know what is read.
    pub read: Switch,
    /// Asking what may be done with a file, and changing its permissions and times: for worlds in which
    /// some files are asked about.
    pub ask: Switch,
}

impl NotifyClasses {
    /// Every class that is decided.
    pub const ALL: NotifyClasses = NotifyClasses {
        exec: Switch::On,
        write: Switch::On,
        connect: Switch::On,
        read: Switch::Off,
        ask: Switch::Off,
    };
    /// No class: there is no listener, and the payload starts at once.
    pub const NONE: NotifyClasses = NotifyClasses {
        exec: Switch::Off,
        write: Switch::Off,
        connect: Switch::Off,
        read: Switch::Off,
        ask: Switch::Off,
    };
}
