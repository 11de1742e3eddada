/* The governed side of the notification tests: puts on a filter, hands its listener out, acts.
 *
 * tracee CLASSES ACT ARGS...   standard input is a socket on which the listener is handed out.
 * CLASSES: any of e(xec) w(rite) c(onnect) n(etwork namespace of its own), or - for none;
 * r: with the next word as its root.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

extern char **environ;

static void die(const char *what) {
    perror(what);
    exit(99);
}

static struct sock_filter code[128];
static int length;

static void add(struct sock_filter one) { code[length++] = one; }

static void notify(int number) {
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
}

/* The number stays in X while an argument is looked at. */
static void notify_writing(int number, int flags_at) {
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4));
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                     offsetof(struct seccomp_data, args[flags_at])));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
                                     O_ACCMODE | O_CREAT | O_TRUNC, 0, 1));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

/* A task that shares its umask with another process, or a thread that does not with its own. */
static void notify_sharing(int number) {
    unsigned both = CLONE_FS | CLONE_THREAD;
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 6));
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                     offsetof(struct seccomp_data, args[0])));
    add((struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, both));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_FS, 1, 0));
    add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_THREAD, 0, 1));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static int confine(const char *classes) {
    static const int writes[] = {
        SYS_creat,   SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_rename, SYS_renameat, SYS_renameat2,
        SYS_link,    SYS_linkat, SYS_symlink,  SYS_symlinkat, SYS_mkdir, SYS_mkdirat, SYS_mknod,
        SYS_mknodat, SYS_truncate, SYS_bind, SYS_umask,
    };
    add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    if (strchr(classes, 'w')) {
        notify_writing(SYS_openat, 2);
        notify_writing(SYS_open, 1);
        for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
            notify(writes[i]);
        notify_sharing(SYS_clone);
        notify_sharing(SYS_unshare);
        /* As in a world: arguments in memory are not seen. */
        add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1));
        add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    }
    if (strchr(classes, 'e')) {
        notify(SYS_execve);
        notify(SYS_execveat);
    }
    if (strchr(classes, 'c'))
        notify(SYS_connect);
    add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    struct sock_fprog program = {length, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        die("no_new_privs");
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
                     &program);
    if (fd < 0)
        die("seccomp");
    return fd;
}

/* Sends the listener and a diagnosis socket of this network namespace, and waits for the word. */
static void hand_out(int listener, int diagnosis) {
    char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    char byte = 'L';
    struct iovec text = {&byte, 1};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(2 * sizeof(int));
    int fds[2] = {listener, diagnosis};
    memcpy(CMSG_DATA(head), fds, sizeof fds);
    if (sendmsg(0, &message, 0) != 1)
        die("sendmsg");
    close(listener);
    close(diagnosis);
    if (read(0, &byte, 1) != 1)
        die("read");
}

static void put(const char *words) {
    if (write(1, words, strlen(words)) < 0)
        _exit(98);
}

