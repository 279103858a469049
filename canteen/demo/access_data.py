"""The demo's access data: accounts, cards, and a code that lets a tablet in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import reach, tablets
from canteen.config import Config
from canteen.demo.sites import SITES
from canteen.demo.staff import PASSWORD, PIN, accounts
from canteen.registry import elder_titles, elders
from canteen.registry.labels import CLASSES
from canteen.registry.models import Credential, CredentialFact


def cards_of(config: Config) -> Path:
    """Return the folder of the cards that can be shown to a camera."""
    return config.data_dir / "cards" / "demo-cards.pdf"


def who(config: Config) -> Iterator[str]:
    """Yield the accounts and where the cards are, line by line."""
    yield f"演示账号（密码均为 {PASSWORD}，收银口令均为 {PIN}）："
    for account in accounts():
        how = "密码、口令" if account.till and account.desk else "口令" if account.till else "密码"
        yield f"  {account.login:<17} {account.name}  {account.duty}（{how}）"
    yield f"演示卡：{cards_of(config)}（打印或在屏幕上对着摄像头，也可键入卡面上的 8 位卡号）"


def some_cards(session: Session, count: int = 8) -> Iterator[str]:
    """Yield a few of the printed cards by the number on them, so that the counter can be tried without a camera."""
    printed = (
        select(Credential.number, CredentialFact.elder_id)
        .join(CredentialFact, CredentialFact.credential_id == Credential.id)
        .where(CredentialFact.kind == "bound")
        .where(Credential.id.in_(select(CredentialFact.credential_id).where(CredentialFact.kind == "printed")))
        .order_by(CredentialFact.id)
        .limit(count)
    )
    today = clock.today()
    for number, elder in session.execute(printed).all():
        if number is not None and elder is not None:
            known = elders.known(session, elder, today)
            title = elder_titles.title(session, elder, today, known).surname_title
            classes = "、".join(CLASSES[code] for code in known.diner.classes if code in CLASSES)
            age = (today - clock.day_of(known.diner.birth_day or 0)).days * 100 // 36525
            yield f"  {number[:4]} {number[4:]}  {title}，{age} 岁{f'，{classes}' if classes else ''}"


def tablet(address: str) -> Iterator[str]:
    """Yield a fresh enrolment code for the first canteen, good for an hour. Needs the application's context."""
    made = tablets.make_code(SITES[0].id, "演示平板", by=reach.SYSTEM)
    yield f"平板：打开 {address}/pos ，启用码 {made.grouped}（一小时内有效），食堂：{SITES[0].name}"
    yield f"工作台：打开 {address}/desk ，用上面的演示账号登录"
