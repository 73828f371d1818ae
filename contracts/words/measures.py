"""What is measured, compared, put together and tested, in words. Pure."""

from collections.abc import Iterator
from typing import Literal, assert_never

from contracts.formula import Formula
from contracts.outcome.baselines import (
    Adjusted,
    Baseline,
    EarlierYear,
    FixedBaseline,
    Peers,
    Ratchet,
)
from contracts.outcome.basics import Node
from contracts.outcome.gates import Evidence, Gate, Threshold
from contracts.outcome.measures import (
    AcrossSubjects,
    Calculated,
    Combined,
    DayAfter,
    Elapsed,
    EventDay,
    Mark,
    Measure,
    Missing,
    Previous,
    Ratio,
    Run,
    RunOfReadings,
    Statistic,
)
from contracts.outcome.outcome import Score
from contracts.outcome.totals import (
    EqualWeights,
    PeerRank,
    Points,
    Repeat,
    Total,
    Weighted,
    WeightedSum,
)
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.scoring import scored
from contracts.words.values import (
    condition,
    count,
    day_off,
    days_of,
    headed,
    instead,
    mode,
    name,
    names,
    one_of_gates,
    period,
    places,
    rounding,
    span_later,
    value,
    window_rules,
)

EACH_SUBJECT = Said("It is determined for each subject by itself.", "对每一对象分别确定。")


def measured(measure: Measure) -> Iterator[Told]:
    match measure:
        case Statistic():
            yield from _statistic(measure)
        case Ratio():
            yield from _ratio(measure)
        case Run():
            row = measure.counted == "in_a_row"
            yield say(
                "It is the number of periods {how}, up to and including this one, in which {of} has "
                "been {limits}.",
                "取截至本期（含本期）{of}{limits}的{how}期数。",
                how=Said("in a row", "连续")
                if row
                else Said("in all, with gaps", "累计（可间断）"),
                of=value(measure.of),
                limits=condition(measure.where),
            )
        case RunOfReadings():
            longest = measure.taken == "longest"
            yield say(
                "It is the length of {which} run of readings of {of} in {days} that are {limits}; a "
                "missing reading ends a run.",
                "取{days}内{of}连续{limits}的观测值个数（{which}）；缺失的观测值使连续中断。",
                which=Said("the longest", "最长的一段")
                if longest
                else Said("the last and still unbroken", "最后仍未中断的一段"),
                of=name(measure.of),
                days=days_of(measure.window),
                limits=condition(measure.where),
            )
            yield from window_rules(measure.window)
            if measure.each is not None:
                yield EACH_SUBJECT
        case Elapsed():
            yield from _elapsed(measure)
        case EventDay():
            yield say(
                "It is the day on which event {of} happened, if that is in the period or before and "
                "known when the period is settled.",
                "取事件{of}发生之日，以在本期或此前发生、且结算时已知者为准。",
                of=name(measure.of),
            )
            if measure.later_by is not None:
                yield say(
                    "A day up to {span} after the end of the period counts as well; the difference is part "
                    "of the settlement by which it is known.",
                    "本期结束后{span}以内之日亦计入；差额计入得知该事件时的结算。",
                    span=period(measure.later_by),
                )
            if measure.each is not None:
                yield EACH_SUBJECT
        case DayAfter():
            later = span_later(measure.after, measure.working_days)
            yield say(
                "It is the day {later} after {of}, which itself does not count.",
                "取{of}之后{later}之日，起算日本身不计。",
                later=later,
                of=value(measure.of),
            )
            yield day_off(measure.falls_on_a_day_off)
        case _:
            yield from _derived(measure)


def _derived(
    node: Calculated | Previous | Mark | Combined | AcrossSubjects,
) -> Iterator[Told]:
    """What stands among the measures or the totals."""
    match node:
        case Calculated():
            yield say("It is {formula}.", "等于{formula}。", formula=value(node.formula))
        case Previous():
            yield say(
                "It is what {of} was {back} earlier.",
                "取{of}在{back}前的值。",
                of=value(node.of),
                back=count(node.periods, "period", "periods", "期"),
            )
            if node.initial is not None:
                yield say(
                    "Before there is such a period it is {initial}.",
                    "尚无该期时取{initial}。",
                    initial=value(node.initial),
                )
        case Mark():
            high = node.kind == "high_water_mark"
            yield say(
                "It is the {best} value that {of} has had so far, this period included.",
                "取{of}截至本期（含本期）的{best}值。",
                best=Said("highest", "最高") if high else Said("lowest", "最低"),
                of=value(node.of),
            )
            if node.start is not None:
                yield say(
                    "{start} counts as one of these values from the beginning.",
                    "自始将{start}计为其中一值。",
                    start=value(node.start),
                )
        case Combined():
            yield say(
                "It is {take} of {of}.",
                "取{of}的{take}。",
                take=_statistic_name(node.take),
                of=listed(value(each) for each in node.of),
            )
            yield _missing(node.missing)
        case AcrossSubjects():
            yield from _across(node)
        case _:
            assert_never(node)


