/**
 * A small Socket.IO client: protocol v5 on Engine.IO v4, WebSocket only, namespace `/`, text only.
 *
 * It never buffers and never sends anything twice. What it cannot hand to an open connection is refused at once
 * (`NotSent`), and a request whose answer does not come says so (`NotAcknowledged`): at most once, without silence.
 *
 * ```js
 * const connection = new Connection({ auth: () => ({ name: "Ada" }) });
 * connection.on("line", (line) => console.log(line.text));
 * connection.addEventListener("state", () => console.log(connection.state));
 * const [answer] = await connection.request("say", ["hello"]);
 * ```
 */

/** Refused before it left: nobody has it, and sending it again is safe. */
export class NotSent extends Error {}

/** Sent, but the answer did not come: it may or may not have arrived, and sending it again may double it. */
export class NotAcknowledged extends Error {}

/** Engine.IO v4 packet types. */
const ENGINE = { open: "0", close: "1", ping: "2", pong: "3", message: "4" };
/** Socket.IO v5 packet types. */
const SOCKET = { connect: "0", disconnect: "1", event: "2", ack: "3", refused: "4" };

const DEFAULTS = {
  /** The server and its path; by default the server that this page came from. */
  url: new URL("/socket.io/", location.href),
  /** Called for each connection: what the server gets as `auth`. */
  auth: () => ({}),
  /** Milliseconds in which a connection must be open and accepted by the server. */
  connectTimeout: 10_000,
  /** Milliseconds after which a request without an answer is `NotAcknowledged`. */
  requestTimeout: 10_000,
  /** Requests that may wait for an answer at a time; the next one is `NotSent`. */
  maxPending: 256,
  /** Bytes that may wait for the network; beyond, an event is `NotSent`. */
  maxBuffered: 1_000_000,
  /** Reconnection: the n-th try comes after `minDelay`·2ⁿ milliseconds, at most `maxDelay`, less up to half at random. */
  minDelay: 500,
  maxDelay: 8_000,
};

/**
 * One connection that comes back by itself.
 *
 * It dispatches `state` on itself whenever `state` changes: `connecting`, `connected`, `offline` (with `reason`, and
 * `retryAt`, the time of the next try in milliseconds since 1970) or `closed` (for good: by `close()` or the server).
 */
export class Connection extends EventTarget {
  state = "closed";
  reason = "";
  retryAt = 0;
  #options;
  #listeners = new Map();
  #pending = new Map();
  #nextId = 0;
  #failures = 0;
  #webSocket;
  #deadline;
  #retry;
  #silence = 0;

  constructor(options = {}) {
    super();
    this.#options = { ...DEFAULTS, ...options };
    this.#open();
  }

  /** Calls `listener` with the arguments of each `event`; what it returns answers a server that asked for an answer. */
  on(event, listener) {
    this.#listeners.set(event, listener);
    return this;
  }

  /** Sends an event, at most once. Throws `NotSent` where it cannot be handed to the connection now. */
  emit(event, args = []) {
    this.#send(SOCKET.event + JSON.stringify([event, ...args]));
  }

