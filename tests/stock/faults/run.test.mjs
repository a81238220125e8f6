// A short run through every fault; `cargo xtask stock --faults` is the long one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onReference } from "../support/recovery.mjs";

const RUN = fileURLToPath(new URL("run.mjs", import.meta.url));
const SHORT = ["--json", "--seconds", "8", "--clients", "12", "--kills", "2"];

test("what is published is neither lost, repeated nor reordered, through every fault and kill -9; what is emitted comes at most once", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [RUN, ...SHORT]).catch((failed) => failed);
  const { publish, emit, faults, kills, late } = JSON.parse(stdout);
  assert.ok(Object.values(faults).every((count) => count > 0) && kills === 2, "each kind of fault happened");
  assert.ok(publish.acknowledged > 100);
  if (onReference) return assert.ok(publish.lost > 0, "it loses what it forgot, and whom");
  assert.deepEqual({ ...publish, emitted: emit.duplicated, late }, {
    ...publish, lost: 0, duplicated: 0, reordered: 0, delivered: publish.due, emitted: 0, late: 0,
  });
});
