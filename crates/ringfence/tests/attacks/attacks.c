/* Attacks on a world, one per word: `attacks NAME [ARGUMENT]`.
 *
 * Each tries one way out and ends with 0 when it got there, 1 when it was stopped, 2 when it could
 * not even be tried. The tests run each outside first (it must end with 0), then inside.
 * Static, raw system calls where a library would soften the attempt.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int stopped(const char *what) {
    printf("stopped: %s: %s\n", what, strerror(errno));
    return 1;
}

static int reached(const char *what) {
    printf("reached: %s\n", what);
    return 0;
}

/* --- files --- */

static int write_path(const char *path) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0) return stopped("open for writing");
    if (write(fd, "attacked\n", 9) != 9) return stopped("write");
    close(fd);
    return reached(path);
}

static int read_path(const char *path) {
    char byte;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
    if (fd < 0) return stopped("open for reading");
    if (read(fd, &byte, 1) < 0) return stopped("read");
    return reached(path);
}

/* The number of the system call is the only thing a filter sees of openat2: flags are in memory. */
static int openat2_write(const char *path) {
    unsigned long long how[3] = {O_WRONLY | O_CREAT | O_APPEND, 0644, 0};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, how, sizeof how);
    if (fd < 0) return stopped("openat2");
    if (write(fd, "attacked\n", 9) != 9) return stopped("write");
    return reached(path);
}

static int symlink_write(const char *path) {
    unlink("innocent");
    if (symlink(path, "innocent")) return stopped("symlink");
    int result = write_path("innocent");
    unlink("innocent");
    return result;
}

static int hard_link(const char *path) {
    unlink("linked");
    if (link(path, "linked")) return stopped("link");
    int result = write_path("linked");
    unlink("linked");
    return result;
}

/* A descriptor that the starter forgot to close: number 9, on a directory outside. */
static int inherited(const char *name) {
    int fd = (int)syscall(SYS_openat, 9, name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0) return stopped("openat below an inherited descriptor");
    return write(fd, "attacked\n", 9) == 9 ? reached(name) : stopped("write");
}

/* A file without a name, named afterwards. */
static int tmpfile_link(const char *dir) {
    char from[64], to[4096];
    int fd = open(dir, O_TMPFILE | O_WRONLY, 0644);
    if (fd < 0) return stopped("open of O_TMPFILE");
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    snprintf(to, sizeof to, "%s/linked-tmpfile", dir);
    return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) ? stopped("linkat") : reached(to);
}

/* A directory of ours changes places with a protected one. */
static int exchange(const char *path) {
    mkdir("exchanging", 0755);
    close(open("exchanging/exchanged", O_WRONLY | O_CREAT, 0755));
    return syscall(SYS_renameat2, AT_FDCWD, "exchanging", AT_FDCWD, path, 2 /* RENAME_EXCHANGE */)
               ? stopped("renameat2")
               : reached(path);
}

static int truncate_path(const char *path) {
    return truncate(path, 1) ? stopped("truncate") : reached(path);
}

static int chmod_path(const char *path) {
    return chmod(path, 0666) ? stopped("chmod") : reached(path);
}

/* Opened for reading, and again for writing by its number. */
static int reopen(const char *path) {
    char link[64];
    int fd = open(path, O_PATH);
    if (fd < 0) return stopped("open of O_PATH");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return write_path(link);
}

/* Set-id bits do nothing inside, but the file stays when the world is gone. */
static int set_id(const char *path) {
    struct stat made;
    int fd = open(path, O_WRONLY | O_CREAT, 04755);
    if (fd < 0) fd = open(path, O_WRONLY | O_CREAT, 0755);
    if (fd < 0) return stopped("open");
    fchmod(fd, 04755);
    chmod(path, 04755);
    syscall(452 /* fchmodat2 */, AT_FDCWD, path, 04755, 0);
    if (fstat(fd, &made)) return 2;
    if (made.st_mode & (S_ISUID | S_ISGID)) return reached("a set-id file");
    unlink(path);
    return stopped("set-id bits");
}

static int device_node(const char *unused) {
    (void)unused;
    unlink("node");
    if (mknod("node", S_IFCHR | 0600, makedev(1, 1))) return stopped("mknod");
    unlink("node");
    return reached("a device node");
}