static void tell(const char *what, int result) {
    char line[256];
    snprintf(line, sizeof line, "%s %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
    put(line);
}

/* A buffer that a thread changes all the time between two texts of the same length. */
struct flip {
    volatile char *buffer;
    const char *texts[2];
    size_t length;
};

static int always = 1;

static void *flip(void *arg) {
    struct flip *it = arg;
    for (unsigned turn = 0; always; turn++) {
        const char *text = it->texts[turn & 1];
        for (size_t i = 0; i < it->length; i++)
            it->buffer[i] = text[i];
        for (volatile int pause = 0; pause < 3000; pause++)
            ;
    }
    return NULL;
}

static void start_flipping(struct flip *it, volatile char *buffer, const char *a, const char *b) {
    pthread_t thread;
    it->buffer = buffer;
    it->texts[0] = a;
    it->texts[1] = b;
    it->length = strlen(a);
    if (pthread_create(&thread, NULL, flip, it))
        die("thread");
}

static void each(int tries, void (*act)(char **), char **args) {
    for (int i = 0; i < tries; i++) {
        pid_t child = fork();
        if (child == 0) {
            act(args);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}

/* PROGRAM GOOD EVIL: runs PROGRAM with an argument that changes meanwhile. */
static void race_argv(char **args) {
    static struct flip it;
    static char buffer[256];
    strcpy(buffer, args[1]);
    start_flipping(&it, buffer, args[1], args[2]);
    usleep(100);
    char *argv[] = {"say", buffer, NULL};
    execv(args[0], argv);
}

/* GOOD EVIL: runs a program whose path changes meanwhile. */
static void race_path(char **args) {
    static struct flip it;
    static char buffer[4096];
    strcpy(buffer, args[0]);
    start_flipping(&it, buffer, args[0], args[1]);
    usleep(100);
    char *argv[] = {"say", "x", NULL};
    execv(buffer, argv);
}

static char **thread_args;

static void *exec_thread(void *arg) {
    (void)arg;
    execv(thread_args[0], thread_args);
    tell("exec", -1);
    _exit(1);
}

static int unix_address(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strcpy(address->sun_path, path);
    int length = offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
    if (path[0] == '@') {
        address->sun_path[0] = 0;
        length--;
    }
    return length;
}

static int listen_at(const char *path) {
    struct sockaddr_un address;
    int length = unix_address(&address, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) || listen(fd, 4096))
        die("listen");
    return fd;
}

static int connect_to(const char *path) {
    struct sockaddr_un address;
    int length = unix_address(&address, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int result = connect(fd, (struct sockaddr *)&address, length);
    int saved = errno;
    if (result == 0) {
        struct ucred peer;
        socklen_t size = sizeof peer;
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    }
    close(fd);
    errno = saved;
    return result;
}

/* TRIES INSIDE OUTSIDE: connects to an address that changes meanwhile. */
static void race_connect(int tries, const char *inside, const char *outside) {
    static struct flip it;
    static struct sockaddr_un address;
    int listener = listen_at(inside);
    int length = unix_address(&address, inside);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    start_flipping(&it, address.sun_path, inside, outside);
    for (int i = 0; i < tries; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        connect(fd, (struct sockaddr *)&address, length);
        close(fd);
        int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (accepted >= 0)
            close(accepted);
    }
}

/* PATH TRIES: opens what somebody else makes and removes meanwhile; the mode tells who made it. */
static void open_gone(const char *path, int tries) {
    int made = 0;
    for (int i = 0; i < tries && !made; i++) {
        struct stat file;
        int fd = open(path, O_RDONLY | O_CREAT, 0701);
        if (fd < 0)
            continue;
        made += !fstat(fd, &file) && (file.st_mode & 0777) == 0701;
        close(fd);
    }
    put(made ? "made it\n" : "did not make it\n");
}

/* PATH: binds, and says what the socket is called and whether it can be connected to. */
static void bind_to(const char *path) {
    struct sockaddr_un address, named = {0};
    socklen_t size = sizeof named;
    int length = unix_address(&address, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("bind", bind(fd, (struct sockaddr *)&address, length));
    if (!getsockname(fd, (struct sockaddr *)&named, &size) && !strchr(path, '/'))
        put(named.sun_path + (path[0] == '@'));
    tell("", listen(fd, 5));
    tell("connect", connect_to(path));
    tell("again", bind(fd, (struct sockaddr *)&address, length));
}

/* Addresses that name no file, and such as are none. */
static void bind_others(void) {
    struct sockaddr_storage any = {.ss_family = AF_UNIX};
    struct sockaddr *address = (struct sockaddr *)&any;
    tell("chosen", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, sizeof(sa_family_t)));
    tell("long", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, 111));
    tell("empty", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, 0));
    tell("longer", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, 129));
    tell("negative", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, -1));
    tell("unix", bind(socket(AF_INET, SOCK_STREAM, 0), address, 16));
    tell("none", bind(-1, address, 16));
    tell("file", bind(open("/dev/null", O_RDONLY), address, 16));
    any.ss_family = AF_INET;
    tell("tcp", bind(socket(AF_INET, SOCK_STREAM, 0), address, sizeof(struct sockaddr_in)));
    tell("internet", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, 16));
    any.ss_family = AF_INET6;
    tell("udp", bind(socket(AF_INET6, SOCK_DGRAM, 0), address, sizeof(struct sockaddr_in6)));
    any.ss_family = AF_NETLINK;
    tell("netlink", bind(socket(AF_NETLINK, SOCK_RAW, 0), address, sizeof(struct sockaddr_nl)));
    any.ss_family = 77;
    tell("unknown", bind(socket(AF_UNIX, SOCK_STREAM, 0), address, 16));
}

/* TRIES GOOD EVIL: binds to an address that changes meanwhile; `@` stands for a zero in GOOD. */
static void race_bind(int tries, char *good, const char *evil) {
    static struct flip it;
    static struct sockaddr_un address;
    struct stat file;
    int length = unix_address(&address, evil);
    if (good[0] == '@')
        good[0] = 0;
    start_flipping(&it, address.sun_path, evil, good);
    for (int i = 0; i < tries && lstat(evil, &file); i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bind(fd, (struct sockaddr *)&address, length);
        close(fd);
        unlink(good);
    }
}

