// What one client's application got, judged against what was acknowledged and against what the others got.

/** The events of one kind that one client got: numbered within lanes, each lane from 0 on. */
export class Ledger {
  /** `[lane, number]` of each event, as they came. */
  #events = [];
  #seen = new Set();
  #last = new Map();
  duplicated = 0;
  reordered = 0;

  record(lane, number) {
    const name = `${lane}-${number}`;
    this.#events.push(name);
    if (this.#seen.has(name)) return void (this.duplicated += 1);
    this.#seen.add(name);
    if (number < (this.#last.get(lane) ?? 0)) this.reordered += 1;
    else this.#last.set(lane, number);
  }

  get delivered() {
    return this.#seen.size;
  }

  has(lane, number) {
    return this.#seen.has(`${lane}-${number}`);
  }

  /** How often two neighbours came in the other order than at the other client. */
  disagreements(other) {
    const position = new Map(other.#events.map((name, index) => [name, index]));
    const common = this.#events.map((name) => position.get(name)).filter((index) => index !== undefined);
    return common.filter((index, i) => i > 0 && index < common[i - 1]).length;
  }
}

/** Adds the clients' ledgers up; `acknowledged` says how many of each lane were, `told` how many each client was told it lost. */
export function judge(ledgers, acknowledged, told) {
  const due = acknowledged.reduce((sum, count) => sum + count, 0);
  const sum = (of) => ledgers.reduce((total, ledger, i) => total + of(ledger, i), 0);
  return {
    due: due * ledgers.length,
    delivered: sum((ledger) => ledger.delivered),
    lost: sum((ledger, i) => Math.max(0, missing(ledger, acknowledged) - told[i])),
    duplicated: sum((ledger) => ledger.duplicated),
    reordered: sum((ledger) => ledger.reordered + ledger.disagreements(ledgers[0])),
    toldLost: told.reduce((total, count) => total + count, 0),
  };
}

function missing(ledger, acknowledged) {
  let count = 0;
  acknowledged.forEach((end, lane) => {
    for (let number = 0; number < end; number++) if (!ledger.has(lane, number)) count += 1;
  });
  return count;
}
