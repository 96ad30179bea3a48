{
  // Every named table can be taken along as CSV or Markdown, as it is shown; larger ones can be sorted.
  const tidy = (text) => text.replace(/\s+/g, " ").trim();
  const isMissing = (text) => text === "" || text === "–";

  function read(cell) {
    const copy = cell.cloneNode(true);
    const small = [...copy.querySelectorAll("small")];
    small.forEach((one) => one.remove());
    const text = tidy(copy.textContent);
    const plain = text.replace(/−/g, "-").replace(/(\d),(?=\d{3})/g, "$1");
    const isNumber = /^[-+]?\d+(\.\d+)?$/.test(plain);
    return {
      text,
      detail: cell.title || small.map((one) => tidy(one.textContent)).filter(Boolean).join("; "),
      value: cell.dataset.value ?? (isNumber ? String(Number(plain)) : text),
      isNumber: cell.dataset.value !== undefined || isNumber,
    };
  }

  function spread(row) {
    return [...row.cells].flatMap((cell) => Array(cell.colSpan).fill(cell));
  }

  function heads(table) {
    const rows = [...table.tHead.rows].map(spread);
    const groups = rows.length > 1 ? rows[0] : [];
    return rows[rows.length - 1].map((cell, i) => {
      const group = groups[i]?.matches(".group") ? groups[i].firstChild.textContent : "";
      return [tidy(group), cell.title || read(cell).text].filter(Boolean).join(", ");
    });
  }

  function body(table) {
    const rows = [...table.tBodies, ...(table.tFoot ? [table.tFoot] : [])].flatMap((part) => [...part.rows]);
    return rows.filter((row) => !row.hidden).map((row) => {
      const cells = spread(row);
      return cells.map((cell, i) => (i > 0 && cell === cells[i - 1] ? { text: "", detail: "", value: "" } : read(cell)));
    });
  }

  function csv(table) {
    const rows = body(table);
    const names = heads(table);
    const hasDetail = names.map((_, i) => rows.some((row) => row[i].detail));
    const pick = (cells, main, detail) =>
      cells.flatMap((cell, i) => (hasDetail[i] ? [main(cell), detail(cell)] : [main(cell)]));
    const lines = [
      pick(names, (name) => name, (name) => `${name} (detail)`),
      ...rows.map((row) => pick(row, (cell) => (isMissing(cell.value) ? "" : cell.value), (cell) => cell.detail)),
    ];
    const quote = (text) => (/[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text);
    return lines.map((line) => line.map(quote).join(",")).join("\n") + "\n";
  }

  function markdown(table) {
    const rows = body(table);
    const line = (texts) => `| ${texts.map((text) => text.replace(/\|/g, "\\|")).join(" | ")} |\n`;
    const rule = heads(table).map((_, i) => (rows.some((row) => row[i].isNumber) ? "---:" : "---"));
    const told = (cell) => (cell.detail ? `${cell.text} (${cell.detail})` : cell.text);
    return line(heads(table)) + line(rule) + rows.map((row) => line(row.map(told))).join("");
  }

  function save(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function button(label, words, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.title = words;
    made.addEventListener("click", () => act(made));
    return made;
  }

  function say(made, words) {
    const label = made.textContent;
    made.textContent = words;
    setTimeout(() => (made.textContent = label), 1500);
  }

  for (const table of document.querySelectorAll("table[data-name]")) {
    const { name } = table.dataset;
    const copy = (made) => {
      const saved = () => save(`${name}.md`, markdown(table));
      if (!navigator.clipboard) return saved();
      return navigator.clipboard.writeText(markdown(table)).then(() => say(made, "Copied"), saved);
    };
    const tools = document.createElement("p");
    tools.className = "tools";
    tools.append(
      button("CSV", `Save this table as ${name}.csv, numbers unrounded`, () => save(`${name}.csv`, csv(table))),
      button("Markdown", "Copy this table as Markdown", copy),
    );
    (table.closest(".grids") ? table : table.closest(".scroll") ?? table).before(tools);
  }

  for (const table of document.querySelectorAll("table[data-sort]")) {
    const rows = [...table.tBodies[0].rows];
    const columns = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const sort = (i, way) => {
      columns.forEach((head) => head.removeAttribute("aria-sort"));
      if (way) columns[i].setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      table.classList.toggle("sorted", way !== 0);
      const cell = new Map(rows.map((row) => [row, read(row.cells[i])]));
      const compare = (a, b) => {
        const [x, y] = [cell.get(a), cell.get(b)];
        if (isMissing(x.text) || isMissing(y.text)) return isMissing(x.text) - isMissing(y.text);
        return way * (x.isNumber && y.isNumber ? x.value - y.value : x.text.localeCompare(y.text));
      };
      table.tBodies[0].append(...(way ? [...rows].sort(compare) : rows));
    };
    columns.forEach((head, i) => {
      if (!tidy(head.textContent)) return;
      // The first click puts the best first, the second turns the rows round, the third puts them back.
      const first = head.dataset.direction === "1" ? -1 : 1;
      const made = button("", "", () => {
        const shown = { ascending: 1, descending: -1 }[head.getAttribute("aria-sort")] ?? 0;
        sort(i, shown === 0 ? first : shown === first ? -first : 0);
      });
      made.className = "sort";
      made.append(...head.childNodes);
      head.append(made);
    });
  }
}
