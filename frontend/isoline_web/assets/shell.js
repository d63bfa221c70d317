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
        document.getElementById("page")?.scrollTo(0, 0);
        return globalThis.dash_clientside.no_update;
      },
      open(clicks) {
        return clicks ? true : globalThis.dash_clientside.no_update;
      },
      open_sheet(_, opened) {
        return !opened;
      },
    },
  });
  /** Figures drawn on the server follow the theme through dcc.Store "theme". */
  async function tellTheme() {
    while (!globalThis.dash_clientside?.set_props || !document.getElementById("page")) await new Promise((resume) => setTimeout(resume, 50));
    globalThis.dash_clientside.set_props("theme", { data: isoline.colours.theme() });
  }

  document.addEventListener("DOMContentLoaded", () => {
    isoline.colours.follow(document.documentElement, tellTheme);
    tellTheme();
  });
})((globalThis.isoline ??= {}));
