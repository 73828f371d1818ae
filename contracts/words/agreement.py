"""What every contract states, in words: number, parties' days and currency, working days. Pure."""

from collections.abc import Iterator

from contracts.contract import Agreement
from contracts.words.page import Item
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.values import day, name, titled
from contracts.working_days import WorkingDays


def page_title(contract: Agreement) -> Said:
    return say(
        "Contract {id}, version {version}: {title}",
        "合同{id}，第{version}版：{title}",
        id=contract.id,
        version=contract.version,
        title=titled(contract.title),
    )


def dates(contract: Agreement) -> Item:
    """When the contract was signed and takes effect, in which days and which currency it counts."""
    return Item(
        Said("Dates and currency:", "日期与货币："),
        (
            say(
                "This version was signed on {signed} and is in force from {effective}.",
                "本版于{signed}签署，自{effective}起生效。",
                signed=day(contract.signed_on),
                effective=day(contract.effective_on),
            ),
            say(
                "Amounts are in {currency}. A day begins and ends as in the time zone {zone}.",
                "金额以{currency}计。每日的起止以时区{zone}为准。",
                currency=contract.currency,
                zone=contract.timezone,
            ),
        ),
    )


def working_days(calendar: WorkingDays | None) -> Item:
    return Item(Said("Working days:", "工作日："), tuple(_working_days(calendar)))


def _working_days(calendar: WorkingDays | None) -> Iterator[Told]:
    if calendar is not None and calendar.country == "CN":
        yield Said(
            "As China publishes them: Monday to Friday without public holidays, and the weekend days "
            "that are decreed as working days.",
            "以中国公布的安排为准：周一至周五，法定节假日除外，并含调休上班的周末。",
        )
    else:
        yield Said(
            "Monday to Friday; public holidays are not taken out.",
            "周一至周五，不剔除法定节假日。",
        )
    if calendar is None:
        return
    if calendar.provisional_years:
        yield say(
            "For {years} a forecast counts while nothing is published.",
            "{years}尚未公布，暂按预测计。",
            years=listed(Said(str(y), f"{y}年") for y in calendar.provisional_years),
        )
    if calendar.overrides:
        yield Said(
            "Whatever is published, these days are as stated:", "下列日期不论如何公布均以此为准："
        )
    for on, kind in sorted(calendar.overrides.items()):
        working = kind == "working"
        yield Point(
            say(
                "{day}: {kind}",
                "{day}：{kind}",
                day=day(on),
                kind=Said("a working day", "工作日") if working else Said("a day off", "休息日"),
            )
        )


def code(entity: str) -> Said:
    return say(" (code {entity})", "（代码{entity}）", entity=name(entity))
