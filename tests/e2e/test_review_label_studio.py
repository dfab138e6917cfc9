"""From the quality pages into a real Label Studio: what cards and numbers lead to."""

import json
import re

import pytest
import requests
from PIL import Image
from playwright.sync_api import expect
from typer.testing import CliRunner

from backend.cli import app as command
from backend.label_studio.project_setup import retrieve_predictions
from tests.e2e.browser import REGIONS, SELECTED
from tests.fakes import FakeGrounder
from tests.qa_world import CONFIG

NARRATION = "cut the onion"
WHOLE = {"x": 0.0, "y": 0.0, "width": 100.0, "height": 100.0}


@pytest.fixture
def world(label_studio, client, make_project, start_backend, frames, frame_url, tmp_path):
    """The backend's address, the project, and the annotations made; the last is a suspect, beside
    a good one of the same task.
    """
    path = frames / f"queue-{tmp_path.name}.png"
    Image.new("RGB", (320, 240), (40, 90, 120)).save(path)
    token = label_studio.credentials.token
    backend = start_backend(
        FakeGrounder({NARRATION: (0.3, 0.3)}),
        label_studio_url=label_studio.url,
        label_studio_api_key=token,
    )
    tasks = [{"image": frame_url(path), "narration": NARRATION} for _ in range(3)]
    project = make_project(CONFIG, tasks, backend)
    ids = sorted(task.id for task in client.tasks.list(project=project))
    assert list(retrieve_predictions(client, project, ids))

    def submit(task, **box):
        guess = client.predictions.list(task=task)[0]
        regions = [dict(region) for region in guess.result]
        if box:
            regions = [
                {**r, "value": {**r["value"], **box}} if r["type"] == "rectanglelabels" else r
                for r in regions
            ]
        answer = requests.post(
            f"{label_studio.url}/api/tasks/{task}/annotations/",
            headers={"Authorization": f"Token {token}"},
            json={"result": regions, "parent_prediction": guess.id, "lead_time": 6.0},
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()["id"]

    made = [(task, submit(task)) for task in ids]
    made.append((ids[0], submit(ids[0], **WHOLE)))
    return backend.url, project, made


def shown_annotation(tab):
    """Label Studio's number of the annotation that its editor shows, once it shows one."""
    tab.wait_for_function(f"{SELECTED}?.pk && {SELECTED}.regions.length > 0")
    return int(tab.evaluate(f"{SELECTED}.pk"))


def test_a_card_opens_that_very_annotation_and_a_key_takes_it_off_the_list(page, world, artifacts):
    url, project, made = world
    task, suspect = made[-1]
    address = f"{url}/qa/review?project={project}"
    expect_listed(page, address, f"card-{suspect}-0")
    page.get_by_label("Your name").fill("Ana")
    page.get_by_role("button", name="Start").click()
    card = page.locator(f"#card-{suspect}-0")
    expect(card).to_contain_text("whole-frame")
    expect(card.locator(".stage img").first).to_have_js_property("naturalWidth", 320)
    card.focus()
    with page.context.expect_page() as opened:
        page.keyboard.press("o")
    editor = opened.value
    assert shown_annotation(editor) == suspect  # not the good one of the same task
    boxes = [each for each in editor.evaluate(REGIONS) if each["type"] == "rectangleregion"]
    assert [(b["width"], b["height"]) for b in boxes] == [(100, 100)]
    assert f"task={task}" in editor.url
    editor.screenshot(path=artifacts / "review_opened.png")
    editor.close()
    card.focus()
    page.keyboard.press("x")
    expect(page.locator(f"#card-{suspect}-0")).to_have_count(0)
    page.reload()
    expect(page.locator("form.last")).to_contain_text("to be fixed, says Ana")
    expect(page.locator(f"#card-{suspect}-0")).to_have_count(0)


def test_a_number_leads_to_its_pictures_and_these_to_their_tasks(page, world):
    url, project, made = world
    page.goto(f"{url}/qa?project={project}")
    expect(page.locator(".figure.main")).to_contain_text(re.compile(r"of 3\b"))
    page.locator(".figure.main a.count").first.click()
    expect(page.locator("#shown")).to_have_text("3")
    cards = page.locator(".card")
    shown = {int(card.get_attribute("id").split("-")[1]) for card in cards.all()}
    assert shown <= {annotation for _, annotation in made}
    for card in cards.all():
        annotation = int(card.get_attribute("id").split("-")[1])
        with page.context.expect_page() as opened:
            card.get_by_role("link", name=re.compile("^Task")).last.click()
        assert shown_annotation(opened.value) == annotation
        opened.value.close()


def test_marks_become_a_field_that_the_data_manager_filters_by(
    page, world, label_studio, tmp_path, monkeypatch, artifacts
):
    url, project, made = world
    (task, suspect), (other, fine) = made[-1], made[1]
    expect_listed(page, f"{url}/qa/review?project={project}", f"card-{suspect}-0")

    def ask(path, **params):
        answer = requests.get(
            f"{label_studio.url}/api/{path}",
            params={"project": project, **params},
            headers={"Authorization": f"Token {label_studio.credentials.token}"},
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()

    def data():
        rows = ask("tasks/", fields="all", resolve_uri="false")["tasks"]
        return {row["id"]: row["data"] for row in rows}

    before = data()
    for annotation, verdict in ((suspect, "fix"), (fine, "fine")):
        mark = {"annotation": annotation, "verdict": verdict, "by": "Ana"}
        requests.post(f"{url}/qa/marks", json=mark, timeout=60).raise_for_status()
    monkeypatch.setenv("VIDEOGEM_DATA_DIR", str(tmp_path / "backend-0"))
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("VIDEOGEM_LABEL_STUDIO_API_KEY", label_studio.credentials.token)
    write = ["qa", "marks", "--project", str(project), "--write-field", "review"]
    done = CliRunner().invoke(command, write)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "into 2 tasks (1 fine, 1 fix)" in done.stderr
    assert data() == {
        **before,
        task: {**before[task], "review": "fix"},
        other: {**before[other], "review": "fine"},
    }
    assert "into 0 tasks; 2 had it already" in CliRunner().invoke(command, write).stderr
    is_fix = {"filter": "filter:tasks:data.review", "operator": "equal", "type": "String",
              "value": "fix"}  # fmt: skip
    query = json.dumps({"filters": {"conjunction": "and", "items": [is_fix]}})
    assert [row["id"] for row in ask("tasks/", query=query)["tasks"]] == [task]
    assert "review" in [column["id"] for column in ask("dm/columns")["columns"]]
    # The figures and marks are what they were: nothing of this is an annotation.
    assert len(requests.get(f"{url}/qa/marks.json", timeout=60).json()["marks"]) == 2
    page.goto(f"{label_studio.url}/projects/{project}/data")
    expect(page.get_by_text("fix", exact=True).first).to_be_visible()
    page.screenshot(path=artifacts / "marks_field.png")


def expect_listed(page, address, card):
    """Open the list until it has the card: webhooks arrive a moment after what caused them."""
    page.goto(address)
    expect(page.locator(f"#{card}")).to_have_count(1, timeout=30_000)
