// Where the companion keeps things: every outbox alike, the shared one among tabs, files over crashes, the tab's cursor.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, describe, test } from "node:test";
import "fake-indexeddb/auto";
import { indexedDbOutbox, memoryCursor, memoryOutbox, reliable, tabCursor } from "../../../clients/js/tenfour.js";
import { fileCursor, fileOutbox } from "../../../clients/js/tenfour-node.js";
import { install } from "../support/locks.mjs";
import { within } from "../support/patience.mjs";
import { FakeServer, FakeSocket, chance } from "../support/world.mjs";

const entry = (key, bytes = 10) => ({ key, event: "say", args: [key], bytes, at: 1 });
const keys = async (outbox, count = Infinity) => (await outbox.first(count)).map(({ key }) => key);
let names = 0;
const freshName = () => `test-${++names}`;

function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "tenfour-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

const KINDS = {
  memory: (t, limits) => memoryOutbox(limits),
  IndexedDB: (t, limits) => indexedDbOutbox(freshName(), limits),
  file(t, limits) {
    let outbox;
    t.after(() => outbox.close()); // Before the folder goes.
    return (outbox = fileOutbox(join(folder(t), "outbox"), limits));
  },
};

for (const [kind, create] of Object.entries(KINDS)) {
  describe(`an outbox in ${kind}`, () => {
    test("keeps the order of the calls, and answers what was there", async (t) => {
      const outbox = create(t);
      await Promise.all(["a", "b", "c"].map((key) => outbox.add(entry(key))));
      assert.deepEqual([await keys(outbox), await keys(outbox, 2)], [["a", "b", "c"], ["a", "b"]]);
      const [a, b] = await outbox.first(2);
      assert.equal(await outbox.update({ ...b, sent: 7 }), true);
      assert.equal(await outbox.remove(a.id), true);
      assert.equal(await outbox.remove(a.id), false);
      assert.equal(await outbox.update({ ...a, sent: 7 }), false, "what is gone stays gone");
      assert.deepEqual(await outbox.first(1), [{ ...b, sent: 7 }]);
      await outbox.add(entry("d"));
      assert.deepEqual(await keys(outbox), ["b", "c", "d"]);
    });

    test("is bounded, by count and by bytes, under any sequence of calls", async (t) => {
      const random = chance(7);
      const limits = { entries: 5, bytes: 100, message: 60 };
      const outbox = create(t, limits);
      let model = [];
      for (let step = 0; step < 300; step++) {
        if (random() < 0.6) {
          const [key, bytes] = [`k${step}`, 1 + Math.floor(random() * 70)];
          const sum = model.reduce((total, other) => total + other.bytes, bytes);
          const code = bytes > 60 ? "large" : model.length === 5 || sum > 100 ? "full" : undefined;
          if (code) await assert.rejects(outbox.add(entry(key, bytes)), { code });
          else {
            await outbox.add(entry(key, bytes));
            model.push({ key, bytes });
          }
        } else if (model.length > 0) {
          const place = Math.floor(random() * model.length);
          const all = await outbox.first(Infinity);
          assert.equal(await outbox.remove(all[place].id), true);
          model = model.toSpliced(place, 1);
        }
        assert.deepEqual(await keys(outbox), model.map(({ key }) => key));
      }
    });
  });
}

