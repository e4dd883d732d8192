"""The page's files: what they may load, that the package contains them, and that they can be read."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from reader.http import static_routes
from reader.http.static_routes import MEDIA_TYPES
from tests.support.http import LocalServer
from tests.support.programs import ROOT

PAGE = ROOT / "reader" / "http" / "static"
READABLE = 4.5
"""The contrast that WCAG 2.2 asks of text (1.4.3)."""


def test_the_page_is_served_with_a_policy_that_allows_this_reader_only() -> None:
    """Every file has its type, a validator, and a policy without exceptions for inline code or other hosts."""
    with LocalServer({}, routes=static_routes.build_routes()) as serving:
        for name, media_type in MEDIA_TYPES.items():
            path = "/" if name == "index.html" else f"/{name}"
            answer = httpx.get(f"http://127.0.0.1:{serving.port}{path}")
            assert (200, media_type) == (answer.status_code, answer.headers["content-type"])
            assert answer.content == (PAGE / name).read_bytes()
            assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
            assert "unsafe" not in answer.headers["content-security-policy"]
            known = {"if-none-match": answer.headers["etag"]}
            again = httpx.get(f"http://127.0.0.1:{serving.port}{path}", headers=known)
            assert (304, b"") == (again.status_code, again.content)


def test_the_page_names_no_other_host_and_nothing_inline() -> None:
    """It works without the internet, and within its own policy."""
    html = (PAGE / "index.html").read_text()
    assert [] == re.findall(r'(?:src|href)="(?:[a-z]+:)?//', html)
    assert [] == re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)", html)
    assert [] == re.findall(r"url\(|@import", (PAGE / "page.css").read_text())


def test_the_package_contains_the_page(tmp_path: Path) -> None:
    """A wheel holds every file of it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {f"reader/http/static/{name}" for name in MEDIA_TYPES} <= set(archive.namelist())


def luminance(colour: str) -> float:
    """Return a colour's relative luminance, as WCAG defines it.

    Args:
        colour: ``#rrggbb``.
    """
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("text", "ground"),
        ("text", "card"),
        ("text", "fresh"),
        ("quiet", "card"),
        ("quiet", "ground"),
        ("accent", "card"),
        ("accent", "ground"),
        ("on-accent", "accent"),
        ("good", "good-ground"),
        ("warn", "warn-ground"),
        ("bad", "bad-ground"),
    ],
)
def test_text_contrasts_with_its_background(scheme: str, text: str, ground: str) -> None:
    """In both schemes each pair of adjoining colours has enough contrast to be read."""
    light, dark = (PAGE / "page.css").read_text().split("@media (prefers-color-scheme: dark)")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", light if scheme == "light" else dark))
    one, other = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
    assert (one + 0.05) / (other + 0.05) >= READABLE
