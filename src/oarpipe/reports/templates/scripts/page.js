"use strict";
{
  // What needs this script is hidden without it.
  document.querySelectorAll(".scripted").forEach((one) => {
    one.hidden = false;
  });

  // A link to an entry of the provenance opens it.
  const open = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();

  // The contents mark the section that is read.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          links.forEach((link) => link.removeAttribute("aria-current"));
          const link = links.get(entry.target.id);
          link.setAttribute("aria-current", "true");
          link.parentElement.scrollTo({ left: link.offsetLeft - 80 });
        }
      }
    },
    { rootMargin: "-20% 0px -75% 0px" },
  );
  links.forEach((_, id) => {
    const section = document.getElementById(id);
    if (section) seen.observe(section);
  });

  // Light, dark, or as the system has it; remembered where the browser remembers for files.
  const THEMES = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const paint = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `◐ ${theme}`;
    button.setAttribute("aria-label", `Theme: ${theme}`);
  };
  const remembered = () => {
    try {
      return localStorage.getItem("oarpipe theme");
    } catch {
      return null;
    }
  };
  paint(THEMES.includes(remembered()) ? remembered() : "system");
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    paint(next);
    try {
      localStorage.setItem("oarpipe theme", next);
    } catch {
      // The page is read all the same.
    }
  });
}
