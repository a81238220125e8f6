/**
 * Messages that survive: a companion for a Socket.IO client.
 *
 * `reliable(socket)` wraps a stock socket.io-client socket (or one of the same shape, see `tenfour.d.ts`):
 *
 * - what it emits is kept in an outbox under an idempotency key, and sent, in order, until it is acknowledged: over lost
 *   connections, reloads and restarts. The key is the event's first argument, by which the server knows a repetition;
 * - what was handled is remembered as a cursor, so that a reloaded page goes on where it was;
 * - what cannot be had any more is told: the event `lost`.
 *
 * ```js
 * const chat = reliable(io({ autoConnect: false }));
 * chat.on("line", (line) => show(line));
 * chat.addEventListener("lost", ({ detail }) => showGap(detail.count));
 * chat.socket.connect();
 * await chat.emit("say", "hello"); // sends ["say", key, "hello"], and resolves with the acknowledgement
 * ```
 */

const LOST = "tenfour:lost";
/** Milliseconds in which a document that is being replaced lets go of its session. */
const HAND_OVER = 1_000;
/** Milliseconds between two tries of what failed here: the first pause, doubled up to the last. */
const PAUSE = { first: 100, last: 30_000 };
const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

const DEFAULTS = {
  window: 1,
  timeout: 10_000,
  dedup: 120_000,
  late: "reject",
  backlog: 1_000,
  verdict: ([first]) =>
    typeof first?.error !== "string" ? {} : first.retry_after >= 0 ? { retry: first.retry_after } : { error: first.error },
};
const LIMITS = { entries: 1_000, bytes: 1_000_000, message: 100_000 };

/** Why a message was not delivered; `code` says what to do, see `tenfour.d.ts`. */
export class Undelivered extends Error {
  name = "Undelivered";

  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}

/** Wraps `socket`, which must not have begun to connect. */
export function reliable(socket, options) {
  return new Reliable(socket, options);
}

class Reliable extends EventTarget {
  #sender;
  #receiver;

  constructor(socket, options = {}) {
    super();
    if (socket.connected || socket.active) {
      throw new Error("the socket connects already: create it with { autoConnect: false }, and connect it when it is wrapped");
    }
    const name = options.name ?? `${socket.io?.uri ?? ""}${socket.nsp ?? ""}`;
    const settings = { ...DEFAULTS, outbox: usualOutbox(name), cursor: usualCursor(name), ...options };
    const tell = (type, detail) => {
      const unheard = this.dispatchEvent(new CustomEvent(type, { detail, cancelable: true }));
      if (type === "error" && unheard) console.error(detail.error);
    };
    this.socket = socket;
    this.#receiver = new Receiver(socket, settings, tell);
    this.#sender = new Sender(socket, settings, tell);
  }

  /** Whether the session went on with nothing missed when it connected last, over a reload too. */
  get recovered() {
    return this.#receiver.recovered;
  }

  /** Calls `handler` with the arguments of each `event` of the server's, in order; a promise of its is waited for. */
  on(event, handler) {
    const { handlers } = this.#receiver;
    handlers.set(event, [...(handlers.get(event) ?? []), handler]);
    return this;
  }

  off(event, handler) {
    const { handlers } = this.#receiver;
    handlers.set(event, (handlers.get(event) ?? []).filter((other) => handler && other !== handler));
    return this;
  }

  /** Keeps the event and sends it until it is acknowledged: a promise of that, with its `key`, and `kept`. */
  emit(event, ...args) {
    return this.#sender.emit(event, args);
  }

  /** What is not acknowledged yet, of earlier pages and of other tabs too, in order. */
  pending() {
    return this.#sender.pending();
  }

  /** Lets go of the socket. What is in the outbox stays there. */
  close() {
    this.#sender.close();
    return this.#receiver.close();
  }

  /** For a user who leaves: ends the session, and forgets it and what is in the outbox. */
  async forget() {
    this.socket.disconnect();
    await this.#sender.clear();
    await this.#receiver.forget();
    return this.close();
  }
}

