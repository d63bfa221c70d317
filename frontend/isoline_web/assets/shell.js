/* Header and rail: where we are, which theme, what runs. */
(function (isoline) {
  "use strict";

  const HERE = [["library", /^\/($|datasets)/], ["import", /^\/import/], ["map", /^\/map/], ["accuracy", /^\/accuracy/], ["models", /^\/models/], ["jobs", /^\/jobs/]];

  globalThis.dash_clientside = Object.assign({}, globalThis.dash_clientside, {
    shell: {
      mark_place(path) {
        for (const [name, pattern] of HERE) {
          const link = document.getElementById("rail-" + name);
          if (!link) continue;
          if (pattern.test(path)) link.setAttribute("aria-current", "page");
          else link.removeAttribute("aria-current");
        }
        return globalThis.dash_clientside.no_update;
      },
      name_page(title) {
        if (title) document.title = title;
        document.getElementById("page").scrollTop = 0;
        return globalThis.dash_clientside.no_update;
      },
      follow_theme(scheme) {
        return scheme === "dark" ? "dark" : "light";
      },
      open(clicks) {
        return clicks ? true : globalThis.dash_clientside.no_update;
      },
      open_sheet(_, opened) {
        return !opened;
      },
    },
  });
})((globalThis.isoline ??= {}));
