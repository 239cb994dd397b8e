"use strict";
// Click a head to sort, type to filter, turn the pages of a long table, open what is closed for printing; without a script the page
// reads the same.
(() => {
  const FEW = 3, LONG = 8, SHOWN = 20;
  const order = new Intl.Collator().compare;
  const element = (name, text, fields) => Object.assign(document.createElement(name), { textContent: text }, fields);
  const numberOf = (text) => {
    const found = text.replaceAll("−", "-").replaceAll(",", "").match(/^\s*[<\[]?([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/);
    return found ? Number(found[1]) : NaN;
  };
  // Where the texts of a table are: in its own rows, or, of a long one, in the columns beside it.
  const inRows = (table) => {
    const rows = [...table.tBodies[0].rows];
    return { n: rows.length, shown: rows.length, text: (row, place) => rows[row].cells[place].textContent, row: (row) => rows[row] };
  };
  const inColumns = (table, { columns, ids }) => {
    const text = (row, place) => {
      const column = columns[place];
      return column.words ? column.words[column.codes[row]] : column[row];
    };
    const blank = table.tBodies[0].rows[0].cloneNode(true), gene = [...table.tHead.rows[0].cells].findIndex((head) => head.textContent === "gene");
    const linked = (cell, id) => {
      const name = cell.textContent;
      cell.replaceChildren(
        element("a", name, { href: `https://www.ensembl.org/id/${id}`, title: `${id} at Ensembl`, rel: "noreferrer noopener" }), " ",
        element("a", "NCBI", { href: `https://www.ncbi.nlm.nih.gov/gene/?term=${id}`, title: `${id} at NCBI`, rel: "noreferrer noopener", className: "other" }));
    };
    const row = (at) => {
      const made = blank.cloneNode(true);
      [...made.cells].forEach((cell, place) => { cell.textContent = text(at, place); });
      if (ids[at]) linked(made.cells[gene], ids[at]);
      return made;
    };
    return { n: ids.length, shown: SHOWN, text, row };
  };
  const sorted = (held, rows, place, isWord, wanted) => {
    const texts = Array.from({ length: held.n }, (_, row) => held.text(row, place));
    const numbers = texts.map(numberOf), up = wanted === "ascending" ? 1 : -1;
    if (isWord || numbers.every(Number.isNaN)) return rows.sort((a, b) => up * order(texts[a], texts[b]));
    return rows.sort((a, b) => {
      const [x, y] = [numbers[a], numbers[b]];
      return Number.isNaN(x) || Number.isNaN(y) ? Number.isNaN(x) - Number.isNaN(y) : up * (x - y);
    });
  };
  const alive = (grid) => {
    const table = grid.querySelector("table"), packed = grid.querySelector("script");
    const held = packed ? inColumns(table, JSON.parse(packed.textContent)) : inRows(table);
    if (held.n < FEW) return;
    const box = grid.querySelector(".table"), heads = [...table.tHead.rows[0].cells];
    let rows = Array.from({ length: held.n }, (_, row) => row), found = rows, first = 0;
    const keeps = !packed && table.tBodies[0].querySelector("input") !== null, kept = [...table.tBodies[0].rows];
    const back = element("button", "Back"), next = element("button", "Next"), where = element("span", "");
    where.setAttribute("role", "status");
    const draw = () => {
      const last = Math.min(first + held.shown, found.length);
      const now = found.slice(first, last).map(held.row);
      if (keeps) {  // what is ticked in a row that is hidden is still sent
        for (const row of kept) row.hidden = !now.includes(row);
        table.tBodies[0].append(...now);
      } else table.tBodies[0].replaceChildren(...now);
      where.textContent = found.length ? `${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${found.length.toLocaleString("en")}` : "none";
      [back.disabled, next.disabled] = [first === 0, last === found.length];
    };
    const turn = (to) => { first = Math.max(0, to); draw(); };
    const sort = (place) => {
      const head = heads[place], isWord = head.classList.contains("word"), now = head.getAttribute("aria-sort");
      const wanted = now === "descending" || (now === "none" && isWord) ? "ascending" : "descending";
      sorted(held, rows, place, isWord, wanted);
      if (found !== rows) sorted(held, found, place, isWord, wanted);
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", wanted);
      turn(0);
    };
    heads.forEach((head, place) => {
      const button = element("button", head.textContent, { type: "button" });
      head.setAttribute("aria-sort", "none");
      head.replaceChildren(button);
      button.addEventListener("click", () => sort(place));
    });
    if (held.n >= LONG) {
      const input = element("input", "", { type: "search", placeholder: "filter rows" });
      input.setAttribute("aria-label", `filter rows: ${grid.querySelector(".caption")?.textContent ?? ""}`);
      let texts = null;
      input.addEventListener("input", () => {
        const wanted = input.value.trim().toLowerCase();
        texts ??= Array.from({ length: held.n }, (_, row) => heads.map((_, place) => held.text(row, place)).join(" ").toLowerCase());
        found = wanted ? rows.filter((row) => texts[row].includes(wanted)) : rows;
        turn(0);
      });
      grid.insertBefore(input, box);
    }
    if (held.n > held.shown) {
      back.addEventListener("click", () => turn(first - held.shown));
      next.addEventListener("click", () => turn(first + held.shown));
      const bar = element("p", "", { className: "turn" });
      bar.append(back, " ", where, " ", next);
      box.after(bar);
      draw();
    }
  };
  const wake = () => {
    for (const grid of document.querySelectorAll(".grid:not([data-alive])")) {
      grid.dataset.alive = "";
      alive(grid);
    }
  };
  wake();
  document.addEventListener("htmx:after:process", wake);  // in the browser a page comes in parts
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let at = target.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
