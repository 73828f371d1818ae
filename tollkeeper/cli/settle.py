"""`tollkeeper contract settle`, `forecast` and `diff`: what a document comes to, without any server."""

from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape
from rich.tree import Tree

from contracts.contract import Agreement, Contract
from contracts.difference import differences
from contracts.errors import TermsError
from contracts.kinds import CONTRACTS, FORECAST, READINGS
from contracts.outcome.basics import AssessmentPeriod
from contracts.outcome.lines import Line
from contracts.outcome.outcome import OutcomeContract
from contracts.outcome.payment import Cap
from contracts.outcome.readings import Forecast, Readings
from lifecycle.engagement_terms import GO_LIVE, in_outcome_terms
from lifecycle.forecast import outlook
from lifecycle.reasons import TOLD_ABOVE, Reason, exact, reasons_for
from lifecycle.settlement import SettledPeriod, Settlement, Settler
from tollkeeper.cli.contract import read
from tollkeeper.cli.screen import TABLES, Output, dump, out, table


def settle(
    files: Annotated[list[Path], Parameter(required=True)],
    /,
    *,
    readings: Path,
    as_of: date | None = None,
    reasons: Annotated[bool, Parameter(name="--explain", negative="")] = False,
    output: Output = TABLES,
) -> None:
    """Settle a contract from a file of readings, period by period.

    Parameters
    ----------
    files
        The contract; or its versions, each of which governs the periods that end after it took effect.
    readings
        What was observed, in YAML or JSON.
    as_of
        Settle what is settled by this day; every period, unless said.
    reasons
        Print the reasons below each payment.
    """
    data = read(readings, [READINGS])
    settlement = _settler(files, data).settle(data, as_of)
    if output.json:
        return dump(as_json(settlement, explain=reasons))
    _print(settlement, explain=reasons)


def forecast(
    files: Annotated[list[Path], Parameter(required=True)],
    /,
    *,
    assumptions: Path,
    output: Output = TABLES,
) -> None:
    """What a contract may come to: the expected and the most likely amount, from assumptions alone.

    Parameters
    ----------
    files
        The contract; or its versions.
    assumptions
        A document of kind Forecast, in YAML or JSON.
    """
    assumed = read(assumptions, [FORECAST])
    settler = _settler(files, assumed)
    view = outlook(settler, assumed)
    if output.json:
        return dump(
            {
                "contract": _identity(settler.contract),
                "currency": settler.contract.currency,
                "expected": str(view.expected),
                "expected_exact": exact(view.expected_exact),
                "expected_by_period": [exact(each) for each in view.expected_by_period],
                "most_likely": str(view.most_likely),
                "most_likely_probability": exact(view.most_likely_probability),
                "lowest": str(view.lowest),
                "highest": str(view.highest),
                "cases": [
                    {
                        "possibilities": list(case.possibilities),
                        "probability": exact(case.probability),
                        "payment": str(case.settlement.paid_in_all),
                    }
                    for case in view.cases
                ],
            }
        )
    table(
        f"Forecast of {_identity(settler.contract)}, {settler.contract.currency}: "
        f"{len(view.cases)} cases",
        ["", "amount>", "probability>"],
        [
            ("expected value", view.expected, ""),
            ("most likely", view.most_likely, _share(view.most_likely_probability)),
            ("lowest", view.lowest, ""),
            ("highest", view.highest, ""),
        ],
    )


def diff(
    before: Path, after: Path, /, *, readings: Path | None = None, output: Output = TABLES
) -> None:
    """What an amendment changes: in words, and in money over a history.

    Parameters
    ----------
    before
        The version that is in force.
    after
        The version that amends it, with its own effective date.
    readings
        A history; the periods that ended before the amendment keep their amounts.
    """
    one, other = _contract(before), _contract(after)
    changes = differences(one, other)
    money: list[dict[str, str | int | bool]] = []
    if readings is not None:
        data = read(readings, [READINGS])
        money = _in_money(_settler([before], data), _settler([before, after], data), data)
    if output.json:
        return dump(
            {
                "contract": one.id,
                "before": one.version,
                "after": other.version,
                "effective_on": other.effective_on.isoformat(),
                "changes": [vars(change) for change in changes],
                "money": money,
            }
        )
    out.print(
        f"{one.id}: version {one.version} to version {other.version}, "
        f"effective {other.effective_on}",
        markup=False,
    )
    for change in changes:
        out.print(f"  {change}", markup=False)
    if money:
        table(
            f"In money, {other.currency}",
            ["period", "settled", "before>", "after>", "difference>", ""],
            [
                (
                    row["number"], row["settled_on"], row["before"], row["after"],
                    row["difference"], "frozen" if row["frozen"] else "",
                )
                for row in money
            ],
        )  # fmt: skip


