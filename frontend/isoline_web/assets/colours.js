/* Colours of data, read from the CSS variables that tokens.py writes; everything else asks here. */
(function (isoline) {
  "use strict";

  const MISSING = 255; // the code of a value that is not there
  const followers = new Set();

  function variable(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function rgb(hex) {
    const value = parseInt(hex.slice(1), 16);
    return [value >> 16, (value >> 8) & 255, value & 255];
  }

  /** Colour at 0…1 along equally spaced stops [[r, g, b], …]. */
  function along(stops, at) {
    const place = Math.min(Math.max(at, 0), 1) * (stops.length - 1);
    const lower = Math.min(Math.floor(place), stops.length - 2);
    const share = place - lower;
    return stops[lower].map((from, k) => Math.round(from + share * (stops[lower + 1][k] - from)));
  }

  function stops(kind) {
    return [0, 1, 2, 3, 4].map((i) => rgb(variable(`${kind}-${i}`)));
  }

  /** 256 × 3 bytes: the colour of each code of a channel. kind is sequential, diverging or categorical. */
  function table(kind, categories = 12) {
    const colours = new Uint8Array(256 * 3);
    const other = rgb(variable("other"));
    if (kind === "categorical") {
      const named = Array.from({ length: 12 }, (_, i) => rgb(variable(`category-${i}`)));
      for (let code = 0; code < 256; code++) colours.set(code < Math.min(12, categories) ? named[code] : other, code * 3);
    } else {
      const ramp = stops(kind);
      for (let code = 0; code < MISSING; code++) colours.set(along(ramp, code / 254), code * 3);
    }
    colours.set(other, MISSING * 3);
    return colours;
  }

  function css(colours, code) {
    return `rgb(${colours[code * 3]},${colours[code * 3 + 1]},${colours[code * 3 + 2]})`;
  }

  /** The colours of the three decisions, in the order of their codes. */
  function decisions() {
    const colours = table("categorical", 3);
    [variable("other"), variable("ok"), variable("no")].forEach((colour, code) => colours.set(rgb(colour), code * 3));
    return colours;
  }

  function theme() {
    return document.documentElement.getAttribute("data-mantine-color-scheme") === "dark" ? "dark" : "light";
  }

  /** Call `redraw` whenever the theme changes, while `element` is on the page; returns what ends it. */
  function follow(element, redraw) {
    const follower = () => (element.isConnected ? redraw() : followers.delete(follower));
    followers.add(follower);
    return () => followers.delete(follower);
  }

  if (typeof document !== "undefined") {
    new MutationObserver(() => followers.forEach((redraw) => redraw())).observe(document.documentElement, {
      attributeFilter: ["data-mantine-color-scheme"],
    });
  }

  isoline.colours = { MISSING, variable, rgb, along, stops, table, css, decisions, theme, follow };
  if (typeof module !== "undefined") module.exports = isoline.colours;
})((globalThis.isoline ??= {}));
