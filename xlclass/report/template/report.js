"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);

  // The languages' names, as this browser knows them.
  const naming = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });
  const names = new Map();
  for (const place of all("[data-name]")) {
    const code = place.dataset.name;
    if (!names.has(code)) {
      let name = "";
      try { name = code === "und" ? "unknown" : naming.of(code) || ""; } catch (error) { if (!(error instanceof RangeError)) throw error; }
      names.set(code, name);
    }
    place.textContent = names.get(code);
  }

  // The filter: words are codes or beginnings of names; it acts on every row and chart of a language.
  const words = one("filter-languages"), group = one("filter-group"), said = one("filter-said");
  const wanted = (language, ofGroup) => {
    const given = words.value.toLowerCase().split(/[\s,;]+/).filter(Boolean);
    const name = (names.get(language) || "").toLowerCase();
    return (!group.value || group.value === ofGroup) && (!given.length || given.some((word) => word === language.toLowerCase() || (word.length > 2 && name.startsWith(word))));
  };
  const filter = () => {
    const seen = new Set(), known = new Set();
    for (const element of all("[data-language]")) {
      const { language, group: ofGroup } = element.dataset;
      element.hidden = !wanted(language, ofGroup);
      known.add(language);
      if (!element.hidden) seen.add(language);
    }
    for (const body of all("tbody[data-group]")) body.hidden = !all("[data-language]", body).some((row) => !row.hidden);
    const filtered = words.value.trim() || group.value;
    for (const fold of all("details.more")) {
      const left = all("figure", fold).some((card) => !card.hidden);
      fold.hidden = !left;
      if (filtered) fold.open = left;
    }
    said.textContent = filtered ? `${seen.size} of ${known.size} languages` : `${known.size} languages`;
    if (seen.size === 1) showMatrix([...seen][0]);
  };
  words.addEventListener("input", filter);
  group.addEventListener("change", filter);
  one("filter").addEventListener("submit", (event) => event.preventDefault());

  // Sorting: by a click on a head, within each group of languages; what has no value comes last.
  const valueOf = (row, index) => {
    const cell = row.cells[index];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en"));
  for (const table of all("table")) {
    for (const head of all("thead th", table)) {
      head.querySelector("button")?.addEventListener("click", () => {
        const index = head.cellIndex, numbers = all("td[data-value]", table).some((cell) => cell.cellIndex === index);
        const was = head.getAttribute("aria-sort"), up = was ? was === "descending" : !numbers;
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        for (const body of table.tBodies) {
          const rows = [...body.rows].filter((row) => !row.classList.contains("together"));
          const keyed = rows.map((row) => [valueOf(row, index), row]);
          keyed.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : up ? compare(a, b) : compare(b, a)));
          body.append(...keyed.map(([, row]) => row));
        }
      });
    }
  }

  // The confusion matrix of one language, or of all together ("").
  const matrices = JSON.parse(one("matrices").textContent), chosen = one("matrix-language");
  const showMatrix = (language) => {
    if (!chosen || !matrices[language]) return;
    chosen.value = language;
    const rows = all("#matrix tbody tr"), sums = rows.map(() => 0);
    for (const [row, , videos] of matrices[language]) sums[row] += videos;
    for (const cell of all("#matrix td")) { cell.textContent = ""; cell.style.removeProperty("--v"); }
    for (const [row, column, videos] of matrices[language]) {
      const cell = rows[row].cells[column + 1], share = videos / sums[row];
      cell.textContent = videos.toLocaleString("en");
      cell.style.setProperty("--v", share.toFixed(3));
    }
    one("matrix-total").textContent = `${sums.reduce((a, b) => a + b, 0).toLocaleString("en")} labels`;
  };
  chosen?.addEventListener("change", () => showMatrix(chosen.value));
  for (const option of all("#matrix-language option")) if (names.get(option.value)) option.textContent += ` ${names.get(option.value)}`;
  showMatrix("");
  filter();

  // On paper nothing is folded away.
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); folded.forEach((fold) => { fold.open = true; }); });
  addEventListener("afterprint", () => folded.forEach((fold) => { fold.open = false; }));
})();
