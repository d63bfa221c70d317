"use strict";

const test = require("node:test");
const assert = require("node:assert");
const { next } = require("../../../frontend/isoline_web/assets/sign_in.js");

const HERE = "https://isoline.example";

test("signing in leads back to the page that was asked for", () => {
  assert.strictEqual(next("/map/1?evaluation=2", HERE), HERE + "/map/1?evaluation=2");
  assert.strictEqual(next(null, HERE), HERE + "/");
});

test("signing in never leads to another site", () => {
  const wanted = ["/\t/evil.example", "//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "//["];
  for (const address of wanted) assert.strictEqual(next(address, HERE), "/", JSON.stringify(address));
});
