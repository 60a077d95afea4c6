// Search, its list, and the way to why and back.

import { askJson } from "./asking.js";
import { fill } from "./tables.js";
import { explained } from "./why.js";
import { major, moment, tell, words } from "./words.js";

const byId = (id) => document.getElementById(id);
const WHY = "#why/";
// What the switch takes. Anything else may be a PAN, and is not sent.
const CAN_BE_FOUND = /^[A-Za-z0-9]{1,12}$/;
const NOT_SENT =
  "not sent: look for an RRN (7 to 12 letters and digits), a STAN or authorization code (6), " +
  "or a card's last four digits; never for a PAN, but for its last four digits";

export function beginSearch() {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    if (location.hash) history.pushState(null, "", location.pathname);
    look(byId("query").value.trim(), byId("since").value);
  });
  addEventListener("hashchange", follow);
  follow();
}

async function look(query, since) {
  byId("why").hidden = true;
  if (!CAN_BE_FOUND.test(query)) {
    byId("found").hidden = true;
    say(NOT_SENT);
    return;
  }
  say("looking …");
  const asked = new URLSearchParams({ q: query, since });
  const told = await answer(`/api/search?${asked}`);
  byId("found").hidden = !told?.found.length;
  if (!told) return;
  const { found, more, currencies } = told;
  const far = byId("since").selectedOptions[0].textContent;
  if (found.length === 0) say(`nothing in the ${far}: look further back, or for another number`);
  else say(`${more ? "the newest " : ""}${found.length} in the ${far}, the newest first`);
  fill(document.querySelector("#found tbody"), found.map((one) => ({
    cells: [
      moment(one.received_at), one.link, one.mti, one.rrn, one.stan, card(one),
      major(one.transaction.minor, currencies[one.transaction.currency]),
      words(one.reason ?? (one.kind === "suspense" ? "booked on suspense" : "approved or booked")),
      one.authorization_code ?? "",
    ],
    is: one.reason ? "warn" : undefined,
    href: WHY + one.place,
  })));
}

const card = (one) => (one.last_four ? `…${one.last_four}` : one.kind === "refused" ? "not ours" : "");

/** Show what the address asks for: why one message was answered as it was, or nothing. */
async function follow() {
  const article = byId("why");
  if (!location.hash.startsWith(WHY)) {
    article.hidden = true;
    return;
  }
  say("looking …");
  const told = await answer(`/api/why/${encodeURIComponent(location.hash.slice(WHY.length))}`);
  article.hidden = !told;
  if (!told) return;
  say("");
  article.replaceChildren(...explained(told));
  article.scrollIntoView({ block: "start" });
}

async function answer(path) {
  try {
    return await askJson(path);
  } catch (error) {
    say(error.status ? error.message : "the switch does not answer");
    return null;
  }
}

const say = (text) => tell(byId("search-says"), text);
