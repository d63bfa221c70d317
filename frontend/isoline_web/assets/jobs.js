/* Cancel and retry; what comes of it arrives with the events. */
(function (isoline) {
  "use strict";

  isoline.actions ??= {};
  isoline.actions["cancel-job"] = async (id) => {
    if (await isoline.ask({ title: `Cancel job #${id}?`, text: "Jobs that wait for it are cancelled too.", yes: "Cancel it", danger: true })) await isoline.api.json(`/jobs/${id}/cancel`, {});
  };
  isoline.actions["retry-job"] = (id) => isoline.api.json(`/jobs/${id}/retry`, {});
})((globalThis.isoline ??= {}));
