// The companion on the stock client in Node, against the chat of a real server, through a proxy that cuts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { reliable } from "../../../clients/js/tenfour.js";
import { fileCursor, fileOutbox } from "../../../clients/js/tenfour-node.js";
import { PATIENCE, within } from "../support/patience.mjs";
import { startProxy } from "../support/proxy.mjs";
import { start, words } from "../support/server.mjs";
import { chance } from "../support/world.mjs";

const COMMAND = words(process.env.TENFOUR_CHAT_COMMAND);
const REFERENCE = [process.execPath, fileURLToPath(new URL("../reference-chat.mjs", import.meta.url))];
const COMPANION = new URL("../../../clients/js/", import.meta.url).href;

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "tenfour-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** A process's life: a stock client and its companion, over files in `path`. */
function live(url, path, heard) {
  const outbox = fileOutbox(join(path, "outbox"));
  const socket = io(url, { autoConnect: false, auth: { name: "Ada" }, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
  const chat = reliable(socket, { outbox, cursor: fileCursor(join(path, "cursor")), timeout: 500 });
  chat.on("line", ({ number, text }) => void heard.push([number, text]));
  chat.addEventListener("lost", ({ detail }) => heard.push(["lost", detail]));
  socket.connect();
  return {
    chat,
    socket,
    async end() {
      socket.io.reconnection(false);
      socket.io.engine.close(); // As a process that dies: the session stays.
      chat.close();
      await outbox.close();
    },
  };
}

test("the first example of its README says what it says", async (t) => {
  const server = await start(COMMAND ?? REFERENCE);
  t.after(() => server.stop());
  const readme = readFileSync(new URL("README.md", COMPANION), "utf8");
  const [, example] = /```js\n(.*?)```/s.exec(readme);
  const script = join(folder(t), "example.mjs");
  const found = (name) => JSON.stringify(import.meta.resolve(name));
  const placed = example
    .replace('"socket.io-client"', found("socket.io-client"))
    .replace('"tenfour"', JSON.stringify(`${COMPANION}tenfour.js`))
    .replace("http://127.0.0.1:3000", server.url);
  assert.ok(placed.includes(server.url) && placed.includes(COMPANION), "the example names both");
  writeFileSync(script, placed);
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  let output = "";
  const said = new Promise((resolve) => {
    child.stdout.on("data", (chunk) => {
      output += chunk;
      if (output.includes("Ada: hello\n") && output.includes("{ number: 1 }\n")) resolve();
    });
  });
  await within(`output, after ${output}`, said);
});

test("a process that is cut and dies again and again says and hears everything once, in order", { skip: !COMMAND }, async (t) => {
  const LINES = 60;
  const random = chance(11);
  let life;
  t.after(() => life?.end()); // Before its folder goes.
  const path = folder(t);
  const data = folder(t);
  let server = await start(COMMAND, ["--data", data]);
  t.after(() => server.stop());
  const proxy = await startProxy(t, server.url);
  const heard = [];
  life = live(proxy.url, path, heard);
  await within("connection", new Promise((resolve) => life.socket.once("connect", resolve)));
  for (let number = 1; number <= LINES; number++) {
    await life.chat.emit("say", `line ${number}`).kept;
    if (number % 7 === 0) {
      proxy.block();
      await sleep(random() * 50);
      proxy.restore();
    }
    if (number % 13 === 0) {
      await life.end();
      life = live(proxy.url, path, heard);
    }
    if (number % 25 === 0) {
      const { address } = server;
      await server.stop("SIGKILL");
      server = await start(COMMAND, ["--data", data, "--listen", address]);
    }
    await sleep(random() * 20);
  }
  const deadline = Date.now() + PATIENCE;
  const isOver = async () => heard.length >= LINES && (await life.chat.pending()).length === 0;
  while (!(await isOver()) && Date.now() < deadline) await sleep(20);
  assert.deepEqual(heard, Array.from({ length: LINES }, (_, index) => [index + 1, `line ${index + 1}`]));
  assert.deepEqual(await life.chat.pending(), []);
});
