/* The map page: one selection and one open structure, shared by map, table, histograms and 3D view. */
(function (isoline) {
  "use strict";

  let page = null; // the map page that is open, if one is

  class AtlasPage {
    /** settings: the data of dcc.Store "atlas", see pages/atlas.py */
    constructor(settings) {
      Object.assign(this, settings); // version, map, evaluation, channel, position, selection, tags
      this.generation = 0;
      this.review = new isoline.Review({
        version: this.version,
        position: () => this.pane.position,
        selection: () => this.selection,
        advance: () => this.step(1),
        repaint: () => this.repaintMarks(),
      });
      this.review.tags = [...(settings.tags ?? [])];
    }

    async start() {
      const stage = document.getElementById("map-stage");
      this.pane = new isoline.StructurePane(document.getElementById("structure"), this.version, this.evaluation);
      this.bind();
      isoline.table.begin({ version: this.version, evaluation: this.evaluation, selection: this.selection?.id, search: "" });
      this.map_view = await new isoline.PointMap(stage, {
        select: (outline) => this.outlined(outline),
        clear: () => this.clear(),
        pick: (row) => this.open(row).catch(isoline.api.complain),
        hover: (row) => this.hover(row),
      }).attach();
      await Promise.all([this.review.load(), this.showMap(this.map)]);
      await this.colour(this.channel);
      if (this.selection) await this.restoreSelection();
      if (this.position !== null) await this.open(this.position);
      isoline.colours.follow(this.map_view.stage, () => this.recolour());
      isoline.table.show({});
      await isoline.table.listen("rowClicked", (event) => event.data && this.open(event.data.position).catch(isoline.api.complain));
      await isoline.table.listen("cellMouseOver", (event) => event.data && this.map_view.ring("hover", event.data.position));
      await isoline.table.listen("cellMouseOut", () => this.map_view.ring("hover", -1));
      stage.dataset.ready = "true";
    }

    bind() {
      Object.assign(isoline.actions, {
        colour: (name) => this.colour(name),
        tool: (name) => {
          isoline.press("tool", name);
          this.map_view.tool(name);
        },
        method: (id) => this.showMap(Number(id)),
        reset: () => this.map_view.reset(),
        clear: () => this.clear(),
        next: () => this.step(1),
        previous: () => this.step(-1),
        accept: () => this.review.decide("accepted"),
        reject: () => this.review.decide("rejected"),
        "accept-all": () => this.review.decideAll("accepted"),
        "reject-all": () => this.review.decideAll("rejected"),
        "select-accepted": () => this.select({ decision: "accepted" }),
        lower: (shown) => {
          isoline.press("lower", shown);
          globalThis.dash_clientside.set_props("lower-shown", { data: shown });
        },
        tag: () => this.review.tag(),
        undo: () => this.review.undo(),
      });
    }

    async showMap(id) {
      if (!id) return;
      const { columns } = await isoline.api.columns(`/maps/${id}/points?version=${this.version}`);
      const pairs = columns[0], n = pairs.length / 2;
      const x = new Float32Array(n), y = new Float32Array(n);
      for (let i = 0; i < n; i++) {
        x[i] = pairs[2 * i];
        y[i] = pairs[2 * i + 1];
      }
      const { codes, mask } = this.map_view.cloud;
      this.map = id;
      this.map_view.forgetOutline();
      await this.map_view.setPoints(x, y);
      Object.assign(this.map_view.cloud, { codes, mask });
      this.map_view.redraw();
      isoline.legend.place(document.getElementById("map-legend"), this.map_view);
      isoline.press("method", id);
      globalThis.dash_clientside.set_props("map-now", { data: id });
      this.remember();
    }

    /** Colour by a channel; the last one asked for wins. */
    async colour(name) {
      const asked = ++this.generation;
      const query = this.evaluation ? `?evaluation=${this.evaluation}` : "";
      const { about, columns } = await isoline.api.columns(`/versions/${this.version}/channels/${encodeURIComponent(name)}${query}`);
      if (asked !== this.generation) return;
      this.channel = name;
      this.about = about;
      this.codes = columns[0];
      this.recolour();
      isoline.press("colour", name);
      globalThis.dash_clientside.set_props("channel-select", { value: name });
      this.remember();
    }

    recolour() {
      if (!this.about) return;
      let colours = isoline.colours.table(this.about.kind, this.about.labels.length);
      if (this.channel === "decision") {
        const [undecided, accepted, rejected] = [0, 1, 2].map((k) => isoline.colours.decisions().slice(3 * k, 3 * k + 3));
        colours.set(accepted, 0);
        colours.set(rejected, 3);
        colours.set(undecided, 3 * isoline.colours.MISSING);
      }
      this.map_view.setCodes(this.codes, colours);
      const legend = document.getElementById("map-legend");
      isoline.legend.draw(legend, this.about, colours, (rule) => this.select(rule).catch(isoline.api.complain));
      isoline.legend.place(legend, this.map_view);
    }

    repaintMarks() {
      if (this.channel === "decision" || this.channel.startsWith("tag:")) this.colour(this.channel).catch(isoline.api.complain);
    }

    async outlined(outline) {
      const rule = { ...outline, map: this.map };
      this.map_view.setMask(this.map_view.covered(outline)); // at once; the server's answer follows
      await this.select(rule, true).catch(isoline.api.complain);
    }

    /** Make a rule the selection; everything on the page follows. */
    async select(rule, drawn = false) {
      if (rule.range && this.evaluation) rule.range.evaluation = this.evaluation;
      const { id, n } = await isoline.api.json(`/versions/${this.version}/selections`, rule);
      if (!drawn) this.map_view.forgetOutline();
      this.selection = { id, n };
      const { columns } = await isoline.api.columns(`/selections/${id}/mask`);
      this.map_view.setMask(columns[0]);
      this.selected();
    }

    async restoreSelection() {
      const { columns } = await isoline.api.columns(`/selections/${this.selection.id}/mask`);
      this.map_view.setMask(columns[0]);
      this.selected(false);
    }

    clear() {
      if (!this.selection) return;
      this.selection = null;
      this.map_view.forgetOutline();
      this.map_view.setMask(null);
      this.selected();
    }

    selected(refill = true) {
      const chip = document.getElementById("selection-chip");
      chip.classList.toggle("hidden", !this.selection);
      if (this.selection) chip.querySelector("[data-part=n]").textContent = isoline.words.count(this.selection.n);
      document.getElementById("selection-said").textContent = this.selection ? `${this.selection.n} structures selected` : "Selection cleared";
      document.querySelector("[data-part=table-context]").textContent = this.selection
        ? `${isoline.words.count(this.selection.n)} of ${isoline.words.count(this.n)} · selection`
        : isoline.words.count(this.n);
      globalThis.dash_clientside.set_props("selection", { data: this.selection });
      if (refill) isoline.table.show({ selection: this.selection?.id });
      this.remember();
    }

    search(text) {
      this.searched = text;
      isoline.table.show({ search: text });
    }

    hover(row) {
      document.getElementById("map-stage").style.cursor = row >= 0 ? "pointer" : "";
    }

    async open(position) {
      const opened = this.pane.open(position);
      this.position = position;
      this.map_view.ring("focus", position);
      isoline.table.mark(position, true);
      document.querySelectorAll("[data-needs=structure]").forEach((button) => (button.disabled = false));
      await opened;
      this.remember();
      for (const step of [1, 2]) {
        isoline.table.find(position).then(async (node) => {
          if (!node) return;
          const grid = await globalThis.dash_ag_grid.getApiAsync("table");
          const next = grid.getDisplayedRowAtIndex(node.rowIndex + step);
          if (next?.data) this.pane.fetch(next.data.position).catch(() => {});
        });
      }
    }

    async step(by) {
      const next = await isoline.table.neighbour(this.pane.position, by);
      if (next !== null) await this.open(next);
    }

    /** Keep what is shown in the address, so that it can be sent to a colleague. */
    remember() {
      const query = new URLSearchParams();
      if (this.map) query.set("map", this.map);
      if (this.channel) query.set("colour", this.channel);
      if (this.evaluation) query.set("evaluation", this.evaluation);
      if (this.selection) query.set("sel", this.selection.id);
      if (this.position !== null && this.position !== undefined) query.set("id", this.position);
      history.replaceState(history.state, "", `/map/${this.version}?${query}`);
    }
  }

  globalThis.dash_clientside = Object.assign({}, globalThis.dash_clientside, {
    atlas: {
      start(settings) {
        const { no_update } = globalThis.dash_clientside;
        page?.map_view?.destroy();
        page = null;
        if (!settings?.map) return no_update;
        page = new AtlasPage(settings);
        page.start().catch(isoline.api.complain);
        return no_update;
      },
      colour(name) {
        if (page && name && page.channel !== name) page.colour(name).catch(isoline.api.complain);
        return globalThis.dash_clientside.no_update;
      },
      search(text) {
        if (page && (text ?? "") !== (page.searched ?? "")) page.search(text ?? "");
        return globalThis.dash_clientside.no_update;
      },
      evaluate(id, settings) {
        if (id && settings && Number(id) !== settings.evaluation) {
          const query = new URLSearchParams(location.search);
          query.set("evaluation", id);
          globalThis.dash_clientside.set_props("place", { href: `${location.pathname}?${query}` });
        }
        return globalThis.dash_clientside.no_update;
      },
      lower(shown) {
        document.getElementById("lower-table")?.classList.toggle("hidden", shown !== "table");
        document.getElementById("histograms")?.classList.toggle("hidden", shown !== "histograms");
        return globalThis.dash_clientside.no_update;
      },
    },
  });
})((globalThis.isoline ??= {}));
