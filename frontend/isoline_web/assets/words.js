/* Numbers as people read them; the same rules as words.py. */
(function (isoline) {
  "use strict";

  const THIN = "\u2009", MINUS = "\u2212", DASH = "\u2013";

  function count(value) {
    return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
  }

  function number(value, digits = 3) {
    if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
    const size = Math.abs(value);
    if (size !== 0 && (size < 10 ** -digits || size >= 1e6)) return value.toExponential(2).replace("e+", "e").replaceAll("-", MINUS);
    const [whole, decimals] = size.toFixed(digits).split(".");
    return (value < 0 ? MINUS : "") + count(whole) + (decimals ? "." + decimals : "");
  }

  /** Digits that show a range of this width well. */
  function digitsFor(width) {
    if (!(width > 0)) return 3;
    return Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(width))));
  }

  /** Bytes in a unit that keeps the number short. */
  function size(bytes) {
    const power = Math.min(3, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
    const value = bytes / 1000 ** power;
    return `${value.toFixed(power && value < 100 ? 1 : 0)} ${["B", "kB", "MB", "GB"][power]}`;
  }

  /** An element with a class, text and attributes. */
  function element(tag, className = "", text = "", attributes = {}) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== "") made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  isoline.words = { count, number, size, digitsFor, element, DASH, MINUS };
  if (typeof module !== "undefined") module.exports = isoline.words;
})((globalThis.isoline ??= {}));
