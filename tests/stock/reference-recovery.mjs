// The application that the recovery tests talk to, on the reference JavaScript server with connection state recovery.
//
// README.md beside this file writes the application down; the example `recovery` is the same on our server. What this
// server has no means for (keys of publishes and events, retention by count, durability) it leaves out, and the tests say so.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import msgpackParser from "socket.io-msgpack-parser";
import { Server } from "socket.io";

const { values: options } = parseArgs({
  options: {
    listen: { type: "string", default: "127.0.0.1:0" },
    parser: { type: "string", default: "json" },
    "ping-interval": { type: "string", default: "10000" },
    "ping-timeout": { type: "string", default: "10000" },
    away: { type: "string", default: "120000" },
    data: { type: "string" },
    retention: { type: "string" },
  },
});

const http = createServer((request, response) => serveControl(request, response));
const io = new Server(http, {
  pingInterval: Number(options["ping-interval"]),
  pingTimeout: Number(options["ping-timeout"]),
  maxHttpBufferSize: 1e6,
  connectionStateRecovery: { maxDisconnectionDuration: Number(options.away), skipMiddlewares: false },
  ...(options.parser === "msgpack" ? { parser: msgpackParser } : {}),
});
const revoked = new Set();
/** How often the handler of `work` ran for each value, and what clients answered to `POST /ask`. */
const [ran, answered] = [{}, {}];

for (const name of ["/", "/keyed"]) io.of(name).use(authorise).on("connection", serve);

const [host, port] = options.listen.split(":");
http.listen(Number(port), host, () => {
  console.log(`listening on http://${http.address().address}:${http.address().port}`);
});
process.once("SIGTERM", () => io.close(() => process.exit(0)));

async function authorise(socket, next) {
  const { user, slow } = socket.handshake.auth;
  if (slow) await sleep(slow);
  next(revoked.has(user) ? new Error("revoked") : undefined);
}

function serve(socket) {
  const { rooms = [], user } = socket.handshake.auth;
  if (!socket.recovered) {
    socket.join(rooms);
    if (user !== undefined) socket.data = { user };
  }
  /** Registers a handler; what it returns is the acknowledgement. */
  const handle = (event, handler) => {
    socket.on(event, async (...args) => {
      const acknowledge = typeof args.at(-1) === "function" ? args.pop() : () => {};
      acknowledge(await handler(...args));
    });
  };
  handle("join", (room) => void socket.join(room));
  handle("leave", (room) => void socket.leave(room));
  handle("set-data", (data) => void (socket.data = data));
  handle("me", () => {
    const { id, recovered, rooms, data } = socket;
    return { id, recovered, rooms: [...rooms].filter((room) => room !== id).sort(), data };
  });
  handle("leave-me", () => void socket.disconnect());
  handle("say", (room, text) => void socket.to(room).emit("said", text));
  handle("work", async (_key, value, ms) => {
    const runs = (ran[value] = (ran[value] ?? 0) + 1);
    await sleep(ms);
    return { value, runs };
  });
}

/** What the tests, and the publisher, ask over HTTP. */
const CONTROLS = {
  "POST /publish": ({ to, except, event, args }) => {
    reach(to, except).emit(event, ...args.map(revive));
    return {};
  },
  "POST /emit": ({ to, except, event, args, volatile }) => {
    const reached = reach(to, except);
    (volatile ? reached.volatile : reached).emit(event, ...args.map(revive));
    return {};
  },
  "POST /ask": ({ to, value, timeout }) => {
    const socket = io.of("/").sockets.get(to);
    if (!socket) return {};
    socket.timeout(timeout).emit("question", value, (error, answer) => {
      answered[value] = error ? { error: error.message } : { answer };
    });
    return {};
  },
  "POST /revoke": ({ user }) => void revoked.add(user),
  "POST /allow": ({ user }) => void revoked.delete(user),
  "GET /sockets": () => [...io.of("/").sockets.keys()],
  "GET /ran": () => ran,
  "GET /answered": () => answered,
};

const reach = (to, except) => io.to(to ?? []).except(except ?? []);

/** JSON has no bytes: `{"base64": …}` stands for them. */
const revive = (value) => (value?.base64 === undefined ? value : Buffer.from(value.base64, "base64"));

async function serveControl(request, response) {
  const control = CONTROLS[`${request.method} ${request.url}`];
  if (!control) return response.writeHead(404).end();
  let text = "";
  for await (const chunk of request) text += chunk;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(control(text ? JSON.parse(text) : {}) ?? {}));
}
