"use strict";
// Says so where the server does not answer any more; its next answer takes that back.
(() => {
  const SAID = "The server does not answer. A command that it started ends by itself. Start it again with perturbloop serve, and open the address it prints.";
  const place = () => document.getElementById("refused");
  document.addEventListener("htmx:error", (event) => {
    if (event.detail.ctx?.response || !place()) return;
    place().textContent = SAID;
    place().className = "alarm";
    place().setAttribute("role", "alert");
  });
  document.addEventListener("htmx:after:request", () => {
    if (place()?.textContent === SAID) place().replaceWith(Object.assign(document.createElement("div"), { id: "refused" }));
  });
})();
