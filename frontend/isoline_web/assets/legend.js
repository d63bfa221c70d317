/* The legend in the corner of a map: a small histogram in the map's colours, or the list of categories.
   Both select: drag over the bars, or press a category. */
(function (isoline) {
  "use strict";

  /** channel is the header of /channels/{name}; `choose` receives a selection rule. */
  function draw(host, channel, colours, choose) {
    host.replaceChildren();
    const legend = channel.kind === "categorical" ? categories(channel, colours, choose) : histogram(channel, colours, choose);
    host.append(legend);
    host.dataset.corner = "bottom-left";
    host.setAttribute("aria-label", `Legend: ${channel.title}`);
  }

  function histogram(channel, colours, choose) {
    const { element, number, digitsFor } = isoline.words;
    const box = element("div", "legend-bars");
    const unit = channel.unit ? `, ${channel.unit}` : "";
    if (channel.low === null) {
      box.append(element("span", "caption", `${channel.title}: no values`));
      return box;
    }
    const bars = element("div", "bars");
    const most = Math.max(1, ...channel.histogram);
    const bins = channel.histogram.length;
    channel.histogram.forEach((n, bin) => {
      const bar = element("span");
      bar.style.height = n ? `${Math.max(4, (100 * n) / most)}%` : "0";
      bar.style.background = isoline.colours.css(colours, Math.round((254 * (bin + 0.5)) / bins));
      bars.append(bar);
    });
    let from = null;
    const place = (event) => {
      const edge = bars.getBoundingClientRect();
      return Math.min(1, Math.max(0, (event.clientX - edge.left) / edge.width));
    };
    const span = element("span", "span");
    bars.append(span);
    bars.title = "Drag to select a range";
    bars.addEventListener("pointerdown", (event) => {
      from = place(event);
      bars.setPointerCapture(event.pointerId);
    });
    bars.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [a, b] = [from, place(event)].sort((x, y) => x - y);
      Object.assign(span.style, { display: "block", left: `${100 * a}%`, width: `${100 * (b - a)}%` });
    });
    bars.addEventListener("pointerup", (event) => {
      const [a, b] = [from, place(event)].sort((x, y) => x - y);
      from = null;
      span.style.display = "none";
      if (b - a < 0.02) return;
      const at = (t) => channel.low + t * (channel.high - channel.low);
      // The end bins also hold what lies beyond them.
      choose({ range: { channel: channel.name, low: a <= 0.01 ? null : at(a), high: b >= 0.99 ? null : at(b) } });
    });
    const digits = digitsFor(channel.high - channel.low);
    const ends = element("div", "ends");
    ends.append(element("span", "", number(channel.low, digits)), element("span", "", number(channel.high, digits)));
    const name = element("div", "name", channel.title + unit);
    box.append(bars, ends, name);
    const notes = [];
    if (channel.clipped) notes.push("colours clipped at 0.5–99.5 %");
    if (channel.n_missing) notes.push(`${isoline.words.count(channel.n_missing)} without a value`);
    if (notes.length) box.append(element("div", "note", notes.join(" · ")));
    return box;
  }

  function categories(channel, colours, choose) {
    const { element, count } = isoline.words;
    const box = element("div", "legend-list");
    channel.labels.forEach((label, code) => {
      const other = channel.merged > 0 && code === channel.labels.length - 1;
      const words = other ? `${channel.merged} more` : label;
      const entry = element(other ? "span" : "button", "entry", "", other ? {} : { type: "button", title: `Select ${label}` });
      const swatch = element("span", "swatch");
      swatch.style.background = isoline.colours.css(colours, code);
      entry.append(swatch, element("span", "word", words), element("span", "n", count(channel.histogram[code])));
      if (!other) entry.addEventListener("click", () => choose({ category: { channel: channel.name, value: label } }));
      box.append(entry);
    });
    if (channel.n_missing) {
      const entry = element("span", "entry");
      const swatch = element("span", "swatch");
      swatch.style.background = isoline.colours.css(colours, isoline.colours.MISSING);
      entry.append(swatch, element("span", "word", channel.name === "decision" ? "undecided" : "none"), element("span", "n", count(channel.n_missing)));
      box.append(entry);
    }
    return box;
  }

  /** Move to the corner with the fewest points behind; the upper left one belongs to the selection. */
  function place(host, map) {
    const [width, height] = [host.offsetWidth + 28, host.offsetHeight + 24];
    const { width: w, height: h, sx, tx, sy, ty } = map.view();
    const corners = { "bottom-left": [0, h - height], "bottom-right": [w - width, h - height], "top-right": [w - width, 0] };
    const behind = ([left, top]) => {
      let n = 0;
      const { x, y } = map.cloud;
      const stride = Math.max(1, Math.floor(x.length / 20000));
      for (let i = 0; i < x.length; i += stride) {
        const u = x[i] * sx + tx, v = y[i] * sy + ty;
        if (u >= left && u <= left + width && v >= top && v <= top + height) n++;
      }
      return n;
    };
    let best = ["bottom-left", Infinity];
    for (const [name, corner] of Object.entries(corners)) {
      const n = behind(corner);
      if (n < best[1]) best = [name, n];
    }
    host.dataset.corner = best[0];
  }

  isoline.legend = { draw, place };
})((globalThis.isoline ??= {}));
