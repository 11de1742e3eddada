"""Servers on loopback for the tests of the net gate. Says its ports as one JSON line, then one JSON
line for each thing a client did: the oracle of what got through."""
import lenient
import base64, gzip, hashlib, http.server, json, os, socket, socketserver, ssl, subprocess, sys, threading, time

certificate, key, root = sys.argv[1:4]
print_lock = threading.Lock()
go = threading.Event()


def say(**what):
    with print_lock:
        print(json.dumps(what), flush=True)


class Web(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory=root, **kwargs)

    def do_GET(self):
        say(server=self.server.name, host=self.headers.get("Host"), path=self.path)
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket()
        if self.path.startswith("/to/"):
            # Elsewhere: `/to/SERVER/PATH`.
            server, rest = self.path[4:].split("/", 1)
            scheme = "https" if server == "tls" else "http"
            self.send_response(302)
            self.send_header("Location", f"{scheme}://good.example:{ports[server]}/{rest}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if self.path.startswith("/say/"):
            return self.say(*self.path.split("/")[2:])
        if self.path.startswith("/files/"):
            self.negotiate()
            return super().do_GET()
        if self.path.startswith("/any/"):
            return getattr(self, self.path.split("/")[2])()
        self.answer(b"hello from " + self.server.name.encode() + b"\n")

    def endless(self):
        self.send_response(200)
        self.end_headers()
        sent = 0
        try:
            while True:
                self.wfile.write(b"\0" * 65536)
                sent += 65536
        except OSError:
            say(server=self.server.name, endless=sent)
        self.close_connection = True

    def events(self):
        """The second one comes once somebody asks for it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in b"data: 1\n\n", b"data: 2\n\n", b"":
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            if event == b"data: 1\n\n":
                go.wait(20)
                go.clear()

    def say(self, how, *words):
        """Says what it is asked to, in one of the ways that servers have; dots in it are left out."""
        text = "/".join(words).replace(".", "")
        kind, code, parts = "text/plain", 200, None
        if how == "json":
            kind, text = "application/json", json.dumps({"key": text, "n": [1, "é"]}).replace("_", "\\u005f")
        if how == "events":
            kind, parts = "text/event-stream", [f"data: {text[:9]}", f"{text[9:]}\n\n", "data: end\n\n"]
        if how == "bytes":
            parts = list(text + " end")
        if how == "error":
            code = 500
        if how == "part":
            code = 206
        body = gzip.compress(text.encode()) if how == "gzip" else text.encode()
        body = "café ".encode("latin-1") + body if how == "latin" else body
        body = text.encode("utf-16le") if how == "wide" else body
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if how == "header":
            self.send_header("X-Echo", text)
        if how == "name":
            self.send_header(text, "named")
        if how == "gzip":
            self.send_header("Content-Encoding", "gzip")
        if parts is None:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in [*parts, ""]:
            part = part.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()

    def go(self):
        go.set()
        self.answer(b"gone\n")

    def peer(self):
        self.answer(f"from {self.client_address[1]} on\n".encode())

    def leave(self):
        """Ends its side a little later, without having said so."""
        self.peer()
        self.wfile.flush()
        time.sleep(0.3)
        self.close_connection = True

    def slow(self):
        """Reads a little of the body, and then no more."""
        self.rfile.read(1 << 20)
        time.sleep(5)
        self.close_connection = True

    def cut(self):
        """Ends in the middle of an answer."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"x" * 1000)
        self.close_connection = True

    def do_HEAD(self):
        self.negotiate()
        super().do_HEAD()

    def negotiate(self):
        """Finds what a registry keeps in one place where plain files are in another."""
        parts = self.path.partition("/registry/")
        if parts[1]:
            name, _, file = parts[2].partition("/-/")
            self.path = f"{parts[0]}/npm-files/{file}" if file else f"{parts[0]}/npm-lists/{name}"
        form = self.path + "index.v1.json"
        if "vnd.pypi.simple.v1+json" in self.headers.get("Accept", "") and os.path.exists(root + form):
            self.path = form

    def guess_type(self, path):
        return "application/vnd.pypi.simple.v1+json" if path.endswith("index.v1.json") else super().guess_type(path)

    def do_POST(self):
        if self.path == "/any/slow":
            return self.slow()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        say(server=self.server.name, host=self.headers.get("Host"), body=len(body))
        self.answer(f"{len(body)} {hashlib.sha256(body).hexdigest()}\n".encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def websocket(self):
        accept = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(accept.encode()).digest()).decode()
        self.send_response(101)
        for name, value in ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept):
            self.send_header(name, value)
        self.end_headers()
        while data := self.connection.recv(4096):
            self.connection.sendall(data.upper())

    def log_message(self, *_):
        pass


# A method that only this server knows.
setattr(Web, "do_" + "G" * 80, Web.do_GET)


