"use strict";
(() => {
  const bar = document.querySelector(".bar");
  if (!bar) return;
  const store = `catclf ${bar.dataset.key}`;
  const cards = [...document.querySelectorAll(".card")];
  const filters = document.querySelector(".filters");
  const [called, labelled, open, from, to] =
    [".called", ".labelled", ".open", ".from", ".to"].map((name) => filters.querySelector(name));
  const LEFT_OUT = "-";

  let answers = {}; // by picture: one that stands on several cards has one answer
  try { answers = JSON.parse(localStorage.getItem(store)) || {}; } catch { /* nothing is kept here */ }
  const id = (card) => card.dataset.bytes || card.dataset.path;
  const byPicture = new Map();
  for (const card of cards) byPicture.set(id(card), [...(byPicture.get(id(card)) || []), card]);

  function show(card) {
    const group = card.querySelector(".answers");
    if (!group) return;
    const answer = answers[id(card)], claim = card.dataset.claim;
    const right = answer === claim, wrong = answer !== undefined && !right && answer !== LEFT_OUT;
    group.querySelector(".yes").setAttribute("aria-pressed", right);
    group.querySelector(".no")?.setAttribute("aria-pressed", wrong);
    group.querySelector(".out").setAttribute("aria-pressed", answer === LEFT_OUT);
    card.classList.toggle("right", right);
    card.classList.toggle("wrong", answer !== undefined && !right);
    const select = group.querySelector("select");
    select.hidden = !wrong || select.length < 2;
    if (wrong) select.value = answer;
  }

  function filter() {
    const low = Number(from.value || 0), high = Number(to.value || 100);
    for (const card of cards) {
      const data = card.dataset, percent = Number(data.percent);
      card.hidden = (called?.value && called.value !== data.called) ||
        (labelled?.value && labelled.value !== data.label) || percent < low || percent > high ||
        (open.checked && answers[id(card)] !== undefined);
    }
    tell();
  }

  function tell() {
    const known = [...byPicture].filter(([key]) => answers[key] !== undefined);
    const right = known.filter(([key, [card]]) => answers[key] === card.dataset.claim).length;
    const seen = cards.filter((card) => !card.hidden).length;
    const shown = seen === cards.length ? "" : `${seen} shown, `;
    bar.querySelector(".told").textContent =
      `${shown}${known.length} of ${byPicture.size} answered: ${right} right, ${known.length - right} not`;
    bar.querySelector(".download").disabled = !known.length;
  }

  function say(card, answer) {
    if (!card.querySelector(".answers")) return;
    if (answer === undefined) delete answers[id(card)];
    else answers[id(card)] = answer;
    try { localStorage.setItem(store, JSON.stringify(answers)); } catch { /* nothing is kept here */ }
    byPicture.get(id(card)).forEach(show);
    tell();
  }

  const wrongOf = (card) => JSON.parse(card.dataset.instead)[0];
  const toggled = (card, answer) => say(card, answers[id(card)] === answer ? undefined : answer);

  const template = document.getElementById("answers");
  for (const card of cards) {
    if (!card.dataset.path) continue; // it has no name to be called by
    const group = template.content.firstElementChild.cloneNode(true);
    const instead = JSON.parse(card.dataset.instead), select = group.querySelector("select");
    select.append(...instead.map((name) => new Option(name)));
    group.querySelector(".yes").title = `It is ${card.dataset.claim}`;
    group.querySelector(".no").title = instead.length === 1 ? `It is ${instead[0]}` : "It is something else";
    group.querySelector(".out").title = "Do not train on it";
    select.addEventListener("change", () => say(card, select.value));
    group.querySelector(".yes").addEventListener("click", () => toggled(card, card.dataset.claim));
    group.querySelector(".out").addEventListener("click", () => toggled(card, LEFT_OUT));
    const no = group.querySelector(".no");
    if (instead.length) no.addEventListener("click", () => toggled(card, wrongOf(card)));
    else no.remove();
    card.append(group);
    show(card);
  }

  // The keyboard: an answer goes on to the next picture.

  const visible = () => cards.filter((card) => !card.hidden);
  const current = () => document.activeElement?.closest(".card");

  function move(steps) {
    const some = visible(), here = some.indexOf(current());
    const next = some[here < 0 ? 0 : Math.min(Math.max(here + steps, 0), some.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  function columns() {
    const grid = (current() || visible()[0])?.parentElement;
    return grid ? getComputedStyle(grid).gridTemplateColumns.split(" ").length : 1;
  }

  const keys = {
    r: (card) => { say(card, card.dataset.claim); move(1); },
    w: (card) => { say(card, wrongOf(card) ?? LEFT_OUT); move(1); },
    x: (card) => { say(card, LEFT_OUT); move(1); },
    s: () => move(1),
    u: (card) => say(card, undefined),
    ArrowRight: () => move(1),
    ArrowLeft: () => move(-1),
    ArrowDown: () => move(columns()),
    ArrowUp: () => move(-columns()),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const act = keys[event.key];
    if (!act) return;
    const card = current();
    if (!card && event.key.startsWith("Arrow")) return; // it scrolls
    event.preventDefault();
    if (card) act(card);
    else move(0);
  });

  for (const control of [called, labelled, from, to, open]) control?.addEventListener("input", filter);

  bar.querySelector(".clear").addEventListener("click", () => {
    if (!confirm("Forget all answers on this page?")) return;
    answers = {};
    try { localStorage.removeItem(store); } catch { /* nothing is kept here */ }
    cards.forEach(show);
    filter();
  });

  // The file of labels: path,label and, where a path is not UTF-8, its bytes.

  const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

  bar.querySelector(".download").addEventListener("click", () => {
    const known = [...byPicture].filter(([key]) => answers[key] !== undefined);
    const raw = known.some(([, [card]]) => card.dataset.bytes);
    const rows = known.map(([key, [card]]) =>
      [card.dataset.path, answers[key], ...(raw ? [card.dataset.bytes] : [])]);
    const text = [["path", "label", ...(raw ? ["path_bytes"] : [])], ...rows]
      .map((row) => `${row.map(quoted).join(",")}\n`).join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = bar.dataset.download;
    link.click();
  });

  for (const part of [filters, bar, document.querySelector(".keys")]) part.hidden = false;
  filter();
})();
