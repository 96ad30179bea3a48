{
  // Generations fill in, all arms at the same step.
  const slider = document.getElementById("step");
  const button = document.getElementById("play");
  const shown = document.getElementById("shown");
  const SCALE = 3;
  const STEPS_A_SECOND = 8;
  const PAUSE_AT_END = 12;

  const players = [...document.querySelectorAll("canvas[data-orders]")].map((canvas) => {
    const player = {
      canvas,
      orders: JSON.parse(canvas.dataset.orders),
      columns: Number(canvas.dataset.columns),
      rows: Number(canvas.dataset.rows),
      picture: new Image(),
    };
    player.picture.onload = () => {
      const side = player.picture.height;
      const gap = Math.max(1, Math.round(side / 12));
      player.gap = gap;
      canvas.width = SCALE * (player.orders.length * (side + gap) - gap);
      canvas.height = SCALE * side;
      draw(player, Number(slider.value));
    };
    player.picture.src = canvas.dataset.picture;
    return player;
  });

  function draw(player, step) {
    const { canvas, orders, columns, rows, picture, gap } = player;
    if (!picture.complete || !canvas.width) return;
    const side = picture.height;
    const pen = canvas.getContext("2d");
    const width = side / columns;
    const height = side / rows;
    pen.imageSmoothingEnabled = false;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    orders.forEach((order, i) => {
      const left = SCALE * i * (side + gap);
      pen.fillStyle = "#8d9099";
      pen.fillRect(left, 0, SCALE * side, SCALE * side);
      order.slice(0, step).forEach((position) => {
        const x = (position % columns) * width;
        const y = Math.floor(position / columns) * height;
        pen.drawImage(picture, i * side + x, y, width, height, left + SCALE * x, SCALE * y, SCALE * width, SCALE * height);
      });
      if (step > 0 && step < order.length) {
        const last = order[step - 1];
        pen.strokeStyle = "#e8b300";
        pen.lineWidth = SCALE;
        pen.strokeRect(
          left + SCALE * (last % columns) * width + SCALE / 2,
          SCALE * Math.floor(last / columns) * height + SCALE / 2,
          SCALE * (width - 1),
          SCALE * (height - 1),
        );
      }
    });
  }

  function show(step) {
    slider.value = step;
    shown.textContent = `${step} of ${slider.max}`;
    players.forEach((player) => draw(player, step));
  }

  let timer = null;
  let waited = 0;
  function tick() {
    const step = Number(slider.value);
    if (step < Number(slider.max)) {
      show(step + 1);
    } else if (++waited > PAUSE_AT_END) {
      waited = 0;
      show(0);
    }
  }
  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(tick, 1000 / STEPS_A_SECOND) : null;
    button.textContent = on ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(on));
  }
  button.addEventListener("click", () => play(timer === null));
  slider.addEventListener("input", () => {
    play(false);
    show(Number(slider.value));
  });
}
