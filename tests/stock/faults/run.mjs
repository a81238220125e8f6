// Numbered events to stock clients, through every fault there is, counted: README.md says what is counted.
//
//   node faults/run.mjs [--seconds 60] [--clients 50] [--kills 5] [--rate 40] [--emit-rate 20]
//       [--kinds cut,reset,halfOpen,silence,stall] [--json]
//
// Ends with 1 if something published was lost without a word, came twice or out of order, or something emitted came
// twice. Against the reference server, which has no such guarantee, it only counts.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";
import { eventually } from "../support/client.mjs";
import { askJson } from "../support/control.mjs";
import { FAULTS, Proxy } from "../support/proxy.mjs";
import { command, onReference } from "../support/recovery.mjs";
import { start } from "../support/server.mjs";
import { Ledger, judge } from "./ledger.mjs";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "50" },
    kills: { type: "string", default: "5" },
    rate: { type: "string", default: "40" },
    "emit-rate": { type: "string", default: "20" },
    kinds: { type: "string", default: Object.keys(FAULTS).join() },
    json: { type: "boolean", default: false },
  },
});
const SECONDS = Number(options.seconds);
const ROOM = "news";
/** Publishers that work side by side; each has one event under way at a time. */
const LANES = 4;
/** Short, so that a client that a fault silenced is back before the next fault. */
const HEARTBEAT = ["--ping-interval", "500", "--ping-timeout", "500"];
const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];
const PUBLISHER = fileURLToPath(new URL("publisher.mjs", import.meta.url));

const data = await mkdtemp(join(tmpdir(), "tenfour-faults-"));
let server = await start(command, [...HEARTBEAT, "--data", data]);
const kinds = options.kinds.split(",");
const faults = Object.fromEntries(kinds.map((kind) => [kind, 0]));
const kills = { count: 0 };
let failing = true;

const report = await run().finally(async () => {
  await server.stop("SIGKILL").catch(() => {});
  await rm(data, { recursive: true, force: true });
});
print(report);
process.exit(verdict(report) ? 0 : 1);

async function run() {
  const clients = await Promise.all(Array.from({ length: Number(options.clients) }, (_, i) => makeClient(i)));
  const publisher = fork(PUBLISHER, [server.url, ROOM, LANES, options.rate, options["emit-rate"]]);
  const broken = once(publisher, "exit").then(([code]) => {
    if (code !== 0) throw new Error(`the publisher ended with ${code}`);
  });
  broken.catch(() => {});

  const harm = Promise.all([...clients.map((client, i) => harass(client, i)), killAgainAndAgain()]);
  await Promise.race([sleep(SECONDS * 1000), harm, broken.then(() => sleep(SECONDS * 1000))]);
  failing = false;
  await harm;
  publisher.send("stop");
  const [tally] = await Promise.race([once(publisher, "message"), broken.then(() => sleep(60_000))]);
  const late = await converge(clients);

  const told = clients.map((client) => client.told);
  const published = judge(clients.map((client) => client.published), tally.published.acknowledged, told);
  const emitted = judge(clients.map((client) => client.emitted), [tally.emitted.sent], told.map(() => 0));
  const acknowledged = tally.published.acknowledged.reduce((sum, count) => sum + count, 0);
  const connects = { recovered: 0, fresh: 0, ended: 0 };
  for (const client of clients) for (const kind in connects) connects[kind] += client.connects[kind];
  for (const client of clients) client.end();
  return {
    publish: { sent: tally.published.sent, tries: tally.published.tries, acknowledged, ...published },
    emit: { sent: tally.emitted.sent, acknowledged: tally.emitted.accepted, ...emitted, toldLost: undefined },
    clients: clients.length, seconds: SECONDS, faults, kills: kills.count, connects, late,
  };
}

/** A stock client behind a proxy of its own, connected. */
async function makeClient(index) {
  const proxy = await Proxy.start(server.url);
  const socket = io(proxy.url, {
    forceNew: true, transports: TRANSPORTS[index % TRANSPORTS.length], auth: { rooms: [ROOM] },
    reconnectionDelay: 20, reconnectionDelayMax: 200, timeout: 2_000,
  });
  const client = {
    proxy, published: new Ledger(), emitted: new Ledger(), told: 0, done: false,
    connects: { recovered: 0, fresh: 0, ended: 0 },
    end() {
      socket.disconnect();
      proxy.close();
    },
  };
  socket.on("published", (lane, number) => client.published.record(lane, number));
  socket.on("emitted", (lane, number) => client.emitted.record(lane, number));
  socket.on("tenfour:lost", ({ count }) => (client.told += count));
  socket.on("done", () => (client.done = true));
  socket.on("connect", () => (client.connects[socket.recovered ? "recovered" : "fresh"] += 1));
  socket.on("disconnect", (reason) => {
    if (reason !== "io server disconnect") return;
    client.connects.ended += 1;
    socket.connect();
  });
  await eventually("connection", () => socket.connected);
  return client;
}

/** A fault every 0.5 to 2 seconds, each kind in turn. */
async function harass({ proxy }, index) {
  for (let turn = index; ; turn++) {
    await sleep(500 + Math.random() * 1_500);
    if (!failing) return;
    const kind = kinds[turn % kinds.length];
    proxy.inflict(kind);
    faults[kind] += 1;
  }
}

/** Kills the server, and starts its successor on the same data at the same address, at even distances. */
async function killAgainAndAgain() {
  const count = Number(options.kills);
  for (; kills.count < count; kills.count++) {
    await sleep((SECONDS * 1000) / (count + 1));
    await server.stop("SIGKILL");
    server = await start(command, [...HEARTBEAT, "--data", data, "--listen", server.address]);
  }
}

/** Waits until every client has what was published last, and so all before it; answers how many never got there. */
async function converge(clients) {
  const agent = new Agent();
  await eventually("answer of the server", () => {
    const done = { to: [ROOM], key: "done", event: "done", args: [] };
    return askJson(agent, new URL("/publish", server.url), "POST", done).catch(() => false);
  });
  await eventually("end of all replays", () => clients.every(({ done }) => done)).catch(() => {});
  return clients.filter(({ done }) => !done).length;
}

function verdict({ publish, emit, late }) {
  const exact = publish.lost + publish.duplicated + publish.reordered + emit.duplicated + late === 0;
  return exact || onReference;
}

function print(report) {
  if (options.json) return console.log(JSON.stringify(report));
  const columns = {
    sent: "sent", acknowledged: "acknowledged", due: "due", delivered: "delivered", lost: "lost",
    duplicated: "duplicated", reordered: "reordered", toldLost: "told lost",
  };
  const row = (name, cells) => console.log(name.padEnd(9) + cells.map((cell) => String(cell).padStart(13)).join(""));
  row("", Object.values(columns));
  for (const verb of ["publish", "emit"]) {
    row(verb, Object.keys(columns).map((column) => report[verb][column] ?? "-"));
  }
  const list = (counts) => Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ");
  console.log(`${report.clients} clients, ${report.seconds} s; ${report.kills} times kill -9; faults: ${list(report.faults)}`);
  console.log(`connections: ${list(report.connects)}; ${report.publish.tries} tries to publish; not done: ${report.late}`);
}
