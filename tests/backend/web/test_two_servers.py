"""Two Label Studios with the same ids on one backend, through its routes."""

from datetime import UTC, datetime
from pathlib import Path

from backend.database.keys import ProjectKey
from backend.settings import Settings
from backend.web.app import create_app
from tests.backend.prediction.test_batch import CONFIG
from tests.fakes import FakeGrounder
from tests.qa_events import annotation, box, created, point, prediction

SERVERS = {"http://localhost:8081": 1_700_000_000, "http://two.example/ls": 1_700_000_500}


def test_corrections_of_two_servers_stay_apart_over_a_restart(tmp_path: Path) -> None:
    for start in range(2):
        app = create_app(Settings(data_dir=tmp_path, qa_sync_minutes=0), FakeGrounder())
        client = app.test_client()
        for number, (server, made) in enumerate(SERVERS.items()):
            if start == 0:
                body = {"project": f"1.{made}", "schema": CONFIG, "hostname": server}
                assert client.post("/setup", json=body).status_code == 200
            drawn = box(20, 20, 20, 20) if number == 0 else box(70, 70, 9, 9)
            corrected = [point(30, 30), drawn]
            id = 5 + start
            guess = prediction([point(30, 30), box(20, 20, 20, 20)], id=70 + start)
            event = created(
                annotation(id, corrected, task=id, parent_prediction=70 + start, prediction=guess)
            )
            moment = datetime.fromtimestamp(made, UTC).isoformat()
            project = {"id": 1, "created_at": moment, "title": "t", "label_config": CONFIG}
            assert client.post("/webhook", json={**event, "project": project}).status_code == 201
        figures = [
            client.get("/qa/summary.json", query_string={"project": f"1@{server}"}).json
            for server in SERVERS
        ]
        n = 1 + start
        assert [(one["n"], one["hits"]) for one in figures] == [(n, n), (n, 0)]
        assert "1@http://two.example/ls" in client.get("/qa").text
        assert client.get("/qa/summary.json?project=1").status_code == 400
        service = app.extensions["videogem"]
        service.runner.stop()
        service.store.close()


def test_jobs_of_one_server_are_shown_and_tried_again_alone(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path, qa_sync_minutes=0), FakeGrounder())
    service = app.extensions["videogem"]
    service.runner.stop()
    client = app.test_client()
    keys = [ProjectKey(server, 1) for server in SERVERS]
    for count, key in enumerate(keys, 1):
        tasks = [{"id": id, "data": {}} for id in range(count)]
        service.jobs.enqueue(key, CONFIG, "1", tasks)
        [*claimed] = service.jobs.claim(10)
        service.jobs.fail([(job, "no frame") for job in claimed])

    def failed(project: str) -> dict[str, int]:
        answer = client.get("/jobs", query_string={"project": project}).json
        assert len(answer["failures"]) == sum(row["failed"] for row in answer["projects"])
        return {row["server"]: row["failed"] for row in answer["projects"]}

    one, two = SERVERS
    assert failed(f"1@{one}") == {one: 1}
    assert failed(f"1@{two}/") == {two: 2}
    assert failed("1") == {one: 1, two: 2}
    assert failed(f"2@{one}") == {}
    assert client.get("/jobs", query_string={"project": "1@ls.example"}).status_code == 400
    assert client.post("/jobs/retry", data={"project": f"1@{two}"}).status_code < 400
    assert failed("1") == {one: 1, two: 0}
    service.close()
