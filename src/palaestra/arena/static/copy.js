// Copy buttons: one beside each answer, one on each block of code (added here, since answers come without buttons).

const told = new WeakMap();

async function copy(button, text) {
  let word = "Copied";
  try { await navigator.clipboard.writeText(text); } catch { word = "Not copied"; }
  const label = button.firstChild;
  const before = told.get(button)?.before ?? label.textContent;
  clearTimeout(told.get(button)?.timer);
  label.textContent = word;
  told.set(button, { before, timer: setTimeout(() => { label.textContent = before; told.delete(button); }, 1500) });
}

export function offerCopies(turn) {
  for (const code of turn.querySelectorAll(".text .code:not(:has(.copy))")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy quiet";
    button.dataset.copy = "code";
    button.append("Copy", Object.assign(document.createElement("span"), { className: "unseen", textContent: " code" }));
    code.append(button);
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const scope = button.closest(button.dataset.copy === "code" ? ".code" : ".answer");
  const text = scope.querySelector(button.dataset.copy === "code" ? "pre" : ".text");
  text.classList.add("copying");  // labels and buttons are no part of the text; innerText leaves out what is not shown
  const words = text.innerText.trim();
  text.classList.remove("copying");
  copy(button, words);
});
