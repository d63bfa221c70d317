/* Decisions and tags: shown at once, sent behind, undone with Z. */
(function (isoline) {
  "use strict";

  const CODES = { accepted: 0, rejected: 1, "": 255 }; // as the decision channel has them
  const PAST = { accepted: "Accepted", rejected: "Rejected" };

  class Review {
    /** page: {version, position(), selection(), advance(), repaint(), formula()} */
    constructor(page) {
      this.page = page;
      this.undoable = [];
      this.codes = null;
      this.tags = [];
    }

    async load() {
      const { columns } = await isoline.api.columns(`/versions/${this.page.version}/channels/decision`);
      this.codes = columns[0];
      this.progress();
    }

    progress() {
      const counts = { accepted: 0, rejected: 0 };
      for (const code of this.codes) {
        if (code === CODES.accepted) counts.accepted++;
        else if (code === CODES.rejected) counts.rejected++;
      }
      const reviewed = counts.accepted + counts.rejected;
      const words = document.querySelector("[data-part=reviewed]"), bar = document.querySelector("[data-part=reviewed-bar]");
      if (words) words.textContent = `${isoline.words.count(reviewed)} reviewed`;
      if (words) words.title = `${counts.accepted} accepted, ${counts.rejected} rejected`;
      if (bar) bar.style.width = `${(100 * reviewed) / Math.max(1, this.codes.length)}%`;
    }

    /** Decide about the open structure and go on to the next. */
    async decide(decision) {
      const position = this.page.position();
      if (position === null) return;
      const before = this.codes[position];
      if (before === CODES[decision]) return this.page.advance();
      this.codes[position] = CODES[decision];
      this.changed([position], decision);
      const sent = isoline.api.json(`/versions/${this.page.version}/decisions`, { positions: [position], decision });
      this.page.advance();
      try {
        const { batch } = await sent;
        this.undoable.push({ batch });
        isoline.api.say(`${PAST[decision]} #${position}`, "Z takes it back.", { id: "review" });
        this.announce();
      } catch (error) {
        this.codes[position] = before;
        this.changed([position], name(before));
        throw error;
      }
    }

    /** Decide about everything selected, after asking once. */
    async decideAll(decision) {
      const selection = this.page.selection();
      if (!selection) return;
      const verb = decision === "accepted" ? "Accept" : "Reject";
      const yes = await isoline.ask({ title: `${verb} ${isoline.words.count(selection.n)} structures?`, text: "Z takes it back as a whole.", yes: verb, danger: decision === "rejected" });
      if (!yes) return;
      const { batch, n } = await isoline.api.json(`/versions/${this.page.version}/decisions`, { selection: selection.id, decision });
      this.undoable.push({ batch });
      await this.reload();
      isoline.api.say(`${PAST[decision]} ${isoline.words.count(n)} structures`, "Z takes it back.", { id: "review" });
    }

    async tag() {
      const selection = this.page.selection(), position = this.page.position();
      if (!selection && position === null) return;
      const what = selection ? `${isoline.words.count(selection.n)} selected structures` : `structure #${position}`;
      const word = await isoline.ask({ title: `Tag ${what}`, word: "Tag", known: this.tags, yes: "Tag" });
      if (!word) return;
      const rows = selection ? { selection: selection.id } : { positions: [position] };
      const { batch, n } = await isoline.api.json(`/versions/${this.page.version}/tags`, { ...rows, name: word });
      if (!this.tags.includes(word)) this.tags.push(word);
      this.undoable.push({ batch });
      await this.reload();
      isoline.api.say(`Tagged ${isoline.words.count(n)} with “${word}”`, "Z takes it back.", { id: "review" });
    }

    async undo() {
      const last = this.undoable.pop();
      if (!last) return isoline.api.say("Nothing to undo", "", { id: "review" });
      await isoline.api.json("/undo", { batch: last.batch });
      await this.reload();
      isoline.api.say("Undone", "", { id: "review" });
    }

    async reload() {
      await this.load();
      isoline.table.refresh();
      this.page.repaint();
      this.announce();
    }

    changed(positions, decision) {
      this.progress();
      positions.forEach((position) => isoline.table.update(position, { decision }));
      this.page.repaint();
    }

    /** Tell the server-drawn parts of the page that marks have changed. */
    announce() {
      globalThis.dash_clientside.set_props("marks", { data: Date.now() });
    }
  }

  function name(code) {
    return Object.keys(CODES).find((key) => CODES[key] === code) ?? "";
  }

  isoline.Review = Review;
})((globalThis.isoline ??= {}));
