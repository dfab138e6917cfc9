"""The quality page in a real browser, light and dark, with mouse and keyboard."""

import json
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import wait_until_true
from tests.e2e.servers import quality_pages
from tests.qa_events import annotation, box, created, point, prediction
from tests.qa_world import team_events


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with quality_pages(tmp_path_factory.mktemp("qa"), team_events(images=True)) as (address, _):
        yield address


def days_of_work(days=12):
    """One correction on each day, in project 9."""
    for day in range(1, days + 1):
        number = 9000 + day
        regions = [point(30, 30, id="p"), box(20, 20, 20, 20, id="b")]
        guess = prediction(regions, id=number)
        made = annotation(number, regions, task=number, project=9, prediction=guess,
                          parent_prediction=number)  # fmt: skip
        yield created({**made, "updated_at": f"2026-11-{day:02d}T10:00:00.000000Z"})


@pytest.fixture(params=["light", "dark"])
def tab(browser, request):
    context = browser.new_context(
        color_scheme=request.param, viewport={"width": 1200, "height": 900}
    )
    tab = context.new_page()
    tab.scheme = request.param
    tab.trouble = []
    tab.on("pageerror", lambda error: tab.trouble.append(str(error)))
    tab.on(
        "requestfailed",
        lambda call: tab.trouble.append(call.url) if call.failure != "net::ERR_ABORTED" else None,
    )  # aborted: the page was left before it came
    tab.on("request", lambda call: tab.trouble.append(call.url) if "127.0.0.1" not in call.url
           and not call.url.startswith("data:") else None)  # fmt: skip
    yield tab
    assert tab.trouble == []
    context.close()


def test_the_page_shows_figures_charts_and_thumbnails_without_the_internet(tab, address, artifacts):
    tab.goto(f"{address}/qa?project=7")
    tab.wait_for_selector("#chart-curve[data-drawn] svg path")
    assert tab.locator(".figure.main .value").inner_text() == "86.7\xa0%"
    band = tab.locator("#chart-curve svg .mark-area path").first.bounding_box()
    assert band["width"] > 500
    assert band["height"] > 20
    tab.screenshot(path=artifacts / f"qa_page_{tab.scheme}.png")
    tab.get_by_role("link", name="Review", exact=False).first.click()
    tab.wait_for_url("**/qa/review?project=7")
    first = tab.locator(".card").first
    first.locator("img").first.wait_for()
    wait_until_true(
        tab,
        "[...document.querySelectorAll('.card')][0].querySelectorAll('img').length === 2 &&"
        "[...[...document.querySelectorAll('.card')][0].querySelectorAll('img')]"
        ".every(i => i.complete && i.naturalWidth > 0)",
    )
    assert first.locator("svg polygon").count() >= 4  # a halo and a line for box and label
    assert "zero-area" in first.inner_text()
    link = first.locator("a").get_attribute("href")
    assert link == "http://labels.example/projects/7/data?task=1040&annotation=40"
    tab.screenshot(path=artifacts / f"qa_audit_{tab.scheme}.png")


def test_text_is_readable_on_its_background(tab, address):
    tab.goto(f"{address}/qa/people?project=7")
    ratios = tab.evaluate(
        """() => {
          const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
          const light = (text) => {
            const [r, g, b] = rgb(text).map((v) => v / 255)
              .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = (e) => {
            for (; e; e = e.parentElement) {
              const c = getComputedStyle(e).backgroundColor;
              if (c !== 'rgba(0, 0, 0, 0)') return c;
            }
            return 'rgb(255, 255, 255)';
          };
          return ['body', '.soft', 'main a', '.tabs a', '.badge', 'tr.small td', 'caption', 'th a']
            .map((s) => document.querySelector(s)).filter(Boolean).map((e) => {
              const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
              return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            });
        }"""
    )
    assert len(ratios) >= 5
    assert min(ratios) >= 4.5  # WCAG AA


def test_the_keyboard_reaches_everything_and_filters_end_up_in_the_address(tab, address):
    tab.goto(f"{address}/qa/people")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    past = tab.locator("header.top a").count()  # the name of the whole, and the tabs
    for _ in range(past + 1):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.name") == "project"
    tab.evaluate("window.stayed = true")
    tab.locator("select[name=annotator]").focus()
    tab.keyboard.press("3")  # chooses, and is heeded at once
    tab.wait_for_url("**/qa/people?annotator=3")
    rows = tab.locator("table", has_text="Accepted unchanged").locator("tbody tr")
    wait_until_true(tab, "document.querySelectorAll('#annotators + .scroll tbody tr').length === 1")
    assert rows.count() == 1
    assert tab.evaluate("[window.stayed, document.activeElement.name]") == [True, "annotator"]
    tab.go_back()
    rows.nth(4).wait_for()
    names = tab.evaluate(
        "[...document.querySelectorAll('a, button, select, input, summary, [role=img]')]"
        ".filter(e => !(e.textContent.trim() || e.ariaLabel || e.getAttribute('aria-label')"
        " || (e.labels && e.labels.length))).map(e => e.outerHTML)"
    )
    assert names == []
    for table in tab.locator("table").all():
        assert table.locator("caption").count() == 1
    levels = tab.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_breakdown_charts_are_drawn_when_their_section_opens(tab, address):
    tab.goto(f"{address}/qa")
    tab.get_by_text("By verb (5)").click()
    tab.wait_for_selector("#chart-by-verb svg")
    wait_until_true(tab, "document.querySelector('#chart-by-verb svg').clientWidth > 400")


