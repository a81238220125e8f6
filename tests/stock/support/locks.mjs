// Web Locks for Node: `install` puts them where a page has them.

class Locks {
  /** For each name, who waits for it or, first, has it. */
  #queues = new Map();

  request(name, { signal } = {}, held) {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise((resolve, reject) => {
      const turn = { held, resolve, reject };
      queue.push(turn);
      signal?.addEventListener("abort", () => {
        const place = queue.indexOf(turn);
        if (place <= 0) return; // It has it: nothing to abort.
        queue.splice(place, 1);
        reject(signal.reason);
      });
      if (queue[0] === turn) this.#grant(queue);
    });
  }

  async #grant(queue) {
    const [{ held, resolve, reject }] = queue;
    await Promise.resolve().then(held).then(resolve, reject);
    queue.shift();
    if (queue.length > 0) this.#grant(queue);
  }
}

/** Gives this process Web Locks; answers how to take them away again. */
export function install() {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: { locks: new Locks() } });
  return () => (before ? Object.defineProperty(globalThis, "navigator", before) : delete globalThis.navigator);
}
