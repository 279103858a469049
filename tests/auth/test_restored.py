"""A database restored from an older backup: tablets know more than it does, and nobody is shown that all is well."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from granian import Granian
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from canteen import cli, clock, events
from canteen.auth import tablets
from canteen.auth.models import LostNumbers
from canteen.auth.tablets import CodeRefused
from canteen.config import Config
from canteen.db import db, transaction
from canteen.events import Event
from canteen.pos import envelope, lost_numbers
from canteen.pos.incarnation import NothingCalls
from canteen.pos.models import TabletAhead
from tests.auth.house import Browser, Till, a_person, a_till
from tests.rigs import postgres
from tests.rigs.postgres import free_port

FIRST_LIFE = "i" * 32
FROM_PAGE = {"Origin": "http://localhost", "X-Requested-With": "canteen"}
Backup = Callable[[], Callable[[], None]]
Canteen = Callable[..., Result]


@pytest.fixture
def backup(app: Flask, config: Config, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Backup]:
    """backup() keeps the database as it is and answers what puts it back."""
    copies: list[Callable[[], None]] = []

    def of_sqlite() -> Callable[[], None]:
        there, kept = Path(config.database_url.removeprefix("sqlite:///")), tmp_path / "backup.db"
        leave()
        shutil.copyfile(there, kept)

        def restore() -> None:
            leave()
            shutil.copyfile(kept, there)

        return restore

    def of_postgres() -> Callable[[], None]:
        server: postgres.Server = request.getfixturevalue("postgres_server")
        name = config.database_url.rpartition("/")[2].partition("?")[0]
        leave()
        server.create(f"{name}_kept", name)
        copies.append(lambda: server.drop(f"{name}_kept"))

        def restore() -> None:
            leave()
            server.drop(name)
            server.create(name, f"{name}_kept")

        return restore

    def leave() -> None:
        db.session.remove()
        db.engine.dispose()

    yield of_sqlite if config.sqlite else of_postgres
    for drop in copies:
        drop()


@pytest.fixture
def canteen(config: Config, monkeypatch: pytest.MonkeyPatch) -> Canteen:
    """canteen(*words): the command on this installation."""
    monkeypatch.setenv("CANTEEN_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CANTEEN_DATA", str(config.data_dir))
    monkeypatch.setenv("CANTEEN_KEYS", str(config.keys_dir))

    def call(*words: str) -> Result:
        db.session.rollback()
        return CliRunner().invoke(cli.cli, words)

    return call


def troubles(canteen: Canteen) -> list[str]:
    """Return the troubles of `canteen doctor`, without those of the rig's server, which trades durability for speed."""
    result = canteen("doctor", "--json")
    found = [
        each
        for each in json.loads(result.stdout)["troubles"]
        if each not in {"fsync is off", "full_page_writes is off"}
    ]
    assert bool(found) <= (result.exit_code == 1)
    return found


def path(address: str, incarnation: str, acknowledged: str) -> str:
    return f"/api/v1/{address}?incarnation={incarnation}&acknowledged={acknowledged}"


def bring(till: Till, *numbers: int, incarnation: str = FIRST_LIFE, acknowledged: str = "", epoch: int = 1) -> Any:
    """Records that the server keeps in quarantine: kept is kept."""
    at = {"at": clock.local(clock.now()), "mono_ms": 1, "boot": "b"}
    chain = {"tablet": till.tablet, "epoch": epoch, "previous": envelope.FIRST}
    records = [envelope.seal({}, kind="count", number=number, **chain, **at) for number in numbers]
    answer = till.call("POST", path("records", incarnation, acknowledged), {"records": records})
    assert [each["outcome"] for each in answer.json["results"]] == ["quarantined"] * len(numbers), answer.json
    return answer.json


def ping(till: Till, incarnation: str = FIRST_LIFE, acknowledged: str = "") -> Any:
    answer = till.call("GET", path("pos/ping", incarnation, acknowledged))
    assert answer.status_code == 200, answer.json
    return answer.json


def run(first: int, last: int, epoch: int = 1) -> dict[str, int]:
    return {"epoch": epoch, "first": first, "last": last}


