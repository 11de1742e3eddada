"""One conversation over HTTP/1.1, plain or within TLS, byte by byte; prints what came of it."""
import os, socket, ssl, sys, time


def connect():
    stream = socket.create_connection((host, port), timeout=20)
    if spoken != "tls":
        return stream
    context = ssl.create_default_context()
    if len(sys.argv) > 5:
        context.load_verify_locations(sys.argv[5])
    return context.wrap_socket(stream, server_hostname=host)


def head(path, more="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n".encode()


def until(stream, mark, data=b""):
    while mark not in data:
        part = stream.recv(65536)
        if not part:
            raise EOFError(data)
        data += part
    return data


def endless():
    """A body without end, of which a little is read and then nothing for a while."""
    stream = connect()
    stream.sendall(head("/any/endless"))
    read = 0
    while read < 1 << 20:
        read += len(stream.recv(65536))
    print("waiting", flush=True)
    time.sleep(3)
    while read < 100 << 20:
        read += len(stream.recv(65536))
    return "read"


def upload():
    """A body without end to a server that stops reading."""
    stream = connect()
    stream.settimeout(3)
    stream.sendall(head("/any/slow", "Transfer-Encoding: chunked\r\n", "POST"))
    sent = 0
    print("waiting", flush=True)
    try:
        while sent < 1 << 30:
            stream.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536
    except OSError as error:
        return f"sent {sent >> 20} {type(error).__name__}"
    return "all sent"


def events():
    stream = connect()
    stream.sendall(head("/any/events"))
    data = until(stream, b"data: 1\n\n")
    other = connect()
    other.sendall(head("/any/go"))
    until(other, b"gone")
    until(stream, b"data: 2\n\n", data)
    return "both"


def asked(stream, path):
    """The status of an answer, and over which connection the server sent it."""
    stream.sendall(head(path))
    said = until(stream, b" on\n")
    return said.split(b"\r\n")[0].decode(), said.split(b"from ")[-1]


def rests():
    """Requests with pauses in between."""
    stream = connect()
    seen = set()
    for _ in range(3):
        seen.add(asked(stream, "/any/peer"))
        time.sleep(0.3)
    return f"{len(seen)} connection"


def is_left():
    """A server that ends its side during a pause."""
    stream = connect()
    said = {asked(stream, "/any/leave")}
    time.sleep(0.6)
    said.add(asked(stream, "/any/peer"))
    return f"{len(said)} connections {said.pop()[0]}"


def websocket():
    stream = connect()
    stream.sendall(head("/open/socket", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
    said = until(stream, b"\r\n\r\n").split(b"\r\n")[0].decode()
    stream.sendall(b"frames of any kind")
    return said + " " + until(stream, b"KIND").decode()


def half():
    """A client that says that it has no more to say."""
    stream = connect()
    stream.sendall(head("/open/half"))
    if spoken == "tls":
        # Without the other side's word: only the socket's half is closed.
        socket.socket.shutdown(stream, socket.SHUT_WR)
    else:
        stream.shutdown(socket.SHUT_WR)
    return until(stream, b"hello from").split(b"\r\n")[0].decode()


def told_to_go_on():
    stream = connect()
    stream.sendall(head("/any/post", "Expect: 100-continue\r\nContent-Length: 5\r\n", "POST"))
    first = until(stream, b"\r\n\r\n").split(b"\r\n")[0].decode()
    stream.sendall(b"12345")
    return first + " " + until(stream, b"\n5 ").split(b"\r\n\r\n")[-1].decode()[:2]


def told_to_stay():
    """Nothing of a body is asked for that is denied."""
    stream = connect()
    stream.sendall(head("/denied", "Expect: 100-continue\r\nContent-Length: 5\r\n", "POST"))
    return until(stream, b"\r\n\r\n").split(b"\r\n")[0].decode()


def drip():
    """A request that comes byte by byte."""
    stream = connect()
    for byte in head("/any/post", "Content-Length: 20\r\n", "POST") + b"y" * 20:
        stream.sendall(bytes([byte]))
        time.sleep(0.005)
    return until(stream, b"\n20 ").split(b"\r\n")[0].decode()


def words():
    """Says what stands in for a key over a websocket: masked, in fragments, with a ping between them."""
    stream = connect()
    stand_in = os.environ["MODEL_KEY"].encode()
    more = f"x-api-key: {stand_in.decode()}\r\n" if os.environ.get("WITH_KEY") else ""
    stream.sendall(head("/v1", "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                        "Sec-WebSocket-Extensions: permessage-deflate\r\n" + more))
    said = until(stream, b"\r\n\r\n").split(b"\r\n")[0].decode()
    frame = lambda flags, text: bytes([flags, 128 | len(text), 1, 2, 3, 4]) + bytes(
        byte ^ (at % 4 + 1) for at, byte in enumerate(text))
    for part in frame(1, b"I have " + stand_in[:20]), frame(0x89, b"ping"), frame(0x80, stand_in[20:] + b" here"):
        stream.sendall(part)
        time.sleep(0.1)
    try:
        stream.sendall(frame(0x81, b" and more"))
        time.sleep(0.2)
        stream.sendall(frame(0x81, b" and more"))
        stream.settimeout(1)
        # What the server says is no end.
        while stream.recv(4096):
            pass
        end = "ended"
    except TimeoutError:
        end = "open"
    except OSError:
        end = "ended"
    stream.close()
    return said + " " + end


def reset():
    """A client that is gone in the middle of its body."""
    stream = connect()
    stream.sendall(head("/any/post", "Content-Length: 1000000\r\n", "POST") + b"x" * 1000)
    time.sleep(0.2)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.close()
    return "gone"


def cut():
    """An answer that breaks off must not look complete."""
    stream = connect()
    stream.sendall(head("/any/cut"))
    data = b""
    try:
        while part := stream.recv(65536):
            data += part
    except (ConnectionError, ssl.SSLError):
        pass
    return "short" if len(data) < 100000 else "long"


def big_head():
    stream = connect()
    lines = "".join(f"X-{at}: {'y' * 10000}\r\n" for at in range(100))
    try:
        stream.sendall(head("/open/big", lines))
    except OSError:
        pass
    try:
        return until(stream, b"\r\n").split(b"\r\n")[0].decode()
    except OSError as error:
        return type(error).__name__


host, port, spoken = sys.argv[2], int(sys.argv[3]), sys.argv[4]
for name in sys.argv[1].split(","):
    try:
        print(name, globals()[name](), flush=True)
    except Exception as error:
        print(name, type(error).__name__, error, flush=True)