static volatile int opened;

static void *open_leased(void *path) {
    tell("leased", open(path, O_WRONLY | O_CREAT, 0644));
    opened++;
    return NULL;
}

/* A B C: opens A and B, which have leases, and meanwhile C. */
static void leases(char **paths) {
    pthread_t threads[2];
    int held[2];
    signal(SIGIO, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        held[i] = open(paths[i], O_RDONLY);
        if (fcntl(held[i], F_SETLEASE, F_RDLCK))
            die("lease");
        pthread_create(&threads[i], NULL, open_leased, paths[i]);
    }
    /* A lease that is asked back says so. */
    for (int i = 0; i < 2; i++)
        while (fcntl(held[i], F_GETLEASE) == F_RDLCK)
            usleep(1000);
    tell("other", open(paths[2], O_WRONLY | O_CREAT, 0644));
    put(opened ? "too late\n" : "at once\n");
    for (int i = 0; i < 2; i++)
        fcntl(held[i], F_SETLEASE, F_UNLCK);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

/* TRIES GOOD EVIL: removes a file whose path changes meanwhile. */
static void race_unlink(int tries, const char *good, const char *evil) {
    static struct flip it;
    static char buffer[4096];
    strcpy(buffer, good);
    start_flipping(&it, buffer, good, evil);
    for (int i = 0; i < tries && !access(evil, F_OK); i++) {
        close(open(good, O_WRONLY | O_CREAT, 0644));
        unlink(buffer);
    }
}

/* TRIES PATH: makes a directory. */
static void make_directory(int tries, const char *path) {
    for (int i = 0; i < tries; i++)
        mkdir(path, 0755);
    tell("mkdir", mkdir(path, 0755));
}

/* TRIES PATH: opens a file that is made if it is not there, and writes to it. */
static void write_through(int tries, const char *path) {
    int wrote = 0;
    for (int i = 0; i < tries; i++) {
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        if (fd < 0)
            continue;
        wrote += write(fd, "x", 1) == 1;
        close(fd);
    }
    put(wrote ? "wrote\n" : "wrote nothing\n");
}

static int swap_fds[2];

static void *swap(void *arg) {
    int at = *(int *)arg;
    for (unsigned turn = 0; always; turn++)
        dup2(swap_fds[turn & 1], at);
    return NULL;
}

/* TRIES PATH: connects a descriptor that is another socket from moment to moment. */
static void race_fd(int tries, const char *path) {
    struct sockaddr_un address;
    int length = unix_address(&address, path);
    static int at;
    at = socket(AF_UNIX, SOCK_STREAM, 0);
    swap_fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    swap_fds[1] = open("/dev/null", O_RDONLY);
    pthread_t thread;
    pthread_create(&thread, NULL, swap, &at);
    for (int i = 0; i < tries; i++)
        connect(at, (struct sockaddr *)&address, length);
}

static int tcp(int blocking) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 5) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        die("tcp");
    int fd = socket(AF_INET, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0);
    int result = connect(fd, (struct sockaddr *)&address, size);
    int saved = errno;
    if (accept(listener, NULL, NULL) < 0)
        die("accept");
    errno = saved;
    return result;
}

static int exec_memfd(const char *program) {
    int from = open(program, O_RDONLY), to = memfd_create("hidden", 0);
    char buffer[65536];
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, got) != got)
            die("write");
    char *argv[] = {"hidden", "memfd", NULL};
    execveat(to, "", argv, environ, AT_EMPTY_PATH);
    tell("execveat", -1);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", to);
    execv(path, argv);
    tell("execv", -1);
    return 0;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

/* DIRECTORY COUNT BYTES: microseconds per file created, written and closed. */
static void bench_files(const char *directory, int count, int bytes) {
    char path[4096], line[64];
    static char content[1 << 20];
    double start = now();
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/f%d", directory, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        if (fd < 0 || write(fd, content, bytes) != bytes)
            die("file");
        close(fd);
    }
    snprintf(line, sizeof line, "%.3f\n", (now() - start) / count);
    put(line);
}

