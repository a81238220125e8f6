// The chat's page on the reference JavaScript server, to try the page's tests without the binary. Sessions are what
// `connectionStateRecovery` makes of them; keys and lines live in the process, and die with it.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { Server } from "socket.io";

const WEB = new URL("../../crates/tenfour-server/web/", import.meta.url);
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const { values: options } = parseArgs({ options: { listen: { type: "string", default: "127.0.0.1:0" } } });

const http = createServer(async (request, response) => {
  const name = request.url === "/" ? "index.html" : request.url.slice(1);
  const content = /^[a-z]+\.[a-z]+$/.test(name) && (await readFile(new URL(name, WEB)).catch(() => undefined));
  if (!content) return response.writeHead(404).end();
  response.writeHead(200, {
    "content-type": `${TYPES[extname(name)]}; charset=utf-8`,
    "content-security-policy": "default-src 'self'",
  });
  response.end(content);
});
const io = new Server(http, { connectionStateRecovery: { skipMiddlewares: false } });
const lines = [];
const answers = new Map();

/** All sockets with one secret are one person. */
function people() {
  const names = new Map([...io.of("/").sockets.values()].map(({ data }) => [data.me, data.name]));
  io.emit("people", [...names.values()]);
}

io.on("connection", (socket) => {
  const { me = socket.id, name } = socket.handshake.auth;
  Object.assign(socket.data, { me, name });
  socket.emit("welcome", { you: name });
  people();
  socket.on("say", (key, text, acknowledge) => {
    if (!answers.has(key)) {
      const line = { number: lines.length + 1, id: key, from: socket.data.name, text, at: Date.now() };
      lines.push(line);
      answers.set(key, { number: line.number });
      io.emit("line", line);
    }
    acknowledge(answers.get(key));
  });
  socket.on("history", (after, acknowledge) => acknowledge(lines.slice(after).slice(-200)));
  socket.on("rename", (name, acknowledge) => {
    socket.data.name = name;
    people();
    acknowledge({ you: name });
  });
  socket.on("disconnect", people);
});

const [host, port] = options.listen.split(":");
http.listen(Number(port), host, () => console.log(`listening on http://${host}:${http.address().port}`));
process.once("SIGTERM", () => io.close(() => process.exit(0)));