def _in_money(one: Settler, other: Settler, data: Readings) -> list[dict[str, str | int | bool]]:
    """The payments of each period under the old version, and under both."""
    old, new = one.settle(data).periods, other.settle(data).periods
    rows: list[dict[str, str | int | bool]] = []
    for n in range(max(len(old), len(new))):
        period = (new[n] if n < len(new) else old[n]).period
        before = old[n].payment if n < len(old) else None
        after = new[n].payment if n < len(new) else None
        some = before or after
        assert some is not None
        nothing = some - some
        rows.append(
            {
                "number": period.number,
                "settled_on": period.settled_on.isoformat(),
                "before": str(before or nothing),
                "after": str(after or nothing),
                "difference": str((after or nothing) - (before or nothing)),
                "frozen": period.last_day < other.contract.effective_on,
            }
        )
    return rows


def _settler(files: list[Path], data: Readings | Forecast) -> Settler:
    """The settler of a contract and its amendments; an engagement's contract counts from its go-live."""
    versions = [_in_terms(_contract(path), data) for path in files]
    return Settler(*sorted(versions, key=lambda version: (version.effective_on, version.version)))


def _contract(path: Path) -> Agreement:
    return read(path, CONTRACTS)


def _in_terms(contract: Agreement, data: Readings | Forecast) -> OutcomeContract:
    if isinstance(contract, OutcomeContract):
        return contract
    assert isinstance(contract, Contract)
    live = [event.on for event in data.events if event.event == GO_LIVE]
    if not live:
        raise TermsError(
            f"events: found no {GO_LIVE} for {contract.id}, expected the day from which the "
            "windows of its bet count"
        )
    return in_outcome_terms(contract, min(live))


def as_json(settlement: Settlement, *, explain: bool = False) -> dict[str, Any]:
    """The settlement as scripts read it; docs/contract-language.md documents each key."""
    paid = settlement.paid_in_all
    return {
        "contract": _identity(settlement.contract),
        "digest": settlement.contract.digest(),
        "currency": paid.currency,
        "paid_in_all": str(paid),
        "periods": [_period_json(settlement, settled, explain) for settled in settlement.periods],
    }


def _period_json(settlement: Settlement, settled: SettledPeriod, explain: bool) -> dict[str, Any]:
    number = settled.period.number
    plan = settled.rows.plans[number - 1]
    data: dict[str, Any] = {
        "number": number,
        "final": number > settled.period.count,
        "first_day": settled.period.first_day.isoformat(),
        "last_day": settled.period.last_day.isoformat(),
        "settled_on": settled.period.settled_on.isoformat(),
        "terms": settled.contract,
        "values": {
            name: _value_json(settlement.shown(number, name), name in plan.days)
            for name in settled.values
        },
        "lines": [
            {
                "id": line.id,
                "clause": line.clause,
                "effect": line.effect,
                "amount": _value_json(settled.values[line.id]),
                "to_date": exact(settled.to_date[line.id]),
                "waits_for": settled.waiting.get(line.id),
            }
            for line in plan.outcome.lines
        ],
        "gross": str(settled.gross),
        "retained_before": str(_held_before(settlement, settled)),
        "retained": str(settled.retained),
        "earned": str(settled.earned),
        "paid": str(settled.paid),
        "payment": str(settled.payment),
        "by_payer": {payer: str(part) for payer, part in settled.by_payer.items()},
        "waiting": settled.waiting,
        "restated": [
            {
                "period": each.number,
                "line": each.line,
                "was": exact(each.was),
                "now": exact(each.now),
            }
            for each in settled.restated
        ],
    }
    if explain:
        data["reasons"] = reasons_for(settlement, number).as_json()
    return data


def _value_json(value: object, is_day: bool = False) -> object:
    if isinstance(value, dict):
        return {subject: _value_json(each, is_day) for subject, each in value.items()}
    return exact(value, is_day=is_day) if isinstance(value, Fraction) else None


def _held_before(settlement: Settlement, settled: SettledPeriod) -> Any:
    number = settled.period.number
    return (
        settlement.periods[number - 2].retained
        if number > 1
        else settled.retained - settled.retained
    )


