use std::path::PathBuf;

use super::{Quota, Tree, Version, field, parse};

const MOUNTS: &str = "\
31 28 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
32 28 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 28 0:29 /user.slice /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
34 28 0:30 / /tmp rw - tmpfs tmpfs rw,memory
";

#[test]
fn each_tree_is_found_where_it_is_mounted() {
    let groups = "4:memory:/a/b\n3:cpu,cpuacct:/\n2:pids:/x\n0::/user.slice/session\n";
    let tree = |own: &str, version, controllers: &[&str]| Tree {
        own: PathBuf::from(own),
        version,
        controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!(
        parse(groups, MOUNTS),
        [
            tree("/sys/fs/cgroup/memory/a/b", Version::One, &["memory"]),
            tree("/sys/fs/cgroup/cpu,cpuacct", Version::One, &["cpu", "cpuacct"]),
            tree("/sys/fs/cgroup/unified/session", Version::Two, &[]),
        ]
    );
}

#[test]
fn what_is_not_shown_by_any_mount_is_not_there() {
    assert_eq!(parse("0::/system.slice/other\n", MOUNTS), []);
    assert_eq!(parse("nonsense\n\n:\n", MOUNTS), []);
    assert_eq!(parse("4:memory:/\n", "31 28 0:27 / /x\n1 2 3\n"), []);
}

#[test]
fn a_share_of_the_processors_is_a_quota_of_the_period() {
    assert_eq!(Quota::Cpu.writes(Version::Two, 150), [("cpu.max", "150000 100000".to_owned())]);
    let one = Quota::Cpu.writes(Version::One, 20);
    assert_eq!(one.last(), Some(&("cpu.cfs_quota_us", "20000".to_owned())));
}

#[test]
fn a_counter_is_found_by_its_whole_name() {
    let text = "low 0\noom 3\noom_kill 2\noom_group_kill 7\n";
    assert_eq!(field(text, "oom_kill"), Some(2));
    assert_eq!(field(text, "kill"), None);
    assert_eq!(field("max\n", "max"), None);
}
