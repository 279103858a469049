"""The words that files and screens use for codes of the registry: one word a thing, several spellings accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLASSES: Final[Mapping[str, str]] = {
    "dibao": "低保",
    "dibao_edge": "低保边缘",
    "tekun": "特困",
    "low_income": "低收入",
    "disabled_severe": "重度残疾",
    "disabled": "残疾",
    "disability_care": "失能",
    "dementia": "失智",
    "bereaved": "计划生育特殊家庭",
    "entitled": "优抚",
    "veteran_cadre": "五老",
    "decorated": "劳模功臣",
    "alone": "独居",
    "empty_nest": "空巢",
    "left_behind": "留守",
}
STATUSES: Final[Mapping[str, str]] = {
    "deceased": "已故",
    "institution": "入住养老机构",
    "moved_away": "迁出",
    "suspended": "暂停",
    "withdrawn": "已撤回登记",
}
CANTEEN_CLASSES: Final[Mapping[str, str]] = {"public_private": "公建民营", "partner": "社会合作", "village": "村级助餐"}
PROFILES: Final[Mapping[str, str]] = {"counter": "城市食堂", "partner": "社会餐饮", "village": "村级助餐点"}
CATEGORIES: Final[Mapping[str, str]] = {
    "set": "套餐",
    "meat": "荤菜",
    "vegetable": "素菜",
    "staple": "主食",
    "soup": "汤粥",
    "other": "其他",
}
MEALS: Final[Mapping[str, str]] = {"breakfast": "早餐", "lunch": "午餐", "dinner": "晚餐"}
POINTS: Final[Mapping[str, str]] = {"window": "堂食窗口", "delivery": "送餐", "village": "助餐点"}
GRADES: Final[Mapping[str, str]] = {"excellent": "优秀", "good": "良好", "pass": "合格", "fail": "不合格"}
LEVELS: Final[Mapping[str, str]] = {
    "province": "省",
    "city": "市",
    "district": "区县",
    "street": "街道乡镇",
    "community": "社区村",
    "functional": "功能区",
}
DOCUMENTS: Final[Mapping[str, str]] = {"resident": "居民身份证", "hmt": "港澳台居民证件", "foreign": "外国人证件"}
SEXES: Final[Mapping[str, str]] = {"f": "女", "m": "男"}
NODES: Final[Mapping[str, str]] = {"area": "区划", "operator": "运营方", "canteen": "食堂"}

# Other words that people write.
ALSO: Final[Mapping[str, str]] = {
    "低保边缘户": "dibao_edge",
    "低保边缘家庭": "dibao_edge",
    "最低生活保障": "dibao",
    "低保户": "dibao",
    "特困人员": "tekun",
    "重残": "disabled_severe",
    "失独": "bereaved",
    "优抚对象": "entitled",
    "劳模": "decorated",
    "身份证": "resident",
    "公民身份号码": "resident",
    "港澳台居民居住证": "hmt",
    "护照": "foreign",
    "外国人永久居留身份证": "foreign",
    "女性": "f",
    "男性": "m",
    "死亡": "deceased",
    "去世": "deceased",
    "入住机构": "institution",
    "省级": "province",
    "地级市": "city",
    "县": "district",
    "区": "district",
    "街道": "street",
    "乡镇": "street",
    "镇": "street",
    "乡": "street",
    "社区": "community",
    "村": "community",
    "开发区": "functional",
    "公建民营食堂": "public_private",
    "社会合作餐厅": "partner",
}


def code_of(words: Mapping[str, str], text: str) -> str | None:
    """Return the code of a word, or the code itself; None when it is not one of these."""
    if text in words:
        return text
    for code, word in words.items():
        if text == word:
            return code
    also = ALSO.get(text)
    return also if also in words else None
