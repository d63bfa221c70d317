"use strict";

const test = require("node:test");
const assert = require("node:assert");
const bonds = require("../../../frontend/isoline_web/assets/bonds.js");
const elements = require("../../../frontend/isoline_web/assets/elements.js");

function diamond(a) {
  const corners = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]];
  const positions = [...corners, ...corners.map((p) => p.map((v) => v + 0.25))].map((p) => p.map((v) => v * a));
  return { numbers: Array(8).fill(14), positions, cell: [[a, 0, 0], [0, a, 0], [0, 0, a]], pbc: [true, true, true] };
}

const degree = (structure) => {
  const counts = structure.numbers.map(() => 0);
  bonds.halves(structure, elements.radius).forEach(([i]) => counts[i]++);
  return counts;
};

test("every silicon atom of diamond has four bonds, through the faces of the cell too", () => {
  assert.deepStrictEqual(degree(diamond(5.43)), Array(8).fill(4));
});

test("without periodic boundaries the faces cut bonds", () => {
  assert.ok(degree({ ...diamond(5.43), pbc: [false, false, false] }).reduce((a, b) => a + b) < 32);
});

test("a primitive cell thinner than a bond is enough", () => {
  const h = 2.715;
  const structure = { numbers: [14, 14], positions: [[0, 0, 0], [h / 2, h / 2, h / 2]], cell: [[0, h, h], [h, 0, h], [h, h, 0]], pbc: [true, true, true] };
  assert.deepStrictEqual(degree(structure), [4, 4]);
});

test("water has two bonds and hydrogens are not bonded to each other", () => {
  const structure = { numbers: [8, 1, 1], positions: [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]], cell: null, pbc: [false, false, false] };
  assert.deepStrictEqual(degree(structure), [2, 1, 1]);
});

test("one atom alone has none", () => {
  assert.deepStrictEqual(degree({ numbers: [2], positions: [[0, 0, 0]], cell: null, pbc: [false, false, false] }), [0]);
});
