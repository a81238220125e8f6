// The stock client, made convenient for tests: it is closed when the test ends, and what one waits for is a promise.
import { setTimeout as sleep } from "node:timers/promises";
import { describe } from "node:test";
import { io } from "socket.io-client";
import { PATIENCE, within } from "./patience.mjs";

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

/** Declares the tests of `body` once for each way to connect; `body` gets the client option `transports`. */
export function overEachTransport(body) {
  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    describe(`over ${name}`, () => body(transports));
  }
}

/**
 * A client on a connection of its own, not yet connected. `address` is a server's URL with the namespace. An
 * acknowledgement that does not come is an error after a while, which a callback gets as its first argument.
 */
export function client(t, address, options = {}) {
  const quick = { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ackTimeout: PATIENCE };
  const socket = io(address, { ...quick, ...options });
  t.after(() => {
    socket.io.reconnection(false);
    socket.disconnect();
    socket.io.engine?.close();
  });
  return socket;
}

/** A client that is connected. */
export async function connect(t, address, options) {
  return connected(client(t, address, options));
}

/** Waits until `socket` is connected; a refusal rejects. */
export function connected(socket) {
  if (socket.connected) return socket;
  const refusal = new Promise((_, reject) => socket.once("connect_error", reject));
  return Promise.race([next(socket, "connect").then(() => socket), refusal]);
}

/** The arguments of the next `event`. `emitter` is a socket, a manager or an engine. */
export function next(emitter, event) {
  return within(event, new Promise((resolve) => emitter.once(event, (...args) => resolve(args))));
}

/** The arguments of every `event`: a list that grows as they come. */
export function collect(socket, event) {
  const list = [];
  socket.on(event, (...args) => list.push(args));
  return list;
}

/** Waits until `list` has `count` elements. */
export function filled(list, count) {
  return eventually(`list of ${count}`, () => list.length >= count && list, () => `(only ${list.length})`);
}

/** Waits until the client's connection is the WebSocket that it upgraded to. */
export async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name === "polling") await next(engine, "upgrade");
}

/** Repeats `check` until it answers something true, and answers that. */
export async function eventually(what, check, state = () => "") {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`no ${what} within ${PATIENCE} ms ${state()}`);
    await sleep(5);
  }
}

/** What every test may compare: a number that no other test uses, with room for a million after it. */
export const uniqueBase = () => Math.floor(Math.random() * 1e9) * 1e6;
