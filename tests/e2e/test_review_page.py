"""The review queue in a real browser: marks by mouse, keys and without scripts."""

import pytest
import requests
from playwright.sync_api import expect

from backend.qa.marks import all_marks
from tests.e2e.servers import quality_pages
from tests.e2e.service_helpers import wait_for
from tests.qa_world import team_events

WIDTHS = {"desktop": 1440, "laptop": 1366, "phone": 390}


@pytest.fixture
def served(tmp_path):
    with quality_pages(tmp_path, team_events(120, images=True)) as (address, store):
        page = f"{address}/qa/review?project=7"
        # The first list is of before the events were given to their server.
        wait_for(
            lambda: "being made" not in requests.get(page, timeout=60).text,
            seconds=60,
            what="the list is there",
        )
        yield page, store


@pytest.fixture
def address(served):
    return served[0]


def open_tab(browser, address, **options):
    """A tab whose console and scripts must have nothing to say against the page."""
    context = browser.new_context(**options)
    tab = context.new_page()
    tab.trouble = []
    tab.on("pageerror", lambda error: tab.trouble.append(str(error)))
    tab.on("console", lambda said: tab.trouble.append(said.text) if said.type == "error" else None)
    tab.goto(address)
    return tab


@pytest.fixture
def tab(browser, address):
    tab = open_tab(browser, address, viewport={"width": 1366, "height": 768})
    yield tab
    assert tab.trouble == []
    tab.context.close()


def give_name(tab, name="Ana"):
    tab.get_by_label("Your name").fill(name)
    tab.get_by_role("button", name="Start").click()
    expect(tab.locator(".who strong")).to_have_text(name)
    tab.wait_for_load_state()  # keys mean nothing before the scripts are there


def one_at_a_time(tab):
    tab.get_by_role("link", name="One at a time").click()
    expect(tab.locator("#review.one .card")).to_have_count(1)
    tab.wait_for_load_state()


def first_id(tab):
    return tab.locator("#review .card").first.get_attribute("id")


def test_a_name_is_asked_once_and_a_mark_takes_the_card_away_until_undone(tab, served, artifacts):
    _, store = served
    assert tab.get_by_role("button", name="Fine").count() == 0
    give_name(tab)
    first, number = first_id(tab), int(tab.locator("nav.tabs .badge").first.inner_text())
    tab.locator(f"#{first}").get_by_role("button", name="Fix").click()
    expect(tab.locator(f"#{first}")).to_have_count(0)
    expect(tab.locator("form.last")).to_contain_text("to be fixed, says Ana")
    expect(tab.locator("nav.tabs .badge").first).to_have_text(str(number - 1))
    tab.screenshot(path=artifacts / "review_grid.png", full_page=True)
    tab.reload()
    expect(tab.locator(".who strong")).to_have_text("Ana")
    [mark] = all_marks(store)
    assert (mark["verdict"], mark["marked_by"], bool(mark["reasons"])) == ("fix", "Ana", True)
    tab.get_by_role("link", name="To fix 1").click()
    expect(tab.locator(f"#{first} .verdict")).to_contain_text("To be fixed, says Ana")
    tab.get_by_role("button", name="Undo").click()
    expect(tab.locator("#review")).to_contain_text("Nothing waits to be fixed")
    tab.get_by_role("link", name="To look at").click()
    expect(tab.locator(f"#{first}")).to_have_count(1)


def test_keys_mark_and_move_but_not_while_somebody_writes(tab, served):
    _, store = served
    tab.get_by_label("Your name").press_sequentially("fxu")
    assert tab.get_by_label("Your name").input_value() == "fxu"
    assert all_marks(store) == []
    give_name(tab, "Ben")
    ids = [card.get_attribute("id") for card in tab.locator("#review .card").all()]
    expect(tab.locator(".card.current")).to_have_id(ids[0])
    tab.keyboard.press("ArrowRight")
    expect(tab.locator(".card.current")).to_have_id(ids[1])
    tab.keyboard.press("f")
    expect(tab.locator(f"#{ids[1]}")).to_have_count(0)
    expect(tab.locator(".card.current")).to_have_id(ids[2])
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("x")
    expect(tab.locator(f"#{ids[0]}")).to_have_count(0)
    assert [mark["verdict"] for mark in all_marks(store)] == ["fine", "fix"]
    tab.keyboard.press("Control+f")
    tab.keyboard.press("u")
    expect(tab.locator(f"#{ids[0]}")).to_have_count(1)
    assert [mark["verdict"] for mark in all_marks(store)] == ["fine", "fix", "open"]


def test_one_large_picture_at_a_time(tab, address, artifacts):
    give_name(tab)
    ids = [card.get_attribute("id") for card in tab.locator("#review .card").all()]
    one_at_a_time(tab)
    expect(tab.locator("#review.one .card")).to_have_id(ids[0])
    picture = tab.locator("#review .stage img").first
    assert "size=large" in picture.get_attribute("src")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator("#review .card")).to_have_id(ids[1])
    tab.get_by_label("Note").fill("seen with f and x")
    tab.locator("h1").click()
    tab.keyboard.press("f")
    expect(tab.locator("#review .card")).to_have_id(ids[2])
    tab.keyboard.press("ArrowLeft")
    expect(tab.locator("#review .card")).to_have_id(ids[0])
    tab.screenshot(path=artifacts / "review_one.png")
    tab.get_by_role("link", name="Fine 1").click()
    expect(tab.locator(".card .verdict")).to_contain_text("seen with f and x")