def test_the_report_file_needs_nothing_else(tab, address, tmp_path, artifacts):
    tab.goto(f"{address}/qa/data")
    with tab.expect_download() as download:
        tab.get_by_text("report (HTML, one file)").click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    tab.goto(path.as_uri())
    tab.wait_for_selector("#chart-curve[data-drawn] svg path")
    assert tab.locator(".figure.main .value").inner_text() == "86.7\xa0%"
    assert "zero-area" in tab.locator("section:has(#audit)").inner_text()
    tab.trouble = [url for url in tab.trouble if not url.startswith("file:")]  # the file itself
    tab.screenshot(path=artifacts / f"qa_report_{tab.scheme}.png")
    tab.emulate_media(media="print")
    sheet, chart = tab.evaluate(
        """() => {
            const main = document.querySelector("main");
            main.style.width = "600px"; // a sheet of paper: charts hear of no new width
            const right = (node) => node.getBoundingClientRect().right;
            return [right(main), right(document.querySelector("#chart-curve svg"))];
        }"""
    )
    assert chart <= sheet + 1


def test_figures_as_json_agree_with_the_page(tab, address):
    tab.goto(f"{address}/qa/figures.json?project=7")
    found = json.loads(tab.locator("body").inner_text())
    assert found["headline"]["n"] == 113
    assert found["headline"]["hits"] == 98


def test_no_page_breaks_the_content_policy_and_it_holds(browser, address):
    tab = browser.new_page()
    said = []
    tab.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    for path in ("/", "/qa", "/qa?project=7&action=cut", "/qa/review", "/qa/people", "/qa/models",
                 "/qa/data", "/jobs", "/doctor"):  # fmt: skip
        tab.goto(address + path)
        assert tab.locator("h1").count() >= 1
        assert (path, said) == (path, [])
    script = "Object.assign(document.createElement('script'), {textContent: 'window.inside = 1'})"
    tab.evaluate(f"document.head.append({script})")
    assert tab.evaluate("window.inside") is None
    assert "Content Security Policy" in said[0]
    tab.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_captions_are_whole_filters_in_line_and_charts_drawn_as_said(browser, address, width):
    tab = browser.new_page(viewport={"width": width, "height": 900})
    said = []
    tab.on("console", lambda line: said.append(line.text) if line.type == "warning" else None)
    for name in ("", "/review", "/people", "/models", "/plan", "/data"):
        tab.goto(f"{address}/qa{name}?project=7")
        tab.wait_for_load_state("networkidle")
        tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        ends = tab.evaluate(
            "[...document.querySelectorAll('caption > *')]"
            ".map(words => words.getBoundingClientRect().right)"
        )
        assert len(ends) == tab.locator("caption").count()
        assert max(ends, default=0) <= width, name
        heights = tab.evaluate(
            "[...document.querySelectorAll('#filters select, #filters input:not([type=hidden])')]"
            ".map(field => field.getBoundingClientRect().height)"
        )
        assert len(set(heights)) == 1, name
    assert said == []
    tab.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_folds_the_filters_and_a_wide_screen_does_not(browser, address, scripts):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, java_script_enabled=scripts
    )
    tab = context.new_page()
    tab.goto(f"{address}/qa?project=7")
    fold, fields = tab.locator("#filters-fold > summary"), tab.locator("#filters")
    assert fold.inner_text() == "Filters: kitchen (7)"
    assert not fields.is_visible()
    figure = tab.locator(".figure.main .value").bounding_box()
    assert figure["y"] + figure["height"] < 844  # on the first screen
    fold.focus()
    tab.keyboard.press("Enter")
    assert fields.is_visible()
    if scripts:
        tab.locator("select[name=annotator]").select_option("3")
        tab.wait_for_url("**/qa?project=7&annotator=3")
        expect(fold).to_have_text("Filters: kitchen (7), 3")
        assert fields.is_visible()  # open as it was left
    tab.set_viewport_size({"width": 1366, "height": 768})
    tab.reload()
    assert fields.is_visible() and not fold.is_visible()
    context.close()


def test_what_is_typed_and_not_sent_stays_when_the_page_follows(tab, address):
    tab.goto(f"{address}/qa?project=7")
    tab.locator("#target-percent").fill("91")
    tab.locator("#target-of").select_option("independent")
    tab.get_by_text("The same as a table").focus()
    with tab.expect_response("**/qa?project=7"):
        tab.evaluate("htmx.trigger('#content', 'figures')")
    tab.wait_for_load_state("networkidle")
    typed = tab.locator("#target-percent").input_value(), tab.locator("#target-of").input_value()
    assert typed == ("91", "independent")
    tab.get_by_role("button", name="Set").press("Enter")
    target = tab.locator("section[aria-labelledby=target]")
    expect(target.locator(".verdict")).to_be_visible()
    expect(target).to_be_in_viewport()
    tab.get_by_role("button", name="Take the target away").press("Enter")
    expect(target).to_contain_text("None is set")


def test_a_time_axis_says_each_day_once(browser, tmp_path):
    with quality_pages(tmp_path, days_of_work()) as (address, _):
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(f"{address}/qa")
        tab.wait_for_selector("#chart-curve[data-drawn] svg path")
        texts = tab.locator("#chart-curve .role-axis-label text").all_text_contents()
        tab.close()
    shown = [text for text in texts if text.startswith("Nov")]
    assert shown == [f"Nov {day}" for day in range(2, 13)]  # midnights from the first work on
