// What loses, repeats or reorders events in the reference server's connection state recovery, hole by hole, with the
// stock client. On the reference server each test asserts its hole: so each is known to be able to fail.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { client, connect, connected, eventually, filled, next, overEachTransport } from "../support/client.mjs";
import { startProxy } from "../support/proxy.mjs";
import {
  application, away, behindProxy, cutOff, folder, letIn, numbers, onReference, received, restart, settled, useApplication,
} from "../support/recovery.mjs";

const server = useApplication();
/** Every test has a room of its own. */
let rooms = 0;
const ownRoom = () => `room-${++rooms}`;

overEachTransport((transports) => {
  test("a: a client that has received nothing yet is recovered", async (t) => {
    const room = ownRoom();
    const { socket, proxy } = await behindProxy(t, server, { transports, auth: { rooms: [room] } });
    const got = received(socket, "n");
    await away(proxy, socket, () => server.publishMany(room, "n", 1, 3));
    if (onReference) return assert.ok(!socket.recovered);
    await filled(got, 3);
    assert.ok(socket.recovered);
    assert.deepEqual(got, [1, 2, 3]);
  });

  test("c: a client that is back before the server noticed takes its session over", async (t) => {
    const room = ownRoom();
    const { socket, proxy } = await behindProxy(t, server, { transports, auth: { rooms: [room] } });
    const got = received(socket, "n");
    await server.publish({ to: [room] }, "n", 1);
    await filled(got, 1);
    const { id } = socket;

    socket.io.reconnection(false);
    const lost = next(socket, "disconnect");
    proxy.inflict("halfOpen");
    await lost;
    await server.publishMany(room, "n", 2, 3);
    const back = next(socket, "connect");
    socket.connect();
    await back;
    if (onReference) {
      if (transports[0] === "polling" && transports.length === 1) return; // it says goodbye by a request of its own
      assert.ok(!socket.recovered);
      return assert.ok((await server.sockets()).includes(id), "the old socket is a ghost");
    }
    await filled(got, 4);
    await settled(server, socket);
    assert.ok(socket.recovered);
    assert.deepEqual(got, [1, 2, 3, 4]);
    assert.deepEqual((await server.sockets()).filter((other) => other === id), [socket.id]);
  });
});

test("b: an idle room: the last event is long trimmed, but nothing was missed", async (t) => {
  if (onReference) return; // it trims every 60 s, which is too long to wait for here
  const brief = await application(t, "--retention-ms", "100");
  const { socket, proxy } = await behindProxy(t, brief, { auth: { rooms: ["idle"] } });
  const got = received(socket, "n");
  await brief.publish({ to: ["idle"] }, "n", 1);
  await filled(got, 1);
  await sleep(500); // what is under test is that time passes
  await brief.publish({ to: ["elsewhere"] }, "n", 0);
  await away(proxy, socket);
  assert.ok(socket.recovered);
  await brief.publish({ to: ["idle"] }, "n", 2);
  await filled(got, 2);
  assert.deepEqual(got, [1, 2]);
});

for (const [kind, last] of [
  ["a volatile event that ends in a string", (room) => server.emit({ to: [room], volatile: true }, "note", "a text")],
  ["an emitted event that ends in a string", (room) => server.emit({ to: [room] }, "note", "a text")],
  ["an emitted event without arguments", (room) => server.emit({ to: [room] }, "note")],
]) {
  test(`d: ${kind} does not spoil the client's position`, async (t) => {
    const room = ownRoom();
    const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
    const got = received(socket, "n");
    const noted = received(socket, "note");
    await server.publish({ to: [room] }, "n", 1);
    await filled(got, 1);
    // A volatile one is dropped where the connection has something to write at the moment.
    await eventually("note", async () => (await last(room), noted.length > 0));
    await away(proxy, socket, () => server.publishMany(room, "n", 2, 2));
    // Its every emit is stored and has an offset, but for the volatile ones.
    if (onReference) return kind.includes("volatile") && assert.ok(!socket.recovered);
    await filled(got, 3);
    assert.ok(socket.recovered);
    assert.deepEqual(got, [1, 2, 3]);
  });
}