static int handle_open(const char *path) {
    union { struct file_handle handle; char room[sizeof(struct file_handle) + 128]; } u;
    int mount_id;
    u.handle.handle_bytes = 128;
    if (name_to_handle_at(AT_FDCWD, ".", &u.handle, &mount_id, 0)) return stopped("name_to_handle_at");
    int mount = open(".", O_RDONLY | O_DIRECTORY);
    int fd = open_by_handle_at(mount, &u.handle, O_RDONLY);
    (void)path;
    return fd < 0 ? stopped("open_by_handle_at") : reached("a file by its handle");
}

/* --- programs --- */

static int run(const char *path, char *const argv[]) {
    pid_t child = fork();
    if (child == 0) {
        execve(path, argv, environ);
        _exit(errno == ENOENT ? 127 : 126);
    }
    int status;
    waitpid(child, &status, 0);
    return status;
}

static int exec_path(const char *path) {
    char *argv[] = {(char *)path, "attacked", NULL};
    int status = run(path, argv);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? reached(path) : stopped("execve");
}

/* By descriptor: no path is given. */
static int exec_at(const char *path) {
    char *argv[] = {(char *)path, "attacked", NULL};
    int fd = open(path, O_PATH);
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
        _exit(126);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? reached(path) : stopped("execveat");
}

static int exec_by_loader(const char *path) {
    char *argv[] = {"ld.so", (char *)path, "attacked", NULL};
    int status = run("/lib64/ld-linux-x86-64.so.2", argv);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? reached(path) : stopped("by ld.so");
}

static int exec_memfd(const char *path) {
    char room[65536];
    int from = open(path, O_RDONLY), to = memfd_create("x", 0);
    if (from < 0 || to < 0) return 2;
    for (ssize_t got; (got = read(from, room, sizeof room)) > 0;)
        if (write(to, room, got) != got) return 2;
    char *argv[] = {"memfd", "attacked", NULL};
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execveat, to, "", argv, environ, AT_EMPTY_PATH);
        _exit(126);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? reached("a program in memory")
                                                         : stopped("execveat of a memfd");
}

/* A thread swaps the arguments while the decision is pending: `swap-argv PROGRAM=TRIES`.
 * PROGRAM creates the file it is given; `allowed` is decided, `forbidden` must never appear. */
static char swapped[16] = "allowed";
static volatile int swapping = 1;

static void *swapper(void *unused) {
    (void)unused;
    while (swapping) {
        memcpy(swapped, "forbidden", 10);
        /* The compiler must not think that nobody reads it in between. */
        for (int i = 0; i < 200; i++) __asm__ volatile("" ::: "memory");
        memcpy(swapped, "allowed", 8);
        for (int i = 0; i < 200; i++) __asm__ volatile("" ::: "memory");
    }
    return NULL;
}

static int swap_argv(const char *argument) {
    char program[4096];
    volatile int tries = 1000;
    snprintf(program, sizeof program, "%s", argument);
    char *equals = strrchr(program, '=');
    if (equals) { *equals = 0; tries = atoi(equals + 1); }
    pthread_t thread;
    unlink("forbidden");
    if (pthread_create(&thread, NULL, swapper, NULL)) return 2;
    for (int i = 0; i < tries; i++) {
        /* vfork shares memory: the swapper goes on while the child waits in execve. */
        pid_t child = vfork();
        if (child == 0) {
            char *argv[] = {program, swapped, NULL};
            syscall(SYS_execve, program, argv, environ);
            _exit(126);
        }
        int status;
        waitpid(child, &status, 0);
        if (access("forbidden", F_OK) == 0) { swapping = 0; return reached("the swapped argument"); }
    }
    swapping = 0;
    errno = 0;
    return stopped("no swap won");
}

/* A thread swaps the path while a permitted change is being decided: `swap-HOW PATH=TRIES`, where
 * HOW makes something at a name as long as PATH's, next to it, which may be made.
 */
static char swapped_path[4096];
static char swapped_to[2][4096];

static void *path_swapper(void *unused) {
    (void)unused;
    size_t length = strlen(swapped_to[0]);
    for (unsigned turn = 0; swapping; turn++) {
        memcpy(swapped_path, swapped_to[turn & 1], length);
        for (volatile int i = 0; i < 2000; i++)
            ;
    }
    return NULL;
}