def _across(node: AcrossSubjects) -> Iterator[Told]:
    yield say(
        "It is {take} of {of} over all subjects that have a value.",
        "取所有有数值的对象的{of}的{take}。",
        take=_statistic_name(node.take),
        of=value(node.of),
    )
    if node.percentile is not None:
        yield _percentile(value(node.percentile))
    if node.only is not None:
        yield say(
            "Only subjects for which {only} is 1 count.",
            "只计{only}为1的对象。",
            only=value(node.only),
        )
    if node.where is not None:
        yield say(
            "Only values that are {limits} count.",
            "只计{limits}的数值。",
            limits=condition(node.where),
        )
    if node.without:
        yield say("Left out are {who}.", "{who}不计。", who=listed(node.without))


Statistics = Literal[
    "sum", "mean", "median", "minimum", "maximum", "count", "latest", "first", "percentile"
]


def _statistic_name(kind: Statistics) -> Said:
    match kind:
        case "sum":
            return Said("the sum", "合计")
        case "mean":
            return Said("the mean", "平均值")
        case "median":
            return Said("the median", "中位数")
        case "minimum":
            return Said("the smallest", "最小值")
        case "maximum":
            return Said("the largest", "最大值")
        case "count":
            return Said("the number", "个数")
        case "latest":
            return Said("the latest", "最后一个")
        case "first":
            return Said("the first", "第一个")
        case "percentile":
            return Said("a percentile", "百分位数")
    assert_never(kind)


def _percentile(at: str) -> Said:
    return say(
        "The percentile is the smallest value that a share of at least {at} of the values does not "
        "exceed.",
        "该百分位数为满足“不超过它的数值所占份额不低于{at}”的最小数值。",
        at=at,
    )


def _missing(missing: Missing) -> Said:
    match missing:
        case "left_out":
            return Said("A missing one of them is left out.", "其中缺失者不计。")
        case "missing":
            return Said(
                "Where one of them is missing, it is missing.", "其中有缺失时，结果亦缺失。"
            )
    assert_never(missing)


def _points(missing: Literal["zero", "missing"]) -> Said:
    match missing:
        case "zero":
            return Said("Missing points count as none.", "缺失的分数计为零分。")
        case "missing":
            return Said("Where points are missing, it is missing.", "有分数缺失时，结果亦缺失。")
    assert_never(missing)


def _statistic(measure: Statistic) -> Iterator[Told]:
    yield say(
        "It is {take} of the readings of {of} in {days}.",
        "取{days}内{of}各观测值的{take}。",
        take=_statistic_name(measure.kind),
        of=name(measure.of),
        days=days_of(measure.window),
    )
    yield from window_rules(measure.window)
    if measure.truncate is not None:
        for limit, side in (
            (measure.truncate.at_least, Said("below", "低于")),
            (measure.truncate.at_most, Said("above", "高于")),
        ):
            if limit is not None:
                yield say(
                    "A reading {side} {limit} counts as {limit}.",
                    "{side}{limit}的观测值按{limit}计。",
                    side=side,
                    limit=value(limit),
                )
    if measure.where is not None:
        yield say(
            "Only readings that are {limits} count.",
            "只计{limits}的观测值。",
            limits=condition(measure.where),
        )
    if measure.min_sample:
        yield say(
            "A reading over fewer than {least} is none.",
            "样本不足{least}的观测值无效。",
            least=count(measure.min_sample, "item", "items", "个"),
        )
    if measure.min_sample_in_all:
        yield say(
            "With readings over fewer than {least} in all it has no value.",
            "各观测值的样本合计不足{least}时没有数值。",
            least=count(measure.min_sample_in_all, "item", "items", "个"),
        )
    if measure.each is not None:
        yield EACH_SUBJECT


