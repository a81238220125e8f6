/**
 * A small Socket.IO client: protocol v5 on Engine.IO v4, WebSocket only, namespace `/`, text only.
 *
 * It has as much of the stock client's shape as `tenfour.js` wraps, which keeps and repeats what has to survive. By itself
 * it never buffers and never sends anything twice: what it cannot hand to an open connection fails at once.
 *
 * ```js
 * const connection = new Connection({ auth: { name: "Ada" } });
 * connection.onAny((event, ...args) => console.log(event, args));
 * connection.addEventListener("state", () => console.log(connection.state));
 * connection.connect();
 * connection.timeout(5_000).emit("say", "hello", (error, answer) => console.log(error ?? answer));
 * ```
 */

/** Engine.IO v4 packet types. */
const ENGINE = { open: "0", close: "1", ping: "2", pong: "3", message: "4" };
/** Socket.IO v5 packet types. */
const SOCKET = { connect: "0", disconnect: "1", event: "2", ack: "3", refused: "4" };

const DEFAULTS = {
  /** The server and its path; by default the server that this page came from. */
  url: new URL("/socket.io/", location.href),
  /** What the server gets as `auth`: a value, or a function that hands it to its argument. */
  auth: {},
  /** Milliseconds in which a connection must be open and accepted by the server. */
  connectTimeout: 10_000,
  /** Requests that may wait for an answer at a time. */
  maxPending: 256,
  /** Bytes that may wait for the network. */
  maxBuffered: 1_000_000,
  /** Reconnection: the n-th try comes after `minDelay`·2ⁿ milliseconds, at most `maxDelay`, less up to half at random. */
  minDelay: 500,
  maxDelay: 8_000,
};

/**
 * One connection that comes back by itself.
 *
 * It dispatches `state` on itself whenever `state` changes: `connecting`, `connected`, `offline` (with `reason`, and
 * `retryAt`, the time of the next try in milliseconds since 1970) or `closed` (for good: by `disconnect()` or the server).
 */
export class Connection extends EventTarget {
  nsp = "/";
  state = "closed";
  reason = "";
  retryAt = 0;
  auth;
  /** What the server answered to CONNECT: the session's secret, and what else it says of itself. */
  welcome = {};
  #options;
  #heard = new Set();
  #pending = new Map();
  #nextId = 0;
  #failures = 0;
  #webSocket;
  #deadline;
  #retry;
  #silence = 0;
  #heardAt = 0;

  constructor(options = {}) {
    super();
    this.#options = { ...DEFAULTS, ...options };
    this.auth = this.#options.auth;
  }

  get connected() {
    return this.state === "connected";
  }

  /** `connect` and `disconnect`, as the stock client tells them. */
  on(event, listener) {
    this.addEventListener(event, listener);
    return this;
  }

  off(event, listener) {
    this.removeEventListener(event, listener);
    return this;
  }

  /** Calls `listener` with name and arguments of each event of the server's. */
  onAny(listener) {
    this.#heard.add(listener);
    return this;
  }

  offAny(listener) {
    this.#heard.delete(listener);
    return this;
  }

  /**
   * For one event: `emit(event, ...args, done)` sends it, at most once, and calls `done(null, ...answer)`, or `done(error)` if it
   * cannot be sent, or its answer does not come: then it may or may not have arrived.
   */
  timeout(milliseconds) {
    return { emit: (event, ...args) => this.#request(event, args, args.pop(), milliseconds) };
  }

  connect() {
    if (this.state === "closed") this.#open();
    return this;
  }

  /** Ends the session, and closes the socket for good. */
  disconnect() {
    if (this.connected) this.#webSocket.send(ENGINE.message + SOCKET.disconnect);
    this.#lose("closed by this page", Infinity);
    return this;
  }

  /** Closes the socket, as a lost network does, and stays away for `milliseconds`. */
  cut(milliseconds = this.#backoff()) {
    this.#lose("the connection was cut", milliseconds);
  }

  #request(event, args, done, milliseconds) {
    if (!this.connected) return done(new Error("you are offline"));
    if (this.#pending.size >= this.#options.maxPending) return done(new Error("too many messages wait for an answer"));
    if (this.#webSocket.bufferedAmount > this.#options.maxBuffered) return done(new Error("the network is too slow"));
    const id = this.#nextId++;
    const settle = (...outcome) => {
      clearTimeout(timer);
      this.#pending.delete(id);
      done(...outcome);
    };
    const since = Date.now();
    const timer = setTimeout(() => {
      settle(new Error(`no answer in ${milliseconds / 1000} s`));
      // Not a word either: the connection is dead, and heartbeats would take longer to tell.
      if (this.#heardAt < since) this.#lose("the server fell silent");
    }, milliseconds);
    this.#pending.set(id, settle);
    this.#webSocket.send(ENGINE.message + SOCKET.event + id + JSON.stringify([event, ...args]));
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
    this.#heardAt = Date.now();
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
      this.#introduce(this.#webSocket);
    } else if (type === ENGINE.ping) {
      this.#webSocket.send(ENGINE.pong);
      if (this.state === "connected") this.#expect(this.#silence, "the server fell silent");
    } else if (type === ENGINE.message) {
      this.#message(body);
    } else if (type === ENGINE.close) {
      this.#lose("the server closed the connection");
    }
  }

  #introduce(webSocket) {
    const send = (auth) => webSocket === this.#webSocket && webSocket.send(ENGINE.message + SOCKET.connect + JSON.stringify(auth));
    typeof this.auth === "function" ? this.auth(send) : send(this.auth);
  }

  #message(packet) {
    const [, type, id, json] = /^([0-4])(\d*)(.*)$/s.exec(packet) ?? [];
    const data = json ? JSON.parse(json) : undefined;
    if (type === SOCKET.connect) {
      this.#failures = 0;
      this.welcome = data;
      this.#expect(this.#silence, "the server fell silent");
      this.#change("connected");
    } else if (type === SOCKET.event) {
      this.#dispatch(id, data);
    } else if (type === SOCKET.ack) {
      this.#pending.get(Number(id))?.(null, ...data);
    } else if (type === SOCKET.refused) {
      this.#lose(`the server refused: ${data.message}`);
    } else if (type === SOCKET.disconnect) {
      this.#lose("the server ended the session", Infinity);
    } else {
      throw new TypeError("an unknown packet");
    }
  }

  #dispatch(id, [event, ...args]) {
    const answer = (...values) => this.connected && this.#webSocket.send(ENGINE.message + SOCKET.ack + id + JSON.stringify(values));
    if (id !== "") args.push(answer);
    for (const listener of this.#heard) {
      try {
        listener(event, ...args);
      } catch (error) {
        reportError(error); // The listener's fault: the connection is sound.
      }
    }
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
    this.#change(delay === Infinity ? "closed" : "offline");
    for (const settle of [...this.#pending.values()]) settle(new Error(reason));
  }

  #backoff() {
    const { minDelay, maxDelay } = this.#options;
    const delay = Math.min(minDelay * 2 ** this.#failures++, maxDelay);
    return delay * (1 - Math.random() / 2);
  }

  #change(state) {
    const before = this.connected;
    this.state = state;
    this.dispatchEvent(new Event("state"));
    if (this.connected !== before) this.dispatchEvent(new Event(before ? "disconnect" : "connect"));
  }
}