def test_a_restored_database_is_reported_until_all_is_sent_again(till: Till, backup: Backup, canteen: Canteen) -> None:
    bring(till, 1, 2, 3)
    restore = backup()
    bring(till, 4, 5, 6, acknowledged="1/3")
    assert ping(till, acknowledged="1/6")["behind"] == []
    restore()

    assert troubles(canteen) == []  # nobody knows yet
    assert ping(till, acknowledged="1/6")["behind"] == [run(4, 6)]
    [said] = troubles(canteen)
    assert "older than what tablets know; run canteen incarnation renew" in said
    assert f"({till.tablet}) 1/4-6, 3 missing" in said
    assert till.client.get("/healthz").json == {"status": "ok", "troubles": ["database_behind_tablets"]}

    assert bring(till, 7, acknowledged="1/6")["behind"] == [run(4, 6)]  # the counter sells on
    assert ping(till, acknowledged="1/7")["behind"] == [run(4, 6)], "a newer sale hides nothing"

    renewed = json.loads(canteen("incarnation", "renew", "--json").stdout)["incarnation"]
    answer = ping(till, acknowledged="1/7")
    assert (answer["incarnation"], answer["behind"]) == (renewed, []), "without a restart"
    [said] = troubles(canteen)
    assert "not sent again" in said
    assert till.client.get("/healthz").json == {"status": "ok"}

    bring(till, *range(1, 8), incarnation=renewed)
    assert troubles(canteen) == []
    assert ping(till, renewed, "1/7")["behind"] == []
    assert db.session.execute(select(TabletAhead)).all() == [], "what has arrived is forgotten"


def test_what_a_restore_to_before_an_epoch_lost_is_named_too(till: Till) -> None:
    bring(till, 1, 2)

    assert ping(till, acknowledged="1/2,2/5")["behind"] == [run(1, 5, epoch=2)]
    bring(till, 1, 2, 3, 4, 5, epoch=2)
    assert ping(till, acknowledged="1/2,2/5")["behind"] == []


def test_what_two_people_declared_lost_is_no_longer_waited_for(till: Till, canteen: Canteen) -> None:
    ping(till, acknowledged="1/5")
    lost_numbers.declare(till.tablet, lost_numbers.Run(1, 1, 5), "平板进水，无法开机", by="one")
    assert troubles(canteen) != []
    lost_numbers.confirm(db.session.execute(select(LostNumbers.id)).scalar_one(), by="two")

    assert troubles(canteen) == []
    assert ping(till, acknowledged="1/5")["behind"] == []


def test_an_earlier_pages_epoch_keeps_a_lost_end(till: Till) -> None:
    """It knows `lost_epochs` alone; a hole behind the newest number is no reason to begin anew."""
    bring(till, 1, 3)
    ping(till, acknowledged="1/5,2/2")
    assert till.call("GET", "/api/v1/pos/boot").json["lost_epochs"] == []
    for row in (lost_numbers.Run(1, 2, 2), lost_numbers.Run(1, 4, 5), lost_numbers.Run(2, 1, 2)):
        lost_numbers.declare(till.tablet, row, "平板进水，无法开机", by="one")
    hole, end, whole = db.session.execute(select(LostNumbers.id).order_by(LostNumbers.id)).scalars()
    db.session.rollback()
    found = []
    for number in (hole, end, whole):
        lost_numbers.confirm(number, by="two")
        found.append(till.call("GET", "/api/v1/pos/boot").json["lost_epochs"])
    assert found == [[], [1], [1, 2]]
    bring(till, 4, 5)
    assert till.call("GET", "/api/v1/pos/boot").json["lost_epochs"] == [2]


