"""Speaks as AWS does: verifies each signature with botocore under the one real key, says what it saw,
and lets moto answer. Arguments: the certificate, its key, and the key of AWS as `ID:SECRET[:TOKEN]`."""

import hashlib
import hmac
import http.client
import http.server
import json
import os
import socketserver
import ssl
import sys
import threading
import urllib.parse

os.environ.update(AWS_ACCESS_KEY_ID="mock", AWS_SECRET_ACCESS_KEY="mock", AWS_DEFAULT_REGION="eu-west-1")

import logging

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
certificate, tls_key, value = sys.argv[1:4]
key_id, secret, token = (value.split(":") + [None])[:3]
lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what), flush=True)


class Refused(Exception):
    pass


def signature(auth, request, scope, when, path_is_signed_as_sent):
    """botocore's own canonical request, for the headers that the client signed."""
    if path_is_signed_as_sent:
        auth._normalize_url_path = lambda path: path
    else:
        auth._normalize_url_path = lambda path: urllib.parse.quote(path, safe="/~")
    request.context["timestamp"] = when
    canonical = auth.canonical_request(request)
    text = "\n".join(["AWS4-HMAC-SHA256", when, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return auth.signature(text, request), canonical


class Aws(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def claim(self, query):
        lines = self.headers.get_all("Authorization", [])
        if "X-Amz-Credential" in query:
            signed, sent = query["X-Amz-SignedHeaders"], query["X-Amz-Signature"]
            return query["X-Amz-Credential"], signed, sent, query["X-Amz-Date"]
        if len(lines) != 1 or not lines[0].startswith("AWS4-HMAC-SHA256 "):
            raise Refused("no signature")
        fields = dict(it.strip().split("=", 1) for it in lines[0].split(" ", 1)[1].split(","))
        return fields["Credential"], fields["SignedHeaders"], fields["Signature"], self.headers["X-Amz-Date"]

    def verify(self, body):
        path, _, query_text = self.path.partition("?")
        pairs = urllib.parse.parse_qsl(query_text, keep_blank_values=True)
        query = dict(pairs)
        credential, names, sent, when = self.claim(query)
        identity, scope = credential.split("/", 1)
        _, region, service, _ = scope.split("/")
        said = self.headers.get("X-Amz-Content-SHA256")
        say(id=identity, service=service, region=region, method=self.command, path=path, payload=said,
            token=self.headers.get("X-Amz-Security-Token") or query.get("X-Amz-Security-Token"),
            host=self.headers["Host"], host_signed="host" in names.split(";"))
        if identity != key_id:
            raise Refused("an unknown key")
        if region != "eu-west-1":
            raise Refused("AuthorizationHeaderMalformed: expecting eu-west-1")
        unsigned = [it for it in self.headers.keys() if it.lower().startswith("x-amz-")
                    and it.lower() not in names.split(";") and "X-Amz-Credential" not in query]
        if unsigned:
            raise Refused(f"headers that are not signed: {unsigned}")
        kept = "&".join(it for it in query_text.split("&") if not it.startswith("X-Amz-Signature="))
        request = AWSRequest(self.command, f"https://{self.headers['Host']}{path}?{kept}".rstrip("?"), data=body)
        for name in names.split(";"):
            request.headers[name] = ",".join(" ".join(it.split()) for it in self.headers.get_all(name, []))
        s3 = service == "s3"
        kind = S3SigV4Auth if s3 else SigV4Auth
        auth = kind(Credentials(key_id, secret, token), service, region)
        if "X-Amz-Credential" in query:
            auth.payload = lambda _: "UNSIGNED-PAYLOAD" if s3 else hashlib.sha256(body).hexdigest()
        else:
            auth.payload = lambda _: said or hashlib.sha256(body).hexdigest()
        made, canonical = signature(auth, request, scope, when, s3)
        if not hmac.compare_digest(made, sent):
            raise Refused(f"SignatureDoesNotMatch {sent}\n{canonical}")
        if said and len(said) == 64 and said != hashlib.sha256(body).hexdigest():
            raise Refused("XAmzContentSHA256Mismatch")
        if said == "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
            return self.chunks(body, made, scope, when)
        return body

    def chunks(self, body, last, scope, when):
        """The chain of signatures, as the S3 reference has it."""
        made = ("AWS4" + secret).encode()
        for part in scope.split("/"):
            made = hmac.digest(made, part.encode(), "sha256")
        whole, empty = b"", hashlib.sha256(b"").hexdigest()
        while True:
            line, _, body = body.partition(b"\r\n")
            size, _, sent = line.decode().partition(";chunk-signature=")
            data, body = body[:int(size, 16)], body[int(size, 16) + 2:]
            digest = hashlib.sha256(data).hexdigest()
            text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", when, scope, last, empty, digest])
            last = hmac.digest(made, text.encode(), "sha256").hex()
            if not hmac.compare_digest(last, sent):
                raise Refused("a chunk is not signed")
            whole += data
            if not data:
                say(chunks=len(whole))
                return whole

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, it in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, it)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_any(self):
        body = self.body()
        try:
            body = self.verify(body)
        except Refused as error:
            # As AWS does: it says what it was sent.
            lines = ", ".join(self.headers.get_all("Authorization", []))
            text = f"<Error><Message>{error}</Message><Sent>{lines} {self.path}</Sent></Error>"
            return self.answer(403, [("Content-Type", "text/xml")], text.encode())
        headers = {name: it for name, it in self.headers.items() if name.lower() not in ("content-length", "transfer-encoding", "expect")}
        if "STREAMING-AWS4" in self.headers.get("X-Amz-Content-SHA256", ""):
            headers = {name: it for name, it in headers.items() if name.lower() not in (
                "content-encoding", "x-amz-decoded-content-length", "x-amz-content-sha256")}
        # Of another name it would take the first label for a bucket.
        headers = {name: it for name, it in headers.items() if name.lower() != "host"}
        link = http.client.HTTPConnection(*moto)
        link.request(self.command, self.path, body, headers)
        response = link.getresponse()
        self.answer(response.status, response.getheaders(), response.read())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_any


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def get_request(self):
        stream, address = super().get_request()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, tls_key)
        return context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):
        pass


# moto's server prints to where only lines of ours go.
real_stdout, sys.stdout = sys.stdout, sys.stderr
mock = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
mock.start()
moto = mock.get_host_and_port()
sys.stdout = real_stdout
server = Server(("127.0.0.1", 0), Aws)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(ports={"aws": server.server_address[1]})
sys.stdin.read()
