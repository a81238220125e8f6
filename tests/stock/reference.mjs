// The application that the tests talk to, on the reference JavaScript server.
//
// It shows that the tests themselves are right: they pass here before they judge another server. README.md
// beside this file writes the application down; both servers implement exactly that.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { Server as EngineServer } from "engine.io";
import msgpackParser from "socket.io-msgpack-parser";
import { Server } from "socket.io";

const { values: options } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    parser: { type: "string", default: "json" },
    "ping-interval": { type: "string", default: "300" },
    "ping-timeout": { type: "string", default: "200" },
  },
});

const shared = {
  pingInterval: Number(options["ping-interval"]),
  pingTimeout: Number(options["ping-timeout"]),
  maxHttpBufferSize: 1e6,
  cors: { origin: "*" },
};
const http = createServer((_request, response) => response.writeHead(404).end());
const io = new Server(http, {
  ...shared,
  connectTimeout: 1000,
  ...(options.parser === "msgpack" ? { parser: msgpackParser } : {}),
});
const engine = new EngineServer({ ...shared, path: "/engine.io/" });

engine.on("connection", (socket) => socket.on("message", (message) => socket.send(message)));
engine.attach(http, { path: "/engine.io/" });
for (const name of ["/", "/custom"]) io.of(name).on("connection", serveEcho);
io.of("/lab").on("connection", serveLab);
io.of("/guarded").use(requireToken);
io.of(/^\/tenant-[A-Za-z0-9]+$/).on("connection", (socket) => {
  socket.on("whoami", (acknowledge) => acknowledge(socket.nsp.name));
});

const [host, port] = options.listen.split(":");
http.listen(Number(port), host, () => {
  console.log(`listening on http://${http.address().address}:${http.address().port}`);
});
process.once("SIGTERM", () => {
  engine.close();
  io.close(() => process.exit(0));
});

/** What both public conformance suites ask of `/` and `/custom`. */
function serveEcho(socket) {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
}

function requireToken(socket, next) {
  if (socket.handshake.auth.token === "letmein") return next();
  next(Object.assign(new Error("not authorised"), { data: { code: "E_TOKEN" } }));
}

/** Numbers that the namespace received with `tell`, from all sockets. */
const told = [];

function serveLab(socket) {
  const lab = socket.nsp;
  const order = { next: 0, inversions: 0, count: 0 };

  /** Registers a handler; the array that it returns is the acknowledgement. */
  const handle = (event, handler) => {
    socket.on(event, async (...args) => {
      const acknowledge = typeof args.at(-1) === "function" ? args.pop() : () => {};
      try {
        acknowledge(...((await handler(...args)) ?? []));
      } catch (error) {
        acknowledge({ error: error.message });
      }
    });
  };

  handle("echo", (...args) => args);
  handle("slow", (ms, value) => new Promise((resolve) => setTimeout(resolve, ms, [value])));
  handle("fail", () => {
    throw new Error("boom");
  });

  handle("join", (room) => void socket.join(room));
  handle("leave", (room) => void socket.leave(room));
  handle("rooms", () => [[...socket.rooms]]);
  handle("to", (room, event, ...args) => void socket.to(room).emit(event, ...args));
  handle("in", (room, event, ...args) => void lab.in(room).emit(event, ...args));
  handle("except", (room, event, ...args) => void lab.except(room).emit(event, ...args));
  handle("broadcast", (event, ...args) => void socket.broadcast.emit(event, ...args));
  handle("sockets", async () => [(await lab.fetchSockets()).map(({ id }) => id)]);

  handle("burst", (count) => {
    for (let i = 1; i <= count; i++) socket.emit("burst", i);
    return [count];
  });
  handle("volatile", (count) => {
    for (let i = 1; i <= count; i++) socket.volatile.emit("tick", i);
    return [count];
  });
  handle("ask", async (value) => [await socket.timeout(2000).emitWithAck("question", value)]);
  handle("ask-all", async (room, value, timeout) => {
    const asked = (await lab.in(room).fetchSockets()).length;
    const answers = await lab
      .in(room)
      .timeout(timeout)
      .emitWithAck("question", value)
      .catch((error) => error.responses);
    return [{ answers, missing: asked - answers.length }];
  });

  handle("order", (number) => {
    if (number !== order.next) order.inversions += 1;
    order.next = number + 1;
    order.count += 1;
    return [order];
  });
  handle("tell", (number) => void told.push(number));
  handle("log", () => [told]);

  handle("set-data", (data) => void (socket.data = data));
  handle("get-data", () => [socket.data]);
  handle("handshake", () => {
    const { auth, query, headers } = socket.handshake;
    const custom = Object.entries(headers).filter(([name]) => name.startsWith("x-"));
    return [{ auth, query, headers: Object.fromEntries(custom) }];
  });

  handle("leave-me", () => void socket.disconnect());
  handle("kick", () => void socket.disconnect(true));
}