def _ratio(measure: Ratio) -> Iterator[Told]:
    ratio = f"`{_operand(measure.numerator)} / {_operand(measure.denominator)}`"
    once = measure.times.text == "1"
    yield say(
        "It is {ratio} in {days}.",
        "取{days}内的{ratio}。",
        ratio=ratio if once else f"{value(measure.times)} * {ratio}",
        days=days_of(measure.window),
    )
    if measure.taken == "pooled":
        yield Said(
            "The readings of each input are first added up over these days, then it is divided once.",
            "先将各项数据在上述各日内分别合计，再相除一次。",
        )
    else:
        yield Said(
            "The ratio is taken for each day with readings of all inputs, and the mean of these ratios "
            "counts.",
            "对各项数据齐备的每一日分别计算比率，再取这些比率的平均值。",
        )
    yield from window_rules(measure.window)
    for given, deemed in measure.deemed.items():
        yield say(
            "On each of these days that no reading covers, {given} is deemed to be {deemed}.",
            "上述各日中没有观测值的每一日，{given}视为{deemed}。",
            given=name(given),
            deemed=value(deemed),
        )
    if measure.min_denominator is not None:
        yield say(
            "With a denominator below {least} it has no value (exactly {least} is enough).",
            "分母低于{least}时没有数值（恰为{least}即可）。",
            least=value(measure.min_denominator),
        )
    if measure.each is not None:
        yield EACH_SUBJECT


def _operand(formula: Formula) -> str:
    """A formula as one side of a division."""
    alone = formula.text in formula.names or formula.constant is not None
    return formula.text if alone else f"({formula})"


def _elapsed(measure: Elapsed) -> Iterator[Told]:
    working = measure.counted == "working_days"
    yield say(
        "It is the number of {days} from {start} to {end}; the first of the two days {first}, the "
        "last one counts.",
        "取自{start}至{end}的{days}数；首日{first}，末日计入。",
        days=Said("working days", "工作日") if working else Said("calendar days", "日历日"),
        start=value(measure.from_day),
        end=value(measure.to_day),
        first=Said("counts", "计入")
        if measure.first_day == "counted"
        else Said("does not count", "不计入"),
    )
    if measure.until_then == "runs_on":
        yield Said(
            "While the second day has not come, the days run on to the end of the period.",
            "后一日尚未到来时，计至本期末日。",
        )
    else:
        yield Said(
            "While the second day has not come, it has no value.", "后一日尚未到来时没有数值。"
        )
    if measure.early == "negative":
        yield Said(
            "Where the second day is the earlier one, the days between them count below zero.",
            "后一日早于前一日时，其间日数按负数计。",
        )
    else:
        yield Said("Where the second day is the earlier one, it is 0.", "后一日早于前一日时为0。")
    if measure.excused:
        yield say(
            "Days that are excused for {reasons} are not counted.",
            "因{reasons}免责的日子不计。",
            reasons=names(measure.excused),
        )


def baseline(given: Baseline) -> Iterator[Told]:
    match given:
        case FixedBaseline():
            fixed = given.kind == "fixed"
            yield say(
                "It is {what}: {of}.",
                "为{what}：{of}。",
                what=Said("what was agreed", "约定值")
                if fixed
                else Said("what the control group reaches", "对照组达到的值"),
                of=value(given.of),
            )
        case EarlierYear():
            yield from _earlier_year(given)
        case Peers():
            yield say(
                "It is {take} of what {of} is for the other subjects.",
                "取其他对象的{of}的{take}。",
                take=_statistic_name(given.take),
                of=value(given.of),
            )
            if given.percentile is not None:
                yield _percentile(value(given.percentile))
            if given.own_subject is not None:
                yield say(
                    "The subject that is compared with them is {own}.",
                    "与之比较的对象为{own}。",
                    own=given.own_subject,
                )
        case Adjusted():
            yield from _adjusted(given)
        case Ratchet():
            high = given.better == "higher"
            yield say(
                "It is the {hardest} value that {of} has had so far, this period included, so that it "
                "never becomes easier: {hardest} is harder.",
                "取{of}截至本期（含本期）的{hardest}值，以{hardest}为更难，只可更难而不可放宽。",
                hardest=Said("highest", "最高") if high else Said("lowest", "最低"),
                of=value(given.of),
            )
        case _:
            assert_never(given)