def test_the_desk_tells_of_a_tablet_that_knows_more(app: Flask, till: Till, canteen: Canteen) -> None:
    """On the desk's front page, in the list and on the tablet's page, to everyone who may see that tablet."""
    desk, other = Browser(app.test_client()), Browser(app.test_client())
    for browser, login, node in ((desk, "ming", "east"), (other, "fang", "west")):
        a_person(login, ("manager", "canteen", node))
        browser.log_in(login)
    page = f"/desk/tablets/{till.tablet}"
    front = desk.get("/desk", follow_redirects=True).request.path
    missing = "服务器缺这台平板已上传的 4 条记录（第 1 段第 2–5 号）"
    assert [missing in desk.get(path).text for path in (page, "/desk/tablets")] == [False, False]
    bring(till, 1)
    ping(till, acknowledged="1/5")

    for path in (page, "/desk/tablets"):
        assert missing in desk.get(path).text
        assert "canteen incarnation renew" in desk.get(path).text
    assert "服务器的数据比 1 台平板旧" in desk.get(front).text
    assert "服务器" not in other.get("/desk/tablets").text
    assert "台平板旧" not in other.get(front).text
    canteen("incarnation", "renew")
    assert "下次联网时自动补传" in desk.get(page).text
    assert "台平板旧" not in desk.get(front).text
    tablets.revoke(till.tablet, by="system", reason="lost")
    assert "平板已停用，不会补传" in desk.get(page).text


UNREADABLE = ("", "1", "1/", "0/5", "1/0", "-1/5", "1/5;2/5", "%EF%BC%91/5", f"1/{2**53 + 1}", f"{2**31 + 1}/1",
              "1/99999999999999999", ",".join(["1/5"] * 9), "1/5" * 200)  # fmt: skip


def test_an_unreadable_acknowledgement_is_ignored(till: Till) -> None:
    for acknowledged in UNREADABLE:
        assert ping(till, acknowledged=acknowledged)["behind"] == [], acknowledged
        assert bring(till, 1, acknowledged=acknowledged)["behind"] == [], acknowledged


def test_a_tablet_of_an_older_version_says_nothing_and_is_served(till: Till) -> None:
    assert till.call("GET", "/api/v1/pos/ping").json["behind"] == []
    assert till.call("GET", "/api/v1/pos/boot").json["incarnation"] == FIRST_LIFE
    assert till.call("POST", "/api/v1/records", {"records": [{}]}).json["behind"] == []


def test_what_another_incarnation_acknowledged_is_no_claim(till: Till, canteen: Canteen) -> None:
    assert ping(till, "restored", "1/9")["behind"] == []
    assert ping(till, "", "1/9")["behind"] == []
    assert troubles(canteen) == []


def test_a_false_claim_does_no_more_than_name_its_tablet(till: Till, canteen: Canteen) -> None:
    for epoch in range(1, 40):
        ping(till, acknowledged=f"{epoch}/{2**53}")

    assert len(db.session.execute(select(TabletAhead)).all()) == 8
    [said] = troubles(canteen)
    assert said.count(till.tablet) == 8
    tablets.revoke(till.tablet, by="system", reason="lost")
    assert troubles(canteen) == []
    assert till.tablet in json.loads(canteen("doctor", "--json").stdout)["warnings"][0]
    assert till.client.get("/healthz").json == {"status": "ok"}


def test_a_revoked_tablet_reports_and_receives_nothing(till: Till) -> None:
    tablets.revoke(till.tablet, by="system", reason="lost")

    assert bring(till, 1, acknowledged="1/9")["behind"] is None
    db.session.rollback()
    assert db.session.execute(select(TabletAhead)).all() == []


def test_another_tablets_numbers_do_not_count_for_this_one(till: Till) -> None:
    other = Till(till.client, tablet="another")
    seal = {"at": clock.local(clock.now()), "mono_ms": 1, "boot": "b", "previous": envelope.FIRST}
    foreign = envelope.seal({}, kind="count", tablet=other.tablet, epoch=1, number=9, **seal)
    till.call("POST", "/api/v1/records", {"records": [foreign]})

    assert ping(till, acknowledged="1/2")["behind"] == [run(1, 2)]


