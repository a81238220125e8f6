// The chat's page on the reference JavaScript server, to try the page's tests without the binary.
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
const io = new Server(http);
const epoch = Date.now();
let number = 0;

const people = () => io.emit("people", [...io.of("/").sockets.values()].map(({ data }) => data.name));

io.on("connection", (socket) => {
  socket.data.name = socket.handshake.auth.name;
  socket.emit("welcome", { number, epoch, you: socket.data.name });
  people();
  socket.on("say", (text, acknowledge) => {
    io.emit("line", { number: ++number, from: socket.data.name, text, at: Date.now() });
    acknowledge({ number });
  });
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