def _earlier_year(given: EarlierYear) -> Iterator[Told]:
    if given.kind == "previous_year":
        yield say(
            "It is what {of} was in the same days {years} earlier.",
            "取{of}在{years}前相同各日的值。",
            of=value(given.of),
            years=count(given.years, "year", "years", "年"),
        )
    else:
        yield say(
            "It is the best that {of} was in the same days of {years} before.",
            "取{of}在此前{years}相同各日中的最好值。",
            of=value(given.of),
            years=count(given.years, "year", "years", "年"),
        )
    if given.better is not None:
        yield (
            Said("Higher is better.", "以高为好。")
            if given.better == "higher"
            else Said("Lower is better.", "以低为好。")
        )


def _adjusted(given: Adjusted) -> Iterator[Told]:
    yield say(
        "It is {of}, changed by the sum of the adjustments below; what is below zero lowers it.",
        "以{of}为基础，加上下列各项调整之和；负数使其降低。",
        of=value(given.of),
    )
    for limit, way in (
        (given.up_by_at_most, Said("up", "上调")),
        (given.down_by_at_most, Said("down", "下调")),
    ):
        if limit is not None:
            yield say(
                "Together they move it {way} by at most {limit}.",
                "各项合计最多{way}{limit}。",
                way=way,
                limit=value(limit),
            )
    for each in given.adjustments:
        routine = each.kind == "routine"
        yield Point(
            say(
                "{head} a {kind} adjustment by {by}.",
                "{head}{kind}调整{by}。",
                head=headed(None, each.clause, each.title),
                kind=Said("routine", "常规") if routine else Said("non-routine", "非常规"),
                by=value(each.by),
            )
        )


def score(given: Score) -> Iterator[Told]:
    if given.baseline is not None or given.target is not None:
        yield say(
            "x is the attainment: the way that {of} has come from the baseline {start} to the target "
            "{end}, x = ({of} - {start}) / ({end} - {start}), not limited on either side.",
            "x为达成度，即{of}自基线{start}至目标值{end}所完成的部分："
            "x = ({of} - {start}) / ({end} - {start})，两端均不设限。",
            of=value(given.of),
            start=value(given.baseline) if given.baseline is not None else "",
            end=value(given.target) if given.target is not None else "",
        )
    else:
        yield say("x is {of}.", "x为{of}。", of=value(given.of))
    yield from scored(given.scoring)
    if given.gates:
        zero = given.while_closed == "zero"
        yield say(
            "Where {gate} is not passed, {closed}; while it is undecided, it has no value.",
            "{gate}未通过时，{closed}；未定时没有数值。",
            gate=one_of_gates(given.gates),
            closed=Said("the score is 0", "得分为0")
            if zero
            else Said("it has no value", "没有数值"),
        )


def totalled(total: Total) -> Iterator[Told]:
    match total:
        case WeightedSum():
            yield Said(
                "It is the sum of these, each times its weight.", "为下列各项乘以各自权重之和。"
            )
            yield _weights(total.missing)
            yield from _within(total.floor, total.cap)
            for term in total.of:
                yield Point(_weighted(term))
        case EqualWeights():
            yield say(
                "It is the mean of {of}, all with the same weight.",
                "取{of}的平均值，各项权重相同。",
                of=listed(value(each) for each in total.of),
            )
            yield _weights(total.missing)
        case Points():
            yield say(
                "It is the points earned, {earned}, over the {out_of} that can be earned.",
                "为所得分数{earned}之和除以可得分数{out_of}。",
                earned=listed(value(each) for each in total.earned),
                out_of=value(total.out_of),
            )
            if total.bonus:
                yield say(
                    "Bonus points are added to those earned alone: {bonus}.",
                    "附加分只计入所得分数：{bonus}。",
                    bonus=listed(value(each) for each in total.bonus),
                )
            yield _points(total.missing)
            yield from _within(None, total.cap)
        case Repeat():
            yield say(
                "It is {of}. Where that is {fails}, the period fails, and it is multiplied by the "
                "number of failing periods in a row: {factors}; the last one stands for all later ones.",
                "等于{of}。其{fails}时该期为不达标，并按连续不达标的期数相乘：{factors}；"
                "最后一个倍数适用于此后各期。",
                of=value(total.of),
                fails=condition(total.fails),
                factors=listed(
                    say(
                        "{factor} in the {n}. period",
                        "第{n}期为{factor}",
                        factor=value(factor),
                        n=n,
                    )
                    for n, factor in enumerate(total.factors, start=1)
                ),
            )
        case PeerRank():
            yield from _rank(total)
        case _:
            yield from _derived(total)


