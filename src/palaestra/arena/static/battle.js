// A battle: send, watch, stop, ask again, vote, reveal. The server is asked for everything; nothing is known here
// that the page does not show.

import { offerCopies } from "./copy.js";
import { comparable, show, watch } from "./stream.js";

const $ = (id) => document.getElementById(id);
const arena = $("arena"), turns = $("turns"), form = $("composer"), message = $("message");
const votes = $("votes"), trouble = $("trouble"), stop = $("stop"), regenerate = $("regenerate"), send = $("send");
const DRAFT = "draft";
const GLIDE = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
let busy = false;

const last = () => turns.lastElementChild;
const answering = () => ["waiting", "streaming"].includes(last()?.dataset.state);
const voted = () => arena.dataset.state === "voted";
const say = (words) => { $("status").textContent = words; };

function complain(words) {
  trouble.textContent = words;
  trouble.hidden = !words;
}

/** Call the server; an answer that is an error becomes an exception with its words. */
async function call(path, body = {}) {
  let response;
  try {
    response = await fetch(`/api/${path}`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The arena cannot be reached. Your text is kept; try again.");
  }
  const data = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(data.error?.message ?? `The arena answered with status ${response.status}. Try again.`);
  return data;
}

/** Do one thing at a time, and show what went wrong. */
async function attempt(action) {
  if (busy) return;
  busy = true;
  complain("");
  refresh();
  try { await action(); } catch (error) { complain(error.message); } finally { busy = false; refresh(); }
}

/** Show what can be done now. */
function refresh() {
  const turn = last();
  const open = Boolean(turn) && !voted();
  votes.hidden = !(open && comparable(turn));
  for (const button of votes.children) button.disabled = busy;
  stop.hidden = !(open && answering());
  regenerate.hidden = !(open && !answering()) || turn.dataset.state === "lost";
  regenerate.textContent = turn && !comparable(turn) ? "Try again" : "Ask again";
  send.disabled = busy || answering() || (open && !comparable(turn));
  message.placeholder = open ? "Go on, or vote…" : "Ask both models…";
  $("dock").hidden = voted();
}

function follow(turn) {
  watch(turn, (state, words) => {
    if (state !== "waiting") say(state === "done" ? `${words} You can vote now.` : words);
    if (!answering()) offerCopies(turn);
    refresh();
  });
  const observer = new MutationObserver(refresh);  // the votes open when both sides have their first words
  observer.observe(turn, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });
}

function place(begun, replaces) {
  arena.dataset.battle = begun.battle;
  arena.dataset.state = "open";
  arena.classList.replace("empty", "going");
  history.replaceState(null, "", `/battle/${begun.battle}`);
  replaces?.remove();
  turns.insertAdjacentHTML("beforeend", begun.turn.html);
  const turn = last();
  follow(turn);
  turn.scrollIntoView({ block: "start", behavior: GLIDE });
}

/** Send a prompt. What stands in the box leaves it at once, and comes back before anything typed since if sending fails. */
const submit = (prompt, typed) => attempt(async () => {
  if (!prompt.trim()) throw new Error("The message is empty. Write something for the models to answer.");
  if (typed) message.value = "";
  try {
    place(await call(last() ? `turns/${last().dataset.turn}/next` : "battles", { prompt }));
  } catch (error) {
    if (typed) message.value = [prompt, message.value].filter(Boolean).join("\n");
    keepDraft();
    throw error;
  }
  keepDraft();
});

const halt = () => attempt(async () => { await call(`turns/${last().dataset.turn}/stop`); });

const again = () => attempt(async () => {
  const turn = last();
  place(await call(`turns/${turn.dataset.turn}/regenerate`), turn);
});

const vote = (choice) => attempt(async () => {
  const turn = `turns/${last().dataset.turn}`;
  if (answering()) await call(`${turn}/stop`);
  const { reveal, html } = await call(`${turn}/vote`, { choice });
  arena.dataset.state = "voted";
  for (const name of turns.querySelectorAll(".answer .name")) {
    name.textContent = reveal[name.closest(".answer").dataset.side].model;
  }
  $("reveal").innerHTML = html;
  say(`${$("reveal-title").textContent}. A was ${reveal.a.model}, B was ${reveal.b.model}.`);
  $("reveal-title").focus({ preventScroll: true });
  const whole = $("reveal").offsetHeight < innerHeight;
  $("reveal").scrollIntoView({ block: whole ? "center" : "start", behavior: GLIDE });
});

function keepDraft() {
  try { message.value ? localStorage.setItem(DRAFT, message.value) : localStorage.removeItem(DRAFT); } catch { /* private window */ }
}

form.addEventListener("submit", (event) => { event.preventDefault(); if (!send.disabled) submit(message.value, true); });
message.addEventListener("input", keepDraft);
message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
});
stop.addEventListener("click", halt);
regenerate.addEventListener("click", again);
votes.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) vote(button.dataset.choice);
});
$("ideas").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) submit(button.textContent, false);
});
$("help").addEventListener("click", () => $("keys").showModal());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !stop.hidden && !$("keys").open) { halt(); return; }
  // a dialog just closed keeps the focus until the next frame: what counts is whether one is open
  const typing = event.target.closest?.("input, textarea, select, dialog[open]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const choice = votes.hidden ? null : votes.children["1234".indexOf(event.key)];
  if (choice && "1234".includes(event.key)) vote(choice.dataset.choice);
  else if (event.key === "?") $("keys").showModal();
  else if (event.key.toLowerCase() === "n" && voted()) location.assign("/");
});

for (const turn of turns.children) {
  show(turn, turn.dataset.state);
  offerCopies(turn);
  if ("live" in turn.dataset) follow(turn);
}
if (!arena.dataset.battle) {
  try { message.value = localStorage.getItem(DRAFT) ?? ""; } catch { /* private window */ }
  message.focus();
}
refresh();