describe("tabs that share an outbox", () => {
  /** A tab: a socket to `server`, and a companion over the outbox of this name. */
  function tab(t, server, name, options = {}) {
    const socket = new FakeSocket(server);
    const outbox = indexedDbOutbox(name);
    const chat = reliable(socket, { outbox, cursor: memoryCursor(), timeout: 200, ...options });
    const told = [];
    for (const type of ["settled", "failed"]) chat.addEventListener(type, ({ detail }) => told.push(detail.key));
    const end = () => (socket.disconnect(), chat.close());
    t.after(end);
    return { socket, chat, told, end, outbox };
  }

  for (const locks of [true, false]) {
    test(`each message once and in order, ${locks ? "by one of them" : "without Web Locks too"}`, async (t) => {
      if (locks) t.after(install());
      const server = new FakeServer();
      const name = freshName();
      const tabs = [1, 2, 3].map(() => tab(t, server, name));
      for (const { socket } of tabs) socket.connect();
      const answers = [];
      for (let number = 0; number < 30; number++) {
        const emission = tabs[number % 3].chat.emit("say", number);
        await emission.kept;
        answers.push(emission);
        if (number === 10) tabs[0].socket.cut();
        if (number === 20) tabs[1].socket.cut();
      }
      const numbers = (await within("answers", Promise.all(answers))).map(({ number }) => number);
      assert.deepEqual(numbers, answers.map((_, index) => index + 1));
      assert.deepEqual(server.effects.map(({ args }) => args[0]), answers.map((_, index) => index));
      await sleep(20);
      const all = answers.map(({ key }) => key);
      for (const { told } of tabs) assert.deepEqual(told, all, "each tab is told of each, once");
      if (locks) assert.ok(server.received.length <= 32, `${server.received.length} for 30: only one sends`);
    });
  }

  test("a tab that is cut or closed hands over to one that is connected", async (t) => {
    t.after(install());
    const server = new FakeServer();
    const name = freshName();
    // So patient that no tab gives its turn away for lack of an answer.
    const options = { timeout: 60_000 };
    const [one, two] = [tab(t, server, name, options), tab(t, server, name, options)];
    one.socket.connect();
    await within("first", one.chat.emit("say", 0));
    two.socket.connect();
    one.socket.disconnect();
    assert.deepEqual(await within("hand-over", one.chat.emit("say", 1)), { number: 2 }, "sent by the other, told to the one");
    const three = tab(t, server, name, options);
    three.socket.connect();
    two.end();
    assert.deepEqual(await within("hand-over", three.chat.emit("say", 2)), { number: 3 });
  });

  test("a tab whose answer was lost with another tab is told so", async (t) => {
    t.after(install());
    const server = new FakeServer();
    const name = freshName();
    const [one, two] = [tab(t, server, name), tab(t, server, name)];
    const emission = one.chat.emit("say", 0);
    await emission.kept;
    // The other takes it out, and dies before it tells.
    const [{ id }] = await two.outbox.first(1);
    await two.outbox.remove(id);
    two.end();
    one.socket.connect();
    await assert.rejects(within("answer", emission), { code: "indeterminate" });
  });
});

/** A tab's session storage, and a copy of it. */
class TabStorage extends Map {
  getItem = (key) => this.get(key) ?? null;
  setItem = (key, value) => void this.set(key, value);
}

describe("an outbox in IndexedDB", () => {
  test("a reload right behind the call loses nothing, and doubles nothing", async () => {
    const [name, storage] = [freshName(), new TabStorage()];
    // The page dies with the call: its database never answers.
    const { open } = indexedDB;
    indexedDB.open = () => ({});
    const dying = indexedDbOutbox(name, {}, storage);
    for (const key of ["a", "b"]) dying.add(entry(key));
    await sleep(1);
    indexedDB.open = open;
    const left = new TabStorage(storage);
    for (let reload = 0; reload < 2; reload++) {
      const next = indexedDbOutbox(name, {}, new TabStorage(left));
      assert.deepEqual(await keys(next), ["a", "b"], "also if it was there already");
    }
    const last = indexedDbOutbox(name, {}, left);
    await last.add(entry("c"));
    assert.deepEqual(await keys(last), ["a", "b", "c"], "behind what was before");
    assert.deepEqual([...left.values()], ["[]"]);
  });
});

