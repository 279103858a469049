"""Names as people of 长春 born 1920 to 1966 bear them: invented combinations, no roster was used."""

from __future__ import annotations

import random

from canteen.demo.randomness import weighted

# Common surnames of the north-east with rough weights; Manchu (关 佟 那) and Korean (朴 金 崔) families among them.
SURNAMES = {
    surname: weight
    for weight, row in (
        (9.0, "王 李 张 刘"),
        (4.0, "赵 孙 于 杨 高 陈"),
        (2.0, "徐 马 姜 吴 宋 周 郭 韩 朱 金 崔"),
        (1.0, "许 董 何 林 曲 田 隋 付 丛 邹 侯 冯 潘 程 孟 谭 石 姚 白 梁 魏 唐 曹 丁 沈 任 邱 钟 谢 郑 范 卢 夏"),
        (0.5, "关 佟 那 朴 尹 全 迟 初 修 滕 蔺 苑 荆 单 解 盖 逄 仇 查 宁 祁 卜"),
        (0.2, "欧阳 司马 上官 诸葛"),
    )
    for surname in row.split()
}
WOMEN_BEFORE_1950 = (
    "桂兰 秀英 玉兰 淑珍 桂英 凤兰 淑华 秀兰 玉珍 桂芝 淑芹 凤英 淑兰 桂珍 秀芝 玉芹 淑英 亚琴 桂琴 凤琴 玉英 淑芝 "
    "秀珍 桂荣 素珍 素兰 翠兰 贵芝 淑云 淑清"
).split()
WOMEN_SINCE_1950 = (
    "丽华 桂荣 亚珍 春梅 丽娟 秀梅 玉梅 淑梅 敏 艳华 亚杰 丽君 淑艳 凤霞 玉华 晓梅 秀丽 亚芝 淑杰 桂香 丽杰 红 萍 "
    "淑贤 玉霞 春华 金凤 文英 立华 彩霞"
).split()
MEN_BEFORE_1950 = (
    "德胜 永贵 树林 长海 文学 国栋 福生 凤山 玉山 占山 振东 景春 长春 永福 德山 殿臣 洪志 万金 士杰 宝山 喜林 玉亭 "
    "广财 树森 连生 兴业 延年 守义"
).split()
MEN_SINCE_1950 = (
    "建国 国庆 卫东 援朝 跃进 立新 志强 永刚 国强 建军 忠诚 铁军 宝财 长江 晓东 玉民 志国 忠 军 革 文革 和平 解放 "
    "大伟 立军 成文 庆喜 文斌 世杰 凤林"
).split()
# Whole names with characters outside the common set, as registers do contain them; each appears once.
RARE = (
    ("𠮷田秀兰", "f"),
    ("王𬀩", "m"),
    ("李㛃", "f"),
    ("张䶮", "m"),
    ("刘翀", "m"),
    ("赵喆", "m"),
    ("孙堃", "m"),
    ("于淼", "f"),
    ("高犇", "m"),
    ("陈赟", "m"),
    ("阿布力孜·买买提", "m"),
    ("乌云其木格", "f"),
)


def draw_name(rng: random.Random, sex: str, year: int, surname: str | None = None) -> str:
    """Draw a name for somebody of a sex born in a year; `surname` where it is that of the family."""
    lists = {
        ("f", True): WOMEN_BEFORE_1950,
        ("f", False): WOMEN_SINCE_1950,
        ("m", True): MEN_BEFORE_1950,
        ("m", False): MEN_SINCE_1950,
    }
    return (surname or weighted(rng, SURNAMES)) + rng.choice(lists[sex, year < 1950])