/** What comes in: one event after the other, and behind each that was handled the cursor. */
class Receiver {
  handlers = new Map();
  recovered = false;
  #socket;
  #settings;
  #tell;
  #closed = false;
  #undo;
  /** The session that this connection has. */
  #pid;
  /** Up to where events were received: what the next CONNECT claims. */
  #claim;
  #claimed;
  #queue = [];
  #running = false;
  /** More came than may wait: nothing is taken until the next connection, which brings it again. */
  #overflown = false;
  #wake = () => {};

  constructor(socket, settings, tell) {
    this.#socket = socket;
    this.#settings = settings;
    this.#tell = tell;
    const { auth } = socket;
    const loaded = this.#load();
    let turn = {};
    socket.auth = (answer) => {
      const mine = (turn = {});
      const send = async (data) => {
        await loaded;
        while (this.#queue.length > settings.backlog / 2) await new Promise((resolve) => (this.#wake = resolve));
        if (mine !== turn || this.#closed) return;
        this.#overflown = false;
        this.#claimed = this.#claim;
        answer({ ...data, ...this.#claim });
      };
      typeof auth === "function" ? auth.call(socket, send) : send(auth);
    };
    const take = (event, ...args) => this.#take(event, args);
    socket.onAny(take);
    const deafen = onWelcome(socket, ({ pid }) => this.#meet(pid));
    this.#undo = () => {
      socket.auth = auth;
      socket.offAny(take);
      deafen();
    };
  }

  close() {
    this.#closed = true;
    this.#undo();
    return this.#settings.cursor.close?.();
  }

  async forget() {
    this.#claim = undefined;
    this.#queue.length = 0;
    await this.#settings.cursor.save(undefined);
  }

  async #load() {
    try {
      this.#claim = await this.#settings.cursor.load();
    } catch (error) {
      this.#tell("error", { error });
    }
  }

  /**
   * Looks which session this connection has. One that we did not ask for begins with `tenfour:lost` if we asked for
   * another: until that is here, what we claim stays the same, or a cut in between would swallow it.
   */
  #meet(pid) {
    this.recovered = pid !== undefined && pid === this.#claimed?.pid;
    if (pid === this.#pid) return;
    this.#pid = pid;
    if (pid === undefined || this.#claim) return;
    this.#claim = { pid };
    this.#queue.push({ claim: this.#claim, args: [], tries: 0 });
    this.#run();
  }

  #take(event, args) {
    if (this.#overflown) return;
    const offset = this.#pid !== undefined && typeof args.at(-1) === "string" ? args.pop() : undefined;
    if (this.#queue.length >= this.#settings.backlog) {
      this.#overflown = true;
      return cut(this.#socket);
    }
    const claim = offset === undefined ? undefined : { pid: this.#pid, offset };
    if (claim) this.#claim = claim;
    this.#queue.push({ event, args, claim, tries: 0 });
    this.#run();
  }

  /** Waits only for what takes its time: else event, handlers and cursor are one step, which no reload can part. */
  async #run() {
    if (this.#running) return;
    this.#running = true;
    for (let item; (item = this.#queue[0]) && !this.#closed; ) {
      const { event } = item;
      item.todo ??= event === LOST ? [(lost) => this.#tell("lost", lost)] : [...(this.handlers.get(event) ?? [])];
      try {
        for (; item.todo.length > 0; item.todo.shift()) {
          const handled = item.todo[0](...item.args);
          if (handled?.then) await handled;
        }
        // Gone if it was forgotten meanwhile.
        if (item !== this.#queue[0]) continue;
        this.#queue.shift();
        const saved = item.claim && this.#settings.cursor.save(item.claim);
        if (saved?.then) await saved;
      } catch (error) {
        await this.#failed(item, error);
      }
      if (this.#queue.length <= this.#settings.backlog / 2) this.#wake();
    }
    this.#running = false;
  }

  /** A handler that failed gets the event again, and the later ones wait: nothing is passed over unless it is told to be. */
  #failed(item, error) {
    if (item !== this.#queue[0]) return this.#tell("error", { error });
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.min(PAUSE.first * 2 ** item.tries++, PAUSE.last));
      const skip = () => {
        clearTimeout(timer);
        item.todo = [];
        resolve();
      };
      this.#tell("error", { error, event: item.event, args: item.args, attempt: item.tries, skip });
    });
  }
}

/** What goes out: in the outbox's order, by one tab of those that share it, until it is answered. */
class Sender {
  #socket;
  #settings;
  #tell;
  #closed = false;
  /** Who waits for the answer to which key. */
  #waiting = new Map();
  /** The right to send on this connection; absent where it is cut, or another tab's turn. */
  #turn;
  #release = () => {};
  #answers = [];
  #paused = 0;
  #tries = 0;
  #working = false;
  #again = false;
  #channel;
  #undo;

  constructor(socket, settings, tell) {
    this.#socket = socket;
    this.#settings = settings;
    this.#tell = tell;
    const { shared } = settings.outbox;
    if (shared && globalThis.BroadcastChannel) {
      this.#channel = new BroadcastChannel(shared);
      this.#channel.onmessage = ({ data }) => (data.key ? this.#report(data) : this.#work());
    }
    const deafen = onWelcome(socket, ({ tenfour }) => (settings.dedup = tenfour?.dedup_ms ?? settings.dedup));
    const open = () => this.#open();
    const cease = () => this.#release();
    socket.on("connect", open);
    socket.on("disconnect", cease);
    this.#undo = () => {
      socket.off("connect", open);
      socket.off("disconnect", cease);
      deafen();
    };
  }

  emit(event, args) {
    if (typeof event !== "string" || RESERVED.includes(event)) throw new TypeError(`no name of an event: ${event}`);
    const key = randomKey();
    const json = JSON.stringify(args);
    const bytes = new TextEncoder().encode(key + event + json).length;
    const waiter = {};
    const answer = new Promise((resolve, reject) => Object.assign(waiter, { resolve, reject }));
    this.#waiting.set(key, waiter);
    const kept = this.#keep(waiter, { key, event, args: JSON.parse(json), bytes, at: Date.now() });
    // Both are told by the event `failed` too: no need to look at either.
    kept.catch(() => {});
    answer.catch(() => {});
    return Object.assign(answer, { key, kept });
  }

  async pending() {
    return (await this.#settings.outbox.first(Infinity)).map(({ key, event, args, at }) => ({ key, event, args, at }));
  }

  close() {
    this.#closed = true;
    this.#undo();
    this.#release();
    this.#channel?.close();
    const left = new Undelivered("closed", "closed before it was acknowledged: it is kept in the outbox");
    for (const { reject } of this.#waiting.values()) reject(left);
    this.#waiting.clear();
  }

  async clear() {
    this.#release();
    for (const { id } of await this.#settings.outbox.first(Infinity)) await this.#settings.outbox.remove(id);
  }

  async #keep(waiter, entry) {
    try {
      if (this.#closed) throw new Undelivered("closed", "closed: nothing more is taken");
      await this.#settings.outbox.add(entry);
      waiter.kept = true;
      this.#channel?.postMessage({});
      this.#work();
    } catch (cause) {
      const error = cause.code ? cause : new Undelivered("storage", `cannot be kept: ${cause.message}`, { cause });
      this.#report({ ...entry, error });
      throw error;
    }
  }

  /** Asks for the turn of the tab that sends; where tabs cannot agree, each sends, and the server knows repetitions. */
  #open() {
    this.#release();
    const { shared } = this.#settings.outbox;
    const asked = new AbortController();
    this.#release = () => {
      this.#turn = undefined;
      asked.abort();
    };
    const begin = () => {
      this.#turn = { inFlight: new Set() };
      this.#work();
    };
    const locks = shared && this.#channel && globalThis.navigator?.locks;
    if (!locks) return begin();
    const held = new Promise((resolve) => asked.signal.addEventListener("abort", resolve));
    const request = locks.request(shared, { signal: asked.signal }, () => {
      if (asked.signal.aborted) return;
      begin();
      setTimeout(() => this.#reconcile(), HAND_OVER);
      return held;
    });
    request.catch(() => {}); // Aborted: the connection went first.
  }

  /** What the tab before us took out of the outbox without telling how it ended, because it was closed. */
  async #reconcile() {
    const kept = new Set((await this.pending().catch(() => [])).map(({ key }) => key));
    const why = "another tab got the answer, and was closed before it told";
    for (const [key, waiter] of this.#waiting) {
      if (waiter.kept && !kept.has(key)) this.#report({ key, error: new Undelivered("indeterminate", why) });
    }
  }

  /** All use of the outbox from one place, one step after the other. */
  async #work() {
    this.#again = true;
    if (this.#working) return;
    this.#working = true;
    while (this.#again) {
      this.#again = false;
      try {
        while (this.#answers.length > 0) await this.#settle(this.#answers.shift());
        await this.#fill();
        this.#tries = 0;
      } catch (error) {
        this.#tell("error", { error });
        this.#pause(Math.min(PAUSE.first * 2 ** this.#tries++, PAUSE.last));
      }
    }
    this.#working = false;
  }

  async #fill() {
    const { outbox, window, dedup, late } = this.#settings;
    const turn = this.#turn;
    const mine = () => turn && turn === this.#turn && !this.#paused && !this.#closed;
    if (!mine()) return;
    for (const entry of await outbox.first(window)) {
      if (!mine()) return;
      if (turn.inFlight.has(entry.id)) continue;
      if (late === "reject" && Date.now() - entry.sent > dedup) {
        const why = `sent, and no answer for longer than the server knows a repetition (${dedup} ms): it may have arrived`;
        await this.#finish(entry, { error: new Undelivered("indeterminate", why) });
        this.#again = true;
        continue;
      }
      // What may have arrived is known as such in the next life too.
      if (entry.sent === undefined && !(await outbox.update({ ...entry, sent: Date.now() }))) continue;
      if (!mine()) return;
      this.#send(turn, entry);
    }
  }

  #send(turn, entry) {
    turn.inFlight.add(entry.id);
    this.#socket.timeout(this.#settings.timeout).emit(entry.event, entry.key, ...entry.args, (error, ...answer) => {
      if (this.#closed) return;
      if (error) {
        turn.inFlight.delete(entry.id);
        if (turn !== this.#turn) return;
        // No answer in time: another tab's connection may be a better one.
        this.#pause(PAUSE.first);
        this.#open();
      } else {
        this.#answers.push({ turn, entry, answer });
        this.#work();
      }
    });
  }

  async #settle({ turn, entry, answer }) {
    const { error, retry } = this.#settings.verdict(answer);
    if (retry !== undefined) {
      turn.inFlight.delete(entry.id);
      return this.#pause(retry);
    }
    const outcome = error === undefined ? { answer: answer[0] } : { error: new Undelivered("refused", error) };
    await this.#finish(entry, outcome);
  }

  /** Out of the outbox first, and told then: what is told once is not told again after a reload. */
  async #finish({ id, key, event, args }, outcome) {
    if (!(await this.#settings.outbox.remove(id))) return; // Another tab was first, and tells.
    const told = { key, event, args, ...outcome };
    this.#report(told);
    const { error } = told;
    this.#channel?.postMessage(error ? { ...told, error: { code: error.code, message: error.message } } : told);
  }

  #report({ key, event, args, answer, error }) {
    const waiter = this.#waiting.get(key);
    this.#waiting.delete(key);
    if (error) {
      const why = error instanceof Error ? error : new Undelivered(error.code, error.message);
      waiter?.reject(why);
      this.#tell("failed", { key, event, args, error: why });
    } else {
      waiter?.resolve(answer);
      this.#tell("settled", { key, event, args, answer });
    }
  }

  #pause(milliseconds) {
    clearTimeout(this.#paused);
    this.#paused = setTimeout(() => {
      this.#paused = 0;
      this.#work();
    }, milliseconds);
  }
}

/** An outbox that lives as long as the page, or the process. */
export function memoryOutbox(limits) {
  const entries = new Map();
  const bounds = { ...LIMITS, ...limits };
  let next = 1;
  let bytes = 0;
  return {
    async add(entry) {
      bytes = roomFor(entry, { entries: entries.size, bytes }, bounds).bytes;
      entries.set(next, { ...entry, id: next++ });
    },
    update: async (entry) => entries.has(entry.id) && !!entries.set(entry.id, entry),
    async remove(id) {
      bytes -= entries.get(id)?.bytes ?? 0;
      return entries.delete(id);
    },
    first: async (count) => [...entries.values()].slice(0, count),
  };
}

/** The totals with `entry`, or an error if that is too much. */
export function roomFor(entry, total, limits = LIMITS) {
  if (entry.bytes > limits.message) {
    throw new Undelivered("large", `the message is too large: ${entry.bytes} of at most ${limits.message} bytes`);
  }
  const grown = { entries: total.entries + 1, bytes: total.bytes + entry.bytes };
  for (const unit of ["entries", "bytes"]) {
    if (grown[unit] <= limits[unit]) continue;
    throw new Undelivered("full", `the outbox is full (${limits[unit]} ${unit}): wait until some of it is acknowledged`);
  }
  return grown;
}

/**
 * An outbox that all tabs of this origin share by its name, and that outlives them. A database takes a moment, so each entry is in the
 * tab's own storage first: from the call on, no reload comes in between.
 */
export function indexedDbOutbox(name, limits, storage = usualStorage()) {
  const shared = `tenfour:outbox:${name}`;
  const bounds = { ...LIMITS, ...limits };
  const early = () => JSON.parse(storage?.getItem(shared) ?? "[]");
  const setEarly = (entries) => storage?.setItem(shared, JSON.stringify(entries));
  let opened;
  let rescued;
  const open = () =>
    (opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(shared, 1);
      request.onupgradeneeded = () => {
        const entries = request.result.createObjectStore("entries", { keyPath: "id", autoIncrement: true });
        entries.createIndex("key", "key");
        request.result.createObjectStore("total");
      };
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const lose = () => (opened = undefined);
        request.result.onclose = lose;
        request.result.onversionchange = () => (lose(), request.result.close());
        resolve(request.result);
      };
    }).catch((error) => {
      opened = undefined;
      throw error;
    }));
  const done = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  /** Runs `body` in one transaction, and answers what it answers once that is committed. */
  const transact = async (mode, durability, body) => {
    const transaction = (await open()).transaction(["entries", "total"], mode, { durability });
    const committed = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
    });
    committed.catch(() => {});
    const [entries, total] = ["entries", "total"].map((store) => transaction.objectStore(store));
    try {
      const answer = await body(entries, total);
      await committed;
      return answer;
    } catch (error) {
      if (error instanceof Undelivered) transaction.abort();
      throw error;
    }
  };
  const sum = async (total) => (await done(total.get("sum"))) ?? { entries: 0, bytes: 0 };
  const insert = async (entry) => {
    try {
      await transact("readwrite", "strict", async (entries, total) => {
        if ((await done(entries.index("key").count(entry.key))) > 0) return;
        await done(total.put(roomFor(entry, await sum(total), bounds), "sum"));
        await done(entries.add(entry));
      });
    } finally {
      setEarly(early().filter(({ key }) => key !== entry.key));
    }
  };
  /** What the page before this one had no time for comes first. */
  const rescue = () => (rescued ??= Promise.all(early().map((entry) => insert(entry).catch(console.error))));
  return {
    shared,
    add(entry) {
      const before = rescue();
      setEarly([...early(), entry]);
      return before.then(() => insert(entry));
    },
    update: (entry) =>
      transact("readwrite", "relaxed", async (entries) => {
        const there = (await done(entries.count(entry.id))) > 0;
        if (there) await done(entries.put(entry));
        return there;
      }),
    remove: (id) =>
      transact("readwrite", "relaxed", async (entries, total) => {
        const entry = await done(entries.get(id));
        if (!entry) return false;
        const before = await sum(total);
        await done(total.put({ entries: before.entries - 1, bytes: before.bytes - entry.bytes }, "sum"));
        await done(entries.delete(id));
        return true;
      }),
    async first(count) {
      await rescue();
      return transact("readonly", "relaxed", (entries) => done(entries.getAll(null, count === Infinity ? undefined : count)));
    },
  };
}

