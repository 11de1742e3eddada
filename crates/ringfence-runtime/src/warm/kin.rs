//! What a process inherits and passes on, and no message can hand over.
//!
//! A world's programs inherit limits, control groups, processors, privileges and a security label from
//! the process that started them. Those of a world that was kept ready come from who keeps it: it may
//! only serve a caller who has the very same, or the caller's own confinement would be left behind. What
//! is shown nowhere is proved ([`super::proof`]).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// Lines of `/proc/PID/status` that must be alike, proc_pid_status(5). `NoNewPrivs` stands for every
/// confinement that a process puts upon itself, Landlock among them, which is shown nowhere.
const STATUS: &[(&str, &str)] = &[
    ("Uid", "the user"),
    ("Gid", "the group"),
    ("Groups", "the groups"),
    ("CapInh", "capabilities"),
    ("CapPrm", "capabilities"),
    ("CapEff", "capabilities"),
    ("CapBnd", "capabilities"),
    ("CapAmb", "capabilities"),
    ("NoNewPrivs", "no_new_privs"),
    ("Seccomp", "a system-call filter"),
    ("Seccomp_filters", "a system-call filter"),
    ("Cpus_allowed", "the processors it may use"),
    ("Mems_allowed", "the memory it may use"),
];

/// Files of `/proc/PID` that must be alike, whole.
const FILES: &[(&str, &str)] = &[
    ("limits", LIMITS),
    ("cgroup", "the control group"),
    ("attr/current", "the security label"),
    ("loginuid", "the login of the audit log"),
    ("sessionid", "the session of the audit log"),
    ("oom_score_adj", "oom_score_adj"),
    // Without address randomization, for one (`setarch -R`).
    ("personality", "the personality (setarch)"),
];

/// Fields of `/proc/PID/stat`, as proc_pid_stat(5) counts them: nice, `rt_priority`, policy.
const SCHEDULING: [usize; 3] = [19, 40, 41];

/// `CAP_SYS_ADMIN`, in a mask of `/proc/PID/status`: who has it confines itself without `no_new_privs`.
const SYS_ADMIN: u64 = 1 << 21;

/// What resource limits are called.
const LIMITS: &str = "resource limits (ulimit)";

/// What a process has inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kin {
    /// What it is called, and what it is.
    facts: Vec<(&'static str, String)>,
    /// Whether it could be held by what is shown nowhere.
    held_unseen: bool,
    umask: u32,
    cwd: (u64, u64),
}

impl Kin {
    /// Of the calling process; while it is dumpable, for the kernel hides it afterwards.
    pub fn own() -> io::Result<Kin> {
        Kin::of(Path::new("/proc/self"))
    }

    /// Of another process.
    pub fn of_process(pid: i32) -> io::Result<Kin> {
        Kin::of(&PathBuf::from(format!("/proc/{pid}")))
    }