def test_the_whole_card_leads_to_the_annotation(tab):
    give_name(tab)
    card = tab.locator("#review .card").first
    annotation = card.get_attribute("id").split("-")[1]
    href = card.locator("a.whole").get_attribute("href")
    assert href.endswith(f"&annotation={annotation}")
    assert "/projects/7/data?task=" in href
    tab.context.route("http://labels.example/**", lambda route: route.fulfill(body="a task"))
    box = card.locator(".stage").bounding_box()
    with tab.context.expect_page() as opened:
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert opened.value.url == href
    opened.value.close()
    with tab.context.expect_page() as opened:
        tab.keyboard.press("o")
    assert opened.value.url == href


def test_without_scripts_forms_do_the_same(browser, served):
    address, store = served
    tab = open_tab(browser, address, java_script_enabled=False)
    give_name(tab, "Zoë <b>")
    first = first_id(tab)
    tab.locator(f"#{first}").get_by_role("button", name="Fine").click()
    assert tab.locator(f"#{first}").count() == 0
    assert "project=7" in tab.url
    tab.get_by_role("button", name="Undo").click()
    assert first_id(tab) == first
    assert [mark["marked_by"] for mark in all_marks(store)] == ["Zoë <b>", "Zoë <b>"]
    tab.context.close()


def test_what_changed_meanwhile_is_said_and_not_marked(tab, served):
    _, store = served
    give_name(tab)
    tab.evaluate(
        "() => document.querySelector('#review .card input[name=seen]').value = 'of before'"
    )
    tab.locator("#review .card").first.get_by_role("button", name="Fine").click()
    expect(tab.get_by_role("alert")).to_contain_text("was changed since you looked")
    assert all_marks(store) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", WIDTHS)
def test_nothing_is_cut(browser, address, artifacts, name, scheme):
    size = {"width": WIDTHS[name], "height": 800}
    tab = open_tab(browser, address, viewport=size, color_scheme=scheme)
    give_name(tab)
    for view in ("", "&view=one"):
        tab.goto(address + view)
        tab.wait_for_load_state("networkidle")
        assert tab.evaluate("document.documentElement.scrollWidth") <= size["width"]
        tab.screenshot(path=artifacts / f"review_{name}_{scheme}{view[6:]}.png", full_page=True)
    assert tab.trouble == []
    tab.context.close()


def test_a_card_with_the_focus_follows_what_changes(tab, address):
    card = tab.locator("#review .card").first
    other = tab.context.new_page()
    other.goto(address)
    give_name(other)
    card.focus()
    tab.evaluate("htmx.trigger('#content', 'figures')")
    expect(tab.locator(".who strong")).to_have_text("Ana")
    expect(card.get_by_role("button", name="Fine")).to_have_count(1)
    expect(card).to_be_focused()
    other.close()


def test_what_somebody_writes_stays_when_the_page_follows(tab):
    tab.get_by_label("Your name").press_sequentially("An")
    with tab.expect_response("**/qa/review?project=7"):
        tab.evaluate("htmx.trigger('#content', 'figures')")
    tab.get_by_label("Your name").press_sequentially("a")
    expect(tab.get_by_label("Your name")).to_have_value("Ana")


def test_one_large_picture_fits_the_screen_of_a_laptop(tab, address):
    give_name(tab)
    one_at_a_time(tab)
    stage = tab.locator(".stage")
    expect(stage.locator("img").first).to_have_js_property("complete", True)
    whole = stage.bounding_box()
    assert whole["width"] > 500
    assert whole["y"] + whole["height"] <= 768
    for part in ("img", "svg.size"):  # what is drawn lies on the picture
        assert stage.locator(part).first.bounding_box() == pytest.approx(whole, abs=1)
    assert tab.get_by_role("button", name="Fix").bounding_box()["y"] < 768


def test_a_note_stays_and_enter_and_escape_leave_it_without_a_mark(tab, served):
    _, store = served
    give_name(tab)
    one_at_a_time(tab)
    card, note = tab.locator("#review.one .card"), tab.get_by_label("Note")
    first = card.get_attribute("id")
    for key in ("Enter", "Escape"):
        note.fill("fix the left edge")
        note.press(key)
        expect(card).to_be_focused()
    with tab.expect_response("**/qa/review?project=7&view=one"):
        tab.evaluate("htmx.trigger('#content', 'figures')")
    tab.wait_for_load_state("networkidle")
    assert (card.get_attribute("id"), all_marks(store)) == (first, [])
    expect(note).to_have_value("fix the left edge")
    tab.keyboard.press("x")
    expect(card).not_to_have_id(first)
    expect(note).to_have_value("")
    assert [(mark["verdict"], mark["note"]) for mark in all_marks(store)] == [
        ("fix", "fix the left edge")
    ]


def test_the_large_picture_fits_a_laptop_after_a_mark_and_with_many_reasons(tab, address):
    give_name(tab)
    one_at_a_time(tab)
    tab.keyboard.press("f")
    expect(tab.locator("form.last")).to_contain_text("is fine")
    for name in ("far-outside", "edge-clipped", "annotator-disagreement", "identical-boxes"):
        tab.evaluate(
            """name => {
                const list = document.querySelectorAll("ul.reasons")[1];
                const item = list.lastElementChild.cloneNode(true);
                item.firstElementChild.textContent = name + " 26";
                list.append(item);
            }""",
            name,
        )
    assert tab.locator("ul.reasons").nth(1).locator("li").count() >= 9
    whole = tab.locator(".stage").bounding_box()
    assert whole["width"] > 450
    assert whole["y"] + whole["height"] <= 768
