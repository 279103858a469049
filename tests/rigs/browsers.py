"""Debian's Chromium, driven by Playwright: as a tablet in Shanghai sees us, with a camera made of pictures.

page           one page of a plain browser
open_page      open_page(camera=clip, **context) -> Page, as many as the test wants
lend_page      lend_page() -> Page, in a context that later tests use again: it opens in half the time
camera_clip    camera_clip(png) -> the clip that a fake camera shows, over and over

Every step waits PATIENCE for what it expects: a machine that is busy with other things is no fault of the page.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

PATIENCE = 120_000  # ms; a tablet that failed for a while asks again after up to a minute
expect.set_options(timeout=PATIENCE)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
]
TABLET = {
    "locale": "zh-CN",
    "timezone_id": "Asia/Shanghai",
    "has_touch": True,
    "viewport": {"width": 1280, "height": 800},
}
OpenPage = Callable[..., Page]
LendPage = Callable[[], Page]
CameraClip = Callable[[Path], Path]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser without a camera, shared by the worker's tests; each opens a context of its own."""
    browser = _launch(playwright, [])
    yield browser
    browser.close()


@pytest.fixture
def open_page(playwright: Playwright, request: pytest.FixtureRequest) -> Iterator[OpenPage]:
    """open_page(camera=clip, **context): a page in a context of its own, in a browser of its own if it has a camera.

    The context's default is a tablet lying down; `context` changes it (Playwright's names).
    """
    closing: list[Any] = []

    def open_one(*, camera: Path | None = None, **context: Any) -> Page:
        if camera is None:
            browser: Browser = request.getfixturevalue("browser")
        else:
            browser = _launch(playwright, _camera(camera))
            closing.append(browser)
        made = patient(browser.new_context(**{**TABLET, **context}))
        if camera is not None:
            made.grant_permissions(["camera"])
        closing.append(made)
        return made.new_page()

    yield open_one
    for opened in reversed(closing):
        opened.close()


@pytest.fixture(scope="session")
def idle() -> list[BrowserContext]:
    """Contexts that no test uses now."""
    return []


@pytest.fixture
def lend_page(browser: Browser, idle: list[BrowserContext]) -> Iterator[LendPage]:
    """lend_page(): a page of a tablet without service workers, in a context whose cookies are cleared after the test.

    What else a context keeps, it keeps by origin, and each server has another. A test that changes the context itself, as
    its clock, opens a page of its own.
    """
    lent: list[BrowserContext] = []

    def lend() -> Page:
        lent.append(idle.pop() if idle else patient(browser.new_context(**TABLET, service_workers="block")))
        return lent[-1].new_page()

    yield lend
    for context in lent:
        for page in context.pages:
            page.close()
        context.clear_cookies()
    idle.extend(lent)


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A page as on a tablet lying down."""
    return open_page()


@pytest.fixture
def camera_clip(tmp_path: Path) -> CameraClip:
    """camera_clip(png): a moment of an empty table, then the picture for two seconds, as .mjpeg at 1280x720."""

    def film(png: Path) -> Path:
        clip = tmp_path / f"{png.stem}.mjpeg"
        fit = "scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:(ow-iw)/2:(oh-ih)/2:color=white"
        lead_in = "tpad=start_duration=0.2:start_mode=add:color=white"
        command = [_found("ffmpeg"), "-nostdin", "-loglevel", "error", "-y", "-loop", "1", "-framerate", "10"]
        command += [
            "-t",
            "2",
            "-i",
            str(png),
            "-vf",
            f"{fit},{lead_in}",
            "-pix_fmt",
            "yuvj420p",
            "-q:v",
            "3",
            str(clip),
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return clip

    return film


def patient(context: BrowserContext) -> BrowserContext:
    """Return the same context with PATIENCE as the time limit of its pages."""
    context.set_default_timeout(PATIENCE)
    return context


def lasting(playwright: Playwright, profile: Path, **context: Any) -> BrowserContext:
    """A tablet's browser that keeps its storage in `profile` when it ends, however it ends."""
    wanted = {**TABLET, "service_workers": "block", **context}
    return patient(
        playwright.chromium.launch_persistent_context(
            str(profile), executable_path=_chromium(), args=ARGUMENTS, **wanted
        )
    )


def _launch(playwright: Playwright, arguments: list[str]) -> Browser:
    return playwright.chromium.launch(executable_path=_chromium(), args=[*ARGUMENTS, *arguments])


def _chromium() -> str:
    return _found(os.environ.get("CHROMIUM", "chromium"))


def _camera(clip: Path) -> list[str]:
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={clip}",
    ]


def _found(program: str) -> str:
    if path := shutil.which(program):
        return path
    raise RuntimeError(f"{program} is not installed: run tools/system")
