// Engine.IO by hand: long-polling on fetch, WebSocket on ws.
import { WebSocket } from "ws";
import { PATIENCE, within } from "../support/patience.mjs";

/** The address of a handshake or of a session's request. `undefined` leaves a parameter out. */
export function address(base, parameters) {
  const url = new URL(base);
  for (const [name, value] of Object.entries({ EIO: "4", ...parameters })) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/** A long-polling session. */
export class Polling {
  #url;

  constructor(base, handshake) {
    this.handshake = handshake;
    this.sid = handshake.sid;
    this.#url = address(base, { transport: "polling", sid: handshake.sid });
  }

  static async open(base) {
    const response = await fetch(address(base, { transport: "polling" }));
    const body = await response.text();
    if (response.status !== 200 || body[0] !== "0") throw new Error(`no handshake: ${response.status} ${body}`);
    return new Polling(base, JSON.parse(body.slice(1)));
  }

  async poll(options) {
    return answer(await fetch(this.#url, { signal: AbortSignal.timeout(PATIENCE), ...options }));
  }

  /** A poll that has arrived, and waits; `answer` is what it gets. */
  async pending(options) {
    const answer = this.poll(options);
    answer.catch(() => {});
    // When a request that was sent after it is answered, it has arrived.
    await this.push("3");
    return { answer };
  }

  async push(body) {
    return answer(await fetch(this.#url, { method: "POST", body }));
  }

  /** Polls until the session is gone, and answers the status that says so. */
  async gone() {
    for (;;) {
      const { status } = await this.poll();
      if (status !== 200) return status;
    }
  }
}

/** A WebSocket whose frames are read one after the other: a string, or a Buffer for a binary one. */
export class Socket {
  #frames = [];
  #readers = [];
  #closed;

  constructor(base, parameters) {
    this.ws = new WebSocket(address(base, { transport: "websocket", ...parameters }).href.replace("http", "ws"));
    this.#closed = new Promise((resolve) => this.ws.on("close", resolve));
    this.ws.on("error", () => {}); // "close" follows, and is what the tests look at
    this.ws.on("message", (data, binary) => {
      const frame = binary ? data : data.toString();
      const reader = this.#readers.shift();
      if (reader) reader(frame);
      else this.#frames.push(frame);
    });
  }

  /** A session of its own; `handshake` is the open packet's content. */
  static async open(base) {
    const socket = new Socket(base);
    const open = await socket.frame();
    if (open[0] !== "0") throw new Error(`no handshake: ${open}`);
    socket.handshake = JSON.parse(open.slice(1));
    return socket;
  }

  /** A socket that probes for the session `sid`, as far as the server's answer to the probe. */
  static async probe(base, sid) {
    const socket = new Socket(base, { sid });
    await socket.opened();
    socket.send("2probe");
    const pong = await socket.frame();
    if (pong !== "3probe") throw new Error(`not probed: ${pong}`);
    return socket;
  }

  opened() {
    return this.#orClosed(new Promise((resolve) => this.ws.once("open", resolve)));
  }

  send(frame) {
    this.ws.send(frame);
  }

  /** The next frame; rejects if the socket closes before it. */
  frame() {
    if (this.#frames.length > 0) return Promise.resolve(this.#frames.shift());
    return this.#orClosed(new Promise((resolve) => this.#readers.push(resolve)));
  }

  /** The close code, once the server has closed. */
  closed() {
    return within("close of the WebSocket", this.#closed);
  }

  #orClosed(promise) {
    const early = this.#closed.then((code) => {
      throw new Error(`closed with ${code}`);
    });
    return within("frame", Promise.race([promise, early]));
  }
}

async function answer(response) {
  return { status: response.status, body: await response.text(), headers: response.headers };
}