  /** Sends an event and resolves to the arguments of its acknowledgement, or rejects: `NotSent`, `NotAcknowledged`. */
  async request(event, args = [], timeout = this.#options.requestTimeout) {
    if (this.#pending.size >= this.#options.maxPending) throw new NotSent("too many messages wait for an answer");
    const id = this.#nextId++;
    this.#send(SOCKET.event + id + JSON.stringify([event, ...args]));
    return new Promise((resolve, reject) => {
      const settle = (finish) => (value) => {
        clearTimeout(timer);
        this.#pending.delete(id);
        finish(value);
      };
      const fail = settle((why) => reject(new NotAcknowledged(why)));
      const timer = setTimeout(fail, timeout, `no answer in ${timeout / 1000} s`);
      this.#pending.set(id, { answer: settle(resolve), fail });
    });
  }

  /** Closes the socket, as a lost network does, and stays away for `milliseconds`. */
  cut(milliseconds) {
    this.#lose("the connection was cut", milliseconds);
  }

  /** Closes the socket for good. */
  close() {
    this.#lose("closed by this page", Infinity);
  }

  #open() {
    const url = new URL(this.#options.url);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = "EIO=4&transport=websocket";
    const webSocket = (this.#webSocket = new WebSocket(url));
    // Whatever an earlier socket still says is ignored: its loss was already told.
    const current = (handle) => (event) => webSocket === this.#webSocket && handle(event);
    webSocket.onmessage = current(({ data }) => this.#receive(data));
    webSocket.onclose = current(() => this.#lose("the connection was lost"));
    this.#change("connecting");
    this.#expect(this.#options.connectTimeout, "the server did not answer");
  }

  /** Gives the peer `milliseconds` to be heard of, or the connection counts as dead. */
  #expect(milliseconds, otherwise) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#lose(otherwise), milliseconds);
  }

  #receive(frame) {
    try {
      if (typeof frame !== "string") throw new TypeError("a binary frame");
      this.#packet(frame[0], frame.slice(1));
    } catch (error) {
      this.#lose(`the server sent what this page cannot read (${error.message})`);
    }
  }

  #packet(type, body) {
    if (type === ENGINE.open) {
      const { pingInterval, pingTimeout } = JSON.parse(body);
      this.#silence = pingInterval + pingTimeout;
      this.#webSocket.send(ENGINE.message + SOCKET.connect + JSON.stringify(this.#options.auth()));
    } else if (type === ENGINE.ping) {
      this.#webSocket.send(ENGINE.pong);
      if (this.state === "connected") this.#expect(this.#silence, "the server fell silent");
    } else if (type === ENGINE.message) {
      this.#message(body);
    } else if (type === ENGINE.close) {
      this.#lose("the server closed the connection");
    }
  }

  #message(packet) {
    const [, type, id, json] = /^([0-4])(\d*)(.*)$/s.exec(packet) ?? [];
    const data = json ? JSON.parse(json) : undefined;
    if (type === SOCKET.connect) {
      this.#failures = 0;
      this.#expect(this.#silence, "the server fell silent");
      this.#change("connected");
    } else if (type === SOCKET.event) {
      this.#dispatch(id, data);
    } else if (type === SOCKET.ack) {
      this.#pending.get(Number(id))?.answer(data);
    } else if (type === SOCKET.refused) {
      this.#lose(`the server refused: ${data.message}`);
    } else if (type === SOCKET.disconnect) {
      this.#lose("the server ended the session", Infinity);
    } else {
      throw new TypeError("an unknown packet");
    }
  }

  #dispatch(id, [event, ...args]) {
    try {
      const answer = this.#listeners.get(event)?.(...args);
      if (id !== "") this.#send(SOCKET.ack + id + JSON.stringify(answer === undefined ? [] : [answer]));
    } catch (error) {
      reportError(error); // The listener's fault: the connection is sound.
    }
  }

  #send(packet) {
    if (this.state !== "connected") throw new NotSent("you are offline");
    if (this.#webSocket.bufferedAmount > this.#options.maxBuffered) throw new NotSent("the network is too slow");
    this.#webSocket.send(ENGINE.message + packet);
  }

  /** The one way out of a connection: tells each waiting request, and arranges the next try. */
  #lose(reason, delay = this.#backoff()) {
    clearTimeout(this.#deadline);
    clearTimeout(this.#retry);
    const webSocket = this.#webSocket;
    this.#webSocket = undefined;
    webSocket?.close();
    this.reason = reason;
    this.retryAt = Date.now() + delay;
    if (delay !== Infinity) this.#retry = setTimeout(() => this.#open(), delay);
    for (const { fail } of [...this.#pending.values()]) fail(reason);
    this.#change(delay === Infinity ? "closed" : "offline");
  }

  #backoff() {
    const { minDelay, maxDelay } = this.#options;
    const delay = Math.min(minDelay * 2 ** this.#failures++, maxDelay);
    return delay * (1 - Math.random() / 2);
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
