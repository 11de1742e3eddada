/* One attack a run, by raw system calls and without libraries: prints `ok` or `errno N`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int report(long result) {
    if (result < 0)
        printf("errno %d\n", errno);
    else
        printf("ok\n");
    return 0;
}

static pid_t sleeper(void) {
    pid_t pid = fork();
    if (pid == 0) {
        sleep(20);
        _exit(0);
    }
    return pid;
}

static long trace(void) {
    pid_t pid = sleeper();
    long result = ptrace(PTRACE_ATTACH, pid, 0, 0);
    int saved = errno;
    if (result == 0)
        waitpid(pid, 0, 0);
    kill(pid, SIGKILL);
    errno = saved;
    return result;
}

static long peek(void) {
    static char secret[8] = "secret";
    char copy[8];
    struct iovec here = {copy, 8}, there = {secret, 8};
    pid_t pid = sleeper();
    long result = syscall(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0);
    int saved = errno;
    kill(pid, SIGKILL);
    errno = saved;
    return result;
}

static long unix_to(int type, const char *path, int abstract, int pair) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
    strncpy(to.sun_path + abstract, path, sizeof to.sun_path - 2);
    int fds[2];
    int fd = pair ? (socketpair(AF_UNIX, type, 0, fds) < 0 ? -1 : fds[0]) : socket(AF_UNIX, type, 0);
    if (fd < 0)
        return -1;
    if (type == SOCK_DGRAM || type == SOCK_RAW) {
        struct iovec part = {"x", 1};
        struct msghdr message = {.msg_name = &to, .msg_namelen = len, .msg_iov = &part, .msg_iovlen = 1};
        return sendmsg(fd, &message, 0);
    }
    return connect(fd, (struct sockaddr *)&to, len);
}

static long inet_to(int type, const char *host, int port) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        int fd = socket(AF_INET, type, 0);
        return fd < 0 ? -1 : type == SOCK_DGRAM
            ? sendto(fd, "x", 1, 0, (struct sockaddr *)&v4, sizeof v4)
            : connect(fd, (struct sockaddr *)&v4, sizeof v4);
    }
    inet_pton(AF_INET6, host, &v6.sin6_addr);
    int fd = socket(AF_INET6, type, 0);
    return fd < 0 ? -1 : type == SOCK_DGRAM
        ? sendto(fd, "x", 1, 0, (struct sockaddr *)&v6, sizeof v6)
        : connect(fd, (struct sockaddr *)&v6, sizeof v6);
}

static long own_mount(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return -1;
    return mount("none", "/tmp", "tmpfs", 0, 0);
}

static long write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    long result = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return result;
}

int main(int argc, char **argv);

/* Builds what a browser does - namespaces of one's own, in which one is who one was - and attacks from in
 * there, with all capabilities there are in them. */
static int nest(int argc, char **argv) {
    char map[64];
    int status = 0;
    snprintf(map, sizeof map, "%d %d 1", getuid(), getuid());
    char groups[64];
    snprintf(groups, sizeof groups, "%d %d 1", getgid(), getgid());
    fflush(stdout);
    long pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
    if (pid < 0)
        return report(pid);
    if (pid == 0) {
        if (write_text("/proc/self/setgroups", "deny") < 0 || write_text("/proc/self/uid_map", map) < 0 ||
            write_text("/proc/self/gid_map", groups) < 0) {
            printf("no map: %s\n", strerror(errno));
            fflush(stdout);
            _exit(1);
        }
        status = main(argc - 1, argv + 1);
        fflush(stdout);
        _exit(status);
    }
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static long legacy_getpid(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
    return result;
}

/* Runs a command on a kernel that lacks one system call. */
static long without(int number, char **command) {
    struct { unsigned short code; unsigned char jt, jf; unsigned int k; } code[] = {
        {0x20, 0, 0, 0}, {0x15, 0, 1, number}, {6, 0, 0, 0x00050000 | ENOSYS}, {6, 0, 0, 0x7fff0000}};
    struct { unsigned short len; void *code; } program = {4, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, 2, &program) < 0)
        return -1;
    return execvp(command[0], command);
}

