"""The demo accounts. Password and PIN are printed for everyone, so production refuses a database that has them."""

from __future__ import annotations

from dataclasses import dataclass

from canteen.auth import people, reach
from canteen.demo import areas
from canteen.demo.sites import SITES

PASSWORD = "jinglao-canting"  # noqa: S105 - printed on purpose
PIN = "271828"
Grants = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Account:
    """One account: login, name, what it is for, its roles; `till` has a PIN, `desk` a password."""

    login: str
    name: str
    duty: str
    grants: Grants
    desk: bool = True
    till: bool = False


def _city(role: str) -> Grants:
    return ((role, "area", areas.CITY),)


def accounts() -> list[Account]:
    """Return everybody who works in the demo city, in the order in which a claim passes them."""
    cashiers = [
        Account(f"demo-cashier-{n}", name, f"收银员 · {site.name}", (("cashier", "canteen", site.id),), False, True)
        for n, (site, name) in enumerate(zip(SITES, _NAMES, strict=True), 1)
    ]
    managers = [
        Account(login, name, duty, tuple(("manager", "canteen", s.id) for s in SITES if s.operator == firm), True, True)
        for login, name, duty, firm in (
            ("demo-manager-a", "韩经理", "食堂负责人 · 康乐", "demo-kangle"),
            ("demo-manager-b", "曲经理", "食堂负责人 · 福满家", "demo-fuman"),
            ("demo-manager-c", "老魏", "食堂负责人 · 老味道", "demo-laowei"),
        )
    ]
    streets = tuple(("reviewer", "area", site.street) for site in SITES)
    return [
        *cashiers,
        *managers,
        Account("demo-street", "街道小周", "街道初审", streets),
        Account("demo-finance-1", "财务老郑", "核定、拨付经办", _city("finance")),
        Account("demo-finance-2", "财务小许", "审批、拨付复核", _city("finance")),
        Account("demo-admin", "民政小吴", "管理员（经办）", _city("admin")),
        Account("demo-admin-2", "民政老程", "管理员（发布）", _city("admin")),
        Account("demo-auditor", "审计小夏", "审计", _city("auditor")),
        Account("demo-it", "运维小石", "系统运维", _city("operator_it")),
    ]


_NAMES = ("小王", "小李", "小赵", "小孙", "小于", "小高", "小姜", "小佟")


def build() -> dict[str, str]:
    """Make the accounts and answer login -> person id.

    The two administrators are last: until they are there the command line gives the others their roles alone.
    """
    return {
        one.login: people.create(
            one.login,
            one.name,
            password=PASSWORD if one.desk else None,
            pin=PIN if one.till else None,
            grants=one.grants,
            must_change=False,
            by=reach.SYSTEM,
        )
        for one in sorted(accounts(), key=lambda one: any(role == "admin" for role, _, _ in one.grants))
    }


def cashier_of(site_id: str) -> str:
    """Return the login of the cashier of a canteen."""
    return f"demo-cashier-{[site.id for site in SITES].index(site_id) + 1}"


def manager_of(operator: str) -> str:
    """Return the login of the manager of an operator's canteens."""
    return {"demo-kangle": "demo-manager-a", "demo-fuman": "demo-manager-b", "demo-laowei": "demo-manager-c"}[operator]
