/**
 * What `tenfour.js` keeps, in files: for Node, where neither IndexedDB nor a tab's storage is.
 *
 * ```js
 * const jobs = reliable(socket, { outbox: fileOutbox("jobs.outbox"), cursor: fileCursor("jobs.cursor") });
 * ```
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Undelivered, roomFor } from "./tenfour.js";

const LIMITS = { entries: 1_000, bytes: 1_000_000, message: 100_000 };
/** Lines of what is gone that a journal may have before it is written anew. */
const STALE_LINES = 1_000;

/**
 * An outbox in one file, a journal of JSON lines: `{"put": entry}` and `{"remove": id}`. An entry is on the disk when it is
 * kept. A line that a crash tore off is nobody's: what it would have kept was never said to be.
 */
export function fileOutbox(path, limits) {
  const bounds = { ...LIMITS, ...limits };
  const unlock = lock(resolve(`${path}.lock`));
  const entries = readJournal(path);
  let total = { entries: 0, bytes: 0 };
  for (const { bytes } of entries.values()) total = { entries: total.entries + 1, bytes: total.bytes + bytes };
  let next = Math.max(0, ...entries.keys()) + 1;
  let journal;
  let lines = Infinity;
  let last = Promise.resolve();

  /** One after the other; a failed write leaves the journal to be written anew, and the entries as they were. */
  const append = async (line, sync) => {
    if (lines > entries.size + STALE_LINES) {
      await journal?.close();
      journal = undefined;
      rewrite(path, [...entries.values()].map((put) => JSON.stringify({ put }) + "\n").join(""));
      journal = await open(path, "a");
      lines = entries.size;
    }
    try {
      await journal.appendFile(JSON.stringify(line) + "\n");
      if (sync) await journal.datasync();
      lines += 1;
    } catch (error) {
      lines = Infinity;
      throw error;
    }
  };
  const inTurn = (step) => {
    const result = last.then(step);
    last = result.catch(() => {});
    return result;
  };

  return {
    add: (entry) =>
      inTurn(async () => {
        const grown = roomFor(entry, total, bounds);
        const put = { ...entry, id: next };
        await append({ put }, true);
        next += 1;
        total = grown;
        entries.set(put.id, put);
      }),
    update: (put) =>
      inTurn(async () => {
        if (!entries.has(put.id)) return false;
        await append({ put }, true);
        entries.set(put.id, put);
        return true;
      }),
    remove: (id) =>
      inTurn(async () => {
        const entry = entries.get(id);
        if (!entry) return false;
        await append({ remove: id }, false);
        entries.delete(id);
        total = { entries: total.entries - 1, bytes: total.bytes - entry.bytes };
        return true;
      }),
    first: (count) => inTurn(async () => [...entries.values()].slice(0, count)),
    /** Lets go of the file, for another process. */
    close: () =>
      inTurn(async () => {
        await journal?.close();
        journal = undefined;
        lines = Infinity;
        unlock();
      }),
  };
}

/** A cursor in a file, which is replaced as a whole. With `sync`, a loss of power cannot set it back either. */
export function fileCursor(path, { sync = false } = {}) {
  return {
    async load() {
      try {
        const { pid, offset } = JSON.parse(readFileSync(path, "utf8"));
        return pid ? { pid, offset } : undefined;
      } catch (error) {
        if (error.code === "ENOENT") return undefined;
        throw new Error(`the cursor ${path} cannot be read (${error.message}): remove it to begin anew`, { cause: error });
      }
    },
    save: (claim) => rewrite(path, JSON.stringify(claim ?? {}), sync),
  };
}

function readJournal(path) {
  const entries = new Map();
  let text = "";
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const lines = text.split("\n");
  lines.pop(); // Nothing, or what a crash tore off.
  for (const [index, line] of lines.entries()) {
    try {
      const { put, remove } = JSON.parse(line);
      if (put) entries.set(put.id, put);
      else entries.delete(remove);
    } catch (cause) {
      throw new Undelivered("storage", `line ${index + 1} of the outbox ${path} is damaged: mend or move the file`, { cause });
    }
  }
  return entries;
}

/** Replaces a file in one step, so that it is the old one or the new one after a crash. */
function rewrite(path, text, sync = true) {
  const fresh = `${path}.new`;
  const file = openSync(fresh, "w", 0o600);
  try {
    writeFileSync(file, text);
    if (sync) fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(fresh, path);
  if (!sync) return;
  const folder = openSync(dirname(path), "r");
  fsyncSync(folder);
  closeSync(folder);
}

/** The locks of this process, whose number an earlier one may have had. */
const held = new Set();

/** Two processes with one outbox would send past each other: the second one is refused while the first one lives. */
function lock(path) {
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      held.add(path);
      return () => held.delete(path) && unlinkSync(path);
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const holder = Number(readFileSync(path, "utf8"));
    if (held.has(path) || lives(holder)) throw new Undelivered("storage", `process ${holder} uses this outbox: end it, or remove ${path}`);
    unlinkSync(path);
  }
}

function lives(pid) {
  try {
    return pid > 0 && pid !== process.pid && process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}
