/* Loss curves that grow while a committee trains; no round trip through Dash. */
(function (isoline) {
  "use strict";

  const MOST = 4000; // points kept per curve
  let page = null;

  class LossPage {
    constructor({ job, best }) {
      Object.assign(this, { job, best, since: -1, curves: [], busy: false, again: false });
    }

    async start() {
      for (let tries = 0; tries < 400; tries++) {
        this.graph = document.querySelector("#loss-graph .js-plotly-plot");
        if (this.graph?._fullLayout) break;
        await new Promise((resume) => setTimeout(resume, 50));
      }
      this.unlisten = isoline.jobs.listen((changes) => changes[this.job] && this.extend().catch(isoline.api.complain));
      this.unfollow = isoline.colours.follow(this.graph, () => this.restyle());
      await this.extend();
      this.restyle();
    }

    stop() {
      this.unlisten?.();
      this.unfollow?.();
    }

    style(name) {
      const valid = name.startsWith("validation");
      return { color: isoline.colours.variable(valid ? "accent" : "edge"), width: valid ? 1.5 : 1 };
    }

    /** Fetch what is new and lengthen the curves by it. */
    async extend() {
      if (this.busy) {
        this.again = true;
        return;
      }
      this.busy = true;
      try {
        const metrics = await isoline.api.json(`/jobs/${this.job}/metrics?since=${this.since}`);
        if (!metrics.step.length || !this.graph.isConnected) return;
        this.since = metrics.step.at(-1);
        const names = Object.keys(metrics).filter((name) => /^(train|validation)_\d+$/.test(name));
        const fresh = names.filter((name) => !this.curves.includes(name));
        if (fresh.length) {
          await Plotly.addTraces(this.graph, fresh.map((name) => ({ x: [], y: [], name: name.replace("_", " "), mode: "lines", line: this.style(name), hovertemplate: "%{y:.3g}" })));
          this.curves.push(...fresh);
        }
        const values = this.curves.map((name) => metrics[name] ?? []);
        await Plotly.extendTraces(this.graph, { x: values.map((y) => metrics.step.slice(0, y.length)), y: values }, this.curves.map((_, k) => k), MOST);
        this.say(metrics);
        this.mark();
      } finally {
        this.busy = false;
        if (this.again) {
          this.again = false;
          this.extend().catch(isoline.api.complain);
        }
      }
    }

    say(metrics) {
      const last = (name) => metrics[name]?.at(-1);
      const words = [`epoch ${isoline.words.count(this.since)}`];
      if (Number.isFinite(last("energy_rmse"))) words.push(`validation ${isoline.words.number(1000 * last("energy_rmse"), 2)} meV/atom`);
      if (Number.isFinite(last("force_rmse"))) words.push(`${isoline.words.number(last("force_rmse"), 3)} eV/Å`);
      document.getElementById("loss-now").textContent = words.join(" · ");
    }

    mark() {
      if (!this.best) return;
      const muted = isoline.colours.variable("muted");
      Plotly.relayout(this.graph, {
        shapes: [{ type: "line", x0: this.best, x1: this.best, y0: 0, y1: 1, yref: "paper", line: { color: muted, width: 1, dash: "dot" } }],
        annotations: [{ x: this.best, y: 1, yref: "paper", yanchor: "bottom", text: "best", showarrow: false, font: { size: 11, color: muted } }],
      });
    }

    restyle() {
      if (!this.graph?._fullLayout) return;
      const { variable } = isoline.colours;
      const axis = (name) => ({ [`${name}.tickfont.color`]: variable("muted"), [`${name}.title.font.color`]: variable("muted"), [`${name}.gridcolor`]: variable("line"), [`${name}.linecolor`]: variable("line"), [`${name}.tickcolor`]: variable("line") });
      Plotly.relayout(this.graph, { ...axis("xaxis"), ...axis("yaxis"), "hoverlabel.bgcolor": variable("surface-2"), "hoverlabel.font.color": variable("text") });
      if (this.curves.length) Plotly.restyle(this.graph, { "line.color": this.curves.map((name) => this.style(name).color) });
      this.mark();
    }
  }

  globalThis.dash_clientside = Object.assign({}, globalThis.dash_clientside, {
    loss: {
      start(settings) {
        page?.stop();
        page = null;
        if (settings?.job) {
          page = new LossPage(settings);
          page.start().catch(isoline.api.complain);
        }
        return globalThis.dash_clientside.no_update;
      },
    },
  });
})((globalThis.isoline ??= {}));
