"""Amounts, limits on them, what is kept back and how it is paid, in words. Pure."""

from collections.abc import Iterator
from typing import assert_never

from contracts.outcome.lines import (
    Amount,
    AnyLine,
    Bands,
    Instalments,
    Line,
    RateCard,
    RateItem,
    Units,
)
from contracts.outcome.payment import AmountRounding, Cap, Payment, Retention
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.scoring import counted
from contracts.words.values import (
    Names,
    condition,
    count,
    headed,
    instead,
    mode,
    name,
    names,
    one_of_gates,
    places,
    rounding,
    share,
    value,
)


def line(given: AnyLine, known: Names) -> Iterator[Told]:
    """What a line comes to, when it is due, and what limits it."""
    if given.effect == "pays":
        yield Said("Due to the consultant.", "应付乙方。")
    else:
        yield Said("Deducted, in favour of the client.", "扣减，归甲方。")
    yield from _amount(given, known)
    if given.if_missing is not None:
        yield instead(known.amount(given.if_missing))
    if given.basis == "to_date":
        yield Said(
            "This is the entitlement to date, and takes the place of what it was before.",
            "此为累计应得额，取代此前的累计额。",
        )
    else:
        yield Said("It is earned anew in each period.", "每期另行计取。")
    yield _due(given)
    yield from _gates(given)
    for limit, en, zh in (
        (given.cap, "It is at most {limit}.", "不超过{limit}。"),
        (given.floor, "It is at least {limit}.", "不低于{limit}。"),
    ):
        if limit is not None:
            yield say(en, zh, limit=known.amount(limit))
    if given.minimum is not None:
        before = given.minimum.asked == "before_rounding"
        yield say(
            "It is due only where it is {limits}, asked {when} it is rounded; otherwise it is 0.",
            "仅当其{limits}时应付（在舍入{when}判断），否则为0。",
            limits=condition(given.minimum),
            when=Said("before", "之前") if before else Said("after", "之后"),
        )
    if given.round is not None:
        what = (
            Said("Each instalment", "每期分期款")
            if isinstance(given, Instalments)
            else Said("The amount", "该金额")
        )
        yield rounding(what, given.round)


def _amount(given: AnyLine, known: Names) -> Iterator[Told]:
    match given:
        case Amount():
            yield say("The amount is {it}.", "金额为{it}。", it=known.amount(given.amount))
        case Units():
            yield say(
                "The amount is {rate} for each {size} of {quantity}; {counted}, and a quantity below zero "
                "counts likewise, negated.",
                "{quantity}每{size}计{rate}；{counted}；数量为负时同样计算并取负。",
                rate=known.amount(given.rate),
                size=Said("unit", "单位")
                if given.unit_size.text == "1"
                else value(given.unit_size),
                quantity=value(given.quantity),
                counted=counted(given.counted),
            )
        case Bands():
            yield from _bands(given)
        case RateCard():
            yield Said(
                "The amount is the sum of these, each a rate times how many there were.",
                "金额为下列各项单价乘以数量之和。",
            )
            for item in given.items:
                yield Point(_rate(item, known))
        case Instalments():
            yield from _instalments(given, known)
        case _:
            assert_never(given)


def _bands(given: Bands) -> Iterator[Told]:
    high = given.better == "higher"
    yield say(
        "It looks at the way from {against} to {of}; {better} is better, and on the worse side of "
        "{against} the amount is below zero.",
        "按自{against}至{of}的差距计；以{better}为好，在{against}较差的一侧金额为负。",
        against=value(given.against),
        of=value(given.of),
        better=Said("higher", "高") if high else Said("lower", "低"),
    )
    if given.applied == "each_band":
        yield Said(
            "Each piece of the way is multiplied by the rate of the band that it lies in.",
            "差距按所经各档分段，各段乘以所在档的费率后相加。",
        )
    else:
        yield say(
            "The whole way is multiplied by the rate of the one band that {of} lies in.",
            "全部差距乘以{of}所在一档的费率。",
            of=value(given.of),
        )
    below = given.on_a_limit == "band_below"
    yield say(
        "A value exactly on a limit belongs to the band {side} it.",
        "恰在界限上的值归于{side}一档。",
        side=Said("below", "较低") if below else Said("above", "较高"),
    )
    for band in given.bands:
        if band.up_to is not None:
            reach = say("up to {limit}", "至{limit}为止", limit=value(band.up_to))
        else:
            reach = Said("beyond that", "其上")
        yield Point(
            say("{reach}: rate {rate}", "{reach}：费率{rate}", reach=reach, rate=value(band.rate))
        )


