#![expect(clippy::cast_sign_loss, reason = "flags and descriptors as the registers hold them")]

use super::bpf::*;
use super::{Profile, Walls, filter, refusals};
use crate::sys::seccomp::Instruction;
use crate::world::{NotifyClasses, Switch};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(number).unwrap()
}

/// What the kernel's interpreter would answer.
fn run(filter: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let Instruction { code, jump_true, jump_false, operand } = filter[at];
        at += 1;
        let taken = match code {
            LOAD => {
                accumulator = match operand {
                    NUMBER_AT => number,
                    ARCH_AT => arch,
                    _ => {
                        let half = (operand - ARGS_AT) / 4;
                        let arg = args[half as usize / 2];
                        u32::try_from(if half.is_multiple_of(2) {
                            arg & 0xffff_ffff
                        } else {
                            arg >> 32
                        })
                        .unwrap()
                    }
                };
                continue;
            }
            AND => {
                accumulator &= operand;
                continue;
            }
            RETURN => return operand,
            JUMP_EQUAL => accumulator == operand,
            JUMP_AT_LEAST => accumulator >= operand,
            JUMP_ANY_BIT => accumulator & operand != 0,
            other => panic!("unknown instruction {other:#x}"),
        };
        at += usize::from(if taken { jump_true } else { jump_false });
    }
}

fn answer(call: libc::c_long, args: &[u64]) -> u32 {
    answer_with(NotifyClasses::ALL, call, args)
}

fn answer_with(classes: NotifyClasses, call: libc::c_long, args: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    run(
        &filter(Profile::Default, classes, Walls::Mounts),
        ARCH_X86_64,
        u32::try_from(call).unwrap(),
        all,
    )
}

#[test]
fn calls_of_a_foreign_architecture_or_of_x32_kill() {
    let filter = filter(Profile::Default, NotifyClasses::ALL, Walls::Mounts);
    let i386 = 0x4000_0003;
    let aarch64 = 0xc000_00b7;
    assert_eq!(run(&filter, i386, 20, [0; 6]), KILL);
    assert_eq!(run(&filter, aarch64, 172, [0; 6]), KILL);
    assert_eq!(run(&filter, ARCH_X86_64, X32_BIT | 0x27, [0; 6]), KILL);
    assert_eq!(run(&filter, ARCH_X86_64, u32::MAX, [0; 6]), KILL);
    assert_eq!(run(&filter, ARCH_X86_64, 39, [0; 6]), ALLOW);
}

#[test]
fn calls_younger_than_the_profile_do_not_exist() {
    assert_eq!(answer(470, &[]), errno(libc::ENOSYS));
    assert_eq!(answer(4096, &[]), errno(libc::ENOSYS));
    assert_eq!(answer(469, &[]), ALLOW);
}

#[test]
fn opens_are_notified_only_with_write_intent() {
    let at = libc::AT_FDCWD as u64;
    for flags in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE | 1] {
        assert_eq!(answer(libc::SYS_openat, &[at, 0, flags as u64]), NOTIFY, "{flags:#x}");
        assert_eq!(answer(libc::SYS_open, &[0, flags as u64]), NOTIFY, "{flags:#x}");
    }
    let reads = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY | libc::O_APPEND;
    assert_eq!(answer(libc::SYS_openat, &[at, 0, reads as u64]), ALLOW);
    // A high half that the kernel ignores changes nothing.
    assert_eq!(answer(libc::SYS_openat, &[at, 0, 1 << 32]), ALLOW);
    assert_eq!(answer(libc::SYS_openat, &[at, 0, (1 << 32) | 1]), NOTIFY);
}

#[test]
fn a_class_that_is_off_is_not_notified() {
    let none = NotifyClasses::NONE;
    assert_eq!(answer_with(none, libc::SYS_execve, &[]), ALLOW);
    assert_eq!(answer_with(none, libc::SYS_connect, &[]), ALLOW);
    assert_eq!(answer_with(none, libc::SYS_openat, &[0, 0, 1]), ALLOW);
    assert_eq!(answer_with(none, libc::SYS_unlink, &[]), ALLOW);
    assert_eq!(answer_with(none, libc::SYS_mount, &[]), errno(libc::EPERM));
    for call in [libc::SYS_execve, libc::SYS_execveat, libc::SYS_connect, libc::SYS_unlink] {
        assert_eq!(answer(call, &[]), NOTIFY);
    }
}

