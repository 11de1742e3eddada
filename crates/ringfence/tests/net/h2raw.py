"""Frames of HTTP/2 as no client would send them, each attack over a connection of its own; prints what
came back as JSON."""
import json, socket, ssl, struct, sys, threading

host, port = sys.argv[1:3]
origin = f"{host}:{port}"
DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def number(value, bits):
    top = (1 << bits) - 1
    if value < top:
        return bytes([value])
    out, value = bytes([top]), value - top
    while value > 127:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def fields(*pairs):
    """Literals without indexing (RFC 7541, section 6.2.2)."""
    text = lambda it: number(len(it), 7) + it
    latin = lambda it: it if isinstance(it, bytes) else it.encode("latin-1")
    return b"".join(b"\0" + text(latin(name)) + text(latin(value)) for name, value in pairs)


def request(*more, stream=1, flags=END_STREAM, **pseudo):
    head = {"method": "GET", "scheme": "https", "authority": origin, "path": "/open/1"} | pseudo
    head = [(f":{name}", value) for name, value in head.items() if value is not None]
    return frame(HEADERS, flags | END_HEADERS, stream, fields(*head, *more))


def attacks():
    yield "plain", request()
    yield "denied", request(path="/denied/1")
    yield "other", request(authority="evil.example")
    yield "host-other", request(("host", "evil.example"))
    yield "host-only", request(("host", "evil.example"), authority=None)
    yield "no-host", request(authority=None)
    yield "two-hosts", request(("host", origin), ("host", "evil.example"), authority=None)
    for name, value in {
        "path-crlf": "/open/1 HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /denied/1", "path-space": "/open/1 /denied/1", "path-lf": "/open/1\n/denied",
        "path-nul": "/open/1\0/denied", "path-empty": "", "path-star": "*", "path-absolute": "https://evil.example/open/1", "path-bare": "denied/1",
        "path-dots": "/open/../denied/1", "path-dots-encoded": "/open/%2e%2e/denied/1", "path-fragment": "/open/1#/../denied", "path-slashes": "//evil.example/open/1",
        "path-authority": "@evil.example/open/1",
    }.items():
        yield name, request(path=value)
    for name, value in {"method-crlf": "GET /denied/1 HTTP/1.1\r\nX:", "method-space": "GET /denied/1", "method-small": "get", "method-connect": "CONNECT", "method-trace": "TRACE"}.items():
        yield name, request(method=value)
    yield "connect", request(method="CONNECT", scheme=None, path=None)
    yield "connect-protocol", request((":protocol", "websocket"), method="CONNECT")
    for name, value in {"scheme-http": "http", "scheme-odd": "https://evil.example/denied?", "scheme-crlf": "https\r\nx: y", "scheme-none": None}.items():
        yield name, request(scheme=value)
    for name, value in {"authority-user": f"{origin}@evil.example", "authority-crlf": f"{origin}\r\nx: evil.example", "authority-path": f"{origin}/denied", "authority-port": f"{host}:1", "authority-list": f"{origin},evil.example"}.items():
        yield name, request(authority=value)
    for name, extra in {
        "two-paths": (":path", "/denied/1"), "two-methods": (":method", "DELETE"), "two-authorities": (":authority", "evil.example"), "pseudo-unknown": (":evil", "1"),
        "value-crlf": ("x", "a\r\nhost: evil.example"), "value-lf": ("x", "a\nevil: evil"), "value-nul": ("x", "a\0evil"), "name-colon": ("host: evil.example\r\nx", "a"),
        "name-upper": ("Evil", "1"), "name-empty": ("", "evil"), "name-space": ("host ", "evil.example"), "transfer-encoding": ("transfer-encoding", "chunked"),
        "connection": ("connection", "evil"), "upgrade": ("upgrade", "evil"), "te": ("te", "evil"), "length-wrong": ("content-length", "5"), "override": ("x-http-method-override", "DELETE"),
    }.items():
        yield name, request(extra)
    yield "pseudo-late", frame(HEADERS, END_STREAM | END_HEADERS, 1, fields((":method", "GET"), (":scheme", "https"), (":authority", origin), ("x", "y"), (":path", "/denied/1")))
    post = lambda *more: request(*more, method="POST", flags=0)
    yield "length-short", post(("content-length", "2")) + frame(DATA, END_STREAM, 1, b"12GET /denied/1 HTTP/1.1\r\n\r\n")
    yield "length-long", post(("content-length", "20")) + frame(DATA, END_STREAM, 1, b"12")
    yield "length-two", post(("content-length", "2"), ("content-length", "0")) + frame(DATA, END_STREAM, 1, b"12")
    yield "trailers", post() + frame(DATA, 0, 1, b"12") + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields(("x-after", "1")))
    yield "trailers-pseudo", post() + frame(DATA, 0, 1, b"12") + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields((":path", "/denied/1")))
    yield "trailers-crlf", post() + frame(DATA, 0, 1, b"12") + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields(("x", "a\r\nevil: 1")))
    yield "many", b"".join(request(stream=at, path="/denied/1" if at == 3 else f"/open/{at}") for at in (1, 3, 5))
    yield "even", request(stream=2)
    yield "push", request(flags=0) + frame(PUSH, END_HEADERS, 1, struct.pack("!I", 2) + fields((":path", "/denied/1")))
    yield "big-head", frame(HEADERS, END_STREAM, 1, fields((":method", "GET"), (":scheme", "https"), (":authority", origin), (":path", "/open/1"))) + b"".join(
        frame(CONTINUATION, 0, 1, fields(*((f"x{at}-{it}", "y" * 1000) for it in range(15)))) for at in range(70)) + frame(CONTINUATION, END_HEADERS, 1)
    yield "endless-head", frame(HEADERS, END_STREAM, 1, fields((":method", "GET"))) + frame(CONTINUATION, 0, 1, fields(("x", "y"))) * 100000
    yield "begun-and-reset", b"".join(request(stream=at, path="/open/reset") + frame(RST, 0, at, struct.pack("!I", 8)) for at in range(1, 20000, 2))
    yield "no-preface", None


