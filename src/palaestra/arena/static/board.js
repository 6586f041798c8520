// The leaderboard follows the votes: the server sends the table again when it has changed.

const board = document.getElementById("board");
const order = () => [...board.querySelectorAll("[data-model]")].map((row) => row.dataset.model);
const source = new EventSource("/api/leaderboard/events");
let shown = null;

source.addEventListener("board", (message) => {
  const { html, votes } = JSON.parse(message.data);
  if (html === shown) return;
  const first = shown === null;
  shown = html;
  if (first && !stale(votes)) return;  // the page came with this very table
  const before = order();
  const open = board.querySelector("details")?.open ?? false;
  board.innerHTML = html;
  const details = board.querySelector("details");
  if (details) details.open = open;
  board.dataset.votes = votes;
  order().forEach((model, index) => {
    if (before[index] !== model) board.querySelectorAll("[data-model]")[index].classList.add("moved-row");
  });
  document.getElementById("status").textContent = `The leaderboard was updated: ${votes} votes.`;
});

function stale(votes) {
  return Number(board.querySelector(".summary strong")?.textContent) !== votes;
}