#[test]
fn what_is_asked_of_a_file_and_its_permissions_are_notified_where_files_are_asked_about() {
    let asks = NotifyClasses { ask: Switch::On, ..NotifyClasses::ALL };
    let any = u64::from(libc::W_OK.unsigned_abs());
    for (call, args) in [
        (libc::SYS_access, [0, any, 0]),
        (libc::SYS_faccessat, [0, 0, any]),
        (libc::SYS_faccessat2, [0, 0, any]),
        (libc::SYS_chmod, [0, 0o777, 0]),
        (libc::SYS_utimensat, [0, 0, 0]),
    ] {
        assert_eq!(answer_with(asks, call, &args), NOTIFY, "{call}");
        assert_eq!(answer(call, &args), ALLOW, "{call}");
    }
    assert_eq!(answer_with(asks, libc::SYS_access, &[0, 0]), ALLOW, "whether it is there");
    assert_eq!(answer_with(asks, libc::SYS_chmod, &[0, 0o4755]), errno(libc::EPERM));
}

#[test]
fn namespaces_are_refused_whatever_comes_with_them() {
    let thread = 0x003d_0f00;
    assert_eq!(answer(libc::SYS_clone, &[thread]), ALLOW);
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        let flag = flag as u64;
        assert_eq!(answer(libc::SYS_clone, &[thread | flag]), errno(libc::EPERM));
        assert_eq!(answer(libc::SYS_unshare, &[flag]), errno(libc::EPERM));
    }
    assert_eq!(answer(libc::SYS_unshare, &[0x80]), errno(libc::EPERM));
    assert_eq!(answer(libc::SYS_unshare, &[libc::CLONE_FILES as u64]), ALLOW);
    assert_eq!(answer(libc::SYS_setns, &[3, 0]), errno(libc::EPERM));
    assert_eq!(answer(libc::SYS_clone3, &[]), errno(libc::ENOSYS));
}

#[test]
fn typing_into_a_terminal_is_refused_also_with_a_high_half() {
    let high = 1_u64 << 32;
    for request in [0x5412, 0x541c, high | 0x5412, high | 0x541c] {
        assert_eq!(answer(libc::SYS_ioctl, &[0, request]), errno(libc::EPERM), "{request:#x}");
    }
    assert_eq!(answer(libc::SYS_ioctl, &[0, 0x5413]), ALLOW);
}

#[test]
fn names_are_not_made_by_ioctl_whatever_size_it_says() {
    let wrong_size = 0x4000_0000;
    let high = 1_u64 << 32;
    for request in [0x9401, 0x940e, 0x940f, 0x9417, 0x9418, 0x943f, 0xbc10, 0xbc11] {
        for bits in [0x5000_0000, 0x4001_0000, wrong_size, 0, high, high | 0xffff_0000] {
            let asked = answer(libc::SYS_ioctl, &[3, request | bits]);
            assert_eq!(asked, errno(libc::EPERM), "{request:#x} {bits:#x}");
        }
    }
    // FICLONE, FICLONERANGE and FIDEDUPERANGE have the type of btrfs, and make no name.
    for request in [0x4004_9409, 0x4020_940d, 0xc018_9436] {
        assert_eq!(answer(libc::SYS_ioctl, &[3, request]), ALLOW, "{request:#x}");
    }
}

#[test]
fn sockets_are_local_streams_internet_or_route_netlink() {
    let unix = libc::AF_UNIX as u64;
    let cloexec = libc::SOCK_CLOEXEC as u64;
    assert_eq!(answer(libc::SYS_socket, &[unix, 1 | cloexec, 0]), ALLOW);
    assert_eq!(answer(libc::SYS_socket, &[unix, 5, 0]), ALLOW);
    assert_eq!(answer(libc::SYS_socket, &[2, 2, 0]), ALLOW);
    assert_eq!(answer(libc::SYS_socket, &[10, 1, 6]), ALLOW);
    assert_eq!(answer(libc::SYS_socket, &[16, 3, 0]), ALLOW);
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        for kind in [2, 3, 2 | cloexec, 3 | libc::SOCK_NONBLOCK as u64] {
            assert_eq!(answer(call, &[unix, kind, 0]), errno(libc::EACCES), "{kind:#x}");
        }
    }
    for protocol in [4, 6, 9, 12, 15, 16] {
        assert_eq!(answer(libc::SYS_socket, &[16, 3, protocol]), errno(libc::EPERM));
    }
    for family in [0, 3, 17, 29, 30, 31, 38, 40, 44, 45] {
        assert_eq!(answer(libc::SYS_socket, &[family, 1, 0]), errno(libc::EAFNOSUPPORT));
    }
}