/** A cursor that lives as long as the page, or the process. */
export function memoryCursor() {
  let claim;
  return { load: async () => claim, save: (now) => void (claim = now) };
}

/** The cursor of this tab: it survives reloads, and a copy of the tab begins a session of its own. */
export function tabCursor(name, storage = usualStorage()) {
  const at = `tenfour:session:${name}`;
  let slot;
  let release;
  return {
    async load() {
      const { slot: before, ...claim } = JSON.parse(storage.getItem(at)) ?? {};
      slot = before ?? randomKey();
      release = await hold(`tenfour:session:${slot}`);
      if (release) return claim.pid ? claim : undefined;
      // This tab is a copy of one that is still there.
      slot = randomKey();
      release = await hold(`tenfour:session:${slot}`);
      storage.setItem(at, JSON.stringify({ slot }));
    },
    save: (claim) => storage.setItem(at, JSON.stringify({ slot, ...claim })),
    close: () => release?.(),
  };
}

/** Takes what only one tab may have, and answers how to let go of it; nothing if another keeps it. */
function hold(name) {
  const locks = globalThis.navigator?.locks;
  return locks ? holdLock(locks, name) : globalThis.BroadcastChannel ? holdChannel(name) : () => {};
}

function holdLock(locks, name) {
  return new Promise((resolve) => {
    const held = () => new Promise((release) => resolve(release));
    locks.request(name, { signal: AbortSignal.timeout(HAND_OVER) }, held).catch(() => resolve(undefined));
  });
}

