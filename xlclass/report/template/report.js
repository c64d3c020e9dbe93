"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);

  // The names of the languages, from the browser.
  const naming = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });
  const names = new Map();
  for (const element of all("[data-name]")) {
    const code = element.dataset.name;
    if (!names.has(code)) {
      let name = "";
      try { name = code === "und" ? "unknown" : naming.of(code) || ""; } catch (error) { if (!(error instanceof RangeError)) throw error; }
      names.set(code, name);
    }
    element.textContent = names.get(code);
  }

  // The filter hides rows and charts of languages. Its terms are language codes or prefixes of names.
  const terms = one("filter-languages"), group = one("filter-group"), result = one("filter-result");
  const matches = (language, languageGroup) => {
    const chosen = terms.value.toLowerCase().split(/[\s,;]+/).filter(Boolean);
    const name = (names.get(language) || "").toLowerCase();
    return (!group.value || group.value === languageGroup) && (!chosen.length || chosen.some((term) => term === language.toLowerCase() || (term.length > 2 && name.startsWith(term))));
  };
  const filter = () => {
    const visible = new Set(), total = new Set();
    for (const element of all("[data-language]")) {
      const { language, group: languageGroup } = element.dataset;
      element.hidden = !matches(language, languageGroup);
      total.add(language);
      if (!element.hidden) visible.add(language);
    }
    for (const body of all("tbody[data-group]")) body.hidden = !all("[data-language]", body).some((row) => !row.hidden);
    const filtered = terms.value.trim() || group.value;
    for (const fold of all("details.more")) {
      const hasVisible = all("figure", fold).some((card) => !card.hidden);
      fold.hidden = !hasVisible;
      if (filtered) fold.open = hasVisible;
    }
    result.textContent = filtered ? `${visible.size} of ${total.size} languages` : `${total.size} languages`;
    if (visible.size === 1) showMatrix([...visible][0]);
  };
  terms.addEventListener("input", filter);
  group.addEventListener("change", filter);
  one("filter").addEventListener("submit", (event) => event.preventDefault());

  // A click on a column head sorts each group of languages by that column; cells without a value come last.
  const valueOf = (row, index) => {
    const cell = row.cells[index];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en"));
  for (const table of all("table")) {
    for (const head of all("thead th", table)) {
      head.querySelector("button")?.addEventListener("click", () => {
        const index = head.cellIndex, numbers = all("td[data-value]", table).some((cell) => cell.cellIndex === index);
        const order = head.getAttribute("aria-sort"), ascending = order ? order === "descending" : !numbers;
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        for (const body of table.tBodies) {
          const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
          const keyed = rows.map((row) => [valueOf(row, index), row]);
          keyed.sort(([a], [b]) => (a === null ? (b === null ? 0 : 1) : b === null ? -1 : ascending ? compare(a, b) : compare(b, a)));
          body.append(...keyed.map(([, row]) => row));
        }
      });
    }
  }

  // The confusion matrix of one language, or of all languages ("").
  const matrices = JSON.parse(one("matrices").textContent), select = one("matrix-language");
  const showMatrix = (language) => {
    if (!select || !matrices[language]) return;
    select.value = language;
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
  select?.addEventListener("change", () => showMatrix(select.value));
  for (const option of all("#matrix-language option")) if (names.get(option.value)) option.textContent += ` ${names.get(option.value)}`;
  showMatrix("");
  filter();

  // Printing opens every fold.
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); folded.forEach((fold) => { fold.open = true; }); });
  addEventListener("afterprint", () => folded.forEach((fold) => { fold.open = false; }));
})();
