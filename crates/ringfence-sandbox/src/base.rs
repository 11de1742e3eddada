//! The runtime base: what every world has so that programs run at all, outside the `fs` actions.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::PrivateFile;

/// Directories of the host that hold system programs and libraries; read-only in every world.
const SYSTEM_DIRS: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What of the host's `/etc` a program needs to load, to find its tools and to trust certificates.
const SYSTEM_ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/chromium.d",
    "/etc/debian_version",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/mtab",
    "/etc/os-release",
    "/etc/pki/ca-trust",
    "/etc/pki/java",
    "/etc/pki/tls/certs",
    "/etc/protocols",
    "/etc/python3",
    "/etc/services",
    "/etc/shells",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/terminfo",
    "/etc/timezone",
];

/// Beginnings of names in `/etc`, some of which carry a version.
const SYSTEM_ETC_PREFIXES: &[&str] = &["emacs", "java-", "java.conf", "maven", "perl", "python3."];

/// World-private writable directories that programs expect.
const PRIVATE_DIRS: &[&str] = &["/tmp", "/var/tmp", "/run"];

/// The runtime base of one world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// Files and directories of the host, read-only, at their own paths.
    pub binds: Vec<PathBuf>,
    /// Symbolic links: where, and what they say.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Private files of `/etc`.
    pub files: Vec<PrivateFile>,
    /// Private writable directories.
    pub dirs: Vec<PathBuf>,
}

/// The person whom the world's `/etc/passwd` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory in the world.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

impl Base {
    /// The base of this host for `account`.
    pub fn of_host(account: &Account) -> Base {
        let mut base = Base { files: etc_files(account), ..Base::default() };
        for path in SYSTEM_DIRS.iter().chain(SYSTEM_ETC).map(Path::new) {
            base.take(path);
        }
        let names = fs::read_dir("/etc").into_iter().flatten().flatten();
        let mut versioned: Vec<PathBuf> = names
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                is_of_system(&name)
            })
            .map(|entry| entry.path())
            .collect();
        versioned.sort();
        for path in versioned {
            base.take(&path);
        }
        base.dirs.extend(PRIVATE_DIRS.iter().map(PathBuf::from));
        base.links.push(("/var/run".into(), "/run".into()));
        base
    }

    /// The base of a world in a container: the image has all programs and libraries.
    pub fn of_image(account: &Account) -> Base {
        let dirs = PRIVATE_DIRS.iter().map(PathBuf::from).collect();
        Base { files: etc_files(account), dirs, ..Base::default() }
    }

    /// Takes one path over as it is on the host: a link stays a link.
    fn take(&mut self, path: &Path) {
        let Ok(meta) = fs::symlink_metadata(path) else { return };
        if meta.is_symlink() {
            if let Ok(to) = fs::read_link(path) {
                self.links.push((path.to_path_buf(), to));
            }
        } else {
            self.binds.push(path.to_path_buf());
        }
    }
}

/// The private files of `/etc`, in place of the host's, which name its users and network.
fn etc_files(account: &Account) -> Vec<PrivateFile> {
    let Account { name, uid, gid, home, shell } = account;
    let passwd = format!(
        "{name}:x:{uid}:{gid}:{name}:{}:{}\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        home.display(),
        shell.display()
    );
    let group = format!("{name}:x:{gid}:\nnogroup:x:65534:\n");
    let hosts = "127.0.0.1 localhost ringfence\n::1 localhost ip6-localhost ip6-loopback\n";
    let nsswitch =
        "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";
    let resolv = "# names are resolved by the net gate, outside this world\nnameserver 127.0.0.1\noptions timeout:5 attempts:2\n";
    [
        ("/etc/passwd", passwd.as_str()),
        ("/etc/group", &group),
        ("/etc/hosts", hosts),
        ("/etc/hostname", "ringfence\n"),
        ("/etc/nsswitch.conf", nsswitch),
        ("/etc/resolv.conf", resolv),
    ]
    .into_iter()
    .map(|(target, text)| PrivateFile {
        target: target.into(),
        bytes: text.as_bytes().to_vec(),
        mode: 0o644,
    })
    .collect()
}

/// Whether what has this name in `/etc` is there in every world.
fn is_of_system(name: &str) -> bool {
    SYSTEM_ETC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_of_system;

    #[test]
    fn settings_of_programs_that_carry_a_version_are_there_and_no_others() {
        for name in ["emacs", "emacs28", "emacs-nox", "java-17-openjdk", "maven", "perl"] {
            assert!(is_of_system(name), "{name}");
        }
        for name in ["emac", "xemacs", "shadow", "passwd-", "sudoers.d", "ssh", "java", ""] {
            assert!(!is_of_system(name), "{name}");
        }
    }
}
