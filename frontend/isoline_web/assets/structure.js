/* The structure pane: 3D view, colour bar, facts and where the structure came from. */
(function (isoline) {
  "use strict";

  const KEPT = 60; // structures remembered

  class StructurePane {
    /** root holds elements named by data-part; see components/structure_view.py */
    constructor(root, version, evaluation) {
      Object.assign(this, { root, version, evaluation, position: null, memory: new Map() });
      const part = (name) => root.querySelector(`[data-part="${name}"]`);
      this.parts = Object.fromEntries(["title", "number", "viewer", "empty", "legend", "note", "facts", "origin"].map((name) => [name, part(name)]));
      this.view = new isoline.AtomView(this.parts.viewer, (i) => this.tell(i));
      this.parts.viewer.addEventListener("painted", (event) => this.scale(event.detail));
      isoline.actions["atom-colour"] = (colour) => {
        isoline.press("atom-colour", colour);
        this.view.set({ colour });
      };
      isoline.actions["close-structure"] = () => this.close();
      isoline.actions.forces = (_, button) => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        button.classList.toggle("on", on);
        this.view.set({ forces: on });
      };
    }

    fetch(position) {
      const key = `${position}/${this.evaluation ?? ""}`;
      if (!this.memory.has(key)) {
        const query = this.evaluation ? `?evaluation=${this.evaluation}` : "";
        this.memory.set(key, isoline.api.json(`/versions/${this.version}/structures/${position}${query}`));
        this.memory.get(key).catch(() => this.memory.delete(key));
        if (this.memory.size > KEPT) this.memory.delete(this.memory.keys().next().value);
      }
      return this.memory.get(key);
    }

    forget(position) {
      this.memory.delete(`${position}/${this.evaluation ?? ""}`);
    }

    async open(position) {
      this.position = position;
      const structure = await this.fetch(position);
      if (this.position !== position) return null; // another one was asked for meanwhile
      this.root.classList.add("opened");
      this.structure = structure;
      this.offer(structure);
      this.view.load(structure);
      const facts = structure.facts;
      this.parts.title.textContent = facts.formula;
      this.parts.number.textContent = `#${structure.position}`;
      this.fill(facts);
      this.parts.note.textContent = "";
      const source = structure.provenance?.[0];
      this.parts.origin.textContent = [
        source && `${source.source} · frame ${isoline.words.count(source.frame)}`,
        structure.level_of_theory !== "unspecified" && structure.level_of_theory,
        source && `added by ${source.added_by}`,
      ].filter(Boolean).join(" · ");
      return structure;
    }

    close() {
      this.position = null;
      this.root.classList.remove("opened");
      this.view.clear();
      this.parts.title.textContent = "Structure";
      this.parts.number.textContent = "";
      this.parts.origin.textContent = "";
      this.fill({});
    }

    /** Only colours that this structure has can be chosen. */
    offer(structure) {
      this.root.querySelectorAll('[data-act="atom-colour"]').forEach((button) => {
        const there = button.dataset.value === "element" || structure.scalars?.[button.dataset.value];
        button.disabled = !there;
        button.title = there ? "" : button.dataset.missing;
        if (!there && button.getAttribute("aria-pressed") === "true") isoline.actions["atom-colour"]("element");
      });
    }

    fill(facts) {
      this.parts.facts.querySelectorAll("dd").forEach((cell) => {
        const { field, digits, unit } = cell.dataset;
        const value = facts[field];
        const text = digits === undefined ? value || isoline.words.DASH : isoline.words.number(value, Number(digits));
        cell.replaceChildren(text);
        cell.title = text;
        if (unit && value !== null && value !== undefined) cell.append(isoline.words.element("span", "unit", unit));
      });
    }

    /** The colour bar, and how long the longest arrow is. */
    scale({ scalar, longest }) {
      const { element, number, digitsFor } = isoline.words;
      const host = this.parts.legend;
      host.replaceChildren();
      if (scalar && Number.isFinite(scalar.low)) {
        const digits = digitsFor(scalar.high - scalar.low);
        const ramp = element("span", "ramp");
        host.append(element("span", "", number(scalar.low, digits)), ramp, element("span", "", number(scalar.high, digits)), element("span", "muted", `${scalar.title}, ${scalar.unit}`));
      }
      if (longest > 0 && this.view.options.forces) host.append(element("span", "longest", `longest arrow ${number(longest, 3)} eV/Å`));
    }

    tell(i) {
      if (i < 0 || !this.structure) {
        this.parts.note.textContent = "";
        return;
      }
      const { numbers, forces, scalars } = this.structure;
      const words = [`${isoline.elements.symbol(numbers[i])} ${i}`];
      if (forces) words.push(`|F| ${isoline.words.number(Math.hypot(...forces[i]), 3)} eV/Å`);
      for (const name of ["spread", "error"]) {
        if (scalars?.[name]) words.push(`${name} ${isoline.words.number(scalars[name].values[i], 3)} eV/Å`);
      }
      this.parts.note.textContent = words.join(" · ");
    }
  }

  isoline.StructurePane = StructurePane;
})((globalThis.isoline ??= {}));
