"use strict";
// Marks on counted events: kept in this browser, saved as JSON, summed up with Wilson's interval.
const info = JSON.parse(document.getElementById("info").textContent);
const store = "tallycam-audit:" + info.run;
const cards = [...document.querySelectorAll(".card")];
let marks = {};
let here = -1;

// Older pages and marks files say "right", which reads like a direction.
function current(saved) {
  return Object.fromEntries(Object.entries(saved || {}).map(([key, mark]) => [key, mark === "right" ? "correct" : mark]));
}

try { marks = current(JSON.parse(localStorage.getItem(store))); } catch { marks = {}; }

function wilson(correct, judged, counted) {
  if (!judged) return [0, 1];
  const share = correct / judged;
  let size = judged;
  if (counted !== undefined) {
    if (judged >= counted) return [share, share];
    size *= (counted - 1) / (counted - judged);
  }
  const z = 1.959963984540054, z2 = z * z / size;
  const middle = (share + z2 / 2) / (1 + z2);
  const reach = z / (1 + z2) * Math.sqrt(share * (1 - share) / size + z2 / (4 * size));
  return [Math.max(0, middle - reach), Math.min(1, middle + reach)];
}

const percent = value => (100 * value).toFixed(1) + " %";
const range = pair => percent(pair[0]).replace(" %", "") + " to " + percent(pair[1]);

function sums(members, counted) {
  const given = members.map(card => marks[card.dataset.key] || "");
  const count = mark => given.filter(one => one === mark).length;
  const correct = count("correct"), wrong = count("wrong");
  return { shown: members.length, counted, correct, wrong, unsure: count("unsure"), judged: correct + wrong };
}

function row(name, sum) {
  const cells = [name, sum.counted, sum.shown, sum.correct, sum.wrong, sum.unsure,
    sum.judged ? percent(sum.correct / sum.judged) : "-",
    sum.judged ? range(wilson(sum.correct, sum.judged)) : "-",
    sum.judged ? range(wilson(sum.correct, sum.judged, sum.counted)) : "-"];
  const line = document.createElement("tr");
  cells.forEach((cell, place) => {
    const item = document.createElement("td");
    item.textContent = cell;
    if (place) item.className = "number";
    line.append(item);
  });
  return line;
}

function show() {
  cards.forEach((card, place) => {
    card.classList.remove(...info.marks);
    if (marks[card.dataset.key]) card.classList.add(marks[card.dataset.key]);
    card.classList.toggle("here", place === here);
    card.querySelectorAll("button").forEach(button =>
      button.setAttribute("aria-pressed", String(button.dataset.mark === marks[card.dataset.key])));
  });
  const body = document.getElementById("sums");
  body.replaceChildren();
  for (const [group, counted] of Object.entries(info.groups))
    body.append(row(group, sums(cards.filter(card => card.dataset.group === group), counted)));
  const all = sums(cards, info.counted);
  const last = row("all", all);
  last.className = "total";
  body.append(last);
  const done = all.judged + all.unsure;
  document.getElementById("done").textContent = done + " of " + cards.length;
  document.getElementById("precision").textContent = all.judged ? percent(all.correct / all.judged) : "-";
  document.getElementById("interval").textContent = all.judged
    ? range(wilson(all.correct, all.judged)) + " with 95 % confidence" : "nothing is marked yet";
  filter();
}

function filter() {
  const which = document.getElementById("which").value, group = document.getElementById("group").value;
  let seen = 0;
  cards.forEach((card, place) => {
    const mark = marks[card.dataset.key] || "none";
    const kept = (which === "all" || which === mark || place === here) && (!group || group === card.dataset.group);
    card.hidden = !kept;
    seen += kept;
  });
  document.getElementById("empty").hidden = seen > 0;
}

function keep() {
  try { localStorage.setItem(store, JSON.stringify(marks)); } catch { /* a page without storage: save by hand */ }
  show();
}

function set(card, mark) {
  if (marks[card.dataset.key] === mark || mark === "") delete marks[card.dataset.key];
  else marks[card.dataset.key] = mark;
  keep();
}

function go(step) {
  let next = here;
  do next += step; while (cards[next] && cards[next].hidden);
  if (!cards[next]) return;
  here = next;
  show();
  cards[here].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const key = event.key.toLowerCase();
  const mark = { 1: "correct", c: "correct", 2: "wrong", w: "wrong", 3: "unsure", u: "unsure" }[key];
  if (key === "j" || key === "arrowright" || key === "arrowdown") go(1);
  else if (key === "k" || key === "arrowleft" || key === "arrowup") go(-1);
  else if (mark && here >= 0) { marks[cards[here].dataset.key] = mark; keep(); go(1); }
  else if (mark) go(1);
  else if (key === "0" || key === "backspace") { if (here >= 0) set(cards[here], ""); }
  else return;
  event.preventDefault();
});

cards.forEach((card, place) => card.addEventListener("click", event => {
  here = place;
  if (event.target.dataset.mark) set(card, event.target.dataset.mark);
  else { if (event.target.closest(".strip")) event.target.closest(".strip").classList.toggle("big"); show(); }
}));
document.getElementById("which").addEventListener("change", () => { here = -1; show(); });
document.getElementById("group").addEventListener("change", () => { here = -1; show(); });

document.getElementById("save").addEventListener("click", () => {
  const known = new Set(cards.map(card => card.dataset.key));
  const own = Object.fromEntries(Object.entries(marks).filter(([key]) => known.has(key)));
  const data = { run: info.run, sample: info.sample, seed: info.seed, counted: info.counted, marks: own };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 1) + "\n"], { type: "application/json" }));
  link.download = "marks.json";
  link.click();
});

document.getElementById("load").addEventListener("change", async event => {
  const file = event.target.files[0];
  try {
    const data = JSON.parse(await file.text());
    if (data.run !== info.run) throw new Error("these are marks of another run: " + data.run);
    Object.assign(marks, current(data.marks));
    keep();
  } catch (error) { alert(file.name + ": " + error.message); }
  event.target.value = "";
});

show();
