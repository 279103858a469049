"""长春's districts, streets and towns, by the codes of the National Bureau of Statistics (统计用区划代码).

Districts and streets are real. Communities and villages (12 digits) are invented: two under every street, so
that an elder lives somewhere; their names are common ones and mean no real community. A functional area is a further
parent of its streets and bears a code that no administrative area can have.
"""

from __future__ import annotations

from dataclasses import dataclass

PROVINCE, CITY = "220000", "220100"
JINGYUE = "F220172"  # 长春净月高新技术产业开发区
ELSEWHERE = (("220200", "吉林市"), ("220300", "四平市"))  # where a few elders have their hukou

DISTRICTS = {
    "220102": "南关区",
    "220103": "宽城区",
    "220104": "朝阳区",
    "220105": "二道区",
    "220106": "绿园区",
    "220112": "双阳区",
    "220113": "九台区",
}
STREETS = {
    "220102": (
        "001南岭街道 002自强街道 003民康街道 004新春街道 005长通街道 006全安街道 007曙光街道 008永吉街道 "
        "009桃源街道 010鸿城街道 011明珠街道 012富裕街道 200幸福乡"
    ),
    "220103": (
        "001新发街道 002站前街道 003南广街道 004东广街道 005群英街道 006兴业街道 007凯旋街道 008团山街道 "
        "009柳影街道 010欣园街道 011长德街道 100兰家镇 101米沙子镇 102万宝镇 171合隆镇"
    ),
    "220104": (
        "001前进街道 002桂林街道 003南湖街道 004永昌街道 005重庆街道 006清和街道 007红旗街道 008湖西街道 "
        "009富锋街道 100乐山镇 101永春镇"
    ),
    "220105": (
        "001东盛街道 002吉林街道 003荣光街道 004东站街道 005远达街道 006八里堡街道 007长青街道 100英俊镇 "
        "173劝农山镇 174泉眼镇 270四家乡"
    ),
    "220106": (
        "001正阳街道 003春城街道 005青年路街道 006普阳街道 007铁西街道 010林园街道 011同心街道 100合心镇 101西新镇 "
        "102城西镇"
    ),
    "220112": "001云山街道 002平湖街道 003奢岭街道 004山河街道 102鹿乡镇 104齐家镇 105太平镇 203双营子回族乡",
    "220113": (
        "001九台街道 002营城街道 003九郊街道 004西营城街道 005土们岭街道 006苇子沟街道 007兴隆街道 008纪家街道 "
        "009波泥河街道 010卡伦湖街道 011东湖街道 012龙嘉街道 013兴港街道 014沐石河街道 015城子街街道 102其塔木镇 "
        "103上河湾镇 200胡家回族乡 201莽卡满族乡"
    ),
}
# Streets of the functional area: by administration they belong to 南关区, by statistics to 220172.
OF_JINGYUE = {
    "220172001": "永兴街道",
    "220172002": "净月街道",
    "220172003": "福祉街道",
    "220172004": "德正街道",
    "220172005": "彩织街道",
    "220172006": "德容街道",
    "220172007": "博硕街道",
}
COMMUNITIES = (
    "惠民 和平 文化 光明 新华 建设 振兴 安乐 同心 友谊 清华 繁荣 平阳 锦绣 康宁 福临 春光 长虹 松柏 前程"
).split()


@dataclass(frozen=True, slots=True)
class Place:
    """One area and what it belongs to; a community knows its street and district by its own code or its parents."""

    code: str
    name: str
    level: str
    parents: tuple[str, ...]


def all_places() -> list[Place]:
    """Return every area of the demo city, parents before children."""
    found = [
        Place(PROVINCE, "吉林省", "province", ()),
        Place(CITY, "长春市", "city", (PROVINCE,)),
        *(Place(code, name, "city", (PROVINCE,)) for code, name in ELSEWHERE),
        *(Place(code, name, "district", (CITY,)) for code, name in DISTRICTS.items()),
        Place(JINGYUE, "净月高新技术产业开发区", "functional", (CITY,)),
    ]
    streets = [*_streets(), *(Place(code, name, "street", ("220102", JINGYUE)) for code, name in OF_JINGYUE.items())]
    return found + streets + [community for at, street in enumerate(streets) for community in _communities(street, at)]


def district_of(code: str) -> str:
    """Return the administrative district of a street or community."""
    return "220102" if code[:6] == JINGYUE[1:] else code[:6]


def rural(street: str) -> bool:
    """Return whether a street's code is that of a town or township."""
    return street[6] in "12"


def _streets() -> list[Place]:
    return [
        Place(district + entry[:3], entry[3:], "street", (district,))
        for district, names in STREETS.items()
        for entry in names.split()
    ]


def _communities(street: Place, at: int) -> list[Place]:
    kind = "村" if rural(street.code) else "社区"
    names = (COMMUNITIES[(at * 2 + n) % len(COMMUNITIES)] for n in range(2))
    return [Place(f"{street.code}{n:03d}", name + kind, "community", (street.code,)) for n, name in enumerate(names, 1)]
