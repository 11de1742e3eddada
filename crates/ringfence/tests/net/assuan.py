"""Says lines to a gpg agent, each with its escapes undone, and prints what that answers to each.

assuan.py SOCKET LINE...      an inquiry is answered with data; `xN:LINE` says a line N times
"""

import socket
import sys

agent = socket.socket(socket.AF_UNIX)
try:
    agent.connect(sys.argv[1])
except OSError as error:
    sys.exit(f"connect: {error.strerror}")
agent.settimeout(30)
heard = agent.makefile("rb")


def answer():
    while True:
        line = heard.readline()
        if not line:
            return "closed"
        if line.startswith(b"INQUIRE"):
            agent.sendall(b"D x\nEND\n")
        if line.startswith((b"OK", b"ERR", b"INQUIRE")):
            return line.decode().strip()
        print("  ", line[:30])


print(answer())
for text in sys.argv[2:]:
    times = 1
    if text.startswith("x"):
        count, text = text[1:].split(":", 1)
        times = int(count)
    line = text.encode().decode("unicode_escape").encode("latin-1")
    said = "nothing"
    try:
        for _ in range(times):
            agent.sendall(line + b"\n")
            said = answer()
            if said == "closed":
                break
    except OSError:
        said = "closed"
    print(text[:30], "->", said)
