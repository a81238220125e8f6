// The judge itself: it sees a loss, a repetition, an inversion, and what was told.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger, judge } from "./ledger.mjs";

const ledger = (...events) => {
  const made = new Ledger();
  for (const [lane, number] of events) made.record(lane, number);
  return made;
};
const NONE = { lost: 0, duplicated: 0, reordered: 0, toldLost: 0 };

test("everything once and in order", () => {
  const both = [[0, 0], [1, 0], [0, 1]];
  assert.deepEqual(judge([ledger(...both), ledger(...both)], [2, 1], [0, 0]), { due: 6, delivered: 6, ...NONE });
});

test("a loss; the same, told", () => {
  const holed = () => [ledger([0, 0], [0, 2])];
  assert.deepEqual(judge(holed(), [3], [0]), { due: 3, delivered: 2, ...NONE, lost: 1 });
  assert.deepEqual(judge(holed(), [3], [1]), { due: 3, delivered: 2, ...NONE, toldLost: 1 });
});

test("one that was told too much does not make good for one that was told nothing", () => {
  const ledgers = [ledger([0, 0]), ledger([0, 0])];
  assert.equal(judge(ledgers, [2], [5, 0]).lost, 1);
});

test("what was never acknowledged may come or not", () => {
  assert.deepEqual(judge([ledger([0, 0], [0, 1])], [1], [0]), { due: 1, delivered: 2, ...NONE });
  assert.equal(judge([ledger([0, 0], [0, 2])], [2], [0]).lost, 1, "and does not stand in for what was");
});

test("a repetition", () => {
  assert.equal(judge([ledger([0, 0], [0, 0])], [1], [0]).duplicated, 1);
});

test("an inversion within a lane, and two clients that disagree on two lanes", () => {
  assert.equal(judge([ledger([0, 1], [0, 0])], [2], [0]).reordered, 1);
  const disagreeing = [ledger([0, 0], [1, 0]), ledger([1, 0], [0, 0])];
  assert.equal(judge(disagreeing, [1, 1], [0, 0]).reordered, 1);
});
