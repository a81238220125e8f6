// A small world for the companion script: a server that keeps a log and knows keys, sockets that get cut, documents that die.
import { setImmediate as turn } from "node:timers/promises";
import { reliable } from "../../../clients/js/tenfour.js";

/** Numbers in [0, 1) that one seed draws: mulberry32. */
export function chance(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The contract that the companion relies on: an event with a key takes effect once and is answered alike each time;
 * sessions are cursors on a log; of who cannot be served exactly, what is lost is told first, in a session of a new name.
 */
export class FakeServer {
  /** What took effect, in order: `{ key, args }`. */
  effects = [];
  /** Keys as they came in, repetitions too. */
  received = [];
  log = [];
  trimmed = 0;
  /** Answers to give instead of handling it: `refuse(key, args)`. */
  refuse = () => undefined;
  dedupMs = 120_000;
  #answers = new Map();
  #sessions = new Map();
  #sockets = new Set();
  #pids = 0;

  /** Committed, with its offset behind it, to all who are here. */
  publish(event, ...args) {
    this.log.push({ event, args });
    for (const socket of this.#sockets) socket.arrives(event, ...args, `@${this.log.length}`);
  }

  /** At most once, to all who are here. */
  emit(event, ...args) {
    for (const socket of this.#sockets) socket.arrives(event, ...args);
  }

  /** Forgets the log up to here. */
  trim(offset) {
    this.trimmed = offset;
  }

  connect(socket, auth) {
    const head = this.log.length;
    const start = this.#sessions.get(auth.pid);
    const after = auth.offset === undefined ? start : Number(auth.offset.slice(1));
    const exact = start !== undefined && after >= Math.max(start, this.trimmed);
    const pid = exact ? auth.pid : `pid-${++this.#pids}`;
    for (const other of this.#sockets) if (other.session === pid) other.cut();
    if (!exact) this.#sessions.set(pid, head);
    socket.accepted(pid, this.dedupMs);
    this.#sockets.add(socket);
    if (exact) {
      this.log.slice(after).forEach(({ event, args }, index) => socket.arrives(event, ...args, `@${after + index + 1}`));
    } else if (auth.pid !== undefined) {
      const from = auth.offset === undefined ? this.trimmed : Number(auth.offset.slice(1));
      const lost = { after: `@${from}`, through: `@${head}`, count: head - from, exact: true, reason: "retention" };
      socket.arrives("tenfour:lost", lost, `@${head}`);
    }
  }

  leave(socket) {
    this.#sockets.delete(socket);
  }

  handle(key, args) {
    this.received.push(key);
    const refused = this.refuse(key, args);
    if (refused) return refused;
    if (!this.#answers.has(key)) {
      this.effects.push({ key, args });
      this.#answers.set(key, { number: this.effects.length });
    }
    return this.#answers.get(key);
  }
}

/** A socket with the shape of the stock client's, whose network is as bad as `fault(where)` says. */
export class FakeSocket {
  connected = false;
  auth = {};
  session;
  welcome = {};
  nsp = "/";
  #server;
  #fault;
  #listeners = { connect: new Set(), disconnect: new Set() };
  #any = new Set();
  #waiting = new Set();
  #wanted = false;
  #line = 0;
  /** What is on its way, in order, both ways. */
  #toServer = Promise.resolve();
  #toClient = Promise.resolve();

  constructor(server, fault = () => false) {
    this.#server = server;
    this.#fault = fault;
  }

  on = (event, listener) => this.#listeners[event].add(listener);
  off = (event, listener) => this.#listeners[event].delete(listener);
  onAny = (listener) => this.#any.add(listener);
  offAny = (listener) => this.#any.delete(listener);

  connect() {
    this.#wanted = true;
    this.#open();
  }

  disconnect() {
    this.#wanted = false;
    this.#drop();
  }

  /** The network goes; the socket comes back by itself. */
  cut() {
    this.#drop();
    if (this.#wanted) setTimeout(() => this.#open(), 1);
  }

  timeout(milliseconds) {
    return {
      emit: (event, key, ...rest) => {
        const acknowledge = rest.pop();
        const settle = (...answer) => {
          clearTimeout(timer);
          this.#waiting.delete(settle);
          acknowledge(...answer);
        };
        const timer = setTimeout(settle, milliseconds, new Error("operation has timed out"));
        this.#waiting.add(settle);
        this.#travel("toServer", () => {
          if (this.#fault("request")) return this.cut();
          const answer = this.#server.handle(key, rest);
          if (this.#fault("mute")) return; // The handler never answers.
          this.#travel("toClient", () => (this.#fault("answer") ? this.cut() : this.#waiting.has(settle) && settle(null, answer)));
        });
      },
    };
  }

  accepted(pid, dedupMs) {
    this.session = pid;
    this.#travel("toClient", () => {
      this.connected = true;
      this.welcome = { pid, tenfour: { dedup_ms: dedupMs } };
      for (const listener of this.#listeners.connect) listener();
    });
  }

  arrives(event, ...args) {
    this.#travel("toClient", () => {
      if (this.#fault("event")) return this.cut();
      for (const listener of this.#any) listener(event, ...structuredClone(args));
    });
  }

  #open() {
    if (!this.#wanted || this.#line % 2 === 1) return;
    const line = ++this.#line;
    const answer = (auth) =>
      line === this.#line && this.#travel("toServer", () => this.#server.connect(this, structuredClone(auth)));
    typeof this.auth === "function" ? this.auth(answer) : answer(this.auth);
  }

  #drop() {
    if (this.#line % 2 === 1) this.#line += 1;
    this.#server.leave(this);
    const before = this.connected;
    this.connected = false;
    if (before) for (const listener of this.#listeners.disconnect) listener();
    for (const settle of [...this.#waiting]) settle(new Error("socket has been disconnected"));
  }

  /** Later, in order, unless the connection goes first. */
  #travel(way, arrive) {
    const line = this.#line;
    const step = async () => {
      await turn();
      if (line === this.#line && line % 2 === 1) arrive();
    };
    if (way === "toServer") this.#toServer = this.#toServer.then(step);
    else this.#toClient = this.#toClient.then(step);
  }
}

/**
 * A document: a socket and its companion over storage that outlives it. `step()` is called before and after each step
 * of the storage; when it answers true, the document dies there, and nothing of it goes on.
 */
export function openDocument(server, { outbox, cursor, fault, step = () => false, options = {} }) {
  const document = { dead: false };
  const point = () => {
    if (!document.dead && step()) kill();
    if (document.dead) return new Promise(() => {});
  };
  const kill = () => {
    document.dead = true;
    document.socket.disconnect();
    document.chat?.close();
  };
  const mortal = (store, names) => {
    const wrapped = { ...store };
    for (const name of names) {
      wrapped[name] = async (...args) => {
        await point();
        const result = structuredClone(await store[name](...args)); // As from a disk.
        await point();
        return result;
      };
    }
    return wrapped;
  };
  document.kill = kill;
  document.socket = new FakeSocket(server, fault);
  document.chat = reliable(document.socket, {
    timeout: 30,
    ...options,
    outbox: mortal(outbox, ["add", "update", "remove", "first"]),
    cursor: mortal(cursor, ["load", "save"]),
  });
  return document;
}
