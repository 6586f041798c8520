// A prompt's leaderboard: the server draws it, this puts it in its place.

const form = document.getElementById("ask");
const box = document.getElementById("prompt");
const trouble = document.getElementById("trouble");
const status = document.getElementById("status");
let asked = 0;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const mine = ++asked;
  const say = (text) => { trouble.textContent = text; trouble.hidden = !text; };
  say("");
  status.textContent = "Looking at the prompt.";
  try {
    const response = await fetch("/api/prompt", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: box.value }),
    });
    const answer = await response.json();
    if (mine !== asked) return;  // a later prompt is under way
    if (!response.ok) throw new Error(answer.error.message);
    document.getElementById("prompt-board").innerHTML = answer.html;
    status.textContent = `The leaderboard of this prompt is shown. First: ${answer.models[0].model}.`;
  } catch (error) {
    if (mine !== asked) return;
    say(error instanceof TypeError ? "The arena cannot be reached." : error.message);
    status.textContent = "";
  }
});

box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
