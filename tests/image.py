"""`make image-test`: build the image without an engine's daemon and use it as an operator would.

Needs root and Debian's packages buildah, runc and debootstrap. The base image is made from Debian's
packages, or named by `--base`; `--build-option` hands an option on to `buildah build`, for example
a volume with a mirror of pip's. What was seen is printed, one line each, and kept in
docs/image_test.md. The first thing that is not as it must be ends the run.
"""

import argparse
import base64
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from backend.demo.processes import free_port
from backend.demo.tasks import demo_project
from backend.labeling.ready import ready_config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/image_test.md"
BASE = "localhost/videogem-base:bookworm"
IMAGE = "localhost/videogem-label-studio:test"
NAME = "videogem-image-test"
SUITE, PACKAGES = "bookworm", "ca-certificates,python3,python3-venv"
TOOLS = ("buildah", "runc", "debootstrap")
RUNTIME = "runc"  # as Docker has it
START_SECONDS = 180.0


class Log:
    """What was seen: on the screen at once, on the page in the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        print(line, flush=True)  # noqa: T201
        self.lines.append(line)

    def write(self, page: Path) -> None:
        head = [
            "# The image, built and run",
            "",
            "Made by `make image-test` (buildah, runc; no daemon of an engine), "
            f"{date.today().isoformat()}, {platform.machine()}:",
            "",
            "```",
        ]
        page.write_text("\n".join([*head, *self.lines, "```", ""]))


def run(*words: object) -> str:
    """A command's standard output; its messages go to the screen.

    Raises:
        SystemExit: it failed.
    """
    command = [str(word) for word in words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed ({done.returncode}).\n{done.stdout}")
    return done.stdout.strip()


def check(what: str, log: Log, *, seen: bool) -> None:
    """One line, or the end."""
    if not seen:
        sys.exit(f"NOT SO: {what}")
    log(f"ok  {what}")


def make_base() -> None:
    """A Debian with Python, as `python:3.11-slim-bookworm` is one."""
    with tempfile.TemporaryDirectory() as folder:
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, folder)
        (Path(folder) / "usr/bin/python").symlink_to("python3")
        container = run("buildah", "from", "scratch")
        run("buildah", "copy", "--quiet", container, folder, "/")
        run("buildah", "commit", "--quiet", "--rm", container, BASE)


def build(base: str, options: list[str]) -> None:
    """The image of docker/Dockerfile, as a Docker image (only those keep a HEALTHCHECK)."""
    version = run(sys.executable, "-m", "setuptools_scm")
    values = ("--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"VERSION={version}")
    where = ("--layers", "--isolation", "chroot", "--network", "host", "--format", "docker")
    file = ("--file", ROOT / "docker/Dockerfile", "--tag", IMAGE)
    run("buildah", "build", "--quiet", *where, *values, *options, *file, ROOT)


def specification(root: Path, volumes: Path, image: dict[str, Any], port: int) -> dict[str, Any]:
    """How runc is to run it: as the image says, nothing writable but /tmp and the volumes.

    As in docker/compose.yaml: no capabilities, no new privileges. The network is this machine's.
    """
    own = {"VIDEOGEM_PORT": str(port), "VIDEOGEM_HOST": "127.0.0.1", "HOME": "/home/videogem"}
    user = int(image["User"])
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
    ]
    for volume in image["Volumes"]:
        folder = volumes / volume.strip("/")
        folder.mkdir(parents=True)
        os.chown(folder, user, user)
        mounts.append({"destination": volume, "source": str(folder), "options": ["rbind", "rw"]})
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user, "gid": user},
            "args": image["Cmd"],
            "env": [*image["Env"], *(f"{name}={value}" for name, value in own.items())],
            "cwd": image["WorkingDir"],
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }


@contextmanager
def running(image: dict[str, Any], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The image's command in a container; its output goes to the screen."""
    container = run("buildah", "from", IMAGE)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder)
        try:
            root = Path(run("buildah", "mount", container))
            configuration = specification(root, bundle / "volumes", image, port)
            (bundle / "config.json").write_text(json.dumps(configuration))
            server = subprocess.Popen([RUNTIME, "run", "--bundle", folder, NAME])
            try:
                yield server
            finally:
                subprocess.run([RUNTIME, "kill", NAME, "TERM"], check=False)
                try:
                    server.wait(30)
                finally:
                    subprocess.run([RUNTIME, "delete", "--force", NAME], check=False)
        finally:
            run("buildah", "rm", container)


def inside(*words: str) -> tuple[int, str]:
    """Exit status and output of a command in the container."""
    done = subprocess.run(
        [RUNTIME, "exec", NAME, *words], capture_output=True, text=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def ask(url: str, body: Any = None) -> Any:
    """A JSON answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait(url: str, server: subprocess.Popen[bytes]) -> float:
    """Seconds until it answers."""
    start = time.monotonic()
    while time.monotonic() - start < START_SECONDS:
        if server.poll() is not None:
            sys.exit(f"NOT SO: the container runs; it ended with {server.returncode}.")
        try:
            ask(f"{url}/health")
            return time.monotonic() - start
        except urllib.error.URLError:
            time.sleep(0.1)
    sys.exit(f"NOT SO: it answers /health within {START_SECONDS:.0f} s.")


def try_out(image: dict[str, Any], log: Log) -> None:
    """Start, use, stop."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(image, port) as server, tempfile.TemporaryDirectory() as folder:
        seconds = wait(url, server)
        log(f"ok  answers /health {seconds:.1f} s after its start")
        status, out = inside(*image["Healthcheck"]["Test"][1:])
        check(f"its own health check is content {out}".strip(), log, seen=status == 0)
        status, out = inside("id", "-u")
        check(f"runs as user {out}", log, seen=out == image["User"] != "0")
        for place in ("/", "/home/videogem", "/opt/videogem/bin"):
            status, out = inside("touch", f"{place}/written")
            check(f"cannot write to {place}", log, seen=status != 0 and "Read-only" in out)

        task = demo_project("frame", Path(folder)).tasks[0]
        picture = Path(folder) / task["frame"].partition("?d=")[2]
        coded = base64.b64encode(picture.read_bytes()).decode()
        tasks = [{"id": 1, "data": {**task, "frame": f"data:image/jpeg;base64,{coded}"}}]
        body = {"tasks": tasks, "project": "1.1", "label_config": ready_config("frame")}
        [prediction] = ask(f"{url}/predict", body)["results"]
        kinds = sorted(region["type"] for region in prediction["result"])
        check(
            f"predicts a demo frame ({task['narration']!r}): {', '.join(kinds)}, score "
            f"{prediction['score']:.3f}, version {prediction['model_version']}",
            log,
            seen=kinds == ["keypointlabels", "rectanglelabels"],
        )
    check("ends when it is asked to", log, seen=server.returncode == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", help="base image (default: made from Debian's packages)")
    parser.add_argument("--build-option", action="append", default=[], metavar="OPTION")
    options = parser.parse_args()
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        sys.exit(f"Needs root and Debian's packages {', '.join(TOOLS)}; missing: {missing}.")
    log = Log()
    start = time.monotonic()
    if options.base is None:
        make_base()
    build(options.base or BASE, options.build_option)
    log(f"built in {time.monotonic() - start:.0f} s from docker/Dockerfile")
    image = json.loads(run("buildah", "inspect", "--type", "image", IMAGE))["Docker"]["config"]
    try_out(image, log)
    log.write(PAGE)


if __name__ == "__main__":
    main()
