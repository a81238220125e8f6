// A process of its own that publishes and emits numbered events, and says how far it came when it is told to stop.
//
// What it publishes it repeats, under one key, until it is acknowledged; what it emits it sends once.
import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { askJson } from "../support/control.mjs";

const [url, room, lanes, rate, emitRate] = process.argv.slice(2).map((word, i) => (i < 2 ? word : Number(word)));
const agent = new Agent({ keepAlive: true });
const tally = { published: { sent: 0, acknowledged: Array(lanes).fill(0), tries: 0 }, emitted: { sent: 0, accepted: 0 } };
let going = true;

process.once("message", () => (going = false));
process.once("disconnect", () => process.exit(1)); // whom it is to report to is gone
await Promise.all([
  ...Array.from({ length: lanes }, (_, lane) => paced(lanes / rate, (number) => publish(lane, number))),
  paced(1 / emitRate, emit),
]);
process.removeAllListeners("disconnect");
process.send(tally, () => process.exit(0));

/** Does it every `period` seconds, one after the other; what is late is made up for. */
async function paced(period, act) {
  const begin = performance.now();
  for (let number = 0; going; number++) {
    await act(number);
    const early = begin + (number + 1) * period * 1000 - performance.now();
    if (early > 0) await sleep(early);
  }
}

async function publish(lane, number) {
  const event = { to: [room], key: `${lane}-${number}`, event: "published", args: [lane, number] };
  tally.published.sent += 1;
  for (;;) {
    tally.published.tries += 1;
    if (await asked("/publish", event)) break;
    await sleep(20);
  }
  tally.published.acknowledged[lane] += 1;
}

async function emit(number) {
  tally.emitted.sent += 1;
  const accepted = await asked("/emit", { to: [room], event: "emitted", args: [0, number] });
  tally.emitted.accepted += Number(accepted);
}

/** Whether the server said yes. What it refuses for good would be repeated for ever: that ends the run. */
async function asked(path, body) {
  try {
    await askJson(agent, new URL(path, url), "POST", body);
    return true;
  } catch (error) {
    if (error.status >= 400 && error.status < 500) throw error;
    return false;
  }
}