describe("an outbox in a file", () => {
  test("is there after a kill at any time, as far as it was kept", async (t) => {
    const path = join(folder(t), "outbox");
    const script = `
      import { fileOutbox } from ${JSON.stringify(new URL("../../../clients/js/tenfour-node.js", import.meta.url).href)};
      const outbox = fileOutbox(${JSON.stringify(path)});
      for (let number = Number(process.argv[1]); ; number++) {
        await outbox.add({ key: String(number), event: "say", args: [number], bytes: 10, at: 1 });
        console.log(number);
        const [first, second] = await outbox.first(2);
        if (number % 3 === 0 && second) await outbox.remove(first.id);
      }`;
    const random = chance(3);
    let next = 0;
    for (let round = 0; round < 8; round++) {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script, "--", String(next)], { stdio: ["ignore", "pipe", "inherit"] });
      let output = "";
      child.stdout.on("data", (chunk) => (output += chunk));
      await once(child.stdout, "data");
      await sleep(random() * 60);
      child.kill("SIGKILL");
      await once(child, "close");
      const said = Number(output.trim().split("\n").at(-1));
      const outbox = fileOutbox(path, { entries: 100_000 });
      const numbers = (await outbox.first(Infinity)).map(({ args }) => args[0]);
      assert.deepEqual(numbers, numbers.map((_, index) => numbers[0] + index), "in order, without a hole");
      assert.ok(numbers.at(-1) >= said, `kept up to ${said}, there up to ${numbers.at(-1)}`);
      for (const { id } of (await outbox.first(Infinity)).slice(0, -1)) await outbox.remove(id);
      next = numbers.at(-1) + 1;
      await outbox.close();
    }
  });

  test("a torn end is nobody's, damage in the middle is said", async (t) => {
    const path = join(folder(t), "outbox");
    const first = fileOutbox(path);
    await first.add(entry("a"));
    await first.add(entry("b"));
    await first.close();
    appendFileSync(path, '{"put":{"id":3,"key":"c"');
    const second = fileOutbox(path);
    assert.deepEqual(await keys(second), ["a", "b"]);
    await second.add(entry("d"));
    await second.close();
    const third = fileOutbox(path);
    assert.deepEqual(await keys(third), ["a", "b", "d"]);
    await third.close();
    writeFileSync(path, `torn\n${readFileSync(path, "utf8")}`);
    assert.throws(() => fileOutbox(path), { code: "storage", message: /line 1/ });
  });

  test("one process has it at a time; a dead one's lock is nobody's", async (t) => {
    const path = join(folder(t), "outbox");
    const first = fileOutbox(path);
    assert.throws(() => fileOutbox(path), { code: "storage", message: new RegExp(`process ${process.pid}`) });
    await first.close();
    assert.ok(!existsSync(`${path}.lock`));
    for (const dead of [process.pid, 2 ** 22 + 1]) {
      writeFileSync(`${path}.lock`, String(dead));
      await fileOutbox(path).close();
    }
  });

  test("what is gone does not fill the disk", async (t) => {
    const path = join(folder(t), "outbox");
    const outbox = fileOutbox(path);
    for (let number = 0; number < 1_500; number++) {
      await outbox.add(entry(String(number)));
      const [{ id }] = await outbox.first(1);
      await outbox.remove(id);
    }
    assert.ok(readFileSync(path, "utf8").split("\n").length < 1_100);
    await outbox.close();
  });

  test("a cursor in a file comes back, and damage is said", async (t) => {
    const path = join(folder(t), "cursor");
    const cursor = fileCursor(path, { sync: true });
    assert.equal(await cursor.load(), undefined);
    cursor.save({ pid: "p", offset: "o" });
    assert.deepEqual(await fileCursor(path).load(), { pid: "p", offset: "o" });
    cursor.save(undefined);
    assert.equal(await cursor.load(), undefined);
    writeFileSync(path, "{");
    await assert.rejects(fileCursor(path).load(), /remove it to begin anew/);
  });
});

describe("a tab's cursor", () => {
  // Node does not wait for the time limit of a signal.
  const alive = setInterval(() => {}, 1_000);
  after(() => clearInterval(alive));

  for (const locks of [true, false]) {
    test(`survives a reload, and a copy of the tab begins anew ${locks ? "" : "without Web Locks too"}`, async (t) => {
      if (locks) t.after(install());
      const claim = { pid: "p", offset: "o" };
      const storage = new TabStorage();
      const first = tabCursor("chat", storage);
      assert.equal(await first.load(), undefined);
      first.save(claim);
      const copy = new TabStorage(storage);
      const twin = tabCursor("chat", copy);
      assert.equal(await twin.load(), undefined, "the original is still there");
      twin.save({ pid: "q" });
      first.close();
      const reloaded = tabCursor("chat", storage);
      assert.deepEqual(await reloaded.load(), claim);
      twin.close();
      const twinReloaded = tabCursor("chat", copy);
      assert.deepEqual(await twinReloaded.load(), { pid: "q" });
      reloaded.close();
      twinReloaded.close();
    });
  }

  test("waits for a document that is about to let go", async (t) => {
    t.after(install());
    const storage = new TabStorage();
    const old = tabCursor("chat", storage);
    await old.load();
    old.save({ pid: "p" });
    setTimeout(() => old.close(), 50);
    const next = tabCursor("chat", storage);
    assert.deepEqual(await next.load(), { pid: "p" });
    next.close();
  });
});
