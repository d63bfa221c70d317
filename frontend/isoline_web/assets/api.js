/* Talking to /api: JSON and binary columns in, failures as notices. */
(function (isoline) {
  "use strict";

  const ARRAYS = { "<f4": Float32Array, "<f8": Float64Array, "<i4": Int32Array, "<u4": Uint32Array, "<u2": Uint16Array, "|u1": Uint8Array, "|b1": Uint8Array, "|i1": Int8Array };
  const latest = new Map(); // id → the notice shown under it
  let notices = 0;

  class Failure extends Error {}

  async function refuse(response) {
    let problem = {};
    try {
      problem = await response.json();
    } catch {
      problem = { detail: `The server answered ${response.status}.` };
    }
    throw Object.assign(new Failure(problem.detail), { hint: problem.hint ?? "", kind: problem.kind, details: problem.details ?? [] });
  }

  async function json(path, body, method) {
    const options = body === undefined ? {} : { method: method ?? "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", "X-Requested-With": "isoline" } };
    const response = await fetch("/api" + path, options);
    if (!response.ok) await refuse(response);
    return response.json();
  }

  /** {about, columns}: typed arrays in the order of header X-Columns; about holds the other facts of that header. */
  async function columns(path) {
    const response = await fetch("/api" + path);
    if (!response.ok) await refuse(response);
    const about = JSON.parse(response.headers.get("X-Columns"));
    const bytes = await response.arrayBuffer();
    let offset = 0;
    const read = about.columns.map(({ dtype, shape }) => {
      const Type = ARRAYS[dtype];
      const length = shape.reduce((a, b) => a * b, 1);
      const part = bytes.slice(offset, offset + length * Type.BYTES_PER_ELEMENT);
      offset += part.byteLength;
      return new Type(part);
    });
    return { about, columns: read };
  }

  /** A notice at the bottom; one with the same id takes the place of the last; failures stay until closed. */
  function say(title, message = "", { colour = "accent", id, keep = false } = {}) {
    const shown = `${id ?? "notice"}-${++notices}`;
    const notice = { action: "show", id: shown, title, message, color: colour, withBorder: true, autoClose: keep ? false : 6000, closeButtonProps: { "aria-label": "Close this notice" } };
    const hidden = id && latest.has(id) ? [latest.get(id)] : [];
    if (id) latest.set(id, shown);
    globalThis.dash_clientside?.set_props("notices", { hideNotifications: hidden, sendNotifications: [notice] });
  }

  function complain(error) {
    if (!(error instanceof Failure)) console.warn(error);
    say(error.message, error.hint ?? "", { colour: "red", keep: true });
  }

  isoline.api = { json, columns, say, complain, Failure };
})((globalThis.isoline ??= {}));
