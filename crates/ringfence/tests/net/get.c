/* Looks a name up and asks it for `/`, with nothing but system calls' worth of library: prints the
 * answer's body. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char text[4096];
    if (argc < 3 || getaddrinfo(argv[1], argv[2], &hints, &found)) return 2;
    int fd = -1;
    for (; found; found = found->ai_next) {
        fd = socket(found->ai_family, SOCK_STREAM, 0);
        if (connect(fd, found->ai_addr, found->ai_addrlen) == 0) break;
        close(fd);
        fd = -1;
    }
    if (fd < 0) return 3;
    int length = snprintf(text, sizeof text,
        "GET / HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", argv[1], argv[2]);
    if (write(fd, text, length) != length) return 4;
    length = 0;
    for (int got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;) length += got;
    text[length] = 0;
    char *body = strstr(text, "\r\n\r\n");
    if (!body) return 5;
    fputs(body + 4, stdout);
    return strncmp(text, "HTTP/1.1 200 ", 13) != 0;
}
