/* A canvas of points under a Plotly graph: Plotly keeps axes, lasso, pan and zoom; the points are ours. */
(function (isoline) {
  "use strict";

  const SMALL = 8000; // up to here every point is a disc of its own
  const PICK_REACH = 9; // CSS pixels
  const MOVED = 4; // a click is a press that moved less than this

  class PointMap {
    /**
     * stage     element holding a <canvas>, a dcc.Graph and two .ring elements
     * handlers  {select(outline), clear(), pick(row), hover(row), diagonal}; outline is {polygon} or {box} in data units
     */
    constructor(stage, handlers) {
      this.stage = stage;
      this.handlers = handlers;
      this.canvas = stage.querySelector("canvas");
      this.rings = { hover: stage.querySelector(".ring.hover"), focus: stage.querySelector(".ring.focus") };
      this.shown = { hover: -1, focus: -1 };
      this.cloud = { x: new Float32Array(0), y: new Float32Array(0), codes: null, mask: null };
      this.index = null;
      this.colours = null;
      this.pressed = false;
      this.asked = 0;
    }

    /** Wait for Plotly to have drawn, then listen. */
    async attach() {
      for (let tries = 0; tries < 600; tries++) {
        this.graph = this.stage.querySelector(".js-plotly-plot");
        if (this.graph && this.graph._fullLayout && this.graph.on) break;
        await new Promise((resume) => setTimeout(resume, 50));
      }
      for (const event of ["plotly_relayouting", "plotly_relayout", "plotly_afterplot"]) this.graph.on(event, () => this.redraw());
      this.graph.on("plotly_selected", (event) => this.outlined(event));
      this.graph.on("plotly_deselect", () => this.handlers.clear());
      this.listen();
      this.resizing = new ResizeObserver(() => this.redraw());
      this.resizing.observe(this.stage);
      this.unfollow = isoline.colours.follow(this.graph, () => this.restyle());
      this.restyle();
      return this;
    }

    destroy() {
      this.resizing?.disconnect();
      this.unfollow?.();
    }

    listen() {
      this.stage.addEventListener("pointerdown", (down) => {
        if (down.button !== 0 || down.target.closest("button, .legend, .selection-chip")) return;
        this.pressed = true;
        let moved = 0;
        const move = (event) => {
          moved = Math.max(moved, Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY));
        };
        // Plotly lays a cover over the whole window while a hand drags, so the rest is heard there.
        window.addEventListener("pointermove", move, true);
        window.addEventListener("pointerup", (up) => {
          window.removeEventListener("pointermove", move, true);
          this.pressed = false;
          this.redraw();
          const row = moved < MOVED ? this.at(up) : -1;
          if (row >= 0) this.handlers.pick(row);
        }, { capture: true, once: true });
      }, true);
      this.stage.addEventListener("pointermove", (event) => {
        if (this.pressed) return this.ring("hover", -1);
        const row = this.at(event);
        this.ring("hover", row);
        this.handlers.hover?.(row);
      });
      this.stage.addEventListener("pointerleave", () => {
        this.ring("hover", -1);
        this.handlers.hover?.(-1);
      });
    }

    /** pixel = data · s + t, in CSS pixels of the stage; the only place that reads Plotly's private layout. */
    view() {
      const { xaxis, yaxis } = this.graph._fullLayout;
      const [x0, x1] = xaxis.range.map(Number), [y0, y1] = yaxis.range.map(Number);
      const sx = xaxis._length / (x1 - x0), sy = -yaxis._length / (y1 - y0);
      return {
        sx, tx: xaxis._offset - x0 * sx, sy, ty: yaxis._offset + yaxis._length - y0 * sy,
        left: xaxis._offset, top: yaxis._offset, width: xaxis._length, height: yaxis._length,
      };
    }

    at(event) {
      if (!this.index || !this.graph?._fullLayout) return -1;
      const box = this.stage.getBoundingClientRect(), view = this.view();
      const px = event.clientX - box.left, py = event.clientY - box.top;
      return this.index.nearest((px - view.tx) / view.sx, (py - view.ty) / view.sy, PICK_REACH / Math.abs(view.sx), PICK_REACH / Math.abs(view.sy));
    }

    setPoints(x, y, ranges) {
      this.cloud = { x, y, codes: null, mask: null };
      this.index = new isoline.points.Index(x, y);
      const margin = ([low, high], share) => {
        const width = high - low || 1;
        return [low - share * width, high + share * width];
      };
      // A little more room above and below, where selection and legend stand.
      this.home = ranges ?? [margin(isoline.points.extent(x), 0.06), margin(isoline.points.extent(y), 0.12)];
      this.sparse = null;
      return this.reset();
    }

    reset() {
      if (!this.home) return undefined;
      return Plotly.relayout(this.graph, { "xaxis.range": [...this.home[0]], "yaxis.range": [...this.home[1]] });
    }

    /** codes may be null: then colour says how dense the points lie. */
    setCodes(codes, colours) {
      this.cloud.codes = codes;
      this.colours = colours;
      this.redraw();
    }

    setMask(mask) {
      this.cloud.mask = mask;
      this.redraw();
    }

    tool(name) {
      return Plotly.relayout(this.graph, { dragmode: { lasso: "lasso", box: "select", pan: "pan" }[name] });
    }

    forgetOutline() {
      if (this.graph?._fullLayout?.selections?.length) Plotly.relayout(this.graph, { selections: [] });
    }

    outlined(event) {
      if (!event) return;
      if (event.lassoPoints) this.handlers.select({ polygon: event.lassoPoints.x.map((u, k) => [u, event.lassoPoints.y[k]]) });
      else if (event.range) this.handlers.select({ box: [Math.min(...event.range.x), Math.max(...event.range.x), Math.min(...event.range.y), Math.max(...event.range.y)] });
    }

    /** Which points lie in an outline: the same answer as the server's, at once. */
    covered(outline) {
      const { x, y } = this.cloud;
      const [px, py] = outline.polygon
        ? [outline.polygon.map((p) => p[0]), outline.polygon.map((p) => p[1])]
        : [[outline.box[0], outline.box[1], outline.box[1], outline.box[0]], [outline.box[2], outline.box[2], outline.box[3], outline.box[3]]];
      return isoline.points.inside(x, y, px, py);
    }

    ring(kind, row) {
      this.shown[kind] = row;
      const ring = this.rings[kind];
      if (!ring) return;
      ring.style.display = row < 0 || row >= this.cloud.x.length || !Number.isFinite(this.cloud.x[row]) ? "none" : "block";
      if (row < 0 || !this.graph?._fullLayout) return;
      const view = this.view();
      const u = this.cloud.x[row] * view.sx + view.tx, v = this.cloud.y[row] * view.sy + view.ty;
      const outside = u < view.left || u > view.left + view.width || v < view.top || v > view.top + view.height;
      if (outside) ring.style.display = "none";
      ring.style.transform = `translate(${u}px,${v}px)`;
    }

    restyle() {
      const accent = isoline.colours.variable("accent"), muted = isoline.colours.variable("muted"), line = isoline.colours.variable("line");
      const axis = (name) => ({ [`${name}.tickfont.color`]: muted, [`${name}.title.font.color`]: muted, [`${name}.gridcolor`]: line, [`${name}.linecolor`]: line, [`${name}.tickcolor`]: line });
      Plotly.relayout(this.graph, { "newselection.line.color": accent, ...axis("xaxis"), ...axis("yaxis") });
      this.redraw();
    }

    redraw() {
      if (this.asked) return;
      this.asked = requestAnimationFrame(() => {
        this.asked = 0;
        this.draw();
      });
    }

    draw() {
      if (!this.graph?._fullLayout || !this.stage.isConnected) return;
      const dpr = Math.min(2, window.devicePixelRatio || 1);
      const width = Math.max(1, Math.round(this.stage.clientWidth * dpr)), height = Math.max(1, Math.round(this.stage.clientHeight * dpr));
      if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
      const context = this.canvas.getContext("2d");
      context.clearRect(0, 0, width, height);
      if (!this.cloud.x.length || !this.colours) return;
      const view = this.view();
      context.save();
      context.beginPath();
      context.rect(view.left * dpr, view.top * dpr, view.width * dpr, view.height * dpr);
      context.clip();
      const scaled = { sx: view.sx * dpr, tx: view.tx * dpr, sy: view.sy * dpr, ty: view.ty * dpr };
      scaled.frame = [view.left, view.left + view.width, view.top, view.top + view.height].map((edge) => Math.round(edge * dpr));
      scaled.frame = [Math.max(0, scaled.frame[0]), Math.min(width, scaled.frame[1]), Math.max(0, scaled.frame[2]), Math.min(height, scaled.frame[3])];
      const rest = { rgb: isoline.colours.rgb(isoline.colours.variable("point-rest")), alpha: Number(isoline.colours.variable("rest-alpha")) };
      if (this.cloud.x.length <= SMALL) this.discs(context, scaled, rest, dpr);
      else this.pixels(context, width, height, scaled, rest, dpr);
      if (this.handlers.diagonal) this.diagonal(context, scaled, dpr);
      context.restore();
      this.ring("focus", this.shown.focus);
      this.ring("hover", this.shown.hover);
    }

    /** Few points: discs, selected ones and high values on top. */
    discs(context, view, rest, dpr) {
      const { x, y, mask } = this.cloud;
      const codes = this.cloud.codes ?? (this.sparse ??= isoline.points.density(x, y));
      const n = x.length;
      const radius = dpr * (n <= 400 ? 4.2 : n <= 1500 ? 3.2 : n <= 4000 ? 2.4 : 1.8);
      const order = Array.from({ length: n }, (_, i) => i);
      const missing = isoline.colours.MISSING;
      const height = (i) => (codes[i] === missing ? -1 : codes[i]);
      order.sort((a, b) => (mask ? mask[a] - mask[b] : 0) || height(a) - height(b));
      const surface = isoline.colours.variable("surface");
      // Solid, so that overlapping unselected points do not add up to something that looks selected.
      const paper = isoline.colours.rgb(surface), grey = `rgb(${paper.map((v, k) => Math.round(v + rest.alpha * (rest.rgb[k] - v)))})`;
      for (const i of order) {
        const u = x[i] * view.sx + view.tx, v = y[i] * view.sy + view.ty;
        if (!Number.isFinite(u + v)) continue;
        const chosen = !mask || mask[i];
        context.beginPath();
        context.arc(u, v, radius, 0, 2 * Math.PI);
        context.fillStyle = chosen ? isoline.colours.css(this.colours, codes[i]) : grey;
        context.fill();
        if (chosen && n <= 1500) {
          context.lineWidth = 0.8 * dpr;
          context.strokeStyle = surface;
          context.stroke();
        }
      }
    }

    /** The line where both axes are equal. */
    diagonal(context, view, dpr) {
      const [left, right] = view.frame, at = (u) => ((u - view.tx) / view.sx) * view.sy + view.ty;
      context.beginPath();
      context.moveTo(left, at(left));
      context.lineTo(right, at(right));
      context.lineWidth = dpr;
      context.globalAlpha = 0.7;
      context.strokeStyle = isoline.colours.variable("muted");
      context.stroke();
      context.globalAlpha = 1;
    }

    pixels(context, width, height, view, rest, dpr) {
      const n = this.cloud.x.length;
      const stride = this.pressed && n > 400000 ? 3 : 1;
      const radius = n <= 150000 ? dpr : 0;
      const image = context.createImageData(width, height);
      isoline.points.splat(image.data, width, height, this.cloud, view, this.colours, rest, radius, stride);
      context.putImageData(image, 0, 0);
    }
  }

  isoline.PointMap = PointMap;
})((globalThis.isoline ??= {}));
