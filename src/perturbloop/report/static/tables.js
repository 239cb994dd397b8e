"use strict";
// Click a head to sort, type to filter, open the details for printing; without a script the page reads the same.
(() => {
  const LONG = 8;
  const numberOf = (cell) => {
    const found = cell.textContent.replaceAll("−", "-").replaceAll(",", "").match(/^\s*[<\[]?([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/);
    return found ? Number(found[1]) : NaN;
  };
  const sort = (table, head, place) => {
    const descending = head.getAttribute("aria-sort") === "descending" ||
      (head.getAttribute("aria-sort") === "none" && head.classList.contains("word"));
    const wanted = descending ? "ascending" : "descending";
    const body = table.tBodies[0], rows = [...body.rows];
    const isText = rows.every((row) => Number.isNaN(numberOf(row.cells[place])));
    rows.sort((a, b) => {
      const [x, y] = [a.cells[place], b.cells[place]];
      if (isText) {
        const order = x.textContent.localeCompare(y.textContent);
        return wanted === "ascending" ? order : -order;
      }
      const [m, n] = [numberOf(x), numberOf(y)];
      if (Number.isNaN(m) || Number.isNaN(n)) return Number.isNaN(m) - Number.isNaN(n);
      return wanted === "ascending" ? m - n : n - m;
    });
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", wanted);
    body.append(...rows);
  };
  for (const grid of document.querySelectorAll(".grid")) {
    const table = grid.querySelector("table"), rows = table.tBodies[0].rows;
    if (rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      head.setAttribute("aria-sort", "none");
      head.tabIndex = 0;
      head.addEventListener("click", () => sort(table, head, place));
      head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(table, head, place); });
    });
    if (rows.length < LONG) continue;
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "filter rows";
    input.setAttribute("aria-label", "filter rows");
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    grid.insertBefore(input, grid.querySelector(".table"));
  }
  const details = document.getElementById("details");
  let opened = false;
  addEventListener("beforeprint", () => { opened = !details.open; details.open = true; });
  addEventListener("afterprint", () => { if (opened) details.open = false; });
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && details.contains(target)) { details.open = true; target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