#[test]
fn device_nodes_are_refused_and_other_nodes_are_notified() {
    let mode = |kind: u32| u64::from(kind | 0o666);
    for kind in [libc::S_IFCHR, libc::S_IFBLK] {
        assert_eq!(answer(libc::SYS_mknod, &[0, mode(kind)]), errno(libc::EPERM));
        assert_eq!(answer(libc::SYS_mknodat, &[0, 0, mode(kind)]), errno(libc::EPERM));
    }
    assert_eq!(answer(libc::SYS_mknod, &[0, mode(libc::S_IFIFO)]), NOTIFY);
    assert_eq!(answer(libc::SYS_mknodat, &[0, 0, mode(libc::S_IFSOCK)]), NOTIFY);
}

#[test]
fn a_second_listener_is_told_that_the_place_is_taken() {
    assert_eq!(answer(libc::SYS_seccomp, &[1, 8, 0]), errno(libc::EBUSY));
    assert_eq!(answer(libc::SYS_seccomp, &[1, 0, 0]), ALLOW);
    assert_eq!(answer(libc::SYS_seccomp, &[2, 0, 0]), ALLOW);
}

#[test]
fn personalities_that_weaken_memory_are_refused() {
    for ok in [0, 0x0002_0000, 0x0004_0000, 0xffff_ffff] {
        assert_eq!(answer(libc::SYS_personality, &[ok]), ALLOW);
    }
    for bad in [0x0040_0000, 8, 0x0004_0008, 0x0010_0000] {
        assert_eq!(answer(libc::SYS_personality, &[bad]), errno(libc::EPERM));
    }
}

#[test]
fn what_reaches_around_the_walls_is_refused() {
    for call in [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_mount_setattr,
        libc::SYS_open_by_handle_at,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_reboot,
        libc::SYS_fanotify_init,
        libc::SYS_pidfd_getfd,
    ] {
        assert_eq!(answer(call, &[]), errno(libc::EPERM), "call {call}");
    }
    for call in [libc::SYS_io_uring_setup, libc::SYS_openat2] {
        assert_eq!(answer(call, &[]), errno(libc::ENOSYS), "call {call}");
    }
}

#[test]
fn ordinary_calls_pass() {
    for call in [libc::SYS_read, libc::SYS_write, libc::SYS_mmap, libc::SYS_futex, libc::SYS_wait4]
    {
        assert_eq!(answer(call, &[]), ALLOW);
    }
    assert!(
        filter(Profile::Default, NotifyClasses::ALL, Walls::Mounts).len() < 4096,
        "the kernel's limit is 4096 instructions"
    );
}

#[test]
fn nothing_can_be_made_set_id() {
    let at = libc::AT_FDCWD as u64;
    let eperm = errno(libc::EPERM);
    for mode in [0o4755, 0o2755, 0o6000] {
        assert_eq!(answer(libc::SYS_chmod, &[0, mode]), eperm);
        assert_eq!(answer(libc::SYS_fchmod, &[3, mode]), eperm);
        assert_eq!(answer(libc::SYS_fchmodat, &[at, 0, mode]), eperm);
        assert_eq!(answer(libc::SYS_fchmodat2, &[at, 0, mode, 0]), eperm);
        assert_eq!(answer(libc::SYS_creat, &[0, mode]), eperm);
        assert_eq!(answer(libc::SYS_mkdir, &[0, mode]), eperm);
        assert_eq!(answer(libc::SYS_mkdirat, &[at, 0, mode]), eperm);
        assert_eq!(answer(libc::SYS_mknod, &[0, mode]), eperm);
        assert_eq!(answer(libc::SYS_mknodat, &[at, 0, mode]), eperm);
        for flags in [libc::O_CREAT | libc::O_WRONLY, libc::O_TMPFILE | libc::O_RDWR] {
            assert_eq!(answer(libc::SYS_openat, &[at, 0, flags as u64, mode]), eperm);
            assert_eq!(answer(libc::SYS_open, &[0, flags as u64, mode]), eperm);
        }
        // Without a file to make, the mode is whatever was in the register.
        assert_eq!(answer(libc::SYS_openat, &[at, 0, 0, mode]), ALLOW);
        assert_eq!(answer(libc::SYS_open, &[0, libc::O_WRONLY as u64, mode]), NOTIFY);
    }
    assert_eq!(answer(libc::SYS_chmod, &[0, 0o1777]), ALLOW);
    assert_eq!(answer(libc::SYS_fchmod, &[3, 0o755]), ALLOW);
}

