// The filters of the list, and two answers side by side. Works from disk: its data is the script questions.js.
// The state of the filters stands in the address behind #, as a query; a question's page is given it as `list`.
"use strict";

const room = window.ROOM;
const FIELDS = ["text", "model", "against", "outcome", "category", "topic", "sort"];

function parse(query) {
  const given = new URLSearchParams(query);
  const state = { marks: given.getAll("marks") };
  for (const name of FIELDS) state[name] = given.get(name) || "";
  return state;
}

function written(state) {
  const query = new URLSearchParams();
  for (const mark of state.marks) query.append("marks", mark);
  for (const name of FIELDS) if (state[name]) query.set(name, state[name]);
  return query.toString();
}

// The pairs of a question that a filter lets pass. A pair is [model, against, marks, value].
function pairsOf(question, state) {
  const model = state.model ? room.models.indexOf(state.model) : null;
  const against = state.against ? room.models.indexOf(state.against) : null;
  const wanted = state.marks.reduce((bits, mark) => bits | (1 << room.marks.indexOf(mark)), 0);
  return question.pairs.filter(([a, b, marks, value]) => {
    if (model !== null && a !== model && b !== model) return false;
    if (against !== null && (against === model || (a !== against && b !== against))) return false;
    if ((marks & wanted) !== wanted) return false;
    if (!state.outcome) return true;
    if (value === null) return false;
    const swapped = model !== null ? a !== model : against !== null && b !== against;
    const points = swapped ? 1 - value : value;
    return state.outcome === (points > 0.5 ? "wins" : points < 0.5 ? "loses" : "even");
  });
}

// Numbers of questions (from 1) in the order of the list, and how many of their pairs pass.
function listed(state) {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const bySomePair = state.marks.length || state.model || state.against || state.outcome;
  const found = [];
  let pairs = 0;
  room.questions.forEach((question, place) => {
    if (state.category && question.category !== state.category) return;
    if (state.topic && question.topic !== state.topic) return;
    const text = `${question.id} ${question.text}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) return;
    const passed = pairsOf(question, state);
    if (bySomePair && !passed.length) return;
    pairs += passed.length;
    found.push(place + 1);
  });
  if (state.sort) {
    const keys = new Map(found.map((number) => [number, sortKey(room.questions[number - 1], state.sort)]));
    found.sort((one, other) => keys.get(other) - keys.get(one) || one - other);
  }
  return { found, pairs };
}

function sortKey(question, by) {
  if (by === "spread") return question.spread === null ? -1 : question.spread;
  const bit = 1 << room.marks.indexOf(by);
  return question.pairs.filter((pair) => pair[2] & bit).length;
}

function indexPage(form) {
  const list = document.querySelector("ol.questions");
  const items = new Map([...list.children].map((item) => [Number(item.dataset.number), item]));
  const all = room.questions.reduce((sum, question) => sum + question.pairs.length, 0);
  const what = room.graded ? "graded answers" : "pairs";
  const links = new Map([...items].map(([number, item]) => [number, item.querySelector("a").getAttribute("href")]));

  function read() {
    const given = new FormData(form);
    const state = { marks: given.getAll("marks") };
    for (const name of FIELDS) state[name] = String(given.get(name) || "").trim();
    return state;
  }

  function show(state) {
    const { found, pairs } = listed(state);
    const shown = new Set(found);
    const query = written(state);
    for (const [number, item] of items) item.hidden = !shown.has(number);
    list.append(...found.map((number) => items.get(number)));
    for (const number of found) {
      const link = items.get(number).querySelector("a");
      link.href = links.get(number) + (query ? `#${new URLSearchParams({ list: query })}` : "");
    }
    document.getElementById("shown").textContent =
      `${found.length.toLocaleString("en")} of ${items.size.toLocaleString("en")} questions, ` +
      `${pairs.toLocaleString("en")} of ${all.toLocaleString("en")} ${what}`;
    return query;
  }

  function fill(state) {
    for (const box of form.querySelectorAll("[name=marks]")) box.checked = state.marks.includes(box.value);
    for (const name of FIELDS) if (form.elements[name]) form.elements[name].value = state[name];
  }

  function changed() {
    const query = show(read());
    history.replaceState(null, "", query ? `#${query}` : location.pathname + location.search);
  }

  function fromAddress() {
    if (document.getElementById(location.hash.slice(1))) return;
    fill(parse(location.hash.slice(1)));
    show(read());
  }

  form.hidden = false;
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(changed));
  window.addEventListener("hashchange", fromAddress);
  for (const link of document.querySelectorAll("a.filter")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      fill({ ...parse(""), model: link.dataset.model, against: link.dataset.against });
      changed();
      document.getElementById("questions").scrollIntoView();
    });
  }
  fromAddress();
}

