/**
 * The list of what was said, in the order of the server's numbers, with what is known of each own message.
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
  sending: () => "sending…",
  acknowledged: (number) => `✓ acknowledged as ${number}`,
  unacknowledged: (why, number) =>
    `not acknowledged (${why}): ` + (number === undefined ? "it may or may not have arrived" : `but it is line ${number}`),
  unsent: (why) => `not sent: ${why}`,
  refused: (why) => `refused: ${why}`,
};

/** One message of this page's own, from the moment it is written. */
export class OwnMessage {
  /** The server's, once the line came back. */
  number;

  constructor(text, from) {
    this.text = text;
    this.element = lineElement({ text, from, at: Date.now() });
    this.element.classList.add("own");
    this.mark("sending");
  }

  /** Says what became of it: a state of `MARKS` and its detail. */
  mark(state, detail) {
    this.element.dataset.state = state;
    this.element.querySelector(".mark").textContent = MARKS[state](detail, this.number);
  }

  /** Offers to say it again: only for what certainly never left. */
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

  /** A line of the server's, which is an own message if it is one that this page sent. */
  line(line, own) {
    const item = own?.element ?? lineElement(line);
    if (own) own.number = line.number;
    numberOf(item).textContent = line.number;
    item.querySelector(".from").textContent = line.from;
    this.#place(item);
  }

  /** An own message, after all lines so far, until the server gives it its place. */
  own(message) {
    this.#list.append(message.element);
    this.toEnd();
  }

  /** Something that happened between two lines: `kind` is `cut`, `back` or `gap`. */
  notice(kind, text, numbers = "") {
    const item = element("li", `notice ${kind}`);
    item.append(element("span", "number", numbers), element("p", "text", text));
    this.#place(item);
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** Before what is still on its way: the server will number that later. */
  #place(item) {
    const follow = this.#atEnd();
    const waiting = [...this.#list.querySelectorAll("[data-state=sending]")];
    const next = waiting.find((other) => other !== item && numberOf(other).textContent === "");
    this.#list.insertBefore(item, next ?? null);
    while (this.#list.childElementCount > MAX_ENTRIES) this.#list.firstElementChild.remove();
    if (follow) this.toEnd();
    this.#latest.hidden = this.#atEnd();
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
