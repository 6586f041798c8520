// A turn while it is answered: takes the events of its stream and puts the changed blocks where they belong.
// EventSource reconnects by itself and says which event came last; events may be applied twice without harm.

const FINAL = new Set(["done", "stopped", "failed", "interrupted"]);

const WORDS = {
  waiting: "Both models are reading your message.",
  streaming: "Both answers are being written.",
  done: "Both answers are complete.",
  stopped: "Both answers were stopped.",
  failed: "There is nothing to compare. You can ask again.",
  interrupted: "The answers were interrupted. You can ask again.",
  lost: "The arena cannot be reached. Reload the page to go on where you were.",
};

const PATIENCE = 20;  // how often a connection is tried again

/** Show a turn's state in words; returns them. */
export function show(turn, state) {
  turn.dataset.state = state;
  turn.querySelector(".words").textContent = WORDS[state];
  return WORDS[state];
}

/** Whether both sides have something to compare. */
export const comparable = (turn) =>
  [...turn.querySelectorAll(".text")].every((text) => text.textContent.trim() !== "") &&
  !["failed", "interrupted", "lost"].includes(turn.dataset.state);

function apply(answer, side) {
  const text = answer.querySelector(".text");
  for (const [index, html] of side.blocks) {
    while (text.children.length <= index) text.append(document.createElement("div"));
    text.children[index].innerHTML = html;
  }
  while (text.children.length > side.count) text.lastElementChild.remove();
  answer.querySelector(".failed").hidden = !side.failed;
}

const atEnd = () => innerHeight + scrollY >= document.body.scrollHeight - 80;

/** Watch a turn to its end. `changed(state, words)` is called for each new state. */
export function watch(turn, changed) {
  let state = "";
  let lost = 0;
  const enter = (next) => {
    if (next === state) return;
    state = next;
    changed(state, show(turn, state));
  };
  const connect = () => {
    const source = new EventSource(turn.dataset.events);
    source.onmessage = (message) => {
      lost = 0;
      const event = JSON.parse(message.data);
      const follow = atEnd();
      for (const side of ["a", "b"]) apply(turn.querySelector(`[data-side="${side}"]`), event[side]);
      if (FINAL.has(event.state)) source.close();
      enter(event.state);
      if (follow) scrollTo({ top: document.body.scrollHeight });
    };
    source.onerror = () => {
      lost += 1;
      if (lost > PATIENCE) { source.close(); enter("lost"); return; }
      // an answer with an error ends the EventSource for good: a new one begins anew, and gets the whole turn
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, Math.min(500 * lost, 3000));
    };
  };
  enter("waiting");
  connect();
}
