"""A client for the conformance suite's scenarios of logins, without the gate: the official Python client and its own
logins. Its word is the address of the server."""

import asyncio
import json
import os
import sys
from urllib.parse import parse_qs, urlparse

import httpx
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

address = sys.argv[1]
scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
HERE = "http://127.0.0.1:1/callback"


class Kept:
    """What is kept of a login, and who the client is where that was registered before."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class Browser:
    """Opens the page as a browser does, and is led back at once."""

    async def opens(self, page):
        async with httpx.AsyncClient() as client:
            answer = await client.get(page, follow_redirects=False)
        self.back = parse_qs(urlparse(answer.headers["location"]).query)

    async def returns(self):
        return self.back["code"][0], self.back.get("state", [None])[0]


async def main():
    kept, browser, more = Kept(), Browser(), {}
    said = OAuthClientMetadata(client_name="direct", redirect_uris=[HERE], grant_types=["authorization_code", "refresh_token"])
    if scenario == "auth/basic-cimd":
        more["client_metadata_url"] = "https://conformance-test.local/client-metadata.json"
    if scenario == "auth/pre-registration":
        registered = {"client_id": context["client_id"], "client_secret": context["client_secret"], "redirect_uris": [HERE]}
        kept.client = OAuthClientInformationFull(**registered, token_endpoint_auth_method="client_secret_basic")
    login = OAuthClientProvider(address, said, kept, browser.opens, browser.returns, **more)
    async with httpx.AsyncClient(auth=login, timeout=30, follow_redirects=True) as client:
        async with streamable_http_client(address, http_client=client) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                await session.list_tools()
                await session.call_tool("test-tool", {})


asyncio.run(main())
