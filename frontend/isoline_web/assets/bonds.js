/* Which atoms are bonded, across the faces of a periodic cell too. */
(function (isoline) {
  "use strict";

  const STRETCH = 1.18; // of the sum of covalent radii
  const MOST_ATOMS = 3000; // above this bonds cost more than they tell

  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

  /** How many images of the cell along each vector can hold a neighbour within `reach` Å. */
  function images(cell, pbc, reach) {
    const volume = Math.abs(dot(cell[0], cross(cell[1], cell[2])));
    return [0, 1, 2].map((k) => {
      if (!pbc[k] || volume < 1e-9) return 0;
      const face = cross(cell[(k + 1) % 3], cell[(k + 2) % 3]);
      return Math.min(3, Math.ceil(reach / (volume / Math.hypot(...face))));
    });
  }

  /**
   * Half-bonds: [from, [dx, dy, dz], whole] where d points from the atom to its neighbour (or its image), Å;
   * `whole` says that the neighbour is in the cell, so that its own half meets this one.
   */
  function halves(structure, radius) {
    const { positions, numbers, cell, pbc } = structure;
    const n = numbers.length;
    if (n > MOST_ATOMS) return [];
    const reach = 2 * STRETCH * Math.max(...numbers.map(radius));
    const periodic = cell && pbc.some(Boolean);
    const count = periodic ? images(cell, pbc, reach) : [0, 0, 0];
    const bucket = (p) => p.map((v) => Math.floor(v / reach));
    const buckets = new Map();
    for (let a = -count[0]; a <= count[0]; a++) {
      for (let b = -count[1]; b <= count[1]; b++) {
        for (let c = -count[2]; c <= count[2]; c++) {
          const shift = [0, 1, 2].map((k) => (periodic ? a * cell[0][k] + b * cell[1][k] + c * cell[2][k] : 0));
          for (let j = 0; j < n; j++) {
            const at = positions[j].map((v, k) => v + shift[k]);
            const key = bucket(at).join();
            if (!buckets.has(key)) buckets.set(key, []);
            buckets.get(key).push({ j, at, whole: !a && !b && !c });
          }
        }
      }
    }
    const found = [];
    for (let i = 0; i < n; i++) {
      const from = positions[i], [bx, by, bz] = bucket(from);
      for (let dx = -1; dx <= 1; dx++) for (let dy = -1; dy <= 1; dy++) for (let dz = -1; dz <= 1; dz++) {
        for (const { j, at, whole } of buckets.get([bx + dx, by + dy, bz + dz].join()) ?? []) {
          const d = [at[0] - from[0], at[1] - from[1], at[2] - from[2]];
          const length = Math.hypot(...d);
          if (length > 0.1 && length < STRETCH * (radius(numbers[i]) + radius(numbers[j]))) found.push([i, d, whole, j]);
        }
      }
    }
    return found;
  }

  isoline.bonds = { halves, images };
  if (typeof module !== "undefined") module.exports = isoline.bonds;
})((globalThis.isoline ??= {}));
