/* The sign-in page. */
(function () {
  "use strict";

  /** Where to go once signed in: `wanted`, if it is of our own pages once the browser has read it. */
  function next(wanted, origin) {
    try {
      const address = new URL(wanted ?? "/", origin);
      return address.origin === origin ? address.href : "/";
    } catch {
      return "/";
    }
  }

  if (typeof module !== "undefined") module.exports = { next };

  const form = globalThis.document?.getElementById("sign-in");
  if (!form) return;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = document.getElementById("trouble");
    words.textContent = "";
    const body = JSON.stringify({ name: form.elements.name.value, password: form.elements.password.value });
    const response = await fetch("/api/session", { method: "POST", body, headers: { "Content-Type": "application/json", "X-Requested-With": "isoline" } });
    if (response.ok) return location.replace(next(new URLSearchParams(location.search).get("next"), location.origin));
    const problem = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
    words.textContent = `${problem.detail}. ${problem.hint ?? ""}`;
    form.elements.password.select();
  });
})();
