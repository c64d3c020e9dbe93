"""The report in Debian's Chromium, driven by Playwright: requests, sorting, filters, scrolling, colours. Run by `make test-slow`."""

import itertools
import re
import shutil

import pytest
from test_page import ABOUT, HOSTILE, LANGUAGES, make_tables

from xlclass.report.page import page as render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # CI is root
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    written = tmp_path_factory.mktemp("page") / "report.html"
    written.write_text(render(ABOUT, make_tables()), encoding="utf-8")
    return written


@pytest.fixture
def open_page(browser, file):
    """Opens the report at a width and in a colour scheme; `page.events` lists its console messages, errors, requests and dialogs."""
    opened = []

    def open_one(width=1280, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.events = []
        page.on("console", lambda message: page.events.append(message.text))
        page.on("pageerror", lambda error: page.events.append(str(error)))
        page.on("request", lambda request: page.events.append(request.url))
        page.on("dialog", lambda dialog: (page.events.append(dialog.message), dialog.dismiss()))
        page.goto(file.as_uri())
        opened.append(page)
        return page

    yield open_one
    for page in opened:
        page.close()


def _visible_languages(page, selector):
    return page.eval_on_selector_all(selector, "all => all.filter(e => !e.closest('[hidden]')).map(e => e.dataset.language)")


def _column(page, table, index):
    rows = page.locator(f"#{table} tbody[data-group=unsupported] tr[data-language]")
    return [row.locator("th, td").nth(index).inner_text() for row in rows.all()]


def test_page_requests_and_logs_nothing_and_fits_its_window(open_page, file):
    """On a narrow screen the tables scroll, not the page."""
    for width, scheme in itertools.product([1280, 390], ["light", "dark"]):
        page = open_page(width, scheme)
        for fold in page.locator("summary").all():
            fold.click()
        assert page.events == [file.as_uri()], (width, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme)
        boxes_scroll = page.evaluate("[...document.querySelectorAll('.box')].some(box => box.scrollWidth > box.clientWidth)")
        assert boxes_scroll == (width == 390), (width, scheme)


def test_page_has_two_colour_schemes_of_readable_contrast(open_page):
    """Contrast of text with its background: at least 4.5, WCAG 2.1 AA."""
    low = {scheme: open_page(scheme=scheme).evaluate(CONTRASTS) for scheme in ("light", "dark")}
    assert low == {"light": [], "dark": []}


CONTRASTS = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const light = (colour) => rgba(colour).slice(0, 3).map((x, i) => linear(x / 255) * [0.2126, 0.7152, 0.0722][i]).reduce((a, b) => a + b);
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return rgba(colour)[3] ? colour : element.parentElement ? behind(element.parentElement) : "white";
  };
  const low = [];
  for (const element of document.querySelectorAll("b, small, td, th, span, p, h1, h2, button, a, summary, output, svg text")) {
    if (!element.textContent.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element), a = light(element.closest("svg") ? style.fill : style.color), b = light(behind(element));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) low.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${contrast.toFixed(2)}`);
  }
  return low;
}"""


def test_filter_acts_on_every_table_and_chart(open_page):
    page = open_page()
    assert set(_visible_languages(page, "[data-language]")) == set(LANGUAGES)
    page.fill("#filter-languages", "de, hungarian")
    assert set(_visible_languages(page, "tr[data-language]")) == {"de", "hu"}
    assert set(_visible_languages(page, "figure[data-language]")) == {"de", "hu"}
    assert page.locator("#accuracy-table tbody[data-group=training]").is_hidden()
    assert page.inner_text("#filter-result") == f"2 of {len(LANGUAGES)} languages"
    page.fill("#filter-languages", "")
    page.select_option("#filter-group", "training")
    assert set(_visible_languages(page, "[data-language]")) == {"en", "fr"}
    page.select_option("#filter-group", "")
    assert set(_visible_languages(page, "[data-language]")) == set(LANGUAGES)


def test_filter_of_one_language_selects_its_confusion_matrix(open_page):
    page = open_page()
    rows = [row for row in make_tables()["confusion"] if row["language"] == "ja"]
    page.fill("#filter-languages", "ja")
    assert page.input_value("#matrix-language") == "ja"
    cells = page.locator("#matrix tbody tr").first.locator("td").all_inner_texts()
    counts = {row["top_category"]: row["num_videos"] for row in rows if row["label"] == "music"}
    assert cells[:3] == [str(counts[name]) for name in ("music", "sports", "gaming")]
    page.select_option("#matrix-language", "")
    assert page.inner_text("#matrix-total") == f"{sum(row['num_videos'] for row in make_tables()['confusion']):,} labels"


def test_tables_sort_by_every_kind_of_column_within_their_groups(open_page):
    page = open_page()
    page.click("#accuracy-table thead th:nth-child(5) button")
    supports = [int(text.replace(",", "")) for text in _column(page, "accuracy-table", 4)]
    assert supports == sorted(supports, reverse=True)
    assert len(supports) > 10
    assert page.get_attribute("#accuracy-table thead th:nth-child(5)", "aria-sort") == "descending"
    page.click("#accuracy-table thead th:nth-child(5) button")
    assert [int(text.replace(",", "")) for text in _column(page, "accuracy-table", 4)] == supports[::-1]
    page.click("#accuracy-table thead th:nth-child(1) button")
    codes = [text.split()[0] for text in _column(page, "accuracy-table", 0)]
    assert codes == sorted(codes)
    page.click("#categories-f1 thead th:nth-child(2) button")
    shares = _column(page, "categories-f1", 1)
    assert [share != "" for share in shares] == sorted((share != "" for share in shares), reverse=True)  # empty cells come last
    filled = [int(share) for share in shares if share]
    assert filled == sorted(filled, reverse=True)


def test_hostile_titles_are_shown_as_text(open_page):
    page = open_page()
    assert sorted(page.locator("td.title").all_inner_texts()) == sorted(HOSTILE)
    assert page.locator("img").count() == 0
    assert not [event for event in page.events if not event.startswith("file:")]
    directions = page.eval_on_selector_all("td.title bdi", "all => all.map(e => getComputedStyle(e).unicodeBidi)")
    assert set(directions) == {"isolate"}


def test_page_refuses_scripts_and_requests_that_are_not_its_own(open_page):
    page, blocked = open_page(), []
    page.on("requestfailed", lambda request: blocked.append(request.failure))
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = true' }))")
    page.evaluate("document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.1:9/x.png' }))")
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    assert len([event for event in page.events if re.search("Content Security Policy", event)]) == 2
    assert blocked == ["csp"]


def test_printed_page_hides_no_numbers(open_page):
    page = open_page()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#confidence-table").is_visible()
    assert page.locator("#filter").is_hidden()
    assert page.evaluate("[...document.querySelectorAll('.box')].every(box => getComputedStyle(box).overflowY === 'visible')")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("#confidence-table").is_hidden()