static int swap_path(const char *argument, int (*make)(void)) {
    int tries = 1000;
    char *forbidden = swapped_to[1], *permitted = swapped_to[0];
    snprintf(forbidden, sizeof swapped_to[1], "%s", argument);
    char *equals = strrchr(forbidden, '=');
    if (equals) { *equals = 0; tries = atoi(equals + 1); }
    memcpy(permitted, forbidden, sizeof swapped_to[0]);
    permitted[strlen(permitted) - 1] = '~';
    memcpy(swapped_path, permitted, sizeof swapped_path);
    pthread_t thread;
    if (pthread_create(&thread, NULL, path_swapper, NULL)) return 2;
    int made = 0, won = 0;
    struct stat found;
    for (int i = 0; i < tries && !won; i++) {
        made += make() == 0;
        won = lstat(forbidden, &found) == 0;
        unlink(permitted);
        rmdir(permitted);
    }
    swapping = 0;
    errno = 0;
    if (won) return reached("a swapped path");
    return made ? stopped("no swap won") : 2;
}

static int make_by_open(void) {
    int fd = open(swapped_path, O_WRONLY | O_CREAT, 0600);
    return fd < 0 ? -1 : close(fd);
}
static int make_by_rename(void) {
    close(open("swap-source", O_WRONLY | O_CREAT, 0600));
    return rename("swap-source", swapped_path);
}
static int make_by_link(void) { return link("swap-linked", swapped_path); }
static int make_by_symlink(void) { return symlink("elsewhere", swapped_path); }
static int make_by_mkdir(void) { return mkdir(swapped_path, 0700); }
static int make_by_mknod(void) { return mknod(swapped_path, S_IFREG | 0600, 0); }

/* The same with a file that is only read: `swap-read PATH=TRIES`, where a file with a name that ends in
 * `~` instead lies next to it and may be read. What must not be read begins with `secret`.
 */
static int swap_read(const char *argument) {
    int tries = 1000;
    char *forbidden = swapped_to[1], *permitted = swapped_to[0];
    snprintf(forbidden, sizeof swapped_to[1], "%s", argument);
    char *equals = strrchr(forbidden, '=');
    if (equals) { *equals = 0; tries = atoi(equals + 1); }
    memcpy(permitted, forbidden, sizeof swapped_to[0]);
    permitted[strlen(permitted) - 1] = '~';
    memcpy(swapped_path, permitted, sizeof swapped_path);
    pthread_t thread;
    if (pthread_create(&thread, NULL, path_swapper, NULL)) return 2;
    int opened = 0, won = 0;
    char found[6];
    for (int i = 0; i < tries && !won; i++) {
        int fd = open(swapped_path, O_RDONLY);
        if (fd < 0) continue;
        opened++;
        won = read(fd, found, sizeof found) == sizeof found && !memcmp(found, "secret", 6);
        close(fd);
    }
    swapping = 0;
    errno = 0;
    if (won) return reached("a swapped path");
    return opened ? stopped("no swap won") : 2;
}

static int swap_open(const char *argument) { return swap_path(argument, make_by_open); }
static int swap_rename(const char *argument) { return swap_path(argument, make_by_rename); }
static int swap_symlink(const char *argument) { return swap_path(argument, make_by_symlink); }
static int swap_mkdir(const char *argument) { return swap_path(argument, make_by_mkdir); }
static int swap_mknod(const char *argument) { return swap_path(argument, make_by_mknod); }
static int swap_link(const char *argument) {
    close(open("swap-linked", O_WRONLY | O_CREAT, 0600));
    return swap_path(argument, make_by_link);
}

/* --- processes and the kernel --- */

static int kill_outside(const char *pid) {
    return kill(atoi(pid), SIGUSR1) ? stopped("kill") : reached("a process outside");
}

static int ptrace_outside(const char *pid) {
    if (ptrace(PTRACE_ATTACH, atoi(pid), 0, 0)) return stopped("ptrace");
    waitpid(atoi(pid), NULL, __WALL);
    ptrace(PTRACE_DETACH, atoi(pid), 0, 0);
    return reached("a process outside");
}

