// One message explained, from /api/why: texts and tables, in the order in which one asks.

import { count, element, major, moment, words } from "./words.js";

const VERDICT_IS = { approved: "good", booked: "good", declined: "bad", refused: "bad" };
const CHECK_IS = { passed: "good", refused: "bad", not_asked: "dim", not_recorded: "dim" };

/** The whole of it, as elements. */
export function explained(told) {
  const { message, amounts, account, currencies } = told;
  const own = currencies[account?.currency ?? amounts.transaction_currency];
  const amount = (minor) => (minor === null || minor === undefined ? "–" : major(minor, own));
  return [
    heading(told),
    list(whatCame(told)),
    ...told.notes.map((note) => element("p", "note", note)),
    ...section("the policy, in its order", checks(told.checks)),
    ...section("limits", limits(told.limits, amount)),
    ...section("the account then", funds(told.funds, amount)),
    ...section("holds", table(["amount", "state", "expires, UTC"], told.holds.map((hold) =>
      [amount(hold.amount_minor), words(hold.state), moment(hold.expires_at)]))),
    ...section("what else is known of it, in order of time", followed(told.followed, message, amount)),
  ];
}

function heading({ verdict, reason, message, received_at }) {
  const state = element("strong", "state", reason ? `${verdict}: ${words(reason)}` : verdict);
  state.dataset.is = VERDICT_IS[verdict];
  const back = element("a", "", "close");
  back.href = "#";
  return element("h3", "", state, ` ${message.mti ?? "a request"} of ${moment(received_at)} UTC `, back);
}

function whatCame({ message, amounts, answer, card, account, currencies }) {
  const asked = major(amounts.transaction_minor, currencies[amounts.transaction_currency]);
  const billed = major(amounts.billed_minor, currencies[amounts.billed_currency]);
  const changed = card?.changed_since?.length ? `; operators since: ${card.changed_since.map(words).join(", ")}` : "";
  return {
    amount: asked === billed || amounts.billed_minor === undefined ? asked : `${asked}, billed ${billed}`,
    "approved for": amounts.approved_minor ? major(amounts.approved_minor, currencies[amounts.billed_currency]) : null,
    kind: [message.kind, message.channel, message.processing_code].filter(Boolean).map(words).join(", "),
    link: message.link,
    RRN: message.rrn,
    STAN: message.stan,
    "entry mode": message.entry_mode,
    merchant: [message.merchant_name, message.mcc && `MCC ${message.mcc}`, message.country].filter(Boolean).join(", "),
    terminal: message.terminal,
    "authorization code": answer.authorization_code,
    card: card ? `…${card.last_four}, number ${card.card_id}, ${card.status}${changed}` : "not ours",
    account: account ? `${account.reference}, ${account.program}, ${account.status}` : null,
  };
}

const checks = (asked) => table(["row", "question", "verdict", "what was looked at"], asked.map((check) => [
  String(check.row), check.question, verdict(check), check.inputs,
]));

function verdict(check) {
  const told = element("strong", "state", words(check.reason ? `${check.verdict}: ${check.reason}` : check.verdict));
  told.dataset.is = CHECK_IS[check.verdict];
  return told;
}

const limits = (all, amount) => table(
  ["limit", "most", "used before", "this", "would be", "times, before of most"],
  all.map((one) => [
    `${words(one.scope)} a ${one.period}`, amount(one.limit_minor), amount(one.used_minor),
    amount(one.this_minor), amount(one.would_be_minor),
    one.limit_count === null ? "–" : `${count(one.used_count)} of ${count(one.limit_count)}`,
  ]),
);

const funds = (told, amount) => told && table(
  ["posted", "held", "credit limit", "available before", "available after"],
  [[
    amount(told.posted_minor), amount(told.held_minor), amount(told.credit_limit_minor),
    amount(told.available_before_minor), amount(told.available_after_minor),
  ]],
);

const followed = (events, message, amount) => table(
  ["when, UTC", "what", "amount", "how"],
  events.map((event) => [
    `${moment(event.at)}${event.is_before ? ", before" : ""}`, words(event.what),
    amount(event.amount_minor), event.detail,
  ]),
);

/** A heading and what stands under it; nothing where there is nothing. */
const section = (title, content) => (content ? [element("h4", "", title), content] : []);

function list(pairs) {
  const made = element("dl", "facts");
  for (const [name, value] of Object.entries(pairs)) {
    if (value) made.append(element("div", "", element("dt", "", name), element("dd", "", value)));
  }
  return made;
}

function table(heads, rows) {
  if (!rows.length) return null;
  const made = element("table", "stacks");
  const head = made.createTHead().insertRow();
  for (const name of heads) head.append(element("th", "", name));
  const body = made.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    cells.forEach((content, column) => {
      const cell = row.insertCell();
      cell.append(content);
      cell.dataset.label = heads[column];
    });
  }
  return made;
}
