"""The privacy notice read before consent is given, by version: what an elder agreed to stays readable.

A changed text is a new version; a version that somebody agreed to is never edited.
"""

from __future__ import annotations

from typing import Final

Notice = tuple[tuple[str, str], ...]  # (heading, text)

CURRENT: Final = "2026-1"
NOTICES: Final[dict[str, Notice]] = {
    "2026-1": (
        (
            "谁在处理您的信息",
            "您户籍地或居住地的区县民政部门和街道（乡镇）、社区（村）。有疑问请向本页末尾的受理人或所在社区提出。",
        ),
        (
            "收集哪些信息",
            (
                "姓名、性别、出生日期、证件号码、户籍地和居住地、联系电话、紧急联系人、就餐方式；"
                "申请相应类别时的证明名称和编号；您愿意时的一张照片；以及用餐记录。"
            ),
        ),
        ("用来做什么", "核实您能否享受助餐补贴，办卡和就餐，计算和结算补贴，防止重复领取和冒领。不用于其他用途。"),
        (
            "敏感信息",
            (
                "证件号码、人员类别和证明、照片属于敏感个人信息。号码加密保存，页面上只显示几位；"
                "食堂收银时看不到您的人员类别；照片只用于收银时核对本人，可以不照。"
            ),
        ),
        (
            "谁能看到",
            (
                "社区、街道、区县民政部门中负责此事的工作人员，以及依法审计的人员；食堂收银员只看到称呼和照片。"
                "不公示证件号码，不按姓名公示困难类别。"
            ),
        ),
        ("保存多久", "保存到您不再享受助餐补贴、且财政和审计要求的保存期满为止，之后删除或作不能识别您的处理。"),
        (
            "您的权利",
            (
                "您可以查阅、复制、更正自己的信息，可以撤回同意。不同意或撤回同意，不影响您按原价就餐，但不能享受补贴；"
                "撤回前已发生的补贴记录依法保留。"
            ),
        ),
    ),
}


def notice(version: str) -> Notice:
    """Return the text of a version. Raises KeyError."""
    return NOTICES[version]