def test_the_incarnation_is_renewed_only_when_needed_or_forced(till: Till, canteen: Canteen) -> None:
    refused = canteen("incarnation", "renew")
    assert isinstance(refused.exception, NothingCalls)
    assert canteen("incarnation", "show").stdout.strip() == FIRST_LIFE

    forced = canteen("incarnation", "renew", "--force").stdout.split()[0]
    assert len({FIRST_LIFE, forced, canteen("incarnation", "renew", "--force").stdout.split()[0]}) == 3

    current = ping(till)["incarnation"]
    ping(till, current, "1/3")
    renewed = canteen("incarnation", "renew")
    assert renewed.exit_code == 0, renewed.output
    assert isinstance(canteen("incarnation", "renew").exception, NothingCalls), "once is enough"
    shown = json.loads(canteen("incarnation", "show", "--json").stdout)
    assert shown["incarnation"] == renewed.stdout.split()[0]
    assert [(each["first"], each["last"], each["renewed"]) for each in shown["ahead"]] == [(1, 3, True)]

    acts = db.session.execute(select(Event).where(Event.kind == "incarnation.renew").order_by(Event.number)).scalars()
    bodies = [json.loads(each.body) for each in acts]
    assert [each["forced"] for each in bodies] == [True, True, False]
    assert bodies[-1] == {
        "before": current, "after": shown["incarnation"], "because": [f"{till.tablet}/1/1-3"], "forced": False,
    }  # fmt: skip
    assert list(events.breaks(db.session())) == []


def test_every_running_host_tells_the_new_incarnation_at_once(
    till: Till, canteen: Canteen, another_host: Callable[..., Flask]
) -> None:
    other = Till(another_host().test_client(), tablet=till.tablet, key=till.key)
    assert ping(till)["incarnation"] == ping(other)["incarnation"] == FIRST_LIFE

    renewed = canteen("incarnation", "renew", "--force").stdout.split()[0]

    assert ping(till)["incarnation"] == ping(other)["incarnation"] == renewed


@pytest.mark.parametrize(("received", "acknowledged"), [(5, 5), (6, 5), (-1, 5)])
def test_the_database_keeps_no_claim_that_claims_nothing(till: Till, received: int, acknowledged: int) -> None:
    row = {"tablet_id": till.tablet, "epoch": 1, "received": received, "acknowledged": acknowledged}
    with pytest.raises(IntegrityError), transaction() as session:
        session.execute(insert(TabletAhead).values(**row, incarnation="x", since=clock.now()))


def test_serve_names_the_tablets_when_it_starts_and_serves_on(
    till: Till, canteen: Canteen, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []
    monkeypatch.setattr(Granian, "serve", lambda self: served.append(self.bind_addr))
    ping(till, acknowledged="1/3")

    said = canteen("serve", "--no-scheduler", "--port", str(free_port()))

    assert served == ["127.0.0.1"], said.output
    assert f"run canteen incarnation renew: 一号窗口 ({till.tablet}) 1/1-3, 3 missing" in said.stderr


def test_a_tablet_let_in_after_the_backup_keeps_its_id_and_chain(till: Till, app: Flask, backup: Backup) -> None:
    restore = backup()
    late = a_till(app, "east")
    bring(late, 1, 2)
    restore()
    refused = late.call("GET", "/api/v1/pos/ping")
    assert (refused.status_code, refused.json["code"]) == (401, "tablet_unknown")
    assert "请管理员生成启用码" in refused.json["detail"]

    code = tablets.make_code("east", "二号窗口", by="system").code
    key = base64.urlsafe_b64encode(late.public_key).decode().rstrip("=")
    sent = {"code": code, "public_key": key, "tablet": late.tablet}
    answers = [late.client.post("/api/v1/pos/tablets", json=sent, headers=FROM_PAGE) for _ in range(2)]
    assert [(each.status_code, each.json["tablet"]["id"]) for each in answers] == [(201, late.tablet)] * 2
    bring(late, 1, 2)
    assert ping(late, acknowledged="1/2")["behind"] == []


def test_nobody_is_let_in_under_the_id_of_a_tablet_that_is_known(till: Till, app: Flask) -> None:
    other = Till(app.test_client())
    with pytest.raises(CodeRefused):
        tablets.enrol(tablets.make_code("east", "二号窗口", by="system").code, other.public_key, till.tablet)
