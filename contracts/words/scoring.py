"""From a value or an attainment, called x, to a score, in words. Pure."""

from collections.abc import Iterator
from typing import Literal, assert_never

from contracts.outcome.units import Counted
from contracts.scoring import (
    Affine,
    Binary,
    ClampedLinear,
    Curve,
    Knot,
    Logistic,
    PerUnit,
    Scoring,
    Shortfall,
    Steps,
    Table,
)
from contracts.words.said import Point, Said, Told, say
from contracts.words.values import condition, count, rounding, share, value

THE_SCORE = Said("The score", "得分")


def scored(scoring: Scoring) -> Iterator[Told]:
    """How x becomes a score."""
    match scoring:
        case Binary():
            yield _binary(scoring)
        case ClampedLinear():
            if scoring.floor == 0 and scoring.cap == 1:
                yield Said(
                    "The score is x, but 0 where x is 0 or less, and 1 where x is 1 or more.",
                    "得分等于x，但x不高于0时为0，x不低于1时为1。",
                )
                return
            yield say(
                "The score is 0 where x is {low} or less, 1 where x is {high} or more, and on the "
                "straight line (x - {low}) / ({high} - {low}) in between.",
                "x不高于{low}时得分为0，x不低于{high}时得分为1，其间按直线(x - {low}) / ({high} - {low})计。",
                low=share(scoring.floor),
                high=share(scoring.cap),
            )
        case Steps():
            yield say(
                "The first of these steps that holds gives the score; where none of them does, it "
                "is {otherwise}.",
                "按下列各档中最先成立的一档计分；均不成立时得分为{otherwise}。",
                otherwise=value(scoring.otherwise),
            )
            for step in scoring.steps:
                yield Point(
                    say(
                        "x {limits}: {gives}",
                        "x{limits}：{gives}",
                        limits=condition(step),
                        gives=value(step.gives),
                    )
                )
        case Affine():
            yield from _affine(scoring)
        case Curve():
            yield Said(
                "The score goes straight from each of these points to the next; before the first "
                "and beyond the last one it stays level.",
                "得分在下列相邻各点之间按直线计；首点之前与末点之后保持不变。",
            )
            for knot in scoring.knots:
                yield Point(_knot(knot))
        case Table():
            yield from _table(scoring)
        case Shortfall():
            high = scoring.better == "higher"
            yield say(
                "{better} is better: the score is the shortfall {gap}, and 0 where nothing is missing.",
                "{better}为优：得分为缺口{gap}，无缺口时为0。",
                better=Said("Higher", "越高") if high else Said("Lower", "越低"),
                gap=f"{value(scoring.target)} - x" if high else f"x - {value(scoring.target)}",
            )
        case PerUnit():
            yield from _per_unit(scoring)
        case Logistic():
            yield say(
                "The score is 1 / (1 + e^(-{steepness} * (x - {midpoint}))), computed to {decimals}, "
                "half to the even neighbour.",
                "得分为1 / (1 + e^(-{steepness} * (x - {midpoint})))，计算到小数点后{decimals}"
                "（四舍六入，恰为一半时取偶数）。",
                steepness=value(scoring.steepness),
                midpoint=value(scoring.midpoint),
                decimals=count(scoring.decimals, "decimal", "decimals", "位"),
            )
        case _:
            assert_never(scoring)


def _binary(scoring: Binary) -> Said:
    if scoring.at_target == "met":
        return Said(
            "The score is 1 where x is at least 1 (exactly 1 counts: the target itself is enough), "
            "and 0 otherwise.",
            "x不低于1时得分为1（恰为1即达到目标值，算在内），否则为0。",
        )
    return Said(
        "The score is 1 where x is more than 1 (exactly 1 does not count: the target itself is not "
        "enough), and 0 otherwise.",
        "x高于1时得分为1（恰为1即仅达到目标值，不算在内），否则为0。",
    )


def _affine(scoring: Affine) -> Iterator[Told]:
    yield say(
        "The score is {slope} * x + {offset}.",
        "得分为{slope} * x + {offset}。",
        slope=value(scoring.slope),
        offset=value(scoring.offset),
    )
    if scoring.round is not None:
        yield rounding(THE_SCORE, scoring.round)
    if scoring.at_least is not None:
        yield say(
            "It is never less than {least}.", "得分最低为{least}。", least=value(scoring.at_least)
        )
    if scoring.at_most is not None:
        yield say(
            "It is never more than {most}.", "得分最高为{most}。", most=value(scoring.at_most)
        )


def _knot(knot: Knot) -> Said:
    point = say(
        "x = {at}: {gives}", "x = {at}：{gives}", at=value(knot.at), gives=value(knot.gives)
    )
    if knot.jumps_to is None:
        return point
    before = knot.at_the_jump == "before"
    return say(
        "{point}, beyond it from {after} on; exactly there {which} counts",
        "{point}，越过该点后自{after}起；恰在该点时按{which}计",
        point=point,
        after=value(knot.jumps_to),
        which=Said("the former", "前者") if before else Said("the latter", "后者"),
    )


def _table(scoring: Table) -> Iterator[Told]:
    yield say(
        "The score is looked up in these rows; x exactly on a row takes that row. {between} Before "
        "the first row the score is {before}, beyond the last one it is that of the last.",
        "得分按下列各行查得，x恰在某行时取该行。{between}低于首行时得分为{before}，超过末行时取末行。",
        between=_between(scoring.between),
        before=value(scoring.before),
    )
    for row in scoring.rows:
        yield Point(
            say("x = {at}: {gives}", "x = {at}：{gives}", at=value(row.at), gives=value(row.gives))
        )


def _between(between: Literal["row_below", "row_above", "straight_line"]) -> Said:
    match between:
        case "row_below":
            return Said("Between two rows the row below counts.", "介于两行之间时取较低的一行。")
        case "row_above":
            return Said("Between two rows the row above counts.", "介于两行之间时取较高的一行。")
        case "straight_line":
            return Said("Between two rows the straight line counts.", "介于两行之间时按直线插值。")
    assert_never(between)


def counted(how: Counted) -> Said:
    """How part of a unit counts."""
    match how:
        case "full_units":
            return Said(
                "only full units count, part of a unit counts for nothing",
                "只计整单位，不足一个单位的部分不计",
            )
        case "started_units":
            return Said("part of a unit counts as a full one", "不足一个单位的部分按一个单位计")
        case "pro_rata":
            return Said("part of a unit counts pro rata", "不足一个单位的部分按比例计")
    assert_never(how)


def _per_unit(scoring: PerUnit) -> Iterator[Told]:
    above = scoring.direction == "above"
    yield say(
        "The score is {gives} for each {size} by which x is {way} {start}, and 0 at {start} itself "
        "and on its other side; {counted}.",
        "得分按x{way}{start}的部分计，每{size}计{gives}；恰为{start}及在其另一侧时为0；{counted}。",
        gives=value(scoring.gives),
        size=value(scoring.unit_size),
        way=Said("above", "高于") if above else Said("below", "低于"),
        start=value(scoring.start),
        counted=counted(scoring.counted),
    )
    if scoring.at_most is not None:
        yield say(
            "It is never more than {most}.", "得分最高为{most}。", most=value(scoring.at_most)
        )
