"""The commercial clauses of an engagement contract in plain words. Pure."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from contracts.commercial import (
    Advance,
    Approvals,
    Authority,
    AutomaticPolicy,
    Ceiling,
    Decision,
    GainShare,
    HoldClocks,
    MissHold,
    Payment,
    Retention,
    RetentionStep,
    ServiceCredits,
)
from contracts.contract import Contract, FeeLine, MilestoneLine, Tax
from contracts.indicators import catalogue
from contracts.money import Money
from contracts.words.page import Item
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.values import (
    count,
    headed,
    money,
    name,
    period,
    quantity,
    share,
    titled,
    working_days_of,
)

Fees = Mapping[str, FeeLine]

NOTHING = Said("", "")


def fee_of(fee: str, fees: Fees) -> Said:
    """A fee by its name and title."""
    if fee not in fees:
        return say("the fee {fee}", "费用项{fee}", fee=name(fee))
    title = titled(fees[fee].title)
    return say("the fee {fee}, {title}", "费用项{fee}（{title}）", fee=name(fee), title=title)


def fee_item(fee: FeeLine) -> Item:
    told: list[Told]
    if fee.prices == "gross":
        told = [say("{amount}, VAT included.", "{amount}，含税。", amount=money(fee.amount))]
    else:
        told = [say("{amount}, without VAT.", "{amount}，不含税。", amount=money(fee.amount))]
    if fee.tax is not None:
        told.append(say("Its tax is {tax}.", "适用税种{tax}。", tax=name(fee.tax)))
    return Item(headed(fee.id, fee.clause, fee.title), tuple(told))


def tax_items(contract: Contract) -> Iterator[Item]:
    own = NOTHING
    if contract.taxes:
        own = Said(" of whatever names no other tax", "（未指明其他税种的费用）")
    yield _tax(contract.tax, own)
    for tax in contract.taxes:
        yield _tax(tax, Said(" of the fees that name it", "（指明该税种的费用）"))
    if any(fee.prices == "gross" for fee in contract.fees):
        yield Item(
            Said("Gross prices:", "含税价格："),
            (
                Said(
                    "The net amount is the gross one divided by 1 plus the rate, rounded half away "
                    "from zero to the minor unit; the tax is the rest.",
                    "不含税金额为含税金额除以（1加税率），四舍五入到最小货币单位；其余为税额。",
                ),
            ),
        )


def _tax(tax: Tax, to: Said) -> Item:
    return Item(
        headed(tax.code, tax.clause, None),
        (
            say(
                "VAT of {rate} is added to net amounts{to}, computed once for each document and "
                "rounded half away from zero to the minor unit.",
                "在不含税金额{to}上加计{rate}增值税，每份单据计算一次，四舍五入到最小货币单位。",
                rate=share(tax.rate),
                to=to,
            ),
        ),
    )


def further_line(line: MilestoneLine, fees: Fees) -> Point:
    """What is billed together with a milestone."""
    return Point(
        say(
            "Clause {clause}, {title}: {amount} of {fee}, on the same invoice",
            "第{clause}条，{title}：{amount}，属于{fee}，同一发票开具",
            clause=line.clause,
            title=titled(line.title),
            amount=money(line.amount),
            fee=fee_of(line.fee, fees),
        )
    )


def payment_items(contract: Contract, fees: Fees) -> Iterator[Item]:
    """When documents are paid, what is deducted from them, and how much may be billed in all."""
    if contract.payment:
        yield _payment(contract.payment)
    if contract.advance:
        yield _advance(contract.advance, fees)
    if contract.retention:
        yield _retention(contract.retention, fees)
        yield from map(_retention_step, contract.retention.release)
    if contract.service_credits:
        yield _service_credits(contract.service_credits, fees)
    for ceiling in contract.ceilings:
        yield _ceiling(contract, ceiling, fees)


def _payment(given: Payment) -> Item:
    return Item(
        headed(None, given.clause, None),
        (
            say(
                "A document is to be paid within {days} of its date.",
                "单据应自其日期起{days}内付款。",
                days=count(given.days, "calendar day", "calendar days", "个日历日"),
            ),
        ),
    )


def _advance(given: Advance, fees: Fees) -> Item:
    return Item(
        headed(given.id, given.clause, given.title),
        (
            say(
                "An advance of {amount}, without VAT, is invoiced before performance.",
                "履行前开具预付款发票，金额{amount}，不含税。",
                amount=money(given.amount),
            ),
            say(
                "It is no fee of its own: of each later invoice of {fee}, {share} of the net amount is "
                "deducted until all of it is recovered.",
                "预付款不另计费：其后{fee}每张发票按不含税金额的{share}抵扣，直至全部抵完。",
                share=share(given.recovered),
                fee=fee_of(given.fee, fees),
            ),
        ),
    )


def _retention(given: Retention, fees: Fees) -> Item:
    if given.base == "net":
        base = Said("the net amount", "不含税金额")
    else:
        base = Said("the gross amount", "含税金额")
    if given.tax == "invoice":
        tax = Said(
            "The tax on the retained part is due with the invoice.", "保留部分的税款随发票缴付。"
        )
    else:
        tax = Said(
            "The retained part carries its tax only when it is released, on an invoice of its own.",
            "保留部分待释放时另行开票并计税。",
        )
    told = [
        say(
            "Of each milestone invoice of {fee}, {rate} of {base} is paid later; what is held back for a "
            "bet is not retained again.",
            "{fee}的每张里程碑发票按{base}的{rate}保留，延后支付；为对赌留置的部分不再保留。",
            rate=share(given.rate),
            base=base,
            fee=fee_of(given.fee, fees),
        ),
        tax,
    ]
    if given.limit is not None:
        told.append(
            say(
                "In all no more than {limit} of the fee is retained.",
                "累计保留不超过该费用的{limit}。",
                limit=share(given.limit),
            )
        )
    return Item(headed(given.id, given.clause, None), tuple(told))


def _retention_step(given: RetentionStep) -> Item:
    return Item(
        headed(given.id, given.clause, None),
        (
            say(
                "{share} of what was retained is released {after} after go-live.",
                "上线后{after}，释放保留总额的{share}。",
                share=share(given.share),
                after=period(given.after),
            ),
        ),
    )


def _service_credits(given: ServiceCredits, fees: Fees) -> Item:
    return Item(
        headed(None, given.clause, None),
        (
            say(
                "Service below its level is credited, in all at most {limit} of {fee}.",
                "服务未达约定水平的予以抵扣，累计不超过{fee}的{limit}。",
                limit=share(given.limit),
                fee=fee_of(given.fee, fees),
            ),
        ),
    )


def _ceiling(contract: Contract, given: Ceiling, fees: Fees) -> Item:
    gain_share = contract.gain_share
    if given.level == "contract":
        level = Said("under the whole contract", "整个合同")
    elif gain_share and gain_share.id == given.level:
        level = say("as gain share {id}", "收益分成{id}", id=name(given.level))
    else:
        level = say("of {fee}", "{fee}", fee=fee_of(given.level, fees))
    return Item(
        headed(None, given.clause, None),
        (
            say(
                "Not to exceed: no more than {amount} is reserved and billed {level}.",
                "上限：{level}已预留与已开票的金额合计不超过{amount}。",
                amount=money(given.amount),
                level=level,
            ),
        ),
    )


def hold_items(contract: Contract) -> Iterator[Item]:
    """The clocks of holds, and the holds that place themselves."""
    if contract.hold_clocks:
        yield _hold_clocks(contract.hold_clocks)
    for hold in contract.miss_holds:
        yield _miss_hold(contract, hold)


def _hold_clocks(given: HoldClocks) -> Item:
    review = (
        say(
            "A hold is decided {days} after it is placed.",
            "留置后{days}作出决定。",
            days=working_days_of(given.review),
        )
        if given.review is not None
        else Said("A hold waits until it is decided.", "留置持续至作出决定。")
    )
    cure = (
        say(
            "After a cure notice there are {days} to cure.",
            "补救通知送达后，补救期为{days}。",
            days=working_days_of(given.cure),
        )
        if given.cure is not None
        else Said("No cure notice can be served.", "不适用补救通知。")
    )
    match given.default:
        case "release":
            default = Said("it is released", "视为释放")
        case "forfeit":
            default = Said("it is forfeited", "视为扣除")
        case "escalate":
            default = Said("it is escalated and stays held", "予以升级，继续留置")
        case _:
            assert_never(given.default)
    return Item(
        headed(None, given.clause, None),
        (
            review,
            cure,
            say(
                "When a decision is due there are {days} for it; without one {default}.",
                "到期后须在{days}内决定；逾期未决的，{default}。",
                days=working_days_of(given.decision),
                default=default,
            ),
            say(
                "It can be extended {times}.",
                "最多可延长{times}。",
                times=count(given.extensions, "time", "times", "次"),
            ),
        ),
    )


def _miss_hold(contract: Contract, given: MissHold) -> Item:
    own = {entry.id: entry for entry in contract.own_indicators}
    entry = own.get(given.indicator) or catalogue().entries.get(given.indicator)
    indicator = say("{id}", "{id}", id=name(given.indicator))
    if entry:
        indicator = say("{id}, {title},", "{id}（{title}）", id=indicator, title=titled(entry.name))
    if given.missed == "below":
        missed = Said("below", "低于")
    else:
        missed = Said("above", "高于")
    if given.effect == "block_invoicing":
        effect = Said("is not invoiced", "不开票")
    else:
        effect = Said("is invoiced and not to be paid", "开票但不付款")
    return Item(
        headed(given.id, given.clause, None),
        (
            say(
                "If {indicator} is {missed} {limit} in {times} of the last {of}, {share} of the amount "
                "of milestone {milestone} {effect} until the hold is decided.",
                "{indicator}最近{of}中有{times}{missed}{limit}的，里程碑{milestone}金额的{share}"
                "{effect}，直至留置作出决定。",
                indicator=indicator,
                missed=missed,
                limit=quantity(given.limit, entry.unit if entry else ""),
                times=Said(f"{given.times:,}", f"{given.times:,}次"),
                of=count(given.of, "reading", "readings", "次观测"),
                share=share(given.share),
                milestone=name(given.milestone),
                effect=effect,
            ),
            Said(
                "A reading at the limit is no miss, and one below the minimum sample is no reading; "
                "with fewer readings than that nothing is missed.",
                "恰为限值不算未达；样本量不足的不算观测值；观测值次数不足的不构成未达。",
            ),
        ),
    )


def gain_share_items(given: GainShare) -> Iterator[Item]:
    """X: what the benefit beyond the fee earns or costs."""
    told: list[Told] = [
        Said(
            "The benefit is counted from the start, and the fee on it to date is computed anew with each "
            "report; the difference to before is invoiced, or credited.",
            "收益自始累计，每次报告重新计算累计分成费；与此前的差额开票，或以红字发票冲回。",
        ),
    ]
    if given.dead_band is not None:
        told.append(
            say(
                "A benefit or a loss to date up to {amount} is not shared, and never that part of it.",
                "累计收益或损失在{amount}以内的不分成，超出时该部分亦不分成。",
                amount=money(given.dead_band),
            )
        )
    told.append(
        say(
            "Of a loss to date the supplier bears {pain}.",
            "累计损失由乙方承担{pain}。",
            pain=share(given.pain),
        )
    )
    told.append(
        say(
            "The fee to date is at most {cap}; the supplier pays at most {floor} in the end. It is "
            "rounded once, half away from zero, to the minor unit; amounts are without VAT.",
            "累计分成费最高{cap}；乙方最终最多支付{floor}。四舍五入一次到最小货币单位，均不含税。",
            cap=money(given.cap),
            floor=money(given.floor),
        )
    )
    told.append(Said("Of the benefit to date the supplier has:", "乙方按累计收益分段分成："))
    before: Money | None = None
    for band in given.bands:
        told.append(Point(_band(share(band.share), before, band.up_to)))
        before = band.up_to
    yield Item(headed(given.id, given.clause, given.title), tuple(told))


def _band(part: str, start: Money | None, end: Money | None) -> Said:
    if start is None and end is None:
        return say("{part} of all of it", "全部的{part}", part=part)
    if start is None and end is not None:
        return say("{part} of the first {end}", "{end}以内部分的{part}", part=part, end=money(end))
    if start is not None and end is None:
        return say(
            "{part} of what is above {start}",
            "超过{start}部分的{part}",
            part=part,
            start=money(start),
        )
    assert start is not None
    assert end is not None
    return say(
        "{part} of what is above {start} up to {end}",
        "超过{start}至{end}部分的{part}",
        part=part,
        start=money(start),
        end=money(end),
    )


def approval_items(given: Approvals) -> Iterator[Item]:
    """Who decides about money, up to what amount, and what decides itself."""
    told: list[Told] = [
        say(
            "To {decisions} needs the approval of {needed}, none of them the one who asks, and each with "
            "authority for the amount: with VAT where a claim is written off, money refunded or a posting "
            "reversed, else without.",
            "{decisions}，须经{needed}批准，申请人不得批准，且各人权限不低于其金额：核销应收、退款、冲销分录"
            "按含税金额，其余按不含税金额。",
            decisions=listed(
                (_decision(each) for each in Decision if each is not Decision.CHANGE_ORDER),
                "or",
                "或",
            ),
            needed=count(given.needed, "person", "different people", "名不同人员"),
        ),
        Said(
            "A change order needs one of each side instead.", "变更单改由双方各一名有权限者签署。"
        ),
        Said(
            "What is approved is exactly what was asked for; any change of it voids the approval.",
            "批准的即为申请的内容；申请内容一经变更，批准失效。",
        ),
        say(
            "A request that is not decided within {days} is void.",
            "申请在{days}内未决的失效。",
            days=working_days_of(given.expire_after),
        ),
    ]
    if given.authority:
        told.append(Said("Authority have:", "批准权限："))
    told += [Point(_authority(each)) for each in given.authority]
    yield Item(headed(None, given.clause, None), tuple(told))
    yield from map(_policy, given.automatic)


def _authority(given: Authority) -> Said:
    if given.up_to is None:
        return say("{person}, for every amount", "{person}，金额不限", person=name(given.person))
    return say(
        "{person}, up to {amount}",
        "{person}，不超过{amount}",
        person=name(given.person),
        amount=money(given.up_to),
    )


def _policy(given: AutomaticPolicy) -> Item:
    limits = []
    if given.of is not None:
        limits.append(say("{of} only", "仅限{of}", of=name(given.of)))
    if given.up_to is not None:
        limits.append(say("up to {amount}", "不超过{amount}", amount=money(given.up_to)))
    return Item(
        headed(given.id, given.clause, None),
        (
            say(
                "No approval is needed to {decisions} ({limits}): the clause decides, and is recorded as "
                "the one who decided.",
                "下列决定无需批准：{decisions}（{limits}），由本条款决定，并记录为决定者。",
                decisions=listed(map(_decision, given.decisions), "or", "或"),
                limits=listed(limits) if limits else Said("in every case", "一律适用"),
            ),
        ),
    )


def _decision(given: Decision) -> Said:
    match given:
        case Decision.RELEASE:
            return Said("release a hold", "释放留置")
        case Decision.FORFEIT:
            return Said("forfeit what is held", "扣除留置")
        case Decision.PLACE_HOLD:
            return Said("place a hold", "设置留置")
        case Decision.EXTEND:
            return Said("extend a hold", "延长留置")
        case Decision.CREDIT:
            return Said("credit an invoice", "冲回发票")
        case Decision.SERVICE_CREDIT:
            return Said("give a service credit", "服务抵扣")
        case Decision.GAIN_SHARE:
            return Said("settle a gain share", "结算收益分成")
        case Decision.DISPUTE_RULING:
            return Said("rule on a dispute", "裁定争议")
        case Decision.WRITE_OFF:
            return Said("write off a claim", "核销应收")
        case Decision.REFUND:
            return Said("refund", "退款")
        case Decision.REVERSAL:
            return Said("reverse a posting", "冲销分录")
        case Decision.CHANGE_ORDER:
            return Said("change the contract", "变更合同")
    assert_never(given)
