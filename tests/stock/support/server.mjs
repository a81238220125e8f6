// The server under test, as a process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after, before } from "node:test";
import { within } from "./patience.mjs";

const REFERENCE = [process.execPath, fileURLToPath(new URL("../reference.mjs", import.meta.url))];

/** Whether the tests run against the reference server, whose known losses they then assert. */
export const onReference = !process.env.TENFOUR_COMMAND && !process.env.TENFOUR_URL;

/** Heartbeats slow enough that a busy machine is not taken for a dead one. */
export const PATIENT = ["--ping-interval", "10000", "--ping-timeout", "10000"];

/**
 * A server for all tests of the calling file or suite: `url` is set when they start. It is `TENFOUR_URL` where that is
 * set, else a process of its own.
 */
export function useServer(...args) {
  const server = { url: process.env.TENFOUR_URL };
  if (server.url) return server;
  let child;
  before(async () => {
    child = await startServer(...args);
    server.url = child.url;
  });
  after(() => child?.stop());
  return server;
}

/** Starts a server of the test's own, on a free port unless `--listen` is among `args`. */
export function startServer(...args) {
  if (process.env.TENFOUR_URL && !process.env.TENFOUR_COMMAND) {
    throw new Error("this test starts and stops servers itself: set TENFOUR_COMMAND to the server's command line");
  }
  return start(words(process.env.TENFOUR_COMMAND) ?? REFERENCE, args);
}

/** Starts `command`, which says `listening on URL` in its first line. */
export async function start(command, args = []) {
  const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
  const [program, ...first] = command;
  const child = spawn(program, [...first, ...listen, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const server = new ServerProcess(child, [...command, ...listen, ...args].join(" "));
  server.url = await server.announced();
  return server;
}

/** A command line as a list: words, or a JSON array (for a path with spaces). */
export function words(line) {
  if (!line) return undefined;
  return line.startsWith("[") ? JSON.parse(line) : line.split(/\s+/).filter(Boolean);
}

class ServerProcess {
  #child;
  #name;
  #exit;
  #stopping = false;
  #errors = "";

  constructor(child, name) {
    this.#child = child;
    this.#name = name;
    this.#exit = once(child, "exit").then(([code, signal]) => ({ code, signal }));
    this.#exit.catch(() => {});
    child.stderr.on("data", (chunk) => (this.#errors = (this.#errors + chunk).slice(-8_000)));
    const orphaned = () => child.kill("SIGKILL");
    process.once("exit", orphaned);
    this.#exit.then(() => process.off("exit", orphaned), () => {});
  }

  get pid() {
    return this.#child.pid;
  }

  /** Host and port, to start a successor there. */
  get address() {
    return new URL(this.url).host;
  }

  async announced() {
    const lines = createInterface({ input: this.#child.stdout });
    const ended = this.#exit.then(() => Promise.reject(new Error("it ended at once")));
    const [line] = await this.#orFail(within("first line", Promise.race([once(lines, "line"), ended])));
    const url = /^listening on (http:\/\/\S+)$/.exec(line)?.[1];
    return url ?? this.#fail(`began with ${JSON.stringify(line)} instead of "listening on http://ADDRESS"`);
  }

  /** Ends the process and answers how it ended. A server that was no longer running is an error. */
  async stop(signal = "SIGTERM") {
    if (this.#stopping) return this.#exit;
    this.#stopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) this.#fail("had died");
    this.#child.kill(signal);
    return this.#orFail(within(`end after ${signal}`, this.#exit));
  }

  /** `promise`; if it fails, so has the server, which is then ended and named. */
  async #orFail(promise) {
    try {
      return await promise;
    } catch (error) {
      this.#child.kill("SIGKILL");
      return this.#fail(`failed (${error.message})`);
    }
  }

  #fail(what) {
    throw new Error(`the server ${what}: ${this.#name}\n${this.#errors}`);
  }
}
