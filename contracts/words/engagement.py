"""An engagement contract in plain words, clause by clause. Pure."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import assert_never

from contracts.commercial import HoldEffect
from contracts.contract import (
    Bet,
    BetIndicator,
    Contract,
    FeeLine,
    Holdback,
    MicroConsulting,
    Milestone,
    Party,
    Patience,
    Phase,
    Role,
    SettlementWindow,
    TrendWindow,
    Window,
)
from contracts.indicators import CatalogueEntry, catalogue
from contracts.money import Money, allocate
from contracts.step_plan import Lead, Mode, Step
from contracts.words.agreement import code, dates, page_title, working_days
from contracts.words.commercial import (
    approval_items,
    fee_item,
    fee_of,
    further_line,
    gain_share_items,
    hold_items,
    payment_items,
    tax_items,
)
from contracts.words.indicators import measured_as, of_the_catalogue
from contracts.words.page import Item, Page, Section
from contracts.words.said import Point, Said, Told, listed, say
from contracts.words.scoring import scored
from contracts.words.values import (
    headed,
    money,
    name,
    names,
    period,
    quantity,
    share,
    titled,
    working_days_of,
)


def engagement_page(contract: Contract) -> Page:
    """All that a contract says under which an engagement runs."""
    return Page(page_title(contract), tuple(s for s in _sections(contract) if s.items))


def _sections(contract: Contract) -> Iterator[Section]:
    fees = {fee.id: fee for fee in contract.fees}
    agreed = (
        _party(Said("Consultant:", "乙方："), contract.parties.consultant),
        _party(Said("Client:", "甲方："), contract.parties.client),
        dates(contract),
        working_days(contract.calendar),
    )
    yield Section(Said("The agreement", "协议"), agreed)
    yield Section(
        Said("Micro-consulting", "微咨询"), tuple(_micro(contract.micro_consulting, fees))
    )
    yield Section(
        Said("Fees and tax", "费用与税"), (*map(fee_item, contract.fees), *tax_items(contract))
    )
    yield Section(
        Said("Milestones", "里程碑"),
        tuple(_milestone(each, fees) for each in contract.milestones),
        MILESTONES,
    )
    yield Section(Said("Payment", "付款"), tuple(payment_items(contract, fees)))
    yield Section(Said("Holdback", "尾款留置"), (_holdback(contract, fees), *hold_items(contract)))
    for bet in contract.bets:
        yield Section(
            say("Value bet {id}", "业务价值对赌{id}", id=name(bet.id)), tuple(_bet(contract, bet))
        )
    if contract.gain_share:
        yield Section(Said("Gain share", "收益分成"), tuple(gain_share_items(contract.gain_share)))
    yield Section(Said("Approvals", "审批"), tuple(approval_items(contract.approvals)))
    own = tuple(
        Item(headed(entry.id, None, entry.name), tuple(of_the_catalogue(entry)))
        for entry in contract.own_indicators
    )
    yield Section(Said("Indicators of this contract", "本合同自有指标"), own)


MILESTONES = (
    Said(
        "A milestone is invoiced once, when it is accepted. A rejection states "
        "reasons, and the milestone goes back to delivery. Days for acceptance count from the working "
        "day after all evidence has come in.",
        "里程碑验收后一次性开票。拒绝须说明理由，里程碑退回交付。"
        "验收期自全部验收证据送达后的下一个工作日起算。",
    ),
)


def _party(head: Said, party: Party) -> Item:
    told: list[Told] = [
        say("{name}{code}.", "{name}{code}。", name=titled(party.name), code=code(party.entity))
    ]
    for person in party.people:
        told.append(
            Point(
                say(
                    "{name} (signs as {id}): {roles}",
                    "{name}（签署标识{id}）：{roles}",
                    name=person.name,
                    id=name(person.id),
                    roles=listed(map(_role, person.roles)),
                )
            )
        )
    return Item(head, tuple(told))


def _role(role: Role) -> Said:
    match role:
        case Role.GROUP_MANAGEMENT:
            return Said("group management", "集团管理层")
        case Role.UNIT_HEAD:
            return Said("unit head", "业务单元负责人")
        case Role.BUSINESS_LEAD:
            return Said("business lead", "业务部门负责人")
        case Role.IT_LEAD:
            return Said("IT lead", "IT部门负责人")
        case Role.ACCEPTOR:
            return Said("acceptor", "验收人")
        case Role.EXPERT:
            return Said("expert", "咨询专家")
        case Role.DELIVERY_LEAD:
            return Said("delivery lead", "交付负责人")
        case Role.FINANCE:
            return Said("finance", "财务")
    assert_never(role)


def _micro(given: MicroConsulting, fees: Mapping[str, FeeLine]) -> Iterator[Item]:
    bound = Said("", "")
    if given.fee in fees:
        bound = say(" ({it})", "（{it}）", it=money(fees[given.fee].amount))
    key_account = given.product == "key-account"
    yield Item(
        headed(None, given.clause, None),
        (
            say(
                "Before any other consulting there is micro-consulting, product {product}.",
                "其他咨询之前先做微咨询，产品为{product}。",
                product=Said("key account", "大客户管理")
                if key_account
                else Said("after-sales", "售后服务"),
            ),
            say(
                "It is paid by {fee}, invoiced when the last step is done. Before both have signed "
                "PROCEED no more than that is invoiced{bound}: it is the most that the client can lose.",
                "其费用为{fee}，最后一步完成时开票。双方签署PROCEED（继续）之前开票不超过该额{bound}，"
                "此为甲方的有限损失。",
                fee=fee_of(given.fee, fees),
                bound=bound,
            ),
            Said(
                "After the last step the business lead and the IT lead decide: both sign the same of "
                "PROCEED, SHELVE and REWORK_ONCE. Silence decides nothing.",
                "最后一步之后由业务部门负责人与IT部门负责人决策：双方须签署相同的结果，"
                "即PROCEED（继续）、SHELVE（搁置）或REWORK_ONCE（返工一次）。沉默不构成决定。",
            ),
            _patience(
                Said("While a step waits for the client", "等待甲方完成步骤期间"), given.waiting
            ),
            _patience(Said("While the decision is open", "等待决策期间"), given.decision),
            say(
                "After a shelving the material of the client stays good for {span}.",
                "搁置后，甲方资料的有效期为{span}。",
                span=period(given.material_valid),
            ),
        ),
    )
    plan = given.plan
    online, offline = plan.minutes(Mode.ONLINE), plan.minutes(Mode.OFFLINE)
    yield Item(
        Said("The plan:", "计划："),
        (
            say(
                "{total} of consultant effort, {online} of them online and {offline} offline, in these "
                "steps, one after the other.",
                "乙方投入共{total}，其中线上{online}、线下{offline}，按下列步骤依次进行。",
                total=_effort(online + offline),
                online=_effort(online),
                offline=_effort(offline),
            ),
            say(
                "A rework begins again at step {step}, and is free up to {minutes}.",
                "返工自步骤{step}起重做，{minutes}以内免费。",
                step=name(plan.rework_from),
                minutes=_effort(plan.rework_minutes),
            ),
            *(Point(_step(step)) for step in plan.steps),
        ),
    )


def _effort(minutes: int) -> Said:
    hours, rest = divmod(minutes, 60)
    if rest:
        return Said(f"{minutes:,} minutes", f"{minutes:,}分钟")
    return Said(f"{hours:,} hours", f"{hours:,}小时")


def _patience(when: Said, given: Patience) -> Said:
    return say(
        "{when}, a reminder follows after {remind} and an escalation after {escalate}.",
        "{when}，{remind}后提醒，{escalate}后升级。",
        when=when,
        remind=working_days_of(given.remind_after),
        escalate=working_days_of(given.escalate_after),
    )


def _step(step: Step) -> Said:
    match step.lead:
        case Lead.CONSULTANT:
            lead = Said("the consultant", "乙方")
        case Lead.CLIENT:
            lead = Said("the client", "甲方")
        case _:
            assert_never(step.lead)
    match step.mode:
        case Mode.ONLINE:
            mode = Said("online", "线上")
        case Mode.OFFLINE:
            mode = Said("offline", "线下")
        case _:
            assert_never(step.mode)
    return say(
        "{id}, {title}: by {lead}, {mode}, {effort}; result: {output}",
        "{id}，{title}：由{lead}{mode}进行，{effort}；成果：{output}",
        id=name(step.id),
        title=titled(step.title),
        lead=lead,
        mode=mode,
        effort=_effort(step.minutes) if step.minutes else Said("no effort planned", "不计工时"),
        output=step.output,
    )


def _milestone(given: Milestone, fees: Mapping[str, FeeLine]) -> Item:
    match given.phase:
        case Phase.CONSULTING:
            phase = Said("consulting", "咨询")
        case Phase.DESIGN_BUILD:
            phase = Said("design and build", "设计与开发")
        case _:
            assert_never(given.phase)
    told: list[Told] = [
        say(
            "{amount} of {fee}, in the phase of {phase}.",
            "{amount}，属于{fee}，{phase}阶段。",
            amount=money(given.amount),
            fee=fee_of(given.fee, fees),
            phase=phase,
        ),
        say("Evidence: {evidence}.", "验收证据：{evidence}。", evidence=names(given.evidence)),
        say(
            "The client has {days} to accept or reject; {silence}.",
            "甲方在{days}内验收或拒绝；{silence}。",
            days=working_days_of(given.acceptance.working_days),
            silence=Said(
                "silence until the end of the last one is acceptance",
                "逾期未答复的，末日终了视为验收",
            )
            if given.acceptance.deemed
            else Said(
                "silence is no acceptance and is escalated", "逾期未答复的不视为验收，予以升级"
            ),
        ),
    ]
    if given.go_live:
        told.append(
            Said(
                "It is the go-live; its day is the start of measuring, and no success in itself.",
                "此为上线里程碑；上线之日为计量起点，其本身不代表成功。",
            )
        )
    if given.more:
        told.append(Said("Billed with it:", "一并开票："))
    told += [further_line(line, fees) for line in given.more]
    return Item(headed(given.id, given.clause, given.title), tuple(told))


def _holdback(contract: Contract, fees: Mapping[str, FeeLine]) -> Item:
    given: Holdback = contract.holdback
    amount = Said("", "")
    if given.fee in fees:
        held = money(fees[given.fee].amount.share(given.rate))
        amount = say(", {held},", "即{held}，", held=held)
    match given.effect:
        case HoldEffect.BLOCK_INVOICING:
            effect = Said(
                "It is not invoiced before the verdict; what is then released is invoiced, what is "
                "forfeited is never invoiced.",
                "结论之前不开票；释放的部分届时开票，扣除的部分不再开票。",
            )
        case HoldEffect.WITHHOLD_PAYMENT:
            effect = Said(
                "It is invoiced at go-live and not to be paid before the verdict; what is then released "
                "is to be paid, what is forfeited is taken back by a credit note.",
                "上线时开票，结论之前不付款；释放的部分届时应付，扣除的部分以红字发票冲回。",
            )
        case HoldEffect.RESERVE_REFUND:
            effect = Said(
                "It is invoiced at go-live and to be paid, and refundable until the verdict; what is then "
                "released is final, what is forfeited is credited and paid back.",
                "上线时开票并付款，结论之前可退还；释放的部分不再退还，扣除的部分以红字发票冲回并退款。",
            )
        case _:
            assert_never(given.effect)
    return Item(
        headed(given.id, given.clause, None),
        (
            say(
                "{rate} of {fee}{held} waits for the verdict of the value bet {bet}.",
                "{fee}的{rate}，{held}留待业务价值对赌{bet}的结论。",
                rate=share(given.rate),
                fee=fee_of(given.fee, fees),
                held=amount,
                bet=name(given.bet),
            ),
            effect,
        ),
    )


def _bet(contract: Contract, bet: Bet) -> Iterator[Item]:
    yield Item(
        headed(bet.id, bet.clause, bet.title),
        (
            Said(
                "Each indicator has its stake in the holdback, by its weight. x is the attainment: "
                "(actual - baseline) / (target - baseline), exact, below 0 on the worse side of the "
                "baseline. The score counts from 0 to 1, with no bonus beyond.",
                "各指标按权重在留置额中占有对赌份额。x为达成度："
                "(实际值 - 基线) / (目标值 - 基线)，精确计算，劣于基线时为负。得分按0至1计，超出不加奖。",
            ),
            Said(
                "Released is stake times score, rounded once, half away from zero, to the minor unit; "
                "the rest of the stake is forfeited. Both are without VAT.",
                "释放额为对赌份额乘以得分，四舍五入一次到最小货币单位；其余扣除。均不含税。",
            ),
            Said(
                "Windows count from the day of go-live; the last day of a window belongs to it.",
                "考核期自上线之日起算，包含其末日。",
            ),
        ),
    )
    stakes = _stakes(contract, bet)
    for terms in bet.indicators:
        yield _indicator(contract, terms, stakes.get(terms.indicator))
    for window in bet.windows:
        yield _window(window)


def _stakes(contract: Contract, bet: Bet) -> dict[str, Money]:
    """What hangs on each indicator, where the holdback names this bet."""
    weights = [terms.weight for terms in bet.indicators]
    known = any(fee.id == contract.holdback.fee for fee in contract.fees)
    if contract.holdback.bet != bet.id or not known or not sum(weights, Fraction(0)):
        return {}
    parts = allocate(contract.holdback_amount(), weights)
    return {terms.indicator: part for terms, part in zip(bet.indicators, parts, strict=True)}


def _indicator(contract: Contract, terms: BetIndicator, stake: Money | None) -> Item:
    own = {entry.id: entry for entry in contract.own_indicators}
    shipped = catalogue().entries
    entry: CatalogueEntry | None = own.get(terms.indicator) or shipped.get(terms.indicator)
    unit = entry.unit if entry else ""
    told: list[Told] = [
        say(
            "Weight {weight}{stake}; baseline {baseline}, target {target}.",
            "权重{weight}{stake}；基线{baseline}，目标值{target}。",
            weight=share(terms.weight),
            stake=say(", a stake of {stake}", "，对赌份额{stake}", stake=money(stake))
            if stake
            else Said("", ""),
            baseline=quantity(terms.baseline, unit),
            target=quantity(terms.target, unit),
        )
    ]
    told += scored(terms.scoring)
    if entry is not None and entry.id not in own:
        told += measured_as(entry)
    return Item(headed(terms.indicator, terms.clause, entry.name if entry else None), tuple(told))


def _window(window: Window) -> Item:
    head = headed(window.id, window.clause, None)
    match window:
        case TrendWindow():
            return Item(
                head,
                (
                    say(
                        "{after} after go-live both sides read the trend of every indicator; no money "
                        "moves.",
                        "上线后{after}，双方查看各指标的趋势，不涉及资金。",
                        after=period(window.after),
                    ),
                ),
            )
        case SettlementWindow():
            return Item(
                head,
                (
                    say(
                        "The window ends {after} after go-live and settles {settles}.",
                        "考核期至上线后{after}为止，结算{settles}。",
                        after=period(window.after),
                        settles=names(window.settles),
                    ),
                    say(
                        "The latest reading of its last {within} counts. Readings that are missing are "
                        "reminded of {due} after its end; without a reading nothing is settled, and "
                        "missing is not zero.",
                        "以考核期最后{within}内最近一次观测值为准。考核期结束后{due}仍缺观测值的予以提醒；"
                        "没有观测值不结算，缺失不等于零。",
                        within=period(window.reading_within),
                        due=working_days_of(window.readings_due),
                    ),
                ),
            )
    assert_never(window)
