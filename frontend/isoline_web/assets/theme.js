/* Loaded in the head, before anything is painted: the theme that was chosen last, or the system's. */
(function () {
  "use strict";

  const root = document.documentElement;
  if (root.hasAttribute("data-mantine-color-scheme") && root.getAttribute("data-mantine-color-scheme") !== "loading") return;
  const chosen = localStorage.getItem("mantine-color-scheme-value") ?? "auto";
  const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
