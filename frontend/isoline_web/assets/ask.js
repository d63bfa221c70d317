/* A small question in a dialog of the browser's own: title, text, perhaps a word to type. */
(function (isoline) {
  "use strict";

  /** Resolves to true (or the typed word), or to null when the person backs out. */
  function ask({ title, text = "", word = null, known = [], yes = "OK", danger = false }) {
    const { element } = isoline.words;
    const dialog = element("dialog", "ask", "", { "aria-label": title });
    const form = element("form", "stack", "", { method: "dialog" });
    form.append(element("b", "", title));
    if (text) form.append(element("p", "muted", text));
    let input = null;
    if (word !== null) {
      input = element("input", "input", "", { type: "text", maxlength: "80", "aria-label": word, placeholder: word, list: "ask-known", autocomplete: "off" });
      const list = element("datalist", "", "", { id: "ask-known" });
      known.forEach((name) => list.append(element("option", "", "", { value: name })));
      form.append(input, list);
    }
    const buttons = element("div", "row");
    const no = element("button", "button push", "Cancel", { type: "button" });
    buttons.append(no, element("button", `button ${danger ? "reject" : "primary"}`, yes, { type: "submit", value: "yes" }));
    form.append(buttons);
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((answer) => {
      no.addEventListener("click", () => dialog.close("no"));
      dialog.addEventListener("close", () => {
        const agreed = dialog.returnValue === "yes";
        dialog.remove();
        answer(agreed ? (input ? input.value.trim() || null : true) : null);
      });
    });
  }

  isoline.ask = ask;
})((globalThis.isoline ??= {}));
