"""Eight canteens, who runs them, who is paid, what they serve and when. All names of firms are invented.

Prices are those of a 长春 canteen's set meals: 10 to 18 yuan at noon, 3 to 6 in the morning.
"""

from __future__ import annotations

from dataclasses import dataclass

BREAKFAST, LUNCH, DINNER = ("breakfast", 390, 540), ("lunch", 630, 810), ("dinner", 990, 1110)


@dataclass(frozen=True, slots=True)
class Firm:
    """An operator. `account` is the invented bank account of its payee, with no bank's real prefix."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Paid:
    """A payee: the operator itself, or the town that runs a village canteen."""

    id: str
    name: str
    bank: str
    account: str


@dataclass(frozen=True, slots=True)
class Dish:
    """A set meal: name, fen, meal period, tags that rules speak of."""

    name: str
    fen: int
    period: str = "lunch"
    tags: str = ""


@dataclass(frozen=True, slots=True)
class Site:
    """A canteen under its contract. `share`: its part of the city's meals. `week`: from Monday, 1 serves."""

    id: str
    name: str
    street: str
    profile: str
    canteen_class: str
    grade: str
    operator: str
    payee: str
    seats: int
    share: float
    week: str
    windows: tuple[tuple[str, int, int], ...]
    menu: tuple[Dish, ...]
    points: tuple[str, ...] = ()
    tablets: int = 1

    @property
    def contract(self) -> str:
        return f"k-{self.id}"


FIRMS = (
    Firm("demo-kangle", "演示·康乐养老餐饮有限公司"),
    Firm("demo-fuman", "演示·福满家餐饮服务有限公司"),
    Firm("demo-laowei", "演示·老味道餐饮管理有限公司"),
)
PAYEES = (
    Paid("demo-y-kangle", "演示·康乐养老餐饮有限公司", "演示银行长春分行", "0000220104000017"),
    Paid("demo-y-fuman", "演示·福满家餐饮服务有限公司", "演示银行长春分行", "0000220102000026"),
    Paid("demo-y-laowei", "演示·老味道餐饮管理有限公司", "演示农商银行营业部", "0000220105000035"),
    Paid("demo-y-luxiang", "演示·鹿乡镇养老服务中心", "演示农商银行双阳支行", "0000220112000044"),
)
SETS_A = (
    Dish("荤素套餐（红烧肉、炒时蔬）", 1500, tags="set"),
    Dish("家常套餐（锅包肉、地三鲜）", 1800, tags="set"),
    Dish("清淡套餐（清蒸鱼、豆腐）", 1600, tags="set soft"),
    Dish("素食套餐（酸菜粉、土豆丝）", 1000, tags="set"),
    Dish("软食套餐（鸡蛋羹、烂面条）", 1200, tags="set soft"),
)
SETS_B = (
    Dish("两荤两素套餐", 1600, tags="set"),
    Dish("一荤两素套餐", 1200, tags="set"),
    Dish("猪肉酸菜饺子", 1400, tags="set"),
    Dish("打卤面套餐", 1000, tags="set soft"),
)
EVENINGS = (
    Dish("小米粥、花卷、两小菜", 800, "dinner", "set soft"),
    Dish("一荤一素晚餐", 1200, "dinner", "set"),
    Dish("西红柿鸡蛋面", 900, "dinner", "set soft"),
)
MORNINGS = (
    Dish("豆浆油条鸡蛋", 500, "breakfast"),
    Dish("小米粥包子", 450, "breakfast"),
    Dish("馄饨", 600, "breakfast"),
)
VILLAGE = (
    Dish("大锅菜套餐", 1000, tags="set"),
    Dish("炖菜馒头套餐", 900, tags="set soft"),
    Dish("粥和花卷", 600, tags="set soft"),
)
ALL_DAYS, WEEKDAYS = "1111111", "1111100"
SITES = (
    Site(
        "demo-guilin", "演示·桂林街道敬老餐厅", "220104002", "counter", "public_private", "excellent",
        "demo-kangle", "demo-y-kangle", 80, 0.22, ALL_DAYS, (BREAKFAST, LUNCH, DINNER), SETS_A + EVENINGS + MORNINGS,
        points=("一号窗口", "二号窗口"), tablets=2,
    ),
    Site(
        "demo-nanhu", "演示·南湖街道敬老餐厅", "220104003", "counter", "public_private", "good",
        "demo-kangle", "demo-y-kangle", 60, 0.16, ALL_DAYS, (LUNCH, DINNER), SETS_A + EVENINGS,
    ),
    Site(
        "demo-quanan", "演示·全安街道敬老餐厅", "220102006", "counter", "public_private", "good",
        "demo-fuman", "demo-y-fuman", 70, 0.16, ALL_DAYS, (LUNCH, DINNER), SETS_B + EVENINGS,
    ),
    Site(
        "demo-kaixuan", "演示·凯旋街道敬老餐厅", "220103007", "counter", "public_private", "pass",
        "demo-fuman", "demo-y-fuman", 50, 0.12, "1111110", (LUNCH,), SETS_B,
    ),
    Site(
        "demo-jingyue", "演示·净月街道敬老餐厅", "220172002", "counter", "public_private", "excellent",
        "demo-kangle", "demo-y-kangle", 60, 0.10, "1111110", (LUNCH,), SETS_A,
    ),
    Site(
        "demo-dongsheng", "演示·东盛老味道饭店（合作）", "220105001", "partner", "partner", "good",
        "demo-laowei", "demo-y-laowei", 120, 0.10, ALL_DAYS, (LUNCH, DINNER), (),
    ),
    Site(
        "demo-zhengyang", "演示·正阳老味道饭店（合作）", "220106001", "partner", "partner", "pass",
        "demo-laowei", "demo-y-laowei", 90, 0.07, ALL_DAYS, (LUNCH, DINNER), (),
    ),
    Site(
        "demo-luxiang", "演示·鹿乡镇村级助餐点", "220112102", "village", "village", "good",
        "demo-fuman", "demo-y-luxiang", 20, 0.07, WEEKDAYS, (LUNCH,), VILLAGE,
        points=("和平村助餐点", "惠民村助餐点"),
    ),
)  # fmt: skip


def site(site_id: str) -> Site:
    return next(one for one in SITES if one.id == site_id)
