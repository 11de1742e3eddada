/* The least that a notified call costs: `floor MODE PROGRAM ARGS...` runs a program beneath a filter
 * that notifies of opens with O_CREAT (or of execve), and a supervisor that decides and records
 * nothing: it says `continue`, or makes the file in the caller's directory and hands it in, or stops a
 * program once before its first instruction. As
 * `confined` there is nobody to notify: only Landlock, and a filter that looks at how files are
 * opened and allows it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static void die(const char *what) {
    perror(what);
    _exit(99);
}

/* One descriptor through a socket. */
static int pass(int socket, int fd) {
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space,
                             .msg_controllen = sizeof space};
    if (fd < 0) {
        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
            die("receive the listener");
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        return fd;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(socket, &message, 0) != 1)
        die("send the listener");
    return fd;
}

static int confine(int execs) {
    int number = execs ? SYS_execve : SYS_openat;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, execs ? 0xffffffff : O_CREAT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    unsigned long flags =
        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        die("no_new_privs");
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    if (fd < 0)
        die("seccomp");
    return fd;
}

/* Everything may be read and run, and what is here, in /dev and in /tmp be written. */
static void confine_files(void) {
    const __u64 all = (1ULL << 15) - 1; /* all about files that the third version knows */
    const __u64 reading = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                          LANDLOCK_ACCESS_FS_READ_DIR;
    struct landlock_ruleset_attr handled = {.handled_access_fs = all};
    int rules = syscall(SYS_landlock_create_ruleset, &handled, sizeof handled.handled_access_fs, 0);
    struct landlock_path_beneath_attr rule = {.allowed_access = reading};
    rule.parent_fd = open("/", O_PATH | O_CLOEXEC);
    if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        die("landlock");
    const char *writable[] = {".", "/dev", "/tmp"};
    for (unsigned at = 0; at < sizeof writable / sizeof *writable; at++) {
        rule.allowed_access = all;
        rule.parent_fd = open(writable[at], O_PATH | O_CLOEXEC);
        if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
            die(writable[at]);
    }
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80000000, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, rules, 0) ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        die("confine");
}

/* Makes the file that is asked for, for which it reads as much as it has to. */
static void hand_in(int listener, const struct seccomp_notif *call) {
    char path[256], directory[64];
    struct iovec ours = {path, sizeof path};
    struct iovec theirs = {(void *)call->data.args[1], sizeof path};
    if (process_vm_readv(call->pid, &ours, 1, &theirs, 1, 0) <= 0)
        die("read the path");
    snprintf(directory, sizeof directory, "/proc/%d/cwd", call->pid);
    int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int flags = (int)call->data.args[2] | O_EXCL | O_CLOEXEC;
    int file = openat(dir, path, flags, (mode_t)call->data.args[3]);
    if (file < 0)
        die(path);
    struct seccomp_notif_addfd answer = {
        .id = call->id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = file};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &answer) < 0)
        die("hand in");
    close(file);
    close(dir);
}

/* Has the exec go on, and the program stop before its first instruction, where it could be looked at. */
static void stop_once(int listener, struct seccomp_notif_resp *answer, pid_t pid) {
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXEC))
        die("seize");
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
    if (waitpid(pid, &status, __WALL) != pid || status >> 8 != (SIGTRAP | PTRACE_EVENT_EXEC << 8))
        die("wait for the program");
    if (ptrace(PTRACE_DETACH, pid, 0, 0))
        die("let go");
}

static void serve(int listener, int makes, int stops) {
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1UL); /* SYNC_WAKE_UP */
    for (;;) {
        struct seccomp_notif call;
        memset(&call, 0, sizeof call);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
            if (errno == EINTR)
                continue;
            return; /* nobody is left (since Linux 6.11) */
        }
        struct seccomp_notif_resp answer = {
            .id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        if (makes)
            hand_in(listener, &call);
        else if (stops)
            stop_once(listener, &answer, call.pid);
        else
            ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

int main(int count, char **words) {
    int sockets[2], status;
    if (count < 3 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
        die("floor");
    int confined = !strcmp(words[1], "confined");
    int stops = !strcmp(words[1], "stop-execs");
    int quiet = confined || !strcmp(words[1], "off");
    int execs = stops || !strcmp(words[1], "continue-execs");
    int makes = !strcmp(words[1], "hand-in");
    pid_t pid = fork();
    if (pid == 0) {
        if (confined)
            confine_files();
        if (!quiet)
            close(pass(sockets[0], confine(execs)));
        execvp(words[2], words + 2);
        die(words[2]);
    }
    close(sockets[0]);
    if (!quiet)
        serve(pass(sockets[1], -1), makes, stops);
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}