test("e: of two claimants of a session the newest wins, and the other is told and stops", async (t) => {
  const room = ownRoom();
  const first = await connect(t, server.url, { auth: { rooms: [room] } });
  const gotFirst = received(first, "n");
  await server.publish({ to: [room] }, "n", 1);
  await filled(gotFirst, 1);
  const ended = next(first, "disconnect");

  const claim = { pid: first._pid, offset: first._lastOffset };
  const { id } = first;
  const second = client(t, server.url, { auth: claim, autoConnect: false });
  const gotSecond = received(second, "n");
  second.connect();
  await connected(second);
  // Unless it has seen the first go, the reference server knows of no session, and leaves the first alone.
  if (onReference) return assert.notEqual(second.id, id);
  assert.deepEqual((await ended)[0], "io server disconnect");
  assert.equal(second.id, id);
  assert.equal(second._pid, claim.pid);
  assert.ok(!first.active, "the loser does not come back by itself");

  await server.publish({ to: [room] }, "n", 2);
  await filled(gotSecond, 1);
  await settled(server, second);
  assert.deepEqual([gotFirst, gotSecond], [[1], [2]]);
  assert.deepEqual((await server.sockets()).filter((other) => other === id), [id]);
});

test("e: a session that was recovered by one claimant is not given to a second beside it", async (t) => {
  const room = ownRoom();
  const original = await connect(t, server.url, { auth: { rooms: [room] } });
  await server.publish({ to: [room] }, "n", 1);
  await eventually("first event", () => original._lastOffset);
  const claim = { pid: original._pid, offset: original._lastOffset };
  original.io.reconnection(false);
  original.io.engine.close();
  await eventually("departure", async () => !(await server.sockets()).includes(original.id));

  const [one, two] = [await connect(t, server.url, { auth: claim }), await connect(t, server.url, { auth: claim })];
  if (onReference) {
    assert.equal(one.id, two.id);
    return assert.ok(one.connected && two.connected, "two sockets of one id");
  }
  await eventually("end of the first", () => !one.connected);
  const [gotOne, gotTwo] = [received(one, "n"), received(two, "n")];
  await server.publish({ to: [room] }, "n", 2);
  await filled(gotTwo, 1);
  assert.deepEqual([gotOne, gotTwo], [[], [2]]);
});

test("f: a middleware that refuses keeps everything back, and lets it pass when it admits again", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room], user: room } });
  const got = received(socket, "n");
  await server.publish({ to: [room] }, "n", 1);
  await filled(got, 1);

  await cutOff(proxy, socket);
  await server.publishMany(room, "n", 2, 2);
  await server.revoke(room);
  const refused = next(socket, "connect_error");
  proxy.restore();
  assert.equal((await refused)[0].message, "revoked");
  assert.deepEqual(got, [1], "nothing for who is refused");

  await server.allow(room);
  socket.connect();
  await connected(socket);
  if (onReference) {
    await filled(got, 5);
    return assert.deepEqual(got, [1, 2, 3, 2, 3], "the first try left its copy behind");
  }
  await filled(got, 3);
  await settled(server, socket);
  assert.ok(socket.recovered);
  assert.deepEqual(got, [1, 2, 3]);
});

test("g: what is published while an asynchronous middleware decides is not lost", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room], slow: 300 } });
  const got = received(socket, "n");
  await server.publish({ to: [room] }, "n", 1);
  await filled(got, 1);

  await cutOff(proxy, socket);
  await server.publish({ to: [room] }, "n", 2);
  const opened = next(socket.io, "open");
  const back = next(socket, "connect");
  proxy.restore();
  await opened;
  for (let n = 3; !socket.connected; n++) {
    await server.publish({ to: [room] }, "n", n);
    await sleep(10);
  }
  await back;
  await settled(server, socket);
  assert.ok(socket.recovered);
  if (onReference) return assert.ok(got.at(-1) < got.length || got.length < 10, "most of them are missing");
  assert.ok(got.length > 5, "some were published meanwhile");
  assert.deepEqual(got, numbers(1, got.length));
});

