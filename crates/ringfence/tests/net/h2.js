// A server of HTTP/2 over TLS on loopback, and of HTTP/1 unless it is `only_h2`; says its port, then each
// request as a line of JSON.
const [certificate, key] = process.argv.slice(2, 4).map((path) => require("fs").readFileSync(path));
const name = process.argv[4];
const server = require("http2").createSecureServer({ cert: certificate, key, allowHTTP1: name !== "only_h2" });
server.on("request", (request, response) => {
  const { method, url, rawHeaders } = request;
  let body = 0;
  request.on("data", (part) => (body += part.length));
  request.on("end", () => {
    console.log(JSON.stringify({ server: name, method, path: url, headers: rawHeaders, body, trailers: request.trailers }));
    if (url === "/open/stop") {
      // It ends in the middle of an answer.
      response.write("x".repeat(1000));
      return setTimeout(() => (request.stream ? request.stream.close(2) : request.socket.destroy()), 100);
    }
    if (url === "/open/leave") {
      // It ends the connection with the answer.
      const { session } = request.stream;
      response.on("close", () => session.close());
    }
    response.end("hello from h2\n");
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("data", () => {}).on("end", () => process.exit());
