// Tables that are told anew each second, cell by cell.

import { between, count, element, ms, moment, percent, rate, tell, words } from "./words.js";

const body = (id) => document.querySelector(`#${id} tbody`);

/** All tables of the page. */
export function show(now) {
  const { minute, second } = now;
  fill(body("links"), now.links.map((link) => ({
    cells: [
      link.name, words(link.state), moment(link.since, now.at), address(link), link.dialect,
      count(link.connections), count(link.in_flight), rate(second.links[link.name] ?? 0),
      rate(minute.links[link.name] ?? 0),
      link.last_echo === null ? "none since the start" : `${between(link.last_echo, now.at)} ago`,
    ],
    is: LINK_IS[link.state],
  })));
  const most = Math.max(1, ...Object.values(minute.declines));
  fill(body("declines"), entries(minute.declines, "no decline", (reason, n) => ({
    cells: [words(reason), count(n), percent(n / minute.decisions), ""],
    bar: n / most,
    is: OURS.has(reason) ? "bad" : undefined,
  })));
  fill(body("mtis"), entries(minute.mtis, "none"));
  fill(body("outcomes"), entries(minute.outcomes, "none", (outcome, n) => ({
    cells: [words(outcome), count(n)],
    is: BAD_OUTCOMES.has(outcome) ? "bad" : undefined,
  })));
  fill(body("questions"), now.hsm.questions.map((asked) => ({
    cells: [
      words(asked.question), rate(asked.per_second), asked.mean_ms === null ? "–" : ms(asked.mean_ms),
      asked.p99_ms === null ? "–" : ms(asked.p99_ms), count(asked.asked - (asked.outcomes.answered ?? 0)),
    ],
  })));
}

// What needs eyes. A link that somebody signed off is as its scheme wants it.
const LINK_IS = { down: "bad", signed_on: "good", connected: "good", draining: "warn", signed_off: "warn" };
const OURS = new Set(["unavailable", "system_error"]);
const BAD_OUTCOMES = new Set(["late", "unread", "too_long", "link_gone", "unanswered"]);

const address = (link) => `${link.dials ? "to" : "on"} ${link.address}`;

const plain = (name, n) => ({ cells: [words(name), count(n)] });

function entries(counts, none, row = plain) {
  const rows = Object.entries(counts).map(([name, n]) => row(name, n));
  return rows.length ? rows : [{ cells: [none], is: "none" }];
}

/**
 * Make a table's rows say this: `cells`, `is` for its colour, `bar` for its last cell, `href` for
 * where it leads.
 */
export function fill(tbody, rows) {
  const heads = [...tbody.parentElement.tHead.rows[0].cells];
  while (tbody.rows.length > rows.length) tbody.deleteRow(-1);
  rows.forEach(({ cells, is, bar, href }, place) => {
    const row = tbody.rows[place] ?? tbody.insertRow();
    while (row.cells.length > cells.length) row.deleteCell(-1);
    cells.forEach((text, column) => {
      const cell = row.cells[column] ?? row.insertCell();
      tell(cell, text);
      cell.className = heads[column].className;
      cell.dataset.label = heads[column].textContent;
    });
    row.dataset.is = is ?? "";
    if (bar !== undefined) drawBar(row.cells[cells.length - 1], bar);
    if (href) leads(row, href);
  });
}

function drawBar(cell, share) {
  const bar = cell.firstElementChild ?? cell.appendChild(element("i"));
  bar.style.width = `${Math.max(1, share * 100)}%`;
}

/** A row that leads somewhere: by its first cell. */
function leads(row, href) {
  const [first] = row.cells;
  const link = element("a", "", first.textContent);
  link.href = href;
  first.replaceChildren(link);
}
