// The theme: the system's, or the reader's choice. Loaded before the page is drawn, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const set = (theme) => { if (theme) root.dataset.theme = theme; else delete root.dataset.theme; };
  set(kept());
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const next = { "": "light", light: "dark", dark: "" };
    const name = { "": "Auto", light: "Light", dark: "Dark" };
    const label = () => {
      const now = root.dataset.theme ?? "";
      button.textContent = name[now];
      button.setAttribute("aria-label", `Theme: ${name[now]}. Change it.`);
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      const theme = next[root.dataset.theme ?? ""];
      set(theme);
      try { theme ? localStorage.setItem("theme", theme) : localStorage.removeItem("theme"); } catch { /* private window */ }
      label();
    });
  });
})();
