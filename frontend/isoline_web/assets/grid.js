/* The table behind a map: pages from the server, cells in our own words. */
(function (isoline) {
  "use strict";

  const create = (tag, props, ...children) => globalThis.React.createElement(tag, props, ...children);
  const SORTED = { decision_word: "decision" };
  let question = null; // {version, evaluation, selection, search}: what the table shows
  let generation = 0; // grows with every question: an answer to an older one is not shown

  const cells = (globalThis.dashAgGridComponentFunctions ??= {});
  const functions = (globalThis.dashAgGridFunctions ??= {});

  cells.Decision = ({ value }) => create("span", { className: `dot ${value || ""}`, role: "img", "aria-label": value || "undecided", title: value || "undecided" });

  /** A number with a bar behind it that reaches full at the largest value of the table. */
  cells.Barred = ({ value, colDef, context }) => {
    if (value === null || value === undefined) return create("span", { className: "muted" }, isoline.words.DASH);
    const most = context?.most?.[colDef.field] || 0;
    const share = most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
    return create("span", { className: "barred" }, create("span", null, isoline.words.number(value, 3)), create("i", { style: { width: `${56 * share}px` } }));
  };

  cells.Tags = ({ value }) => (value ?? []).map((tag) => create("span", { className: "pill", key: tag }, tag));

  functions.number = (value, digits) => isoline.words.number(value, digits);

  const api = () => globalThis.dash_ag_grid.getApiAsync("table");

  const table = {
    /** Answer the grid's request for rows; a clientside callback that waits for the server. */
    async rows(request) {
      const { no_update } = globalThis.dash_clientside;
      if (!request || !question) return no_update;
      const asked = generation;
      const [sort] = request.sortModel?.length ? request.sortModel : [{ colId: "position", sort: "asc" }];
      const query = new URLSearchParams({ sort: SORTED[sort.colId] ?? sort.colId, descending: sort.sort === "desc", start: request.startRow, stop: request.endRow });
      for (const key of ["evaluation", "selection", "search"]) if (question[key]) query.set(key, question[key]);
      try {
        const page = await isoline.api.json(`/versions/${question.version}/table?${query}`);
        if (asked !== generation) return no_update;
        (await api()).setGridOption("context", { most: remember(page) });
        return { rowData: page.rows.map((row) => ({ ...row, key: `r${row.position}` })), rowCount: page.total };
      } catch (error) {
        isoline.api.complain(error);
        return { rowData: [], rowCount: 0 };
      }
    },

    async show(changes) {
      question = { ...question, ...changes };
      generation += 1;
      const grid = await api();
      most = {};
      grid.purgeInfiniteCache();
      if (grid.getDisplayedRowCount()) grid.ensureIndexVisible(0, "top");
    },

    begin(first) {
      question = first;
      generation += 1;
      most = {};
    },

    /** The row of the table that shows a structure, if its page is loaded. */
    async find(position) {
      let found = null;
      (await api()).forEachNode((node) => {
        if (node.data?.position === position) found = node;
      });
      return found;
    },

    /** The structure `step` rows further; loads its page if need be. */
    async neighbour(position, step) {
      const grid = await api();
      const node = position === null ? null : await table.find(position);
      const index = node ? node.rowIndex + step : 0;
      if (index < 0 || index >= grid.getDisplayedRowCount()) return null;
      grid.ensureIndexVisible(index);
      for (let tries = 0; tries < 40; tries++) {
        const row = grid.getDisplayedRowAtIndex(index);
        if (row?.data) return row.data.position;
        await new Promise((resume) => setTimeout(resume, 50));
      }
      return null;
    },

    async mark(position, reveal = true) {
      const grid = await api();
      const node = await table.find(position);
      grid.deselectAll();
      if (!node) return;
      node.setSelected(true);
      if (reveal) grid.ensureNodeVisible(node);
    },

    async update(position, changes) {
      const node = await table.find(position);
      if (node) node.setData({ ...node.data, ...changes });
    },

    refresh: async () => (await api()).refreshInfiniteCache(),
    listen: async (event, handler) => (await api()).addEventListener(event, handler),
  };

  let most = {};

  function remember(page) {
    for (const row of page.rows) {
      for (const field of ["force_spread", "force_error", "energy_error", "max_force"]) {
        if (row[field] !== null && row[field] !== undefined) most[field] = Math.max(most[field] ?? 0, Math.abs(row[field]));
      }
    }
    return { ...most };
  }

  isoline.table = table;
  globalThis.dash_clientside = Object.assign({}, globalThis.dash_clientside, { table: { rows: table.rows } });
})((globalThis.isoline ??= {}));
