"""An outcome contract in plain words: its terms in the order in which they are applied. Pure."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol, TypeVar, assert_never

from contracts.fields import Clause, Title
from contracts.indicators import catalogue
from contracts.outcome.basics import Node
from contracts.outcome.outcome import (
    Change,
    Input,
    Outcome,
    OutcomeContract,
    Parameter,
    Periods,
    Settling,
    Side,
)
from contracts.outcome.payment import Figure
from contracts.words.agreement import code, dates, page_title, working_days
from contracts.words.indicators import measured_as
from contracts.words.lines import amount_rounding, cap, line, payment, retention
from contracts.words.measures import baseline, common, gate, measured, score, totalled
from contracts.words.page import Item, Page, Section
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.values import (
    Names,
    count,
    day,
    day_off,
    headed,
    in_unit,
    name,
    names,
    period,
    span_later,
    titled,
    unit_words,
    value,
)

OWN_MEANING = {
    "gross": Said("the sum of all amounts to date", "累计金额总额"),
    "retained": Said("what is kept back to date", "累计留置额"),
    "earned": Said("gross less retained", "累计金额总额减累计留置额"),
    "paid": Said("what was paid before this settlement", "本次结算前已付额"),
    "due": Said("what is due before set-off and minimum", "抵扣与最低付款判断前的应付额"),
    "payment": Said("this payment", "本次付款额"),
}
"""What a settlement itself calls its values."""

RULES = (
    Said(
        "Every value is computed exactly, and rounded only where this text says so.",
        "各数值均精确计算，仅在本文写明之处舍入。",
    ),
    Said(
        "A missing value is not zero: what is made of a missing value is missing, unless this text says "
        "otherwise, and an amount that is missing leaves what was due before and waits.",
        "缺失不等于零：除本文另有写明外，由缺失数值得出的数值亦缺失；"
        "金额缺失时维持此前的应付额并等待。",
    ),
    Said(
        "Of any span of days the first and the last day belong to it.",
        "各段期间均包含其首日与末日。",
    ),
    Said(
        "Of several readings of the same thing a verified one counts before a declared one, and then the "
        "one received last.",
        "同一事项有多个观测值时，经核实者优先于申报者，其次以最后收到者为准。",
    ),
    Said(
        "A reading counts on its day, or on the last of its days.",
        "观测值计入其所属之日；跨多日的，计入其末日。",
    ),
    Said(
        "Months are calendar months: a month after 31 January is the end of February.",
        "月按日历月计：1月31日之后一个月为2月末日。",
    ),
    Said(
        "What is made of the values of several subjects has a value for each of them, unless it takes "
        "them together; an amount is the sum over its subjects.",
        "由多个对象的数值得出的结果，除合并计算者外，对各对象分别取值；金额为各对象之和。",
    ),
    Said("In a formula a day counts in days.", "公式中的日期按天数计。"),
)
NO_HEAD = Said("", "")


class Titled(Protocol):
    """What has a name and may have a title."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> Title | None: ...


class Term(Titled, Protocol):
    """A piece of the terms that stands under a clause, if it states one."""

    @property
    def clause(self) -> Clause | None: ...


N = TypeVar("N", bound=Node)
T = TypeVar("T", bound=Term)


def outcome_page(contract: OutcomeContract) -> Page:
    """All that an outcome contract says."""
    sections = (section for section in _sections(contract) if section.items)
    return Page(page_title(contract), tuple(sections))


def _sections(contract: OutcomeContract) -> Iterator[Section]:
    outcome, known = contract.outcome, _names(contract)
    agreed = (
        _side(Said("Consultant:", "乙方："), contract.parties.consultant),
        _side(Said("Client:", "甲方："), contract.parties.client),
        dates(contract),
        working_days(contract.calendar),
        *_position(contract),
    )
    yield Section(Said("The agreement", "协议"), agreed)
    rules = tuple(Item(NO_HEAD, (rule,)) for rule in RULES)
    yield Section(Said("How values are read", "数值规则"), rules)
    yield Section(Said("Periods and settlements", "各期与结算"), tuple(_periods(outcome.periods)))
    yield _terms(Said("Parameters", "参数"), outcome.parameters, _parameter, known)
    yield Section(Said("What is reported", "数据与事件"), tuple(_reported(outcome, known)))
    yield _nodes(Said("Measures", "度量"), outcome.measures, measured, known)
    yield _nodes(Said("Baselines and targets", "基线与目标值"), outcome.baselines, baseline, known)
    yield _nodes(Said("Scores", "得分"), outcome.scores, score, known)
    yield _nodes(Said("Totals", "汇总"), outcome.totals, totalled, known)
    yield _nodes(Said("Gates", "门槛"), outcome.gates, gate, known)
    yield _amounts(outcome, known)
    yield _terms(
        Said("Limits on sums, from the narrowest to the widest", "限额（由窄至宽依次适用）"),
        outcome.caps,
        lambda it: cap(it, known),
        known,
    )
    yield _terms(
        Said("What is kept back", "留置"),
        outcome.retentions,
        lambda it: retention(it, known),
        known,
    )
    paid = _item(headed(None, outcome.payment.clause, None), "", payment(outcome.payment), known)
    yield Section(Said("Payment", "付款"), (paid,))
    yield _nodes(Said("Figures for the statement", "结算单列示"), outcome.statement, _figure, known)