    fn of(dir: &Path) -> io::Result<Kin> {
        let status = fs::read_to_string(dir.join("status"))?;
        let line = |name: &str| {
            let lines = status.lines().filter_map(|line| line.split_once(':'));
            lines.filter(|(found, _)| *found == name).map(|(_, value)| value.trim()).next()
        };
        let of_status =
            STATUS.iter().map(|(name, called)| (*called, line(name).unwrap_or_default()));
        let mut facts: Vec<_> = of_status.map(|(name, text)| (name, text.to_owned())).collect();
        for (file, called) in FILES {
            // Kernels are built without some of these, alike for both.
            facts.push((*called, fs::read_to_string(dir.join(file)).unwrap_or_default()));
        }
        facts.push(("the scheduling priority", scheduling(&dir.join("stat"))?));
        facts.push(("namespaces", namespaces(&dir.join("ns"))?));
        facts.push(("the root directory", format!("{:?}", identity(&dir.join("root"))?)));
        facts.push(("the version of ringfence", format!("{:?}", identity(&dir.join("exe"))?)));
        let umask = line("Umask").and_then(|text| u32::from_str_radix(text, 8).ok());
        let umask = umask.ok_or(io::ErrorKind::InvalidData)?;
        let can = |name| line(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        let privileged = ["CapPrm", "CapEff"]
            .into_iter()
            .any(|name| can(name).is_none_or(|mask| mask & SYS_ADMIN != 0));
        let held_unseen = privileged && line("NoNewPrivs") != Some("1");
        Ok(Kin { facts, held_unseen, umask, cwd: identity(&dir.join("cwd"))? })
    }

    /// What differs, as a person reads it; `None` where all is alike.
    pub fn differs(&self, other: &Kin) -> Option<String> {
        if self.facts.len() != other.facts.len() {
            return Some("what it inherited".to_owned());
        }
        let mut pairs = self.facts.iter().zip(&other.facts);
        let ((called, one), (_, other)) = pairs.find(|(one, other)| one != other)?;
        let limit = if *called == LIMITS { limit(one, other) } else { None };
        Some(limit.unwrap_or_else(|| (*called).to_owned()))
    }

    /// Whether it may be confined by what is shown nowhere (Landlock), which it then has to prove it is not.
    pub fn is_held_unseen(&self) -> bool {
        self.held_unseen
    }

    /// Its umask, which is handed over.
    pub fn umask(&self) -> Mode {
        Mode::from_raw_mode(self.umask)
    }

    /// Whether its working directory is the one at `path`.
    pub fn is_at(&self, path: &Path) -> bool {
        identity(path).is_ok_and(|found| found == self.cwd)
    }
}

/// The first resource limit that differs, with the other's values: soft, hard and unit.
fn limit(own: &str, other: &str) -> Option<String> {
    let mut lines = own.lines().zip(other.lines());
    let (_, line) = lines.find(|(one, other)| one != other)?;
    // Padded with spaces, and every name has single ones.
    let (name, values) = line.split_once("  ")?;
    let values: Vec<&str> = values.split_whitespace().collect();
    Some(format!("the resource limit `{name}` ({})", values.join(" ")))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

fn scheduling(stat: &Path) -> io::Result<String> {
    let stat = fs::read_to_string(stat)?;
    // Behind the name, which may hold anything, the third field is the first.
    let (_, fields) = stat.rsplit_once(") ").ok_or(io::ErrorKind::InvalidData)?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let wanted = SCHEDULING.map(|number| fields.get(number - 3).copied().unwrap_or_default());
    Ok(wanted.join(" "))
}

/// All of them, those of children to come included.
fn namespaces(dir: &Path) -> io::Result<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let link = entry?.path();
        all.push(format!("{}={}", link.display(), fs::read_link(&link)?.display()));
    }
    let own = format!("{}/", dir.display());
    all.sort();
    Ok(all.join(" ").replace(&own, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_alike_until_it_is_held_tighter() {
        let own = Kin::own().unwrap();
        let kin = |script: &str| {
            let mut child = std::process::Command::new("sh")
                .args(["-c", &format!("{script}; echo ready; read line")])
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut ready = [0_u8; 6];
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
            let kin = Kin::of_process(i32::try_from(child.id()).unwrap()).unwrap();
            drop(child.stdin.take());
            child.wait().unwrap();
            kin
        };
        // The shell is another program, which is the last thing looked at.
        let differs = |script: &str| own.differs(&kin(script)).unwrap_or_default();
        assert_eq!(differs(":"), "the version of ringfence");
        let limit = "the resource limit `Max open files` (64 64 files)";
        assert_eq!(differs("ulimit -n 64"), limit);
        assert_eq!(differs("echo 500 >/proc/$$/oom_score_adj"), "oom_score_adj");
        assert_eq!(differs("renice -n 5 -p $$ >/dev/null"), "the scheduling priority");
        assert_eq!(
            differs("exec setarch -R sh -c 'echo ready; read line'"),
            "the personality (setarch)"
        );
        assert_eq!(kin("umask 027").umask(), Mode::from_raw_mode(0o027));
        assert!(kin("cd /").is_at(Path::new("/")));
        assert!(!kin("cd /").is_at(Path::new("/proc")));
        assert_eq!(own.differs(&own), None);
    }
}