def _print(settlement: Settlement, *, explain: bool) -> None:
    contract = settlement.contract
    out.print(f"{_identity(contract)}: {contract.title.en}, {contract.currency}", markup=False)
    for settled in settlement.periods:
        _print_period(settlement, settled)
        if explain:
            out.print(tree(reasons_for(settlement, settled.period.number)))
    if not settlement.periods:
        out.print("no period is settled yet")
    out.print(f"\npaid in all: {settlement.paid_in_all.grouped()}", markup=False)


def _print_period(settlement: Settlement, settled: SettledPeriod) -> None:
    period, plan = settled.period, settled.rows.plans[settled.period.number - 1]
    rows: list[tuple[object, ...]] = []
    earlier = settlement.periods[period.number - 2].to_date if period.number > 1 else {}
    for piece in (*plan.outcome.lines, *plan.outcome.caps):
        to_date = settled.to_date[piece.id]
        moved = to_date - earlier.get(piece.id, Fraction(0))
        due = not isinstance(piece, Line) or piece.is_due(period.number, period.count)
        rows.append(
            (
                piece.clause, piece.id, _figure(moved) if due or moved else "not due",
                _figure(to_date), _remark(piece, settled),
            )
        )  # fmt: skip
    for each in settled.restated:
        change = f"restated: was {_figure(each.was)}, is {_figure(each.now)}"
        rows.append(("", f"  {each.line} of period {each.number}", "", "", change))
    before = _held_before(settlement, settled)
    rows.append(("", "gross", "", settled.gross, ""))
    rows.append(("", "held before", "", before, ""))
    rows.append(("", "held after", "", settled.retained, ""))
    rows.append(("", "paid before", "", settled.paid, ""))
    payer = ", ".join(f"{party} {part.grouped()}" for party, part in settled.by_payer.items())
    rows.append((plan.outcome.payment.clause, "payment", settled.payment, "", payer))
    left = settled.earned - settled.paid - settled.payment
    if left.minor < 0:
        rows.append(("", "to be set off", left, "", "against later payments"))
    out.print()
    table(
        f"{_called(period)}, {period.first_day} to {period.last_day}, settled {period.settled_on}",
        ["clause", "line", "period>", "to date>", ""],
        rows,
    )


def _remark(piece: Line | Cap, settled: SettledPeriod) -> str:
    """What a line waits for, or which gate is not passed, or else its title."""
    if waits := settled.waiting.get(piece.id):
        return f"waits for {waits}"
    gates = piece.gates if isinstance(piece, Line) else ()
    if closed := [gate for gate in gates if settled.values.get(gate) == 0]:
        return f"gate {' and '.join(closed)} not passed"
    return piece.title.en if piece.title else ""


def _called(period: AssessmentPeriod) -> str:
    return f"Period {period.number}" if period.number <= period.count else "Final settlement"


def _figure(value: object) -> str:
    """A value for people: exact where it is short, else to six decimals."""
    if isinstance(value, dict):
        return ", ".join(f"{subject} {_figure(each)}" for subject, each in value.items())
    if not isinstance(value, Fraction):
        return "missing"
    text = exact(value)
    rounded = "/" in text or len(text.partition(".")[2]) > 6
    whole, point, rest = exact(round(value, 6) if rounded else value).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{'~' if rounded else ''}{sign}{int(whole.removeprefix('-')):,}{point}{rest}"


def _share(value: Fraction) -> str:
    return f"{_figure(value * 100)}%"


def _identity(contract: Agreement) -> str:
    return f"{contract.id} version {contract.version}"


def tree(reason: Reason) -> Tree:
    """Reasons as a tree: each value with its stage, clause, calculation and readings."""
    clause = f", clause {reason.clause}" if reason.clause else ""
    root = Tree(
        f"[bold]{escape(reason.name)}[/] = {escape(reason.value)}   "
        f"[dim](stage {reason.stage}{escape(clause)})[/]"
        + (f" [dim]{TOLD_ABOVE}[/]" if reason.calculation == TOLD_ABOVE else "")
    )
    if reason.calculation and reason.calculation != TOLD_ABOVE:
        root.add(escape(reason.calculation))
    for proof in reason.evidence:
        root.add(f"[dim]{escape(proof)}[/]")
    for below in reason.because:
        root.add(tree(below))
    return root
