(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const { front, evaluations, objective } = data;
  const host = document.getElementById("front-chart");
  const details = document.getElementById("front-details");
  const choice = { x: document.getElementById("front-x"), y: document.getElementById("front-y") };
  const room = { left: 64, right: 16, top: 14, bottom: 48 };
  let drawn = [], chosen = -1;

  const make = (name, attributes = {}, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  const axisName = (name) => {
    const [label, unit] = front.costs[name] || [choice.y.querySelector(`option[value="${name}"]`).textContent, ""];
    return unit ? `${label} (${unit})` : label;
  };
  const shown = (value) => Math.abs(value) >= 1000
    ? Math.round(value).toLocaleString("en").replaceAll(",", "\u202f") : String(Number(value.toPrecision(4)));
  const short = (value) => Math.abs(value) >= 1e6 ? `${Number((value / 1e6).toPrecision(6))} M`
    : Math.abs(value) >= 1e4 ? `${Number((value / 1e3).toPrecision(6))} k` : String(value);
  const value = (evaluation, name) => name in front.costs ? evaluation.cost[name] : evaluation.metrics[name];
  const usable = (evaluation) => !evaluation.error && Number.isFinite(evaluation.metrics[objective]);
  const ticks = (low, high) => {
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
    const found = [];
    for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index++) {
      found.push(Number((index * step).toPrecision(12)));
    }
    return found;
  };
  const range = (values) => {
    const low = Math.min(...values), high = Math.max(...values);
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.06 || 0.001;
    return [low - margin, high + margin];
  };
  // The lowest value that is drawn in its place: Tukey's outer fence. A first model, hardly trained, would else
  // press all others into a line.
  const fence = (values) => {
    const sorted = [...values].sort((a, b) => a - b), at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
    return at(0.25) - 3 * Math.max(at(0.75) - at(0.25), 0.01);
  };
  const symbol = (kind, x, y) => kind === "exported"
    ? make("path", { class: "point exported", d: star(x, y, 10) })
    : make("circle", { class: `point ${kind}`, cx: x, cy: y, r: kind === "file" ? 6 : 4.5 });
  const star = (x, y, size) => "M" + Array.from({ length: 10 }, (_, index) => {
    const radius = index % 2 ? size * 0.42 : size, angle = Math.PI * (index / 5 - 0.5);
    return `${(x + radius * Math.cos(angle)).toFixed(1)} ${(y + radius * Math.sin(angle)).toFixed(1)}`;
  }).join("L") + "Z";
  const kindOf = (place) => place === data.exported ? "exported" : evaluations[place].source;

  function draw() {
    const names = { x: choice.x.value, y: choice.y.value };
    const width = Math.max(280, host.clientWidth), height = Math.min(460, Math.max(300, width * 0.5));
    const points = evaluations.map((evaluation, place) => ({ place, x: value(evaluation, names.x), y: value(evaluation, names.y) }))
      .filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y) && usable(evaluations[point.place]));
    const limit = data.limits[`max_${names.x}`];
    const label = `${axisName(names.y)} against ${axisName(names.x)} of ${points.length} networks`;
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, tabindex: 0 });
    host.replaceChildren(svg);
    drawn = [];
    if (!points.length) {
      svg.append(make("text", { x: room.left, y: height / 2 }, "No network has both numbers."));
      return;
    }
    const lowest = names.y === objective ? fence(points.map((p) => p.y)) : -Infinity;
    const spans = { x: range([...points.map((p) => p.x), ...(limit ? [limit] : [])]), y: range(points.map((p) => Math.max(p.y, lowest))) };
    const across = (number) => room.left + (number - spans.x[0]) / (spans.x[1] - spans.x[0]) * (width - room.left - room.right);
    const up = (number) => height - room.bottom - (number - spans.y[0]) / (spans.y[1] - spans.y[0]) * (height - room.top - room.bottom);
    for (const tick of ticks(...spans.y)) {
      svg.append(make("line", { class: "grid", x1: room.left, x2: width - room.right, y1: up(tick), y2: up(tick) }));
      svg.append(make("text", { class: "tick end", x: room.left - 7, y: up(tick) + 4 }, short(tick)));
    }
    let end = -Infinity;
    for (const tick of ticks(...spans.x)) {
      if (across(tick) - end < 52) continue;
      end = across(tick);
      svg.append(make("text", { class: "tick middle", x: end, y: height - room.bottom + 18 }, short(tick)));
    }
    const middle = (room.top + height - room.bottom) / 2;
    svg.append(make("line", { class: "axis", x1: room.left, x2: width - room.right, y1: height - room.bottom, y2: height - room.bottom }));
    svg.append(make("text", { class: "label middle", x: (room.left + width - room.right) / 2, y: height - 8 }, axisName(names.x)));
    svg.append(make("text", { class: "label middle", x: 14, y: middle, transform: `rotate(-90 14 ${middle})` }, axisName(names.y)));
    if (limit) svg.append(make("line", { class: "limit", x1: across(limit), x2: across(limit), y1: room.top, y2: height - room.bottom }));
    drawn = points.map((point) => ({
      place: point.place, x: across(point.x), y: up(Math.max(point.y, lowest)), below: point.y < lowest,
    })).sort((a, b) => a.x - b.x);
    if (names.y === objective) {
      const corners = front.fronts[names.x].map((place) => drawn.find((point) => point.place === place));
      const line = corners.map((point, index) => (index ? `H${point.x}V${point.y}` : `M${point.x} ${point.y}`)).join("");
      if (line) svg.append(make("path", { class: "front", d: line }));
    }
    const order = ["predicted", "shared_weights", "standalone", "file", "exported"];
    for (const point of [...drawn].sort((a, b) => order.indexOf(kindOf(a.place)) - order.indexOf(kindOf(b.place)))) {
      const shape = symbol(kindOf(point.place), point.x, point.y);
      if (point.below) shape.classList.add("below");
      svg.append(shape);
    }
    svg.append(make("circle", { class: "ring", r: 9, visibility: "hidden" }));
    legend(names.y === objective, limit);
    mark();
  }

  function legend(hasFront, limit) {
    const kinds = new Set(drawn.filter((point) => !point.below).map((point) => kindOf(point.place)));
    const host = document.getElementById("front-legend");
    const words = { ...front.sources, exported: "the exported file" };
    const entry = (shape, text) => {
      const icon = make("svg", { width: 20, height: 16, "aria-hidden": "true" }), box = document.createElement("span");
      icon.append(shape);
      box.append(icon, text);
      return box;
    };
    const entries = Object.keys(words).filter((kind) => kinds.has(kind)).map((kind) => entry(symbol(kind, 10, 8), words[kind]));
    if (hasFront) entries.push(entry(make("path", { class: "front", d: "M1 12H10V4H19" }), `front (${front.sources[front.source]})`));
    if (drawn.some((point) => point.below)) {
      entries.push(entry(make("circle", { class: "point below", cx: 10, cy: 8, r: 6 }), "further below"));
    }
    if (limit) entries.push(entry(make("line", { class: "limit", x1: 10, x2: 10, y1: 0, y2: 16 }), `limit ${shown(limit)}`));
    host.replaceChildren(...entries);
  }

  function mark() {
    const ring = host.querySelector(".ring"), point = drawn.find((each) => each.place === chosen);
    if (!ring) return;
    ring.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
  }

  function tell(place) {
    if (place === chosen) return;
    chosen = place;
    const evaluation = evaluations[place], lines = [];
    const line = (text, name) => {
      const node = document.createElement("p");
      node.textContent = text;
      if (name) node.className = name;
      lines.push(node);
    };
    const kind = place === data.exported ? "the exported file" : front.sources[evaluation.source];
    line(`${axisName(objective)} ${evaluation.metrics[objective].toFixed(4)} (${kind})`);
    line(Object.keys(front.costs).filter((name) => evaluation.cost[name] !== null)
      .map((name) => `${front.costs[name][0]} ${shown(evaluation.cost[name])} ${front.costs[name][1]}`.trim()).join(" · "));
    line(Object.entries(evaluation.architecture).map(([name, option]) => `${name.replaceAll("_", " ")}: ${option}`).join(", "), "note");
    details.replaceChildren(...lines);
    mark();
  }

  const tellNearest = (event) => {
    const box = host.firstElementChild.getBoundingClientRect();
    const scale = Number(host.firstElementChild.getAttribute("width")) / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const distance = (point) => (point.x - x) ** 2 + (point.y - y) ** 2;
    const nearest = drawn.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
    if (nearest && distance(nearest) < 1600) tell(nearest.place);
  };
  host.addEventListener("pointermove", tellNearest);
  host.addEventListener("pointerdown", tellNearest);  // a tap on a phone does not move
  host.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !drawn.length) return;
    event.preventDefault();
    const now = drawn.findIndex((point) => point.place === chosen);
    tell(drawn[now < 0 ? 0 : Math.min(drawn.length - 1, Math.max(0, now + step))].place);
  });
  choice.x.addEventListener("change", draw);
  choice.y.addEventListener("change", draw);
  new ResizeObserver(draw).observe(host);
  draw();
})();
