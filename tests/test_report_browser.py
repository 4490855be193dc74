"""The page in a real browser: it renders, asks for nothing, and fits a telephone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catclf.cli import main

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = "<img onerror=alert(1) src=x>.png"

# A frame of the wanted width holds the page; its script measures what a person would see.
PROBE = """<!doctype html><body><iframe id="f" width="{width}" height="900" srcdoc="{page}"></iframe>
<pre id="found"></pre><script>
f.onload = () => {{
  const d = f.contentDocument, seen = [...d.images];
  found.textContent = JSON.stringify({{
    pictures: seen.length, blank: seen.filter(i => !i.naturalWidth).length,
    wide: d.documentElement.scrollWidth, text: d.body.innerText,
    loaded: f.contentWindow.performance.getEntriesByType('resource').map(e => e.name)
      .filter(n => !n.startsWith('data:')) }})
}}</script>"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    for kind, channel in (("cat", 0), ("dog", 2)):
        (folder / kind).mkdir(parents=True)
        for k in range(8):
            pixels = np.random.default_rng(k).integers(0, 120, (16, 16, 3))
            pixels[..., channel] += 30
            Image.fromarray(pixels.astype(np.uint8)).save(folder / kind / f"{k}.png")
    (folder / "cat" / "0.png").rename(folder / "cat" / HOSTILE)
    model, path = tmp_path / "m.npz", tmp_path / "page.html"
    assert main(["train", str(folder), "-o", str(model), "--size", "16", "-i", "9", "-q"]) == 0
    assert main(["eval", "-m", str(model), str(folder), "--report", str(path), "-t", "0.99"]) == 0
    return path


def browse(url: str, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    if BROWSER is None:
        pytest.skip("there is no Chromium here")
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--enable-logging=stderr", *more]
    done = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode and not done.stdout:
        pytest.skip(f"Chromium does not start here: {done.stderr[-200:]}")
    return done


@pytest.mark.parametrize("width", [1280, 390])
def test_a_person_sees_all_of_it(page: Path, tmp_path: Path, width: int) -> None:
    probe = tmp_path / f"probe{width}.html"
    source = page.read_text("utf-8").replace("&", "&amp;").replace('"', "&quot;")
    probe.write_text(PROBE.format(width=width, page=source), "utf-8")
    dom = browse(probe.as_uri(), tmp_path / f"profile{width}", "--window-size=1400,1000").stdout
    import html
    import re

    match = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert match and match[1], dom[-500:]
    found = json.loads(html.unescape(match[1]))
    assert found["pictures"] > 0
    assert found["blank"] == 0
    assert found["loaded"] == []
    assert found["wide"] <= width
    assert HOSTILE in found["text"].replace("\n", "")


def test_the_console_is_silent(page: Path, tmp_path: Path) -> None:
    done = browse(page.as_uri(), tmp_path / "profile")
    assert "CONSOLE" not in done.stderr
    assert "alert(1)" in done.stdout