def _names(contract: OutcomeContract) -> Names:
    outcome = contract.outcome
    named: Iterable[Titled] = chain(
        outcome.parameters,
        outcome.inputs,
        outcome.events,
        outcome.nodes(),
        outcome.caps,
        outcome.retentions,
        outcome.statement,
    )
    meaning = {
        each.id: in_unit(titled(each.title), getattr(each, "unit", None))
        for each in named
        if each.title is not None
    }
    return Names(contract.currency, OWN_MEANING | meaning)


def _item(head: Said, own: str, told: Iterable[Told], known: Names) -> Item:
    said = tuple(told)
    return Item(head, (*said, *known.where(own, said)))


def _terms(
    heading: Said, terms: Iterable[T], tell: Callable[[T], Iterable[Told]], known: Names
) -> Section:
    """A section with an item for each term."""
    items = (
        _item(headed(it.id, it.clause, it.title, getattr(it, "unit", None)), it.id, tell(it), known)
        for it in terms
    )
    return Section(heading, tuple(items))


def _nodes(
    heading: Said, nodes: Iterable[N], tell: Callable[[N], Iterable[Told]], known: Names
) -> Section:
    return _terms(heading, nodes, lambda node: chain(tell(node), common(node)), known)


def _side(head: Said, side: Side) -> Item:
    entity = code(side.entity) if side.entity is not None else NO_HEAD
    return Item(
        head, (say("{name}{code}.", "{name}{code}。", name=titled(side.name), code=entity),)
    )


def _position(contract: OutcomeContract) -> Iterator[Item]:
    match contract.value_position:
        case None:
            return
        case "cost_centre":
            unit = Said("a cost centre, which is not paid by margins", "成本中心，不以毛利计酬")
        case "profit_centre":
            unit = Said("a profit centre", "利润中心")
        case _:
            assert_never(contract.value_position)
    told = say("The unit of the client is {unit}.", "甲方的业务单元为{unit}。", unit=unit)
    yield Item(Said("Value position:", "价值定位："), (told,))


def _periods(given: Periods) -> Iterator[Item]:
    told: list[Told] = []
    start = (
        day(given.start)
        if given.start
        else Said(
            "the day on which the first version of the contract takes effect", "合同首版生效之日"
        )
    )
    if given.every is not None and given.count is not None:
        told.append(
            say(
                "There are {count}, each {every} long, counted from {start}.",
                "共{count}，每期{every}，自{start}起计。",
                count=count(given.count, "period", "periods", "期"),
                every=period(given.every),
                start=start,
            )
        )
    if given.ends:
        told.append(
            say(
                "The first period begins on {start}; the periods end on {ends}.",
                "第一期自{start}开始；各期分别截至{ends}。",
                start=start,
                ends=listed(map(day, given.ends)),
            )
        )
    if given.pauses == "move_the_end":
        told.append(
            Said(
                "While the service is paused, the end of that period and of all later ones moves by the "
                "days of the pause.",
                "服务暂停时，该期及其后各期的末日按暂停天数顺延。",
            )
        )
    else:
        told.append(Said("A pause of the service changes nothing.", "服务暂停不影响各期。"))
    yield Item(Said("Periods:", "各期："), tuple(told))
    yield Item(
        Said("Settlement:", "结算："),
        tuple(_settling(Said("A period", "各期"), Said("its last day", "末日"), given.settled)),
    )
    if given.final_settlement is not None:
        what = Said(
            "What arrives, or is decided, after the last settlement", "末次结算后收到或确定的事项"
        )
        after = Said("the day of the last settlement", "末次结算日")
        yield Item(
            Said("Final settlement:", "最终结算："),
            tuple(_settling(what, after, given.final_settlement)),
        )