static int ptrace_own(const char *unused) {
    (void)unused;
    pid_t child = fork();
    if (child == 0) { pause(); _exit(0); }
    long result = ptrace(PTRACE_ATTACH, child, 0, 0);
    int saved = errno;
    kill(child, SIGKILL);
    errno = saved;
    return result ? stopped("ptrace") : reached("ptrace");
}

static int memory_of(const char *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int fd = open(path, O_RDWR);
    return fd < 0 ? stopped("open of /proc/PID/mem") : reached(path);
}

static int root_of(const char *pid) {
    char path[64], found[4096];
    snprintf(path, sizeof path, "/proc/%s/root", pid);
    ssize_t length = readlink(path, found, sizeof found);
    if (length < 0) return stopped("readlink of /proc/PID/root");
    snprintf(path, sizeof path, "/proc/%s/root/etc/shadow", pid);
    return access(path, F_OK) ? stopped("the root of another process") : reached(path);
}

static int mount_tmpfs(const char *unused) {
    (void)unused;
    if (geteuid() != 0) {
        uid_t uid = geteuid();
        char map[32];
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) return stopped("unshare");
        int fd = open("/proc/self/uid_map", O_WRONLY);
        int length = snprintf(map, sizeof map, "0 %u 1", uid);
        if (fd < 0 || write(fd, map, length) != length) return stopped("uid_map");
    } else if (unshare(CLONE_NEWNS)) {
        return stopped("unshare");
    }
    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return mount("none", "/tmp", "tmpfs", 0, NULL) ? stopped("mount") : reached("mount");
}

static int user_namespace(const char *unused) {
    (void)unused;
    return unshare(CLONE_NEWUSER) ? stopped("unshare") : reached("a user namespace");
}

static int clone_namespace(const char *unused) {
    (void)unused;
    long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return child < 0 ? stopped("clone") : reached("a user namespace");
}

static int clone3_namespace(const char *unused) {
    (void)unused;
    unsigned long long arguments[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, 0};
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0) _exit(0);
    return child < 0 ? stopped("clone3") : reached("a user namespace");
}

static int io_uring(const char *unused) {
    (void)unused;
    char parameters[120] = {0};
    return syscall(SYS_io_uring_setup, 4, parameters) < 0 ? stopped("io_uring_setup")
                                                          : reached("io_uring");
}

static int int80(const char *unused) {
    (void)unused;
    pid_t child = fork();
    if (child == 0) {
        long result = 20; /* getpid of i386 */
        __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
        _exit(result > 0 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    errno = ENOSYS;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? reached("int 0x80") : stopped("int 0x80");
}

static int set_namespace(const char *unused) {
    (void)unused;
    int fd = open("/proc/self/ns/mnt", O_RDONLY);
    return fd < 0 || setns(fd, CLONE_NEWNS) ? stopped("setns") : reached("a mount namespace");
}

static int session_keyring(const char *unused) {
    (void)unused;
    return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) < 0
               ? stopped("keyctl")
               : reached("the session keyring");
}

static int user_faults(const char *unused) {
    (void)unused;
    return syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */) < 0 ? stopped("userfaultfd")
                                                                     : reached("userfaultfd");
}

/* A line discipline is a kernel module that anybody with a terminal can load. */
static int line_discipline(const char *unused) {
    (void)unused;
    int discipline = 0, fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0) return 2;
    return ioctl(fd, TIOCSETD, &discipline) ? stopped("TIOCSETD") : reached("a line discipline");
}

/* A supervisor of one's own would answer in place of ours. */
static int second_listener(const char *unused) {
    (void)unused;
    struct sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF}};
    struct sock_fprog filter = {1, allow};
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                          &filter);
        /* Every call would wait now. */
        __asm__ volatile("" ::: "memory");
        if (fd >= 0) kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    for (int i = 0; i < 100; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? stopped("a second listener") : reached("a second listener");
        usleep(5000);
    }
    kill(child, SIGKILL);
    return reached("a second listener");
}

static int add_key_(const char *unused) {
    (void)unused;
    return syscall(SYS_add_key, "user", "attack", "x", 1, KEY_SPEC_PROCESS_KEYRING) < 0
               ? stopped("add_key")
               : reached("a keyring");
}

