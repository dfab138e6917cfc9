"""A page as PDF, printed by Chromium or Chrome where there is one."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from videogem.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_CHROME = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
DRAWING_MS = 15_000  # that the page's scripts have for its charts
TIMEOUT_S = 120


def find_chromium() -> str:
    """The installed Chromium or Chrome, CHROME_PATH first.

    Raises:
        InputError: there is none.
    """
    names = (os.environ.get("CHROME_PATH"), *NAMES, MAC_CHROME)
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise InputError(
            "A PDF needs Chromium or Chrome, and none was found. Install it, set CHROME_PATH to "
            "the program, or write an .html file and print it in any browser."
        )
    return found


def print_pdf(html: str, out: Path) -> None:
    """Write a page that needs nothing else as PDF.

    Raises:
        InputError: there is no Chromium, or it could not print.
    """
    program = find_chromium()
    with tempfile.TemporaryDirectory() as folder:
        page, printed = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            program, "--headless", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-pdf-header-footer", f"--user-data-dir={folder}/profile",
            f"--virtual-time-budget={DRAWING_MS}", f"--print-to-pdf={printed}", page.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium starts for the administrator only so
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise InputError(f"{program} did not print the PDF within {TIMEOUT_S} s.") from None
        if not printed.exists():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"exit code {done.returncode}"
            raise InputError(f"{program} could not print the PDF: {reason[:300]}")
        shutil.move(printed, out)
