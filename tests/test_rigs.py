"""The rigs give what other tests depend on."""

import subprocess
import sys
from pathlib import Path

import pytest
import qrcode
import sqlalchemy as sa
from playwright.sync_api import Page
from sqlalchemy.orm import Session

from canteen import places
from canteen.config import Config
from canteen.db import owner_engine, transaction
from tests.rigs import postgres
from tests.rigs.browsers import CameraClip, OpenPage
from tests.rigs.servers import Serve, Server
from tests.rigs.states import state

LOOK = """
async () => {
  const {prepareZXingModule, readBarcodes} = await import("/static/vendor/zxing-wasm/reader/index.js");
  prepareZXingModule({overrides: {locateFile: (name) => `/static/vendor/zxing-wasm/reader/${name}`}});
  const video = document.createElement("video");
  video.srcObject = await navigator.mediaDevices.getUserMedia({video: {width: 1280, height: 720}});
  await video.play();
  const canvas = new OffscreenCanvas(640, 360);
  const context = canvas.getContext("2d");
  for (;;) {
    await new Promise((shown) => video.requestVideoFrameCallback(shown));
    context.drawImage(video, 0, 0, 640, 360);
    const [found] = await readBarcodes(context.getImageData(0, 0, 640, 360), {formats: ["QRCode"]});
    if (found) return found.text;
  }
}
"""


def test_each_test_gets_a_migrated_database(database_url: str) -> None:
    engine = owner_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM sale")).scalar_one() == 0
    engine.dispose()


@state
def one_area(session: Session) -> list[str]:
    with transaction():
        session.add(places.Area(id="220000", name="吉林省", level="province"))
    return ["220000"]


@state
def two_areas(one_area: list[str], session: Session) -> list[str]:
    with transaction():
        session.add(places.Area(id="220100", name="长春市", level="city"))
    return [*one_area, "220100"]


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_a_state_as_it_was_built(session: Session, two_areas: list[str], turn: int) -> None:
    assert session.execute(sa.select(places.Area.id).order_by(places.Area.id)).scalars().all() == two_areas
    assert two_areas == ["220000", "220100"]
    two_areas.append("another")
    with transaction():
        session.add(places.Area(id="another", name=f"{turn}", level="city"))


def test_a_state_that_others_build_on_has_its_own_rows_alone(session: Session, one_area: list[str]) -> None:
    assert session.execute(sa.select(places.Area.id)).scalars().all() == one_area


def test_the_application_on_postgresql_acts_as_the_app_role(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        assert session.execute(sa.text("SELECT current_user")).scalar_one() == "canteen_app"
    else:
        assert session.execute(sa.text("PRAGMA foreign_keys")).scalar_one() == 1


def test_without_a_server_our_own_cluster_runs_and_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_willing", lambda _server: False)
    server = postgres.find()
    try:
        assert server.cluster is not None
        with server.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert server.cluster.joinpath("data/postmaster.pid").stat().st_uid != 0
    finally:
        server.stop()
    assert not server.cluster.exists()


def test_two_servers_share_a_database_and_end_when_asked(config: Config, serve: Serve) -> None:
    first, second = serve(config), serve(config)
    assert first.port != second.port
    for server in (first, second):
        server.stop()
        assert server.process.exitcode is not None


@pytest.mark.browser
def test_a_page_is_a_tablet_in_shanghai(page: Page) -> None:
    assert page.evaluate("[navigator.language, new Date().getTimezoneOffset(), navigator.maxTouchPoints > 0]") == [
        "zh-CN",
        -480,
        True,
    ]


@pytest.mark.browser
def test_the_fake_camera_shows_a_picture_that_our_decoder_reads(
    server: Server, open_page: OpenPage, camera_clip: CameraClip, tmp_path: Path
) -> None:
    digits = "12345678901234567890123456"
    picture = tmp_path / "card.png"
    with picture.open("wb") as out:
        qrcode.make(digits, border=8).save(out)
    page = open_page(camera=camera_clip(picture))
    page.route("**/blank", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
    page.goto(f"{server.url}/blank")
    assert page.evaluate(LOOK) == digits


def test_the_environment_is_linked_to_this_tree() -> None:
    command = Path(sys.executable).parent / "canteen"
    shown = subprocess.run([command, "doctor", "--help"], cwd="/", capture_output=True, text=True, check=True)
    assert "--json" in shown.stdout