static int bpf_(const char *unused) {
    (void)unused;
    unsigned long long map[9] = {0};
    ((unsigned *)map)[0] = 2; ((unsigned *)map)[1] = 4; ((unsigned *)map)[2] = 4; ((unsigned *)map)[3] = 1;
    return syscall(SYS_bpf, 0, map, sizeof map) < 0 ? stopped("bpf") : reached("bpf");
}

static int perf(const char *unused) {
    (void)unused;
    char attributes[112] = {0};
    *(unsigned *)attributes = 1; /* PERF_TYPE_SOFTWARE */
    *(unsigned *)(attributes + 4) = 112;
    return syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0) < 0 ? stopped("perf_event_open")
                                                                     : reached("perf");
}

static int core_pattern(const char *unused) {
    (void)unused;
    int fd = open("/proc/sys/kernel/core_pattern", O_WRONLY);
    return fd < 0 ? stopped("open of core_pattern") : reached("core_pattern");
}

static int sysrq(const char *unused) {
    (void)unused;
    int fd = open("/proc/sysrq-trigger", O_WRONLY);
    return fd < 0 ? stopped("open of sysrq-trigger") : reached("sysrq-trigger");
}

static int type_into_terminal(const char *unused) {
    (void)unused;
    char letter = 'x';
    int fd = open("/dev/tty", O_RDWR);
    if (fd < 0) return 2;
    return ioctl(fd, TIOCSTI, &letter) ? stopped("TIOCSTI") : reached("the terminal's input");
}

/* A set-uid program: it must not gain anything. The argument is a copy of this program, mode 4755. */
static int setuid_program(const char *path) {
    char *argv[] = {(char *)path, "am-i-root", "", NULL};
    int status = run(path, argv);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? reached("another user's rights")
                                                         : stopped("set-uid");
}

static int am_i_root(const char *unused) {
    (void)unused;
    return geteuid() == 0 ? 0 : 1;
}

/* A process that outlives the session: it writes to the file after a second. */
static int daemonise(const char *path) {
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            close(0); close(1); close(2);
            sleep(1);
            _exit(write_path(path));
        }
        _exit(0);
    }
    return 0;
}

/* --- connections --- */

static int connected(int fd, const void *address, socklen_t length, const char *what) {
    if (fd < 0) return stopped("socket");
    if (connect(fd, address, length)) return stopped(what);
    return write(fd, "attacked\n", 9) == 9 ? reached(what) : stopped("write");
}

static int tcp4(const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connected(socket(AF_INET, SOCK_STREAM, 0), &to, sizeof to, "TCP over IPv4");
}

static int tcp6(const char *port) {
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port))};
    to.sin6_addr = in6addr_loopback;
    return connected(socket(AF_INET6, SOCK_STREAM, 0), &to, sizeof to, "TCP over IPv6");
}

/* Connects without connect(2). */
static int fast_open(const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return stopped("socket");
    return sendto(fd, "attacked\n", 9, MSG_FASTOPEN, (void *)&to, sizeof to) < 0
               ? stopped("sendto with MSG_FASTOPEN")
               : reached("TCP by fast open");
}

/* The datagram is the effect: the listener outside says whether it came. */
static int udp4(const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0) return stopped("socket");
    return sendto(fd, "attacked\n", 9, 0, (void *)&to, sizeof to) < 0 ? stopped("sendto") : 0;
}

static int unix_path(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    return connected(socket(AF_UNIX, SOCK_STREAM, 0), &to, sizeof to, "a unix socket");
}

static int unix_abstract(const char *name) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(to.sun_path + 1, name, length);
    return connected(socket(AF_UNIX, SOCK_STREAM, 0), &to,
                     offsetof(struct sockaddr_un, sun_path) + 1 + length, "an abstract socket");
}

/* Addressed datagrams need no connect. */
static int unix_datagram(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0) return stopped("socket");
    return sendto(fd, "attacked\n", 9, 0, (void *)&to, sizeof to) < 0 ? stopped("sendto")
                                                                     : reached("a unix datagram");
}

/* The descriptor is swapped for a unix socket while a TCP connect is being decided. */
static int swap_fd;
static void *fd_swapper(void *other) {
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    while (swapping) { dup2(*(int *)other, swap_fd); dup2(tcp, swap_fd); }
    return NULL;
}

