"""One attempt at a connection, told by its words; without any use of proxy variables. Prints what
came of it in one line."""
import re, socket, ssl, struct, sys


def connect(host, port):
    return socket.create_connection((host, int(port)), timeout=20)


def until_end(stream):
    data = b""
    try:
        while part := stream.recv(65536):
            data += part
    except (ConnectionError, ssl.SSLError, TimeoutError) as error:
        return data, type(error).__name__
    return data, "end"


def first_line(data):
    return data.split(b"\r\n")[0].decode("latin-1")


def raw(host, port, text):
    """Sends text as it is; answers with the first line of each HTTP answer."""
    stream = connect(host, port)
    # A server that keeps the connection has said everything by then.
    stream.settimeout(2)
    stream.sendall(text.encode("latin-1").decode("unicode_escape").encode("latin-1"))
    data, end = until_end(stream)
    lines = re.findall(r"HTTP/1\.[01] \d+ [^\r]*", data.decode("latin-1"))
    return " | ".join(lines) or f"{data!r} {end}"


def tls(host, port, sni):
    """TLS towards a name that need not be the host's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream = context.wrap_socket(connect(host, port), server_hostname=None if sni == "-" else sni)
    stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return first_line(until_end(stream)[0])


def banner(host, port):
    """A server that speaks first."""
    stream = connect(host, port)
    greeting = stream.recv(100)
    stream.sendall(b"EHLO me\r\n")
    return first_line(greeting) + " " + first_line(stream.recv(100))


def half(host, port):
    """Sends, closes its side, and reads what comes back."""
    stream = connect(host, port)
    stream.sendall(b"\0" * 100000)
    stream.shutdown(socket.SHUT_WR)
    data, end = until_end(stream)
    return f"{len(data)} {end}"


def later(host, port, sni):
    """A greeting of the server's first, then TLS for another name."""
    stream = connect(host, port)
    stream.recv(100)
    context = ssl._create_unverified_context()
    try:
        context.wrap_socket(stream, server_hostname=sni)
    except Exception as error:
        return type(error).__name__
    return "through"


def websocket(host, port):
    stream = connect(host, port)
    stream.sendall((
        f"GET /socket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(1)
    stream.sendall(b"frames of any kind")
    return first_line(head) + " " + stream.recv(100).decode()


def socks(host, port, proxy):
    stream = connect("127.0.0.1", proxy)
    stream.sendall(b"\5\1\0")
    stream.recv(2)
    name = host.encode("latin-1").decode("unicode_escape").encode("latin-1")
    stream.sendall(b"\5\1\0\3" + bytes([len(name)]) + name + struct.pack("!H", int(port)))
    reply = stream.recv(10)
    if reply[1]:
        return f"refused {reply[1]}"
    stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    return first_line(until_end(stream)[0])


def datagram(host, port):
    stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream.sendto(b"x", (host, int(port)))
    return "sent"


def ask(server, name):
    """Asks a name server for addresses, texts and keys, over UDP and TCP."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    answers = []
    for kind in 1, 28, 16, 65:
        question = b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1)
        stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stream.settimeout(5)
        stream.sendto(question, (server, 53))
        answers.append(len(stream.recv(4096)))
        stream = connect(server, 53)
        stream.sendall(struct.pack("!H", len(question)) + question)
        answers.append(struct.unpack("!H", stream.recv(2))[0])
    return str(answers)


def open_for(host, port):
    """Stays open until it is cut."""
    stream = connect(host, port)
    stream.sendall(b"\0begin")
    stream.recv(10)
    print("open", flush=True)
    data, end = until_end(stream)
    return end


def nonblocking(host, port):
    """Connects without waiting."""
    stream = socket.socket()
    stream.setblocking(False)
    result = stream.connect_ex((socket.gethostbyname(host), int(port)))
    raise OSError(result, "connect")


def multipath(host, port):
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    stream.connect((host, int(port)))
    stream.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    return first_line(until_end(stream)[0])


def fast_open(host, port):
    address = socket.gethostbyname(host)
    stream = socket.socket()
    request = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    stream.sendto(request.encode(), socket.MSG_FASTOPEN, (address, int(port)))
    return first_line(until_end(stream)[0])


try:
    print(globals()[sys.argv[1]](*sys.argv[2:]), flush=True)
except Exception as error:
    print(f"{type(error).__name__} {getattr(error, 'errno', None)}", flush=True)
    sys.exit(1)
