// The recovery application under test, as a process, and what a test asks of it over HTTP.
import { mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { connect, next, upgraded } from "./client.mjs";
import { askJson } from "./control.mjs";
import { startProxy } from "./proxy.mjs";
import { start, words } from "./server.mjs";

const REFERENCE = [process.execPath, fileURLToPath(new URL("../reference-recovery.mjs", import.meta.url))];

/** Whether the tests run against the reference server, whose holes they then assert. */
export const onReference = !process.env.TENFOUR_RECOVERY_COMMAND;

/** The command line of the application under test. */
export const command = words(process.env.TENFOUR_RECOVERY_COMMAND) ?? REFERENCE;

/** An application for all tests of the calling file or suite, with its log in memory; started when they start. */
export function useApplication(...args) {
  const application = new Application();
  before(() => application.start(...args));
  after(() => application.stop());
  return application;
}

/** Starts the application, and ends it with the test. `{ under }` before the arguments wraps its command line. */
export async function application(t, ...args) {
  const started = new Application();
  await started.start(...args);
  t.after(() => started.stop());
  return started;
}

/** A folder for the data of a server, which goes when the test ends. */
export async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), "tenfour-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Ends `server` by `signal` and starts its successor at the same address, with the same arguments. */
export async function restart(t, server, signal, ...args) {
  await server.stop(signal);
  return application(t, "--listen", server.address, ...args);
}

class Application {
  #process;
  #agent = new Agent({ keepAlive: true });

  async start(...args) {
    const { under } = typeof args[0] === "object" ? args.shift() : {};
    this.#process = await start(under?.(command) ?? command, args);
    this.url = this.#process.url;
    this.address = this.#process.address;
    this.pid = this.#process.pid;
  }

  stop(signal) {
    this.#agent.destroy();
    return this.#process?.stop(signal);
  }

  /** Publishes to `to.to` (everybody, where there is none) and answers `{offset, duplicate}`. */
  publish(to, event, ...args) {
    return this.#ask("POST", "/publish", { ...to, event, args });
  }

  /** Publishes `count` times to the room: the events' arguments are `first`, `first + 1`, … */
  async publishMany(room, event, first, count) {
    for (let i = 0; i < count; i++) await this.publish({ to: [room] }, event, first + i);
  }

  /** Emits, at most once. */
  emit(to, event, ...args) {
    return this.#ask("POST", "/emit", { ...to, event, args });
  }

  /** Asks one socket `question`; what it answers is in `answered()` under `value`. */
  question(socket, value, timeout) {
    return this.#ask("POST", "/ask", { to: socket.id, value, timeout });
  }

  revoke(user) {
    return this.#ask("POST", "/revoke", { user });
  }

  allow(user) {
    return this.#ask("POST", "/allow", { user });
  }

  /** Ids of the sockets in `/` that are connected. */
  sockets() {
    return this.#ask("GET", "/sockets");
  }

  /** How often `work` ran, by value. */
  ran() {
    return this.#ask("GET", "/ran");
  }

  answered() {
    return this.#ask("GET", "/answered");
  }

  #ask(method, path, body) {
    return askJson(this.#agent, new URL(path, this.url), method, body);
  }
}

/** A client of `server` through a proxy of its own; `{ socket, proxy }`. */
export async function behindProxy(t, server, { namespace = "/", ...options } = {}) {
  const proxy = await startProxy(t, server.url);
  const socket = await connect(t, proxy.url + namespace, options);
  if (options.transports?.includes("websocket") ?? true) await upgraded(socket);
  return { socket, proxy };
}

/** Cuts the client off, both sides knowing, and waits until it has noticed. The proxy refuses it until `restore`. */
export async function cutOff(proxy, socket) {
  const lost = next(socket, "disconnect");
  proxy.block();
  await lost;
}

/** Lets the client in again, and waits until it is. */
export async function letIn(proxy, socket) {
  const back = next(socket, "connect");
  proxy.restore();
  await back;
}

/** Cuts the client off, does `meanwhile`, and lets it in again. */
export async function away(proxy, socket, meanwhile = () => {}) {
  await cutOff(proxy, socket);
  await meanwhile();
  await letIn(proxy, socket);
}

/** The first arguments of every `event`: a list that grows as they come, without the offsets behind them. */
export function received(socket, event) {
  const list = [];
  socket.on(event, (first) => list.push(first));
  return list;
}

/** The numbers from `first` on. */
export const numbers = (first, count) => Array.from({ length: count }, (_, i) => first + i);

/**
 * Waits until everything that was on its way to `socket` is there: what is published to it now comes behind that, or
 * `event` would have come out of order.
 */
export async function settled(server, socket) {
  const name = `settled-${Math.random()}`;
  const came = next(socket, name);
  await server.publish({ to: [socket.id] }, name, 0);
  await came;
}
