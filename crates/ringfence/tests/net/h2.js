// A server of HTTP/2 and HTTP/1 over TLS on loopback; says its port, then each request as a line of JSON.
const [certificate, key] = process.argv.slice(2).map((path) => require("fs").readFileSync(path));
const server = require("http2").createSecureServer({ cert: certificate, key, allowHTTP1: true });
server.on("request", (request, response) => {
  const { method, url, rawHeaders } = request;
  let body = 0;
  request.on("data", (part) => (body += part.length));
  request.on("end", () => {
    console.log(JSON.stringify({ server: "h2", method, path: url, headers: rawHeaders, body, trailers: request.trailers }));
    response.end("hello from h2\n");
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("data", () => {}).on("end", () => process.exit());