def _settling(what: Said, start: Said, given: Settling) -> Iterator[Told]:
    later = span_later(given.after, given.working_days)
    if later:
        yield say(
            "{what} is settled {later} after {start}.",
            "{what}于{start}后{later}结算。",
            what=what,
            later=later,
            start=start,
        )
    else:
        yield say("{what} is settled on {start}.", "{what}于{start}结算。", what=what, start=start)
    yield day_off(given.falls_on_a_day_off)


def _parameter(given: Parameter) -> Iterator[Told]:
    if given.value is not None:
        stated = Said(value(given.value), value(given.value))
        if given.unit is not None:
            stated = say("{it} {unit}", "{it} {unit}", it=stated, unit=unit_words(given.unit))
        yield say("It is {value}.", "为{value}。", value=stated)
    for subject, number in given.by_subject.items():
        yield Point(
            say(
                "for {subject}: {value}", "{subject}：{value}", subject=subject, value=value(number)
            )
        )
    if given.day is not None:
        yield say("It is the day {day}.", "为{day}。", day=day(given.day))
    if given.changes:
        yield Said(
            "It changes as follows; for a period the value on its last day counts.",
            "其变更如下；各期以其末日的值为准。",
        )
    for change in given.changes:
        yield Point(_change(change))


def _change(given: Change) -> Said:
    parts = []
    if given.value is not None:
        parts.append(say("it becomes {by}", "变为{by}", by=value(given.value)))
    if given.add is not None:
        parts.append(say("{by} is added", "加上{by}", by=value(given.add)))
    if given.times is not None:
        parts.append(say("it is multiplied by {by}", "乘以{by}", by=value(given.times)))
    return say(
        "{head} from {day} on {change}",
        "{head}自{day}起{change}",
        head=headed(None, given.clause, None),
        day=day(given.effective_on),
        change=listed(parts),
    )


def _reported(outcome: Outcome, known: Names) -> Iterator[Item]:
    for given in outcome.inputs:
        head = headed(given.id, None, given.title, given.unit)
        yield _item(head, given.id, _input(given), known)
    for event in outcome.events:
        told = Said(
            "An event, recorded with the day on which it happens.", "事件，按发生之日记录。"
        )
        yield _item(headed(event.id, None, event.title), event.id, [told], known)
    if outcome.excuses:
        told = say(
            "Days may be excused for {reasons}.",
            "可免责的事由：{reasons}。",
            reasons=names(outcome.excuses),
        )
        yield Item(Said("Excuses:", "免责："), (told,))


def _input(given: Input) -> Iterator[Told]:
    if given.indicator is not None:
        entry = catalogue().entries.get(given.indicator)
        yield say(
            "It is the indicator {indicator} of the catalogue.",
            "为指标目录中的指标{indicator}。",
            indicator=name(given.indicator),
        )
        if entry is not None:
            yield from measured_as(entry)
    match given.type:
        case "number":
            yield Said("Reported as a number.", "以数值报告。")
        case "day":
            yield Said("Reported as a day.", "以日期报告。")
        case "yes_no":
            yield Said("Reported as yes (1) or no (0).", "以是（1）或否（0）报告。")
        case "judgement":
            yield Said(
                "A judgement, reported with the name of who judged.", "为人工评定，须注明评定人。"
            )
        case _:
            assert_never(given.type)
    if given.accepts == "verified":
        yield Said("Only verified readings count.", "只采用经核实的观测值。")
    else:
        yield Said("Declared readings count too.", "申报的观测值亦可采用。")
    if given.if_none is not None:
        yield say(
            "Where nothing at all is reported in the days that a measure looks at, {value} counts as its "
            "one reading.",
            "度量所涉各日内没有任何报告时，以{value}作为其唯一的观测值。",
            value=value(given.if_none),
        )
    if given.reported_within is not None:
        yield say(
            "A reading that is received later than {within} after its last day does not count.",
            "在观测末日后超过{within}才收到的观测值不予采用。",
            within=period(given.reported_within),
        )
    if given.exclusions:
        yield say(
            "A reading that is excluded, for a reason among {reasons}, {then}.",
            "因下列任一理由排除的观测值{then}：{reasons}。",
            reasons=names(given.exclusions),
            then=Said("is left out", "不计")
            if given.excluded_as is None
            else say("counts as {value}", "按{value}计", value=value(given.excluded_as)),
        )


def _amounts(outcome: Outcome, known: Names) -> Section:
    lines = _terms(Said("Amounts", "金额"), outcome.lines, lambda it: line(it, known), known)
    rounding = Item(Said("Rounding of money:", "金额舍入："), (amount_rounding(outcome.rounding),))
    return Section(lines.heading, (*lines.items, rounding))


def _figure(given: Figure) -> Iterator[Told]:
    yield say("It is {formula}.", "等于{formula}。", formula=value(given.formula))
