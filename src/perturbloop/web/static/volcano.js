"use strict";
// Benefit against certainty, a dot per gene, on a canvas: hover names a dot, click opens its gene. The table beside it has the same genes.
(() => {
  const figure = document.getElementById("volcano");
  if (!figure) return;
  const canvas = figure.querySelector("canvas"), hint = figure.querySelector(".hint");
  const COLORS = { "1": "#0072b2", "-1": "#d55e00", "0": "#8a8a8a" }, INK = "#222", PALE = "#c9c9c9";
  const EDGE = { left: 46, right: 14, top: 8, bottom: 34 }, REACH = 9, CELL = 12;
  let dots = null, mask = null, places = null, drawing = 0;

  const ends = (values) => {
    let low = Infinity, high = -Infinity;
    for (const value of values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const margin = (high - low || 1) * 0.04;
    return [low - margin, high + margin];
  };
  const ticks = (low, high, most) => {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough) || 10);
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(Number(value.toFixed(10)));
    return found;
  };
  const kept = (place) => mask === null || (mask.charCodeAt(place >> 3) >> (7 - (place & 7))) & 1;
  const readMask = () => {
    const found = document.getElementById("found"), said = found && found.dataset.mask;
    mask = said ? atob(said) : null;
  };

  const draw = () => {
    drawing = 0;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!dots || !width || !height) return;
    const scale = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.scale(scale, scale);
    const [x0, x1] = dots.x.ends, [y0, y1] = dots.y.ends;
    const inner = [width - EDGE.left - EDGE.right, height - EDGE.top - EDGE.bottom];
    const atX = (value) => EDGE.left + ((value - x0) / (x1 - x0)) * inner[0];
    const atY = (value) => EDGE.top + (1 - (value - y0) / (y1 - y0)) * inner[1];
    axes(pen, width, height, atX, atY);
    places = new Map();
    const spots = (wanted, color, size) => {
      pen.fillStyle = color;
      for (let place = 0; place < dots.way.length; place++) {
        if (!wanted(place) || dots.x.values[place] === null) continue;
        pen.fillRect(atX(dots.x.values[place]) - size / 2, atY(dots.y.values[place]) - size / 2, size, size);
      }
    };
    pen.globalAlpha = 0.6;
    if (mask !== null) spots((place) => !kept(place), PALE, 2);
    for (const way of [0, -1, 1]) spots((place) => dots.way[place] === way && kept(place), COLORS[way], mask === null ? 2.5 : 4);
    pen.globalAlpha = 1;
    for (let place = 0; place < dots.way.length; place++) {
      if (dots.x.values[place] === null) continue;
      const at = [atX(dots.x.values[place]), atY(dots.y.values[place]), place];
      const key = `${Math.floor(at[0] / CELL)},${Math.floor(at[1] / CELL)}`;
      if (places.has(key)) places.get(key).push(at);
      else places.set(key, [at]);
    }
    names(pen, width, atX, atY);
  };

  const axes = (pen, width, height, atX, atY) => {
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = "#555";
    pen.strokeStyle = "#e4e4e4";
    pen.textAlign = "center";
    for (const value of ticks(...dots.x.ends, Math.max(3, width / 110))) {
      pen.fillText(String(value), atX(value), height - EDGE.bottom + 14);
    }
    pen.textAlign = "right";
    for (const value of ticks(...dots.y.ends, 5)) {
      pen.fillText(String(value), EDGE.left - 6, atY(value) + 4);
      pen.beginPath();
      pen.moveTo(EDGE.left, atY(value));
      pen.lineTo(width - EDGE.right, atY(value));
      pen.stroke();
    }
    pen.fillStyle = INK;
    pen.textAlign = "center";
    pen.fillText(dots.x.title, EDGE.left + (width - EDGE.left - EDGE.right) / 2, height - 4, width - EDGE.left);
    pen.save();
    pen.translate(12, EDGE.top + (height - EDGE.top - EDGE.bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(dots.y.title, 0, 0, height - EDGE.top - EDGE.bottom);
    pen.restore();
    if (dots.x.ends[0] < 0 && dots.x.ends[1] > 0) {
      pen.strokeStyle = INK;
      pen.setLineDash([2, 3]);
      pen.beginPath();
      pen.moveTo(atX(0), EDGE.top);
      pen.lineTo(atX(0), height - EDGE.bottom);
      pen.stroke();
      pen.setLineDash([]);
    }
  };

  // Genes stand in the order of the ranking: the first that are kept are the best; a name that would cover another is left out.
  const names = (pen, width, atX, atY) => {
    const boxes = [];
    let left = dots.named;
    pen.font = "600 12px system-ui, sans-serif";
    pen.fillStyle = INK;
    for (let place = 0; place < dots.way.length && left > 0; place++) {
      if (dots.x.values[place] === null || !kept(place)) continue;
      left--;
      const x = atX(dots.x.values[place]), y = atY(dots.y.values[place]), long = pen.measureText(dots.name[place]).width;
      const before = x + 6 + long > width - EDGE.right;
      const box = [before ? x - 6 - long : x + 6, y - 9, long, 13];
      if (boxes.some((other) => box[0] < other[0] + other[2] && other[0] < box[0] + box[2] && Math.abs(box[1] - other[1]) < 13)) continue;
      boxes.push(box);
      pen.textAlign = "left";
      pen.fillText(dots.name[place], box[0], y + 4);
    }
  };

  const redraw = () => { if (!drawing) drawing = requestAnimationFrame(draw); };

  const under = (event) => {
    if (!places) return -1;
    const frame = canvas.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    let best = -1, near = REACH * REACH;
    for (let i = -1; i <= 1; i++) for (let j = -1; j <= 1; j++) {
      for (const [atX, atY, place] of places.get(`${Math.floor(x / CELL) + i},${Math.floor(y / CELL) + j}`) || []) {
        const away = (atX - x) ** 2 + (atY - y) ** 2 + (kept(place) ? 0 : 40);
        if (away < near) [best, near] = [place, away];
      }
    }
    return best;
  };

  canvas.addEventListener("mousemove", (event) => {
    const place = under(event);
    hint.hidden = place < 0;
    canvas.classList.toggle("over", place >= 0);
    if (place < 0) return;
    hint.textContent = `${dots.name[place]}: ${dots.x.values[place]}, ${dots.y.values[place]}`;
    const x = event.clientX - canvas.getBoundingClientRect().left;
    hint.style.left = `${Math.max(0, Math.min(x + 10, canvas.clientWidth - hint.offsetWidth))}px`;
    hint.style.top = `${Math.max(0, event.clientY - canvas.getBoundingClientRect().top - 34)}px`;
  });
  canvas.addEventListener("mouseleave", () => { hint.hidden = true; });
  canvas.addEventListener("click", (event) => {
    const place = under(event);
    if (place >= 0) location.href = `/gene/${encodeURIComponent(dots.gene[place])}`;
  });

  new ResizeObserver(redraw).observe(canvas);
  new MutationObserver(() => {
    const before = mask;
    readMask();
    if (before !== mask) redraw();
  }).observe(figure.parentElement, { childList: true });
  fetch(canvas.dataset.points).then((answer) => answer.json()).then((found) => {
    dots = found;
    dots.x.ends = ends(dots.x.values);
    dots.y.ends = ends(dots.y.values);
    readMask();
    redraw();
  });
})();
