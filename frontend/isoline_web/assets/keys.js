/* Keys and buttons are one thing: a key presses the visible button that prints it (data-key); a button with
   data-act runs isoline.actions[act](value, button). */
(function (isoline) {
  "use strict";

  isoline.actions ??= {};

  function writing(target) {
    return target.closest("input, textarea, select, [contenteditable=true], .mantine-Modal-root, .ag-cell-edit-wrapper") !== null;
  }

  function name(event) {
    if (event.key === "Escape") return "Esc";
    if (event.key.length !== 1) return event.key;
    const letter = event.key.toUpperCase();
    return event.shiftKey && letter !== letter.toLowerCase() ? "Shift+" + letter : letter;
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
    const key = name(event);
    if (key === "?") {
      document.getElementById("shortcuts-open")?.click();
      return;
    }
    const button = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find((b) => b.offsetParent !== null && !b.disabled);
    if (!button) return;
    event.preventDefault();
    const input = button.matches("input") ? button : button.querySelector("input");
    if (input) input.focus();
    else button.click();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-act]");
    if (!button || button.disabled) return;
    const action = isoline.actions[button.dataset.act];
    if (!action) return;
    Promise.resolve(action(button.dataset.value, button)).catch(isoline.api.complain);
  });

  /** Mark one button of a segmented control as the chosen one. */
  isoline.press = (group, value) => {
    document.querySelectorAll(`[data-act="${group}"]`).forEach((b) => {
      if (b.hasAttribute("aria-pressed")) b.setAttribute("aria-pressed", String(b.dataset.value === String(value)));
    });
  };
})((globalThis.isoline ??= {}));
