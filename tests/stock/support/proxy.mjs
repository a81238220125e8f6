// A TCP proxy that can do to a connection what networks do.
import { connect, createServer } from "node:net";
import { once } from "node:events";

/** Starts a proxy in front of the server at `url`; it ends with the test. */
export async function startProxy(t, url) {
  const proxy = await Proxy.start(url);
  t.after(() => proxy.close());
  return proxy;
}

/** What can happen to the connections that a client has at the moment. New ones pass. */
export const FAULTS = {
  /** Both sides see the end of the stream. */
  cut: (link) => link.forEach((socket) => socket.destroy()),
  /** Both sides see a reset. */
  reset: (link) => link.forEach((socket) => socket.resetAndDestroy()),
  /** The client sees a reset; the server's side stays open, and nothing comes any more. */
  halfOpen: (link) => {
    hold(link);
    link[0].resetAndDestroy();
    bury(link);
  },
  /** Both sides stay open, and nothing passes any more. */
  silence: (link) => {
    hold(link);
    bury(link);
  },
  /** Nothing passes for a quarter of a second, and then everything. */
  stall: (link) => {
    hold(link);
    setTimeout(() => release(link), 250).unref();
  },
};

/** When a path that died in silence is forgotten, in milliseconds. */
const BURIAL = 30_000;

export class Proxy {
  #upstream;
  #server = createServer({ pauseOnConnect: true }, (inbound) => this.#accept(inbound));
  #links = new Set();
  #refusing = false;
  #stalled = false;

  constructor(upstream) {
    this.#upstream = upstream;
  }

  static async start(url) {
    const proxy = new Proxy(new URL(url));
    await proxy.listen();
    return proxy;
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Ends every connection, at once and without a word of the protocol, and refuses new ones until `restore`. */
  block() {
    this.#refusing = true;
    for (const link of this.#links) FAULTS.cut(link);
    this.#links.clear();
  }

  /** Lets new connections pass again. */
  restore() {
    this.#refusing = false;
    this.#stalled = false;
  }

  /** Half-open: connections stay open, and new ones open, but nothing passes any more in either direction. */
  stall() {
    this.#stalled = true;
    for (const link of this.#links) hold(link);
  }

  /** Does the `fault`, one of `FAULTS`, to the connections that there are. */
  inflict(fault) {
    for (const link of this.#links) FAULTS[fault](link);
  }

  close() {
    this.block();
    this.#server.close();
  }

  #accept(inbound) {
    if (this.#refusing) return inbound.destroy();
    const outbound = connect(Number(this.#upstream.port), this.#upstream.hostname);
    const link = [inbound, outbound];
    this.#links.add(link);
    for (const [from, to] of [link, link.toReversed()]) {
      from.setNoDelay(true);
      from.on("error", () => {}); // "close" follows
      from.on("close", () => {
        if (this.#stalled || link.held) return; // the other side hears of nothing
        to.destroy();
        this.#links.delete(link);
      });
      if (!this.#stalled) from.pipe(to);
    }
  }
}

function hold(link) {
  link.held = true;
  for (const socket of link) {
    socket.unpipe();
    socket.pause();
  }
}

function bury(link) {
  setTimeout(() => FAULTS.cut(link), BURIAL).unref();
}

function release(link) {
  link.held = false;
  for (const [from, to] of [link, link.toReversed()]) {
    if (from.destroyed) to.destroy();
    else from.pipe(to);
  }
}
