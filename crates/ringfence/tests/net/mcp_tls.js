// A server of tools over TLS on loopback, by HTTP/2 and by HTTP/1.1 unless it is `only_h2`; says its port, then the
// version of HTTP of each request.
const [certificate, key] = process.argv.slice(2, 4).map((path) => require("fs").readFileSync(path));
const allowHTTP1 = process.argv[4] !== "only_h2";
const server = require("http2").createSecureServer({ cert: certificate, key, allowHTTP1 });
const results = {
  initialize: { protocolVersion: "2025-06-18", capabilities: { tools: {} }, serverInfo: { name: "web", version: "1" } },
  "tools/list": { tools: [{ name: "say", inputSchema: { type: "object" } }] },
};
server.on("request", (request, response) => {
  console.log(request.httpVersion);
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const { id, method } = body ? JSON.parse(body) : {};
    if (request.method !== "POST") return response.writeHead(request.method === "DELETE" ? 200 : 405).end();
    if (id === undefined) return response.writeHead(202).end();
    const result = results[method] ?? { content: [{ type: "text", text: `said by ${request.httpVersion}` }] };
    const answer = JSON.stringify({ jsonrpc: "2.0", id, result });
    if (method !== "tools/call") {
      return response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s-1" }).end(answer);
    }
    // As a stream, which many servers answer with.
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`event: message\ndata: ${answer}\n\n`);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("data", () => {}).on("end", () => process.exit());