test("h: an event whose listener threw comes again, and it alone", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { transports: ["polling"], auth: { rooms: [room] } });
  const uncaught = catchUncaught(t);
  const got = [];
  socket.on("n", (n) => {
    got.push(n);
    if (n === 2 && uncaught.length === 0) throw new Error("listener");
  });
  await server.publish({ to: [room] }, "n", 1);
  await filled(got, 1);
  await server.publish({ to: [room] }, "n", 2);
  await filled(uncaught, 1);
  await away(proxy, socket);
  await filled(got, 3);
  await server.publish({ to: [room] }, "n", 3);
  await filled(got, 4);
  assert.ok(socket.recovered);
  assert.deepEqual(got, [1, 2, 2, 3]);
});

test("i: a question that was under way when the link was cut is asked again, under the same key", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  await server.publish({ to: [room] }, "n", 0);
  await eventually("position", () => socket._lastOffset);
  const asked = [];
  socket.on("question", (...args) => asked.push(args));

  await server.question(socket, room, onReference ? 500 : 15_000);
  await filled(asked, 1);
  await away(proxy, socket);
  if (onReference) {
    const { error } = await eventually("failure", async () => (await server.answered())[room]);
    assert.match(error, /timed out/);
    return assert.equal(asked.length, 1);
  }
  await filled(asked, 2);
  const [[value, key], [valueAgain, keyAgain, answer]] = asked;
  assert.deepEqual([value, valueAgain], [room, room]);
  assert.equal(typeof key, "string");
  assert.equal(keyAgain, key);
  answer("late, but mine");
  const outcome = await eventually("answer", async () => (await server.answered())[room]);
  assert.deepEqual(outcome, { answer: "late, but mine" });
});

test("j, k, l: replay and live events are one order, however often the client is cut", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const got = received(socket, "n");
  let published = 0;
  let going = true;
  const publishing = (async () => {
    for (; going; published++) await server.publish({ to: [room] }, "n", published);
  })();
  for (let cut = 0; cut < 15; cut++) {
    await filled(got, got.length + 20);
    await away(proxy, socket);
    assert.ok(socket.recovered);
  }
  going = false;
  await publishing;
  await filled(got, published);
  assert.deepEqual(got, numbers(0, published));
});

test("m: what was answered is not asked again, and what was volatile is not sent again", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const asked = [];
  socket.on("question", (value, ...rest) => {
    asked.push(value);
    rest.at(-1)("answered");
  });
  const got = received(socket, "n");
  await server.publish({ to: [room] }, "n", 1);
  await server.question(socket, room, 15_000);
  assert.deepEqual(await eventually("answer", async () => (await server.answered())[room]), { answer: "answered" });
  await away(proxy, socket, async () => {
    await server.emit({ to: [room], volatile: true }, "n", -1);
    await server.publish({ to: [room] }, "n", 2);
  });
  await settled(server, socket);
  assert.ok(socket.recovered);
  assert.deepEqual([asked, got], [[room], [1, 2]]);
});

test("n: a session is durable before anybody can miss it: kill -9 right after the connection", async (t) => {
  const data = ["--data", await folder(t)];
  let serving = await application(t, ...data);
  const proxy = await startProxy(t, serving.url);
  const socket = await connect(t, proxy.url, { auth: { rooms: ["news"], user: "ada" } });
  const got = received(socket, "n");
  const { id } = socket;
  proxy.block();
  serving = await restart(t, serving, "SIGKILL", ...data);
  await serving.publishMany("news", "n", 1, 3);
  await letIn(proxy, socket);
  if (onReference) return assert.ok(!socket.recovered);
  await filled(got, 3);
  assert.ok(socket.recovered);
  assert.deepEqual([socket.id, got], [id, [1, 2, 3]]);
  const me = await socket.emitWithAck("me");
  assert.deepEqual(me, { id, recovered: true, rooms: ["news"], data: { user: "ada" } });
});

test("o: a long replay comes in pages, in order, and what is published meanwhile comes behind it", async (t) => {
  const room = ownRoom();
  const MISSED = 5_000;
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const got = received(socket, "n");
  await server.publish({ to: [room] }, "n", 0);
  await filled(got, 1);
  await cutOff(proxy, socket);
  const lanes = 8; // HTTP requests at a time; the first of each lane says where it is in the order
  await Promise.all(numbers(0, lanes).map(() => server.publishMany(room, "missed", 0, MISSED / lanes)));
  const missed = received(socket, "missed");
  const back = letIn(proxy, socket);
  for (let n = 1; n <= 100; n++) await server.publish({ to: [room] }, "n", n);
  await back;
  await filled(got, 101);
  assert.ok(socket.recovered);
  assert.deepEqual(got, numbers(0, 101));
  assert.equal(missed.length, MISSED, "the whole replay came before what followed it");
  for (const n of numbers(0, MISSED / lanes)) {
    assert.equal(missed.filter((other) => other === n).length, lanes);
  }
});

