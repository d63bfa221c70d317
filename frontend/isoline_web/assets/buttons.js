/* What small buttons do: cancel and retry a job (what comes of it arrives with the events), sign out. */
(function (isoline) {
  "use strict";

  isoline.actions ??= {};
  isoline.actions["cancel-job"] = async (id) => {
    if (await isoline.ask({ title: `Cancel job #${id}?`, text: "Jobs that wait for it are cancelled too.", yes: "Cancel it", danger: true })) await isoline.api.json(`/jobs/${id}/cancel`, {});
  };
  isoline.actions["sign-out"] = async () => {
    if (!(await isoline.ask({ title: "Sign out?", yes: "Sign out" }))) return;
    await fetch("/api/session", { method: "DELETE", headers: { "X-Requested-With": "isoline" } });
    location.assign("/login");
  };
  isoline.actions["retry-job"] = (id) => isoline.api.json(`/jobs/${id}/retry`, {});
})((globalThis.isoline ??= {}));
