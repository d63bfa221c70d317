/* The sign-in page. */
(function () {
  "use strict";

  const form = document.getElementById("sign-in");
  if (!form) return;

  /** Only addresses of our own pages: one slash, then not another. */
  function next() {
    const wanted = new URLSearchParams(location.search).get("next") ?? "/";
    return /^\/(?![/\\])/.test(wanted) ? wanted : "/";
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = document.getElementById("trouble");
    words.textContent = "";
    const body = JSON.stringify({ name: form.elements.name.value, password: form.elements.password.value });
    const response = await fetch("/api/session", { method: "POST", body, headers: { "Content-Type": "application/json", "X-Requested-With": "isoline" } });
    if (response.ok) return location.replace(next());
    const problem = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
    words.textContent = `${problem.detail}. ${problem.hint ?? ""}`;
    form.elements.password.select();
  });
})();
