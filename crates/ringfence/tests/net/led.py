"""Sockets used in the ways that a program may use them, and in those that only an attack would; told by
its words. Prints what came of it in one line. Numbers are ports of the servers."""
import ctypes, errno, os, select, socket, struct, sys, threading

LIBC = ctypes.CDLL(None, use_errno=True)
IP_BIND_ADDRESS_NO_PORT = 24


def get(stream, port, host="good.example"):
    stream.settimeout(20)
    stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    data = b""
    while part := stream.recv(65536):
        data += part
    return data.split(b"\r\n")[0].decode()


def address(name, family=socket.AF_INET):
    return socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)[0][4][0]


def mapped(name):
    return "::ffff:" + address(name)


def polled(stream, at):
    """Connects without waiting, and polls."""
    stream.setblocking(False)
    begun = stream.connect_ex(at)
    select.select([], [stream], [], 20)
    ended = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    stream.setblocking(True)
    return f"{errno.errorcode.get(begun, begun)} {ended}"


def bound(family, at):
    stream = socket.socket(family)
    stream.bind(at)
    return stream


def ways(port):
    """Every way of a connection that should do what it does elsewhere."""
    port, name = int(port), "good.example"
    said = []

    def by(what, stream, host):
        stream.connect((host, port))
        said.append(f"{what} {get(stream, port)}")

    by("IPv4", socket.socket(), address(name))
    by("mapped", socket.socket(socket.AF_INET6), mapped(name))
    by("any port", bound(socket.AF_INET, ("0.0.0.0", 0)), address(name))
    late = socket.socket()
    late.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    by("late port", late, address(name))
    late = socket.socket()
    late.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    late.bind(("127.0.0.1", 0))
    by("late port, bound", late, address(name))
    by("multipath", socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262), address(name))
    stream = socket.socket()
    said.append(polled(stream, (address(name), port)))
    said.append(get(stream, port))
    # As a program may that has given up waiting, or was connected before.
    said.append(errno.errorcode[connected(port).connect_ex((address(name), port))])
    stream = connected(port)
    disconnect(stream)
    by("again", stream, address(name))
    with socket.create_server(("127.0.0.1", 0)) as own:
        socket.create_connection(own.getsockname()).sendall(b"own")
        said.append(own.accept()[0].recv(3).decode())
    for family, at in (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"):
        try:
            socket.socket(family).connect((at, 1))
        except ConnectionRefusedError:
            said.append("refused")
    # An address of another family than the socket's, and half an address.
    whole = struct.pack("=HH", socket.AF_INET, socket.htons(port)) + socket.inet_aton(address(name)) + bytes(8)
    for family, given in (socket.AF_INET6, whole + bytes(12)), (socket.AF_INET, whole[:8]), (socket.AF_INET, b"\2"):
        LIBC.connect(socket.socket(family).detach(), given, len(given))
        said.append(errno.errorcode[ctypes.get_errno()])
    return ", ".join(said)


def family6(port):
    """The same over IPv6, which names of the tests have in a world only."""
    stream = socket.socket(socket.AF_INET6)
    stream.connect((address("good.example", socket.AF_INET6), int(port)))
    return get(stream, int(port))


def connected(port):
    return socket.create_connection((address("good.example"), port))


def disconnect(stream):
    unspecified = struct.pack("=H14x", socket.AF_UNSPEC)
    if LIBC.connect(stream.fileno(), unspecified, len(unspecified)):
        raise OSError(ctypes.get_errno(), "disconnect")


def each(port, count):
    """Many connections at a time, by two names; a server is named in each request."""
    port, answers, lock = int(port), {}, threading.Lock()

    def one(number):
        host = ("good.example", "www.good.example")[number % 2]
        try:
            stream = socket.create_connection((address(host), port), timeout=30)
            line = get(stream, port, host)
        except OSError as error:
            line = str(error)
        with lock:
            answers[line] = answers.get(line, 0) + 1

    for _ in range(int(count) // 50):
        threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    return str(answers)


def reach(stream, text):
    """Sends a few bytes where they say what was reached."""
    try:
        stream.settimeout(1)
        stream.sendall(text)
        return stream.recv(100)[:3].decode("latin-1")
    except OSError as error:
        return type(error).__name__


def swapped(good, evil, rounds):
    """Another thread writes the address of the evil port over that of the good one, and back."""
    host = socket.inet_aton(address("good.example"))
    at = [struct.pack("=HH", socket.AF_INET, socket.htons(int(port))) + host + bytes(8) for port in (good, evil)]
    given, over = ctypes.create_string_buffer(at[0], 16), threading.Event()

    def swap():
        while not over.is_set():
            ctypes.memmove(given, at[1], 16)
            ctypes.memmove(given, at[0], 16)

    swapper = threading.Thread(target=swap)
    swapper.start()
    for _ in range(int(rounds)):
        stream = socket.socket()
        if not LIBC.connect(stream.fileno(), given, 16):
            reach(stream, b"\0x")
        stream.close()
    over.set()
    swapper.join()
    return "swapped"


def shared(good, evil, rounds):
    """Two threads connect one socket, by two descriptors, to two places."""
    host, reached = address("good.example"), 0
    for _ in range(int(rounds)):
        first = socket.socket()
        second = socket.socket(fileno=os.dup(first.fileno()))
        start = threading.Barrier(2)

        def to(stream, port):
            start.wait()
            stream.connect_ex((host, int(port)))

        threads = [threading.Thread(target=to, args=it) for it in ((first, good), (second, evil))]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        reach(first, b"\0x")
        first.close()
        second.close()
    return "shared"


def replaced(good, evil, rounds):
    """While one thread connects a descriptor, another puts a socket for elsewhere in its place."""
    host = address("good.example")
    for _ in range(int(rounds)):
        first, second = socket.socket(), socket.socket()
        start = threading.Barrier(2)

        def connect():
            start.wait()
            first.connect_ex((host, int(good)))

        def replace():
            second.connect_ex((host, int(evil)))
            start.wait()
            os.dup2(second.fileno(), first.fileno())

        threads = [threading.Thread(target=it) for it in (connect, replace)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        reach(first, b"\0x")
        first.close()
        second.close()
    return "replaced"


def elsewhere(good, evil):
    """To where it is permitted, then with the same socket to where it is not."""
    stream = connected(int(good))
    disconnect(stream)
    stream.connect((address("good.example"), int(evil)))
    return reach(stream, b"\0x")


def told_twice(good, evil, gate):
    """A connection that is made says another place; then its port is used for one to the gate."""
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.setblocking(False)
    for port in good, evil, evil:
        stream.connect_ex((address("good.example"), int(port)))
    select.select([], [stream], [], 10)
    own = stream.getsockname()
    stream.close()
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.bind(own)
    return fast("127.0.0.1", gate, stream)


def fast(host, port, stream=None):
    """A connection that no `connect` makes."""
    stream = stream or socket.socket()
    stream.settimeout(5)
    stream.sendto(b"\0x", socket.MSG_FASTOPEN, (host, int(port)))
    return stream.recv(100)[:3].decode("latin-1")


try:
    print(globals()[sys.argv[1]](*sys.argv[2:]), flush=True)
except Exception as error:
    print(f"{type(error).__name__} {getattr(error, 'errno', None)}", flush=True)
    sys.exit(1)