/* Runs a command on a kernel without netfilter: there is no netlink socket of that protocol, but an error. */
static long without_netfilter(int error, char **command) {
    struct { unsigned short code; unsigned char jt, jf; unsigned int k; } code[] = {
        {0x20, 0, 0, 0},  {0x15, 0, 5, SYS_socket}, {0x20, 0, 0, 16}, {0x15, 0, 3, AF_NETLINK},
        {0x20, 0, 0, 32}, {0x15, 0, 1, 12},         {6, 0, 0, 0x00050000 | error},
        {6, 0, 0, 0x7fff0000}};
    struct { unsigned short len; void *code; } program = {8, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, 2, &program) < 0)
        return -1;
    return execvp(command[0], command);
}

static long escaped_fd(void) {
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return fd;
    errno = EBADF;
    return -1;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return to;
}

/* Connects without connect(2), and says whether somebody was reached. */
static long fast_open(int port, int by_option) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = loopback(port);
    if (by_option)
        return setsockopt(fd, IPPROTO_TCP, 30, &one, sizeof one);
    return sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&to, sizeof to);
}

/* What other processes of the same user would have too. */
static long shared(const char *which) {
    long id = -1;
    if (!strcmp(which, "memory") && (id = shmget(0x52494e47, 1, IPC_CREAT | 0600)) >= 0)
        shmctl(id, IPC_RMID, 0);
    if (!strcmp(which, "semaphore") && (id = semget(0x52494e47, 1, IPC_CREAT | 0600)) >= 0)
        semctl(id, 0, IPC_RMID);
    if (!strcmp(which, "messages") && (id = msgget(0x52494e47, IPC_CREAT | 0600)) >= 0)
        msgctl(id, IPC_RMID, 0);
    if (!strcmp(which, "queue")) {
        char name[32];
        snprintf(name, sizeof name, "ringfence-test-%d", getpid());
        id = syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, 0);
        if (id >= 0)
            syscall(SYS_mq_unlink, name);
    }
    return id;
}

/* Limits and priorities of another process, each changed to what it is or to something worse. */
static long other(const char *which, int pid) {
    struct rlimit now;
    if (!strcmp(which, "limit"))
        return prlimit(pid, RLIMIT_NOFILE, 0, &now) < 0 ? -1 : prlimit(pid, RLIMIT_NOFILE, &now, 0);
    if (!strcmp(which, "priority"))
        return setpriority(PRIO_PROCESS, pid, 19);
    if (!strcmp(which, "processors")) {
        unsigned long mask = ~0UL;
        return syscall(SYS_sched_setaffinity, pid, sizeof mask, &mask);
    }
    return syscall(SYS_ioprio_set, 1, pid, 3 << 13);
}

/* What of a file changes without being opened for writing. */
static long attribute(const char *which, const char *path) {
    struct timeval times[2] = {{1, 0}, {1, 0}};
    int fd;
    if (!strcmp(which, "mode")) return chmod(path, 0600);
    if (!strcmp(which, "owner")) return chown(path, getuid(), getgid());
    if (!strcmp(which, "times")) return utimes(path, times);
    if (!strcmp(which, "length")) return truncate(path, 1);
    if (!strcmp(which, "extended")) return setxattr(path, "user.x", "x", 1, 0);
    if ((fd = open(path, O_RDONLY)) < 0) return -1;
    if (!strcmp(which, "open-mode")) return fchmod(fd, 0600);
    if (!strcmp(which, "open-times")) return futimes(fd, times);
    return fsetxattr(fd, "user.x", "x", 1, 0);
}

static char swapped[4096];
static const char *harmless, *wanted;
static volatile int opened_enough;

static int swap_paths(void *unused) {
    (void)unused;
    while (!opened_enough) {
        strcpy(swapped, wanted);
        strcpy(swapped, harmless);
    }
    return 0;
}

