// Two sets of samples beside each other, and their paired differences; there may be only one set.
if (document.getElementById("sides")) {
  const { sides, columns, differences } = JSON.parse(document.getElementById("sides").textContent);
  const left = document.getElementById("left");
  const right = document.getElementById("right");
  const blink = document.getElementById("blink");
  const rows = document.querySelector("#contest tbody");
  const stage = document.getElementById("contestants");

  for (const select of [left, right]) {
    sides.forEach((words, i) => select.add(new Option(words, String(i))));
  }
  right.value = "1";

  const number = (value, decimals) => {
    const text = value.toFixed(decimals).replace("-", "−");
    return /[1-9]/.test(text) ? text : text.replace("−", "");
  };
  const signed = (value, decimals) => {
    const text = number(value, decimals);
    return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
  };

  function found(i, j, metric) {
    if (i === j) return null;
    const known = differences[i < j ? `${i}-${j}` : `${j}-${i}`][metric];
    if (known === null || i < j) return known;
    const [a, b, mean, low, high] = known;
    return [b, a, -mean, high === null ? null : -high, low === null ? null : -low];
  }

  function verdict([, , mean, low, high], direction) {
    if (low === null) return "no interval was computed";
    if (low <= 0 && high >= 0) return "not distinguishable";
    if (!direction) return mean > 0 ? "higher" : "lower";
    return mean * direction > 0 ? "better" : "worse";
  }

  function compare(i, j) {
    rows.replaceChildren(
      ...columns.map((column, metric) => {
        const one = found(i, j, metric);
        const row = document.createElement("tr");
        const head = document.createElement("th");
        head.scope = "row";
        head.textContent = column.name;
        row.append(head);
        const told = one
          ? [
              number(one[0], column.decimals),
              number(one[1], column.decimals),
              signed(one[2], column.decimals),
              one[3] === null ? "–" : `${signed(one[3], column.decimals)} to ${signed(one[4], column.decimals)}`,
              verdict(one, column.direction),
            ]
          : ["–", "–", "–", "–", i === j ? "the same" : "not measured"];
        told.forEach((text, k) => {
          const cell = row.insertCell();
          cell.textContent = text;
          if (k < 4) cell.className = "n";
          if (one && k < 3) cell.dataset.value = one[k];
        });
        return row;
      }),
    );
  }

  function set(i, j) {
    compare(i, j);
    const pairs = [i, j].map((side) => document.querySelector(`.pair[data-side="${side}"]`));
    const sheets = pairs.map((pair) => [...pair.querySelectorAll(".headed")]);
    stage.className = "pair";
    stage.dataset.title = "sample";
    stage.dataset.rows = pairs[0].dataset.rows;
    // Images left and right, and below them the orders left and right.
    stage.replaceChildren(...sheets[0].flatMap((_, k) => sheets.map((own) => own[k].cloneNode(true))));
    stage.querySelectorAll(".mark").forEach((mark) => mark.remove());
    document.prepareSheets(stage);
  }
  const update = () => set(Number(left.value), Number(right.value));

  function hold(on) {
    blink.setAttribute("aria-pressed", String(on));
    const theirs = document.querySelectorAll(`.pair[data-side="${(on ? right : left).value}"] .sheet img`);
    const ours = [...stage.querySelectorAll(".sheet img")].filter((_, k) => k % 2 === 0);
    ours.forEach((picture, k) => (picture.src = theirs[k].src));
  }

  left.addEventListener("change", update);
  right.addEventListener("change", update);
  document.getElementById("swap").addEventListener("click", () => {
    [left.value, right.value] = [right.value, left.value];
    update();
  });
  blink.addEventListener("pointerdown", () => hold(true));
  ["pointerup", "pointerleave", "pointercancel", "blur"].forEach((name) => blink.addEventListener(name, () => hold(false)));
  blink.addEventListener("keydown", (event) => {
    if ([" ", "Enter"].includes(event.key) && !event.repeat) hold(true);
  });
  blink.addEventListener("keyup", () => hold(false));
  update();
}
