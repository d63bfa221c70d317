/* Live progress of jobs: one stream feeds the header, the page and the loss curves. */
(function (isoline) {
  "use strict";

  const PAUSE = 600; // ms between two deliveries to the page
  const ENDED = ["done", "failed", "cancelled"];
  const jobs = new Map();
  const pending = new Map();
  const listeners = new Set();
  let timer = 0;

  function deliver() {
    timer = 0;
    const changes = Object.fromEntries(pending);
    pending.clear();
    globalThis.dash_clientside?.set_props?.("job-changes", { data: changes });
    listeners.forEach((listen) => listen(changes));
  }

  function take(job, quiet = false) {
    const before = jobs.get(job.id);
    jobs.set(job.id, job);
    chip();
    if (quiet) return;
    paint(job);
    pending.set(job.id, job);
    timer ||= setTimeout(deliver, PAUSE);
    if (before && !ENDED.includes(before.state) && ENDED.includes(job.state)) announce(job);
  }

  /** Progress bars move at once; everything else waits for the page's own answer. */
  function paint(job) {
    document.querySelectorAll(`[data-job="${job.id}"]`).forEach((card) => {
      const bar = card.querySelector(".progress > span");
      if (bar) bar.style.width = `${100 * job.progress}%`;
      const message = card.querySelector("[data-part=message]");
      if (message) message.textContent = job.message;
    });
  }

  function announce(job) {
    const words = { done: "Done", failed: "Failed", cancelled: "Cancelled" }[job.state];
    const colour = job.state === "failed" ? "red" : job.state === "done" ? "green" : "gray";
    isoline.api.say(`${words}: ${job.title}`, job.error ? job.error.message : "", { colour, id: `job-${job.id}`, keep: job.state === "failed" });
  }

  function chip() {
    const host = document.getElementById("job-chip");
    if (!host) return;
    const active = [...jobs.values()].filter((job) => !ENDED.includes(job.state));
    const running = active.find((job) => job.state === "running") ?? active[0];
    const { element } = isoline.words;
    host.replaceChildren();
    host.removeAttribute("aria-label");
    if (!running) return host.append(element("span", "sr", "No job under way"));
    host.append(element("span", `dot ${running.state}`), element("b", "", active.length === 1 ? "1 job" : `${active.length} jobs`), element("span", "muted", `${running.title} ${Math.round(100 * running.progress)} %`));
    host.setAttribute("aria-label", `${active.length} jobs under way: ${running.title}`);
  }

  async function start() {
    while (!document.getElementById("job-chip") || !globalThis.dash_clientside?.set_props) await new Promise((resume) => setTimeout(resume, 100));
    const catchUp = async () => {
      for (const job of await isoline.api.json("/jobs?limit=50")) {
        const known = jobs.get(job.id);
        take(job, known === undefined || JSON.stringify(known) === JSON.stringify(job));
      }
    };
    const source = new EventSource("/api/events");
    source.addEventListener("open", () => catchUp().catch(() => {})); // also after a lost connection
    source.addEventListener("job", (event) => take(JSON.parse(event.data)));
    window.addEventListener("pagehide", () => source.close());
  }

  isoline.jobs = { all: jobs, ENDED, listen: (listener) => (listeners.add(listener), () => listeners.delete(listener)) };
  if (typeof document !== "undefined") start();
})((globalThis.isoline ??= {}));