def _weights(missing: Literal["renormalised", "zero", "missing"]) -> Said:
    match missing:
        case "renormalised":
            return Said(
                "A missing one drops out, and the weights of the others grow in proportion to the same "
                "sum.",
                "其中缺失者剔除，其余权重按比例增大至原总和。",
            )
        case "zero":
            return Said("A missing one counts as 0.", "其中缺失者按0计。")
        case "missing":
            return Said(
                "Where one of them is missing, it is missing.", "其中有缺失时，结果亦缺失。"
            )
    assert_never(missing)


def _weighted(term: Weighted) -> Said:
    cap = Said("", "")
    if term.cap is not None:
        cap = say(", of which at most {cap} counts", "（最多计{cap}）", cap=value(term.cap))
    return say(
        "{score}{cap}, times {weight}",
        "{score}{cap}，乘以{weight}",
        score=value(term.score),
        cap=cap,
        weight=value(term.weight),
    )


def _within(floor: Formula | None, cap: Formula | None) -> Iterator[Said]:
    if floor is not None:
        yield say("It is never less than {floor}.", "最低为{floor}。", floor=value(floor))
    if cap is not None:
        yield say("It is never more than {cap}.", "最高为{cap}。", cap=value(cap))


def _rank(total: PeerRank) -> Iterator[Told]:
    yield say(
        "It is the share of the other subjects that {own} is better than in {of}; {better} is better.",
        "取{own}在{of}上优于其他对象的比例；以{better}为好。",
        own=total.own_subject,
        of=value(total.of),
        better=Said("higher", "高") if total.better == "higher" else Said("lower", "低"),
    )
    match total.equals:
        case "beaten":
            yield Said("An equal one counts as beaten.", "相等者计为优于。")
        case "half":
            yield Said("An equal one counts as half beaten.", "相等者按一半计为优于。")
        case "not_beaten":
            yield Said("An equal one does not count as beaten.", "相等者不计为优于。")
        case _:
            assert_never(total.equals)


def gate(given: Gate) -> Iterator[Told]:
    match given:
        case Threshold():
            yield from _threshold(given)
        case Evidence():
            yield say(
                "It is passed (1) once event {event} is known at a settlement, and not before (0).",
                "结算时已知事件{event}发生即通过（1），此前不通过（0）。",
                event=name(given.event),
            )
            if given.not_before is not None:
                yield say(
                    "It is not passed at a settlement before {day} either, even if the event is "
                    "earlier.",
                    "{day}之前的结算亦不通过，即使该事件更早发生。",
                    day=value(given.not_before),
                )
        case _:
            assert_never(given)


def _threshold(given: Threshold) -> Iterator[Told]:
    guardrail = given.kind == "guardrail"
    yield say(
        "{kind} passed (1) where {of} is {limits}, and not passed (0) otherwise.",
        "{kind}：{of}{limits}时通过（1），否则不通过（0）。",
        kind=Said("A guardrail on what must not get worse,", "护栏（不得变差）")
        if guardrail
        else Said("A threshold,", "门槛"),
        of=value(given.of),
        limits=condition(given.passes),
    )
    if given.on == "exact":
        yield Said("It looks at the exact value.", "按精确值判断。")
    else:
        yield say(
            "It looks at the value rounded {to}, {mode}.",
            "按舍入{to}（{mode}）后的数值判断。",
            to=places(given.on.decimals),
            mode=mode(given.on.mode),
        )
    match given.missing:
        case "fails":
            yield Said("A missing value does not pass.", "数值缺失时不通过。")
        case "passes":
            yield Said("A missing value passes.", "数值缺失时通过。")
        case "undecided":
            yield Said("A missing value leaves it undecided.", "数值缺失时未定。")
        case _:
            assert_never(given.missing)
    if given.stays_passed:
        yield Said("Once passed, it stays passed.", "一经通过，此后始终视为通过。")


def common(node: Node) -> Iterator[Told]:
    """What may be said of every value: what counts while it is missing, and its rounding."""
    if node.if_missing is not None:
        yield instead(value(node.if_missing))
    if node.round is not None:
        yield rounding(Said("It", "该值"), node.round)