#[test]
fn sockets_that_would_load_a_module_are_refused() {
    for family in [2, 10, 16, 17, 21, 30, 38, 40] {
        let refused = errno(libc::EAFNOSUPPORT);
        assert_eq!(answer(libc::SYS_socketpair, &[family, 1, 0, 0]), refused, "{family}");
    }
    assert_eq!(answer(libc::SYS_socketpair, &[1, 1, 0, 0]), ALLOW);
    for protocol in [33, 115, 132, 136, 256] {
        let refused = errno(libc::EPROTONOSUPPORT);
        assert_eq!(answer(libc::SYS_socket, &[2, 1, protocol]), refused, "{protocol}");
        assert_eq!(answer(libc::SYS_socket, &[10, 5, protocol]), refused, "{protocol}");
    }
    for protocol in [0, 1, 6, 17, 58, 262] {
        assert_eq!(answer(libc::SYS_socket, &[2, 1, protocol]), ALLOW, "{protocol}");
    }
    assert_eq!(answer(libc::SYS_ioctl, &[0, 0x5423]), errno(libc::EPERM));
}

#[test]
fn whoever_sets_a_umask_or_shares_it_otherwise_than_threads_do_is_heard() {
    let (thread, fork) = (0x003d_0f00, libc::SIGCHLD as u64);
    let (fs, of_group) = (libc::CLONE_FS as u64, libc::CLONE_THREAD as u64);
    assert_eq!(answer(libc::SYS_umask, &[0o22]), NOTIFY);
    assert_eq!(answer(libc::SYS_clone, &[thread]), ALLOW);
    assert_eq!(answer(libc::SYS_clone, &[fork]), ALLOW);
    assert_eq!(answer(libc::SYS_clone, &[fork | fs]), NOTIFY);
    assert_eq!(answer(libc::SYS_clone, &[thread & !fs]), NOTIFY);
    assert_eq!(answer(libc::SYS_clone, &[of_group]), NOTIFY);
    assert_eq!(answer(libc::SYS_unshare, &[fs]), NOTIFY);
    assert_eq!(answer(libc::SYS_unshare, &[libc::CLONE_FILES as u64]), ALLOW);
}

/// What the filter of a world without namespaces answers.
fn on_the_host(call: libc::c_long, args: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let filter = filter(Profile::Default, NotifyClasses::ALL, Walls::Rules);
    assert!(filter.len() < 4096, "the kernel's limit is 4096 instructions");
    run(&filter, ARCH_X86_64, u32::try_from(call).unwrap(), all)
}

#[test]
fn without_a_network_of_its_own_a_world_has_tcp_and_unix_sockets_only() {
    let (inet, inet6) = (libc::AF_INET as u64, libc::AF_INET6 as u64);
    let (stream, dgram) = (libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64);
    let cloexec = libc::SOCK_CLOEXEC as u64;
    assert_eq!(on_the_host(libc::SYS_socket, &[inet, stream | cloexec, 6]), ALLOW);
    assert_eq!(on_the_host(libc::SYS_socket, &[inet6, stream, 0]), ALLOW);
    assert_eq!(on_the_host(libc::SYS_socket, &[libc::AF_UNIX as u64, stream, 0]), ALLOW);
    for (family, kind, protocol, number) in [
        (inet, dgram, 0, libc::EACCES),
        (inet6, dgram | cloexec, 17, libc::EACCES),
        (inet, libc::SOCK_RAW as u64, 1, libc::EACCES),
        (inet, dgram, 1, libc::EACCES),
        (libc::AF_NETLINK as u64, libc::SOCK_RAW as u64, 0, libc::EACCES),
        (libc::AF_UNIX as u64, dgram, 0, libc::EACCES),
        (inet, stream, libc::IPPROTO_MPTCP as u64, libc::EPROTONOSUPPORT),
        (libc::AF_PACKET as u64, stream, 0, libc::EAFNOSUPPORT),
        (libc::AF_VSOCK as u64, stream, 0, libc::EAFNOSUPPORT),
    ] {
        let answer = on_the_host(libc::SYS_socket, &[family, kind, protocol]);
        assert_eq!(answer, errno(number), "{family} {kind} {protocol}");
    }
    assert_eq!(on_the_host(libc::SYS_listen, &[3, 5]), NOTIFY);
    let fast = libc::MSG_FASTOPEN as u64;
    assert_eq!(on_the_host(libc::SYS_sendto, &[3, 0, 0, fast]), errno(libc::EOPNOTSUPP));
    assert_eq!(on_the_host(libc::SYS_sendmsg, &[3, 0, fast]), errno(libc::EOPNOTSUPP));
    assert_eq!(on_the_host(libc::SYS_sendmmsg, &[3, 0, 1, fast]), errno(libc::EOPNOTSUPP));
    assert_eq!(on_the_host(libc::SYS_setsockopt, &[3, 6, 30]), errno(libc::ENOPROTOOPT));
    assert_eq!(on_the_host(libc::SYS_setsockopt, &[3, 6, 1]), ALLOW);
}

