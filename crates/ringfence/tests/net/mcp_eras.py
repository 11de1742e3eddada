"""A server of MCP of the era that the first word says: over standard input and output, or, with a port as second word,
over HTTP. Its tools ask, report, wait and tell, as tools do. Written from the specification alone."""

import json
import queue
import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

era = sys.argv[1]
NAMES = ["echo", "ask", "sample", "roots", "slow", "change", "touch", "long"]
TEXT = {"type": "string", "x-mcp-header": "Text"} if len(sys.argv) > 2 and era == "new" else {"type": "string"}
TOOLS = [{"name": name, "inputSchema": {"type": "object", "properties": {"text": TEXT}}} for name in NAMES]
if era == "old":
    TOOLS[-1]["execution"] = {"taskSupport": "required"}
QUESTIONS = {
    "ask": {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}},
    "sample": {"method": "sampling/createMessage", "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 9}},
    "roots": {"method": "roots/list"},
}
CAPABILITIES = {"tools": {"listChanged": True}, "prompts": {}, "resources": {"subscribe": True, "listChanged": True}}
if era == "new":
    CAPABILITIES["extensions"] = {"io.modelcontextprotocol/tasks": {}}
else:
    CAPABILITIES["tasks"] = {"requests": {"tools": {"call": {}}}}
INFO = {"name": era, "version": "1"}
KEY = "io.modelcontextprotocol/"
CACHE = {"ttlMs": 0, "cacheScope": "public"} if era == "new" else {}
asked, listens, subscribed, last = {}, {}, set(), 0
tasks = {}


class Stdout:
    """Everything goes one way."""

    def say(self, message, of=None):
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


class Streams:
    """What belongs to a request goes by its own stream, all else by the one for all else."""

    def __init__(self):
        self.of, self.rest, self.current = {}, queue.Queue(), None

    def say(self, message, of=None):
        at = message.get("id") if "method" not in message else of
        to = self.of.get(at if at is not None else self.current, self.rest)
        to.put({"jsonrpc": "2.0", **message})


out = Streams() if len(sys.argv) > 2 else Stdout()


def send(message, of=None):
    out.say(message, of)


def reply(id, result, **more):
    if era == "new":
        result = {"resultType": "complete", **result, "_meta": {KEY + "serverInfo": INFO}}
    send({"id": id, "result": {**result, **more}})


def fail(id, code, message, data=None):
    send({"id": id, "error": {"code": code, "message": message, "data": data}})


def say(id, text):
    reply(id, {"content": [{"type": "text", "text": text}], "extra": {"kept": 1.5}})


def tell(method, params, kind):
    if era == "old":
        return send({"method": method, "params": params}, "rest")
    for id, wanted in listens.items():
        if kind(wanted):
            send({"method": method, "params": {**params, "_meta": {KEY + "subscriptionId": id}}}, id)


def call(id, params):
    global last
    name, meta = params["name"], params.get("_meta", {})
    if name == "echo":
        open("echoed", "a").write("x")
        say(id, json.dumps({"arguments": params.get("arguments"), "meta": meta, "version": meta.get(KEY + "protocolVersion")}, sort_keys=True))
    elif name in QUESTIONS:
        question = QUESTIONS[name]
        if era == "old":
            last += 1
            asked["q%d" % last] = id
            send({"id": "q%d" % last, **question}, id)
        elif "inputResponses" in params:
            if params.get("requestState") != "state of " + name:
                return fail(id, -32602, "another state")
            say(id, json.dumps(params["inputResponses"]["it"], sort_keys=True))
        else:
            reply(id, {"inputRequests": {"it": question}, "requestState": "state of " + name, "resultType": "input_required"})
    elif name == "slow":
        for number in [1, 2]:
            send({"method": "notifications/progress", "params": {"progressToken": meta["progressToken"], "progress": number, "total": 3}}, id)
    elif name == "long":
        make_task(id, params, meta)
    elif name == "change":
        tell("notifications/tools/list_changed", {}, lambda it: it.get("toolsListChanged"))
        say(id, "changed")
    elif name == "touch":
        if era == "new" or "note://1" in subscribed:
            tell("notifications/resources/updated", {"uri": "note://1"}, lambda it: "note://1" in it.get("resourceSubscriptions", []))
        say(id, "touched")


def make_task(id, params, meta):
    """A task, where the client can have one: it wants to know a name before it ends."""
    extensions = meta.get(KEY + "clientCapabilities", {}).get("extensions", {})
    if "task" not in params if era == "old" else KEY + "tasks" not in extensions:
        return fail(id, -32601 if era == "old" else -32021, "a task or nothing")
    name = "task-%d" % len(tasks)
    tasks[name] = None
    at = {"taskId": name, "status": "working", "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z"}
    if era == "old":
        return reply(id, {"task": {**at, "ttl": None, "pollInterval": 100}})
    reply(id, {**at, "resultType": "task", "ttlMs": None, "pollIntervalMs": 100})


def of_task(id, method, params):
    global last
    name = params["taskId"]
    if name not in tasks:
        return fail(id, -32602, "no such task: " + name)
    if method == "tasks/result":
        last += 1
        asked["q%d" % last] = id
        return send({"id": "q%d" % last, **QUESTIONS["ask"]}, id)
    if method == "tasks/cancel":
        del tasks[name]
        return reply(id, {})
    if method == "tasks/update":
        tasks[name] = params["inputResponses"]["who"]
        return reply(id, {})
    far = {"status": "input_required", "inputRequests": {"who": QUESTIONS["ask"]}}
    if tasks[name] is not None:
        text = json.dumps(tasks[name], sort_keys=True)
        far = {"status": "completed", "result": {"content": [{"type": "text", "text": text}]}}
    reply(id, {"taskId": name, "ttlMs": None, "pollIntervalMs": 100, **far})


