{
  // A tile of a sheet, large, and beside it the same tile of the other sheets of its pair.
  const SIZE = 176;
  const EXACT_SIDE = 64;
  const lens = document.createElement("div");
  lens.className = "lens";
  lens.setAttribute("role", "status");
  lens.hidden = true;
  document.body.append(lens);
  let shown = null;

  const facts = (sheet) => ({
    columns: Number(sheet.dataset.columns),
    side: Number(sheet.dataset.side),
    tiles: Number(sheet.dataset.tiles),
    step: Number(sheet.dataset.side) + Math.max(1, Math.floor(sheet.dataset.side / 12)),
    picture: sheet.querySelector("img"),
  });

  function place(sheet, tile) {
    const { columns, side, step, picture } = facts(sheet);
    const scale = picture.getBoundingClientRect().width / picture.naturalWidth;
    const [x, y] = [(tile % columns) * step, Math.floor(tile / columns) * step];
    return { x, y, left: x * scale, top: y * scale, width: side * scale };
  }

  function enlarged(sheet, tile) {
    const { side, picture } = facts(sheet);
    const { x, y } = place(sheet, tile);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIZE * Math.ceil(devicePixelRatio);
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = side > EXACT_SIDE;
    pen.drawImage(picture, x, y, side, side, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  function mark(sheet, tile) {
    const { left, top, width } = place(sheet, tile);
    const frame = document.createElement("span");
    frame.className = "mark";
    Object.assign(frame.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${width}px` });
    sheet.append(frame);
  }

  function show(sheet, tile) {
    if (shown && shown.sheet === sheet && shown.tile === tile) return;
    hide();
    shown = { sheet, tile };
    const pair = sheet.closest(".pair");
    const sheets = [...pair.querySelectorAll(".sheet")].filter((one) => tile < facts(one).tiles);
    sheets.forEach((one) => mark(one, tile));
    const rows = JSON.parse(pair.dataset.rows ?? "null");
    const name = JSON.parse(sheet.dataset.names)[tile % facts(sheet).columns];
    const words = document.createElement("p");
    words.textContent = rows ? `${pair.dataset.title} ${rows[tile]}, class ${name}` : `${pair.dataset.title} ${name}`;
    const canvases = document.createElement("div");
    canvases.append(...sheets.map((one) => enlarged(one, tile)));
    canvases.style.gridTemplateColumns = `repeat(${Math.min(2, sheets.length)}, ${SIZE}px)`;
    lens.replaceChildren(canvases, words);
    lens.hidden = false;
    // Beside the tile where there is room, and never over it.
    const at = place(sheet, tile);
    const around = sheet.getBoundingClientRect();
    const [left, top] = [around.left + at.left, around.top + at.top];
    const right = left + at.width + 14;
    const fits = right + lens.offsetWidth < innerWidth;
    const beside = fits || left - lens.offsetWidth > 14;
    const x = fits ? right : left - lens.offsetWidth - 14;
    const below = top + at.width + 14 + lens.offsetHeight < innerHeight;
    const y = beside ? top - lens.offsetHeight / 2 : below ? top + at.width + 14 : top - lens.offsetHeight - 14;
    const within = (value, most) => Math.max(8, Math.min(value, most - 8));
    lens.style.left = `${within(x, innerWidth - lens.offsetWidth)}px`;
    lens.style.top = `${beside ? within(y, innerHeight - lens.offsetHeight) : y}px`;
  }

  function hide() {
    shown = null;
    lens.hidden = true;
    document.querySelectorAll(".mark").forEach((frame) => frame.remove());
  }

  function under(event) {
    const sheet = event.target.closest(".sheet");
    if (!sheet) return hide();
    const { columns, step, tiles, picture } = facts(sheet);
    const around = picture.getBoundingClientRect();
    const scale = around.width / picture.naturalWidth;
    const [column, row] = [event.clientX - around.left, event.clientY - around.top].map((v) => Math.floor(v / scale / step));
    const tile = row * columns + column;
    if (column >= 0 && column < columns && tile >= 0 && tile < tiles) show(sheet, tile);
  }

  document.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") under(event);
  });
  document.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse") under(event);
  });
  addEventListener("scroll", hide, { passive: true });

  // Sheets that come later are made ready by whoever brings them.
  document.prepareSheets = (place) => {
    place.querySelectorAll(".sheet").forEach((sheet) => {
      sheet.tabIndex = 0;
      sheet.setAttribute("role", "group");
      sheet.setAttribute("aria-label", `${sheet.querySelector("img").alt} Arrow keys enlarge one after another.`);
    });
  };
  document.prepareSheets(document);
  document.addEventListener("focusin", (event) => {
    if (event.target.matches(".sheet:focus-visible")) show(event.target, 0);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    const sheet = event.target.closest?.(".sheet");
    if (!sheet) return;
    const { columns, tiles } = facts(sheet);
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const tile = (shown?.sheet === sheet ? shown.tile : 0) + move;
    if (tile >= 0 && tile < tiles) show(sheet, tile);
  });
}