#[test]
fn without_namespaces_only_ones_own_limits_and_priority_can_be_changed() {
    for (call, args) in [
        (libc::SYS_prlimit64, [0, 7]),
        (libc::SYS_setpriority, [0, 0]),
        (libc::SYS_sched_setaffinity, [0, 8]),
        (libc::SYS_ioprio_set, [1, 0]),
    ] {
        assert_eq!(on_the_host(call, &args), ALLOW, "{call}");
        // The upper half of a register is no part of a process's number.
        assert_eq!(on_the_host(call, &[args[0] | 1 << 32, args[1]]), ALLOW, "{call}");
    }
    for (call, args) in [
        (libc::SYS_prlimit64, [1234, 7]),
        (libc::SYS_setpriority, [0, 1234]),
        (libc::SYS_setpriority, [1, 0]),
        (libc::SYS_setpriority, [2, 1000]),
        (libc::SYS_sched_setaffinity, [1234, 8]),
        (libc::SYS_sched_setscheduler, [1234, 0]),
        (libc::SYS_sched_setattr, [1234, 0]),
        (libc::SYS_ioprio_set, [1, 1234]),
        (libc::SYS_ioprio_set, [3, 0]),
    ] {
        assert_eq!(on_the_host(call, &args), errno(libc::EPERM), "{call} {args:?}");
    }
}

#[test]
fn without_mounts_owners_and_attributes_stay_and_permissions_and_times_are_decided() {
    for call in [
        libc::SYS_chmod,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_fchmodat2,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
        libc::SYS_utimensat,
    ] {
        assert_eq!(on_the_host(call, &[]), NOTIFY, "{call}");
        assert_eq!(answer(call, &[]), ALLOW, "mounts hold {call}");
    }
    assert_eq!(on_the_host(libc::SYS_chmod, &[0, 0o4755]), errno(libc::EPERM));
    for call in [libc::SYS_chown, libc::SYS_lchown, libc::SYS_fchown, libc::SYS_fchownat] {
        assert_eq!(on_the_host(call, &[]), errno(libc::EPERM), "{call}");
    }
    for call in [libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr, 463, 466, 469] {
        assert_eq!(on_the_host(call, &[]), errno(libc::EOPNOTSUPP), "{call}");
    }
    assert_eq!(on_the_host(libc::SYS_ioctl, &[0, 0x4008_6602]), errno(libc::EOPNOTSUPP));
}

#[test]
fn without_namespaces_nothing_is_shared_by_a_number() {
    for call in [libc::SYS_shmget, libc::SYS_shmat, libc::SYS_semget, libc::SYS_msgget] {
        assert_eq!(on_the_host(call, &[]), errno(libc::ENOSYS), "{call}");
        assert_eq!(answer(call, &[]), ALLOW);
    }
    assert_eq!(on_the_host(libc::SYS_mq_open, &[]), errno(libc::ENOSYS));
}