class Keys(Web):
    """Says what it was shown, and sends it back in every way that servers do."""

    def shown(self):
        names = "authorization", "x-api-key", "accept-encoding"
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        say(server=self.server.name, host=self.headers.get("Host"), path=self.path, headers=headers)
        return headers

    def do_GET(self):
        headers = self.shown()
        if self.headers.get("Upgrade", "").lower() == "websocket":
            return self.websocket(headers)
        if self.path.startswith("/repo.git"):
            return self.git()
        how, _, rest = self.path.removeprefix("/").partition("?")
        if how == "redirect":
            self.send_response(307)
            self.send_header("Location", rest)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        key = headers.get("x-api-key", "") or headers.get("authorization", "")
        word = key.removeprefix("Bearer ")
        body = {
            "json": lambda: json.dumps({"key": key}).replace("/", "\\/"),
            "unicode": lambda: "".join(f"\\u{ord(it):04x}" for it in word),
            "base64": lambda: base64.b64encode(f"user:{word}".encode()).decode(),
            "percent": lambda: "".join(f"%{ord(it):02X}" for it in word),
            "hex": lambda: word.encode().hex(),
        }.get(how, lambda: f"{self.path} {key}")().encode() + b" end\n"
        self.send_response(200)
        self.send_header("X-Echo", key)
        if how == "gzip":
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if how != "split":
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Last")
        self.end_headers()
        for byte in body:
            self.wfile.write(b"1\r\n%c\r\n" % byte)
            self.wfile.flush()
        self.wfile.write(b"0\r\nX-Last: " + key.encode() + b"\r\n\r\n")

    def do_POST(self):
        self.shown()
        if self.path.startswith("/repo.git"):
            return self.git()
        try:
            super().do_POST()
        except (ValueError, ConnectionError):
            self.close_connection = True

    def git(self):
        import subprocess
        if "authorization" not in self.headers:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=x")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": "a",
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "http.receivepack",
            "GIT_CONFIG_VALUE_0": "true", "GIT_CONFIG_KEY_1": "safe.directory",
            "GIT_CONFIG_VALUE_1": "*",
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        environment["CONTENT_LENGTH"] = str(len(body))
        made = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True)
        head, _, body = made.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = [value for name, value in lines if name == "Status"]
        self.send_response(int(status[0].split()[0]) if status else 200)
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def websocket(self, headers):
        accept = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(accept.encode()).digest()).decode()
        self.send_response(101)
        for name, value in ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept):
            self.send_header(name, value)
        self.end_headers()
        text = headers.get("x-api-key", "").encode()
        for byte in b"\x81" + bytes([len(text)]) + text:
            self.connection.sendall(bytes([byte]))
        self.close_connection = True
        words = b""
        try:
            while frame := self.rfile.read(2):
                mask = self.rfile.read(4)
                payload = self.rfile.read(frame[1] & 127)
                if frame[0] & 8 == 0:
                    words += bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        except (OSError, IndexError):
            pass
        say(server=self.server.name, words=words.decode("latin-1"))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


class Banner(socketserver.BaseRequestHandler):
    """Speaks first, then echoes."""

    def handle(self):
        say(server=self.server.name, connected=True)
        self.request.sendall(b"220 ready\r\n")
        while data := self.request.recv(4096):
            say(server=self.server.name, got=data.decode("latin-1"))
            self.request.sendall(data)


class Silent(socketserver.BaseRequestHandler):
    """Echoes."""

    def handle(self):
        say(server=self.server.name, connected=True)
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Lenient(socketserver.BaseRequestHandler):
    """Answers whatever comes, and says at the end what any server would have read in it."""

    def handle(self):
        data = b""
        self.request.settimeout(20)
        try:
            while part := self.request.recv(65536):
                data += part
                if b"HTTP/1." in part:
                    self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass
        say(server=self.server.name, targets=lenient.targets(data), head=data[:2000].decode("latin-1"))


# Certificates that nobody should believe, beside the good one.
BAD = "-expired", "-other", "-client"


class Tls(Server):
    def get_request(self):
        stream, address = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        bad = self.name.removeprefix("tls").replace("_", "-")
        chain = certificate.removesuffix(".pem") + f"{bad}.pem" if bad in BAD else certificate
        context.load_cert_chain(chain, key)
        name = self.name
        context.sni_callback = lambda _socket, sni, _context: say(server=name, sni=sni)
        # The handshake is the thread's.
        return context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False), address


def name_server(address):
    """Answers every question for an address with 127.0.0.1, and says what it was asked."""
    stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream.bind((address, 53))
    while True:
        question, client = stream.recvfrom(4096)
        labels, at = [], 12
        while size := question[at]:
            labels.append(question[at + 1:at + 1 + size].decode())
            at += 1 + size
        kind = int.from_bytes(question[at + 1:at + 3], "big")
        say(server="dns", asked=".".join(labels).lower(), kind=kind)
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1" if kind == 1 else b""
        count = b"\0\1" if answer else b"\0\0"
        stream.sendto(question[:2] + b"\x81\x80\0\1" + count + b"\0\0\0\0" + question[12:at + 5] + answer, client)


if len(sys.argv) > 4:
    threading.Thread(target=name_server, args=sys.argv[4:], daemon=True).start()

ports = {}
for name, kind, handler in (
    ("web", Server, Web),
    ("other", Server, Web),
    ("tls", Tls, Web),
    ("keys", Tls, Keys),
    ("openkeys", Server, Keys),
    ("banner", Server, Banner),
    ("echo", Server, Silent),
    ("tls_expired", Tls, Web),
    ("tls_other", Tls, Web),
    ("tls_client", Tls, Web),
    ("lenient", Server, Lenient),
    ("lenient_tls", Tls, Lenient),
):
    server = kind(("127.0.0.1", 0), handler)
    server.name = name
    ports[name] = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()

# Python has no server of HTTP/2.
started = {
    name: subprocess.Popen(["node", "tests/net/h2.js", certificate, key, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for name in ("h2", "only_h2")
}
for name, h2 in started.items():
    ports[name] = int(h2.stdout.readline())
    threading.Thread(target=lambda out: [say(**json.loads(line)) for line in out], args=(h2.stdout,), daemon=True).start()
say(ports=ports)
sys.stdin.read()