test("o: when retention has passed the client, it is told what it lost, with count and reason", async (t) => {
  if (onReference) return; // it says nothing
  const short = await application(t, "--retention", "10");
  const { socket, proxy } = await behindProxy(t, short, { auth: { rooms: ["news"] } });
  const [got, lost] = [received(socket, "n"), received(socket, "tenfour:lost")];
  await short.publish({ to: ["news"] }, "n", 1);
  await filled(got, 1);
  const { _pid: pid } = socket;
  await away(proxy, socket, () => short.publishMany("news", "n", 2, 50));
  assert.ok(!socket.recovered);
  assert.notEqual(socket._pid, pid);
  await filled(lost, 1);
  assert.equal(lost[0].reason, "retention");
  assert.ok(lost[0].after < lost[0].through);
  await settled(short, socket);
  assert.ok(lost[0].exact ? got.length + lost[0].count === 51 : got.length + lost[0].count <= 51, JSON.stringify(lost));

  // From here on the new session is as good as any.
  const before = got.length;
  await away(proxy, socket, () => short.publish({ to: ["news"] }, "n", 52));
  await filled(got, before + 1);
  assert.ok(socket.recovered);
  assert.equal(got.at(-1), 52);
  assert.equal(lost.length, 1);
});

test("o: what expired while the client was away is told, at its place, and the rest is exact", async (t) => {
  if (onReference) return; // nothing of its expires
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const got = [];
  socket.on("n", (n) => got.push(n));
  socket.on("tenfour:lost", ({ count, exact, reason }) => got.push({ count, exact, reason }));
  await away(proxy, socket, async () => {
    await server.publish({ to: [room] }, "n", 1);
    for (const n of [2, 3]) await server.publish({ to: [room], ttl: 50 }, "n", n);
    await server.publish({ to: [room], ttl: 60_000 }, "n", 4);
    await sleep(200); // what is under test is that time passes
  });
  await filled(got, 3);
  await settled(server, socket);
  assert.ok(socket.recovered);
  assert.deepEqual(got, [1, { count: 2, exact: true, reason: "ttl" }, 4]);
});

test("p, q: what was published has its offset, and comes with it in a replay as it does live", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const other = await connect(t, server.url, { auth: { rooms: [room] } });
  const [replayed, live] = [[], []];
  socket.on("n", (...args) => replayed.push(args));
  other.on("n", (...args) => live.push(args));
  await server.publish({ to: [room] }, "n", 1);
  await filled(replayed, 1);
  await away(proxy, socket, () => server.publishMany(room, "n", 2, 3));
  await filled(replayed, 4);
  await filled(live, 4);
  assert.deepEqual(replayed, live);
  assert.ok(live.every((args) => args.length === 2 && typeof args[1] === "string"));
});

test("r: who breaks the protocol does not keep the session", async (t) => {
  const room = ownRoom();
  const { socket, proxy } = await behindProxy(t, server, { auth: { rooms: [room] } });
  const got = received(socket, "n");
  await server.publish({ to: [room] }, "n", 1);
  await filled(got, 1);
  const { _pid: pid } = socket;
  const lost = next(socket, "disconnect");
  const back = next(socket, "connect");
  socket.io.engine.write("4abc");
  await lost;
  proxy.block();
  await server.publish({ to: [room] }, "n", 2);
  proxy.restore();
  await back;
  if (onReference) return assert.equal(socket._pid, pid);
  assert.ok(!socket.recovered);
  assert.notEqual(socket._pid, pid);
});

/** Errors that nobody catches, in place of Node's handling of them while the test runs. */
function catchUncaught(t) {
  const theirs = process.rawListeners("uncaughtException");
  const uncaught = [];
  const ours = (error) => uncaught.push(error);
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", ours);
  t.after(() => {
    process.off("uncaughtException", ours);
    for (const listener of theirs) process.on("uncaughtException", listener);
  });
  return uncaught;
}