function questionPage(number) {
  const question = room.questions[number - 1];
  const choice = document.getElementById("choice");
  const [left, right] = ["left", "right"].map((name) => document.getElementById(name));
  const answers = [...document.querySelectorAll("article.answer")];
  const verdicts = [...document.querySelectorAll("section.verdicts")];
  const box = document.querySelector(".answers");
  let list = "";

  function neighbours() {
    const { found } = listed(parse(list));
    const place = found.indexOf(number);
    const state = list ? `#${new URLSearchParams({ list })}` : "";
    document.getElementById("back").href = `../index.html${list ? `#${list}` : ""}`;
    if (place < 0) return;
    document.getElementById("place").textContent = `${place + 1} of ${found.length}${list ? " in the list" : ""}`;
    for (const [rel, there] of [["prev", found[place - 1]], ["next", found[place + 1]]]) {
      const link = document.querySelector(`a[rel=${rel}]`);
      if (there === undefined) {
        link.removeAttribute("href");
        link.setAttribute("aria-disabled", "true");
      } else {
        link.href = `${String(there).padStart(4, "0")}.html${state}`;
        link.removeAttribute("aria-disabled");
      }
    }
  }

  function show(a, b) {
    left.value = a;
    right.value = b;
    for (const answer of answers) {
      const place = answer.id.slice(1);
      answer.hidden = place !== a && place !== b;
      answer.style.order = place === a ? 1 : 2;
    }
    box.classList.toggle("two", a !== b);
    let met = false;
    for (const section of verdicts) {
      section.hidden = section.id !== `p${a}-${b}` && section.id !== `p${b}-${a}`;
      met = met || !section.hidden;
    }
    const apart = document.getElementById("apart");
    if (apart) apart.hidden = met || a === b;
  }

  function remember() {
    const query = new URLSearchParams();
    if (list) query.set("list", list);
    query.set("a", room.models[left.value]);
    query.set("b", room.models[right.value]);
    history.replaceState(null, "", `#${query}`);
  }

  function fromAddress() {
    const hash = location.hash.slice(1);
    const pair = /^p(\d+)-(\d+)$/.exec(hash);
    const given = new URLSearchParams(pair ? "" : hash);
    if (given.has("list")) list = given.get("list");
    neighbours();
    if (!choice) return;
    const there = new Set([...left.options].map((option) => option.value));
    const named = ["a", "b"].map((side) => String(room.models.indexOf(given.get(side))));
    const passed = pairsOf(question, parse(list)).concat(question.pairs).find((each) => each[1] >= 0);
    const first = passed ? [String(passed[0]), String(passed[1])] : [left.options[0].value, left.options[1].value];
    const wanted = pair ? [pair[1], pair[2]] : named;
    show(...(wanted.every((place) => there.has(place)) ? wanted : first));
  }

  if (choice) {
    choice.hidden = false;
    for (const side of [left, right]) {
      side.addEventListener("change", () => { show(left.value, right.value); remember(); });
    }
    document.getElementById("swap").addEventListener("click", () => { show(right.value, left.value); remember(); });
    for (const link of document.querySelectorAll("a.pair")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        const [, a, b] = /^#p(\d+)-(\d+)$/.exec(link.getAttribute("href"));
        show(a, b);
        remember();
        document.getElementById("choice").scrollIntoView();
      });
    }
    for (const link of document.querySelectorAll("a[href^='#m']")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        const a = link.getAttribute("href").slice(2);
        show(a, a === right.value ? left.value : right.value);
        remember();
        document.getElementById(`m${a}`).scrollIntoView();
      });
    }
  }
  window.addEventListener("hashchange", fromAddress);
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest("input, select, textarea, [tabindex]")) return;
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && document.querySelector(`a[rel=${rel}][href]`);
    if (link) link.click();
  });
  fromAddress();
}

if (room) {
  document.documentElement.classList.add("scripted");
  const form = document.getElementById("filters");
  if (form) indexPage(form);
  else if (document.body.dataset.number) questionPage(Number(document.body.dataset.number));
}
