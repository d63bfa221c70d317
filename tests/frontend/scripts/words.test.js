"use strict";

const test = require("node:test");
const assert = require("node:assert");
const words = require("../../../frontend/isoline_web/assets/words.js");

test("numbers read the same as on the server", () => {
  const cases = [[0.1934, 3, "0.193"], [-4.37884, 4, "−4.3788"], [50000, 0, "50\u2009000"], [0, 3, "0.000"], [null, 3, "–"], [NaN, 3, "–"], [1.2e-7, 3, "1.20e−7"], [-3.4e8, 2, "−3.40e8"]];
  for (const [value, digits, text] of cases) assert.strictEqual(words.number(value, digits), text);
});

test("digits follow the width of a range", () => {
  assert.deepStrictEqual([0.9, 12, 0.004, 0, 5000].map(words.digitsFor), [3, 1, 5, 3, 0]);
});

test("counts have thin spaces", () => {
  assert.strictEqual(words.count(1234567), "1\u2009234\u2009567");
});
