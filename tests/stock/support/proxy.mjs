// A TCP proxy that can do to a connection what networks do.
import { connect, createServer } from "node:net";
import { once } from "node:events";

/** Starts a proxy in front of the server at `url`; it ends with the test. */
export async function startProxy(t, url) {
  const proxy = new Proxy(new URL(url));
  await proxy.listen();
  t.after(() => proxy.close());
  return proxy;
}

class Proxy {
  #upstream;
  #server = createServer({ pauseOnConnect: true }, (inbound) => this.#accept(inbound));
  #links = new Set();
  #refusing = false;
  #stalled = false;

  constructor(upstream) {
    this.#upstream = upstream;
  }

  async listen() {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Ends every connection, at once and without a word of the protocol, and refuses new ones until `restore`. */
  block() {
    this.#refusing = true;
    for (const link of this.#links) for (const socket of link) socket.destroy();
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
    for (const link of this.#links) {
      for (const socket of link) {
        socket.unpipe();
        socket.pause();
      }
    }
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
        if (this.#stalled) return; // the other side hears of nothing
        to.destroy();
        this.#links.delete(link);
      });
      if (!this.#stalled) from.pipe(to);
    }
  }
}
