"""A client for the conformance suite's scenarios of logins: what a person does at a terminal, and then the official
Python client behind the gate. Its words are the program under test, the client, and the address of the server."""

import json
import os
import re
import subprocess
import sys

program, client, address = sys.argv[1:]
scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))


def ringfence(*words, **how):
    done = subprocess.run([program, *words], text=True, capture_output=True, **how)
    print("$ ringfence", *words, done.stdout, done.stderr, sep="\n")
    return done


def call():
    """Calls the server's tool as an agent; what it says, with the exit status."""
    talk = [{"how": "stdio", "where": [program, "mcp", "run"], "calls": [{"tool": "test-tool", "arguments": {}}]}]
    done = subprocess.run([sys.executable, client], input=json.dumps(talk), text=True, capture_output=True)
    print(done.stdout, done.stderr, sep="\n")
    return done.returncode, done.stdout + done.stderr


words = []
if scenario == "auth/basic-cimd":
    words = ["--client-id", "https://conformance-test.local/client-metadata.json"]
if scenario == "auth/pre-registration":
    words = ["--client-id", context["client_id"], "--client-secret", "registered"]
add = ["mcp", "add", "suite", address, "--yes", *words]
added = ringfence(*add)
hint = re.search(r"`ringfence (secret add registered --for \S+ --basic --env REGISTERED)`", added.stderr)
if hint:
    ringfence(*hint.group(1).split(), input=context["client_secret"])
    added = ringfence(*add)
if added.returncode != 0:
    sys.exit(added.returncode)
code, said = call()
hint = re.search(r"`ringfence mcp login suite --scope '([^']*)'`", said)
if hint:
    ringfence("mcp", "login", "suite", "--yes", "--scope", hint.group(1))
    code, said = call()
sys.exit(code)