def _rate(item: RateItem, known: Names) -> Said:
    most = Said("", "")
    if item.at_most is not None:
        most = say(
            ", of which at most {most} are paid", "（最多计{most}）", most=value(item.at_most)
        )
    return say(
        "{head} {rate} for each of {quantity}{most}",
        "{head}单价{rate}，数量{quantity}{most}",
        head=headed(item.id, None, item.title),
        rate=known.amount(item.rate),
        quantity=value(item.quantity),
        most=most,
    )


def _instalments(given: Instalments, known: Names) -> Iterator[Told]:
    first = given.remainder == "first"
    yield say(
        "{of} is spread evenly over {count}, one each period from the first on; the {which} takes the "
        "remainder of the rounding. Where the amount changes on the way, what is left is spread over "
        "the instalments that are left{again}.",
        "{of}自第一期起每期一笔，均分为{count}；舍入余数计入{which}。"
        "金额中途变更时，余额均摊于余下各笔{again}。",
        of=known.amount(given.of),
        count=count(given.count, "instalment", "instalments", "笔"),
        which=Said("first", "首笔") if first else Said("last", "末笔"),
        again=Said(", the first of which takes the remainder", "，余数计入其中首笔")
        if first
        else Said("", ""),
    )
    if given.recovered_in is not None:
        yield say(
            "It is an advance: from period {n} on nothing of it is due any more, so that what was paid "
            "is set off.",
            "该款为预付：自第{n}期起不再应得，已付部分予以抵扣。",
            n=given.recovered_in,
        )


def _due(given: Line) -> Said:
    match given.due:
        case "every_period":
            return Said("It is asked for in every period.", "每期结算。")
        case "last_period":
            return Said("It is asked for in the last period alone.", "仅在最后一期结算。")
        case "final_settlement":
            return Said("It is asked for in the final settlement alone.", "仅在最终结算时结算。")
        case tuple():
            return say(
                "It is asked for in these periods alone: {periods}.",
                "仅在下列各期结算：{periods}。",
                periods=listed(Said(str(n), f"第{n}期") for n in given.due),
            )
    assert_never(given.due)


def _gates(given: Line) -> Iterator[Told]:
    if not given.gates:
        return
    yield say(
        "While {gate} is not passed, {closed}; while it is undecided, what was due before stays due.",
        "{gate}未通过期间，{closed}；未定期间，维持此前的应付额。",
        gate=one_of_gates(given.gates),
        closed=_while_closed(given),
    )


def _while_closed(given: Line) -> Said:
    to_date = given.basis == "to_date"
    match given.while_closed:
        case "lost" if to_date:
            return Said("nothing of it is due", "该金额全部不再应付")
        case "lost":
            return Said("the amount of the period is lost", "该期金额不再应付")
        case "waits" if to_date:
            return Said(
                "what it comes to waits, and becomes due once that is passed",
                "其应得额暂不应付，待通过后应付",
            )
        case "waits":
            return Said(
                "the amount of the period waits, and becomes due once that is passed",
                "该期金额暂不应付，待通过后应付",
            )
    assert_never(given.while_closed)


def amount_rounding(given: AmountRounding) -> Said:
    """The rounding of money, and at which place."""
    match given.at:
        case "each_line":
            where = Said(
                "each amount that does not state its own rounding, then each limited sum, and the sum "
                "of all",
                "未另行约定舍入方式的各项金额逐项舍入，其后各项限额合计及总额亦舍入",
            )
        case "sum":
            where = Said("the sum of all alone", "仅对总额舍入")
        case _:
            assert_never(given.at)
    return say(
        "Amounts are rounded {to}, {mode}: {where}.",
        "金额舍入{to}（{mode}）：{where}。",
        to=places(given.decimals),
        mode=mode(given.mode),
        where=where,
    )


