"use strict";

const test = require("node:test");
const assert = require("node:assert");
const points = require("../../../frontend/isoline_web/assets/points.js");

function random(n, seed = 1) {
  let state = seed;
  return Float32Array.from({ length: n }, () => ((state = (state * 48271) % 2147483647) / 2147483647) * 2 - 1);
}

test("a polygon holds what is inside, also when it is not convex", () => {
  const px = [0, 4, 4, 2, 0], py = [0, 0, 4, 1, 4]; // a notch from above
  const mask = points.inside(Float32Array.of(0.5, 2, 3.5, 5, NaN), Float32Array.of(2, 2, 2, 2, 0), px, py);
  assert.deepStrictEqual([...mask], [1, 0, 1, 0, 0]);
});

test("two corners hold nothing", () => {
  assert.deepStrictEqual([...points.inside(Float32Array.of(0), Float32Array.of(0), [0, 1], [0, 1])], [0]);
});

test("the index finds what a search through all points finds", () => {
  const x = random(5000, 3), y = random(5000, 7);
  x[17] = NaN; // a structure without a place on this map
  const index = new points.Index(x, y);
  for (let k = 0; k < 200; k++) {
    const u = random(1, k + 1)[0], v = random(1, k + 1001)[0];
    let best = -1, closest = 1;
    for (let i = 0; i < x.length; i++) {
      const d = ((x[i] - u) / 0.05) ** 2 + ((y[i] - v) / 0.02) ** 2;
      if (d < closest) [closest, best] = [d, i];
    }
    assert.strictEqual(index.nearest(u, v, 0.05, 0.02), best);
  }
});

test("every selected point is drawn in its colour and every other stays in grey", () => {
  const cloud = { x: Float32Array.of(1, 2, 3), y: Float32Array.of(1, 1, 1), codes: Uint8Array.of(0, 254, 0), mask: Uint8Array.of(1, 1, 0) };
  const colours = new Uint8Array(768);
  colours.set([10, 20, 30], 0);
  colours.set([200, 100, 50], 254 * 3);
  const image = new Uint8ClampedArray(5 * 3 * 4);
  points.splat(image, 5, 3, cloud, { sx: 1, tx: 0, sy: 1, ty: 0 }, colours, { rgb: [9, 9, 9], alpha: 0.2 });
  const at = (u, v) => [...image.slice((v * 5 + u) * 4, (v * 5 + u) * 4 + 4)];
  assert.deepStrictEqual(at(1, 1).slice(0, 3), [10, 20, 30]);
  assert.deepStrictEqual(at(2, 1).slice(0, 3), [200, 100, 50]);
  assert.deepStrictEqual(at(3, 1).slice(0, 3), [9, 9, 9]);
  assert.ok(at(3, 1)[3] > 0 && at(3, 1)[3] < 64);
  assert.strictEqual(at(4, 1)[3], 0);
});

test("nothing is drawn outside the frame of the axes", () => {
  const cloud = { x: Float32Array.of(0, 4), y: Float32Array.of(1, 1), codes: Uint8Array.of(0, 0), mask: null };
  const image = new Uint8ClampedArray(5 * 3 * 4);
  points.splat(image, 5, 3, cloud, { sx: 1, tx: 0, sy: 1, ty: 0, frame: [1, 5, 0, 3] }, new Uint8Array(768), { rgb: [0, 0, 0], alpha: 1 });
  assert.strictEqual(image[5 * 4 + 3], 0);
  assert.ok(image[9 * 4 + 3] > 0);
});

test("density is highest where points lie densest", () => {
  const x = Float32Array.from([...random(900).map((v) => v * 0.05), 1, -1]), y = Float32Array.from([...random(900, 5).map((v) => v * 0.05), 1, -1]);
  const codes = points.density(x, y);
  assert.ok(Math.min(...codes.slice(0, 900)) > Math.max(codes[900], codes[901]));
});