#[test]
fn what_a_world_in_namespaces_is_refused_a_world_without_is_too() {
    for call in [libc::SYS_ptrace, libc::SYS_bpf, libc::SYS_mount, libc::SYS_keyctl] {
        assert_eq!(on_the_host(call, &[]), errno(libc::EPERM), "{call}");
    }
    assert_eq!(on_the_host(libc::SYS_io_uring_setup, &[]), errno(libc::ENOSYS));
    let writes = (libc::O_WRONLY | libc::O_CREAT) as u64;
    assert_eq!(on_the_host(libc::SYS_openat, &[0, 0, writes]), NOTIFY);
    assert_eq!(on_the_host(libc::SYS_connect, &[]), NOTIFY);
    assert_eq!(on_the_host(libc::SYS_execve, &[]), NOTIFY);
}

#[test]
fn a_world_with_something_hidden_in_a_granted_tree_opens_nothing_by_itself() {
    let with_holes = filter(Profile::Default, NotifyClasses::ALL, Walls::RulesWithHoles);
    for (call, args) in [(libc::SYS_openat, [0, 0, 0, 0, 0, 0]), (libc::SYS_open, [0; 6])] {
        let number = u32::try_from(call).unwrap();
        assert_eq!(run(&with_holes, ARCH_X86_64, number, args), NOTIFY);
        assert_eq!(on_the_host(call, &args), ALLOW);
    }
}

/// What the filter of a profile answers.
fn of(profile: Profile, call: libc::c_long, args: &[u64]) -> u32 {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let filter = filter(profile, NotifyClasses::ALL, Walls::Mounts);
    assert!(filter.len() < 4096, "the kernel's limit is 4096 instructions");
    run(&filter, ARCH_X86_64, u32::try_from(call).unwrap(), all)
}

#[test]
fn every_refusal_is_what_the_filter_answers_and_strict_refuses_all_that_the_default_does() {
    for profile in Profile::ALL {
        for walls in [Walls::Mounts, Walls::Rules] {
            let filter = filter(profile, NotifyClasses::NONE, walls);
            for refusal in refusals(profile) {
                let answered = run(&filter, ARCH_X86_64, refusal.number, refusal.arguments);
                let refused = answered & !libc::SECCOMP_RET_DATA == libc::SECCOMP_RET_ERRNO;
                assert!(refused, "{profile}: {refusal:?}");
                let same = answered == errno(refusal.errno);
                assert!(same || walls == Walls::Rules, "{profile}: {refusal:?}");
            }
        }
    }
    for refusal in refusals(Profile::Default) {
        let answered = of(Profile::Strict, refusal.number.into(), &refusal.arguments);
        assert_eq!(answered & !libc::SECCOMP_RET_DATA, libc::SECCOMP_RET_ERRNO, "{refusal:?}");
    }
}

#[test]
fn a_profile_opens_what_it_is_for_and_nothing_else() {
    let nested =
        [(libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::SIGCHLD) as u64];
    let opened = |profile| -> Vec<String> {
        let refused = refusals(Profile::Default).into_iter().filter(|it| {
            let answered = of(profile, it.number.into(), &it.arguments);
            answered & !libc::SECCOMP_RET_DATA != libc::SECCOMP_RET_ERRNO
        });
        refused.map(|it| it.call.to_owned()).collect()
    };
    assert_eq!(opened(Profile::Strict), Vec::<String>::new());
    assert_eq!(opened(Profile::Build), ["ptrace", "process_vm_readv", "process_vm_writev", "kcmp"]);
    assert_eq!(opened(Profile::Browser), ["clone", "unshare", "chroot"]);
    assert_eq!(of(Profile::Browser, libc::SYS_clone, &nested), ALLOW);
    assert_eq!(of(Profile::Browser, libc::SYS_chroot, &[]), NOTIFY, "known before it happens");
    for flag in [libc::CLONE_NEWNS, libc::CLONE_NEWIPC, libc::CLONE_NEWUTS, libc::CLONE_NEWCGROUP] {
        let flags = [nested[0] | flag as u64];
        assert_eq!(of(Profile::Browser, libc::SYS_clone, &flags), errno(libc::EPERM));
        assert_eq!(of(Profile::Browser, libc::SYS_unshare, &[flag as u64]), errno(libc::EPERM));
    }
    assert_eq!(of(Profile::Strict, libc::SYS_personality, &[0x0004_0000]), errno(libc::EPERM));
    assert_eq!(of(Profile::Strict, libc::SYS_seccomp, &[2]), ALLOW, "asking is no filter");
    assert_eq!(of(Profile::Strict, libc::SYS_openat, &[0, 0, 1]), NOTIFY);
}