/* Opens one path for a second while another thread makes another of it; says whether that one was opened. */
static long swap(const char *how, const char *from, const char *to) {
    static char stack[65536];
    struct stat is, meant;
    long found = -1;
    int flags = !strcmp(how, "read") ? O_RDONLY : O_RDWR;
    harmless = from;
    wanted = to;
    strcpy(swapped, from);
    if (stat(to, &meant) < 0)
        return -1;
    clone(swap_paths, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, 0);
    for (time_t end = time(0) + 1; time(0) <= end && found < 0;) {
        int fd = open(swapped, flags);
        if (fd < 0)
            continue;
        if (fstat(fd, &is) == 0 && is.st_dev == meant.st_dev && is.st_ino == meant.st_ino)
            found = 0;
        close(fd);
    }
    opened_enough = 1;
    wait(0);
    errno = EACCES;
    return found;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "";
    int number = argc > 3 ? atoi(argv[3]) : 0;
    char ring[256] = {0};
    setbuf(stdout, 0);
    if (!strcmp(what, "read")) {
        char byte;
        int fd = open(arg, O_RDONLY);
        return report(fd < 0 ? -1 : read(fd, &byte, 1));
    }
    if (!strcmp(what, "write")) return report(open(arg, O_WRONLY | O_CREAT | O_APPEND, 0600));
    if (!strcmp(what, "open-rw")) return report(open(arg, O_RDWR));
    if (!strcmp(what, "chmod")) return report(chmod(arg, 0777));
    if (!strcmp(what, "link")) return report(link(arg, argv[3]));
    if (!strcmp(what, "rename")) return report(rename(arg, argv[3]));
    if (!strcmp(what, "user-namespace")) return report(unshare(CLONE_NEWUSER));
    if (!strcmp(what, "clone-namespace")) {
        long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) _exit(0);
        return report(pid);
    }
    if (!strcmp(what, "clone3")) return report(syscall(SYS_clone3, 0, 0) < 0 && errno == EINVAL ? 0 : -1);
    if (!strcmp(what, "own-mount")) return report(own_mount());
    if (!strcmp(what, "mount")) return report(mount("none", arg, "tmpfs", 0, 0));
    if (!strcmp(what, "remount")) return report(mount(0, arg, 0, MS_REMOUNT | MS_BIND, 0));
    if (!strcmp(what, "umount")) return report(umount2(arg, MNT_DETACH));
    if (!strcmp(what, "chroot")) return report(chroot(arg));
    if (!strcmp(what, "ptrace")) return report(trace());
    if (!strcmp(what, "peek")) return report(peek());
    if (!strcmp(what, "io-uring")) return report(syscall(SYS_io_uring_setup, 1, ring));
    if (!strcmp(what, "int80")) return report(legacy_getpid());
    if (!strcmp(what, "x32")) {
        syscall(0x40000000 | SYS_getpid);
        return report(0);
    }
    if (!strcmp(what, "keyring")) return report(syscall(SYS_keyctl, 0, -3, 1));
    if (!strcmp(what, "bpf")) return report(syscall(SYS_bpf, 0, ring, 0) < 0 && errno == EINVAL ? 0 : -1);
    if (!strcmp(what, "userfault")) return report(syscall(SYS_userfaultfd, 1));
    if (!strcmp(what, "inherited")) return report(escaped_fd());
    if (!strcmp(what, "kill")) return report(kill(atoi(arg), 0));
    if (!strcmp(what, "type")) return report(ioctl(0, TIOCSTI, "x"));
    if (!strcmp(what, "type-high")) return report(syscall(SYS_ioctl, 0, TIOCSTI | (1UL << 32), "x"));
    if (!strcmp(what, "parent-memory")) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/mem", getppid());
        return report(open(path, O_RDONLY));
    }
    if (!strcmp(what, "who")) {
        printf("%d %d\n", getuid(), geteuid());
        return 0;
    }
    if (!strcmp(what, "tcp")) return report(inet_to(SOCK_STREAM, arg, number));
    if (!strcmp(what, "udp")) return report(inet_to(SOCK_DGRAM, arg, number));
    if (!strcmp(what, "unix")) return report(unix_to(SOCK_STREAM, arg, 0, 0));
    if (!strcmp(what, "unix-datagram")) return report(unix_to(SOCK_DGRAM, arg, 0, 0));
    if (!strcmp(what, "unix-raw")) return report(unix_to(SOCK_RAW, arg, 0, 0));
    if (!strcmp(what, "unix-pair")) return report(unix_to(SOCK_DGRAM, arg, 0, 1));
    if (!strcmp(what, "abstract")) return report(unix_to(SOCK_STREAM, arg, 1, 0));
    if (!strcmp(what, "socket")) return report(socket(atoi(arg), atoi(arg) == AF_VSOCK ? SOCK_STREAM : SOCK_DGRAM, number));
    if (!strcmp(what, "without")) return report(without(atoi(arg), argv + 3));
    if (!strcmp(what, "without-netfilter")) return report(without_netfilter(atoi(arg), argv + 3));
    if (!strcmp(what, "listener")) {
        struct { unsigned short len; void *code; } program;
        struct { unsigned short code; unsigned char jt, jf; unsigned int k; } allow = {6, 0, 0, 0x7fff0000};
        program.len = 1;
        program.code = &allow;
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        return report(syscall(SYS_seccomp, 1, 8, &program));
    }
    if (!strcmp(what, "fast-open")) return report(fast_open(atoi(arg), 0));
    if (!strcmp(what, "fast-open-option")) return report(fast_open(atoi(arg), 1));
    if (!strcmp(what, "listen")) return report(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
    if (!strcmp(what, "bind")) {
        struct sockaddr_in any = {.sin_family = AF_INET};
        return report(bind(socket(AF_INET, SOCK_STREAM, 0), (void *)&any, sizeof any));
    }
    if (!strcmp(what, "shared")) return report(shared(arg));
    if (!strcmp(what, "other")) return report(other(arg, number));
    if (!strcmp(what, "attribute")) return report(attribute(arg, argc > 3 ? argv[3] : ""));
    if (!strcmp(what, "swap") && argc > 4) return report(swap(arg, argv[3], argv[4]));
    if (!strcmp(what, "nest") && argc > 2) return nest(argc, argv);
    if (!strcmp(what, "into") && argc > 3) {
        if (chroot(arg) < 0 || chdir("/") < 0)
            return report(-1);
        return main(argc - 2, argv + 2);
    }
    if (!strcmp(what, "make")) return report(open(arg, O_WRONLY | O_CREAT, 0600));
    if (!strcmp(what, "write")) return report(open(arg, O_WRONLY));
    if (!strcmp(what, "read")) {
        char bytes[64];
        int fd = open(arg, O_RDONLY);
        return report(fd < 0 ? -1 : read(fd, bytes, sizeof bytes));
    }
    if (!strcmp(what, "enter")) return report(setns(open(arg, O_RDONLY), 0));
    if (!strcmp(what, "link-up")) {
        struct { char name[16]; short flags; char rest[22]; } request = {"lo", 0x41, ""};
        return report(ioctl(socket(AF_INET, SOCK_STREAM, 0), 0x8914, &request));
    }
    if (!strcmp(what, "filters")) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        return report(setsockopt(fd, 0, 64, "", 1) < 0 && errno == EPERM ? -1 : 0);
    }
    if (!strcmp(what, "raw")) return report(socket(AF_INET, SOCK_RAW, 1));
    if (!strcmp(what, "map-code")) {
        int fd = open(arg, O_RDONLY);
        return report(fd < 0 || mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    }
    if (!strcmp(what, "run-memory")) {
        static char code[1 << 22];
        int from = open("/proc/self/exe", O_RDONLY), to = syscall(SYS_memfd_create, "code", 0);
        long size = read(from, code, sizeof code);
        if (from < 0 || to < 0 || size <= 0 || write(to, code, size) != size)
            return report(-1);
        char *words[] = {"attack", "who", 0};
        return report(syscall(SYS_execveat, to, "", words, 0, AT_EMPTY_PATH));
    }
    if (!strcmp(what, "kill-all")) return report(kill(-1, number));
    printf("unknown attack %s\n", what);
    return 2;
}