# Attacks on nothing: as many answers are waited for. Whether others are answered is known after a while.
ANSWERED = {"plain": 1, "trailers": 1, "trailers-pseudo": 1, "path-fragment": 1, "many": 3}


def send(name, data, answers):
    context = ssl.create_default_context()
    if len(sys.argv) > 3:
        context.load_verify_locations(sys.argv[3])
    context.set_alpn_protocols(["h2"])
    found = answers[name] = {"statuses": [], "reset": [], "gone": None}
    try:
        stream = context.wrap_socket(socket.create_connection((host, int(port)), timeout=60), server_hostname=host)
        missing = lambda: ANSWERED.get(name, 0) - len(found["statuses"])
        stream.settimeout(30 if missing() > 0 else 1.5)
        if data is None:
            data = f"GET /denied/1 HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode()
        else:
            data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + data
        threading.Thread(target=lambda: quietly(lambda: stream.sendall(data)), daemon=True).start()
        buffer = b""
        while part := stream.recv(65536):
            buffer += part
            while len(buffer) >= 9 and len(buffer) >= 9 + (size := int.from_bytes(buffer[:3], "big")):
                kind, flags, number, payload = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big"), buffer[9:9 + size]
                buffer = buffer[9 + size:]
                if kind == HEADERS:
                    found["statuses"].append([number, status(payload)])
                    stream.settimeout(30 if missing() > 0 else 1.5)
                elif kind == RST:
                    found["reset"] = found["reset"][:5] + [number]
                elif kind == GOAWAY:
                    found["gone"] = int.from_bytes(payload[4:8], "big")
    except (OSError, TimeoutError) as error:
        found["error"] = type(error).__name__


def quietly(what):
    try:
        what()
    except OSError:
        pass


def status(block):
    """Of the static table, or a literal of three digits, perhaps in Huffman's code of two bytes."""
    known = {0x88: 200, 0x89: 204, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
    while block and 0x20 <= block[0] < 0x40:
        block = block[1:]
    if block[0] in known:
        return known[block[0]]
    size, text = block[1] & 127, block[2:]
    if not block[1] & 128:
        return int(text[:size])
    # Digits: 0, 1 and 2 have five bits, the others six.
    bits, out = "".join(f"{byte:08b}" for byte in text[:size]), ""
    codes = {"00000": "0", "00001": "1", "00010": "2"} | {f"{0x19 + it:06b}": str(3 + it) for it in range(7)}
    while len(out) < 3:
        for code, digit in codes.items():
            if bits.startswith(code):
                bits, out = bits[len(code):], out + digit
                break
        else:
            return 0
    return int(out)


answers = {}
# Those that are answered come first: on a busy machine the others keep them waiting for too long.
for answered in (True, False):
    threads = [threading.Thread(target=send, args=(*it, answers)) for it in attacks() if (it[0] in ANSWERED) == answered]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(json.dumps(answers))
