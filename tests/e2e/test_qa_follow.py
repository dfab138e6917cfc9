"""An open quality page follows the figures, and leaves alone what people have open."""

import json
import urllib.request

import pytest

from tests.e2e.browser import wait_until_true
from tests.e2e.servers import quality_pages
from tests.qa_world import team_events

TABS = ("/", "/qa", "/qa/review", "/qa/people", "/qa/models", "/qa/data",
        "/qa/pictures?show=misses", "/jobs", "/doctor")  # fmt: skip
EVENTS = team_events(90, images=True)


def tell(address, event):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/webhook", json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("follow")
    with quality_pages(folder, EVENTS[:60], "http://127.0.0.1:9") as (address, _):
        yield address


@pytest.fixture
def tab(browser, request):
    scheme, width = getattr(request, "param", ("light", 1366))
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 768})
    tab = context.new_page()
    said = []
    tab.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    yield tab
    assert said == []
    context.close()


def test_the_page_follows_and_keeps_open_what_is_open(tab, address):
    tab.goto(f"{address}/qa?project=7")
    tab.wait_for_selector("#chart-curve[data-drawn] svg path")
    tab.get_by_text("By verb (5)").click()
    tab.wait_for_selector("#chart-by-verb svg")
    tab.locator("#by-object summary").focus()
    tab.evaluate("window.stayed = true; scrollTo(0, 700)")
    state = """[window.stayed, document.querySelector('#by-verb').open, Math.round(scrollY),
        document.querySelector('#chart-by-verb svg') !== null,
        document.activeElement.parentElement.id]"""
    before = tab.evaluate(state)
    assert before[:2] == [True, True]
    figure = tab.locator(".figure.main p").nth(1)
    old, chart = figure.inner_text(), tab.locator("#chart-curve svg").inner_html()
    for event in EVENTS[60:]:
        tell(address, event)
    words = "document.querySelectorAll('.figure.main p')[1].innerText"
    wait_until_true(tab, f"{words} !== {json.dumps(old)}")
    wait_until_true(
        tab, f"document.querySelector('#chart-curve svg')?.innerHTML !== {json.dumps(chart)}"
    )
    assert tab.evaluate(state) == before


@pytest.mark.parametrize(
    "tab", [(s, w) for s in ("light", "dark") for w in (390, 1366, 1440)], indirect=True,
    ids=lambda value: "-".join(map(str, value)),
)  # fmt: skip
def test_nothing_is_cut(tab, address):
    for path in TABS:
        tab.goto(address + path)
        tab.wait_for_load_state("networkidle")
        wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert (path, max(0, wide)) == (path, 0)
        cut = tab.evaluate(
            """[...document.querySelectorAll('main *')].filter(e => {
                const b = e.getBoundingClientRect();
                return b.width && b.right > innerWidth + 1 && !e.closest('.scroll, .chart, .stage');
            }).map(e => e.outerHTML.slice(0, 100))"""
        )
        assert (path, cut) == (path, [])


def test_a_number_leads_to_its_pictures_and_a_target_is_set(tab, address):
    tab.goto(f"{address}/qa?project=7")
    misses = tab.locator(".figure.main a.count").last
    number = misses.inner_text()
    misses.click()
    tab.wait_for_url("**/qa/pictures?**")
    assert tab.locator("#shown").inner_text() == number
    assert tab.locator(".card").count() == min(24, int(number))
    tab.goto(f"{address}/qa?project=7")
    tab.locator("#target-percent").fill("50")
    tab.get_by_role("button", name="Set").click()
    tab.locator(".verdict.passed").wait_for()
    tab.get_by_role("button", name="Take the target away").click()
    tab.get_by_role("button", name="Set").wait_for()


def test_everything_works_without_script(browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}/qa/people")
    tab.locator("select[name=annotator]").select_option("3")
    tab.get_by_role("button", name="Show").click()
    tab.wait_for_url("**annotator=3**")
    assert tab.locator("#annotators + .scroll tbody tr").count() == 1
    tab.locator("th a.sort", has_text="Annotations").first.click()
    tab.wait_for_url("**sort=**")
    assert "annotator=3" in tab.url
    context.close()
