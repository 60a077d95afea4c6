// The page: figures by where they stand in /api/live, and what happens when there are none.

import * as charts from "./charts.js";
import { askJson, figures, keepToken } from "./asking.js";
import { beginSearch } from "./search.js";
import { show } from "./tables.js";
import { clock, duration, rate, say, tell } from "./words.js";

const THEME = "switch-theme";
const byId = (id) => document.getElementById(id);
const shown = [...document.querySelectorAll("[data-show]")].map((node) => ({
  node, path: node.dataset.show.split("."), how: node.dataset.as,
}));

let last = null; // the newest figures
let goneAt = null; // since when there are none
let startedAt = null; // of the process that the charts are of

async function onNow(now) {
  if (now.process.started_at !== startedAt || goneAt !== null) {
    const past = await askJson("/api/history").catch(() => null);
    if (past === null) return; // it is gone again
    charts.begin(past);
    startedAt = now.process.started_at;
  } else {
    charts.add(now);
  }
  goneAt = null;
  last = now;
  byId("gone").hidden = true;
  document.body.classList.remove("is-gone");
  document.title = `${rate(now.second.messages_per_second)}/s · switch`;
  for (const { node, path, how } of shown) {
    tell(node, say(path.reduce((value, name) => value?.[name], now), how, now.at));
  }
  state("state", now.ready ? "serving" : `not ready: ${now.missing.join(", ")}`, now.ready ? "good" : "bad");
  state("hsm-state", HSM_SAYS[now.hsm.state] ?? now.hsm.state, HSM_IS[now.hsm.state]);
  state("database-state", now.database.ready ? "ready" : "not ready", now.database.ready ? "good" : "bad");
  byId("inline").hidden = now.hsm.state !== "inline";
  byId("questions").hidden = now.hsm.state === "inline";
  show(now);
}

const HSM_SAYS = {
  inline: "in process", closed: "answers", open: "down: breaker open", half_open: "being tried: breaker half open",
};
const HSM_IS = { inline: "good", closed: "good", open: "bad", half_open: "warn" };

function state(id, text, is) {
  tell(byId(id), text);
  byId(id).dataset.is = is;
}

function onGone(problem) {
  goneAt ??= Date.now();
  document.body.classList.add("is-gone");
  document.title = "gone · switch";
  state("state", "gone", "bad");
  sayGone(problem);
}

let said = "";
function sayGone(problem = said) {
  if (goneAt === null) return;
  said = problem;
  const since = new Date(goneAt).toISOString();
  const what = problem || "The switch does not answer";
  const figures = last ? ` What is below was so at ${clock(last.at)} UTC.` : "";
  tell(byId("gone"), `${what} since ${clock(since)} UTC (${duration((Date.now() - goneAt) / 1000)}).` +
    `${figures} It is asked again each second.`);
  byId("gone").hidden = false;
}
setInterval(() => sayGone(), 1000);

/** Ask whoever sits there for a token; resolves when there is one. */
function signIn() {
  const form = byId("sign-in");
  tell(byId("sign-in-problem"), sessionStorage.length ? "This token is not the right one." : "");
  form.hidden = false;
  document.body.classList.add("is-locked");
  byId("token").focus();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      keepToken(byId("token").value.trim());
      byId("token").value = "";
      form.hidden = true;
      document.body.classList.remove("is-locked");
      resolve();
    };
  });
}

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function theme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  tell(byId("theme"), isDark() ? "light" : "dark");
  charts.recolour();
}

byId("theme").addEventListener("click", () => {
  const chosen = isDark() ? "light" : "dark";
  localStorage.setItem(THEME, chosen);
  theme(chosen);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => theme());
theme(localStorage.getItem(THEME));
beginSearch();
for await (const now of figures(signIn)) {
  if ("problem" in now) onGone(now.problem);
  else await onNow(now);
}
