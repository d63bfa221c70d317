/* Atoms in three dimensions on a plain canvas: cell, bonds, forces, colours by element or by a number. */
(function (isoline) {
  "use strict";

  const SIZE = 0.46; // radius of a drawn atom in covalent radii
  const EDGE_PARTS = 10; // a cell edge is drawn in pieces so that atoms can hide parts of it
  const sprites = new Map();

  const turn = (angleX, angleY, m) => {
    const [cx, sx, cy, sy] = [Math.cos(angleX), Math.sin(angleX), Math.cos(angleY), Math.sin(angleY)];
    const rows = [
      [cy, 0, sy],
      [sx * sy, cx, -sx * cy],
      [-cx * sy, sx, cx * cy],
    ];
    return rows.map((row) => [0, 1, 2].map((k) => row[0] * m[0][k] + row[1] * m[1][k] + row[2] * m[2][k]));
  };
  const apply = (m, v) => m.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]);
  const mix = (colour, other, share) => colour.map((v, k) => Math.round(v + share * (other[k] - v)));
  const css = (colour) => `rgb(${colour[0]},${colour[1]},${colour[2]})`;

  /** A shaded ball of one colour, drawn once and then only scaled. */
  function ball(colour) {
    const key = colour.join();
    if (sprites.has(key)) return sprites.get(key);
    if (sprites.size > 600) sprites.clear();
    const sprite = Object.assign(document.createElement("canvas"), { width: 96, height: 96 });
    const context = sprite.getContext("2d");
    const light = context.createRadialGradient(35, 31, 2, 48, 48, 47);
    light.addColorStop(0, css(mix(colour, [255, 255, 255], 0.75)));
    light.addColorStop(0.25, css(mix(colour, [255, 255, 255], 0.28)));
    light.addColorStop(0.65, css(colour));
    light.addColorStop(0.94, css(mix(colour, [20, 22, 30], 0.42)));
    light.addColorStop(1, css(mix(colour, [20, 22, 30], 0.62)));
    context.fillStyle = light;
    context.arc(48, 48, 47, 0, 2 * Math.PI);
    context.fill();
    sprites.set(key, sprite);
    return sprite;
  }

  class AtomView {
    constructor(host, onPick) {
      this.host = host;
      this.onPick = onPick ?? (() => {});
      this.options = { forces: true, colour: "element", bonds: true };
      this.canvas = host.querySelector("canvas");
      this.matrix = turn(0.28, -0.5, [[1, 0, 0], [0, 0, 1], [0, -1, 0]]);
      this.zoom = 1;
      this.shift = [0, 0];
      this.picked = -1;
      this.asked = 0;
      this.listen();
      new ResizeObserver(() => this.redraw()).observe(host);
      isoline.colours.follow(this.canvas, () => this.redraw());
    }

    /** structure: {numbers, positions, cell, pbc, forces?, scalars?: {name: {values, unit}}} */
    load(structure) {
      const same = this.structure && this.structure.numbers.length === structure.numbers.length;
      this.structure = structure;
      this.halves = this.options.bonds ? isoline.bonds.halves(structure, isoline.elements.radius) : [];
      const corners = this.corners();
      const spread = [...structure.positions, ...corners];
      const middle = (points) => [0, 1, 2].map((k) => (Math.min(...points.map((p) => p[k])) + Math.max(...points.map((p) => p[k]))) / 2);
      this.centre = middle(spread);
      this.radius = Math.max(1.6, ...spread.map((p) => Math.hypot(...p.map((v, k) => v - this.centre[k])))) + 0.9;
      if (!same) {
        this.zoom = 1;
        this.shift = [0, 0];
      }
      this.picked = -1;
      this.canvas.setAttribute("aria-label", this.describe());
      this.redraw();
    }

    clear() {
      this.structure = null;
      this.canvas.setAttribute("aria-label", "No structure open");
      this.redraw();
    }

    set(options) {
      Object.assign(this.options, options);
      this.redraw();
    }

    describe() {
      const { numbers, pbc } = this.structure;
      const counts = new Map();
      numbers.forEach((z) => counts.set(z, (counts.get(z) ?? 0) + 1));
      const formula = [...counts].map(([z, n]) => `${n} ${isoline.elements.symbol(z)}`).join(", ");
      const along = ["a", "b", "c"].filter((_, k) => pbc[k]);
      return `Structure of ${numbers.length} atoms: ${formula}; ${along.length ? "periodic along " + along.join(", ") : "not periodic"}`;
    }

    corners() {
      const { cell } = this.structure;
      if (!cell || !cell.some((v) => v.some((x) => Math.abs(x) > 1e-9))) return [];
      return [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [0, 1, 2].map((k) => (bits & 1 ? cell[0][k] : 0) + (bits & 2 ? cell[1][k] : 0) + (bits & 4 ? cell[2][k] : 0)));
    }

    listen() {
      let last = null, moved = 0;
      this.canvas.addEventListener("pointerdown", (event) => {
        last = [event.clientX, event.clientY];
        moved = 0;
        this.canvas.setPointerCapture(event.pointerId);
      });
      this.canvas.addEventListener("pointermove", (event) => {
        if (!last || !this.structure) return;
        const dx = event.clientX - last[0], dy = event.clientY - last[1];
        last = [event.clientX, event.clientY];
        moved += Math.hypot(dx, dy);
        if (event.shiftKey || event.buttons === 2) this.shift = [this.shift[0] + dx, this.shift[1] + dy];
        else this.matrix = turn(dy * 0.008, dx * 0.008, this.matrix);
        this.redraw();
      });
      this.canvas.addEventListener("pointerup", (event) => {
        if (last && moved < 4) this.pick(event);
        last = null;
      });
      this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
      this.canvas.addEventListener("dblclick", () => {
        this.zoom = 1;
        this.shift = [0, 0];
        this.redraw();
      });
      this.canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoom = Math.min(20, Math.max(0.2, this.zoom * Math.exp(-event.deltaY * 0.0015)));
        this.redraw();
      }, { passive: false });
      this.canvas.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [0, -0.15], ArrowRight: [0, 0.15], ArrowUp: [-0.15, 0], ArrowDown: [0.15, 0] }[event.key];
        if (!step) return;
        event.preventDefault();
        this.matrix = turn(step[0], step[1], this.matrix);
        this.redraw();
      });
    }

    pick(event) {
      if (!this.placed) return;
      const box = this.canvas.getBoundingClientRect();
      const [u, v] = [event.clientX - box.left, event.clientY - box.top];
      const hit = this.placed.filter((p) => Math.hypot(p.u - u, p.v - v) <= p.r).sort((a, b) => b.z - a.z)[0];
      this.picked = hit ? hit.i : -1;
      this.onPick(this.picked);
      this.redraw();
    }

    /** Colour of every atom, and the numbers behind it when it is not the element. */
    paint() {
      const { numbers, scalars } = this.structure;
      const scalar = this.options.colour === "element" ? null : scalars?.[this.options.colour];
      if (!scalar) return { colours: numbers.map((z) => isoline.colours.rgb(isoline.elements.colour(z))), scalar: null };
      const known = scalar.values.filter((v) => v !== null && Number.isFinite(v));
      const low = Math.min(...known), high = Math.max(...known);
      const ramp = isoline.colours.stops("sequential"), other = isoline.colours.rgb(isoline.colours.variable("other"));
      const colours = scalar.values.map((v) => (v === null || !Number.isFinite(v) ? other : isoline.colours.along(ramp, high > low ? (v - low) / (high - low) : 0.5)));
      return { colours, scalar: { ...scalar, low, high } };
    }

    redraw() {
      if (this.asked) return;
      this.asked = requestAnimationFrame(() => {
        this.asked = 0;
        this.draw();
      });
    }

    draw() {
      const dpr = Math.min(2, window.devicePixelRatio || 1);
      const width = this.host.clientWidth, height = this.host.clientHeight;
      if (!width || !height) return;
      Object.assign(this.canvas, { width: Math.round(width * dpr), height: Math.round(height * dpr) });
      const context = this.canvas.getContext("2d");
      context.scale(dpr, dpr);
      this.placed = null;
      if (!this.structure) return;
      const { positions, numbers, forces } = this.structure;
      const scale = (this.zoom * 0.5 * Math.min(width, height)) / this.radius;
      const project = (p) => {
        const [x, y, z] = apply(this.matrix, p.map((v, k) => v - this.centre[k]));
        const near = 1 / (1 - (0.1 * z) / this.radius); // a little perspective
        return { u: width / 2 + this.shift[0] + x * scale * near, v: height / 2 + this.shift[1] - y * scale * near, z, s: scale * near };
      };
      const { colours, scalar } = this.paint();
      const surface = isoline.colours.rgb(isoline.colours.variable("surface"));
      // Depth fades atoms into the page, but never where colour carries a value.
      const faded = (colour, z) => (scalar ? colour : mix(colour, surface, Math.max(0, Math.min(0.42, (0.24 * -z) / this.radius + 0.08))));
      const atoms = positions.map(project);
      const items = this.edges(project, context);
      atoms.forEach((a, i) => {
        const r = SIZE * isoline.elements.radius(numbers[i]) * a.s;
        Object.assign(a, { i, r });
        items.push({ z: a.z, draw: () => context.drawImage(ball(faded(colours[i], a.z)), a.u - r, a.v - r, 2 * r, 2 * r) });
      });
      for (const [i, d, whole] of this.halves) {
        const from = atoms[i], middle = project(positions[i].map((v, k) => v + d[k] / 2));
        items.push({ z: (from.z + middle.z) / 2 - 0.05, draw: () => this.stick(context, from, middle, faded(colours[i], from.z), whole) });
      }
      if (this.options.forces && forces) this.arrows(items, context, positions, forces, project);
      items.sort((a, b) => a.z - b.z).forEach((item) => item.draw());
      this.placed = atoms;
      if (this.picked >= 0) this.halo(context, atoms[this.picked]);
      this.triad(context, height);
      this.host.dispatchEvent(new CustomEvent("painted", { detail: { scalar, longest: forces ? this.longest : null } }));
    }

    edges(project, context) {
      const corners = this.corners();
      if (!corners.length) return [];
      const colour = isoline.colours.variable("edge");
      const parts = [];
      for (const [a, b] of [[0, 1], [0, 2], [0, 4], [1, 3], [1, 5], [2, 3], [2, 6], [4, 5], [4, 6], [3, 7], [5, 7], [6, 7]]) {
        for (let k = 0; k < EDGE_PARTS; k++) {
          const at = (t) => project(corners[a].map((v, c) => v + (t / EDGE_PARTS) * (corners[b][c] - v)));
          const from = at(k), to = at(k + 1);
          parts.push({ z: (from.z + to.z) / 2, draw: () => line(context, from, to, colour, 1) });
        }
      }
      return parts;
    }

    stick(context, from, to, colour, whole) {
      const width = Math.max(1.2, 0.16 * from.s);
      context.globalAlpha = whole ? 1 : 0.55;
      line(context, from, to, css(mix(colour, [20, 22, 30], 0.4)), width);
      line(context, from, to, css(mix(colour, [255, 255, 255], 0.12)), width * 0.55);
      context.globalAlpha = 1;
    }

    arrows(items, context, positions, forces, project) {
      const colour = isoline.colours.variable("force");
      this.longest = Math.max(...forces.map((f) => Math.hypot(...f)));
      if (!(this.longest > 0)) return;
      const perForce = Math.min(8, 1.7 / this.longest); // Å per eV/Å: the longest arrow is 1.7 Å
      forces.forEach((f, i) => {
        if (Math.hypot(...f) * perForce < 0.08) return;
        const from = project(positions[i]), to = project(positions[i].map((v, k) => v + perForce * f[k]));
        items.push({ z: Math.max(from.z, to.z) + 0.02, draw: () => arrow(context, from, to, colour) });
      });
    }

    halo(context, atom) {
      context.beginPath();
      context.arc(atom.u, atom.v, atom.r + 3, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.strokeStyle = isoline.colours.variable("accent");
      context.stroke();
    }

    triad(context, height) {
      const { cell } = this.structure;
      const named = this.corners().length ? cell.map((v) => v.map((x) => x / (Math.hypot(...v) || 1))) : [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
      const words = this.corners().length ? ["a", "b", "c"] : ["x", "y", "z"];
      const origin = { u: 34, v: height - 30 };
      context.font = `600 11px ${isoline.colours.variable("font")}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      named.map((v, k) => ({ k, d: apply(this.matrix, v) })).sort((a, b) => a.d[2] - b.d[2]).forEach(({ k, d }) => {
        const colour = ["#e03131", "#2f9e44", isoline.colours.theme() === "dark" ? "#4dabf7" : "#1971c2"][k];
        line(context, origin, { u: origin.u + 18 * d[0], v: origin.v - 18 * d[1] }, colour, 1.5);
        context.fillStyle = colour;
        context.fillText(words[k], origin.u + 26 * d[0], origin.v - 26 * d[1]);
      });
    }
  }

  function line(context, from, to, colour, width) {
    context.beginPath();
    context.moveTo(from.u, from.v);
    context.lineTo(to.u, to.v);
    context.lineWidth = width;
    context.lineCap = "round";
    context.strokeStyle = colour;
    context.stroke();
  }

  function arrow(context, from, to, colour) {
    const [du, dv] = [to.u - from.u, to.v - from.v];
    const length = Math.hypot(du, dv);
    if (length < 2) return;
    const head = Math.min(9, 0.5 * length), [cu, cv] = [du / length, dv / length];
    line(context, from, { u: to.u - cu * head * 0.8, v: to.v - cv * head * 0.8 }, colour, 2);
    context.beginPath();
    context.moveTo(to.u, to.v);
    context.lineTo(to.u - cu * head - cv * head * 0.45, to.v - cv * head + cu * head * 0.45);
    context.lineTo(to.u - cu * head + cv * head * 0.45, to.v - cv * head - cu * head * 0.45);
    context.closePath();
    context.fillStyle = colour;
    context.fill();
  }

  isoline.AtomView = AtomView;
})((globalThis.isoline ??= {}));
