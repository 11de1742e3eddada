// What programs do in a world that advises. Built twice: with the library's hooks in front of libc
// (dynamic), and out of their reach (static). Prints `ok`, `errno N`, or what it says here.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int said(int failed) {
    if (failed) printf("errno %d\n", errno);
    else printf("ok\n");
    fflush(stdout);
    return failed ? 1 : 0;
}

// One way to change a file, by its name; -1 and errno where it fails.
static int change(const char *how, const char *path, const char *other) {
    FILE *stream;
    char template[4096];
    int fd;
    if (!strcmp(how, "open")) return open(path, O_WRONLY | O_CREAT, 0644);
    if (!strcmp(how, "openat")) return openat(AT_FDCWD, path, O_WRONLY | O_CREAT, 0644);
    if (!strcmp(how, "creat")) return creat(path, 0644);
    if (!strcmp(how, "syscall")) return syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 0644);
    if (!strcmp(how, "fopen")) return (stream = fopen(path, "w")) ? fileno(stream) : -1;
    if (!strcmp(how, "freopen")) return freopen(path, "w", stderr) ? 0 : -1;
    if (!strcmp(how, "mkstemp")) {
        snprintf(template, sizeof template, "%s-XXXXXX", path);
        return mkstemp(template);
    }
    if (!strcmp(how, "mkdtemp")) {
        snprintf(template, sizeof template, "%s-XXXXXX", path);
        return mkdtemp(template) ? 0 : -1;
    }
    if (!strcmp(how, "mkdir")) return mkdir(path, 0755);
    if (!strcmp(how, "mkfifo")) return mkfifo(path, 0644);
    if (!strcmp(how, "unlink")) return unlink(path);
    if (!strcmp(how, "remove")) return remove(path);
    if (!strcmp(how, "rmdir")) return rmdir(path);
    if (!strcmp(how, "truncate")) return truncate(path, 0);
    if (!strcmp(how, "chmod")) return chmod(path, 0600);
    if (!strcmp(how, "rename")) return rename(path, other);
    if (!strcmp(how, "renameat2")) return renameat2(AT_FDCWD, path, AT_FDCWD, other, 0);
    if (!strcmp(how, "link")) return link(path, other);
    if (!strcmp(how, "symlink")) return symlink(other, path);
    if (!strcmp(how, "read")) return open(path, O_RDONLY);
    if (!strcmp(how, "fopen-read")) return fopen(path, "r") ? 0 : -1;
    if (!strcmp(how, "opendir")) return opendir(path) ? 0 : -1;
    if (!strcmp(how, "spawn-open")) {
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT, 0644);
        char *argv[] = {"echo", "x", NULL};
        errno = posix_spawn(&fd, "/bin/echo", &actions, NULL, argv, environ);
        return errno ? -1 : 0;
    }
    errno = EINVAL;
    return -1;
}

// A system call without libc.
static long bare(long number, long a, long b, long c, long d) {
    register long fourth __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return result;
}

static int ended(pid_t pid) {
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return 1;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

// Has itself (`open PATH`) started in one way, with an environment that has nothing in it.
static int start(const char *how, const char *self, const char *path) {
    char *argv[] = {(char *)self, "open", (char *)path, NULL};
    char *none[] = {NULL};
    char line[4096];
    pid_t pid;
    if (!strcmp(how, "execve")) execve(self, argv, none);
    else if (!strcmp(how, "execl")) { clearenv(); execl(self, self, "open", path, (char *)NULL); }
    else if (!strcmp(how, "execle")) execle(self, self, "open", path, (char *)NULL, none);
    else if (!strcmp(how, "execlp")) { clearenv(); execlp(self, self, "open", path, (char *)NULL); }
    else if (!strcmp(how, "execvp")) { clearenv(); execvp(self, argv); }
    else if (!strcmp(how, "fexecve")) fexecve(open(self, O_RDONLY | O_CLOEXEC), argv, none);
    else if (!strcmp(how, "syscall")) syscall(SYS_execve, self, argv, none);
    else if (!strcmp(how, "fork")) {
        if ((pid = fork()) == 0) { execve(self, argv, none); _exit(9); }
        return ended(pid);
    } else if (!strcmp(how, "vfork")) {
        if ((pid = vfork()) == 0) { execve(self, argv, none); _exit(9); }
        return ended(pid);
    } else if (!strcmp(how, "spawn")) {
        if ((errno = posix_spawn(&pid, self, NULL, NULL, argv, none))) return said(1);
        return ended(pid);
    } else if (!strcmp(how, "system")) {
        clearenv();
        snprintf(line, sizeof line, "%s open %s", self, path);
        return system(line) != 0;
    } else if (!strcmp(how, "popen")) {
        clearenv();
        snprintf(line, sizeof line, "%s open %s", self, path);
        FILE *stream = popen(line, "r");
        while (stream && fgets(line, sizeof line, stream)) fputs(line, stdout);
        return !stream || pclose(stream) != 0;
    }
    return said(1);
}

static const char *directory;

static __attribute__((noinline)) int vforked(char **argv) {
    pid_t pid = vfork();
    if (pid == 0) {
        execve("/bin/true", argv, environ);
        _exit(9);
    }
    return ended(pid);
}

static void *work(void *number) {
    char one[4096], other[4096];
    for (int round = 0; round < 20; round++) {
        snprintf(one, sizeof one, "%s/t%d-%d", directory, (int)(intptr_t)number, round);
        snprintf(other, sizeof other, "%s/u%d-%d", directory, (int)(intptr_t)number, round);
        int fd = open(one, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (fd < 0 || write(fd, "x", 1) != 1 || close(fd)) return (void *)1;
        if (rename(one, other) || unlink(other)) return (void *)1;
        pid_t pid;
        if (round % 5 == 0) {
            char *argv[] = {"true", NULL};
            if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) || ended(pid)) return (void *)1;
            if (vforked(argv)) return (void *)1;
            if ((pid = fork()) == 0) _exit(unlink(one) == -1 && errno == ENOENT ? 0 : 9);
            if (ended(pid)) return (void *)1;
        }
    }
    return NULL;
}

