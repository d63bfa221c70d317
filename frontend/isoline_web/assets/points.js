/* Points in the plane without a page: which lie in a polygon, which is nearest, and how they become pixels. */
(function (isoline) {
  "use strict";

  /** 1 for every point inside the closed polygon (px, py), else 0; even-odd rule. */
  function inside(x, y, px, py) {
    const mask = new Uint8Array(x.length);
    const n = px.length;
    if (n < 3) return mask;
    const left = Math.min(...px), right = Math.max(...px), bottom = Math.min(...py), top = Math.max(...py);
    for (let i = 0; i < x.length; i++) {
      const u = x[i], v = y[i];
      if (!(u >= left && u <= right && v >= bottom && v <= top)) continue;
      let odd = 0;
      for (let a = 0, b = n - 1; a < n; b = a++) {
        if (py[a] > v !== py[b] > v && u < ((px[b] - px[a]) * (v - py[a])) / (py[b] - py[a]) + px[a]) odd ^= 1;
      }
      mask[i] = odd;
    }
    return mask;
  }

  function extent(values) {
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < values.length; i++) {
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    return low <= high ? [low, high] : [0, 1];
  }

  /** Buckets on a uniform grid: finds the nearest of a million points in a fraction of a millisecond. */
  class Index {
    constructor(x, y) {
      this.x = x;
      this.y = y;
      this.side = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(x.length / 4))));
      [this.left, this.right] = extent(x);
      [this.bottom, this.top] = extent(y);
      const cells = this.side * this.side;
      this.start = new Uint32Array(cells + 1);
      const cell = new Uint32Array(x.length);
      const placed = (i) => Number.isFinite(x[i]) && Number.isFinite(y[i]); // a map may lack structures that came later
      for (let i = 0; i < x.length; i++) {
        if (!placed(i)) continue;
        cell[i] = this.row(y[i]) * this.side + this.column(x[i]);
        this.start[cell[i] + 1]++;
      }
      for (let c = 0; c < cells; c++) this.start[c + 1] += this.start[c];
      const next = this.start.slice(0, cells);
      this.order = new Uint32Array(this.start[cells]);
      for (let i = 0; i < x.length; i++) if (placed(i)) this.order[next[cell[i]]++] = i;
    }

    column(u) {
      return Math.min(this.side - 1, Math.max(0, Math.floor(((u - this.left) / (this.right - this.left || 1)) * this.side)));
    }

    row(v) {
      return Math.min(this.side - 1, Math.max(0, Math.floor(((v - this.bottom) / (this.top - this.bottom || 1)) * this.side)));
    }

    /** Row of the point nearest to (u, v) within the ellipse of half-axes (reachX, reachY), or −1. */
    nearest(u, v, reachX, reachY) {
      let best = -1, closest = 1;
      for (let r = this.row(v - reachY); r <= this.row(v + reachY); r++) {
        for (let c = this.column(u - reachX); c <= this.column(u + reachX); c++) {
          const cell = r * this.side + c;
          for (let k = this.start[cell]; k < this.start[cell + 1]; k++) {
            const i = this.order[k];
            const dx = (this.x[i] - u) / reachX, dy = (this.y[i] - v) / reachY;
            const distance = dx * dx + dy * dy;
            if (distance < closest) {
              closest = distance;
              best = i;
            }
          }
        }
      }
      return best;
    }
  }

  let accumulators = { size: 0 };

  /** Counts and summed colours per pixel, kept between frames because allocation would cost more than drawing. */
  function clean(size) {
    if (accumulators.size !== size) {
      accumulators = { size, rest: new Uint16Array(size), n: new Uint16Array(size), sum: new Float32Array(size * 3) };
    } else {
      accumulators.rest.fill(0);
      accumulators.n.fill(0);
      accumulators.sum.fill(0);
    }
    return accumulators;
  }

  function stamp(radius) {
    const offsets = [];
    const reach = Math.ceil(radius);
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) if (dx * dx + dy * dy <= radius * radius) offsets.push([dx, dy]);
    }
    return offsets;
  }

  /**
   * Points as pixels: the mean colour of those that share one, denser ones more opaque.
   *
   * image   Uint8ClampedArray, width × height × 4
   * cloud   {x, y, codes, mask}: codes may be null (density), mask may be null (all selected)
   * view    pixel = (x · sx + tx, y · sy + ty); frame = [left, right, top, bottom] outside which nothing is drawn
   * colours 256 × 3 bytes by code, or by log density when there are no codes
   * rest    {rgb, alpha} of the points that are not selected
   * Drawing every `stride`-th point only is for the moments while a hand is moving.
   */
  function splat(image, width, height, cloud, view, colours, rest, radius = 0, stride = 1) {
    const { x, y, codes, mask } = cloud;
    const { rest: grey, n, sum } = clean(width * height);
    const offsets = stamp(radius);
    const { sx, tx, sy, ty, frame = [0, width, 0, height] } = view;
    const [left, right, top, bottom] = frame;
    for (let i = 0; i < x.length; i += stride) {
      const u = Math.floor(x[i] * sx + tx), v = Math.floor(y[i] * sy + ty);
      if (!(u >= left && u < right && v >= top && v < bottom)) continue;
      const chosen = mask === null || mask[i] !== 0;
      const code = codes === null ? 0 : codes[i] * 3;
      for (let k = 0; k < offsets.length; k++) {
        const p = u + offsets[k][0], q = v + offsets[k][1];
        if (p < 0 || p >= width || q < 0 || q >= height) continue;
        const at = q * width + p;
        if (!chosen) {
          if (grey[at] < 65535) grey[at]++;
          continue;
        }
        if (n[at] === 65535) continue;
        n[at]++;
        if (codes !== null) {
          sum[at * 3] += colours[code];
          sum[at * 3 + 1] += colours[code + 1];
          sum[at * 3 + 2] += colours[code + 2];
        }
      }
    }
    let most = 1;
    for (let at = 0; at < n.length; at++) if (n[at] > most) most = n[at];
    const scale = 1 / Math.log1p(most);
    for (let at = 0, o = 0; at < n.length; at++, o += 4) {
      const count = n[at];
      if (count > 0) {
        const tone = Math.log1p(count) * scale;
        if (codes === null) {
          const code = Math.round(254 * (most === 1 ? 0.35 : tone)) * 3;
          image[o] = colours[code];
          image[o + 1] = colours[code + 1];
          image[o + 2] = colours[code + 2];
          image[o + 3] = 255;
        } else {
          image[o] = sum[at * 3] / count;
          image[o + 1] = sum[at * 3 + 1] / count;
          image[o + 2] = sum[at * 3 + 2] / count;
          image[o + 3] = 255 * (0.72 + 0.28 * tone);
        }
      } else if (grey[at] > 0) {
        image[o] = rest.rgb[0];
        image[o + 1] = rest.rgb[1];
        image[o + 2] = rest.rgb[2];
        image[o + 3] = 255 * rest.alpha * (0.6 + 0.4 * Math.min(1, grey[at] / 4));
      }
    }
  }

  /** Code 0…254 of the logarithm of how many neighbours each point has: colours for few points without codes. */
  function density(x, y, cells = 48) {
    const [left, right] = extent(x), [bottom, top] = extent(y);
    const grid = new Float32Array((cells + 2) * (cells + 2));
    const place = (i) => {
      if (!Number.isFinite(x[i]) || !Number.isFinite(y[i])) return 0;
      const c = Math.min(cells - 1, Math.floor(((x[i] - left) / (right - left || 1)) * cells));
      const r = Math.min(cells - 1, Math.floor(((y[i] - bottom) / (top - bottom || 1)) * cells));
      return (r + 1) * (cells + 2) + c + 1;
    };
    for (let i = 0; i < x.length; i++) {
      const at = place(i);
      if (!at) continue;
      for (let dr = -1; dr <= 1; dr++) for (let dc = -1; dc <= 1; dc++) grid[at + dr * (cells + 2) + dc] += dr || dc ? 0.5 : 1;
    }
    const most = Math.log1p(grid.reduce((a, b) => Math.max(a, b), 1));
    return Uint8Array.from(x, (_, i) => Math.round((254 * Math.log1p(grid[place(i)])) / most));
  }

  isoline.points = { inside, extent, Index, splat, density };
  if (typeof module !== "undefined") module.exports = isoline.points;
})((globalThis.isoline ??= {}));
