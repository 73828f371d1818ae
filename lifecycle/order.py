"""The fixed order of operations: what happens at which stage of a settlement, and to what. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contracts.outcome.basics import Node, Window, WindowKind
from contracts.outcome.gates import Evidence, Threshold
from contracts.outcome.lines import Line
from contracts.outcome.measures import AcrossSubjects, Combined, Mark
from contracts.outcome.outcome import Outcome, Parameter, Score
from contracts.outcome.payment import Cap, Figure, Retention
from contracts.outcome.totals import PeerRank, Repeat

Piece = Node | Parameter | Cap | Retention
"""What has a value of its own in a settlement."""


@dataclass(frozen=True)
class Stage:
    """One step of a settlement; `acting` names what a contract has for it."""

    number: int
    en: str
    zh: str
    acting: Callable[[Outcome], Iterable[str]]


def stage_of(piece: Piece, outcome: Outcome) -> Stage:
    """The stage at which the value of a piece comes to be; gates and totals depend on their use."""
    return ORDER[_number(piece, outcome) - 1]


def _number(piece: Piece, outcome: Outcome) -> int:
    match piece:
        case Parameter():
            return 1
        case Score():
            return 7
        case Threshold() | Evidence():
            return 6 if any(piece.id in score.gates for score in outcome.scores) else 11
        case Line():
            return 12
        case Cap():
            return 15
        case Retention():
            return 17
        case Figure():
            return 21
    if any(piece.id == baseline.id for baseline in outcome.baselines):
        return 4
    if any(piece.id == measure.id for measure in outcome.measures):
        return 3
    return _total(piece, outcome)


def _total(piece: Node, outcome: Outcome) -> int:
    match piece:
        case Combined(take="maximum") if _only_scores(piece, outcome):
            return 7
        case Repeat():
            return 8
        case AcrossSubjects() | PeerRank():
            return 10
        case Mark():
            return 16
    return 9


def _only_scores(total: Combined, outcome: Outcome) -> bool:
    """Whether a total takes the best of several routes to a score."""
    scores = {score.id for score in outcome.scores}
    return scores.issuperset(name for formula in total.of for name in formula.names)


def _valued_at(number: int) -> Callable[[Outcome], list[str]]:
    """The pieces whose values come to be at that stage."""

    def acting(outcome: Outcome) -> list[str]:
        pieces: list[Piece] = [*outcome.parameters, *outcome.nodes()]
        pieces += [*outcome.caps, *outcome.retentions, *outcome.statement]
        return [piece.id for piece in pieces if _number(piece, outcome) == number]

    return acting


def _evidence(outcome: Outcome) -> list[str]:
    """What is reported, and the measures that look at other days or cut readings off."""
    cut = [measure.id for measure in outcome.measures if _is_cut(measure) or _own_days(measure)]
    reported = [*(given.id for given in outcome.inputs), *(event.id for event in outcome.events)]
    return [*reported, *outcome.excuses, *cut]


def _is_cut(measure: Node) -> bool:
    return getattr(measure, "truncate", None) is not None


def _own_days(measure: Node) -> bool:
    window = getattr(measure, "window", None)
    return isinstance(window, Window) and window != Window(over=WindowKind.PERIOD)


def _summed(outcome: Outcome) -> list[str]:
    return [*(cap.id for cap in outcome.caps), "rounding"]


def _attained(outcome: Outcome) -> list[str]:
    return [score.id for score in outcome.scores if score.baseline is not None]


def _limited(outcome: Outcome) -> list[str]:
    return [
        line.id
        for line in outcome.lines
        if line.cap is not None
        or line.floor is not None
        or (line.minimum is not None and line.minimum.asked == "before_rounding")
    ]


def _rounded(outcome: Outcome) -> list[str]:
    return [
        line.id
        for line in outcome.lines
        if outcome.rounding.at == "each_line"
        or line.round is not None
        or (line.minimum is not None and line.minimum.asked == "after_rounding")
    ]


def _carried(outcome: Outcome) -> list[str]:
    caps = [cap.id for cap in outcome.caps if "carried_forward" in (cap.excess, cap.unused)]
    return [*caps, *_valued_at(16)(outcome)]


def _payment(outcome: Outcome) -> list[str]:
    return ["payment"]


def _payers(outcome: Outcome) -> list[str]:
    return [payer.party for payer in outcome.payment.payers]


ORDER: tuple[Stage, ...] = (
    Stage(
        1,
        "The version of the contract and the values of its parameters are those in force on the last "
        "day of the period.",
        "合同版本与参数值以该期末日有效者为准。",
        _valued_at(1),
    ),
    Stage(
        2,
        "The days to be looked at are found, and the readings and events that count: excluded ones are "
        "left out or replaced, excused days taken off, readings beyond a limit cut off.",
        "确定所涉各日及可采用的观测值与事件：剔除或替换被排除者，扣除免责日，截断超限的观测值。",
        _evidence,
    ),
    Stage(
        3,
        "Each measure is computed, and rounded where it says so.",
        "计算各项度量，有约定的予以舍入。",
        _valued_at(3),
    ),
    Stage(
        4,
        "Baselines and targets are determined: adjusted within their limits, and kept from becoming "
        "easier.",
        "确定基线与目标值：在限度内调整，且不得放宽。",
        _valued_at(4),
    ),
    Stage(
        5,
        "The attainment is the way from baseline to target that is covered.",
        "达成度为自基线至目标值所完成的部分。",
        _attained,
    ),
    Stage(6, "Gates on single scores are tested.", "判断针对单项得分的门槛。", _valued_at(6)),
    Stage(
        7,
        "Values become scores, limited and rounded where stated; of several routes the best is taken.",
        "将数值转为得分，按约定设限并舍入；有多种途径时取最优者。",
        _valued_at(7),
    ),
    Stage(
        8,
        "What fails again from period to period is multiplied.",
        "连续不达标的按倍数计。",
        _valued_at(8),
    ),
    Stage(
        9,
        "Scores and measures are put together as totals, with weights, bonus and limits.",
        "将得分与度量按权重、附加分与限额汇总。",
        _valued_at(9),
    ),
    Stage(
        10,
        "What concerns all subjects together is computed: a factor that they share, a rank.",
        "计算涉及全体对象的数值：共用系数、名次。",
        _valued_at(10),
    ),
    Stage(
        11,
        "Gates on amounts are tested; an amount behind a closed gate is lost, or waits.",
        "判断针对金额的门槛；门槛未通过的金额不再应付，或暂不应付。",
        _valued_at(11),
    ),
    Stage(12, "Each amount is computed.", "计算各项金额。", _valued_at(12)),
    Stage(
        13,
        "Each amount is kept within its own limits; a minimum that is asked before rounding is asked.",
        "各项金额按自身限额计；判断舍入之前的最低额。",
        _limited,
    ),
    Stage(
        14,
        "Each amount is rounded, where amounts are rounded one by one; a minimum that is asked after "
        "rounding is asked.",
        "逐项舍入的金额在此舍入；判断舍入之后的最低额。",
        _rounded,
    ),
    Stage(
        15,
        "Amounts are added up; limits on sums apply from the narrowest to the widest, and the sum is "
        "rounded.",
        "金额合计；限额由窄至宽依次适用，总额舍入。",
        _summed,
    ),
    Stage(
        16,
        "What a limit carries forward is noted for the next period, and marks move.",
        "记录结转至下一期的数额，并更新水位。",
        _carried,
    ),
    Stage(
        17,
        "What is kept back of the amounts to date is computed in the state that is reached.",
        "按已达到的状态计算累计金额的留置额。",
        _valued_at(17),
    ),
    Stage(
        18,
        "What was paid to date is taken off; the rest may be below zero.",
        "减去累计已付额；差额可为负。",
        _payment,
    ),
    Stage(
        19,
        "The payment is split between the payers, all payments to date by largest remainder.",
        "付款在各付款方之间分担，按累计付款以最大余数法分摊。",
        _payers,
    ),
    Stage(
        20,
        "Set-off and the minimum payment are asked of the whole, so that the payers share what is paid.",
        "抵扣与最低付款额按整体判断，付款方分担实际支付额。",
        _payment,
    ),
    Stage(
        21,
        "The settlement is recorded with its reasons, and the figures of the statement are drawn from "
        "it.",
        "连同理由记录结算，并据此列示结算单各项。",
        _valued_at(21),
    ),
)
"""Whatever has several effects acts at several stages; each value comes after those it is made of."""
