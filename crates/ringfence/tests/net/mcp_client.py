"""The official Python client of MCP: for each talk that stdin names, lists the tools, makes the calls, says what came."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import httpx
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


@asynccontextmanager
async def connected(how, where):
    if how == "stdio":
        async with stdio_client(StdioServerParameters(command=where[0], args=where[1:])) as (read, write):
            yield read, write
        return
    url, token = where
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        async with streamable_http_client(url, http_client=client) as (read, write, _):
            yield read, write


async def defaults(_, asked):
    """Accepts what a server asks for, as its schema fills it in."""
    fields = asked.requestedSchema["properties"].items()
    content = {name: field["default"] for name, field in fields if "default" in field}
    return types.ElicitResult(action="accept", content=content)


async def talk(how, where, calls, accepts=False):
    answers = {"elicitation_callback": defaults} if accepts else {}
    async with connected(how, where) as (read, write), ClientSession(read, write, **answers) as session:
        await session.initialize()
        # Who calls none may have come to a server that has none.
        tools = [tool.name for tool in (await session.list_tools()).tools] if calls else []
        results = []
        for call in calls:
            result = await session.call_tool(call["tool"], call["arguments"])
            text = "\n".join(getattr(part, "text", "") for part in result.content)
            results.append({"text": text, "failed": bool(result.isError)})
        return {"tools": tools, "results": results}


async def every(talks):
    return await asyncio.gather(*(talk(**it) for it in talks))


print(json.dumps(asyncio.run(every(json.load(sys.stdin)))))