/** Without locks: who has it answers whoever asks; of two who ask the lesser number has it. */
function holdChannel(name) {
  const channel = new BroadcastChannel(name);
  const number = Math.random();
  let mine = false;
  return new Promise((resolve) => {
    const settle = (got) => {
      mine = got;
      if (!got) channel.close();
      resolve(got ? () => channel.close() : undefined);
    };
    const timer = setTimeout(settle, HAND_OVER / 4, true);
    channel.onmessage = ({ data: { taken, asks } }) => {
      if (asks !== undefined && (mine || number < asks)) channel.postMessage({ taken: true });
      if (taken && !mine) settle(clearTimeout(timer));
    };
    channel.postMessage({ asks: number });
  });
}

function usualOutbox(name) {
  return globalThis.indexedDB ? indexedDbOutbox(name) : memoryOutbox();
}

function usualCursor(name) {
  return usualStorage() ? tabCursor(name) : memoryCursor();
}

/** The tab's, unless there is none, or it is forbidden. */
function usualStorage() {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}

/**
 * Calls `listener` with the server's answer to CONNECT, before any event. The stock client's bundles rename what is private;
 * its manager tells each packet to its sockets, and to us first.
 */
function onWelcome(socket, listener) {
  const hear = ({ type, nsp, data }) => type === 0 && nsp === socket.nsp && listener(data ?? {});
  const [source, event, heard] = socket.io ? [socket.io, "packet", hear] : [socket, "connect", () => listener(socket.welcome)];
  source.on(event, heard);
  return () => source.off(event, heard);
}

/** As a lost network does: the session stays, and the socket comes back. */
function cut(socket) {
  socket.io ? socket.io.engine.close() : socket.cut();
}

/** 128 random bits in 22 characters. */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (sign) => ({ "+": "-", "/": "_", "=": "" })[sign]);
}
