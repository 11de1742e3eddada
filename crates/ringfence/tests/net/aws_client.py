"""What agents do with AWS, by boto3 and by hand. Arguments: the server's address, and what to do: each
is one line of the output."""

import hashlib
import hmac
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, "site")

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

origin = sys.argv[1]
REGION = "eu-west-1"
mine = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def client(service, **config):
    settings = Config(s3={"addressing_style": "path", **config}, retries={"total_max_attempts": 1})
    return boto3.client(service, region_name=REGION, endpoint_url=origin, config=settings)


def send(method, url, headers=(), body=None):
    request = urllib.request.Request(url, body, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return f"{response.status} {response.read().decode(errors='replace')}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode(errors='replace')}"


def signed(method, path, body=b"", headers=(), auth=S3SigV4Auth, key=mine, region=REGION, service="s3"):
    request = AWSRequest(method, origin + path, dict(headers), body or None)
    auth(key, service, region).add_auth(request)
    return request.url, dict(request.headers.items())


def whole():
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    for name in "plain", "a b/ü+c~(d)=e&f", "*'!":
        s3.put_object(Bucket="bucket", Key=name, Body=b"hello " * 1000, Metadata={"a": "b  c"})
        assert s3.get_object(Bucket="bucket", Key=name)["Body"].read() == b"hello " * 1000
    assert len(s3.list_objects_v2(Bucket="bucket", Prefix="a b/ü+")["Contents"]) == 1
    part = s3.get_object(Bucket="bucket", Key="plain", Range="bytes=6-10")
    assert part["Body"].read() == b"hello" and part["ResponseMetadata"]["HTTPStatusCode"] == 206
    inside = client("s3", payload_signing_enabled=True)
    inside.put_object(Bucket="bucket", Key="signed", Body=b"x" * 100_000)
    large = os.urandom(6 << 20)
    open("large", "wb").write(large)
    s3.upload_file("large", "bucket", "large", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
    s3.download_file("bucket", "large", "back", Config=TransferConfig(multipart_threshold=1 << 20, multipart_chunksize=1 << 20))
    assert open("back", "rb").read() == large
    s3.delete_object(Bucket="bucket", Key="plain")
    identity = client("sts").get_caller_identity()
    manager = client("secretsmanager")
    manager.create_secret(Name="db", SecretString="not a key")
    assert manager.get_secret_value(SecretId="db")["SecretString"] == "not a key"
    return f"all of it, as {identity['Arn']}"


def link():
    s3 = boto3.client("s3", region_name=REGION, endpoint_url=origin, config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    s3.create_bucket(Bucket="links", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket="links", Key="a b", Body=b"by a link")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "links", "Key": "a b"}, ExpiresIn=60)
    changed = send("GET", url.replace("a%20b", "a%20c"))
    return f"{send('GET', url)} / {changed}"


def chunks(spoil=False):
    client("s3").create_bucket(Bucket="chunks", CreateBucketConfiguration={"LocationConstraint": REGION})
    data = [b"a" * 70_000, b"b" * 9000, b""]
    size = sum(len(it) + len(f"{len(it):x};chunk-signature=") + 64 + 4 for it in data)
    headers = {"Content-Type": "text/plain", "Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "79000", "Content-Length": str(size)}

    class Streamed(S3SigV4Auth):
        def payload(self, _request):
            return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

        def _should_sha256_sign_payload(self, _request):
            return True

    url, headers = signed("PUT", "/chunks/key", headers=headers, auth=Streamed)
    fields = dict(it.strip().split("=", 1) for it in headers["Authorization"].split(" ", 1)[1].split(","))
    scope, last = fields["Credential"].split("/", 1)[1], fields["Signature"]
    key = ("AWS4" + mine.secret_key).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    body, empty = b"", hashlib.sha256(b"").hexdigest()
    for it in data:
        text = ["AWS4-HMAC-SHA256-PAYLOAD", headers["X-Amz-Date"], scope, last, empty, hashlib.sha256(it).hexdigest()]
        last = hmac.digest(key, "\n".join(text).encode(), "sha256").hex()
        body += f"{len(it):x};chunk-signature={last}\r\n".encode() + it + b"\r\n"
    if spoil:
        body = body.replace(b"bbb", b"bcb", 1)
    said = send("PUT", url, headers, body)
    return said if spoil else said + client("s3").get_object(Bucket="chunks", Key="key")["Body"].read(3).decode()


def attack(name):
    stranger = Credentials(mine.access_key, "z" * 40)
    with_token = Credentials(mine.access_key, mine.secret_key, "somebody-elses-token")
    body = b'{"a": 1}'

    def changed(change, **how):
        url, headers = signed("PUT", "/bucket/key", body, **how)
        more = change(headers)
        return send("PUT", more or url, headers, body)

    def put(name, it):
        return lambda headers: headers.__setitem__(name, it)

    elsewhere = origin.replace("good.example", "www.good.example")
    lone = {"X-Amz-Content-SHA256": hashlib.sha256(b"other").hexdigest()}
    return {
        "secret": lambda: changed(lambda _: None, key=stranger),
        "token": lambda: changed(lambda _: None, key=with_token),
        "path": lambda: changed(lambda _: origin + "/bucket/other"),
        "query": lambda: changed(lambda _: origin + "/bucket/key?acl"),
        "date": lambda: changed(put("X-Amz-Date", "20200101T000000Z")),
        "host": lambda: changed(lambda _: elsewhere + "/bucket/key"),
        "header": lambda: changed(put("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")),
        "method": lambda: send("DELETE", *signed("PUT", "/bucket/key")),
        "region": lambda: changed(lambda _: None, region="us-east-1"),
        "body": lambda: send("PUT", *signed("PUT", "/bucket/key", headers=lone), b"not that"),
        "json": lambda: send("POST", *signed("POST", "/", body, auth=SigV4Auth, service="lambda"), b'{"a": 2}'),
        "loud": lambda: send("GET", f"{origin}/?key={mine.secret_key}"),
        "bearer": lambda: send("GET", origin, {"Authorization": f"Bearer {mine.access_key}"}),
        "old": lambda: send("GET", origin, {"Authorization": f"AWS {mine.access_key}:c2lnbmF0dXJl"}),
        "stranger": lambda: send("GET", signed("GET", "/b/k", auth=SigV4QueryAuth)[0].replace("good.example", "www.good.example")),
        "two": lambda: send("GET", signed("GET", "/b/k", auth=SigV4QueryAuth)[0], signed("GET", "/b/k")[1]),
        "twice": lambda: twice(),
        "events": lambda: changed(put("X-Amz-Content-SHA256", "STREAMING-AWS4-HMAC-SHA256-EVENTS")),
        "large": lambda: send("POST", *signed("POST", "/", b"x" * (17 << 20), auth=SigV4Auth, service="lambda"), b"x" * (17 << 20)),
    }[name]()


def twice():
    """One header two times, which no library sends."""
    import http.client
    host = urllib.parse.urlsplit(origin)
    link = http.client.HTTPSConnection(host.hostname, host.port)
    _, headers = signed("GET", "/b/k")
    link.putrequest("GET", "/b/k")
    for name, it in headers.items():
        link.putheader(name, it)
    link.putheader("Authorization", headers["Authorization"])
    link.endheaders()
    response = link.getresponse()
    return f"{response.status} {response.read().decode()}"


for what in sys.argv[2:]:
    do = {"whole": whole, "link": link, "chunks": chunks, "spoiled": lambda: chunks(True)}.get(what)
    try:
        said = do() if do else attack(what)
    except (ClientError, OSError) as error:
        said = f"failed: {error}"
    print(what, said.replace("\n", " "), flush=True)