static int swap_socket(const char *path) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct sockaddr_in decoy = {.sin_family = AF_INET, .sin_port = htons(9)};
    union { struct sockaddr_un un; struct sockaddr_in in; } both;
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    decoy.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    swap_fd = dup(unix_fd);
    pthread_t thread;
    if (pthread_create(&thread, NULL, fd_swapper, &unix_fd)) return 2;
    for (int i = 0; i < 600; i++) {
        if (i % 2) both.un = to; else both.in = decoy;
        usleep(20); /* Both threads get their turns. */
        if (connect(swap_fd, (void *)&both, sizeof both.un) == 0 && i % 2) {
            swapping = 0;
            return reached("a unix socket by swapping descriptors");
        }
    }
    swapping = 0;
    return stopped("no swap won");
}

static int vsock(const char *unused) {
    (void)unused;
    return socket(AF_VSOCK, SOCK_STREAM, 0) < 0 ? stopped("socket") : reached("AF_VSOCK");
}

static int pair_of_family(const char *unused) {
    (void)unused;
    int pair[2];
    return socketpair(AF_TIPC, SOCK_SEQPACKET, 0, pair) ? stopped("socketpair") : reached("AF_TIPC");
}

static int packet(const char *unused) {
    (void)unused;
    return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? stopped("socket") : reached("AF_PACKET");
}

static int netlink_audit(const char *unused) {
    (void)unused;
    return socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT) < 0 ? stopped("socket")
                                                           : reached("the audit socket");
}

static const struct { const char *name; int (*attack)(const char *); } ATTACKS[] = {
    {"write", write_path}, {"read", read_path}, {"openat2", openat2_write},
    {"symlink", symlink_write}, {"hard-link", hard_link}, {"inherited", inherited},
    {"device-node", device_node}, {"handle", handle_open}, {"exec", exec_path},
    {"ld.so", exec_by_loader}, {"memfd", exec_memfd}, {"swap-argv", swap_argv},
    {"swap-open", swap_open}, {"swap-rename", swap_rename}, {"swap-symlink", swap_symlink},
    {"swap-read", swap_read}, {"swap-mkdir", swap_mkdir}, {"swap-mknod", swap_mknod}, {"swap-link", swap_link},
    {"kill", kill_outside}, {"ptrace", ptrace_outside}, {"ptrace-own", ptrace_own},
    {"memory", memory_of}, {"root-of", root_of}, {"mount", mount_tmpfs},
    {"user-namespace", user_namespace}, {"clone-namespace", clone_namespace},
    {"clone3-namespace", clone3_namespace}, {"io_uring", io_uring}, {"int80", int80},
    {"add_key", add_key_}, {"bpf", bpf_}, {"perf", perf}, {"core_pattern", core_pattern},
    {"sysrq", sysrq}, {"tiocsti", type_into_terminal}, {"setuid", setuid_program},
    {"am-i-root", am_i_root}, {"daemon", daemonise}, {"tcp4", tcp4}, {"tcp6", tcp6},
    {"udp4", udp4}, {"unix", unix_path}, {"abstract", unix_abstract},
    {"unix-datagram", unix_datagram}, {"swap-socket", swap_socket}, {"vsock", vsock},
    {"tmpfile", tmpfile_link}, {"exchange", exchange}, {"truncate", truncate_path},
    {"chmod", chmod_path}, {"reopen", reopen}, {"set-id", set_id}, {"execveat", exec_at},
    {"setns", set_namespace}, {"keyctl", session_keyring}, {"userfaultfd", user_faults},
    {"tiocsetd", line_discipline}, {"second-listener", second_listener},
    {"fast-open", fast_open}, {"socketpair-family", pair_of_family},
    {"packet", packet}, {"netlink-audit", netlink_audit},
};

int main(int count, char **words) {
    /* Started under another attack's name: the effect is that it runs at all. */
    if (count >= 2 && strcmp(words[count - 1], "attacked") == 0) return 0;
    if (count >= 2) {
        for (size_t i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++)
            if (strcmp(words[1], ATTACKS[i].name) == 0)
                return ATTACKS[i].attack(count > 2 ? words[2] : "");
    }
    /* What swap-argv starts: creates the file it is given and says nothing. */
    if (count == 2) return open(words[1], O_WRONLY | O_CREAT, 0644) < 0;
    fprintf(stderr, "usage: attacks NAME [ARGUMENT]\n");
    return 2;
}