/* COUNT PROGRAM: microseconds per program started and waited for. */
static void bench_exec(int count, char **argv) {
    char line[64];
    double start = now();
    for (int i = 0; i < count; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execv(argv[0], argv);
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
    snprintf(line, sizeof line, "%.3f\n", (now() - start) / count);
    put(line);
}

static void loopback_up(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (ioctl(fd, SIOCSIFFLAGS, &request))
        die("lo");
    close(fd);
}

static int act(const char *what, char **args) {
    if (!strcmp(what, "say")) {
        put(args[0]);
        put("\n");
    } else if (!strcmp(what, "run")) {
        execv(args[0], args);
        tell("execv", -1);
    } else if (!strcmp(what, "race-argv")) {
        each(atoi(args[0]), race_argv, args + 1);
    } else if (!strcmp(what, "race-path")) {
        each(atoi(args[0]), race_path, args + 1);
    } else if (!strcmp(what, "thread")) {
        thread_args = args;
        pthread_t thread;
        pthread_create(&thread, NULL, exec_thread, NULL);
        pause();
    } else if (!strcmp(what, "execveat")) {
        int dir = open(args[0], O_RDONLY | O_DIRECTORY);
        execveat(dir, args[1], args + 1, environ, 0);
        tell("execveat", -1);
    } else if (!strcmp(what, "fexecve")) {
        int fd = open(args[0], O_PATH | O_CLOEXEC);
        execveat(fd, "", args, environ, AT_EMPTY_PATH);
        tell("execveat", -1);
    } else if (!strcmp(what, "memfd")) {
        exec_memfd(args[0]);
    } else if (!strcmp(what, "connect")) {
        tell("connect", connect_to(args[0]));
    } else if (!strcmp(what, "connect-inside")) {
        listen_at(args[0]);
        tell("connect", connect_to(args[1] ? args[1] : args[0]));
    } else if (!strcmp(what, "race-connect")) {
        race_connect(atoi(args[0]), args[1], args[2]);
    } else if (!strcmp(what, "race-fd")) {
        race_fd(atoi(args[0]), args[1]);
    } else if (!strcmp(what, "tcp")) {
        loopback_up();
        tell("blocking", tcp(1));
        tell("non-blocking", tcp(0));
    } else if (!strcmp(what, "open")) {
        tell("open", open(args[0], strtol(args[1], NULL, 0), 0644));
    } else if (!strcmp(what, "open-gone")) {
        open_gone(args[0], atoi(args[1]));
    } else if (!strcmp(what, "bind")) {
        if (args[1] && chdir(args[1]))
            die("chdir");
        bind_to(args[0]);
    } else if (!strcmp(what, "bind-others")) {
        bind_others();
    } else if (!strcmp(what, "race-bind")) {
        race_bind(atoi(args[0]), args[1], args[2]);
    } else if (!strcmp(what, "leases")) {
        leases(args);
    } else if (!strcmp(what, "race-unlink")) {
        race_unlink(atoi(args[0]), args[1], args[2]);
    } else if (!strcmp(what, "mkdir")) {
        make_directory(atoi(args[0]), args[1]);
    } else if (!strcmp(what, "write-through")) {
        write_through(atoi(args[0]), args[1]);
    } else if (!strcmp(what, "bad-pointers")) {
        void *volatile bad = (void *)8;
        tell("open", open(bad, O_CREAT | O_WRONLY, 0644));
        tell("execv", execv(bad, args));
        tell("argv", execv("/bin/true", bad));
        char *argv[] = {"x", bad, NULL};
        tell("argument", execv("/bin/true", argv));
        tell("connect", connect(socket(AF_UNIX, SOCK_STREAM, 0), bad, 20));
    } else if (!strcmp(what, "long-argv")) {
        int count = atoi(args[0]), bytes = atoi(args[1]);
        char **argv = calloc(count + 3, sizeof *argv);
        char *word = malloc(bytes + 1);
        memset(word, 'a', bytes);
        word[bytes] = 0;
        argv[0] = "/bin/true";
        for (int i = 1; i <= count; i++)
            argv[i] = word;
        execv(argv[0], argv);
        tell("execv", -1);
    } else if (!strcmp(what, "bench-files")) {
        bench_files(args[0], atoi(args[1]), atoi(args[2]));
    } else if (!strcmp(what, "bench-exec")) {
        bench_exec(atoi(args[0]), args + 1);
    } else {
        return 97;
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *base = strrchr(argv[0], '/');
    if (!strcmp(base ? base + 1 : argv[0], "say"))
        return act("say", argv + 1);
    if (argc < 3)
        return 97;
    if (strchr(argv[1], 'n') && unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET))
        die("unshare");
    if (strchr(argv[1], 'r')) {
        if ((geteuid() && unshare(CLONE_NEWUSER)) || chroot(argv[2]) || chdir("/"))
            die("chroot");
        argv[2] = argv[1];
        argv++;
    }
    if (strcmp(argv[1], "-") && strcmp(argv[1], "n")) {
        int diagnosis = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        hand_out(confine(argv[1]), diagnosis);
    }
    return act(argv[2], argv + 3);
}
