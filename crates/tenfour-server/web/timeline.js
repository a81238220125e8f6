/**
 * The list of what was said, each line once and in the order of the server's numbers, with what is known of each own message.
 *
 * Everything a peer wrote goes through `textContent`.
 */

/** Entries kept in the page; the oldest are dropped beyond. */
const MAX_ENTRIES = 500;
/** Pixels from the end within which the list follows what is new. */
const NEAR_END = 80;

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

/** What the page knows of a message of its own, in words. */
const MARKS = {
  waiting: () => "kept here, sent when connected",
  sending: () => "sending…",
  acknowledged: (number) => `✓ line ${number}`,
  doubtful: (why) => `not acknowledged: ${why}`,
  refused: (why) => `refused: ${why}`,
};
/** Of these the server has not given a number, and may yet. */
const PENDING = ":is([data-state=waiting], [data-state=sending])";

/** One message of this browser's own, from the moment it is written. */
export class OwnMessage {
  constructor({ key, text, from, at }) {
    this.text = text;
    this.element = lineElement({ text, from, at });
    this.element.classList.add("own");
    this.element.dataset.key = key;
  }

  /** Whether it is on its way. */
  get pending() {
    return this.element.matches(PENDING);
  }

  /** Says what became of it: a state of `MARKS` and its detail. */
  mark(state, detail) {
    this.element.dataset.state = state;
    this.element.querySelector(".mark").textContent = MARKS[state](detail);
  }

  /** Offers to do something about it, after which it is gone. */
  offer(label, action) {
    const button = element("button", "again", label);
    button.type = "button";
    button.addEventListener("click", () => (this.element.remove(), action()), { once: true });
    this.element.querySelector(".meta").append(" ", button);
  }
}

export class Timeline {
  #list;
  #scroller;
  #latest;
  /** Of the lines that are shown, ascending. */
  #numbers = [];

  /** `list` grows within `scroller`; the button `latest` shows while the end is out of sight. */
  constructor({ list, scroller, latest }) {
    this.#list = list;
    this.#scroller = scroller;
    this.#latest = latest;
    latest.addEventListener("click", () => this.toEnd());
    scroller.addEventListener("scroll", () => (latest.hidden = this.#atEnd()), { passive: true });
    // A keyboard on a phone or a wrapping composer takes room: keep the end in sight.
    let height = scroller.clientHeight;
    new ResizeObserver(() => {
      if (this.#distance() < NEAR_END + Math.abs(height - scroller.clientHeight)) this.toEnd();
      height = scroller.clientHeight;
    }).observe(scroller);
  }

  /** The number of the last line, 0 if there is none. */
  get last() {
    return this.#numbers.at(-1) ?? 0;
  }

  has(number) {
    return this.#numbers.includes(number);
  }

  /** The server counts anew: what is shown so far stays above what comes, whatever its numbers. */
  renumber() {
    this.#numbers = [];
    for (const item of this.#list.children) delete item.dataset.number;
  }

  /** A line of the server's, at the place of its number; it is an own message if this page wrote it. */
  line(line, own) {
    const item = own?.element ?? lineElement(line);
    item.dataset.number = line.number;
    numberOf(item).textContent = line.number;
    item.querySelector(".from").textContent = line.from;
    const place = this.#numbers.findLastIndex((number) => number < line.number) + 1;
    const later = this.#numbers[place];
    this.#numbers.splice(place, 0, line.number);
    if (later === undefined) this.#place(item);
    else this.#list.querySelector(`[data-number="${later}"]`).before(item);
    return item;
  }

  /** An own message, after all lines so far, until the server gives it its place. */
  own(message) {
    this.#list.append(message.element);
    this.toEnd();
  }

  /** Something that happened between two lines: `kind` is `cut`, `back` or `gap`. Answers what shows its text. */
  notice(kind, text, numbers = "") {
    const item = element("li", `notice ${kind}`);
    const shown = element("p", "text", text);
    item.append(element("span", "number", numbers), shown);
    this.#place(item);
    return shown;
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** Before what is still on its way: the server will number that later. */
  #place(item) {
    const follow = this.#atEnd();
    const waiting = [...this.#list.querySelectorAll(PENDING)];
    this.#list.insertBefore(item, waiting.find((other) => other !== item && !other.dataset.number) ?? null);
    while (this.#list.childElementCount > MAX_ENTRIES) this.#drop(this.#list.firstElementChild);
    if (follow) this.toEnd();
    this.#latest.hidden = this.#atEnd();
  }

  #drop(item) {
    if (Number(item.dataset.number) === this.#numbers[0]) this.#numbers.shift();
    item.remove();
  }

  #atEnd() {
    return this.#distance() < NEAR_END;
  }

  #distance() {
    return this.#scroller.scrollHeight - this.#scroller.scrollTop - this.#scroller.clientHeight;
  }
}

function lineElement({ from, text, at }) {
  const item = element("li", "line");
  const meta = element("p", "meta");
  const time = element("time", "", clock.format(at));
  time.dateTime = new Date(at).toISOString();
  meta.append(element("b", "from", from), " ", time, " ", element("span", "mark"));
  item.append(element("span", "number"), meta, element("p", "text", text));
  return item;
}

function numberOf(item) {
  return item.querySelector(".number");
}

/** An element whose content is text, whoever wrote it. */
export function element(tag, className, text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}