def cap(given: Cap, known: Names) -> Iterator[Told]:
    to_date = given.scope == "to_date"
    for limit, en, zh in (
        (given.at_most, "at most {limit}", "不超过{limit}"),
        (given.at_least, "at least {limit}", "不低于{limit}"),
    ):
        if limit is not None:
            yield say(
                "The sum of {of} {scope} is {limit}.",
                "{of}之和{scope}{limit}。",
                of=names(given.of),
                scope=Said("to date", "累计") if to_date else Said("in each period", "每期"),
                limit=say(en, zh, limit=known.amount(limit)),
            )
    yield Said(
        "Where all of them are deducted, the limit is one on deductions.",
        "各项均为扣减时，该限额针对扣减额。",
    )
    if not to_date:
        yield from _carried(given)


def _carried(given: Cap) -> Iterator[Told]:
    if given.excess == "carried_forward":
        yield Said(
            "What is over the limit counts again in the next period.", "超出限额的部分计入下一期。"
        )
    else:
        yield Said("What is over the limit lapses.", "超出限额的部分失效。")
    if given.unused == "carried_forward":
        yield Said(
            "What is left of the limit makes room in the next period.",
            "未用完的限额结转至下一期。",
        )
    else:
        yield Said("What is left of the limit lapses.", "未用完的限额失效。")


def retention(given: Retention, known: Names) -> Iterator[Told]:
    of = Said("of all amounts to date", "全部累计金额")
    if given.of != "all":
        of = say("of {of} to date", "{of}的累计金额", of=names(given.of))
    yield say(
        "Kept back {of} is {rate} of what is above {free}.",
        "对{of}中超过{free}的部分留置{rate}。",
        of=of,
        rate=value(given.rate),
        free=known.amount(given.free_amount),
    )
    if given.limit is not None:
        yield say(
            "It is at most {limit}.", "留置额不超过{limit}。", limit=known.amount(given.limit)
        )
    if given.states:
        yield Said(
            "It is multiplied by the factor of the last of these states that is reached by the day of "
            "the settlement; the factor holds for later amounts too, and what it sets free is due.",
            "留置额乘以截至结算日下列各状态中最后达到者的系数；该系数亦适用于此后的金额，由此释放的部分应付。",
        )
    for state in given.states:
        earliest = Said("", "")
        if state.not_before is not None:
            earliest = say(", and not before {day}", "且不早于{day}", day=value(state.not_before))
        yield Point(
            say(
                "after event {after}{earliest}: {factor}",
                "事件{after}发生后{earliest}：{factor}",
                after=name(state.after),
                earliest=earliest,
                factor=share(state.factor),
            )
        )
    yield rounding(Said("What is kept back", "留置额"), given.round)


def payment(given: Payment) -> Iterator[Told]:
    yield Said(
        "Each payment is what is due to date, less what is kept back and what was paid to date.",
        "每次付款额为累计应付额减去留置额与累计已付额。",
    )
    match given.negative:
        case "paid_back":
            yield Said("Where that is below zero, it is paid back.", "差额为负时予以退还。")
        case "set_off":
            yield Said(
                "Where that is below zero, nothing is paid back: it is set off against later payments.",
                "差额为负时不予退还，在以后的付款中抵扣。",
            )
        case _:
            assert_never(given.negative)
    if given.minimum is not None:
        waits = given.below_minimum == "waits"
        yield say(
            "An amount above zero is paid only where it is {limits}; otherwise it {then}.",
            "正数金额仅当其{limits}时支付；否则{then}。",
            limits=condition(given.minimum),
            then=Said("waits for the next settlement", "留待下一次结算")
            if waits
            else Said("lapses", "失效"),
        )
    match given.later_data:
        case "supersedes":
            yield Said(
                "Readings that arrive after a settlement change the earlier periods, and the difference "
                "is part of the next payment.",
                "结算后收到的数据会改变以前各期的结果，差额计入下一次付款。",
            )
        case "ignored":
            yield Said(
                "Each settlement is final: readings that arrive later do not change it.",
                "每次结算均为最终结算，其后收到的数据不改变结果。",
            )
        case _:
            assert_never(given.later_data)
    if given.payers:
        yield Said(
            "It is split between these payers, over all payments to date by largest remainder; what is "
            "paid back goes back by the same shares.",
            "付款由下列各付款方分担，按累计付款以最大余数法分摊到最小货币单位；退款按相同份额退回。",
        )
    for payer in given.payers:
        yield Point(
            say(
                "{party}: {share}",
                "{party}：{share}",
                party=name(payer.party),
                share=share(payer.share),
            )
        )
