"use strict";

// The table of differences: unpacked, searched, sorted and shown a page at a time. All text goes in as text.
const PAGE = 50;
const MOST_PRINTED = 500;
const STALE_AFTER_HOURS = 36;
const by = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const collator = new Intl.Collator("en", { numeric: true });
const plain = (text) => String(text).replace(/[\p{C}\p{Z}]/gu, (character) => (character === " " ? " " : "\uFFFD"));

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

const bdi = (text) => element("bdi", {}, plain(text));
const said = (value) => (value === null ? "nothing" : value);
const small = (...children) => element("div", { class: "small" }, ...children);
const days = (hours) => (hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`);
const money = (row) => (row.value === null ? "" : `${row.value.replace(/\B(?=(\d{3})+(?!\d))/g, ",")} ${row.currency ?? ""}`);
const status = (row) => row.status.replace("_", " ");

function says(row) {
  if (row.bucket !== "conflict") return row.direction === null ? null : small(plain(row.direction));
  return small(`${row.left_system} `, bdi(said(row.left_value)), ` · ${row.right_system} `, bdi(said(row.right_value)));
}

// Heading, what to sort by, what to show.
const COLUMNS = [
  ["record", (row) => row.key, (row) => [bdi(row.key), small(row.pair)]],
  ["difference", (row) => row.difference, (row) => [plain(row.difference), says(row)]],
  ["why", (row) => row.cause, (row) => [row.cause, row.stale === "unknown" ? null : small(`stale: ${row.stale}`)]],
  ["age", (row) => row.age, (row) => [days(row.age), row.new ? small(element("strong", {}, "new")) : null]],
  ["value", (row) => (row.value === null ? null : Number(row.value)), (row) => [plain(money(row))]],
  ["owner", (row) => row.owner, (row) => [bdi(row.owner)]],
  ["due", (row) => row.due, (row) => [row.due ?? "", row.overdue ? small(element("strong", { class: "bad" }, "overdue")) : null]],
  ["status", (row) => status(row), (row) => [status(row)]],
];

function evidence(row) {
  const facts = [
    ["evidence", row.evidence],
    ["out of step", row.since && `${row.is_since_exact ? "since" : "no later than"} ${row.since} UTC`],
    ["first seen", `${row.first_seen} UTC, in ${row.runs_seen} trusted runs${row.reopened ? `, back again ${row.reopened} times` : ""}`],
    ["agreed last", row.agreed && `${row.agreed} UTC${row.base === null ? "" : `, on ${row.base}`}`],
    [row.left_system, row.bucket === "right_only" ? "no such record" : row.left_value],
    [row.right_system, row.bucket === "left_only" ? "no such record" : row.right_value],
    ["which way", row.direction],
    ["probably the same", row.candidate],
    ["response", row.response],
    ["id", row.id],
    ["more", `tallystick explain ${row.key}`],
  ].filter(([, fact]) => fact !== null && fact !== undefined);
  return element("dl", { class: "evidence" }, ...facts.flatMap(([name, fact]) => [element("dt", {}, name), element("dd", {}, bdi(fact))]));
}

function haystack(row) {
  const terms = {
    ...{ pair: row.pair, record: row.key, difference: row.difference, bucket: row.bucket, cause: row.cause, stale: row.stale },
    ...{ owner: row.owner, status: status(row), due: row.overdue ? "overdue" : row.due, new: row.new ? "new" : "no", value: money(row) },
    ...{ [row.left_system]: row.left_value, [row.right_system]: row.right_value, evidence: row.evidence, way: row.direction },
    ...{ candidate: row.candidate, id: row.id },
  };
  const found = Object.entries(terms).filter(([, value]) => value !== null);
  return found.map(([name, value]) => `${name}: ${plain(value)};`).join("\n").toLowerCase();
}

class List {
  constructor(rows) {
    Object.assign(this, { rows, found: rows, sorted: null, descending: false, page: 0 });
    this.headings = COLUMNS.map(([name], column) => {
      const button = element("button", { type: "button" }, name);
      button.addEventListener("click", () => this.sort(column));
      return element("th", { scope: "col", "aria-sort": "none" }, button);
    });
    by("list").tHead.rows[0].append(...this.headings, element("th", { scope: "col" }, element("span", { class: "unseen" }, "evidence")));
    by("before").addEventListener("click", () => this.turn(-1));
    by("after").addEventListener("click", () => this.turn(1));
    by("list").hidden = false;
    this.find("");
  }

  find(asked) {
    const terms = [...asked.toLowerCase().matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => quoted ?? word);
    const wanted = (row) => terms.every((term) => (row.haystack ??= haystack(row)).includes(term));
    this.found = terms.length ? this.rows.filter(wanted) : [...this.rows];
    this.order();
  }

  sort(column) {
    this.descending = this.sorted === column && !this.descending;
    this.sorted = column;
    this.headings.forEach((heading, place) => {
      heading.setAttribute("aria-sort", place !== column ? "none" : this.descending ? "descending" : "ascending");
    });
    this.order();
  }

  // What has no value is last either way. Values are sorted within their currency: 10 of one is not more than 9 of another.
  order() {
    if (this.sorted !== null) {
      const [name, key] = COLUMNS[this.sorted];
      const sign = this.descending ? -1 : 1;
      const compare = (one, other) => (typeof one === "number" ? one - other : collator.compare(one, other));
      const keyed = this.found.map((row) => [key(row), row]);
      keyed.sort(([one, first], [other, second]) => {
        if (one === null || other === null) return (one === null) - (other === null);
        return (name === "value" && collator.compare(first.currency ?? "", second.currency ?? "")) || sign * compare(one, other);
      });
      this.found = keyed.map(([, row]) => row);
    }
    this.page = 0;
    this.show();
  }

  turn(pages) {
    this.page += pages;
    this.show();
    by("matches").scrollIntoView();
  }

  show(from = this.page * PAGE, most = PAGE, unfolded = false) {
    const shown = this.found.slice(from, from + most);
    by("list").tBodies[0].replaceChildren(...shown.flatMap((row) => this.lines(row, unfolded)));
    const last = Math.max(0, Math.ceil(this.found.length / PAGE) - 1);
    const range = shown.length < this.found.length ? `, ${number.format(from + 1)} to ${number.format(from + shown.length)} shown` : "";
    const of = this.found.length < this.rows.length ? ` of ${number.format(this.rows.length)}` : "";
    by("matches").textContent = `${number.format(this.found.length)}${of} differences${range}`;
    by("page").textContent = `Page ${number.format(this.page + 1)} of ${number.format(last + 1)}`;
    by("pages").hidden = last === 0;
    by("before").disabled = this.page === 0;
    by("after").disabled = this.page === last;
  }

  lines(row, unfolded) {
    const button = element("button", { type: "button", "aria-expanded": "false", "aria-label": `Evidence for ${plain(row.key)}` }, "Evidence");
    const cells = COLUMNS.map(([name, , cell]) => element("td", { "data-name": name, class: `of-${name}` }, ...cell(row)));
    const line = element("tr", {}, ...cells, element("td", { class: "of-evidence" }, button));
    const unfold = () => element("tr", { class: "unfolded" }, element("td", { colspan: COLUMNS.length + 1 }, evidence(row)));
    button.addEventListener("click", () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) line.nextSibling.remove();
      else line.after(unfold());
    });
    return unfolded ? [line, unfold()] : [line];
  }
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const columns = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  const names = Object.keys(columns);
  return columns[names[0]].map((_, place) => Object.fromEntries(names.map((name) => [name, columns[name][place]])));
}

function listen(list) {
  let waiting;
  const search = by("search");
  by("find").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => list.find(search.value), 120);
  });
  for (const link of document.querySelectorAll("a[data-find]")) {
    link.addEventListener("click", () => {
      search.value = link.dataset.find.trim();
      list.find(search.value);
      search.focus({ preventScroll: true });
    });
  }
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((folded) => (folded.open = true));
    list.show(0, MOST_PRINTED, true);
  });
  addEventListener("afterprint", () => list.show());
}

function tellAges() {
  const hours = (moment) => Math.max(0, (Date.now() - Date.parse(moment)) / 3600000);
  for (const ago of document.querySelectorAll(".ago")) ago.textContent = ` (${days(Math.round(hours(ago.dataset.since)))} ago)`;
  const stale = by("stale");
  if (stale) stale.hidden = hours(stale.dataset.of) <= STALE_AFTER_HOURS;
  for (const mark of document.querySelectorAll("svg [role='graphics-symbol'][aria-label]")) {
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = mark.getAttribute("aria-label");
    mark.append(title);
  }
}

tellAges();
if (by("list")) unpacked(by("rows").textContent).then((rows) => listen(new List(rows)));
