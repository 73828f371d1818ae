"""What an indicator of the catalogue is, in words. Pure."""

from collections.abc import Iterator
from typing import assert_never

from contracts.indicators import BetRole, CatalogueEntry, Direction, Figure
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.values import count, name, names, number, quantity, titled, unit_words


def measured_as(entry: CatalogueEntry) -> Iterator[Told]:
    """How an indicator is measured: what two parties must agree on about it."""
    yield say(
        "{definition} It is `{formula}` (unit: {unit}); {direction}.",
        "{definition}计算式为`{formula}`，单位：{unit}；{direction}。",
        definition=titled(entry.definition),
        formula=entry.formula.text,
        unit=unit_words(entry.unit),
        direction=direction(entry.direction),
    )
    if entry.band is not None:
        low, high = entry.band
        yield say(
            "The band is from {low} to {high}.",
            "目标区间为{low}至{high}。",
            low=quantity(low, entry.unit),
            high=quantity(high, entry.unit),
        )
    yield say(
        "A reading over fewer than {least} ({of}) is none. It can be read from month {month} on.",
        "样本少于{least}（{of}）的观测值无效。自第{month}个月起可读取。",
        least=count(entry.min_sample.count, "item", "items", "个"),
        of=entry.min_sample.of,
        month=entry.readable_at_months,
    )


def direction(given: Direction) -> Said:
    match given:
        case Direction.HIGHER_IS_BETTER:
            return Said("higher is better", "以高为好")
        case Direction.LOWER_IS_BETTER:
            return Said("lower is better", "以低为好")
        case Direction.TARGET_BAND:
            return Said("best inside a band", "以落在区间内为好")
    assert_never(given)


def of_the_catalogue(entry: CatalogueEntry) -> Iterator[Told]:
    """Everything that a contract's own catalogue says about an indicator."""
    yield from measured_as(entry)
    yield from _use(entry)
    yield from _worth(entry)
    for given in entry.inputs:
        yield Point(
            say(
                "{name}: {description}, in {unit}; for example {example}",
                "{name}：{description}，单位：{unit}；例如{example}",
                name=name(given.name),
                description=given.description,
                unit=given.unit,
                example=_figure(given.example),
            )
        )


def _figure(given: Figure) -> str:
    return number(f"{given:f}")


def _use(entry: CatalogueEntry) -> Iterator[Told]:
    """Where it comes from, how it is used, and how it is kept honest."""
    key_account = entry.model == "key_account"
    yield say(
        "It belongs to {model}, line {line}.",
        "属于{model}，产品线{line}。",
        model=Said("key accounts", "大客户管理")
        if key_account
        else Said("after-sales", "售后服务"),
        line=name(entry.line),
    )
    yield say(
        "It is read {frequency} from {sources}; it is {timing}, and {role}.",
        "{frequency}自{sources}读取；为{timing}，{role}。",
        frequency=_frequency(entry),
        sources=listed(entry.data_source),
        timing=Said("leading", "先行指标")
        if entry.timing == "leading"
        else Said("lagging", "滞后指标"),
        role=_role(entry.bet_role),
    )
    gaming = entry.gaming
    yield say(
        "It can be made to look good by: {risk} Against that: {guard} Beside it {counter} is watched. "
        "{vanity}",
        "可能的虚增方式：{risk}防范：{guard}同时关注{counter}。{vanity}",
        risk=gaming.risk,
        guard=gaming.guard,
        counter=name(gaming.counter_indicator),
        vanity=_vanity(entry),
    )


def _frequency(entry: CatalogueEntry) -> Said:
    match entry.frequency:
        case "daily":
            return Said("daily", "每日")
        case "weekly":
            return Said("weekly", "每周")
        case "monthly":
            return Said("monthly", "每月")
        case "quarterly":
            return Said("quarterly", "每季度")
        case "semiannual":
            return Said("every half-year", "每半年")
    assert_never(entry.frequency)


def _role(role: BetRole) -> Said:
    match role:
        case BetRole.SETTLEMENT:
            return Said("may carry money", "可用于结算")
        case BetRole.TREND:
            return Said("may be read as a trend alone", "仅可用于查看趋势")
        case BetRole.DIAGNOSTIC:
            return Said("serves for diagnosis alone", "仅用于诊断")
    assert_never(role)


def _vanity(entry: CatalogueEntry) -> Said:
    match entry.gaming.vanity_flag:
        case "none":
            return Said("It is no vanity metric.", "非虚荣指标。")
        case "watch":
            return Said("It may become a vanity metric.", "须防其成为虚荣指标。")
        case "vanity_if_alone":
            return Said("Alone it is a vanity metric.", "单独使用即为虚荣指标。")
    assert_never(entry.gaming.vanity_flag)


def _worth(entry: CatalogueEntry) -> Iterator[Told]:
    """What an improvement is worth, with the invented example."""
    worth, example = entry.monetisation, entry.example
    yield say(
        "An improvement of delta is worth `{expression}` a year: {kind}, with {confidence} confidence, "
        "in the overlap group {group}.",
        "改善delta的年价值为`{expression}`：{kind}，可信度{confidence}，重叠组{group}。",
        expression=worth.expression.text,
        kind=_kind_of_worth(entry),
        confidence=_confidence(entry),
        group=name(worth.overlap_group),
    )
    if worth.parameters:
        yield say(
            "Its parameters are {parameters}.",
            "其参数为{parameters}。",
            parameters=names(worth.parameters),
        )
    yield say(
        "For example, the value {value} and a delta of {delta} give {annual} CNY a year{with_}.",
        "例如：指标值{value}、delta为{delta}时，每年{annual} CNY{with_}。",
        value=_figure(example.value),
        delta=_figure(example.delta),
        annual=_figure(example.annual_cny),
        with_=say(
            ", with {parameters}",
            "（{parameters}）",
            parameters=listed(
                f"{name(key)} = {_figure(each)}" for key, each in example.parameters.items()
            ),
        )
        if example.parameters
        else Said("", ""),
    )


def _confidence(entry: CatalogueEntry) -> Said:
    match entry.monetisation.confidence:
        case "low":
            return Said("low", "低")
        case "medium":
            return Said("medium", "中")
        case "high":
            return Said("high", "高")
    assert_never(entry.monetisation.confidence)


def _kind_of_worth(entry: CatalogueEntry) -> Said:
    match entry.monetisation.value_type:
        case "margin_gain":
            return Said("a gain in margin", "毛利增加")
        case "cost_saving":
            return Said("a saving of cost", "成本节约")
        case "cost_avoidance":
            return Said("an avoidance of cost", "成本规避")
        case "financing_saving":
            return Said("a saving of financing cost", "资金成本节约")
        case "risk_reduction":
            return Said("a reduction of risk", "风险降低")
    assert_never(entry.monetisation.value_type)
