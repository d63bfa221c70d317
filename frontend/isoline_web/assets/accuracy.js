/* The accuracy page: parity plots of any size that share one selection; every mark opens its structure. */
(function (isoline) {
  "use strict";

  let page = null;

  const log10 = (values) => Float32Array.from(values, (v) => (v > 0 ? Math.log10(v) : NaN));

  class AccuracyPage {
    constructor(settings) {
      Object.assign(this, settings); // evaluation, version, n, position
      this.plots = {};
      this.rows = {}; // structure of every point
    }

    async start() {
      this.pane = new isoline.StructurePane(document.getElementById("structure"), this.version, this.evaluation);
      Object.assign(isoline.actions, {
        clear: () => this.clear(),
        grouping: (by) => {
          isoline.press("grouping", by);
          globalThis.dash_clientside.set_props("grouping", { data: by });
        },
        spread: (shown) => this.showSpread(shown),
      });
      await Promise.all([...["energy", "forces", "stress"].map((name) => this.parity(name)), this.spread()].map((work) => work.catch(isoline.api.complain)));
      if (this.position !== null) this.open(this.position).catch(isoline.api.complain);
      document.querySelector(".accuracy").dataset.ready = "true";
    }

    plot(id, handlers) {
      return new isoline.PointMap(document.getElementById(id), { select() {}, clear: () => this.clear(), diagonal: true, ...handlers }).attach();
    }

    async parity(name) {
      const { about, columns } = await isoline.api.columns(`/evaluations/${this.evaluation}/parity/${name}`);
      const [x, y, rows] = columns;
      if (!x.length) return this.nothing(`parity-${name}`);
      const plot = await this.plot(`parity-${name}`, {
        pick: (point) => this.open(rows[point], name, point).catch(isoline.api.complain),
        select: (outline) => this.select(name, outline, about.origin ?? 0).catch(isoline.api.complain),
      });
      this.plots[name] = plot;
      this.rows[name] = rows;
      const [a, b] = [isoline.points.extent(x), isoline.points.extent(y)], origin = about.origin ?? 0;
      const low = Math.min(a[0], b[0]), high = Math.max(a[1], b[1]), pad = (high - low || 1) * 0.04;
      const range = [low - pad, high + pad];
      await plot.setPoints(x, y, [range, range]);
      if (origin) this.shiftTicks(plot, origin);
      this.shade(plot);
      isoline.colours.follow(plot.graph, () => this.shade(plot));
    }

    /** Energies may come less a large constant; the axes say so. */
    shiftTicks(plot, origin) {
      const words = `${origin < 0 ? "+" : "−"} ${isoline.words.number(Math.abs(origin), 3)}`;
      const title = (axis) => `${plot.graph.layout[axis].title.text} ${words}`;
      return globalThis.Plotly.relayout(plot.graph, { "xaxis.title.text": title("xaxis"), "yaxis.title.text": title("yaxis") });
    }

    async spread() {
      const { about, columns } = await isoline.api.columns(`/evaluations/${this.evaluation}/spread/forces`);
      const [spread, error, rows] = columns;
      if (!spread.some((value) => value > 0)) return this.nothing("spread-scatter");
      const plot = await this.plot("spread-scatter", { pick: (point) => this.open(rows[point], "spread", point).catch(isoline.api.complain) });
      this.plots.spread = plot;
      this.rows.spread = rows;
      const x = log10(spread), y = log10(error);
      const range = ([low, high]) => [low - 0.1, high + 0.1];
      const bounds = (values) => range(quantiles(values, 0.002, 1));
      await plot.setPoints(x, y, [bounds(x), bounds(y)]);
      this.shade(plot);
      isoline.colours.follow(plot.graph, () => this.shade(plot));
      const said = document.querySelector("[data-part=correlation]");
      if (about.correlation !== null) said.textContent = `ρ ${isoline.words.number(about.correlation, 2)}`;
      said.title = "Spearman's rank correlation: does a larger spread mean a larger error?";
    }

    shade(plot) {
      plot.setCodes(null, isoline.colours.table("sequential"));
    }

    nothing(id) {
      document.querySelector(`#${id} .no-points`).classList.remove("hidden");
      document.querySelector(`#${id} .plot`).classList.add("hidden");
    }

    showSpread(shown) {
      isoline.press("spread", shown);
      document.getElementById("spread-scatter").classList.toggle("hidden", shown !== "scatter");
      document.getElementById("spread-histogram").classList.toggle("hidden", shown === "scatter");
      if (shown !== "scatter") globalThis.dash_clientside.set_props("spread-shown", { data: shown });
      window.dispatchEvent(new Event("resize"));
    }

    async select(quantity, outline, origin) {
      const corners = outline.polygon ?? [[0, 2], [1, 2], [1, 3], [0, 3]].map(([i, j]) => [outline.box[i], outline.box[j]]);
      const polygon = corners.map(([u, v]) => [u + origin, v + origin]);
      const { id, n } = await isoline.api.json(`/versions/${this.version}/selections`, { parity: { evaluation: this.evaluation, quantity, polygon } });
      const { columns } = await isoline.api.columns(`/selections/${id}/mask`);
      for (const [name, plot] of Object.entries(this.plots)) {
        plot.setMask(Uint8Array.from(this.rows[name], (row) => columns[0][row]));
        if (name !== quantity) plot.forgetOutline();
      }
      this.tell(id);
      const chip = document.getElementById("selection-chip");
      chip.classList.remove("hidden");
      chip.querySelector("[data-part=n]").textContent = isoline.words.count(n);
      chip.querySelector("[data-part=to-map]").href = `/map/${this.version}?evaluation=${this.evaluation}&sel=${id}&colour=force_error`;
    }

    /** The table of errors follows the selection; a comparison of models gives way to it. */
    tell(selection) {
      const { set_props } = globalThis.dash_clientside;
      if (selection && document.querySelector('[data-act=grouping][aria-pressed=true]')?.dataset.value === "models") isoline.actions.grouping("role");
      set_props("parity-selection", { data: selection });
    }

    clear() {
      this.tell(null);
      for (const plot of Object.values(this.plots)) {
        plot.forgetOutline();
        plot.setMask(null);
      }
      document.getElementById("selection-chip").classList.add("hidden");
    }

    /** Open a structure and ring the point that was pressed. */
    async open(position, name, point) {
      for (const [other, plot] of Object.entries(this.plots)) plot.ring("focus", other === name ? point : this.rows[other].indexOf(position));
      await this.pane.open(position);
      history.replaceState(history.state, "", `/accuracy/${this.evaluation}?id=${position}`);
    }
  }

  function quantiles(values, low, high) {
    const sorted = Float32Array.from(values.filter(Number.isFinite)).sort();
    const at = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
    return sorted.length ? [at(low), at(high)] : [-3, 0];
  }

  globalThis.dash_clientside = Object.assign({}, globalThis.dash_clientside, {
    accuracy: {
      start(settings) {
        const { no_update } = globalThis.dash_clientside;
        Object.values(page?.plots ?? {}).forEach((plot) => plot.destroy());
        page = null;
        if (!settings?.evaluation) return no_update;
        page = new AccuracyPage(settings);
        page.start().catch(isoline.api.complain);
        return no_update;
      },
      choose(id, settings) {
        if (id && settings && Number(id) !== settings.evaluation) globalThis.dash_clientside.set_props("place", { href: `/accuracy/${id}` });
        return globalThis.dash_clientside.no_update;
      },
    },
  });
})((globalThis.isoline ??= {}));