static int threads(void) {
    pthread_t all[8];
    int failed = 0;
    for (int i = 0; i < 8; i++) pthread_create(&all[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(all[i], &result);
        failed |= result != NULL;
    }
    return said(failed);
}

static int line(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return connect(fd, (struct sockaddr *)&address, sizeof address) ? -1 : fd;
}

// Prints what is answered: its kind and error number, or `refused` where the connection is closed.
static int heard(int fd) {
    unsigned char answer[64];
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    int32_t numbers[2];
    if (got != 16) {
        printf("refused\n");
        return 1;
    }
    memcpy(numbers, answer + 8, sizeof numbers);
    printf("answered %d %d\n", numbers[0], numbers[1]);
    return 0;
}

// Says something to the broker that is meant to deceive it; `honest` is the oracle.
static int forge(const char *how, const char *path, const char *number) {
    uint64_t question[10] = {0, (uint64_t)gettid(), SYS_mkdir, (uint64_t)(uintptr_t)"/nowhere/at/all"};
    memcpy(question, "RFLINE\0\1", 8);
    int fd = line(path);
    if (fd < 0) return said(1);
    size_t length = 72;
    if (!strcmp(how, "tid")) question[1] = strtoull(number, NULL, 10);
    else if (!strcmp(how, "magic")) question[0] ^= 1;
    else if (!strcmp(how, "half")) length = 36;
    else if (!strcmp(how, "long")) length = 80;
    else if (!strcmp(how, "empty")) length = 0;
    else if (!strcmp(how, "junk")) memset(question, 0xa5, sizeof question);
    else if (!strcmp(how, "given-away")) {
        // Who connected lives on, and says nothing.
        pid_t pid = fork();
        if (pid > 0) return ended(pid);
        question[1] = (uint64_t)getppid();
    } else if (!strcmp(how, "nested")) {
        // In a user namespace of its own a process could have any number, and mount what never answers.
        if (unshare(CLONE_NEWUSER)) return printf("no namespace\n"), 1;
    } else if (!strcmp(how, "orphan")) {
        // Who connected is gone.
        pid_t parent = getpid();
        int ends[2];
        if (pipe(ends)) return said(1);
        if (fork() > 0) _exit(0);
        while (getppid() == parent) usleep(1000);
        question[1] = (uint64_t)parent;
    }
    if (send(fd, question, length, MSG_NOSIGNAL) < 0) return said(1);
    return heard(fd);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
    const char *other = argc > 3 ? argv[3] : "";
    if (!strcmp(what, "bare"))
        return said((errno = -bare(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_CREAT, 0644)) > 0);
    if (!strcmp(what, "start")) return start(path, argv[0], other);
    if (!strcmp(what, "threads")) { directory = path; return threads(); }
    if (!strcmp(what, "forge")) return forge(path, other, argc > 4 ? argv[4] : "");
    if (!strcmp(what, "lowest")) {
        close(0);
        int first = open(path, O_RDONLY), second = open(path, O_RDONLY);
        int kept = !(fcntl(first, F_GETFD) & FD_CLOEXEC);
        int closed = fcntl(open(path, O_RDONLY | O_CLOEXEC), F_GETFD) & FD_CLOEXEC;
        printf("%d %d %d %d\n", first, second, kept, closed);
        return 0;
    }
    if (!strcmp(what, "vfork-wait")) {
        /* Its parent waits in the kernel, where nothing but its end, or the child's, reaches it. */
        printf("%d\n", getpid());
        fflush(stdout);
        if (vfork() == 0) for (;;) pause();
        return 0;
    }
    if (!strcmp(what, "wait")) {
        printf("ready\n");
        fflush(stdout);
        while (open(path, O_WRONLY | O_CREAT, 0644) >= 0) usleep(10000);
        printf("errno %d\n", errno);
        fflush(stdout);
        for (;;) pause();
    }
    return said(change(what, path, other) < 0);
}
