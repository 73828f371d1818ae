"""Numbers, days, lengths of time, limits and roundings in words. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from contracts.calendar import DayOff, Period
from contracts.fields import Title, percent
from contracts.formula import NAME, Formula
from contracts.money import Money
from contracts.outcome.basics import Condition, Rounding, RoundingMode, Window, WindowKind
from contracts.words.said import Point, Said, Told, Words, apart, listed, say

PLAIN = re.compile(r"(-?)([0-9]+)(\.[0-9]+)?(%?)", re.ASCII)
CODE = re.compile(r"`([^`]*)`")
UNITS_ZH = {"ratio": "比率", "days": "天", "hours": "小时", "points": "分"}


def titled(title: Title) -> Said:
    """A title in both languages; in Chinese the English one where there is no other."""
    return Said(title.en, title.zh or title.en)


@dataclass(frozen=True)
class Names:
    """What the names of a contract stand for, and the currency of its amounts."""

    currency: str = ""
    meaning: Mapping[str, Said] | None = None

    def amount(self, formula: Formula) -> str:
        """An amount of money as the contract states it, in its currency."""
        return f"{value(formula)} {self.currency}"

    def where(self, own: str, told: Iterable[Told]) -> Iterator[Said]:
        """What the names in some sentences stand for, each once."""
        known = self.meaning or {}
        text = " ".join(each.said.en if isinstance(each, Point) else each.en for each in told)
        words = (word for code in CODE.findall(text) for word in NAME.findall(code))
        used = [word for word in dict.fromkeys(words) if word in known and word != own]
        if used:
            means = [say("`{name}` is {it}", "`{name}`为{it}", name=n, it=known[n]) for n in used]
            yield say("Here {means}.", "其中{means}。", means=apart(means))


def value(formula: Formula) -> str:
    """A number for people, grouped, and anything else as it is written."""
    return number(formula.text) or f"`{formula.text}`"


def number(text: str) -> str:
    """A plain number with its thousands apart; empty where the text is no plain number."""
    plain = PLAIN.fullmatch(text)
    if plain is None:
        return ""
    sign, whole, rest, cent = plain.groups()
    return f"{sign}{int(whole):,}{rest or ''}{cent}"


def name(text: str) -> str:
    return f"`{text}`"


def names(texts: Iterable[str]) -> Said:
    return listed(map(name, texts))


def one_of_gates(gates: Sequence[str]) -> Said:
    """The gate, or any of the gates, as the subject of a sentence."""
    if len(gates) == 1:
        return say("the gate {gate}", "门槛{gate}", gate=name(gates[0]))
    return say("one of the gates {gates}", "门槛{gates}中有一项", gates=names(gates))


def quantity(amount: Decimal, unit: str) -> Said:
    """A quantity in its unit; a ratio is told as a percentage."""
    if unit == "ratio":
        return same_percent(amount)
    text = number(f"{amount:f}")
    return Said(f"{text} {unit}", f"{text} {UNITS_ZH.get(unit, unit)}")


def same_percent(amount: Decimal) -> Said:
    text = f"{number(f'{(amount * 100).normalize():f}')}%"
    return Said(text, text)


def share(part: Fraction) -> str:
    return percent(part)


def money(amount: Money) -> str:
    return f"{amount.grouped()} {amount.currency}"


def day(on: date) -> Said:
    return Said(on.isoformat(), f"{on.year}年{on.month}月{on.day}日")


def count(many: int, one: str, more: str, zh: str) -> Said:
    """`1 day`, `3 days`."""
    return Said(f"{many:,} {one if many == 1 else more}", f"{many:,}{zh}")


def period(span: Period) -> Said:
    parts = []
    if span.months:
        parts.append(count(span.months, "month", "months", "个月"))
    if span.days or not span.months:
        parts.append(count(span.days, "day", "days", "天"))
    return listed(parts, zh="零")


def working_days_of(many: int) -> Said:
    return count(many, "working day", "working days", "个工作日")


def condition(given: Condition) -> Said:
    """On which side of its limits a value must be, and whether the limit itself counts."""
    stated = (_comparison(comparison, limit) for comparison, limit in given.comparisons())
    return listed(stated, zh="且")


def _comparison(comparison: str, limit: Formula) -> Said:
    it = value(limit)
    match comparison:
        case "at_least":
            return say(
                "at least {it} (exactly {it} counts)", "不低于{it}（恰为{it}时算在内）", it=it
            )
        case "more_than":
            return say(
                "more than {it} (exactly {it} does not count)",
                "高于{it}（恰为{it}时不算在内）",
                it=it,
            )
        case "at_most":
            return say(
                "at most {it} (exactly {it} counts)", "不高于{it}（恰为{it}时算在内）", it=it
            )
        case _:
            return say(
                "less than {it} (exactly {it} does not count)",
                "低于{it}（恰为{it}时不算在内）",
                it=it,
            )


def mode(given: RoundingMode) -> Said:
    match given:
        case RoundingMode.HALF_AWAY:
            return Said("half away from zero", "四舍五入，恰为一半时远离零")
        case RoundingMode.HALF_EVEN:
            return Said("half to the even neighbour", "四舍六入，恰为一半时取偶数")
        case RoundingMode.HALF_DOWN:
            return Said("half towards zero", "五舍六入，恰为一半时趋向零")
        case RoundingMode.AWAY:
            return Said("always away from zero", "一律远离零进位")
        case RoundingMode.TOWARDS_ZERO:
            return Said("always towards zero", "一律趋向零舍去")
        case RoundingMode.CEILING:
            return Said("always up", "一律向上取")
        case RoundingMode.FLOOR:
            return Said("always down", "一律向下取")
    assert_never(given)


def places(decimals: int) -> Said:
    """To what is rounded: decimals, whole numbers, or tens and hundreds."""
    if decimals > 0:
        return say("to {n}", "到小数点后{n}", n=count(decimals, "decimal", "decimals", "位"))
    if decimals == 0:
        return Said("to a whole number", "到整数")
    step = f"{10**-decimals:,}"
    return Said(f"to a multiple of {step}", f"到{step}的整数倍")


def rounding(what: Words, given: Rounding) -> Said:
    """Where and how a value is rounded, and which value is used from there on."""
    if given.result == "used":
        used = Said("the rounded value is used from there on", "此后使用舍入后的数值")
    else:
        used = Said("for showing it only: the exact value is used", "仅用于显示，计算仍用精确值")
    return say(
        "{what} is rounded {to}, {mode}; {used}.",
        "{what}舍入{to}（{mode}）；{used}。",
        what=what,
        to=places(given.decimals),
        mode=mode(given.mode),
        used=used,
    )


def days_of(window: Window) -> Said:
    """The days that a measure looks at, as part of a sentence."""
    match window.over:
        case WindowKind.PERIOD:
            return Said("the period", "本期")
        case WindowKind.TO_DATE:
            return Said(
                "the days from the start of the first period to the end of this one",
                "自第一期首日起至本期末日止的各日",
            )
        case WindowKind.ROLLING:
            return say(
                "the {length} that end with the last day of the period",
                "截至本期末日的{length}",
                length=period(window.length) if window.length else "",
            )
        case WindowKind.FIXED:
            return say(
                "the days from {first} to {last}",
                "自{first}至{last}的各日",
                first=value(window.from_day) if window.from_day else "",
                last=value(window.to_day) if window.to_day else "",
            )
        case WindowKind.SUBJECT:
            counted = window.first_day == "counted"
            return say(
                "the {length} of each subject that begin {when} its event {since}",
                "各对象自其事件{since}发生{when}起的{length}",
                length=period(window.length) if window.length else "",
                since=name(window.since or ""),
                when=Said("on the day of", "当日") if counted else Said("on the day after", "次日"),
            )
    assert_never(window.over)


def window_rules(window: Window) -> Iterator[Said]:
    """What else holds for the days that a measure looks at."""
    if window.earlier_by:
        yield say(
            "These days are taken {by} earlier.",
            "上述各日一律前移{by}。",
            by=period(window.earlier_by),
        )
    if window.later_by:
        yield say(
            "These days are taken {by} later, with what is known on the day of settlement.",
            "上述各日一律后移{by}，以结算日已知的数据为准。",
            by=period(window.later_by),
        )
    if window.later_by or window.over in (WindowKind.FIXED, WindowKind.SUBJECT):
        yield Said(
            "Before the last of these days has come there is no value.",
            "上述各日的末日到来之前没有数值。",
        )
    if window.restarts_after is not None:
        yield say(
            "A period in which {condition} was 1 uses its days up: only later days count.",
            "凡{condition}为1的一期，截至该期末日的各日即已用尽，只计其后的各日。",
            condition=value(window.restarts_after),
        )


def in_unit(it: Said, unit: str | None) -> Said:
    """A title with the unit that its value is in."""
    if unit is None:
        return it
    return say("{it} (in {unit})", "{it}（单位：{unit}）", it=it, unit=unit_words(unit))


def unit_words(unit: str) -> Said:
    return Said(unit, UNITS_ZH.get(unit, unit))


def instead(of_missing: Words) -> Said:
    """What counts in place of a missing value."""
    return say("Where it has no value, {it} counts.", "没有数值时取{it}。", it=of_missing)


def headed(
    id: str | None, clause: str | None, title: Title | None, unit: str | None = None
) -> Said:
    """How an item begins: its clause, its name and its title."""
    parts = []
    if clause is not None:
        parts.append(Said(f"Clause {clause}", f"第{clause}条"))
    if id is not None:
        parts.append(Said(name(id), name(id)))
    if title is not None:
        parts.append(titled(title))
    head = Said(", ".join(part.en for part in parts), "，".join(part.zh for part in parts))
    return say("{head}:", "{head}：", head=in_unit(head, unit))


def span_later(after: Period | None, working_days: int) -> Said:
    """A length of time of calendar months and days and then working days; empty where there is none."""
    parts = [period(after)] if after is not None else []
    if working_days:
        parts.append(working_days_of(working_days))
    return listed(parts, "and then", "再加")


def day_off(given: DayOff) -> Said:
    """Where a day goes that is no working day."""
    match given:
        case "stays":
            return Said("It may be a day off.", "遇休息日不变。")
        case "next_working_day":
            return Said("A day off moves to the next working day.", "遇休息日顺延至下一工作日。")
        case "previous_working_day":
            return Said("A day off moves to the working day before.", "遇休息日提前至上一工作日。")
    assert_never(given)