def cancelled(id, reason):
    if listens.pop(id, None) is None:
        open("cancelled-" + era, "w").write(str(reason))


def handle(message):
    method, params, id = message.get("method"), message.get("params") or {}, message.get("id")
    if method is None:
        say(asked.pop(id), json.dumps(message.get("result", message.get("error")), sort_keys=True))
    elif method == "notifications/cancelled":
        cancelled(params["requestId"], params.get("reason"))
    elif id is None:
        pass
    elif era == "new" and params.get("_meta", {}).get(KEY + "protocolVersion") != "2026-07-28":
        fail(id, -32602, "no revision: " + method)
    elif era == "new" and method == "server/discover":
        reply(id, {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES}, **CACHE)
    elif era == "old" and method == "initialize":
        reply(id, {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": INFO})
    elif method == "tools/list":
        reply(id, {"tools": TOOLS}, **CACHE)
    elif method == "prompts/list":
        reply(id, {"prompts": [{"name": "greet"}]}, **CACHE)
    elif method == "prompts/get":
        reply(id, {"messages": [{"role": "user", "content": {"type": "text", "text": params["name"]}}]})
    elif method == "resources/list":
        reply(id, {"resources": [{"uri": "note://1", "name": "note"}]}, **CACHE)
    elif method == "resources/read":
        reply(id, {"contents": [{"uri": params["uri"], "text": "of " + era}]}, **CACHE)
    elif era == "old" and method in ["resources/subscribe", "resources/unsubscribe"]:
        (subscribed.add if method == "resources/subscribe" else subscribed.discard)(params["uri"])
        reply(id, {})
    elif era == "new" and method == "subscriptions/listen":
        listens[id] = params["notifications"]
        send({"method": "notifications/subscriptions/acknowledged", "params": {"notifications": params["notifications"], "_meta": {KEY + "subscriptionId": id}}}, id)
    elif method == "tools/call":
        call(id, params)
    elif method in ["tasks/cancel"] + (["tasks/result"] if era == "old" else ["tasks/get", "tasks/update"]):
        of_task(id, method, params)
    else:
        fail(id, -32601, "no such method: " + method)


lock = threading.Lock()
session = "session of " + era


class Web(BaseHTTPRequestHandler):
    """Streamable HTTP of either era."""

    protocol_version = "HTTP/1.1"
    # What is said in pieces would wait for what was acknowledged.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def whole(self, status, body=None, **headers):
        text = b"" if body is None else json.dumps({"jsonrpc": "2.0", **body}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if text:
            self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refused(self, message):
        """Why a request is not heard, as status and error; none where it is."""
        head, method, params = self.headers, message.get("method"), message.get("params") or {}
        if era == "old":
            if method != "initialize" and head.get("mcp-session-id") != session.replace(" ", "-"):
                return 400, {"id": None, "error": {"code": -32000, "message": "no session"}}
            if method != "initialize" and head.get("mcp-protocol-version") != "2025-11-25":
                return 400, {"id": None, "error": {"code": -32000, "message": "no revision"}}
            return None
        meta = params.get("_meta", {})
        wanted = {"mcp-method": method, "mcp-protocol-version": meta.get(KEY + "protocolVersion")}
        if method in ["tools/call", "prompts/get"]:
            wanted["mcp-name"] = params["name"]
        if method == "resources/read":
            wanted["mcp-name"] = params["uri"]
        if method.startswith("tasks/"):
            wanted["mcp-name"] = params["taskId"]
        if method == "tools/call" and "text" in (params.get("arguments") or {}):
            text = params["arguments"]["text"]
            import base64
            wanted["mcp-param-text"] = text if text.isascii() else "=?base64?%s?=" % base64.b64encode(text.encode()).decode()
        for name, value in wanted.items():
            if head.get(name) != value:
                error = {"code": -32020, "message": "%s is %s and not %s" % (name, head.get(name), value)}
                return 400, {"id": message.get("id"), "error": error}
        if "mcp-session-id" in head or "id" not in message:
            return 400, {"id": None, "error": {"code": -32600, "message": "not of this revision"}}
        return None

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        refused = self.refused(message)
        if refused:
            return self.whole(*refused)
        id = message.get("id")
        if "method" not in message or id is None:
            with lock:
                handle(message)
            return self.whole(202)
        stream = out.of[id] = queue.Queue()
        with lock:
            out.current = id
            handle(message)
            out.current = None
        first = stream.get() if message["method"] in ["initialize", "server/discover", "tools/list"] else None
        if first is not None:
            del out.of[id]
            more = {"mcp_session_id": session.replace(" ", "-")} if message["method"] == "initialize" else {}
            return self.whole(200, first, **more)
        self.events(stream, id)

    def do_GET(self):
        if era == "new":
            return self.whole(405)
        # Whoever listened before does not any more.
        out.rest = queue.Queue()
        self.events(out.rest, None)

    def do_DELETE(self):
        self.whole(405 if era == "new" else 200)

    def is_gone(self):
        ready, _, _ = select.select([self.connection], [], [], 0)
        return bool(ready) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def events(self, stream, id):
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.flush()
        while True:
            try:
                message = stream.get(timeout=0.05)
            except queue.Empty:
                if self.is_gone():
                    if id is not None:
                        out.of.pop(id, None)
                        with lock:
                            if era == "new":
                                cancelled(id, "closed")
                    return
                continue
            self.wfile.write(b"data: " + json.dumps(message).encode() + b"\n\n")
            self.wfile.flush()
            if id is not None and message.get("id") == id and "method" not in message:
                out.of.pop(id, None)
                return


if len(sys.argv) > 2:
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Web).serve_forever()
else:
    for line in sys.stdin:
        handle(json.loads(line))
