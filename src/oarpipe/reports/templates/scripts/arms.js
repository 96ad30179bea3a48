{
  // Which arms are shown: in the tables, the pictures, and (faintly, the others) the chart. The address tells it.
  const picker = document.getElementById("arms");
  const find = document.getElementById("find");
  const items = [...picker.querySelectorAll("li")].map((item) => ({
    item,
    box: item.querySelector("input"),
    words: `${item.textContent} ${item.querySelector("input").value}`.toLowerCase(),
  }));

  function show() {
    const chosen = new Set(items.filter(({ box }) => box.checked).map(({ box }) => box.value));
    document.querySelectorAll("[data-arm]").forEach((one) => {
      one.toggleAttribute("hidden", !chosen.has(one.dataset.arm));
    });
    const all = chosen.size === items.length;
    picker.firstElementChild.textContent = all ? "Arms: all" : `Arms: ${chosen.size} of ${items.length}`;
    picker.classList.toggle("filtered", !all);
    const address = new URL(location);
    if (all) address.searchParams.delete("arms");
    else address.searchParams.set("arms", [...chosen].join(" "));
    try {
      history.replaceState(null, "", address);
    } catch {} // a page within another has no address of its own
  }

  const asked = new Set(new URLSearchParams(location.search).get("arms")?.split(" "));
  if (items.some(({ box }) => asked.has(box.value))) {
    items.forEach(({ box }) => (box.checked = asked.has(box.value)));
    show();
  }

  picker.addEventListener("change", show);
  find.addEventListener("input", () => {
    const wanted = find.value.toLowerCase().split(/\s+/);
    items.forEach(({ item, words }) => {
      item.hidden = !wanted.every((word) => words.includes(word));
    });
  });
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") document.getElementById("only").click();
  });
  document.getElementById("only").addEventListener("click", () => {
    items.forEach(({ item, box }) => (box.checked = !item.hidden));
    show();
  });
  document.getElementById("every").addEventListener("click", () => {
    find.value = "";
    items.forEach(({ item, box }) => {
      item.hidden = false;
      box.checked = true;
    });
    show();
  });
  document.addEventListener("click", (event) => {
    if (!picker.contains(event.target)) picker.open = false;
  });
  picker.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      picker.open = false;
      picker.firstElementChild.focus();
    }
  });
}
